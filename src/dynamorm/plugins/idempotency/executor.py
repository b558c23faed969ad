"""One execution of an idempotent operation, as flows over its record: acquire, steps, beats, and its end.

`machine` says what is written and what a refusal means; here is in which order. The same flows serve both faces, and the
exhaustive search of the tests.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from msgspec.structs import replace

from dynamorm.effects import Call, Flow, Sleep
from dynamorm.errors import (
    AlreadyDone,
    ConfigError,
    DynamORMError,
    ExecutionLost,
    InProgress,
    IntegrityError,
    KeyReused,
    Outcome,
    OutcomeUnknown,
    StepUnknown,
    StoredFailure,
    TableNotFound,
    ValidationError,
)

from . import machine
from .clock import ServiceTime, Sightings
from .machine import Change, Stored, Times, Verdict
from .options import Options
from .values import decoded, encoded, has_mark, mark

ROUNDS: Final = 50
"""How often a record is tried for at once while others change it under each request; then it counts as busy."""

TURN: Final = 0.25
"""Seconds between two looks at a record that is waited for, on average half of it."""

MAX_STEPS: Final = 64 * 1024
"""Bytes of what all steps of an operation have given, together: DynamoDB's item has room for 400 KB, and the answer needs 300."""

MAX_ANSWER: Final = 300 * 1024


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


class Execution:
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

    # ---------------------------------------------------------------------------------------------------------- acquire

    def acquire(self) -> Flow[None]:
        """Have the record, or its answer. Raises: InProgress, KeyReused, StoredFailure, TableNotFound; as a request does."""
        end = self._records.monotonic() + self.options.wait
        while True:
            try:
                yield from self._once()
            except InProgress as busy:
                left = end - self._records.monotonic()
                if left <= 0:
                    raise
                yield Sleep(max(min(left, busy.retry_after, TURN * 2 * self._records.dice()), 0.01))
            else:
                return

    def _once(self) -> Flow[None]:
        """Have the record, or its answer, unless it is busy."""
        own = self._records.random_bytes(16)
        change, new = self._first(own)
        for _ in range(ROUNDS):
            asked = self._records.monotonic()
            try:
                told = yield from self._send(change)
            except OutcomeUnknown as lost:
                # It may be ours now, and nobody has told us: it is free again when its lease has ended.
                raise self._busy(new.dur) from lost
            except TableNotFound as missing:
                raise _no_table(missing) from missing
            if told.applied:
                if (yield from self._have(new, asked)):
                    return
                change, new = self._first(own := self._records.random_bytes(16))
                continue
            found = self._judged(told, own)
            if isinstance(found, tuple):
                change, new = found
            elif found is None or (yield from self._have(found, asked)):
                return
        raise self._busy(self.options.lease_ms)

    def _first(self, own: bytes) -> tuple[Change, Stored]:
        new = self._fresh(own)
        return machine.acquire(new), new

    def _fresh(self, own: bytes, fence: int = 1) -> Stored:
        nonce = self._records.random_bytes(16)
        return machine.fresh(own, nonce, mark(nonce, self.options.payload), self._times(), fence=fence)

    def _judged(self, told: Any, own: bytes) -> tuple[Change, Stored] | Stored | None:
        """What is to be sent next, or the record that is ours already; None where its answer was given."""
        if told.item is None:  # DynamoDB has deleted it meanwhile
            return self._first(own)
        stored = Stored.of(told.item)
        if stored is None:
            raise IntegrityError("what is stored under the key of this operation is no record of one")
        key, seen = self.options.record_key, self._known.seen
        now = None if told.date is None else told.date * 1000
        unchanged = seen.unchanged(key, stored, told.at)
        same = has_mark(stored.ph, stored.nonce, self.options.payload)
        verdict = machine.judge(stored, own, same=same is not False, now=now, unchanged=unchanged)
        if verdict is Verdict.EXPIRED:
            new = self._fresh(own, stored.fence + 1)
            return machine.replace_expired(stored, new), new
        if same is None and verdict is not Verdict.OURS:
            raise ConfigError("the record of this operation has a mark of its payload that this version does not know")
        if verdict is Verdict.REUSED:
            raise KeyReused(
                "this idempotency key was used before with another payload: nothing was done; use a new key for another"
                " operation"
            )
        if verdict is Verdict.FREE:
            return machine.take_over(stored, own, self._times())
        if verdict is Verdict.BUSY:
            raise self._busy(machine.left(stored, now, unchanged))
        seen.forget(key)
        if verdict is Verdict.OURS:
            return stored
        self._replay(stored)
        return None

    def _replay(self, stored: Stored) -> None:
        """The operation was done before."""
        self.mine, self.replayed, self.is_over = stored, True, True
        self.response = decoded(stored.rsp)
        if stored.st == machine.FAILED:
            raise StoredFailure("this operation has failed for good, and its failure was kept", response=self.response)

    def _have(self, stored: Stored, asked: float) -> Flow[bool]:
        """It is ours; a lease that was reckoned from a wrong clock is put right. False where somebody else has it."""
        self.mine, self._began = stored, self._records.monotonic()
        self._known.seen.forget(self.options.record_key)
        self._hold(stored.lease, asked)
        meant = self._known.time.now(asked, self._records.wall()) + stored.dur
        if self._known.time.is_known and abs(meant - stored.lease) > 1_500:
            with suppress(DynamORMError):  # the next beat does it
                yield from self._correct()
        return not self.is_lost

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

    # ------------------------------------------------------------------------------------------------------ while it runs

    @property
    def lost(self) -> bool:
        """Whether somebody else has the record, or may have it by now."""
        return self.is_lost or (not self.is_over and self._records.monotonic() >= self.until)

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

    def step(self, name: str, fn: Callable[[str], Any], effect: Callable[[str], Call], *, once: bool) -> Flow[Any]:
        """Run a step, unless it has a result from before. ``effect(key)`` calls it."""
        self.check_open("take a step")
        self._check_step(name, fn)
        self._taken.add(name)
        mine = self._ours()
        kept = mine.rp.get(name)
        if kept:
            return decoded(kept)
        if kept is not None and once:
            raise StepUnknown(
                "this step was begun before, and nobody knows how it ended: it may run once, so it was not run again",
                step=name,
            )
        yield from self._renewed()
        yield from self._keep(name, machine.STARTED)
        self.away += 1
        try:
            result = yield effect(self.step_key(name))
        except Exception:
            self.away -= 1  # it has ended; one that is interrupted may go on
            raise
        self.away -= 1
        data = encoded(result, f"the result of the step {name}")
        if sum(map(len, mine.rp.values())) + len(data) > MAX_STEPS:
            raise ValidationError(
                f"the results of all steps of an operation have at most {MAX_STEPS} bytes together: let the step {name} give"
                " what the rest of the operation needs, and no more",
                outcome=Outcome.UNKNOWN,
            )
        yield from self._keep(name, data, behind=True)
        return decoded(data)

    def step_key(self, name: str) -> str:
        """The key for the other side: the same in each execution of this run, and of no other run, tenant, scope or step."""
        options = self.options
        parts = (options.tenant, options.scope, options.key, name)
        text = b"".join(len(part).to_bytes(4, "big") + part for part in (one.encode() for one in parts))
        return hmac.digest(self._ours().nonce, text, "sha256").hex()[:32]

    def _check_step(self, name: Any, fn: Any) -> None:
        if not isinstance(name, str) or not 0 < len(name) <= 64 or not name.isprintable():
            raise ValidationError("a step has a name of 1 to 64 printable characters", field="name")
        if name in self._taken:
            raise ValidationError(
                f"the step {name} was taken before in this execution: give each step a name of its own", field="name"
            )
        if not callable(fn):
            raise ValidationError(
                f"the step {name} takes a function, which is called with the key for the other side, not"
                f" {type(fn).__name__}: op.step({name!r}, lambda key: ...)",
                field="fn",
            )

    def _renewed(self) -> Flow[None]:
        """Be sure of the lease before something is done. Raises: ExecutionLost."""
        if not self.is_lost and self._records.monotonic() >= self.until - self.options.lease_ms / 3_000:
            yield from self.beat()
        if self.lost:
            raise _lost("nothing of this step was done")

    def _keep(self, name: str, data: bytes, *, behind: bool = False) -> Flow[None]:
        """Write how far the steps have come. Raises: ExecutionLost; ``behind`` the step itself its outcome is UNKNOWN."""
        for _ in range(ROUNDS):
            mine = self._ours()
            change, new = machine.write_steps(mine, {**mine.rp, name: data}, self._times())
            try:
                told = yield from self._send(change)
            except DynamORMError as error:
                if behind:
                    error.outcome = Outcome.UNKNOWN  # the step itself was run
                raise
            if told.applied:
                self.mine = new
                return
            if not self._is_ours(told):
                break
            stored = Stored.of(told.item)
            if stored is None:
                break
            self.mine = stored  # an earlier write of steps whose answer was lost
            if stored.rp == new.rp:
                return
        self.is_lost = True
        raise _lost("the step itself was run", Outcome.UNKNOWN) if behind else _lost("nothing of this step was done")

    # ------------------------------------------------------------------------------------------------------------ its end

    def commit(self, answer: bytes, blocks: Sequence[Any]) -> Flow[None]:
        """Apply all that was recorded, with the answer. Raises: ExecutionLost; as a transaction does."""
        if self.lost and not self.is_lost:
            with suppress(DynamORMError):  # the commit itself shows whose the record is
                yield from self.beat()
        if self.is_lost or (self.lost and not self.is_beating):
            self.is_over = True
            yield from self._release()
            raise _lost("nothing was applied")
        change = machine.end(self._ours(), machine.COMMITTED, answer, self._times())
        self.away += 1
        try:
            told = yield from self._told(self._records.commit(self.options.record_key, change, blocks))
        except OutcomeUnknown:
            told = yield from self._found()
            if told is None:
                raise
        except DynamORMError as error:
            if error.outcome is not Outcome.NOT_APPLIED:
                raise
            told = yield from self._refused(error)
        self.is_over = True
        if not told.applied and not self._has_ended(told, machine.COMMITTED):
            self.is_lost = True
            raise _lost("nothing was applied")

    def _refused(self, error: DynamORMError) -> Flow[Any]:
        """The writes of the operation were refused: no copy of them may be applied after that was said.

        Returns what shows that one was applied before. Raises: ``error``, whose outcome is UNKNOWN while one may still be.
        """
        self.is_over, told = True, None
        try:
            told = yield from self._send(machine.release(self._ours(), self._times()))
        except DynamORMError:
            error.outcome = Outcome.UNKNOWN
        if told is not None and not told.applied and self._has_ended(told, machine.COMMITTED):
            return told
        raise error

    def fail(self, answer: bytes) -> Flow[None]:
        """Keep a failure for good. Raises: ExecutionLost."""
        change = machine.end(self._ours(), machine.FAILED, answer, self._times())
        told = yield from self._send(change)
        self.is_over = True
        if not told.applied and not self._has_ended(told, machine.FAILED):
            self.is_lost = True
            raise _lost("nothing was kept")

    def release(self) -> Flow[None]:
        """Give the record to nobody, where this execution has it and nothing of it is under way."""
        self.is_over = True
        if not (self.replayed or self.away or self.mine is None):
            yield from self._release()

    def _release(self) -> Flow[None]:
        self.is_over = True
        with suppress(DynamORMError):  # its lease runs out
            yield from self._send(machine.release(self._ours(), self._times()))

    def _found(self) -> Flow[Any]:
        """What became of a commit without an answer, where the record tells; else None."""
        try:
            told = yield from self._send(machine.READ)
        except DynamORMError:
            return None
        # While it is ours and pending, a copy may still come.
        return None if self._is_ours(told) else told

    # -------------------------------------------------------------------------------------------------------------- parts

    def check_open(self, what: str) -> None:
        """Refuse what an execution cannot do any more. Raises: AlreadyDone, ExecutionLost, ValidationError."""
        if self.replayed:
            raise AlreadyDone(f"this operation was done before, so it cannot {what}: its answer is in op.response")
        if self.is_lost:
            raise _lost("nothing of this was done")
        if self.is_over or self.mine is None:
            raise ValidationError(
                f"this operation does not run, so it cannot {what}: its block has ended, or not begun"
            )

    def _send(self, change: Change) -> Flow[Any]:
        return self._told(self._records.send(self.options.record_key, change))

    def _told(self, flow: Flow[Any]) -> Flow[Any]:
        told = yield from flow
        self._known.time.learn(told)
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

    def _times(self) -> Times:
        options = self.options
        now = self._known.time.now(self._records.monotonic(), self._records.wall())
        return Times(now, options.lease_ms, options.retention_ms)

    @staticmethod
    def _busy(left: int) -> InProgress:
        return InProgress("another execution of this idempotency key is running", retry_after=max(left, 1) / 1000)


def _lost(what: str, outcome: Outcome = Outcome.NOT_APPLIED) -> ExecutionLost:
    return ExecutionLost(
        f"the lease of this operation ran out, or another execution has taken it: {what}", outcome=outcome
    )


def _no_table(missing: TableNotFound) -> TableNotFound:
    return TableNotFound(
        f"the table {missing.table!r} of idempotent operations does not exist: dynamorm.payments.ensure_tables(db) makes it;"
        " Config(idempotency_table=...) says how it is called",
        operation=missing.operation,
        table=missing.table,
        request_id=missing.request_id,
    )
