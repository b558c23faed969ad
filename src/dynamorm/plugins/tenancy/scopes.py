"""`tenant_scope`: the tenant of all that is done inside a block, in this thread or task.

A thread that is started inside does not have it, a task does, and keeps it. A block may be left in any order and in another
context than it was entered in, as generators do: then the one around it that is still open holds, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from dynamorm.errors import InvalidTenant, TenantMismatch
from dynamorm.plugin import Block, Blocks

from .option import checked_id

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


def _unclear() -> TenantMismatch:
    return TenantMismatch(
        "two tenant scopes are open here, one of them in a generator that goes on later: nobody can tell which one is"
        " meant; use db.with_tenant(...)"
    )


_BLOCKS: Final[Blocks[str]] = Blocks("tenant", _unclear)

peek: Callable[[], Block[str] | None] = _BLOCKS.peek
"""None where nobody stands in a block."""

current: Callable[[], Block[str] | None] = _BLOCKS.current
"""The block that the caller stands in, or None. Raises: TenantMismatch where nobody can tell."""


class tenant_scope:  # noqa: N801 - it is used as a function is
    """A block in which every verb of every database of tenants is one of this tenant, as of its view `DB.with_tenant`.

    For frameworks that have no place for a view. ``async with`` is the same. Of what is made inside (a query, a transaction, a batcher) the tenant stays
    what it is. A view of another tenant is refused inside, and so is `DB.all_tenants`. Where two blocks of different tenants are
    open, one of them in a generator that goes on later, and nobody can tell which one is meant, a verb is a TenantMismatch.

    Raises: InvalidTenant.

    Example: ``with dynamorm.tenant_scope("merchant-1"): db.create(payment)``
    """

    __slots__ = ("_block", "_tenant")

    def __init__(self, tenant: str, /) -> None:
        self._tenant = checked_id(tenant)
        self._block: Block[str] | None = None

    def __enter__(self) -> Self:
        if self._block is not None:
            raise InvalidTenant("this tenant_scope is entered already: make another one", field="tenant")
        entries: Mapping[str, str] = MappingProxyType({"tenant": self._tenant})
        block = _BLOCKS.block(self._tenant, entries)
        try:
            self._block = block
            _BLOCKS.enter(block)
            return self  # noqa: TRY300 - a signal may come here, too
        except BaseException:  # a signal came in between, and __exit__ will not be called
            self._leave()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._leave()
        except BaseException:  # a signal came in between
            self._leave()
            raise

    async def __aenter__(self) -> Self:
        """As `__enter__`: nothing is waited for."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """As `__exit__`."""
        self.__exit__(kind, error, traceback)

    def _leave(self) -> None:
        block = self._block
        if block is not None:
            _BLOCKS.leave(block)
            self._block = None
