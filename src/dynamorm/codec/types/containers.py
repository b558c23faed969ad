"""Lists, tuples, sets and dicts: L, the sets, and M."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U

from dynamorm.models.schema.overriding import override

from .document import from_wire, key_text, set_to_wire
from .mismatch import Mismatch, misfit
from .shapes import ANY, Scalar, Shape, canonical_each, refuse_null
from .source import Source
from .spelled_keys import members_read

if TYPE_CHECKING:
    from dynamorm.codec.state import Place
    from dynamorm.codec.tours import Tour, Walk, Walks

_INLINED: Final = sys.version_info >= (3, 12)
"""Whether a comprehension runs without a call of its own: then it fills a list fastest, else a loop does."""


class ListShape(Shape):
    """A list, or a tuple of any length: L."""

    tag = "L"

    def __init__(self, item: Shape, kind: type) -> None:
        self.item = item
        self.kind = kind
        self.expected: str = f"{kind.__name__}[{item.expected}]"
        self.classes: tuple[type, ...] = (kind,)

    @override
    def payload(self) -> Any:
        return list[self.item.wire()]  # type: ignore[misc] # a type made at run time

    @override
    def encode(self, source: Source, v: str) -> str:
        kind = source.bind(self.kind.__name__, self.kind)
        check = source.bind(f"{self.kind.__name__}_", _instance(self.kind))
        y = f"{v}_"
        values = f"({v} if {v}.__class__ is {kind} else {check}({v}))"
        return f'{{"L": [{self.item.encode(source, y)} for {y} in {values}]}}'

    @override
    def decode(self, source: Source, x: str) -> str:
        y = f"{x.partition('.')[0]}_"
        values = f"[{self.item.decode(source, y)} for {y} in {x}.L]"
        return values if self.kind is list else f"{source.bind('tuple', tuple)}({values})"

    @override
    def decode_into(self, source: Source, x: str, y: str, last: str = "") -> list[str] | None:
        shares = last and isinstance(self.item, Scalar) and self.item.is_text
        if self.kind is not list or (_INLINED and not shares):
            return None
        element = f"{y}_"
        lines = [f"{y} = []", f"for {element} in {x}.L: {y}.append({self.item.decode(source, element)})"]
        if _INLINED:
            lines = [f"{y} = {self.decode(source, x)}"]
        if shares:
            lines += [f"if {y} == {last}: {y} = {last}[:]", f"else: {last} = {y}"]
        return lines

    @override
    def canonical(self, wire: Any) -> Any:
        if "NULL" in wire:
            return {"L": []}
        if "L" not in wire:
            return wire
        elements = canonical_each(wire["L"], repeat(self.item))
        return wire if elements is wire["L"] else {"L": elements}

    @override
    def children(self) -> Iterator[Shape]:
        yield self.item

    @override
    def walk(self, walks: Walks) -> Walk | None:
        inner = walks.of(self.item)
        return None if inner is None else _walk_of_elements(repeat(inner))

    @override
    def fits(self, value: Any) -> bool:
        return isinstance(value, (list, tuple)) and isinstance(value, self.kind) and all(map(self.item.fits, value))

    @override
    def empty(self) -> Any:
        return self.kind()

    @override
    def element(self) -> Shape:
        return self.item

    @override
    def part(self, name: str | int) -> Shape:
        return self.item if isinstance(name, int) else super().part(name)


class TupleShape(Shape):
    """A tuple of fixed length: L."""

    tag = "L"
    classes: tuple[type, ...] = (tuple,)

    def __init__(self, items: tuple[Shape, ...]) -> None:
        self.items = items
        self.expected: str = f"tuple[{', '.join(item.expected for item in items) or '()'}]"

    @override
    def payload(self) -> Any:
        return tuple[tuple(item.wire() for item in self.items)]  # type: ignore[misc] # a type made at run time

    @override
    def encode(self, source: Source, v: str) -> str:
        def body() -> tuple[str, list[str]]:
            misfit_ = source.bind("misfit", misfit)
            names = [f"v{number}" for number in range(len(self.items))]
            parts = ", ".join(item.encode(source, name) for item, name in zip(self.items, names, strict=True))
            lines = [
                f"if not isinstance(v, tuple) or len(v) != {len(names)}:",
                f"    {misfit_}({self.expected!r}, v, f'a tuple of {{len(v)}}' if isinstance(v, tuple) else None)",
                *([f"{', '.join(names)}, = v"] if names else []),
                f'return {{"L": [{parts}]}}',
            ]
            return "v", lines

        return f"{source.function((self, 'encode'), 'encode_tuple', body)}({v})"

    @override
    def decode(self, source: Source, x: str) -> str:
        def body() -> tuple[str, list[str]]:
            names = [f"x{number}" for number in range(len(self.items))]
            parts = "".join(f"{item.decode(source, name)}, " for item, name in zip(self.items, names, strict=True))
            return "x", [*([f"{', '.join(names)}, = x"] if names else []), f"return ({parts})"]

        return f"{source.function((self, 'decode'), 'decode_tuple', body)}({x}.L)"

    @override
    def canonical(self, wire: Any) -> Any:
        if "NULL" in wire and not self.items:
            return {"L": []}
        if "L" not in wire or len(wire["L"]) != len(self.items):
            return wire
        elements = canonical_each(wire["L"], self.items)
        return wire if elements is wire["L"] else {"L": elements}

    @override
    def children(self) -> Iterator[Shape]:
        yield from self.items

    @override
    def walk(self, walks: Walks) -> Walk | None:
        inner = [walks.of(item) for item in self.items]
        return _walk_of_elements(inner) if any(inner) else None

    @override
    def fits(self, value: Any) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == len(self.items)
            and all(shape.fits(element) for shape, element in zip(self.items, value, strict=True))
        )

    @override
    def part(self, name: str | int) -> Shape:
        if isinstance(name, int) and name < len(self.items):
            return self.items[name]
        return super().part(name)


class SetShape(Shape):
    """A set of texts, numbers or bytes: SS, NS or BS. An empty one is NULL, for DynamoDB has no empty sets."""

    null = True
    vanishes = True

    def __init__(self, item: Scalar, kind: type) -> None:
        self.item = item
        self.kind = kind
        self.tag: str = f"{item.tag}S"
        self.expected: str = f"{kind.__name__}[{item.expected}]"
        self.classes: tuple[type, ...] = (kind,)

    @override
    def payload(self) -> Any:
        return list[self.item.payload()]  # type: ignore[misc] # a type made at run time

    @override
    def encode(self, source: Source, v: str) -> str:
        check = source.bind("set_", _instance(self.kind, (set, frozenset)))
        y = f"{v}_"
        values = f"sorted({{{self.item.text_of(source, y)} for {y} in {v}}})"
        return f'({{"{self.tag}": {values}}} if {check}({v}) else {{"NULL": True}})'

    @override
    def decode(self, source: Source, x: str) -> str:
        unset = source.bind("U", U)
        refuse = source.bind("refuse_null", refuse_null)
        y = f"{x.partition('.')[0]}_"
        kind = source.bind(self.kind.__name__, self.kind)
        payload = f"{x}.{self.tag}"
        values = payload if self.item.passes else f"[{self.item.value_of(source, y)} for {y} in {payload}]"
        return f"{kind}({values} if {x}.NULL is {unset} and {payload} is not {unset} else {refuse}({x}) or ())"

    @override
    def canonical(self, wire: Any) -> Any:
        if "L" not in wire:
            return wire
        elements = [self.item.canonical(element) for element in wire["L"]]
        if any(element.keys() != {self.item.tag} for element in elements):
            return wire
        return {self.tag: [element[self.item.tag] for element in elements]}

    @override
    def children(self) -> Iterator[Shape]:
        yield self.item

    @override
    def empty(self) -> Any:
        return self.kind()

    @override
    def element(self) -> Shape:
        return self.item


class AnySetShape(Shape):
    """A set of whatever a set may hold, known only when it comes."""

    null = True
    vanishes = True

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.expected: str = kind.__name__
        self.classes: tuple[type, ...] = (kind,)

    @override
    def encode(self, source: Source, v: str) -> str:
        check = source.bind("set_", _instance(self.kind, (set, frozenset)))
        return f"{source.bind('set_to_wire', set_to_wire)}({check}({v}))"

    @override
    def decode(self, source: Source, x: str) -> str:
        def read(wire: Any) -> Any:
            value = from_wire(wire)
            listed = "L" in wire and all(element.keys() <= {"S", "N", "B"} for element in wire["L"])
            if not isinstance(value, set) and value is not None and not listed:
                raise Mismatch("SS, NS, BS or NULL", wire, next(iter(wire)))
            return self.kind(value or ())

        return f"{source.bind('any_set', read)}({x})"

    @override
    def empty(self) -> Any:
        return self.kind()

    @override
    def element(self) -> Shape:
        return ANY


class DictShape(Shape):
    """A dict: M. Its keys are stored as text."""

    tag = "M"
    first = "{}"
    classes: tuple[type, ...] = (dict,)

    def __init__(self, key: Scalar, item: Shape) -> None:
        self.key = key
        self.item = item
        self.expected: str = f"dict[{key.expected}, {item.expected}]"

    @override
    def payload(self) -> Any:
        return dict[str, self.item.wire()]  # type: ignore[misc] # a type made at run time

    @override
    def encode(self, source: Source, v: str) -> str:
        check = source.bind("dict_", _instance(dict))
        y = f"{v}_"
        key = f"k{y}"
        pairs = f"({v} if {v}.__class__ is dict else {check}({v})).items()"
        if self.key.classes == (str,):
            text = f"{key} if {key} and {key}.__class__ is str else {source.bind('key_text', key_text)}({key})"
        else:
            # The text of an Enum may be empty too.
            text = f"{source.bind('key_text', key_text)}({self.key.text_of(source, key)})"
        return f'{{"M": {{{text}: {self.item.encode(source, y)} for {key}, {y} in {pairs}}}}}'

    @override
    def decode(self, source: Source, x: str) -> str:
        y = f"{x.partition('.')[0]}_"
        key = "k" + y
        comprehension = f"{{{self._key_of(source, key)}: {self.item.decode(source, y)} for {key}, {y} in "
        every = f"{comprehension}{x}.M.items()}}"
        if self.key.classes == (str,):
            return every
        # Two texts may spell one key, as those of a UUID do: the one that is written here is read.
        pair, result = f"p{y}", f"d{y}"
        written = self.key.text_of(source, self._key_of(source, f"{pair}[0]"))
        ordered = f"sorted({x}.M.items(), key=lambda {pair}: ({written}) == {pair}[0])"
        return f"({result} if len({result} := {every}) == len({x}.M) else {comprehension}{ordered}}})"

    def _key_of(self, source: Source, text: str) -> str:
        """The expression of the key that a text spells."""
        return self.key.value_of(
            source, f"{self._key_reader(source)}({text})" if self.key.payload() is not str else text
        )

    @override
    def decode_into(self, source: Source, x: str, y: str, last: str = "") -> list[str] | None:
        if not self.key.is_text:
            return None
        element, key = f"{y}_", f"k{y}_"
        # Nothing else refers to the dict that msgspec made: its values are replaced in place.
        head = [f"{y} = {x}.M", f"for {key}, {element} in {y}.items():"]
        value = self.item.decode(source, element)
        if not last or not isinstance(self.item, Scalar) or not self.item.is_text:
            return [*head, f"    {y}[{key}] = {value}"]
        return [
            *head,
            f"    {element} = {value}",
            f"    {y}[{key}] = {element} if {element} != (known := {last}.get({key})) else known",
            f"{last} = {y}",
        ]

    @override
    def canonical(self, wire: Any) -> Any:
        if "NULL" in wire:
            return {"M": {}}
        if "M" not in wire:
            return wire
        members = {key: self.item.canonical(member) for key, member in wire["M"].items()}
        return {"M": members} if any(member is not wire["M"][key] for key, member in members.items()) else wire

    def _key_reader(self, source: Source) -> str:
        """A UUID is read by msgspec where it is a value; as a key it comes as text."""
        return source.bind("key_of", self.key.key_of)

    @override
    def children(self) -> Iterator[Shape]:
        yield self.key
        yield self.item

    @override
    def walk(self, walks: Walks) -> Walk | None:
        inner = walks.of(self.item)
        if inner is None:
            return None
        several = self.key.classes != (str,)

        def walk(value: Any, wire: Any, place: Place, tour: Tour) -> None:
            members = wire.get("M")
            if not members or not isinstance(value, dict):
                return
            if several and len(members) > len(value):
                members = members_read(members, self.key, self._key_of)
            # Both have the same order: one was made from the other.
            if len(members) == len(value):
                for obj, (key, member) in zip(value.values(), members.items(), strict=True):
                    inner(obj, member, (*place, key), tour)

        return walk

    @override
    def fits(self, value: Any) -> bool:
        return isinstance(value, dict) and all(self.item.fits(element) for element in value.values())

    @override
    def empty(self) -> Any:
        return {}

    @override
    def element(self) -> Shape:
        return self.key

    @override
    def part(self, name: str | int) -> Shape:
        return self.item if isinstance(name, str) else super().part(name)


def _walk_of_elements(inner: Iterable[Walk | None]) -> Walk:
    """The walk through a list or tuple, with that through each of its elements."""

    def walk(value: Any, wire: Any, place: Place, tour: Tour) -> None:
        elements = wire.get("L")
        if elements and isinstance(value, (list, tuple)) and len(elements) == len(value):
            for at, (obj, element, lead) in enumerate(zip(value, elements, inner, strict=False)):
                if lead is not None:
                    lead(obj, element, (*place, at), tour)

    return walk


def _instance(kind: type, also: tuple[type, ...] = ()) -> Any:
    """A function that returns an instance of ``kind`` (a subclass will do) and raises Mismatch for anything else."""
    accepted = (kind, *also)

    def check(value: Any) -> Any:
        if not isinstance(value, accepted):
            raise Mismatch(kind.__name__, value)
        return value

    return check
