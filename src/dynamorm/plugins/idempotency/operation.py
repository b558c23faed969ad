"""What an idempotent operation is on either face: its answer, what it records, and how its block ends."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final

from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.plugin import OfOneProcess

from .executor import MAX_ANSWER, Execution
from .held import Known
from .options import Options
from .values import decoded, encoded

CURRENT: Final[ContextVar[Any]] = ContextVar("dynamorm_idempotent_operation", default=None)
"""The operation whose block runs, in this thread or task."""

_NOTHING: Final = encoded(None, "answer")


class Operation(OfOneProcess):
    """An operation that is run once for its key; what ``with db.idempotent(...) as op`` gives."""

    unpicklable_for = "has a lease, and writes that are not sent yet"
    unpicklable_instead = "begin it where it runs, with db.idempotent(...)"

    def __init__(self, records: Any, known: Known, options: Options) -> None:
        self._records = records
        self._execution = Execution(records, known, options)
        self._blocks: list[Any] = []
        self._answer = _NOTHING
        self._has_failed = False

    @property
    def replayed(self) -> bool:
        """Whether the operation was done before, so that `response` is the answer of then.

        Example: ``if op.replayed: return op.response``
        """
        return self._execution.replayed

    @property
    def response(self) -> Any:
        """The answer: that of an earlier execution, or what `respond` was given, in the form in which it is given again.

        Example: ``return op.response``
        """
        return self._execution.response

    @property
    def lost(self) -> bool:
        """Whether the lease has run out, or somebody else has the key: the next step, and the end of the block, raise LeaseLost.

        Example: ``while not op.lost: work()``
        """
        return self._execution.lost

    @property
    def has_writes(self) -> bool:
        """Whether writes were recorded.

        Example: ``op.has_writes``
        """
        return bool(self._blocks)

    def transaction(self) -> Any:
        """A block of writes, as of ``db.transaction()``: they are applied at the end of the operation, all of them at once.

        All blocks of an operation are one transaction, which its record takes one of the 100 places of. Nothing is visible before.

        Raises: AlreadyDone where the operation was done before; LeaseLost.

        Example: ``with op.transaction() as tx: tx.create(payment)``
        """
        self._execution.check_open("record writes")
        block = self._records.recorded()
        self._blocks.append(block)
        return block

    def respond(self, value: Any) -> None:
        """Say the answer, which is kept with the writes: JSON's types, bytes, Decimal, datetime, date, UUID and Money, up to 300 KB.

        It is copied now. Without a call the answer is None. Where the operation was done before, nothing is changed.

        Raises: ValidationError for a type that cannot be kept, and for more than 300 KB.

        Example: ``op.respond({"id": payment.id, "status": 201})``
        """
        self._say(value, failed=False)

    def fail(self, value: Any) -> None:
        """Say that the operation has failed for good, and with which answer: nothing of it is written, and it is never run again.

        Whoever comes with the key later gets a `StoredFailure` with this answer.

        Raises: ValidationError, as `respond`.

        Example: ``op.fail({"error": "card_declined"})``
        """
        self._say(value, failed=True)

    def is_of(self, database: Any) -> bool:
        """Whether it is an operation of this database, and runs.

        Example: ``op.is_of(database)``
        """
        return self._records.database is database and not self._execution.is_over

    def _say(self, value: Any, *, failed: bool) -> None:
        if self.replayed or (self._has_failed and not failed):  # a failure that was declared stays one
            return
        self._execution.check_open("give an answer")
        data = encoded(value, "the answer")
        if len(data) > MAX_ANSWER:
            raise ValidationError(
                f"the answer of an idempotent operation has at most {MAX_ANSWER} bytes, and this one has {len(data)}: keep it"
                " elsewhere, and answer with its key",
                field="value",
            )
        self._answer, self._has_failed = data, failed
        self._execution.response = decoded(data)

    def _ended(self, error: BaseException | None) -> Flow[None]:
        """The block has ended."""
        execution = self._execution
        if execution.replayed or execution.is_over:
            return
        if self._has_failed and (error is None or isinstance(error, Exception)):
            yield from self._fail(self._answer, error)
        elif error is None:
            yield from execution.commit(self._answer, [block for block in self._blocks if block.is_kept])
        elif isinstance(error, execution.options.final):
            yield from self._fail(_failure(error), error)
        else:
            execution.response = None
            yield from execution.release()

    def _fail(self, answer: bytes, error: BaseException | None) -> Flow[None]:
        """Keep a failure; an error of the block goes before one of keeping it."""
        try:
            yield from self._execution.fail(answer)
        except DynamORMError as lost:
            if error is None:
                raise
            error.add_note(f"The failure of the idempotent operation was not kept: {lost.safe}")


def _failure(error: BaseException) -> bytes:
    """What is kept of an exception that is final."""
    kept = {"type": type(error).__name__, "message": str(error)[:4_096].encode("utf-8", "replace").decode()}
    return encoded(kept, "the failure")
