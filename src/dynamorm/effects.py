"""What a flow may ask its driver for, and what the driver answers.

A flow is a generator: it yields effects and is sent their results, so that every operation is written once and
driven twice (blocking and asyncio). This module holds plain data, and what stands between a flow and its driver; it must not know sockets, time or DynamoDB.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from .arguments import check_count, check_seconds, type_given
from .errors import InvalidUse

if TYPE_CHECKING:
    from .wire.limiter import Limiter

MAX_BODY: Final = 17 * 1024 * 1024
"""Bytes of an answer's body that are accepted when the request does not say how large its answer can be."""

_LONGEST: Final = 1e9
"""Seconds that a flow may wait for a place, 31 years: the clocks of all platforms can still add them to the present."""

T = TypeVar("T")

Flow: TypeAlias = Generator[Any, Any, T]
"""A generator that yields effects, is sent their results and returns a ``T``."""


def relayed(flow: Flow[T], answer: Callable[[Any], Flow[Any]]) -> Flow[T]:
    """The flow, each of whose effects is answered by ``answer(effect)``: a flow that may yield it, or another one, or raise.

    Example::

        def timed(effect):
            begun = monotonic()
            try:
                return (yield effect)
            finally:
                times.append(monotonic() - begun)


        return (yield from relayed(call(op), timed))
    """
    go_on: Callable[[Any], Any] = flow.send
    got: Any = None
    while True:
        try:
            effect = go_on(got)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # StopIteration is not generic; it is the flow's T
        try:
            go_on, got = flow.send, (yield from answer(effect))
        except GeneratorExit:
            flow.close()
            raise
        except BaseException as error:  # noqa: BLE001 - the flow decides
            go_on, got = flow.throw, error


class Send(Struct, eq=False):
    """One HTTP exchange. Answered with a `Reply`; a failure is thrown in as a `TransportError`.

    ``data`` is the whole request (head and body); ``timeout`` the wall-clock seconds this attempt may take,
    from asking the pool for a connection to the last byte of the answer; ``largest`` the bytes that the body of the
    answer may have.
    """

    data: bytes
    timeout: float
    largest: int = MAX_BODY


class _Effect:
    """What is yielded, and neither run by ``yield from`` nor entered by ``with``."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __iter__(self) -> NoReturn:
            raise InvalidUse(
                f"{type(self).__name__} is one effect and no flow: `yield {type(self).__name__}(...)`, without from"
            )


class Sleep(_Effect):
    """Wait ``seconds``. Answered with None."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds: float = seconds


class Call(_Effect):
    """Run a function that may block: a credential look-up, a user's hook.

    The blocking driver calls ``sync``. The asyncio driver awaits ``async_()`` when given, else runs ``sync`` in a
    worker thread. Answered with the result; its exception is thrown in. With a ``timeout`` in seconds ``TimeoutError`` is
    thrown in when it has not ended by then: ``async_()`` is cancelled; ``sync`` runs in a worker thread on both faces, which goes
    on to its end.
    """

    __slots__ = ("async_", "sync", "timeout")

    def __init__(
        self,
        sync: Callable[[], Any],
        async_: Callable[[], Coroutine[Any, Any, Any]] | None = None,
        timeout: float | None = None,
    ) -> None:
        functions: tuple[Any, Any] = sync, sync if async_ is None else async_
        for function in functions:
            if not callable(function):
                raise _not_called(function)
        self.sync: Callable[[], Any] = sync
        self.async_: Callable[[], Coroutine[Any, Any, Any]] | None = async_
        self.timeout: float | None = timeout


class Gather(_Effect):
    """Run several flows, at most ``limit`` at once. Answered with their results in order.

    The first failure is thrown in after every started flow has ended: nothing is abandoned half way.
    """

    __slots__ = ("flows", "limit")

    def __init__(self, flows: Sequence[Flow[Any]], limit: int) -> None:
        self.flows: Sequence[Flow[Any]] = flows
        self.limit: int = limit


class Acquire(_Effect):
    """Wait for a place of a limiter, in the order in which the flows came. Answered with a `dynamorm.wire.limiter.Permit`.

    ``timeout`` in seconds (0: a place that is free, or none) and the caller's `dynamorm.deadline` bound the waiting; without
    both it has no end. Then `PoolTimeout`, or `DeadlineExceeded`, is thrown in; nothing was sent. A flow that is closed or
    cancelled while it waits leaves the queue. ``queue`` bounds how many wait: behind so many, `Backpressure` is thrown in at
    once.

    Raises: ValidationError for a timeout that is no time, and for a queue that is no number from 0 on.

    Example::

        with (yield Acquire(limiter, timeout=0.5)):
            return (yield from call(op))
    """

    __slots__ = ("limiter", "queue", "timeout")

    def __init__(self, limiter: Limiter, timeout: float | timedelta | None = None, *, queue: int | None = None) -> None:
        source: Any = limiter  # to who checks types it is right already
        if isinstance(source, type) or not hasattr(source, "permit"):
            raise InvalidUse(
                f"Acquire waits for a place of a Limiter, which all that share the places have in common, not {type_given(source)}: make"
                " it once, self.limiter = Limiter(20), and say `yield Acquire(self.limiter)`"
            )
        self.limiter: Limiter = limiter
        self.timeout: float | None = None if timeout is None else check_seconds("timeout", timeout, 0.0, _LONGEST)
        self.queue: int | None = None if queue is None else check_count("queue", queue, 0)

    if not TYPE_CHECKING:

        def __enter__(self) -> NoReturn:
            raise InvalidUse(
                "Acquire only asks for a place: the permit is what it is answered with, `with (yield Acquire(limiter)):`"
            )

        def __exit__(self, *_: object) -> None:
            """Never reached; `with` looks for it first."""


class Hedge(_Effect):
    """Run ``first``; when it has not ended after ``after`` seconds, run ``second()`` beside it. The first result counts.

    ``second`` may still think better of it, and return None: then the first one is waited for alone.
    Answered with the result, and whether it is that of the second. The other flow is closed, in the place where it waits: so
    both must be such as may be done twice and left half done, as reads are. What fails waits for the other; when both
    have failed, the failure of the first one is thrown in. One that fails in less than ``after`` has no second.

    Raises: ValidationError for what is no time.

    Example::

        answer, by_second = yield Hedge(call(op), lambda: call(copy(op)), after=0.02)
    """

    __slots__ = ("after", "first", "second")

    def __init__(self, first: Flow[Any], second: Callable[[], Flow[Any] | None], after: float | timedelta) -> None:
        if not hasattr(first, "gi_code") and not isinstance(first, Generator):
            raise InvalidUse(f"Hedge takes a flow, and a function that gives another one, not {type(first).__name__}")
        if not callable(second):
            raise InvalidUse(
                f"the second flow of a Hedge is seldom needed: give a function that makes it, not {type(second).__name__}"
            )
        self.first: Flow[Any] = first
        self.second: Callable[[], Flow[Any] | None] = second
        self.after: float = check_seconds("after", after, 0.0, _LONGEST)


def _not_called(given: Any) -> InvalidUse:
    """The error for what stands in the place of a function that `Call` is to call; a coroutine is closed."""
    return InvalidUse(
        f"Call takes a function for the blocking face, and a coroutine function for the asyncio face, not {type_given(given)}: it calls"
        " them itself, `yield Call(fetch, fetch_async)`"
    )


class Reply(Protocol):
    """One complete, well-framed HTTP answer. Header values are as received; an absent one is None.

    A header that must be unique and came twice is given as both values joined by a comma, which no reader accepts.
    """

    @property
    def status(self) -> int:
        """The HTTP status."""
        ...

    @property
    def body(self) -> bytes:
        """The whole body."""
        ...

    @property
    def crc(self) -> bytes | None:
        """``x-amz-crc32``."""
        ...

    @property
    def request_id(self) -> str | None:
        """``x-amzn-requestid``."""
        ...

    @property
    def date(self) -> bytes | None:
        """``Date``."""
        ...

    @property
    def retry_after(self) -> bytes | None:
        """``x-amz-retry-after``."""
        ...

    def distrust(self) -> None:
        """Say that this was no answer to what was asked: its connection is not used for another request."""
        ...


class TransportError(Exception):
    """No complete answer came. ``sent`` is False only when it is certain that no byte of the request left.

    ``stage`` is one of: ``pool``, ``dns``, ``connect``, ``tls``, ``certificate``, ``forbidden`` (an address that is
    never contacted), ``send``, ``receive``, ``timeout``, ``protocol`` (bytes came that are not a valid answer).
    ``fatal`` means that another attempt cannot help. ``misconfigured``: no such name, a certificate that is not accepted, an
    address that is never contacted; the settings are to blame, not the service. ``fresh`` is False when a reused connection died before the
    first byte of an answer, which is the normal end of an idle connection.
    """

    misconfigured: bool = False

    def __init__(self, stage: str, detail: str, *, sent: bool, fatal: bool = False, fresh: bool = True) -> None:
        super().__init__(f"{stage}: {detail}")
        if stage in {"certificate", "forbidden"}:
            self.misconfigured = True
        self.stage = stage
        self.detail = detail
        self.sent = sent
        self.fatal = fatal
        self.fresh = fresh

    def __reduce__(self) -> tuple[Any, ...]:
        # An exception is unpickled with its args alone, which are not those of __init__.
        return (_transport_error, (self.stage, self.detail), self.__dict__)


def _transport_error(stage: str, detail: str) -> TransportError:
    return TransportError(stage, detail, sent=True)  # what it really was follows with the attributes
