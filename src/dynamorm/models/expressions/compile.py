"""Conditions, updates and projections as DynamoDB's text, with every name and value behind a placeholder.

Values are turned into wire values by the `Encode` it is given; it must know no type of value and no verb. The only wire
form written here is the list around an appended element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

from dynamorm.errors import ExpressionTooLarge, ValidationError

from .check import COUNT_FROM, MAX_TEXT, check_overlap, check_paths, check_size, check_updates, too_long
from .elements import Elements
from .tree import Comparison, Computed, Condition, Location, Node, Update, Wire, not_a_condition, not_an_update, refuse

__all__ = [
    "Encode",
    "Placeholders",
    "What",
    "check_paths",
    "check_updates",
    "condition_text",
    "key_terms_text",
    "projection_text",
    "update_text",
]

What: TypeAlias = Literal[
    "value", "element", "members", "number", "string", "order", "prefix", "size", "other", "equals", "type", "inside"
]


class Encode(Protocol):
    """How a codec gives this module its wire values.

    ``what`` says what the value is to the attribute: ``"value"``: a value of the attribute itself; ``"element"``: an
    element of it (or a part of a string); ``"members"``: a set of elements that is added to it or taken out; ``"number"``: a number whatever the attribute is (sizes, what is added);
    ``"string"``: a text whatever the attribute is; ``"order"``: a value of the attribute, to be compared by ``<`` and the
    like; ``"prefix"``: what it may begin with; ``"size"``: a number that its size is compared with. The last three are
    asked of an attribute that is compared with another too, for whether they can be; a size of None asks for the wire
    value under which the attribute is empty, where that is no value with a size. ``"other"``: the attribute is the other side of a comparison, or taken over; the value
    is the place on this side, and the answer is None. ``"equals"``: what is stored beside the attribute for values that are
    equal, by its stored name: a list of wire values, one of which it has. ``"type"``: the name of a type that it is stored as.
    ``"inside"``: a place inside an attribute is named, whatever is asked of it; the answer is None. None as a result means: such a value is never stored (it is left
    out), so setting it removes the attribute, and equal to it is what is missing.

    Example: ``encode(Payment.amount, 5, "value") == {"N": "5"}``
    """

    def __call__(self, path: Location, value: Any, what: What, /) -> dict[str, Any] | None:
        """The wire value of ``value``, or None when it is one that is never stored."""
        ...


class Placeholders:
    """The placeholders of one request. Every expression of the request takes its own from this one object.

    ``names`` and ``values`` become ExpressionAttributeNames and ExpressionAttributeValues; DynamoDB refuses either
    when empty, so leave an empty one out.

    Example: ``Placeholders().name("status") == "#n0"``
    """

    __slots__ = ("_known", "names", "values")

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.names: dict[str, str] = {}
        self.values: dict[str, Any] = {}

    def name(self, stored: str) -> str:
        """The placeholder of an attribute's stored name: one for each name, and letter case counts."""
        text = self._known.get(stored)
        if text is None:
            self._known[stored] = text = f"#n{len(self._known)}"
            self.names[text] = stored
        return text

    def value(self, wire: dict[str, Any]) -> str:
        """A new placeholder for a wire value."""
        text = f":v{len(self.values)}"
        self.values[text] = wire
        return text

    def __repr__(self) -> str:
        return f"<Placeholders: {len(self.names)} names, {len(self.values)} values>"


def condition_text(condition: Condition, placeholders: Placeholders, encode: Encode) -> str:
    """The text of a condition or filter expression; it may be put into parentheses to be joined with other text.

    Raises: ValidationError when it is not a condition, or a value is refused; ExpressionTooLarge over 4 KB or 300 operators.

    Example: ``condition_text(P.amount > 5, placeholders, encode) == "#n0 > :v0"``
    """
    if not isinstance(condition, Condition):
        raise not_a_condition(condition)
    try:
        text = _condition(condition, placeholders, encode)
    except RecursionError:
        raise ExpressionTooLarge("the condition is nested too deep; join equal terms with one kind of & or |") from None
    if len(text) >= COUNT_FROM:
        check_size("condition", text, [condition])
    if isinstance(condition, Comparison) and text.startswith("("):
        return text[1:-1]  # DynamoDB refuses ((...)), which a caller's own parentheses would make of a null form
    return text


def update_text(updates: Sequence[Update], placeholders: Placeholders, encode: Encode) -> str:
    """The text of an update expression: SET, REMOVE, ADD, DELETE, in each the updates in the order given.

    Raises: ValidationError when there is no update, one is not an update, or two touch the same place;
    ExpressionTooLarge over 4 KB or 300 operators.

    Example: ``update_text([P.amount.add(5), P.note.remove()], placeholders, encode) == "REMOVE #n1 ADD #n0 :v0"``
    """
    sets: list[str] = []
    removes: list[str] = []
    adds: list[str] = []
    deletes: list[str] = []
    roots: set[str] = set()
    for update in updates:
        if not isinstance(update, Update):
            raise not_an_update(update)
        path, kind = update.path, update.kind
        roots.add(path.field.stored)
        left = placeholders.name(path.field.stored) if len(path.parts) == 1 else _path(path, placeholders)
        if kind == "remove":
            removes.append(left)
        elif kind == "set":
            value = _operand(path, update.value, "value", placeholders, encode)
            if value is not None and update.start is not None:
                value = _held(value, update.start, placeholders)
            if value is None:
                if isinstance(path.parts[-1], int):
                    raise refuse(
                        path, "the value is one that is left out; removing a list element would move the others"
                    )
                removes.append(left)
            else:
                sets.append(f"{left} = {value}")
        elif kind == "add" and update.start is None and len(path.parts) == 1:
            adds.append(f"{left} {_needed(path, update.value, 'number', placeholders, encode)}")
        elif kind == "add_to_set":
            adds.append(f"{left} {_needed(path, update.value, 'members', placeholders, encode)}")
        elif kind == "delete_from_set":
            deletes.append(f"{left} {_needed(path, update.value, 'members', placeholders, encode)}")
        elif kind == "if_not_exists":
            value = _needed(path, update.value, "value", placeholders, encode)
            sets.append(f"{left} = if_not_exists({left}, {_held(value, update.start, placeholders)})")
        else:
            held = _held(left, update.start or _STARTS.get(kind), placeholders)
            sets.append(f"{left} = {_COMPUTED[kind](held, path, update.value, placeholders, encode)}")
    if not roots:
        raise ValidationError("no update was given: pass at least one, such as Payment.amount.set(6)")
    if len(roots) < len(updates):
        check_overlap([update.path for update in updates])
    text = _clauses(sets, removes, adds, deletes)
    if len(text) >= COUNT_FROM:
        check_size("update", text, updates)
    return text


def _clauses(sets: list[str], removes: list[str], adds: list[str], deletes: list[str]) -> str:
    clauses: list[str] = []
    if sets:
        clauses.append("SET " + ", ".join(sets))
    if removes:
        clauses.append("REMOVE " + ", ".join(removes))
    if adds:
        clauses.append("ADD " + ", ".join(adds))
    if deletes:
        clauses.append("DELETE " + ", ".join(deletes))
    return " ".join(clauses)


def projection_text(wanted: Sequence[Location], placeholders: Placeholders) -> str:
    """The text of a projection expression. A path given twice counts once.

    Raises: ValidationError when there is none, one is not a path, or one lies inside another; ExpressionTooLarge over 4 KB.

    Example: ``projection_text([P.id, P.address[Address.city]], placeholders) == "#n0, #n1.#n2"``
    """
    for one in wanted:
        if not isinstance(one, Location):
            raise ValidationError(f"expected an attribute such as Payment.amount, got {type(one).__name__}")
    single = list({one.stored: one for one in wanted}.values())
    if not single:
        raise ValidationError("no attribute was selected: name at least one")
    if len({one.field.stored for one in single}) < len(single):
        check_overlap(single)
    text = ", ".join([_path(one, placeholders) for one in single])
    if len(text) > MAX_TEXT:
        raise too_long("projection", text, single[-1])
    return text


def key_terms_text(chosen: Sequence[Comparison], placeholders: Placeholders, encode: Encode) -> str:
    """The text of a key condition whose terms were chosen for a key, in its order: they are not checked again.

    Raises: ValidationError when a value is refused.

    Example: ``key_terms_text([P.id == "x"], placeholders, encode) == "#n0 = :v0"``
    """
    text = _key_term(chosen[0], placeholders, encode)
    for term in chosen[1:]:
        text += " AND " + _key_term(term, placeholders, encode)
    return text


def _key_term(term: Comparison, placeholders: Placeholders, encode: Encode) -> str:
    text = _condition(term, placeholders, encode)
    if text.startswith("("):  # the null form, for a value that is never stored
        raise refuse(term.path, "no item has this key: an empty value is left out of the key of an index")
    return text


def _path(path: Location, placeholders: Placeholders) -> str:
    text = placeholders.name(path.field.stored)
    if len(path.parts) > 1:
        for part in path.parts[1:]:
            if isinstance(part, int):
                text += f"[{part}]"
            else:
                text += "." + placeholders.name(part if isinstance(part, str) else part.stored)
    return text


_OF_TYPES: Final = frozenset({"order", "size"})
"""What can be said of values of some types only."""


def _operand(path: Location, value: Any, what: What, placeholders: Placeholders, encode: Encode) -> str | None:
    """The text of an operand, or None when its value is one that is never stored."""
    if not isinstance(value, Node):
        wire = encode(path, value, what)
        return None if wire is None else placeholders.value(wire)
    if isinstance(value, Location):
        encode(value, path, "other")
        if value.parts[1:]:
            encode(value, None, "inside")
        if what in _OF_TYPES:
            encode(path, value, what)
        return _path(value, placeholders)
    if isinstance(value, Wire):
        return placeholders.value(value.value)
    if isinstance(value, Computed):
        raise refuse(path, f"{value.shown} is computed in updates only, by .set({value.shown}), and in no other place")
    raise refuse(path, f"a {type(value).__name__.lower()} is not a value")


def _needed(path: Location, value: Any, what: What, placeholders: Placeholders, encode: Encode) -> str:
    text = _operand(path, value, what, placeholders, encode)
    if text is None:
        raise refuse(path, "the value is one that is left out of the item, so it has no place here; use == or .set()")
    return text


def _condition(condition: Condition, placeholders: Placeholders, encode: Encode) -> str:
    if isinstance(condition, Comparison):
        if condition.path.parts[1:]:  # a slice costs less than a call of len
            encode(condition.path, None, "inside")
        return (
            _binary(condition, placeholders, encode)
            if condition.op in _BINARY
            else _function(condition, placeholders, encode)
        )
    op = condition.op
    if op == "NOT":
        text = _condition(condition.operands[0], placeholders, encode)
        # DynamoDB refuses ((...)) as redundant, and the two null forms bring their own parentheses.
        return f"NOT {text}" if text.startswith("(") and condition.operands[0].op not in _GROUPS else f"NOT ({text})"
    inner = []
    for one in condition.operands:
        text = _condition(one, placeholders, encode)
        inner.append(f"({text})" if one.op in _GROUPS else text)
    return f" {op} ".join(inner)


_GROUPS: Final = frozenset({"AND", "OR"})
_EQUAL: Final = frozenset({"=", "<>"})
_BINARY: Final = _EQUAL | {"<", "<=", ">", ">="}


def _binary(term: Comparison, placeholders: Placeholders, encode: Encode) -> str:
    path, op = term.path, term.op
    left = placeholders.name(path.field.stored) if len(path.parts) == 1 else _path(path, placeholders)
    what: What = "value" if op in _EQUAL else "order"
    right = _operand(path, term.operands[0], what, placeholders, encode)
    if right is not None:
        if right == left:
            raise _itself(path)
        return f"{left} {op} {right}"
    if op == "=":
        return _null(path, left, placeholders, encode)
    if op == "<>":
        return _not_null(path, left, placeholders, encode)
    raise refuse(path, "the value is one that is left out of the item, so it has no order; use == or !=")


def _function(term: Comparison, placeholders: Placeholders, encode: Encode) -> str:
    path, op, operands = term.path, term.op, term.operands
    if op == "equals":
        return _beside(path, operands[0], placeholders, encode)
    left = _path(path, placeholders)
    if op == "null":
        return _null(path, left, placeholders, encode)
    if op == "not null":
        return _not_null(path, left, placeholders, encode)
    if not operands:
        return f"{op}({left})"
    what: What = "value"
    if op.startswith("size "):
        return _size(term, left, op[5:], placeholders, encode)
    if op == "contains":
        what = "element"
    elif op == "BETWEEN":
        what = "order"
    elif op == "begins_with":
        what = "prefix"
    elif op == "attribute_type":
        what = "type"
    right = [_needed(path, one, what, placeholders, encode) for one in operands]
    if left in right:
        raise _itself(path)
    if op == "BETWEEN":
        return f"{left} BETWEEN {right[0]} AND {right[1]}"
    if op == "IN":
        return f"{left} IN ({', '.join(right)})"
    return f"{op}({left}, {right[0]})"


def _size(term: Comparison, left: str, op: str, placeholders: Placeholders, encode: Encode) -> str:
    """The text of a comparison of a size. What is missing or NULL where NULL is the empty set has the size 0."""
    path, operands = term.path, term.operands
    right = [_needed(path, one, "size", placeholders, encode) for one in operands]
    text = _compared(f"size({left})", op, right)
    empty = encode(path, None, "size")
    if empty is None:
        return text
    known = all(isinstance(one, int) for one in operands)
    if known and op != "<>" and not _is_true(op, operands):
        return text
    kind = _needed(path, next(iter(empty)), "string", placeholders, encode)
    if known and _is_true(op, operands):
        return f"({text} OR attribute_not_exists({left}) OR attribute_type({left}, {kind}))"
    if known:  # NULL has no size, and so another size than any
        return f"({text} AND attribute_exists({left}) AND NOT attribute_type({left}, {kind}))"
    zero = _compared(_needed(path, 0, "size", placeholders, encode), op, right)
    there = f"attribute_exists({left}) AND NOT attribute_type({left}, {kind}) AND {text}"
    return f"(({there}) OR ((attribute_not_exists({left}) OR attribute_type({left}, {kind})) AND {zero}))"


def _beside(path: Location, value: Any, placeholders: Placeholders, encode: Encode) -> str:
    """The text of a comparison by what is stored beside the attribute."""
    found: dict[str, Any] = encode(path, value, "equals") or {}
    ((stored, wires),) = found.items()
    left, right = placeholders.name(stored), [placeholders.value(wire) for wire in wires]
    return f"{left} = {right[0]}" if len(right) == 1 else f"{left} IN ({', '.join(right)})"


def _compared(left: str, op: str, right: list[str]) -> str:
    return f"{left} BETWEEN {right[0]} AND {right[1]}" if op == "BETWEEN" else f"{left} {op} {right[0]}"


def _is_true(op: str, operands: tuple[Any, ...]) -> bool:
    """Whether a comparison is true of a size of 0."""
    first = operands[0]
    if op == "BETWEEN":
        return bool(first <= 0 <= operands[1])
    return bool(
        {"=": first == 0, "<>": first != 0, "<": first > 0, "<=": first >= 0, ">": first < 0, ">=": first <= 0}[op]
    )


def _itself(path: Location) -> ValidationError:
    return refuse(path, "is compared with itself, which DynamoDB refuses; for what is always true use .exists()")


def _null(path: Location, left: str, placeholders: Placeholders, encode: Encode) -> str:
    kind = _needed(path, "NULL", "string", placeholders, encode)
    return f"(attribute_not_exists({left}) OR attribute_type({left}, {kind}))"


def _not_null(path: Location, left: str, placeholders: Placeholders, encode: Encode) -> str:
    kind = _needed(path, "NULL", "string", placeholders, encode)
    return f"(attribute_exists({left}) AND NOT attribute_type({left}, {kind}))"


def _held(place: str, start: Wire | None, placeholders: Placeholders) -> str:
    """The text of what a place holds; while it is missing it counts as ``start``, if there is one."""
    return place if start is None else f"if_not_exists({place}, {placeholders.value(start.value)})"


def _add(held: str, path: Location, value: Any, placeholders: Placeholders, encode: Encode) -> str:
    # AWS documents ADD for top-level attributes only. This says the same of any path.
    # Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
    return f"{held} + {_needed(path, value, 'number', placeholders, encode)}"


def _first_of(left: str, path: Location, value: Any, placeholders: Placeholders, encode: Encode) -> str:
    others, last = value
    text = _needed(path, last, "value", placeholders, encode)
    for one in reversed(others):
        text = f"if_not_exists({_path(one, placeholders)}, {text})"
    return f"if_not_exists({left}, {text})"


def _list(path: Location, values: Sequence[Any], placeholders: Placeholders, encode: Encode) -> str:
    """A list of elements, as list_append needs it."""
    wires: list[dict[str, Any]] = []
    for value in values:
        if isinstance(value, (Location, Condition, Update)):
            raise refuse(path, "only a value can be put into a list, not an attribute or an expression")
        wire = value.value if isinstance(value, Wire) else encode(path, value, "element")
        if wire is None:
            raise refuse(path, "the element is one that is left out, so it cannot be put into a list")
        wires.append(wire)
    return placeholders.value({"L": wires})


def _append(held: str, path: Location, value: Any, placeholders: Placeholders, encode: Encode) -> str:
    return f"list_append({held}, {_list(path, (value,), placeholders, encode)})"


def _prepend(held: str, path: Location, value: Any, placeholders: Placeholders, encode: Encode) -> str:
    return f"list_append({_list(path, (value,), placeholders, encode)}, {held})"


def _extend(held: str, path: Location, value: Elements, placeholders: Placeholders, encode: Encode) -> str:
    more = _list(path, value.values, placeholders, encode)
    return f"list_append({more}, {held})" if value.in_front else f"list_append({held}, {more})"


def _compute(_: str, path: Location, value: Computed, placeholders: Placeholders, encode: Encode) -> str:
    texts: list[str] = []
    for operand, start in zip(value.operands, value.starts, strict=True):
        if isinstance(operand, Location):
            encode(operand, path, "other")
            texts.append(_held(_path(operand, placeholders), start, placeholders))
        elif value.op == "list_append":
            texts.append(_list(path, operand, placeholders, encode))
        else:
            texts.append(_needed(path, operand, "number", placeholders, encode))
    left, right = texts
    return f"list_append({left}, {right})" if value.op == "list_append" else f"{left} {value.op} {right}"


_COMPUTED: Final[dict[str, Callable[[str, Location, Any, Placeholders, Encode], str]]] = {
    "add": _add,
    "compute": _compute,
    "first_of": _first_of,
    "append": _append,
    "prepend": _prepend,
    "append_or_create": _append,
    "extend": _extend,
    "extend_or_create": _extend,
}

_STARTS: Final = {
    "add": Wire({"N": "0"}),
    "append_or_create": Wire({"L": []}),
    "extend_or_create": Wire({"L": []}),
}
"""What a missing attribute counts as where the model does not say."""
