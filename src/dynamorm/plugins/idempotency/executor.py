"""One execution of an idempotent operation, as flows over its record: its steps, and its end.

`machine` says what is written and what a refusal means; here, and in `acquiring` and `held`, is in which order. The same flows
serve both faces, and the exhaustive search of the tests.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

from dynamorm.effects import Call, Flow
from dynamorm.errors import DynamORMError, ExecutionLost, Outcome, OutcomeUnknown, StepUnknown, ValidationError

from . import machine
from .acquiring import ROUNDS, Acquiring
from .held import forked, lost
from .machine import Stored
from .values import decoded, encoded

MAX_STEPS: Final = 64 * 1024
"""Bytes of what all steps of an operation have given, together: DynamoDB's item has room for 400 KB, and the answer needs 300."""

MAX_ANSWER: Final = 300 * 1024


class Execution(Acquiring):
    """One execution of an operation."""

    mine: Stored | None
    away: int
    is_lost: bool
    is_over: bool

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
                "this step was begun before, and nobody knows how it ended: it may run once, so it was not run again: ask the"
                " other side what became of it, and end the operation by op.fail(...) or go on without the step",
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
        try:
            data = encoded(result, f"the result of the step {name}")
        except ValidationError as error:
            error.outcome = Outcome.UNKNOWN  # the step itself was run
            raise
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
            raise lost("nothing of this step was done")

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
        raise lost("the step itself was run", Outcome.UNKNOWN) if behind else lost("nothing of this step was done")

    # ------------------------------------------------------------------------------------------------------------ its end

    def commit(self, answer: bytes, blocks: Sequence[Any]) -> Flow[None]:
        """Apply all that was recorded, with the answer. Raises: ExecutionLost; as a transaction does."""
        self._check_process()
        if self.lost and not self.is_lost:
            with suppress(DynamORMError):  # the commit itself shows whose the record is
                yield from self.beat()
        if self.is_lost or (self.lost and not self.is_beating):
            self.is_over = True
            yield from self._release()
            raise lost("nothing was applied")
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
            raise self._lost_at_end(told, "nothing was applied")

    def _refused(self, error: DynamORMError) -> Flow[Any]:
        """The writes of the operation were refused: no copy of them may be applied after that was said.

        Returns what shows that one was applied before. Raises: ``error``, whose outcome is UNKNOWN while one may still be.
        """
        self.is_over, told = True, None
        try:
            told = yield from self._send(machine.release(self._ours(), self._times()))
        except DynamORMError:
            error.outcome = Outcome.UNKNOWN
        if told is not None and not told.applied:
            if self._has_ended(told, machine.COMMITTED):
                return told
            if not self._is_same_run(told):
                error.outcome = Outcome.UNKNOWN
        raise error

    def fail(self, answer: bytes) -> Flow[None]:
        """Keep a failure for good. Raises: ExecutionLost."""
        self._check_process()
        change = machine.end(self._ours(), machine.FAILED, answer, self._times())
        told = yield from self._send(change)
        self.is_over = True
        if not told.applied and not self._has_ended(told, machine.FAILED):
            raise self._lost_at_end(told, "nothing was kept")

    def _check_process(self) -> None:
        """Leave the end to the process that began. Raises: ExecutionLost."""
        if self.is_forked:
            self.is_over = self.is_lost = True
            raise forked()

    def _lost_at_end(self, told: Any, what: str) -> ExecutionLost:
        """The error of an end that was refused: ``what`` is known only while the record of this run is there."""
        self.is_lost = True
        if self._is_same_run(told):
            return lost(what)
        return lost("its record is gone, and with it what became of this end", Outcome.UNKNOWN)

    def release(self) -> Flow[None]:
        """Give the record to nobody, where this execution has it and nothing of it is under way."""
        self.is_over = True
        if not (self.replayed or self.away or self.mine is None or self.is_forked):
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
