"""Pages that hold items of several schema versions, with one typed decoder for all of them and generated code around the functions.

It is for upgrades that name their attributes, where these are texts and numbers: all others are decoded as the newest version has
them. Whatever is not plainly as it should be is left to the careful path. The proof that nothing came twice is that of
`dynamorm.codec.replies.reading`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import Raw, Struct, UnsetType, defstruct
from msgspec.json import Decoder
from msgspec.structs import fields as fields_of

from dynamorm.codec.strict import as_sent, dumps, dumps_each, last_key, prove, scanned
from dynamorm.codec.types.document import to_wire
from dynamorm.codec.types.numbers import HIGH, LOW, number_of
from dynamorm.codec.types.scalars import SCALARS
from dynamorm.codec.types.shapes import Scalar
from dynamorm.codec.types.source import Source
from dynamorm.models.schema.schema import MISSING
from dynamorm.models.schema.upgrades import SCHEMA_ATTRIBUTE

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.codec.types.fields import FieldPlan
    from dynamorm.models.schema.upgrades import Upgrade

    from .reading import KeepsRaw, PageParts

_SHORT: Final = 40
"""Characters of a number that is read without more care."""


class _Wire(Struct, gc=False, forbid_unknown_fields=True):
    """A text or a number: what the functions are given of an attribute, and what decoding takes in the place of its own type."""

    S: str | UnsetType = U
    N: str | UnsetType = U


class _Slow(Exception):
    """The careful path decides."""


class MixedPages:
    """Reads the pages of one codec. ``is_mixed`` says whether the last one held older items."""

    def __init__(self, codec: ModelCodec, plans: dict[str, FieldPlan], touched: tuple[str, ...]) -> None:
        self.is_mixed: bool = False
        self._codec = codec
        struct, members = _struct(codec, touched)
        items: Any = list[struct]  # type: ignore[valid-type] # a type made at run time
        fields: Any = [
            ("Items", items),
            ("Count", int),
            ("ScannedCount", int | UnsetType, U),
            ("LastEvaluatedKey", Raw | UnsetType, U),
            ("ConsumedCapacity", Raw | UnsetType, U),
        ]
        self._page: Callable[[bytes], Any] = Decoder(defstruct("MixedPage", fields, kw_only=True, gc=False)).decode
        self._upgrade: Callable[[list[Any]], int] = _upgrading(codec, plans, members)

    def read(
        self, body: bytes, keeps: KeepsRaw | None, make: Callable[[list[Any], list[bytes]], list[Any]]
    ) -> PageParts | None:
        """The page; None where it is for the careful path. Raises: what ``keeps`` raises."""
        places: list[int] | None = None
        try:
            reply = self._page(body)
            items, count = reply.Items, reply.Count
            raws = dumps_each(items)
            reply.Items = []
            length = sum(map(len, raws)) + max(len(raws) - 1, 0) + len(dumps(reply))
            if length != len(body) or count != len(raws):
                return None
            if reply.ConsumedCapacity is not U:
                prove(reply.ConsumedCapacity)
            if raws and self._codec.reading.respells:
                raws = as_sent(body, b'"Items":[', raws, reply.ConsumedCapacity)
            end, looked_at = last_key(reply.LastEvaluatedKey), scanned(reply)
        except Exception:  # noqa: BLE001 - the careful path says what is wrong
            return None
        if keeps is not None:  # before any function sees an item
            places = [at for at, raw in enumerate(raws) if keeps(raw, None)]
            if len(places) == count:
                places = None
            else:
                items, raws = [items[at] for at in places], [raws[at] for at in places]
        try:
            self.is_mixed = self._upgrade(items) > 0
            return make(items, raws), end, count, looked_at, places
        except Exception:  # noqa: BLE001 - as above, and of which item
            return None


def mixed_pages(codec: ModelCodec) -> MixedPages | None:
    """What reads pages of several versions; None where each item has to be looked at with more care."""
    upgrades = codec.upgrades
    if codec.family is not None or codec.renamed or upgrades is None or not upgrades.chain:
        return None
    touched = tuple(dict.fromkeys(name for step in upgrades.chain for name in step.attributes or ()))
    plans = {plan.stored: plan for plan in codec.record.plans if plan.stored in touched}
    if upgrades.chain[-1].attributes is None or not all(map(_is_scalar, plans.values())):
        return None
    return MixedPages(codec, plans, touched)


def _is_scalar(plan: FieldPlan) -> bool:
    return isinstance(plan.shape, Scalar) and plan.shape.tag in {"S", "N"} and plan.shape.payload() is str


def _struct(codec: ModelCodec, touched: tuple[str, ...]) -> tuple[Any, dict[str, str]]:
    """The msgspec type of items of any version, and the names in it of what differs between them."""
    newest: Any = codec.record.struct()
    fields: list[Any] = []
    rename: dict[str, str] = {}
    members: dict[str, str] = {}
    for one in fields_of(newest):
        rename[one.name] = one.encode_name
        if one.encode_name in touched or one.encode_name == SCHEMA_ATTRIBUTE:
            members[one.encode_name] = one.name
            fields.append((one.name, _Wire | UnsetType, U))
        else:
            fields.append((one.name, one.type) if one.required else (one.name, one.type, U))
    for at, name in enumerate(touched):
        if name not in members:
            member = members[name] = f"former_{at}_"
            rename[member] = name
            fields.append((member, _Wire | UnsetType, U))
    return defstruct(f"Any{newest.__name__}", fields, rename=rename, kw_only=True, gc=False), members


def _upgrading(codec: ModelCodec, plans: dict[str, FieldPlan], members: dict[str, str]) -> Callable[[list[Any]], int]:
    """The function that brings the wire structs of a page to the newest version, and says how many were of an older one."""
    upgrades = codec.upgrades
    assert upgrades is not None  # as was asked
    source = Source()
    source.names |= {
        "MISSING": MISSING, "Slow": _Slow, "U": U, "Wire": _Wire, "number_of": number_of, "Decimal": Decimal, "LOW": LOW,
        "HIGH": HIGH, "wire_of": _wire_of,
    }  # fmt: skip
    lines = ["c = 0", "for w in ws:", f"    t = w.{members[SCHEMA_ATTRIBUTE]}", "    n = '1' if t is U else t.N"]
    lines.append(f"    if n == {str(upgrades.newest)!r}:")
    for name, plan in plans.items():
        lines += [f"        {line}" for line in _checked(members[name], plan)]
    lines.append("        continue")
    lines.append("    c += 1")
    for version in range(1, upgrades.newest):
        steps = upgrades.chain[version - 1 :]
        if any(step.attributes is None for step in steps):
            continue
        lines.append(f"    {'if'} n == {str(version)!r}:")
        lines += [f"        {line}" for line in _of_version(source, steps, plans, members)]
        lines.append("        continue")
    lines += ["    raise Slow", "return c"]
    source.define("upgrade_page", "ws", lines)
    source.compile(f"{codec.schema.name} of all versions")
    upgrade_page: Callable[[list[Any]], int] = source.names["upgrade_page"]
    return upgrade_page


def _checked(member: str, plan: FieldPlan) -> list[str]:
    """The lines that refuse what the decoder of the newest version would refuse of an attribute of it."""
    tag, other = ("S", "N") if plan.shape.tag == "S" else ("N", "S")
    absent = "x is U or" if plan.missing() is None else "x is not U and"
    return [f"x = w.{member}", f"if {absent} (x.{tag} is U or x.{other} is not U): raise Slow"]


def _of_version(
    source: Source, steps: tuple[Upgrade, ...], plans: dict[str, FieldPlan], members: dict[str, str]
) -> list[str]:
    """The lines that bring one wire struct of a version to the newest one."""
    names = tuple(dict.fromkeys(name for step in steps for name in step.attributes or ()))
    values = {name: f"a{at}" for at, name in enumerate(names)}
    lines = [line for name in names for line in _taken(values[name], members[name])]
    for step in steps:
        own = step.attributes or ()
        lines += _given_to([(name, values[name]) for name in own])
        lines.append(f"e = {source.bind(f'step_{step.since}', step.function)}(d)")
        lines += ["if e is not None:", "    if e.__class__ is not dict: raise Slow", "    d = e"]
        lines += [f"{values[name]} = d.get({name!r}, MISSING)" for name in own]
        # What it made and does not name is for the careful path to refuse.
        lines.append(f"if len(d) != {' + '.join(f'({values[name]} is not MISSING)' for name in own)}: raise Slow")
    for name in names:
        if name in plans:
            lines += _given(values[name], members[name], plans[name])
    for name in plans.keys() - values.keys():
        lines += _checked(members[name], plans[name])
    return lines


def _given_to(own: list[tuple[str, str]]) -> list[str]:
    """The lines that make the dict that a function is given, of the attributes that are there."""
    (first, a), *others = own
    lines = [f"d = {{}} if {a} is MISSING else {{{first!r}: {a}}}"]
    return [*lines, *(f"if {value} is not MISSING: d[{name!r}] = {value}" for name, value in others)]


def _taken(a: str, member: str) -> list[str]:
    """The lines that take the plain value of an attribute out of the struct."""
    return [
        f"x = w.{member}",
        f"if x is U: {a} = MISSING",
        "elif x.N is U:",
        f"    {a} = x.S",
        f"    if {a} is U: raise Slow",
        "elif x.S is not U: raise Slow",
        "else:",
        "    x = x.N",
        f"    if len(x) < {_SHORT} and x.replace('.', '', 1).isdecimal(): {a} = Decimal(x) if '.' in x else int(x)",
        f"    else: {a} = number_of(x)",
    ]


def _given(a: str, member: str, plan: FieldPlan) -> list[str]:
    """The lines that put the value of a field of the newest version into the struct."""
    absent = "raise Slow" if plan.missing() is None else f"w.{member} = U"
    lines = [f"if {a} is MISSING: {absent}"]
    if plan.shape is SCALARS[int]:
        lines.append(f'elif {a}.__class__ is int and LOW < {a} < HIGH: w.{member} = Wire(U, f"{{{a}}}")')
    elif plan.shape.tag == "S":
        lines.append(f"elif {a}.__class__ is str: w.{member} = Wire({a})")
    return [*lines, f"else: w.{member} = wire_of({a}, {plan.shape.tag!r})"]


def _wire_of(value: Any, tag: str) -> _Wire:
    """The struct of a value that is to be of this type."""
    wire = to_wire(value, exact=True)
    if tag not in wire:
        raise _Slow
    return _Wire(wire[tag]) if tag == "S" else _Wire(U, wire[tag])
