"""Generated looks at decoded items: whether the texts by which rules know what they keep are those of an item.

They read what the typed decoder has read already, so that an item costs some ten nanoseconds. Whatever is not as they expect is
left to the rules themselves. It must not know which rules there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U

from dynamorm.codec.types.shapes import GENERIC
from dynamorm.codec.types.source import Source

if TYPE_CHECKING:
    from dynamorm.codec.types.records import Record
    from dynamorm.models.schema.rules import KnownText

Looks = tuple[Callable[[Any], bool], Callable[[list[Any]], bool]]
"""Whether one item, and whether each of many, is surely kept; they raise what they like for one that is of another form."""

_MOST: Final = 64
_made: Final[dict[Any, Callable[..., Looks]]] = {}


def looks_at(record: Record, known: Sequence[KnownText]) -> Looks | None:
    """The functions that look at wire structs of a record; None where it does not read the attributes as texts."""
    places: list[str] = []
    for one in known:
        place = _place(record, one.name)
        if place is None:
            return None
        places.append(place)
    form = tuple((place, _kind(one), one.may_be_missing) for place, one in zip(places, known, strict=True))
    make = _made.get(form)
    if make is None:
        if len(_made) >= _MOST:
            _made.clear()
        make = _made[form] = _compiled(form)
    return make(*(text for one in known for text in (one.text, one.start if one.without is None else one.without)))


def _kind(one: KnownText) -> str:
    """How a text is looked at."""
    return "without" if one.without is not None else "is" if one.start is None else "starts"


def _place(record: Record, stored: str) -> str | None:
    """How the text of an attribute is found in a wire struct, behind the name of the struct."""
    struct = record.struct()
    for name, encoded in zip(struct.__struct_fields__, struct.__struct_encode_fields__, strict=True):
        if encoded == stored:
            plan = record.plan(stored)
            if plan is None or plan.unstored is not None:
                return None
            if plan in record.computed:
                return f"{name}.S"
            if plan.wire() is GENERIC:
                return f'{name}["S"]'
            return f"{name}.S" if plan.shape.tag == "S" and plan.shape.payload() is str else None
    return None


def _compiled(form: tuple[tuple[str, str, bool], ...]) -> Callable[..., Looks]:
    """The function that makes both for texts: its arguments are, for each attribute, the text and what it may begin with."""
    source = Source()
    unset = source.bind("U", U)
    names = [(f"t{at}", f"s{at}") for at in range(len(form))]
    befores = [f"l{at} = None" for at, (_, kind, _) in enumerate(form) if kind != "is"]
    one = [line for at, look in enumerate(form) for line in _lines(at, *look, unset)]
    body = [
        "def one(w):",
        *(f"    {line}" for line in befores),
        *(f"    {line}" for line in one),
        "    return True",
        "def each(ws):",
        *(f"    {line}" for line in befores),  # in one partition a text is mostly that of the item before
        "    for w in ws:",
        *(f"        {line}" for line in one),
        "        pass",
        "    return True",
        "return one, each",
    ]
    source.define("make", ", ".join(name for pair in names for name in pair), body)
    source.compile("known texts")
    made: Callable[..., Looks] = source.names["make"]
    return made


def _lines(at: int, place: str, kind: str, may_be_missing: bool, unset: str) -> list[str]:
    """The lines that leave the function with False unless the text of ``w`` is as it should be."""
    if kind != "is":
        wrong = f"s{at} in x" if kind == "without" else f"x != t{at} and not x.startswith(s{at})"
        lines = [f"x = w.{place}", f"if x != l{at}:", f"    if {wrong}: return False", f"    l{at} = x"]
    else:
        lines = [f"if w.{place} != t{at}: return False"]
    if may_be_missing:
        attribute = place.partition(".")[0].partition("[")[0]
        lines = [f"if w.{attribute} is not {unset}:", *(f"    {line}" for line in lines)]
    return lines
