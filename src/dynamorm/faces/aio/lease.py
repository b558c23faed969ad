# Generated from ../blocking/lease.py by scripts/async_face.py: change that one.
"""`AsyncLease`, a lease on the asyncio face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from dynamorm.features.leases import lease as flows
from dynamorm.features.leases import taking as lease_taking

from ..held import Held

if TYPE_CHECKING:
    from types import TracebackType


class AsyncLease(Held):
    """A lease on the asyncio face. Made by `AsyncDB.lease`; as a context manager it is acquired and released.

    Leaving the block raises `LeaseLost` when somebody else had taken the lease meanwhile, unless the block itself raised.

    Example::

        async with db.lease(Lock, "settlement", duration=30) as lease:
            async with db.transaction() as tx:
                tx.update(Batch, "b1", Batch.state.set("settled"))
                tx.check(*lease.guard())
    """

    __slots__ = ()

    async def acquire(self) -> Self:
        """Take the lease, waiting for it as long as ``wait`` says.

        Raises: LeaseHeld when somebody else has it; LeaseLost when the answer came too late, after its end;
        OutcomeUnknown when no answer came.

        Example: ``lease = await db.lease(Lock, "settlement").acquire()``
        """
        await self._run(lease_taking.acquire(self._session, self._claim))
        return self

    async def refresh(self) -> Self:
        """Let it run for another ``duration`` from now.

        Raises: LeaseLost when it has run out or was taken.

        Example: ``await lease.refresh()``
        """
        await self._run(flows.refresh(self._session, self._claim))
        return self

    async def release(self) -> bool:
        """Give it back. False when it was not ours any more, which changes nothing.

        Example: ``await lease.release()``
        """
        return bool(await self._run(flows.release(self._session, self._claim)))

    async def __aenter__(self) -> Self:
        return await self.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._run(flows.leave(self._session, self._claim, failed=kind is not None))
