"""The record of one execution while it is held: what is known of it, how it is sent, and how its lease is renewed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec.structs import replace

from dynamorm.effects import Flow
from dynamorm.errors import AlreadyDone, ExecutionLost, Outcome, ValidationError

from . import machine
from .clock import ServiceTime, Sightings
from .machine import Change, Stored, Times
from .options import Options


class Records(Protocol):
    """What an execution is given of its database: see `dynamorm.faces.records`."""

    def monotonic(self) -> float:
        """Seconds by a clock that is never set."""
        ...

    def wall(self) -> float:
        """Seconds since 1970 by this machine."""
        ...

    def random_bytes(self, count: int) -> bytes:
        """Random bytes."""
        ...

    def dice(self) -> float:
        """A number from 0 to 1."""
        ...

    def send(self, key: str, change: Change) -> Flow[Any]:
        """Send one change."""
        ...

    def commit(self, key: str, change: Change, blocks: Sequence[Any]) -> Flow[Any]:
        """Send one change with the writes of the operation."""
        ...


class Known:
    """What the executions of one database have in common."""

    def __init__(self) -> None:
        self.time: ServiceTime = ServiceTime()
        self.seen: Sightings = Sightings()


class Held:
    """One execution. ``mine`` is the record as this execution last knew it; None before it has one.

    ``until`` is the monotonic time until which nobody takes the lease; ``is_lost``: somebody may have. ``away`` is how many steps
    and commits are under way: then the record must stay as it is when the block is interrupted.
    """

    def __init__(self, records: Records, known: Known, options: Options) -> None:
        self._records = records
        self._known = known
        self.options: Options = options
        self.mine: Stored | None = None
        self.replayed: bool = False
        self.response: Any = None
        self.until: float = 0.0
        self.is_lost: bool = False
        self.away: int = 0
        self.is_over: bool = False
        self._began: float = 0.0
        self._taken: set[str] = set()
        self._process = os.getpid()

    @property
    def lost(self) -> bool:
        """Whether somebody else has the record, or may have it by now."""
        return self.is_lost or self.is_forked or (not self.is_over and self._records.monotonic() >= self.until)

    @property
    def is_forked(self) -> bool:
        """Whether this process is a copy of the one that began: both know the owner of the record, and one of them ends it."""
        return os.getpid() != self._process

    @property
    def is_beating(self) -> bool:
        """Whether the lease is still to be renewed."""
        return not (self.is_over or self.is_lost or self._records.monotonic() - self._began >= self.options.max_run)

    def beat(self) -> Flow[None]:
        """Let the lease end later. What fails is tried again with the next one."""
        if not self.is_beating:
            return
        mine, times, asked = self._ours(), self._times(), self._records.monotonic()
        told = yield from self._send(machine.beat(mine, times))
        if told.applied:
            self._hold(times.end, asked)
        elif self.is_over or self._has_ended(told, machine.COMMITTED) or self._has_ended(told, machine.FAILED):
            return  # its end was written meanwhile
        elif not self._is_ours(told):
            self.is_lost = True
        elif told.item["lease"] > times.end + 1_500:  # a wrong clock has made it
            self.mine = replace(self._ours(), lease=told.item["lease"])
            yield from self._correct()
        else:
            self._hold(told.item["lease"], asked)

    def _correct(self) -> Flow[None]:
        times, asked = self._times(), self._records.monotonic()
        mine = self._ours()
        told = yield from self._send(machine.correct(mine, times))
        if told.applied or self._is_ours(told):
            self.mine = replace(self._ours(), lease=times.end if told.applied else told.item["lease"])
            self._hold(self._ours().lease, asked)
        else:
            self.is_lost = True

    def _hold(self, lease: int, asked: float) -> None:
        self.until = self._known.time.until(lease, asked, self.options.lease_ms)

    def check_open(self, what: str) -> None:
        """Refuse what an execution cannot do any more. Raises: AlreadyDone, ExecutionLost, ValidationError."""
        if self.replayed:
            raise AlreadyDone(f"this operation was done before, so it cannot {what}: its answer is in op.response")
        if self.is_forked:
            raise forked()
        if self.is_lost:
            raise lost("nothing of this was done")
        if self.is_over or self.mine is None:
            raise ValidationError(
                f"this operation does not run, so it cannot {what}: its block has ended, or not begun"
            )

    def _send(self, change: Change) -> Flow[Any]:
        return self._told(self._records.send(self.options.record_key, change))

    def _told(self, flow: Flow[Any]) -> Flow[Any]:
        told = yield from flow
        self._known.time.learn(told, self._records.wall())
        return told

    def _ours(self) -> Stored:
        assert self.mine is not None  # asked of an execution that has its record
        return self.mine

    def _is_ours(self, told: Any) -> bool:
        """Whether a refusal shows that the record is still ours, and pending."""
        stored, mine = None if told.item is None else Stored.of(told.item), self._ours()
        return stored is not None and stored.is_of(mine.own, mine.fence) and stored.st == machine.PENDING

    def _has_ended(self, told: Any, state: str) -> bool:
        """Whether a refusal shows that an earlier attempt of this end was applied."""
        stored, mine = None if told.item is None else Stored.of(told.item), self._ours()
        return stored is not None and stored.is_of(mine.own, mine.fence) and stored.st == state

    def _is_same_run(self, told: Any) -> bool:
        """Whether a refusal shows the record of this run, whoever has it: one that was committed stays so, and is replaced by another run."""
        stored = None if told.item is None else Stored.of(told.item)
        return stored is not None and stored.nonce == self._ours().nonce

    def _times(self) -> Times:
        options = self.options
        now = self._known.time.now(self._records.monotonic(), self._records.wall())
        return Times(now, options.lease_ms, options.retention_ms)


def forked() -> ExecutionLost:
    """The error of a process that was forked within the block of an operation."""
    return ExecutionLost(
        "this process was forked within the block of the operation, which belongs to the one that began it: nothing of this was done",
        outcome=Outcome.NOT_APPLIED,
    )


def lost(what: str, outcome: Outcome = Outcome.NOT_APPLIED) -> ExecutionLost:
    """The error of an execution that does not hold its record any more; ``what`` has, or has not, happened."""
    return ExecutionLost(
        f"the lease of this operation ran out, or another execution has taken it: {what}", outcome=outcome
    )
