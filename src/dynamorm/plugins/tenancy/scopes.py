"""`tenant_scope`: the tenant of all that is done inside a block, in this thread or task.

A thread that is started inside does not have it, a task does, and keeps it. A block may be left in any order and in another
context than it was entered in, as generators do: then the one around it that is still open holds, or none.
"""

from __future__ import annotations

import sys
from _thread import get_ident
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Final

from dynamorm.errors import InvalidTenant, TenantMismatch

from .option import checked_id

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_BLOCK: Final[ContextVar[Block | None]] = ContextVar("dynamorm_tenant", default=None)


class Block:
    """One entered block: its tenant, the frame it stands in, the thread and task it was entered in, and the one around it."""

    __slots__ = ("_token", "entries", "frame", "is_lost", "is_open", "outer", "outer_was_open", "place", "tenant")

    def __init__(self, tenant: str, frame: FrameType) -> None:
        self.tenant: str = tenant
        self.is_open: bool = True
        self.is_lost: bool = False  # it was left in another context, so that it holds nowhere any more
        self.entries: Mapping[str, str] = MappingProxyType({"tenant": tenant})
        self.outer: Block | None = _BLOCK.get()
        self.outer_was_open: bool = (
            self.outer is not None and self.outer.is_open
        )  # else it was inherited, and left before
        self.frame: FrameType | None = frame
        self.place: tuple[int, int] = _place()
        self._token = _BLOCK.set(self)

    def leave(self) -> None:
        """Let what was before hold again, in whatever order and context blocks are left."""
        self.is_open, self.frame = False, None
        latest = _BLOCK.get()
        try:
            _BLOCK.reset(self._token)
        except ValueError:  # of another context; that in which it was entered cannot be reached from here
            self.is_lost = True
        _BLOCK.set(self.behind() if latest is self else latest)

    def behind(self) -> Block | None:
        """The block that holds behind this one: that around it, unless that was left meanwhile."""
        block: Block = self
        while block.outer is not None and (block.outer.is_lost or (block.outer_was_open and not block.outer.is_open)):
            block = block.outer
        return block.outer

    def nested(self) -> bool:
        """Whether it stands inside an open one of another tenant."""
        outer = self.outer
        while outer is not None:
            if outer.is_open and outer.tenant != self.tenant:
                return True
            outer = outer.outer
        return False

    def check_place(self) -> None:
        """Refuse a caller who stands in the block of another tenant than the one that was entered last.

        So it is where a generator has entered one of them, and was left to go on later. Raises: TenantMismatch.
        """
        if self.place != _place():  # a task, or a thread, that was started inside
            return
        frames: dict[FrameType, Block] = {}
        block: Block | None = self
        while block is not None:
            if block.frame is not None:
                frames.setdefault(block.frame, block)
            block = block.outer
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - the only way to a frame
        while frame is not None:
            found = frames.get(frame)
            if found is not None:
                if found.tenant != self.tenant:
                    raise TenantMismatch(
                        "two tenant scopes are open here, one of them in a generator that goes on later: nobody can tell"
                        " which one is meant; use db.with_tenant(...)"
                    )
                return
            frame = frame.f_back


class tenant_scope:  # noqa: N801 - it is used as a function is
    """A block in which every verb of every database of tenants is one of this tenant, as of its view `DB.with_tenant`.

    For frameworks that have no place for a view. ``async with`` is the same. Of what is made inside (a query, a transaction, a batcher) the
    tenant stays what it is. A view of another tenant is refused inside, and so is `DB.all_tenants`.

    Raises: InvalidTenant.

    Example: ``with dynamorm.tenant_scope("merchant-1"): db.create(payment)``
    """

    __slots__ = ("_block", "_tenant")

    def __init__(self, tenant: str, /) -> None:
        self._tenant = checked_id(tenant)
        self._block: Block | None = None

    def __enter__(self) -> Self:
        return self._entered(sys._getframe(1))  # noqa: SLF001 - as above

    def _entered(self, frame: FrameType) -> Self:
        if self._block is not None:
            raise InvalidTenant("this tenant_scope is entered already: make another one", field="tenant")
        self._block = Block(self._tenant, frame)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        block, self._block = self._block, None
        if block is not None:
            block.leave()

    async def __aenter__(self) -> Self:
        return self._entered(sys._getframe(1))  # noqa: SLF001 - as above; it is the coroutine that waits

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


def _place() -> tuple[int, int]:
    """What tells where code runs: the thread, and the task in it."""
    asyncio = sys.modules.get("asyncio")  # a program that has not loaded it has no tasks
    task = None
    if asyncio is not None:
        with suppress(RuntimeError):  # no loop is running in this thread
            task = asyncio.current_task()
    return get_ident(), 0 if task is None else id(task)


def current() -> Block | None:
    """The block that the caller stands in, or None. Raises: TenantMismatch where nobody can tell."""
    block = _BLOCK.get()
    if block is None:
        return None
    if block.is_lost:
        block = block.behind()
    if block is not None and block.outer is not None and block.nested():
        block.check_place()
    return block
