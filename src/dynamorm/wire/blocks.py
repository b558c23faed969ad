"""Blocks that say something of all that is done inside them, in one thread or task: whose tenant, and who acts.

What a block says holds until it is left, in whatever order and context that is. A task that is started inside has it and keeps
it, a thread does not. A generator that stands in a block may be left to go on later: where two blocks of different values are
open then, and it cannot be shown in which one of them the caller stands, nothing is said of it. It must not know DynamoDB.
"""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar, Token
from threading import local
from types import CodeType, CoroutineType, FrameType
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar
from weakref import ref

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator

T = TypeVar("T")

_GENERATOR: Final = 0x20 | 0x200
"""The flags of a function that makes a generator, plain or of asyncio: `inspect.CO_GENERATOR`, `inspect.CO_ASYNC_GENERATOR`."""

_SUSPENDED: Final = _GENERATOR | 0x80 | 0x100
"""Those of all that can be left to go on later, coroutines too: `inspect.CO_COROUTINE`, `inspect.CO_ITERABLE_COROUTINE`."""


@contextmanager
def _held() -> Generator[None, None, None]:
    yield


@asynccontextmanager
async def _held_by_asyncio() -> AsyncGenerator[None, None]:
    yield


_ENTERING: Final[frozenset[CodeType]] = frozenset(
    {type(_held()).__enter__.__code__, type(_held_by_asyncio()).__aenter__.__code__}
)
"""The code by which `contextlib` lets a generator enter: that generator goes on when the block of its caller is left."""

_AWAITED: Final = frozenset({"__aenter__", "enter_async_context"})
"""Coroutines by which a block is entered for who awaits them."""


class Block(Generic[T]):
    """One block: its ``value``, where it was entered, and the one around it (``outer``)."""

    __slots__ = ("_token", "holder", "is_lost", "is_open", "of", "outer", "outer_was_open", "place", "value")

    def __init__(self, value: T, of: Any, outer: Block[T] | None, frame: FrameType | None) -> None:
        self.value: T = value
        self.of: Any = of
        self.is_open: bool = True
        self.is_lost: bool = False  # it was left in another context, and that in which it was entered still names it
        self.outer: Block[T] | None = outer
        self.outer_was_open: bool = outer is not None and outer.is_open  # else it was inherited, and left before
        self.holder: FrameType | None = _holder(frame)
        self.place: Any = here()
        self._token: Token[Block[T] | None] | None = None

    @property
    def is_held_by_a_generator(self) -> bool:
        """Whether a generator stands in it, which may go on later."""
        return self.holder is not None and bool(self.holder.f_code.co_flags & _GENERATOR)

    def is_nested(self) -> bool:
        """Whether it stands inside an open one of another value."""
        outer = self.outer
        while outer is not None:
            if outer.is_open and outer.value != self.value:
                return True
            outer = outer.outer
        return False

    def behind(self) -> Block[T] | None:
        """The block that holds behind this one: that around it, unless that was left here meanwhile."""
        place = here()
        block: Block[T] = self
        while (outer := block.outer) is not None:
            is_left = outer.is_lost or (block.outer_was_open and not outer.is_open)
            if not is_left or outer.place is not place:  # what has inherited it goes on with it
                return outer
            block = outer
        return None

    def is_clear(self, frame: FrameType | None) -> bool:
        """Whether the caller, who runs in this frame, stands in this block, which was entered last.

        It is shown by the frames that can be left to go on later: of any other kind, one that is no more on the stack has ended.
        """
        open_ones: list[Block[T]] = []
        block: Block[T] | None = self
        while block is not None:
            if block.is_open or block is self:
                open_ones.append(block)
            block = block.outer
        if (
            self.place is not here()
        ):  # inherited by a task or a thread: where a generator was there, nobody knows from whom
            return not any(one.is_held_by_a_generator for one in open_ones)
        holders: dict[FrameType, Block[T]] = {}
        for one in open_ones:
            if one.holder is not None and one.place is self.place:
                holders.setdefault(one.holder, one)
        while frame is not None:
            found = holders.get(frame)
            if found is not None:
                return found.value == self.value
            frame = frame.f_back
        return self.holder is None


class _Unclear(Block[T]):
    """Stands for a place where nobody could tell which block is meant: nobody can tell it later either."""

    __slots__ = ()

    def is_nested(self) -> bool:
        return True

    def is_clear(self, frame: FrameType | None) -> bool:
        del frame
        return False


class Blocks(Generic[T]):
    """The blocks of one kind. ``unclear`` makes the error for a place where two are open, and nobody can tell which one is meant.

    Example: ``TENANTS = Blocks("tenant", unclear)``, then ``block = TENANTS.block("t1")``, ``TENANTS.enter(block)`` and
    ``TENANTS.leave(block)``
    """

    __slots__ = ("_latest", "_unclear", "peek")

    def __init__(self, name: str, unclear: Callable[[], Exception]) -> None:
        self._latest: ContextVar[Block[T] | None] = ContextVar(f"dynamorm {name}", default=None)
        self._unclear = unclear
        self.peek: Callable[[], Block[T] | None] = self._latest.get
        """Gives None where the caller stands in no block: a look that costs next to nothing, before `current` is asked."""

    def block(self, value: T, of: Any = None, *, depth: int = 1) -> Block[T]:
        """A block that the caller enters next. ``of`` is kept for the caller, ``depth`` counts the frames up to who enters it."""
        return Block(value, of, self.latest(), sys._getframe(depth + 1))  # noqa: SLF001 - the only way to a frame

    def enter(self, block: Block[T]) -> None:
        """From now on it holds."""
        block._token = self._latest.set(block)  # noqa: SLF001 - one unit with its block

    def leave(self, block: Block[T]) -> None:
        """Let what was before hold again, in whatever order and context blocks are left. Twice is as once; it never raises."""
        block.is_open, block.holder = False, None
        latest = self._latest.get()
        next_one = block.behind() if latest is block else latest
        token = block._token  # noqa: SLF001 - one unit with its block
        if token is not None:
            try:
                self._latest.reset(token)
            except ValueError:  # of another context; that in which it was entered cannot be reached from here
                block.is_lost = True
            except RuntimeError:  # it was reset before: it is left for the second time
                pass
        self._latest.set(next_one)

    def latest(self) -> Block[T] | None:
        """The block that was entered last, of those that hold here."""
        block = self._latest.get()
        if block is not None and block.is_lost and block.place is here():
            block = block.behind()
            self._latest.set(block)  # so that no task inherits it any more
        return block

    def current(self) -> Block[T] | None:
        """The block that the caller stands in, or None. Raises: what ``unclear`` makes, where nobody can tell."""
        block = self._latest.get()
        if block is None:
            return None
        if block.is_lost:
            block = self._without(block)
        if (
            block is not None and block.outer is not None and block.is_nested() and not block.is_clear(sys._getframe(1))  # noqa: SLF001 - as above
        ):
            raise self._unclear()
        return block

    def taken(self) -> Block[T] | None:
        """What holds here, for work that is done later and elsewhere (`within`); None where nothing does.

        Where nobody can tell, nobody can there either.
        """
        latest = self._latest.get()
        if latest is None:
            return None
        try:
            block = self.current()
        except Exception:  # noqa: BLE001 - it is raised by who asks
            return _Unclear(latest.value, None, latest, None)
        return None if block is None else Block(block.value, block.of, None, None)

    def within(self, block: Block[T], function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that does what this one does, in a block that was taken; also what is awaited of it."""
        latest = self._latest

        def called(*args: Any, **named: Any) -> Any:
            token = latest.set(block)
            try:
                result = function(*args, **named)
            finally:
                latest.reset(token)
            return self.awaited(block, lambda: result) if result.__class__ is CoroutineType else result

        return called

    async def awaited(self, block: Block[T], work: Callable[[], Awaitable[Any]]) -> Any:
        """What is awaited of ``work()``, both in a block that was taken. It is called once this is awaited."""
        token = self._latest.set(block)
        try:
            return await work()
        finally:
            with suppress(ValueError):  # it is closed in another context, which knows nothing of the block
                self._latest.reset(token)

    def _without(self, lost: Block[T]) -> Block[T] | None:
        """What holds instead of a block that was left in another context."""
        if lost.place is here():
            return self.latest()
        # A task that was started inside is told by nothing from one that was started after it was left.
        behind = lost.behind()
        if behind is not None and behind.value != lost.value:
            raise self._unclear()
        return behind

    def keep(self) -> None:
        """Let this context have its block for good: for work that is put off, and outlives the block it was begun in."""
        block = self.current()
        if block is not None:
            self._latest.set(Block(block.value, None, None, None))


def here() -> Any:
    """What tells where code runs: the task, or else the thread. It is another one for each, and never used again."""
    asyncio = sys.modules.get("asyncio")  # a program that has not loaded it has no tasks
    loop = None if asyncio is None else asyncio._get_running_loop()  # noqa: SLF001 - without an exception where none runs
    task = None if loop is None else sys.modules["asyncio"].current_task(loop)
    return _THREAD.mark if task is None else ref(task)  # the same object while the task lives


class _Thread(local):
    def __init__(self) -> None:
        self.mark: object = object()


_THREAD: Final = _Thread()


def _holder(frame: FrameType | None) -> FrameType | None:
    """The innermost frame that can be left to go on later while the block is open; None where there is none.

    A generator that only holds the block for another one, by `contextlib`, is none.
    """
    while frame is not None:
        flags = frame.f_code.co_flags & _SUSPENDED
        if flags and not (
            (flags & _GENERATOR and frame.f_back is not None and frame.f_back.f_code in _ENTERING)
            or (not flags & _GENERATOR and frame.f_code.co_name in _AWAITED)
        ):
            return frame
        frame = frame.f_back
    return None
