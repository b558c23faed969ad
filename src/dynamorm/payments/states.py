"""The states of a payment, and the rule that lets it only go from one to another: a condition of every write of the state."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from dynamorm.errors import DynamORMError, ForbiddenTransition, ModelError, ValidationError
from dynamorm.plugin import RuledOption, WriteRule


class Status(StrEnum):
    """The state of a payment.

    Example: ``Payment.status == Status.CAPTURED``
    """

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    SETTLED = "settled"
    FAILED = "failed"
    VOIDED = "voided"
    PARTIALLY_REFUNDED = "partially_refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


_REFUNDS: Final = (Status.PARTIALLY_REFUNDED, Status.REFUNDED, Status.DISPUTED)

TRANSITIONS: Final[Mapping[Status, tuple[Status, ...]]] = {
    Status.PENDING: (Status.AUTHORIZED, Status.CAPTURED, Status.FAILED, Status.VOIDED),
    Status.AUTHORIZED: (Status.CAPTURED, Status.FAILED, Status.VOIDED),
    Status.CAPTURED: (Status.SETTLED, *_REFUNDS),
    Status.SETTLED: _REFUNDS,
    Status.PARTIALLY_REFUNDED: _REFUNDS,
    Status.DISPUTED: (Status.CAPTURED, Status.SETTLED, Status.PARTIALLY_REFUNDED, Status.REFUNDED),
    Status.FAILED: (),
    Status.VOIDED: (),
    Status.REFUNDED: (Status.DISPUTED,),
}
"""What a payment in a state may become. A part may be refunded after a part; else no state follows itself."""


class Transitions(RuledOption):
    """Field option, of a state: it changes only along ``table``, which names for each state those that may follow.

    The table is a condition of each update, put and save of the field, so that of two who change it at once one is refused.
    `create` takes any state. A state is replaced as a whole: it is set to a value, and neither removed nor computed.

    Example: ``status: Attr[Status] = attr(Transitions(TRANSITIONS), default=Status.PENDING)``
    """

    __slots__ = ("table",)

    def __init__(self, table: Mapping[Any, tuple[Any, ...]] = TRANSITIONS) -> None:
        known = set(table)
        if not known or any(state not in known for after in table.values() for state in after):
            raise ModelError("Transitions takes a table with each state, and for each the states that may follow it")
        self.table: Mapping[Any, tuple[Any, ...]] = table

    def write_rule(self, schema: Any, field: Any) -> WriteRule:
        """The rule for the writes of a model."""
        return TransitionRule(self.table, schema, field)


class TransitionRule(WriteRule):
    """Lets the state of a model only change along a table."""

    verbs: tuple[str, ...] = ("put", "save", "update")

    def __init__(self, table: Mapping[Any, tuple[Any, ...]], schema: Any, field: Any) -> None:
        self._table = table
        self._name: str = field.name
        self._stored: str = field.stored
        self._model: str = schema.name
        self._path: Any = getattr(schema.model, field.name)

    def contribute(self, draft: Any) -> None:
        """Demand that what is stored may be followed by what is written."""
        if draft.verb == "update":
            wanted = [change for change in draft.updates if change.path.field.stored == self._stored]
            if wanted:
                self._demand(draft, self._set_by(wanted), absent=draft.upsert)
            return
        written = draft.changes if draft.verb == "save" else draft.item
        if self._stored in written or draft.verb == "put":
            wire = written.get(self._stored)
            self._demand(
                draft, None if wire is None else wire.get("S"), absent=draft.verb == "put", same=draft.verb == "put"
            )

    def _set_by(self, changes: list[Any]) -> Any:
        """The state that updates set. Raises: ValidationError for what is no plain value."""
        change = changes[-1]
        value = self._state(change.value)
        if len(changes) > 1 or change.kind != "set" or len(change.path.parts) > 1 or value is None:
            raise ValidationError(
                f"{self._model}.{self._name} changes from state to state: set it to one of {self._states()}",
                field=self._name,
            )
        return value

    def _states(self) -> str:
        return ", ".join(str(getattr(state, "value", state)) for state in self._table)

    def _state(self, value: Any) -> Any:
        """The state of this value, None for none: an update may name it by its value."""
        return next((state for state in self._table if getattr(state, "value", state) == value), None)

    def _demand(self, draft: Any, value: Any, *, absent: bool, same: bool = False) -> None:
        after = self._state(value)
        before = [state for state, following in self._table.items() if after in following or (same and state == after)]
        if after is None and draft.verb != "put":
            raise ValidationError(
                f"{self._model}.{self._name} is a state, and is neither removed nor anything else: set it to one of {self._states()}",
                field=self._name,
            )
        condition = (
            self._path.in_(before) if before else self._path == after
        )  # nothing leads there: never true beside the next term
        if not before:
            condition &= self._path != after
        if absent:
            condition |= self._path.not_exists()
        draft.require(condition)
        names = {str(getattr(state, "value", state)) for state in before}
        shown = str(getattr(after, "value", after))

        def tell(stored: dict[str, Any], info: dict[str, Any]) -> DynamORMError | None:
            found = stored.get(self._stored, {}).get("S", "")
            if found in names or (absent and not found):
                return None
            return ForbiddenTransition(
                f"a {self._model} whose {self._name} is {found or 'missing'!r} may not become {shown!r}",
                before=found,
                after=shown,
                **info,
            )

        draft.refused_by(tell)
