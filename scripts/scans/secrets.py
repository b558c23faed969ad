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
CANDIDATE = re.compile(
    r"""(?ix)
      (?: api | auth | service | account | db | database | priv | private | client ) _? key
    | (?: db | database | key ) _? pass
    | passwo?r?d | pwd | secret | contrase
    | (?=[A-Z+/=_-]*[0-9]) [A-Z0-9+/=_-]{16,}
    | ["'] [0-9a-f]{8,}
    | :// [^\s/]* : [^\s/]* @
    | -----BEGIN
    | [0-9]{8,10} : [A-Z0-9_-]{30}
    """
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
    try:
        lines = source.read_text("utf-8").splitlines()
    except UnicodeDecodeError:
        return
    numbers = [
        number for number, line in enumerate(lines, 1) if source.suffix in WHOLE or CANDIDATE.search(line) is not None
    ]
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
