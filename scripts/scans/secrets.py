"""What looks like a key, a password or a token in any file that is committed: detect-secrets, over the lines that may hold one.

The scanner takes a minute for this repository, nearly all of it for lines in which none of its rules could find anything. So only those are
given to it that have a word of its list, a long run of the signs of keys with a digit in it, quoted hexadecimal digits, a password in an
address, or the beginning of a private key. Files whose structure it reads (YAML, TOML, INI) it gets whole.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from detect_secrets.core import scan
from detect_secrets.settings import default_settings

from .allowed import Found

WHOLE = frozenset({".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties"})
PICTURES = frozenset({".png", ".svg", ".ico"})
_OF_KEYS = ("api", "auth", "service", "account", "db", "database", "priv", "private", "client")
WORDS = tuple(
    word.encode()
    for word in (
        *(f"{of}{between}key" for of in _OF_KEYS for between in ("", "_")),
        *(f"{of}{between}pass" for of in ("db", "database", "key") for between in ("", "_")),
        *("password", "passwd", "pwd", "secret", "contrase", "-----begin"),
    )
)
"""Of lines that may hold one, in small letters: the words that the scanner knows."""

_RUN = re.compile(rb"[A-Za-z0-9+/=_-]{16,}")
_DIGIT = re.compile(rb"[0-9]")
_OTHERS = (
    re.compile(rb"[\"'][0-9a-fA-F]{8,}"),
    re.compile(rb"[\"'][A-Za-z0-9+/=_-]{16,}[\"']"),  # whatever is in quotes, also without a digit
    re.compile(rb"[A-Z0-9]{16,}"),  # ids of keys
    re.compile(rb"://[^\s/]*:[^\s/]*@"),
    re.compile(rb"[0-9]{8,10}:[A-Za-z0-9_-]{30}"),
)


def committed(root: Path) -> list[str]:
    """The files that are committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(path for path in listed.stdout.split("\0") if path and Path(path).suffix not in PICTURES)


def secrets(root: Path, paths: Iterable[str]) -> list[Found]:
    """What looks like a secret in these files."""
    with tempfile.TemporaryDirectory() as folder, default_settings():
        return sorted(one for path in paths for one in _of_file(root, path, Path(folder)))


def _of_file(root: Path, path: str, folder: Path) -> Iterator[Found]:
    source = root / path
    if not source.is_file():  # deleted, and the index does not know yet
        return
    raw = source.read_bytes()
    try:
        lines = raw.decode().split("\n")
    except UnicodeDecodeError:
        return
    numbers = list(range(1, len(lines) + 1)) if source.suffix in WHOLE else candidates(raw)
    if not numbers:
        return
    copy = folder / source.name
    copy.write_text("".join(f"{lines[number - 1]}\n" for number in numbers), "utf-8")
    for secret in scan.scan_file(str(copy)):
        yield Found(
            path,
            numbers[secret.line_number - 1],
            secret.type.replace(" ", "_"),
            "looks like a secret",
            secret.secret_hash,
        )
    copy.unlink()


def candidates(raw: bytes) -> list[int]:
    """The numbers of the lines of a file that may hold a secret."""
    found = {match.start() for match in _RUN.finditer(raw) if _DIGIT.search(match[0])}
    for pattern in _OTHERS:
        found |= {match.start() for match in pattern.finditer(raw)}
    small = raw.lower()
    for word in WORDS:
        at = small.find(word)
        while at >= 0:
            found.add(at)
            at = small.find(word, at + 1)
    numbers: list[int] = []
    line, behind = 1, 0
    for at in sorted(found):
        line += raw.count(b"\n", behind, at)
        behind = at
        if not numbers or numbers[-1] != line:
            numbers.append(line)
    return numbers
