"""Sampled stacks, sorted into layers: where a piece of work spends its time, in percent, by layer and by function.

A stack comes as py-spy writes it with ``--native --format raw``: frames from the outermost inwards with ``;`` between them,
then how often it was seen. Time spent in the interpreter itself, or in a function of C that has no layer of its own,
belongs to the innermost function of Python that called it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import takewhile
from typing import NamedTuple

LAYERS = (
    "faces and models", "ops", "codec", "wire", "io", "msgspec", "hashing", "system calls", "garbage collection", "asyncio",
    "threads", "other",
)  # fmt: skip
"""In the order of the table. The first five are ours; system calls are sockets, random bytes and locks."""
MEASURING = "the measuring loop"

_FRAME = re.compile(r"^(?P<name>.*) \((?P<file>[^()]*?)(?::\d+)?\)$")
_WAITING = re.compile(
    r"^_*(poll|ppoll|epoll_wait|select|nanosleep|clock_nanosleep|accept4?|PyThread_acquire_lock_timed|pthread_mutex_lock"
    r"|pthread_cond_(timed)?wait|sem_(timed|clock)?wait|take_gil|futex)$"
)
"""Functions of C that wait for a reply, a lock or the interpreter. What they do themselves is too little to show."""
_CALLS = {
    "send", "sendto", "sendmsg", "recv", "recvfrom", "read", "write", "getrandom", "epoll_ctl", "close", "connect", "socket",
    "setsockopt", "shutdown", "eventfd_write", "mmap", "munmap", "madvise", "brk", "sched_yield", "clone", "clone3",
}  # fmt: skip
_C = (
    (re.compile(r"msgspec"), "msgspec"),
    (re.compile(r"libcrypto|_hashopenssl|_hmacopenssl|sha\d*module|_sha\d|libssl|_blake2"), "hashing"),
    (re.compile(r"_asynciomodule|_asyncio\."), "asyncio"),
    (re.compile(r"_queuemodule|_queue\."), "threads"),
)
_WAKING = re.compile(r"^_*pthread_cond_(signal|broadcast)$")
"""Wakes a thread that waits for the interpreter, or for a lock."""
_PYTHON = (
    (re.compile(r"^<dynamorm codec"), "codec"),
    (re.compile(r"^<dynamorm"), "faces and models"),
    (re.compile(r"(^|/)dynamorm/(ops|codec|wire|io)/"), ""),
    (re.compile(r"(^|/)dynamorm/"), "faces and models"),
    (re.compile(r"(^|/)benchmarks/"), MEASURING),
    (re.compile(r"(^|/)(asyncio/|selectors\.py)"), "asyncio"),
    (re.compile(r"(^|/)(threading\.py|concurrent/|queue\.py)"), "threads"),
)
_SERIAL = re.compile(r"<dynamorm (\w+) (\S+) [0-9a-f]+>")


class Frame(NamedTuple):
    """One function: its name, and the file or library it is in."""

    name: str
    file: str

    @property
    def python(self) -> bool:
        """Whether it is written in Python, or generated."""
        return self.file.endswith((".py", ">"))

    @property
    def title(self) -> str:
        """As it is shown: without the numbers that differ from run to run."""
        where = _SERIAL.sub(r"generated \1 of \2", self.file)
        return f"{self.name} ({where})"


class Shares(NamedTuple):
    """Where time was spent: samples by layer, by function with its layer, and those that only waited."""

    layers: Counter[str]
    functions: Counter[tuple[str, str]]
    waiting: int

    @property
    def total(self) -> int:
        """Samples of work."""
        return self.layers.total()


def frame(text: str) -> Frame:
    """A frame as py-spy writes it.

    Example: ``frame("DB.get (faces/blocking/db.py:90)") == Frame("DB.get", "faces/blocking/db.py")``
    """
    found = _FRAME.match(text)
    return Frame(found["name"], found["file"]) if found else Frame(text, "")


def layer(found: Frame) -> str | None:
    """The layer that a frame belongs to; None for what belongs to its caller."""
    if found.python:
        for pattern, name in _PYTHON:
            hit = pattern.search(found.file)
            if hit:
                return name or hit[2]
        return "other"
    for pattern, name in _C:
        if pattern.search(found.file):
            return name
    if _WAKING.match(found.name):
        return "threads"
    if found.name.startswith("gc_collect"):
        return "garbage collection"
    return "system calls" if found.name.lstrip("_").removeprefix("libc_") in _CALLS else None


def sort(lines: Iterable[str]) -> Shares:
    """Count the samples of a file of stacks."""
    shares = Shares(Counter(), Counter(), 0)
    waiting = 0
    for line in lines:
        stack, _, seen = line.rstrip("\n").rpartition(" ")
        frames = [frame(text) for text in stack.split(";")]
        in_c = takewhile(lambda one: not one.python, reversed(frames))
        if any(_WAITING.match(one.name) for one in in_c):
            waiting += int(seen)
            continue
        where, what = _owner(frames)
        shares.layers[where] += int(seen)
        shares.functions[what, where] += int(seen)
    return shares._replace(waiting=waiting)


def _owner(frames: list[Frame]) -> tuple[str, str]:
    """The layer whose own time a sample is, and the function."""
    for at in reversed(range(len(frames))):
        where = layer(frames[at])
        if where == "system calls":
            caller = next((one.title for one in reversed(frames[:at]) if one.python), "")
            return where, f"{frames[at].name.lstrip('_')}, called by {caller}"
        if where is not None:
            return where, frames[at].title if frames[at].python else f"{where}, called by {_caller(frames[:at])}"
    return "other", frames[-1].title


def _caller(frames: list[Frame]) -> str:
    return next((one.title for one in reversed(frames) if one.python), "nobody known")
