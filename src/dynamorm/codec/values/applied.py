"""An update applied to a value here, as DynamoDB applies it there: for a place that DynamoDB cannot begin from itself.

Values are wire values with the places inside them by stored names. It must not know verbs, nor models.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, Final, TypeAlias

from dynamorm.codec.types.document import bytes_of
from dynamorm.codec.types.numbers import decimal_text
from dynamorm.models.expressions.elements import CREATING, LISTS, SEVERAL

Wire: TypeAlias = dict[str, Any]

_EXACT: Final = Context(prec=400)
"""Adds any two numbers of DynamoDB's without rounding; a sum of more than 38 digits is refused when it is written."""


class NoPlace(Exception):
    """There is nothing at the place of which the path names a part, or something of another type."""


def applied(held: Wire | None, steps: tuple[str | int, ...], kind: str, value: Wire | None, start: Wire | None) -> Any:
    """What a place holds after a change to what lies ``steps`` inside it; None: nothing.

    ``held`` is what it holds before, and is left as it is. ``value`` is the operand (of several elements of a list: what
    comes to stand in ``front`` of it, and at its ``back``); ``start`` what the innermost place
    counts as when it is missing.

    Raises: NoPlace; Mismatch for a number that DynamoDB does not take.
    """
    if not steps:
        return _changed(held, kind, value, start)
    first, *rest = steps
    inside = {} if held is None else held
    if isinstance(first, int):
        return _in_list(inside, first, tuple(rest), kind, value, start)
    if "M" not in inside:
        raise NoPlace
    entries = dict(inside["M"])
    if rest and first not in entries:
        raise NoPlace
    found = applied(entries.get(first), tuple(rest), kind, value, start)
    entries.pop(first, None) if found is None else entries.__setitem__(first, found)
    return {"M": entries}


def _in_list(
    inside: Wire, at: int, rest: tuple[str | int, ...], kind: str, value: Wire | None, start: Wire | None
) -> Wire:
    if "L" not in inside:
        raise NoPlace
    elements = list(inside["L"])
    known = at < len(elements)
    if rest and not known:
        raise NoPlace
    found = applied(elements[at] if known else None, rest, kind, value, start)
    if found is None:
        del elements[at : at + 1]
    elif known:
        elements[at] = found
    else:  # DynamoDB puts what lies beyond the end at the end
        elements.append(found)
    return {"L": elements}


def _changed(held: Wire | None, kind: str, value: Wire | None, start: Wire | None) -> Wire | None:
    if kind in {"set", "remove"}:
        return value
    if held is not None and "NULL" in held:
        held = start = None
    if kind == "if_not_exists":
        return value if held is None else held
    held = start if held is None else held
    assert value is not None  # every other kind has an operand
    if kind == "add":
        before = "0" if held is None else _of_type(held, "N")
        return {"N": decimal_text(_EXACT.add(Decimal(before), Decimal(value["N"])))}
    if kind in LISTS:
        if held is None and kind not in CREATING:
            raise NoPlace
        elements = [] if held is None else _of_type(held, "L")
        if kind in SEVERAL:
            return {"L": [*value.get("front", ()), *elements, *value.get("back", ())]}
        return {"L": [value, *elements] if kind == "prepend" else [*elements, value]}
    return _set_changed(held, kind, value)


def _set_changed(held: Wire | None, kind: str, value: Wire) -> Wire | None:
    """A set with elements more or fewer; an empty one is NULL."""
    ((tag, given),) = value.items()
    elements = [] if held is None or "NULL" in held else _of_type(held, tag)
    named = {_name(tag, one) for one in given}
    others = [one for one in elements if _name(tag, one) not in named]
    found = sorted([*others, *given]) if kind == "add_to_set" else others
    return {tag: found} if found else {"NULL": True}


def _of_type(held: Wire, tag: str) -> Any:
    """The payload of a value, of which only this type can be changed so: a document may hold any other."""
    if tag not in held:
        raise NoPlace
    return held[tag]


def _name(tag: str, element: Any) -> Any:
    """What tells the elements of a set apart."""
    return Decimal(element) if tag == "NS" else bytes_of(element) if tag == "BS" else element
