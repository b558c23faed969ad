"""`Lease`, a lease on the blocking face."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from dynamorm.features.leases import lease as flows
from dynamorm.features.leases import taking as lease_taking

from ..held import Held

if TYPE_CHECKING:
    from types import TracebackType


class Lease(Held):
    """A lease on the blocking face. Made by `DB.lease`; as a context manager it is acquired and released.

    Leaving the block raises `LeaseLost` when somebody else had taken the lease meanwhile, unless the block itself raised.

    Example::

        with db.lease(Lock, "settlement", duration=30) as lease:
            with db.transaction() as tx:
                tx.update(Batch, "b1", Batch.state.set("settled"))
                tx.check(*lease.guard())
    """

    __slots__ = ()

    def acquire(self) -> Self:
        """Take the lease, waiting for it as long as ``wait`` says.

        Raises: LeaseHeld when somebody else has it; LeaseLost when the answer came too late, after its end;
        OutcomeUnknown when no answer came.

        Example: ``lease = db.lease(Lock, "settlement").acquire()``
        """
        self._run(lease_taking.acquire(self._session, self._claim))
        return self

    def refresh(self) -> Self:
        """Let it run for another ``duration`` from now.

        Raises: LeaseLost when it has run out or was taken.

        Example: ``lease.refresh()``
        """
        self._run(flows.refresh(self._session, self._claim))
        return self

    def release(self) -> bool:
        """Give it back. False when it was not ours any more, which changes nothing.

        Example: ``lease.release()``
        """
        return bool(self._run(flows.release(self._session, self._claim)))

    def __enter__(self) -> Self:
        return self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._run(flows.leave(self._session, self._claim, failed=kind is not None))
