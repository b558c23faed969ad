"""The file that tells how far a long command came: JSON lines, each one on the disk before it counts.

The first line says what was asked for: the same command goes on, another one is refused. A last line that is only half there is
left out: its writer was killed. While a command runs it has the file to itself, and the same one beside it is refused.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import msgspec

from ..ends import Code, Stop
from ..formats.manifest import NO_JSON
from ..private import private
from .pace import resumable

if sys.platform != "win32":  # which has no such locks
    import fcntl

_FORMAT: Final = 1
_BEGIN: Final = b'{"dynamorm":'


class Checkpoint:
    """The lines of a command, old and new.

    ``lines`` are those of earlier runs; ``knows``: there is one, of whatever run; ``began``: when the first run did (UTC).
    """

    def __init__(self, path: Path, asked: dict[str, Any]) -> None:
        self.path: Path = path
        self._lock = threading.Lock()
        self._head = {"dynamorm": _FORMAT, **asked}
        self.began: str = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.lines: list[dict[str, Any]] = []
        self.knows: bool = False
        self.found: bool = path.exists()
        self._file: BinaryIO = cast("BinaryIO", open(path, "r+b" if self.found else "x+b", opener=private))  # noqa: SIM115 - Path.open takes no opener
        try:
            _lock(self._file, path)
            whole = self._read() if self.found else 0
        except BaseException:
            self._file.close()
            raise
        self._file.truncate(whole)
        self._file.seek(whole)
        if not whole:
            self.add({**self._head, "began": self.began})
            sync_folder(path.parent)
        self.knows = bool(self.lines)

    def _read(self) -> int:
        """Read what is there. Returns the bytes of the lines that are whole. Raises: Stop where it is another command's."""
        whole, head = 0, None
        for line in self.path.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            try:
                members = msgspec.json.decode(line, type=dict[str, Any])
            except NO_JSON:
                break
            whole += len(line)
            if head is None:
                self.began = members.pop("began", self.began)
                head = members
            else:
                self.lines.append(members)
        if head is None or "dynamorm" not in head:
            _check_own(self.path)
        elif head != self._head:
            other = ", ".join(sorted(name for name in {*head, *self._head} if head.get(name) != self._head.get(name)))
            raise Stop(
                Code.USAGE,
                f"{self.path} is of a command with another {other}: run that one to its end, or give --restart to begin anew",
            )
        return whole

    def add(self, line: dict[str, Any]) -> None:
        """Add a line, which counts when this returns."""
        with self._lock:
            self._file.write(msgspec.json.encode(line) + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        self.knows = True

    def close(self) -> None:
        """Close the file; it stays."""
        with suppress(OSError):  # of a disk that is full: what was not written does not count
            self._file.close()

    def remove(self) -> None:
        """The command is done: nothing has to be known any more."""
        self.close()
        self.path.unlink(missing_ok=True)


def _check_own(path: Path) -> None:
    """Refuse a file that no command has begun as its checkpoint: it is not written over. Raises: Stop."""
    begin = _BEGIN[: path.stat().st_size] if path.exists() else b""
    with path.open("rb") if begin else BytesIO() as file:
        if file.read(len(begin)) != begin:
            raise Stop(Code.USAGE, f"{path} is there already, and is no checkpoint: give another --checkpoint")


def _lock(file: BinaryIO, path: Path) -> None:
    """Have a checkpoint for this process alone. Raises: Stop where another one has it, or has just ended with it."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Stop(Code.USAGE, f"{path} is in use: the same command runs already, wait for its end") from None
    if not path.exists() or not os.path.samestat(path.stat(), os.fstat(file.fileno())):
        raise Stop(Code.USAGE, f"{path} was in use until now: give the command again")


def discard(path: Path) -> None:
    """Remove the checkpoint of a command that is to begin anew. Raises: Stop for what is none, and while one runs."""
    if not path.exists():
        return
    _check_own(path)
    with path.open("r+b") as file:
        _lock(file, path)
        path.unlink()


@contextmanager
def going_on(path: Path, asked: dict[str, Any], *, restart: bool) -> Generator[Checkpoint, None, None]:
    """The checkpoint of a command, which goes on where it stopped before, unless it is to ``restart``.

    At the end it is removed; where the command stops half-way, it stays, unless nothing was done.
    """
    if restart:
        discard(path)
    checkpoint = Checkpoint(path, asked)
    try:
        with resumable("the same command goes on"):
            yield checkpoint
    except BaseException:
        if checkpoint.knows:
            checkpoint.close()
        else:
            checkpoint.remove()
        raise
    checkpoint.remove()


def sync_folder(folder: Path) -> None:
    """Let the names in a folder last."""
    if os.name != "posix":
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def put_in_place(made: Path, path: Path) -> None:
    """Give what was made, and is on the disk, its name."""
    made.replace(path)
    sync_folder(path.parent)
