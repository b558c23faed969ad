"""One of several types: unions, and models whose subclasses are told apart by a discriminator."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import convert

from dynamorm.codec.tours import Tour, Unknown, looker
from dynamorm.models.schema.overriding import override

from .document import normal
from .fields import has_other_names
from .mismatch import Mismatch
from .records import Record
from .shapes import GENERIC, Shape
from .source import Source

if TYPE_CHECKING:
    from dynamorm.codec.state import Place
    from dynamorm.codec.tours import Walk, Walks


class FamilyShape(Shape):
    """A model whose subclasses are told apart by a discriminator: each is encoded and decoded by its own codec."""

    tag = "M"
    any_depth = True

    def __init__(self, cls: Any, codec_of: Callable[[Any], Any]) -> None:
        self.cls = cls
        self.codec_of = codec_of
        self.expected: str = cls.__name__
        self.classes: tuple[type, ...] = ()

    @override
    def payload(self) -> Any:
        return GENERIC

    @override
    def encode(self, source: Source, v: str) -> str:
        def member(value: Any) -> Any:
            if not isinstance(value, self.cls):
                raise Mismatch(self.expected, value)
            codec = self.codec_of(type(value))
            wire = codec.encode(value)
            if codec.record.keeps_unknown and value.__loaded__.__class__ is dict:
                wire = {**value.__loaded__, **wire}
            return wire

        return f'{{"M": {source.bind(f"encode_{self.cls.__name__}", member)}({v})}}'

    @override
    def decode(self, source: Source, x: str) -> str:
        look = None if source.careful else looker(self)

        def member(wire: Any) -> Any:
            value = self.codec_of(self.cls).decode_nested(wire)
            if look is not None:
                record: Record = self.codec_of(type(value)).record
                if not record.knows(wire):
                    raise Unknown
                if record.holds_objects:
                    look(value, {"M": wire})
            return value

        return f"{source.bind(f'decode_{self.cls.__name__}', member)}({x}.M)"

    @override
    def walk(self, walks: Walks) -> Walk:
        def walk(value: Any, wire: Any, place: Place, tour: Tour) -> None:
            if isinstance(value, self.cls):
                inner = walks.of(self.codec_of(type(value)).record)
                assert inner is not None  # a record always has one
                inner(value, wire, place, tour)

        return walk

    @override
    def fits(self, value: Any) -> bool:
        return isinstance(value, self.cls)

    @override
    def part(self, name: str | int) -> Shape:
        record: Record = self.codec_of(self.cls).record
        return record.part(name)


class Union(Shape):
    """One of several types: told apart by wire type, then by discriminator, then by what fits."""

    def __init__(self, members: list[Shape]) -> None:
        self.members = members
        self.expected: str = " | ".join(member.expected for member in members)
        self.null: bool = any(member.null for member in members)
        self.vanishes: bool = any(member.vanishes for member in members)

    @override
    def children(self) -> Any:
        yield from self.members

    @override
    def walk(self, walks: Walks) -> Walk | None:
        inner = [(member, walks.of(member)) for member in self.members]
        if not any(lead for _, lead in inner):
            return None

        def walk(value: Any, wire: Any, place: Place, tour: Tour) -> None:
            lead = next((lead for member, lead in inner if member.fits(value)), None)
            if lead is not None:
                lead(value, wire, place, tour)

        return walk

    @override
    def fits(self, value: Any) -> bool:
        return any(member.fits(value) for member in self.members)

    @override
    def encode(self, source: Source, v: str) -> str:
        def body() -> tuple[str, list[str]]:
            lines = ["c = v.__class__"]
            tries = []
            for number, member in enumerate(self.members):
                name = source.bind(f"encode_{number}", object())
                source.define(name, "v", [f"return {member.encode(source, 'v')}"])
                tries.append(f"{name}, ")
                for kind in member.classes:
                    if not isinstance(member, Record) and kind in (list, dict, tuple, set, frozenset):
                        continue  # the type depends on the elements, so the members are tried one after the other
                    if isinstance(member, Record) and kind is dict:
                        continue
                    lines.append(f"if c is {source.bind(kind.__name__, kind)}: return {name}(v)")
            return "v", [
                *lines,
                f"return {source.bind('first_that_fits', _encode_first)}(({''.join(tries)}), v, {self.expected!r})",
            ]

        return f"{source.function((self, 'encode'), 'encode_union', body)}({v})"

    @override
    def decode(self, source: Source, x: str) -> str:
        def body() -> tuple[str, list[str]]:
            tries = []
            # The length of the wire value does not tell whether a member of the union has left something out.
            looks = [None if source.careful else looker(member) for member in self.members]
            for number, member in enumerate(self.members):
                name = source.bind(f"decode_{number}", object())
                source.define(name, "x", [f"return {member.decode(source, 'x')}"])
                shape = source.bind(f"member_{number}", member)
                look = source.bind(f"look_{number}", looks[number])
                tries.append(f"({shape}, {name}, {has_other_names(member)}, {look}), ")
            return "x", [
                f"return {source.bind('read_first_that_fits', _decode_first)}(({''.join(tries)}), x, {self.expected!r})"
            ]

        return f"{source.function((self, 'decode'), 'decode_union', body)}({x})"


def _encode_first(functions: tuple[Callable[[Any], Any], ...], value: Any, expected: str) -> Any:
    """The wire value by the first function that accepts the value."""
    refused: list[Exception] = []
    for function in functions:
        try:
            return function(value)
        except Exception as error:  # noqa: BLE001 - whatever the reason, the value does not fit this member
            refused.append(error)
    # A number out of range or a broken constraint says more than "none fits".
    for reason in refused:
        if not isinstance(reason, (Mismatch, TypeError, AttributeError)):
            raise reason from None
    raise Mismatch(expected, value)


def _decode_first(members: tuple[tuple[Shape, Any, bool, Any], ...], wire: Any, expected: str) -> Any:
    """The value by the first member that fits; among records, one that knows every attribute comes first.

    What no member stores is tried in the other forms that are known. Raises `Unknown` where a member leaves something out
    and says so.
    """
    if wire.__class__ is not dict or len(wire) != 1:
        raise Mismatch("an attribute value", wire, "something else")
    ((tag, payload),) = wire.items()
    fitting = [member for member in members if member[0].tag in (tag, "") or (tag == "NULL" and member[0].null)]
    if tag == "M" and len(fitting) > 1:
        fitting.sort(key=lambda member: not _knows_all(member[0], payload))
    for shape, function, renamed, look in fitting:
        try:
            value = function(convert(shape.canonical(normal(wire)) if renamed else wire, shape.wire()))
            if look is not None:
                look(value, wire)
            return value  # noqa: TRY300 - an else would be another line for each
        except Unknown:
            raise
        except Exception:  # noqa: BLE001, S112 - whatever the reason, the value does not fit this member
            continue
    for shape, function, _, look in members:
        try:
            value = function(convert(shape.canonical(normal(wire)), shape.wire()))
            if look is not None:
                look(value, wire)
            return value  # noqa: TRY300 - as above
        except Unknown:
            raise
        except Exception:  # noqa: BLE001, S112 - as above
            continue
    raise Mismatch(expected, wire, tag)


def _knows_all(shape: Shape, payload: Any) -> bool:
    if not isinstance(shape, Record):
        return False
    if shape.tagged is not None and payload.get(shape.tagged[0]) == {"S": shape.tagged[1]}:
        return True
    return shape.read_names().issuperset(payload)
