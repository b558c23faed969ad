"""One target in a process of its own: ``python -m tests.fuzz.child NAME FOLDER SECONDS SEED``."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pathlib
import random
import resource
import signal
import sys
import time
from types import ModuleType
from typing import Any, Final

from tests.fuzz import mutate
from tests.fuzz.kit import Breach, Target, kind_of, run

PATIENCE: Final = 5.0
"""Seconds of processor time for one input, which has some kilobytes."""

MEMORY: Final = 200
"""Megabytes by which one input may make the process grow."""

ROOM: Final = 4 << 30
"""Bytes of address space."""

_KEPT: Final = 3_000


class Hang(BaseException):  # no code of the library may catch it
    """An input has taken too long."""


def _late(*_: Any) -> None:
    raise Hang


class Fuzzer:
    """Tries inputs, counts them, and keeps those that break the rule, the smallest of each kind."""

    def __init__(self, target: Target, folder: pathlib.Path, seconds: float, seed: int) -> None:
        self._target = target
        self._folder = folder
        self._state = folder / "state.json"
        self._current = folder / "current"
        self._told: dict[str, Any] = {"executions": 0, "refused": 0, "kept": 0, "findings": {}, "seconds": 0.0}
        if self._state.exists():
            self._told = json.loads(self._state.read_text())
        self._before = self._told["seconds"]
        self._begin = self._written = time.monotonic()
        self._end = self._begin + seconds
        self._dice = random.Random(seed)
        self.inputs = target.seeds() + [one.read_bytes() for one in sorted(folder.glob("corpus/*"))]
        self._large = _grown()
        signal.signal(signal.SIGVTALRM, _late)

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self._end

    def try_(self, data: bytes) -> None:
        """Try one input."""
        self._current.write_bytes(data)
        self._told["executions"] += 1
        signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
        try:
            self._told["refused"] += run(self._target, data)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            self._found(error, data)
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        grown = _grown()
        if grown - self._large > MEMORY:
            self._found(Breach(f"took more than {MEMORY} MB"), data)
        self._large = max(self._large, grown)
        if time.monotonic() - self._written > 1:
            self.write()

    def make(self, data: bytes | None = None) -> bytes:
        """Another input, of one of those that there are."""
        dice = self._dice
        return mutate.changed(dice.choice(self.inputs) if data is None else data, self.inputs, self._target.words, dice)

    def keep(self, data: bytes) -> None:
        """Make more inputs of this one."""
        if len(self.inputs) < _KEPT:
            self.inputs.append(data)
            self._told["kept"] += 1

    def write(self) -> None:
        """Store what was counted."""
        self._written = time.monotonic()
        self._told["seconds"] = self._before + self._written - self._begin
        self._state.write_text(json.dumps(self._told))

    def _found(self, error: BaseException, data: bytes) -> None:
        kind = kind_of(error)
        known = self._told["findings"].get(kind)
        if known is not None and pathlib.Path(known).stat().st_size <= len(data):
            return
        path = self._folder / f"finding-{hashlib.sha256(kind.encode()).hexdigest()[:10]}"
        path.write_bytes(data)
        self._told["findings"][kind] = str(path)
        self.write()


def _grown() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _at_random(fuzzer: Fuzzer) -> None:
    for data in list(fuzzer.inputs):
        fuzzer.try_(data)
    while not fuzzer.is_over:
        data = fuzzer.make()
        fuzzer.try_(data)
        if fuzzer._dice.random() < 0.002:
            fuzzer.keep(data)


def _guided(fuzzer: Fuzzer, atheris: ModuleType, folder: pathlib.Path, seconds: float, seed: int) -> None:
    corpus = folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for data in fuzzer.inputs:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def another(data: bytes, most: int, _: int) -> bytes:
        if fuzzer._dice.random() < 0.3:
            return bytes(atheris.Mutate(data, most))
        return fuzzer.make(data)[:most]

    options = [
        "fuzz", str(corpus), f"-max_total_time={max(1, int(seconds))}", f"-seed={seed}", f"-max_len={mutate.LONGEST}",
        "-timeout=600", "-rss_limit_mb=0", "-print_final_stats=0", "-verbosity=0", f"-artifact_prefix={folder}/",
    ]  # fmt: skip
    atheris.Setup(options, fuzzer.try_, custom_mutator=another)
    atheris.Fuzz()


def _look() -> ModuleType | None:
    """Let the code of the library tell which ways are taken. Must be done before it is imported."""
    try:
        import atheris
    except ImportError:
        return None
    return atheris  # type: ignore[no-any-return]


def main(name: str, folder: str, seconds: str, seed: str) -> None:
    """Fuzz one target."""
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    atheris = _look()
    with contextlib.ExitStack() as stack:
        if atheris is not None:
            stack.enter_context(atheris.instrument_imports(include=["dynamorm"]))
        from tests.fuzz.targets import load  # it imports the library

        target = load(name)
    fuzzer = Fuzzer(target, pathlib.Path(folder), float(seconds), int(seed))
    fuzzer.write()
    if atheris is None:
        _at_random(fuzzer)
        fuzzer.write()
    else:
        _guided(fuzzer, atheris, pathlib.Path(folder), float(seconds), int(seed))


if __name__ == "__main__":
    main(*sys.argv[1:])
