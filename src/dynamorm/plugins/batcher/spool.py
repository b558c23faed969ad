"""A spool: files in which the items of a batcher are kept until they have ended, so that they survive a crash.

A spool is a directory with a lock and with segments. A segment is text: a head, then one record a line, each behind its
CRC-32. ``A`` adds an item, ``S`` says that sending items has begun, ``E`` that they have ended. Who adds waits until his
record is on the disk; the others are not waited for, since a process that is killed leaves them to the operating system, and
what is sent again is recognized by its token. What a disk has no room for is taken back: the record of who adds is cut off
again and refused, and the others are written later.
"""

from __future__ import annotations

import os
import threading
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from dynamorm.errors import ConfigError, IntegrityError, Unavailable
from dynamorm.errors.log import logger

from .sealing import check_own, locked, sealing, secret_of, sync_directory

_HEAD: Final = b"dynamorm-spool 1 "
_SEGMENT: Final = 16 * 1024 * 1024
"""Bytes after which a segment is followed by another; one whose items have all ended is removed."""


class _Segment:
    """One file, how many of its items have not ended, and whether it held any record when it was opened."""

    __slots__ = ("is_bare", "open", "path")

    def __init__(self, path: Path) -> None:
        self.path: Path = path
        self.is_bare: bool = True
        self.open: int = 0


class Spool:
    """Opens a directory, and reads what a process has left there.

    ``left`` are its items by number, ``begun`` those that it had begun to send. ``secret`` are bytes that stay the same for as
    long as the directory is there.

    Safe to use from threads. Raises: ConfigError for a directory that another process has, or that cannot be used;
    IntegrityError, naming the file, for one that is damaged before its end.
    """

    def __init__(self, directory: Path, key: bytes | None) -> None:
        self._directory = directory = directory.absolute()  # a process may go to another one
        self._seal = sealing(key)
        self._lock = threading.Lock()
        self._writing = threading.Lock()  # what is written is in the order of the lines
        self._syncing = threading.Lock()  # taken before the others, and held for as long as the disk takes
        self._buffer: list[tuple[int, bytes]] = []  # the number of what it adds, or 0, and the line
        self._tail: list[tuple[int, bytes]] = []  # what was written since the disk has all
        self._fd = -1
        self._size = 0
        self._safe = 0  # bytes of the file that the disk has
        self._segments: list[_Segment] = []
        self._homes: dict[int, _Segment] = {}
        self._broken: OSError | None = None
        self._asked = 0
        self.synced: int = 0
        self.left: dict[int, bytes] = {}
        self.begun: set[int] = set()
        self._last = 0
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock_fd = locked(directory / "lock")
        except OSError as error:
            raise ConfigError(f"the spool {directory} cannot be used: {error.strerror}") from error
        try:
            self.secret: bytes = secret_of(directory)
            self._read()
            self._next_segment()
        except OSError as error:
            self.close()
            raise ConfigError(f"the spool {directory} cannot be read: {error.strerror}") from error
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        """How many items have not ended."""
        return len(self._homes)

    # -------------------------------------------------------------------------------------------------------- writing

    def add(self, record: bytes) -> int:
        """Write an item down, and give its number; it is safe after `sync`. Raises: Unavailable."""
        with self._lock:
            self._check()
            seq = self._last = self._last + 1
            segment = self._segments[-1]
            segment.open += 1
            self._homes[seq] = segment
            sealed = record if self._seal is None else self._seal.encrypt(record, b"%d" % seq)
            self._buffer.append((seq, _line(b"A", b"%d" % seq, b2a_base64(sealed, newline=False))))
            self._asked = seq
            return seq

    def sync(self, seq: int) -> None:
        """Wait until an item is on the disk. Who comes while another one syncs goes with the next turn.

        Raises: Unavailable when it cannot be written; then it was not added. Another one may be.
        """
        while self.synced < seq:
            with self._syncing:
                if self.synced >= seq:
                    return
                with self._lock:
                    self._check()
                    upto = self._asked
                try:
                    self._write()
                    with self._writing:
                        lines, size = len(self._tail), self._size
                    _data_sync(self._fd)
                except OSError as error:
                    self._take_back(seq)
                    raise self._failed(error) from error
                with self._writing:
                    del self._tail[:lines]
                    self._safe = size
                self.synced = upto
                if size > _SEGMENT:
                    self._try_next_segment()

    def _take_back(self, seq: int) -> None:
        """Let an item be as if it had not been added; the rest is written later."""
        with self._writing, self._lock:
            if not self._back_to_safe():
                return
            self._buffer = [one for one in self._buffer if one[0] != seq]
            segment = self._homes.pop(seq, None)
            if segment is not None:
                segment.open -= 1
        with suppress(OSError):
            self._write()

    def _back_to_safe(self) -> bool:
        """Let the file be as the disk surely has it: what a sync has failed for is not synced by the next one either.

        What was behind that is to be written again. False where the file cannot be cut off.
        """
        try:
            os.ftruncate(self._fd, self._safe)
        except OSError as error:
            self._broken = error
            return False
        self._size = self._safe
        self._buffer = [*self._tail, *self._buffer]
        self._tail = []
        return True

    def begin(self, seqs: Iterable[int]) -> None:
        """Sending these items begins: written at once, and not waited for."""
        self._note(b"S", list(seqs))

    def end(self, seqs: Iterable[int]) -> None:
        """These items have ended: they are not sent again."""
        ended = list(seqs)
        self._note(b"E", ended)
        with self._lock:
            if self._fd < 0:
                return  # the directory may be another process's by now
            for seq in ended:
                segment = self._homes.pop(seq, None)
                if segment is not None:
                    segment.open -= 1
                self.left.pop(seq, None)
            while len(self._segments) > 1 and not self._segments[0].open:
                self._segments.pop(0).path.unlink(missing_ok=True)

    def home(self, seq: int) -> Path:
        """The file that an item which has not ended is in."""
        return self._homes[seq].path

    def _note(self, kind: bytes, seqs: list[int]) -> None:
        if not seqs or self._broken is not None or self._fd < 0:
            return
        with self._lock:
            self._buffer.append((0, _line(kind, b",".join(b"%d" % seq for seq in seqs), b"")))
        with suppress(OSError):  # it is written with what comes next
            self._write()

    def _write(self) -> None:
        """Hand the lines to the operating system: all, or none."""
        with self._writing:
            with self._lock:
                lines, self._buffer = self._buffer, []
            data = memoryview(b"".join([line for _, line in lines]))
            size = len(data)
            try:
                while data:
                    data = data[os.write(self._fd, data) :]
            except OSError:
                with self._lock:
                    self._buffer = [*lines, *self._buffer]
                    try:
                        os.ftruncate(self._fd, self._size)
                    except OSError as error:  # a part of a line may stand there, and nothing must follow it
                        self._broken = error
                raise
            self._size += size
            self._tail += lines

    def _try_next_segment(self) -> None:
        """Begin another file, or go on with this one for now."""
        try:
            self._next_segment()
        except OSError as error:
            logger.warning("the spool %s goes on in a file that is full: %s", self._directory, error.strerror)

    def _next_segment(self) -> None:
        """Begin another file. To be called by who syncs, when what was written is on the disk.

        Nobody writes meanwhile: nothing may come into the old file behind its last sync, and the new one must not be there
        before that, for a file that another one follows has a whole end.
        """
        with self._writing:
            self._sync_tail()
            path = self._directory / f"{self._next_name()}.spool"
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o600)
            head = _HEAD + self._manner + b"\n"
            try:
                rest = head
                while rest:
                    rest = rest[os.write(fd, rest) :]
                os.fsync(fd)
                sync_directory(self._directory)
            except OSError:
                os.close(fd)
                path.unlink(missing_ok=True)
                raise
            with self._lock:
                old, self._fd, self._size, self._safe = self._fd, fd, len(head), len(head)
                self._segments.append(_Segment(path))
        if old >= 0:
            os.close(old)

    def _sync_tail(self) -> None:
        """Bring to the disk what others have written since the last sync, such as which items have ended."""
        if not self._tail:
            return
        try:
            _data_sync(self._fd)
        except OSError:
            with self._lock:
                self._back_to_safe()
            raise
        self.synced = max(self.synced, *(seq for seq, _ in self._tail))  # who waits for one of them need not sync
        self._safe, self._tail = self._size, []

    def _next_name(self) -> str:
        name = f"{self._last + 1:016d}"
        before, _, turn = (self._segments[-1].path.stem if self._segments else "").partition("_")
        if before == name:  # it holds only what became of earlier items; in their order by name this one is behind it
            return f"{name}_{int(turn or 0) + 1:06d}"
        return name

    @property
    def _manner(self) -> bytes:
        return b"plain" if self._seal is None else b"sealed"

    def _check(self) -> None:
        if self._broken is not None:
            raise self._failed(self._broken) from self._broken

    def _failed(self, error: OSError) -> Unavailable:
        remedy = "make room" if self._broken is None else "make room, and open another batcher"
        return Unavailable(
            f"the spool {self._directory} cannot be written ({error.strerror}): the item was not added; {remedy}"
        )

    def close(self) -> None:
        """Write what is left, and give the directory back; one in which nothing is left is emptied."""
        with self._syncing:
            if self._fd >= 0:
                try:
                    self._write()
                    os.fsync(self._fd)
                    if not self._homes and self._broken is None:
                        for segment in self._segments:
                            segment.path.unlink(missing_ok=True)
                except OSError as error:
                    self._broken = error
                    logger.exception("what the spool %s was told last is not on the disk", self._directory)
                os.close(self._fd)
                self._fd = -1
            self._unlock()

    def _unlock(self) -> None:
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def abandon(self) -> None:
        """Close what this process has open, and write nothing: in a child, whose parent goes on with the spool."""
        self._unlock()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    # -------------------------------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        paths = sorted(self._directory.glob("*.spool"))
        for path in paths:
            self._read_segment(path, is_last=path is paths[-1])
        while self._segments and not self._segments[0].open:  # a later one tells which items of those before have ended
            self._segments.pop(0).path.unlink()
        for segment in [one for one in self._segments if one.is_bare]:
            segment.path.unlink()
            self._segments.remove(segment)
        self.synced = self._asked = self._last

    def _read_segment(self, path: Path, *, is_last: bool) -> None:
        check_own(path)
        data = path.read_bytes()
        lines = data.split(b"\n")
        torn = lines.pop()  # nothing, behind a line that is whole
        segment = _Segment(path)
        self._segments.append(segment)
        good = 0
        for place, line in enumerate(lines):
            is_end = place == len(lines) - 1 and not torn
            try:
                if place == 0:
                    self._check_head(path, line)
                else:
                    self._take(path, segment, line)
                    segment.is_bare = False
            except ValueError as error:
                if is_last and is_end:
                    torn = line
                    break
                raise IntegrityError(
                    f"the spool file {path} is damaged in line {place + 1}, before its end: restore it, or move it"
                    " away and look after its items yourself"
                ) from error
            good += len(line) + 1
        if torn:
            if not is_last:
                raise IntegrityError(f"the spool file {path} ends within a record, and another file follows")
            os.truncate(path, good)

    def _check_head(self, path: Path, line: bytes) -> None:
        manner = line.removeprefix(_HEAD)
        if not line.startswith(_HEAD) or manner not in (b"plain", b"sealed"):
            raise ValueError("no head")
        if manner != self._manner:
            how = (
                "is encrypted: give spool_key" if manner == b"sealed" else "is not encrypted: leave spool_key out once"
            )
            raise ConfigError(f"the spool file {path} {how}")

    def _take(self, path: Path, segment: _Segment, line: bytes) -> None:
        """Read one record. Raises: ValueError for one that is damaged."""
        crc, _, rest = line.partition(b" ")
        if len(crc) != 8 or int(crc, 16) != crc32(rest):
            raise ValueError("the checksum is wrong")
        kind, names, data = rest.split(b" ")
        seqs = [int(name) for name in names.split(b",")]
        if kind == b"A":
            (seq,) = seqs
            self.left[seq] = self._opened(path, a2b_base64(data), b"%d" % seq)
            self._homes[seq] = segment
            segment.open += 1
            self._last = max(self._last, seq)
        elif kind == b"S":
            self.begun.update(seqs)
        elif kind == b"E":
            for seq in seqs:
                if self.left.pop(seq, None) is not None:
                    self._homes.pop(seq).open -= 1
        else:
            raise ValueError("of no kind")

    def _opened(self, path: Path, sealed: bytes, place: bytes) -> bytes:
        if self._seal is None:
            return sealed
        try:
            return self._seal.decrypt(sealed, place)
        except self._seal.Wrong as error:
            raise IntegrityError(f"the spool file {path} was written with another spool_key, or was changed") from error


def _data_sync(fd: int) -> None:
    os.fdatasync(fd) if hasattr(os, "fdatasync") else os.fsync(fd)


def _line(kind: bytes, seqs: bytes, data: bytes) -> bytes:
    rest = b"%b %b %b" % (kind, seqs, data)
    return b"%08x %b\n" % (crc32(rest), rest)
