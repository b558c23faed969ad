"""Scans that are spread over threads, processes, or a cluster: each segment is a task that can be pickled, and run again.

Any executor serves that has ``submit(function, *arguments)``, whose futures have ``result()`` and ``cancel()``: those of
`concurrent.futures`, and a Dask ``Client``. A segment whose worker is lost is submitted again; the first result of a segment
wins, so that nothing is lost, and nothing comes twice.

Example::

    from concurrent.futures import ProcessPoolExecutor

    from dynamorm import spread

    with ProcessPoolExecutor(8) as executor:
        payments = spread.scan(Payment, segments=64, on=executor)
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, Protocol, TypeVar

from dynamorm.config.settings import Config, Credentials
from dynamorm.models.schema.schema import schema_of

from .arguments import check_count
from .errors import ConfigError, InvalidUse
from .faces.blocking.db import DB

__all__ = ["Executor", "Future", "scan"]

T = TypeVar("T")
TRIES: Final = 3
"""How often a segment is submitted again."""
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

    def __call__(self, number: int, _: str) -> tuple[int, list[Any]]:
        """The number of the segment, and its pages, or what ``consume`` has made of each. The second argument tells tries apart."""
        config = Config.from_env() if self.config is None else self.config
        if config.preset == "local_development" and config.credentials is None and config.profile is None:
            config = config.replace(credentials=Credentials("local", "local"))  # which are nobody's
        pages: list[Any] = []
        with DB(config) as db:
            for page in db.model(self.model).allow_scan().segments(self.segments, only=number).pages():
                items = list(page.items)
                pages.append(items if self.consume is None else self.consume(items))
        return number, pages


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
    run = _Run(_Task(model, segments, _portable(config, on), consume), on)
    pages = [page for number in range(segments) for page in run.result_of(number)] if run.begin() else []
    return pages if consume is not None else [obj for page in pages for obj in page]


def _portable(config: Config | None, on: Any) -> Config | None:
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


class _Run:
    """One scan: the future of each segment, and how often it was submitted."""

    def __init__(self, task: _Task, on: Any) -> None:
        self._task = task
        self._on = on
        self._own: ProcessPoolExecutor | None = None
        self._id = uuid.uuid4().hex
        self._futures: dict[int, Any] = {}
        self._tries: dict[int, int] = {}
        self._found: dict[int, list[Any]] = {}

    def begin(self) -> bool:
        """Submit every segment, and wait for all. Raises: what ends the scan; the rest is cancelled then."""
        try:
            for number in range(self._task.segments):
                self._submit(number)
            for number in range(self._task.segments):
                self._wait(number)
        except BaseException:
            for future in self._futures.values():
                with suppress(Exception):
                    future.cancel()
            raise
        finally:
            if self._own is not None:
                self._own.shutdown(wait=False, cancel_futures=True)
        return True

    def result_of(self, number: int) -> list[Any]:
        """The pages of a segment."""
        return self._found[number]

    def _submit(self, number: int) -> None:
        attempt = self._tries[number] = self._tries.get(number, -1) + 1
        name = f"{self._id}-{attempt}"  # a cluster may take two equal calls for one
        try:
            self._futures[number] = self._on.submit(self._task, number, name)
        except BrokenExecutor:
            self._replace()
            self._futures[number] = self._on.submit(self._task, number, name)

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

    def _wait(self, number: int) -> None:
        while number not in self._found:
            try:
                told, pages = self._futures[number].result()
            except BaseException as error:
                if not _is_lost(error) or self._tries[number] >= TRIES:
                    raise
                self._submit(number)
            else:
                self._found.setdefault(told, pages)


def _is_lost(error: BaseException) -> bool:
    """Whether a task failed because its worker, or the way to it, is gone."""
    return isinstance(error, (ConnectionError, BrokenExecutor)) or any(
        kind.__name__ in _LOST for kind in type(error).__mro__
    )
