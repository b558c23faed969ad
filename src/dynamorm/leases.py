"""Leases: the right to do something alone for a while, kept in an item that Go services can read and take as well.

`LeaseRecord` is the mixin for the model of the item, `Lease` what `DB.lease` gives. A clock decides only how long others
wait; that nothing is done by two is decided by the token, inside the transaction that does it: see `Held.guard`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from .declare import Attr, attr, partition_key, sort_key, ttl
from .expression import Condition
from .model import Mixin
from .ops import lease as flows
from .ops import lease_taking

if TYPE_CHECKING:
    from types import TracebackType

    from .session import Session

__all__ = ["Held", "Lease", "LeaseRecord"]


class LeaseRecord(Mixin):
    """The attributes of a lease as they are stored, under the names that the Go library uses.

    ``lease_expires_at`` is in epoch seconds; DynamoDB may delete the item one hour later (``ttl``). ``lease_fence`` is
    ours: it grows with every acquisition.

    Example::

        class Lock(Model, LeaseRecord, table="locks"):
            pass
    """

    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key(default="LOCK")
    lease_token: Attr[str | None] = attr(default=None, secret=True)
    lease_expires_at: Attr[int | None] = attr(default=None)
    lease_fence: Attr[int | None] = attr(default=None)
    ttl: Attr[datetime | None] = ttl(default=None)


class Held:
    """What a lease is on either face: its state, and what it gives to a transaction."""

    __slots__ = ("_claim", "_run", "_session")

    def __init__(self, session: Session, run: Callable[[Any], Any], claim: flows.Claim) -> None:
        self._session = session
        self._run = run
        self._claim = claim

    @property
    def token(self) -> str | None:
        """The secret that tells the holder; None while the lease is not ours.

        Example: ``lease.token is None``
        """
        return self._claim.token

    @property
    def fence(self) -> int | None:
        """A number that grows with every acquisition, for systems that can refuse a smaller one than they have seen.

        Example: ``storage.write(data, fence=lease.fence)``
        """
        return self._claim.fence

    @property
    def remaining(self) -> float:
        """Seconds until it runs out, 0.0 when it is not ours or has run out.

        Never more than the duration less the time since it was asked for, wherever the wall clock was set meanwhile, and
        never past the stored end by the wall clock as corrected by the service's.

        Example: ``if lease.remaining < 10: lease.refresh()``
        """
        return self._claim.remaining(self._session)

    @property
    def held(self) -> bool:
        """Whether it is ours and has not run out, as far as the clock tells.

        Example: ``while lease.held: work()``
        """
        return self.remaining > 0

    def guard(self) -> tuple[Any, ...]:
        """What a transaction's ``check`` takes, so that it is applied only while the lease is ours.

        It compares the token, no time: whoever comes too late finds another token, however wrong the clocks are.

        Raises: LeaseLost when the lease was never acquired, or has been released.

        Example: ``tx.check(*lease.guard(), label="lease")``
        """
        model, *key, condition = self._claim.guard()
        assert isinstance(condition, Condition)  # it ends the arguments of a check
        return (model, *key, condition)

    def __repr__(self) -> str:
        state = f"held, fence {self.fence}" if self.held else "not held"
        return f"<{type(self).__name__} of {self._claim.name} {state}>"


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
