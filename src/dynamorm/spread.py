"""Work on tables that is spread over threads, processes, or a cluster: each part is a task that can be pickled, and run again.

Any executor serves that has ``submit(function, *arguments)``, whose futures have ``result()`` and ``cancel()``: those of
`concurrent.futures`, and a Dask ``Client``. A part whose worker is lost is submitted again; one result of a part is taken,
so that nothing is lost, and nothing comes twice. `scan` reads the objects of a model so; `run` is what it, and the commands for
whole tables (`dynamorm.adapters.whole_tables`), are made of.

Example::

    from concurrent.futures import ProcessPoolExecutor

    from dynamorm import spread

    with ProcessPoolExecutor(8) as executor:
        payments = spread.scan(Payment, segments=64, on=executor)
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from dynamorm.config.settings import Config, Credentials
from dynamorm.models.schema.schema import schema_of

from .arguments import check_count
from .errors import ConfigError, InvalidUse
from .faces.blocking.db import DB

__all__ = ["Executor", "Future", "run", "scan"]

T = TypeVar("T")
TRIES: Final = 3
"""How often a part is submitted again."""
_LOST: Final = frozenset({"KilledWorker", "CancelledError", "FutureCancelledError", "FuturesCancelledError"})
"""What Dask raises for a task whose worker is gone, by name: it need not be installed."""


class Future(Protocol):
    """What `Executor.submit` gives."""

    def result(self) -> Any:
        """Wait for the result. Raises: what the task has raised."""
        ...

    def cancel(self) -> Any:
        """Let the task not begin, if it has not."""
        ...


class Executor(Protocol):
    """Where segments run."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Run a function somewhere. Returns a `Future`."""
        ...


class _Task:
    """What a worker does for one segment. It opens a database of its own, with the settings it was given."""

    def __init__(
        self, model: type[Any], segments: int, config: Config | None, consume: Callable[[list[Any]], Any] | None
    ) -> None:
        self.model = model
        self.segments = segments
        self.config = config
        self.consume = consume

    def __call__(self, number: int, _: str) -> tuple[list[Any], None]:
        """The pages of a segment, or what ``consume`` has made of each. The second argument tells tries apart."""
        pages: list[Any] = []
        with DB(received(self.config)) as db:
            for page in db.model(self.model).allow_scan().segments(self.segments, only=number).pages():
                items = list(page.items)
                pages.append(items if self.consume is None else self.consume(items))
        return pages, None


def scan(
    model: type[T],
    /,
    *,
    segments: int = 8,
    on: Any,
    config: Config | None = None,
    consume: Callable[[list[T]], Any] | None = None,
) -> list[Any]:
    """All objects of a model, read in segments by an executor; or what ``consume`` has returned for each page of them.

    ``config`` is sent to the workers without credentials and secrets, which they find for themselves; None is
    ``Config.from_env()`` of each worker. ``consume(objects)`` is called by the worker, at least once for each page: what it does
    must be conditional, or do no harm twice.

    A segment that fails with ConnectionError, BrokenExecutor, or what Dask raises for a lost worker, is submitted again, three
    times; any other error ends the scan, and cancels the rest. A process pool that is broken is replaced by one like it.

    Raises: ConfigError for settings of an engine inside this process, which other processes do not reach.

    Example: ``spread.scan(Payment, segments=64, on=client, consume=count_by_day)``
    """
    schema_of(model)
    check_count("segments", segments, 1, 1_000_000)
    if not callable(getattr(on, "submit", None)):
        raise InvalidUse(f"on is an executor, with a method submit, not {type(on).__name__}: on=ProcessPoolExecutor(8)")
    if consume is not None and not callable(consume):
        raise InvalidUse(f"consume is a function of a list of objects, not {type(consume).__name__}")
    pages: list[Any] = []
    work = _Task(model, segments, portable(config, on), consume)
    run(work, range(segments), on=on, took=lambda _, found: pages.extend(found))
    return pages if consume is not None else [obj for page in pages for obj in page]


def portable(config: Config | None, on: Any) -> Config | None:
    """The settings as they are sent: without what only their owner knows. Raises: ConfigError."""
    if config is None:
        return None
    if not isinstance(config, Config):
        raise ConfigError(f"config is a Config, not {type(config).__name__}: config=db.config")
    if isinstance(on, ThreadPoolExecutor):
        return config
    if config.engine is not None or config.embedded:
        raise ConfigError(
            "an engine inside this process is not reached by others: use a ThreadPoolExecutor, or engine.serve(), and"
            " Presets.local_development(endpoint=server.endpoint)"
        )
    return config.replace(credentials=None, cursor_key=None, idempotency_key=None)


def received(config: Config | None) -> Config:
    """The settings that a worker uses: those that it was sent, with credentials of its own."""
    config = Config.from_env() if config is None else config
    if config.preset == "local_development" and config.credentials is None and config.profile is None:
        return config.replace(credentials=Credentials("local", "local"))  # which are nobody's
    return config


def run(
    work: Callable[[Any, str], tuple[Any, Any]],
    parts: Iterable[Any],
    /,
    *,
    on: Any,
    took: Callable[[Any, Any], object],
    most: int | None = None,
    stop: Callable[[], object] | None = None,
) -> None:
    """Let an executor do the work of each part, ``most`` of them (by default all) under way at a time.

    ``work(part, name)`` is called by a worker, and gives a result, and what is left of the part: that is done next, as a part of
    its own; None ends it. Both are pickled where the executor does so, and ``name`` is another one for each try. Results are given
    to ``took(part, result)``, here, in the order in which the parts began; a part whose worker was lost is submitted again, three
    times, so its work may be done twice, and ``took`` is told once. ``None`` among the parts waits for all that are under way.

    Where something fails, or Ctrl-C is pressed, the rest is cancelled; with ``stop``, which lets the work end early, the results of
    what cannot be cancelled are still taken. Raises: the first error that is no lost worker.

    Example: ``run(count_items, range(64), on=client, took=lambda segment, count: counts.append(count))``
    """
    _Run(work, on, took, stop).all(parts, most)


class _Part:
    """One part that is under way: its future, and how often it was submitted again."""

    __slots__ = ("future", "part", "tries")

    def __init__(self, part: Any) -> None:
        self.part = part
        self.tries: int = 0
        self.future: Any = None


class _Run:
    """One run: the parts that are under way, in the order in which they began."""

    def __init__(
        self,
        work: Callable[[Any, str], tuple[Any, Any]],
        on: Any,
        took: Callable[[Any, Any], object],
        stop: Callable[[], object] | None,
    ) -> None:
        self._work = work
        self._on = on
        self._took = took
        self._stop = stop
        self._own: ProcessPoolExecutor | None = None
        self._id = uuid.uuid4().hex
        self._count = 0
        self._under_way: deque[_Part] = deque()

    def all(self, parts: Iterable[Any], most: int | None) -> None:
        """Do all parts. Raises: what ends the run."""
        try:
            for part in parts:
                while self._under_way and (part is None or len(self._under_way) == most):
                    self._take()
                if part is not None:
                    self._submit(_Part(part))
            while self._under_way:
                self._take()
        except BaseException:
            self._end()
            raise
        finally:
            if self._own is not None:
                self._own.shutdown(wait=False, cancel_futures=True)

    def _take(self) -> None:
        """Wait for the part that began first, and take its result."""
        one = self._under_way[0]
        result, rest = self._found(one)
        self._under_way.popleft()
        self._took(one.part, result)
        if rest is not None:
            self._submit(_Part(rest))

    def _found(self, one: _Part) -> tuple[Any, Any]:
        while True:
            try:
                found: tuple[Any, Any] = one.future.result()
            except BaseException as error:
                if not _is_lost(error) or one.tries >= TRIES:
                    raise
                one.tries += 1
                self._send(one)
            else:
                return found

    def _submit(self, one: _Part) -> None:
        self._send(one)
        self._under_way.append(one)

    def _send(self, one: _Part) -> None:
        self._count += 1
        name = f"{self._id}-{self._count}"  # a cluster may take two equal calls for one
        try:
            one.future = self._on.submit(self._work, one.part, name)
        except BrokenExecutor:
            self._replace()
            one.future = self._on.submit(self._work, one.part, name)

    def _replace(self) -> None:
        """Put a process pool in the place of one that is broken. Raises: BrokenExecutor where it is none."""
        broken = self._on
        if not isinstance(broken, ProcessPoolExecutor):
            raise  # noqa: PLE0704 - the error that is handled
        settings = vars(broken)
        self._on = self._own = ProcessPoolExecutor(
            settings.get("_max_workers"),
            mp_context=settings.get("_mp_context"),
            initializer=settings.get("_initializer"),
            initargs=settings.get("_initargs", ()),
        )

    def _end(self) -> None:
        """Cancel what has not begun; what has begun ends early, and counts, where it can be told to."""
        if self._stop is not None:
            self._stop()
        left = list(self._under_way)
        for one in left:
            with suppress(Exception):
                if one.future.cancel():
                    one.future = None
        for one in left if self._stop is not None else ():
            if one.future is not None:
                self._take_last(one)

    def _take_last(self, one: _Part) -> None:
        try:
            result, _ = one.future.result()
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001 - the run has failed already, and says why
            return
        self._took(one.part, result)


def _is_lost(error: BaseException) -> bool:
    """Whether a task failed because its worker, or the way to it, is gone."""
    return isinstance(error, (ConnectionError, BrokenExecutor)) or any(
        kind.__name__ in _LOST for kind in type(error).__mro__
    )
