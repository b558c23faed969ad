"""How an execution comes to hold its record, or to the answer that is kept in it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from dynamorm.effects import Flow, Sleep
from dynamorm.errors import (
    ConfigError,
    DynamORMError,
    InProgress,
    IntegrityError,
    KeyReused,
    OutcomeUnknown,
    StoredFailure,
    TableNotFound,
)

from . import machine
from .held import Held
from .machine import Change, Stored, Verdict
from .marks import has_mark, mark
from .values import decoded

ROUNDS: Final = 50
"""How often a record is tried for at once while others change it under each request; then it counts as busy."""

LOOKS: Final = 3
"""How often the time is asked for again where one answer alone has told it, and this machine's clock shows another one."""

TURN: Final = 0.25
"""Seconds between two looks at a record that is waited for, on average half of it."""


class Acquiring(Held):
    """An execution that begins."""

    mine: Stored | None
    replayed: bool
    response: Any
    is_over: bool

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
                raise _busy(new.dur) from lost
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
        raise _busy(self.options.lease_ms)

    def _first(self, own: bytes) -> tuple[Change, Stored]:
        new = self._fresh(own)
        return machine.acquire(new), new

    def _fresh(self, own: bytes, fence: int = 1) -> Stored:
        nonce = self._records.random_bytes(16)
        return machine.fresh(
            own, nonce, mark(nonce, self.options.payload, self.options.marks), self._times(), fence=fence
        )

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
        same = has_mark(stored.ph, stored.nonce, self.options.payload, self.options.marks)
        verdict, dateless = (
            machine.judge(stored, own, same=same is not False, now=at, unchanged=unchanged) for at in (now, None)
        )
        if verdict is not dateless and not self._known.time.confirms(told):
            return machine.READ, stored  # one Date alone ends no lease, and forgets nothing: another one must agree
        if verdict is Verdict.EXPIRED:
            new = self._fresh(own, stored.fence + 1)
            return machine.replace_expired(stored, new), new
        if same is None and verdict is not Verdict.OURS:
            raise ConfigError(
                "the payload of this operation was marked by a key that is not known here, so that nobody can tell whether this one is"
                " the same: nothing was done; keep former keys behind the new one, Config(idempotency_key=[new, former])"
            )
        if verdict is Verdict.REUSED:
            raise KeyReused(
                "this idempotency key was used before with another payload: nothing was done; use a new key for another"
                " operation"
            )
        if verdict is Verdict.FREE:
            return machine.take_over(stored, own, self._times())
        if verdict is Verdict.BUSY:
            raise _busy(machine.left(stored, now, unchanged))
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
            raise StoredFailure(
                "this operation has failed for good, and its failure was kept, error.response: another attempt takes a new key",
                response=self.response,
            )

    def _have(self, stored: Stored, asked: float) -> Flow[bool]:
        """It is ours; a lease that was reckoned from a wrong clock is put right. False where somebody else has it."""
        self.mine, self._began = stored, self._records.monotonic()
        self._known.seen.forget(self.options.record_key)
        self._hold(stored.lease, asked)
        for _ in range(LOOKS):
            if self._known.time.is_doubted:
                with suppress(DynamORMError):
                    yield from self._send(machine.READ)
        meant = self._known.time.now(asked, self._records.wall()) + stored.dur
        if self._known.time.is_known and abs(meant - stored.lease) > 1_500:
            with suppress(DynamORMError):  # the next beat does it
                yield from self._correct()
        return not self.is_lost


def _busy(left: int) -> InProgress:
    return InProgress(
        "another execution of this idempotency key is running: try again after error.retry_after seconds, or wait for it, wait=10",
        retry_after=max(left, 1) / 1000,
    )


def _no_table(missing: TableNotFound) -> TableNotFound:
    return TableNotFound(
        f"the table {missing.table!r} of idempotent operations does not exist: dynamorm.payments.ensure_tables(db) makes it;"
        " Config(idempotency_table=...) says how it is called",
        operation=missing.operation,
        table=missing.table,
        request_id=missing.request_id,
    )
