"""`Held`, what a lease is on either face: its state, and what it gives to a transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.models.expressions.path import Condition

if TYPE_CHECKING:
    from dynamorm.features.leases import lease as flows

    from ..session import Session


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
