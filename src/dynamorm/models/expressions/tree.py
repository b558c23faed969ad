"""What conditions and updates are made of: immutable trees, and the questions one may ask of them.

They are built by `dynamorm.models.expressions.path.Path` and turned to text by `dynamorm.models.expressions.compile`. This module must know
neither wire types nor DynamoDB's grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Never, NoReturn, TypeAlias

from msgspec import Struct

from dynamorm.errors import InvalidUse, ValidationError
from dynamorm.models.schema.schema import Field

UpdateKind: TypeAlias = Literal[
    "set",
    "remove",
    "compute",
    "if_not_exists",
    "append",
    "prepend",
    "append_or_create",
    "extend",
    "extend_or_create",
    "add",
    "first_of",
    "add_to_set",
    "delete_from_set",
]
Part: TypeAlias = Field | int | str

_COMBINE = (
    "combine conditions with & | ~ (each comparison in parentheses), not with and, or, not or a chained a < b < c"
)


class Node:
    """Whatever is part of an expression and not a plain value; one check on it tells the two apart."""

    __slots__ = ()


class Wire(Node):
    """A value that is already encoded; it goes into the request untouched.

    Example: ``system_path("_wt").set(Wire({"B": "q83vEg=="}))``
    """

    __slots__ = ("value",)

    def __init__(self, value: dict[str, Any]) -> None:
        self.value: dict[str, Any] = value

    def __repr__(self) -> str:
        return "<Wire ?>"


class Location(Node):
    """A place in an item. ``parts`` starts with the root `Field`; then nested Fields, list indexes and map keys."""

    __slots__ = ("field", "parts")

    field: Field
    parts: tuple[Part, ...]

    @property
    def name(self) -> str:
        """The place in the words of the model, e.g. ``address.city`` or ``lines[0].price``."""
        parts = self.parts
        text = self.field.name
        for part in parts[1:]:
            text += f"[{part}]" if isinstance(part, int) else f".{part if isinstance(part, str) else part.name}"
        return text

    @property
    def stored(self) -> tuple[str | int, ...]:
        """The place in the words of the table: stored names, map keys and list indexes."""
        return tuple(part.stored if isinstance(part, Field) else part for part in self.parts)


class Computed(Node):
    """What DynamoDB computes of attributes: ``P.b + 1``, ``P.b - P.c``, ``P.b.concat(P.c)``, for ``.set(...)`` of an attribute.

    ``op`` is ``+``, ``-`` or ``list_append``, of two ``operands``: places, numbers or lists. ``starts``: what each counts as
    while it is missing, where the library says so.

    Example: ``Payment.total.set(Payment.amount + Payment.fee)``
    """

    __slots__ = ("op", "operands", "starts")

    def __init__(self, op: str, operands: tuple[Any, Any], starts: tuple[Any, ...] = (None, None)) -> None:
        self.op: str = op
        self.operands: tuple[Any, Any] = operands
        self.starts: tuple[Any, ...] = starts

    @property
    def sources(self) -> tuple[Location, ...]:
        """The places that it is computed of."""
        return tuple(one for one in self.operands if isinstance(one, Location))

    @property
    def shown(self) -> str:
        """It in the words of the model, without any value."""
        left, right = (_operand(one) for one in self.operands)
        return f"{left}.concat({right})" if self.op == "list_append" else f"{left} {self.op} {right}"

    def __bool__(self) -> NoReturn:
        raise InvalidUse(f"{self.shown} is computed in the database: its value is not known here")

    def __repr__(self) -> str:
        return f"<Computed {self.shown}>"


def refuse(where: Location, problem: str, *codes: str) -> ValidationError:
    """The error that says what is wrong with an expression on this place, without any value.

    ``codes`` are the portable codes that it has besides its own.
    """
    return ValidationError(f"{where.name}: {problem}", field=where.name, codes=codes)


class Condition(Struct, Node, frozen=True, eq=False):
    """What must be true of an item. Built from paths, combined with ``&``, ``|`` and ``~``; never changed.

    ``op`` is AND, OR or NOT here and ``operands`` are conditions; a leaf of the tree is a `Comparison`.

    Raises: InvalidUse when used as a bool, since ``and``, ``or`` and ``not`` cannot be overloaded.

    Example: ``(Payment.amount > 5) & ~(Payment.currency == "USD")``
    """

    op: str
    operands: tuple[Any, ...]

    if TYPE_CHECKING:
        # What may be a key is hashable: so type checkers tell a condition from the key and the updates of `update`.
        __hash__: ClassVar[None]  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleMethodOverride]

    def __and__(self, other: Condition) -> Condition:
        return _group("AND", self, other)

    def __or__(self, other: Condition) -> Condition:
        return _group("OR", self, other)

    def __invert__(self) -> Condition:
        # ~~x is x: DynamoDB knows only true and false, and every NOT saved is one of 300 operators.
        return self.operands[0] if self.op == "NOT" else Condition("NOT", (self,))

    def __rand__(self, other: Never) -> NoReturn:
        raise not_a_condition(other)

    __ror__ = __rand__

    def __bool__(self) -> NoReturn:
        raise InvalidUse(f"a condition is neither true nor false until DynamoDB has seen the item: {_COMBINE}")

    def __repr__(self) -> str:
        return f"<Condition {_show(self)}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("", _show(self))]  # msgspec's own would show the operands, which are values of the item


class Comparison(Condition, frozen=True, eq=False):
    """A condition on one path.

    ``op`` is one of ``= <> < <= > >= BETWEEN IN begins_with contains attribute_type`` with operands;
    ``equals`` of what is found by an attribute beside it, ``attribute_exists attribute_not_exists``, ``null``, ``not null`` without; ``size =`` ... ``size BETWEEN``.

    Example: ``[term.op for term in terms(condition) if isinstance(term, Comparison) and term.path.field is key]``
    """

    path: Location


class Update(Struct, Node, frozen=True, eq=False):
    """One change to one place of an item; built by the methods of a path, never changed.

    ``kind`` is the method's name, but for sets (``add_to_set``, ``delete_from_set``). ``start`` is a `Wire` that the
    library puts there: what a missing attribute counts as, where the change is computed from it. For ``set`` and
    ``if_not_exists`` of another attribute it is what that one counts as.
    The library's own ``first_of`` keeps what is there: its value are the places that are looked at next, and what is set
    if there is none. ``where`` is what must be true of the item for the change to be right, beside the caller's condition; ``also``
    are changes that go along.

    Example: ``Payment.amount.add(5).kind == "add"``
    """

    kind: UpdateKind
    path: Location
    value: Any = None
    start: Any = None
    where: Condition | None = None
    also: tuple[Update, ...] = ()

    def only_if(self, condition: Condition) -> Update:
        """The same change, which is refused together with its whole update where the condition is not true.

        Example: ``Payment.refunded.add(5).only_if(Payment.currency == "EUR")``
        """
        if not isinstance(condition, Condition):
            raise not_a_condition(condition)
        wanted = condition if self.where is None else self.where & condition
        return Update(self.kind, self.path, self.value, self.start, wanted, self.also)

    def together_with(self, other: Update) -> Update:
        """The same change and another one, as one: for a value that is kept in several attributes."""
        if not isinstance(other, Update):
            raise not_an_update(other)
        return Update(self.kind, self.path, self.value, self.start, self.where, (*self.also, other))

    @property
    def absolute(self) -> bool:
        """Whether it says what is there afterwards, whatever was there before, so that it may be applied twice.

        Not so for adding numbers and list elements, for anything computed from another attribute, and for an update
        that ends in a list index: removing ``[0]`` again removes the next one, and setting beyond the end appends. Nor
        for elements of a set, whose changes by others stand beside it: a copy that comes late would undo one of them.
        """
        return (
            self.kind in _REPEATABLE
            and not isinstance(self.value, Location)
            and not isinstance(self.path.parts[-1], int)
        )

    def __repr__(self) -> str:
        return f"<Update {self._show()}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return [("", self._show())]

    def _show(self) -> str:
        shown = "" if self.kind == "remove" else _operand(self.value)
        return f"{self.path.name}.{'set' if self.kind == 'compute' else self.kind}({shown})"


_REPEATABLE = frozenset({"set", "remove", "if_not_exists"})


def _group(op: str, left: Condition, right: Condition) -> Condition:
    if not isinstance(right, Condition):
        raise not_a_condition(right)
    # Groups stay flat, so that a chain of hundreds of terms is no deeper than one of two.
    first = left.operands if left.op == op else (left,)
    second = right.operands if right.op == op else (right,)
    return Condition(op, first + second)


def not_a_condition(found: object) -> ValidationError:
    """The error for something that stands where a condition belongs."""
    if isinstance(found, bool):
        return ValidationError(
            "expected a condition, got a bool: you compared an attribute of an instance (payment.amount > 5), or by `is`"
            " or `in`; compare the attribute of the class (Payment.amount > 5), by == None and .in_([...])"
        )
    if isinstance(found, Update):
        return ValidationError(f"expected a condition, got an update of {found.path.name}: pass it to update()")
    if isinstance(found, Location):
        return ValidationError(
            f"expected a condition, got the attribute {found.name}: compare it, as in `== True` or .exists()"
        )
    if isinstance(found, Computed):
        return ValidationError(f"expected a condition, got {found.shown}: DynamoDB computes in updates only")
    return ValidationError(f"expected a condition such as Payment.amount > 5, got {type(found).__name__}")


def not_an_update(found: object) -> ValidationError:
    """The error for something that stands where an update belongs."""
    if isinstance(found, Condition):
        return ValidationError("expected an update, got a condition: pass it as condition=..., or use .set(value)")
    if isinstance(found, Location):
        return ValidationError(f"expected an update, got the attribute {found.name}: say what to do, as in .set(value)")
    if isinstance(found, Computed):
        return ValidationError(f"expected an update, got {found.shown}: say where it goes, as in .set({found.shown})")
    return ValidationError(f"expected an update such as Payment.amount.set(6), got {type(found).__name__}")


def terms(condition: Condition) -> tuple[Condition, ...]:
    """The conditions that must all be true: the terms of the outermost AND, or the condition itself.

    Raises: ValidationError when it is not a condition.

    Example: ``terms((P.id == "x") & (P.amount > 5))`` has two terms, in that order.
    """
    if not isinstance(condition, Condition):
        raise not_a_condition(condition)
    return condition.operands if condition.op == "AND" else (condition,)


def paths(expression: Condition | Update) -> tuple[Location, ...]:
    """Every path an expression names, operands too, in order, each place once; ``.field`` is its root field.

    Example: ``{path.field.name for path in paths((P.amount > P.fee) & P.note.exists())}``
    """
    # Two models may have attributes of one name, so a place is known by its root field too.
    found: dict[tuple[Any, ...], Location] = {}
    waiting: list[Any] = [expression]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Location):
            found.setdefault((id(one.field), *one.stored), one)
        elif isinstance(one, Update):
            waiting += (*reversed(one.value.operands), one.path) if one.kind == "compute" else (one.value, one.path)
        elif isinstance(one, Comparison):
            waiting += (*reversed(one.operands), one.path)
        elif isinstance(one, Condition):
            waiting += reversed(one.operands)
    return tuple(found.values())


def _operand(value: object) -> str:
    if isinstance(value, Computed):
        return value.shown
    return value.name if isinstance(value, Location) else "?"


def _show(condition: Condition) -> str:
    """The condition in the words of the model, without any value."""
    op = condition.op
    if not isinstance(condition, Comparison):
        inner = [
            f"({_show(one)})" if one.op in {"AND", "OR"} or op == "NOT" else _show(one) for one in condition.operands
        ]
        return f"NOT {inner[0]}" if op == "NOT" else f" {op} ".join(inner)
    left = condition.path.name
    if op.startswith("size "):
        left, op = f"size({left})", op[5:]
    values = [_operand(value) for value in condition.operands]
    if op == "BETWEEN":
        return f"{left} BETWEEN {values[0]} AND {values[1]}"
    if op == "IN":
        return f"{left} IN ({', '.join(values)})"
    if op in {"null", "not null"}:
        return f"{left} is {op}"
    if op == "equals":
        return f"{left} equals {values[0]}"
    if op[0] in "=<>":
        return f"{left} {op} {values[0]}"
    return f"{op}({', '.join([left, *values])})"
