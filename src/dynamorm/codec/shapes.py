"""How a Python type is stored: each `Shape` writes the expressions that encode and decode its values.

Expressions take the name of a variable and work on it; a shape never knows which field it is used for.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct

from .document import from_wire, set_to_wire, to_wire
from .mismatch import Mismatch, misfit
from .source import Source

GENERIC: Final[Any] = dict[str, Any]
"""The wire type of a value whose form is only known when it comes."""


@cache
def wire_struct(tag: str, payload: Any, *, null: bool) -> Any:
    """The msgspec type of ``{tag: payload}``, or of that and ``{"NULL": true}``."""
    if not null:
        return defstruct(f"Wire{tag}", [(tag, payload)], forbid_unknown_fields=True, gc=False)
    fields: list[Any] = [(tag, payload | UnsetType, U), ("NULL", bool | UnsetType, U)]
    return defstruct(f"Wire{tag}OrNull", fields, forbid_unknown_fields=True, gc=False)


def refuse_null(wire: Any) -> None:
    """The value of a wire struct that should hold NULL; raises Mismatch when it holds anything else."""
    for name in wire.__struct_fields__:
        if name != "NULL" and getattr(wire, name) is not U:
            raise Mismatch("one attribute value", wire, "two")
    if wire.NULL is not True:
        raise Mismatch("an attribute value", wire, "none")


class Shape:
    """How values of one Python type are stored."""

    tag: str = ""
    """The wire tag of its values, empty when it depends on the value."""
    expected: str = "value"
    """What an error message calls it."""
    null: bool = False
    """Whether NULL is among its stored forms."""
    classes: tuple[type, ...] = ()
    """The exact classes of its values, where a union can tell by them."""
    passes: bool = False
    """Whether decoding hands the payload on untouched, so that a missing one would go unnoticed."""

    def payload(self) -> Any:
        """The msgspec type of what stands beside the tag."""
        return Any

    def wire(self) -> Any:
        """The msgspec type of the whole wire value."""
        return wire_struct(self.tag, self.payload(), null=self.null) if self.tag else GENERIC

    def encode(self, source: Source, v: str) -> str:
        """The expression of the wire value of variable ``v``."""
        raise NotImplementedError

    def decode(self, source: Source, x: str) -> str:
        """The expression of the Python value of the wire value in variable ``x``."""
        raise NotImplementedError

    def children(self) -> Iterator[Shape]:
        """The shapes inside, but not those of a record's fields."""
        return iter(())

    def empty(self) -> Any:
        """The empty value that may be left out of an item, or `U` when there is none."""
        return U

    def element(self) -> Shape:
        """The shape of what ``contains`` and ``append`` take."""
        raise Mismatch("a list, set or text", None, self.expected)

    def part(self, name: str | int) -> Shape:
        """The shape behind ``.name`` or ``[0]``."""
        raise Mismatch("a map or a list", None, self.expected)


class Scalar(Shape):
    """A value with one wire tag whose payload is one expression: a row of the table in `dynamorm.codec.scalars`."""

    def __init__(
        self,
        expected: str,
        tag: str,
        text: str,
        parse: str,
        *,
        names: dict[str, Any],
        careful: dict[str, Any] | None = None,
        classes: tuple[type, ...] = (),
        payload: Any = str,
        empty: Any = U,
        lenient: Any = None,
        key_of: Any = None,
    ) -> None:
        self.expected = expected
        self.tag = tag
        self.text = text
        self.parse = parse
        self.names = names
        self.careful = careful or {}
        self.classes = classes
        self.passes = parse == "{x}"
        self.lenient = lenient
        self.key_of = key_of
        self._payload = payload
        self._empty = empty

    def payload(self) -> Any:
        return self._payload

    def _format(self, source: Source, template: str, **parts: str) -> str:
        bound = {hint: source.bind(hint, value, self.careful.get(hint)) for hint, value in self.names.items()}
        return template.format(**bound, **parts)

    def text_of(self, source: Source, v: str) -> str:
        """The expression of the payload alone, for sets and the keys of dicts."""
        return self._format(source, self.text, v=v)

    def value_of(self, source: Source, x: str) -> str:
        """The expression of the value of a payload."""
        return self._format(source, self.parse, x=x)

    def encode(self, source: Source, v: str) -> str:
        return f'{{"{self.tag}": {self.text_of(source, v)}}}'

    def decode(self, source: Source, x: str) -> str:
        return self.value_of(source, f"{x}.{self.tag}")

    def empty(self) -> Any:
        return self._empty

    def element(self) -> Shape:
        return self if self.tag in ("S", "B") else super().element()


class AnyShape(Shape):
    """A document of any shape."""

    expected = "a document"
    null = True

    def encode(self, source: Source, v: str) -> str:
        return f"{source.bind('to_wire', to_wire)}({v})"

    def decode(self, source: Source, x: str) -> str:
        return f"{source.bind('from_wire', from_wire)}({x})"

    def element(self) -> Shape:
        return self

    def part(self, name: str | int) -> Shape:
        return self


ANY: Final = AnyShape()


class Nullable(Shape):
    """A type or None."""

    null = True

    def __init__(self, inner: Shape) -> None:
        self.inner = inner
        self.tag = inner.tag
        self.expected = f"{inner.expected} or None"

    def payload(self) -> Any:
        return self.inner.payload()

    def encode(self, source: Source, v: str) -> str:
        return f'({{"NULL": True}} if {v} is None else {self.inner.encode(source, v)})'

    def decode(self, source: Source, x: str) -> str:
        inner = self.inner.decode(source, x)
        if not self.tag:
            return f'(None if "NULL" in {x} else {inner})'
        unset = source.bind("U", U)
        refuse = source.bind("refuse_null", refuse_null)
        return f"({inner} if {x}.NULL is {unset} and {x}.{self.tag} is not {unset} else {refuse}({x}))"

    def children(self) -> Iterator[Shape]:
        yield self.inner

    def empty(self) -> Any:
        return self.inner.empty()

    def element(self) -> Shape:
        return self.inner.element()

    def part(self, name: str | int) -> Shape:
        return self.inner.part(name)


class ListShape(Shape):
    """A list, or a tuple of any length: L."""

    tag = "L"

    def __init__(self, item: Shape, kind: type) -> None:
        self.item = item
        self.kind = kind
        self.expected = f"{kind.__name__}[{item.expected}]"
        self.classes = (kind,)

    def payload(self) -> Any:
        return list[self.item.wire()]  # type: ignore[misc] # a type made at run time

    def encode(self, source: Source, v: str) -> str:
        kind = source.bind(self.kind.__name__, self.kind)
        check = source.bind(f"{self.kind.__name__}_", _instance(self.kind))
        y = f"{v}_"
        values = f"({v} if {v}.__class__ is {kind} else {check}({v}))"
        return f'{{"L": [{self.item.encode(source, y)} for {y} in {values}]}}'

    def decode(self, source: Source, x: str) -> str:
        y = f"{x.partition('.')[0]}_"
        values = f"[{self.item.decode(source, y)} for {y} in {x}.L]"
        return values if self.kind is list else f"{source.bind('tuple', tuple)}({values})"

    def children(self) -> Iterator[Shape]:
        yield self.item

    def empty(self) -> Any:
        return self.kind()

    def element(self) -> Shape:
        return self.item

    def part(self, name: str | int) -> Shape:
        return self.item if isinstance(name, int) else super().part(name)


class TupleShape(Shape):
    """A tuple of fixed length: L."""

    tag = "L"
    classes = (tuple,)

    def __init__(self, items: tuple[Shape, ...]) -> None:
        self.items = items
        self.expected = f"tuple[{', '.join(one.expected for one in items) or '()'}]"

    def payload(self) -> Any:
        return tuple[tuple(one.wire() for one in self.items)]  # type: ignore[misc] # a type made at run time

    def encode(self, source: Source, v: str) -> str:
        def body() -> tuple[str, list[str]]:
            misfit_ = source.bind("misfit", misfit)
            names = [f"v{number}" for number in range(len(self.items))]
            parts = ", ".join(one.encode(source, name) for one, name in zip(self.items, names, strict=True))
            lines = [
                f"if not isinstance(v, tuple) or len(v) != {len(names)}:",
                f"    {misfit_}({self.expected!r}, v, f'a tuple of {{len(v)}}' if isinstance(v, tuple) else None)",
                *([f"{', '.join(names)}, = v"] if names else []),
                f'return {{"L": [{parts}]}}',
            ]
            return "v", lines

        return f"{source.function((self, 'encode'), 'encode_tuple', body)}({v})"

    def decode(self, source: Source, x: str) -> str:
        def body() -> tuple[str, list[str]]:
            names = [f"x{number}" for number in range(len(self.items))]
            parts = "".join(f"{one.decode(source, name)}, " for one, name in zip(self.items, names, strict=True))
            return "x", [*([f"{', '.join(names)}, = x"] if names else []), f"return ({parts})"]

        return f"{source.function((self, 'decode'), 'decode_tuple', body)}({x}.L)"

    def children(self) -> Iterator[Shape]:
        yield from self.items

    def part(self, name: str | int) -> Shape:
        if isinstance(name, int) and name < len(self.items):
            return self.items[name]
        return super().part(name)


class SetShape(Shape):
    """A set of texts, numbers or bytes: SS, NS or BS. An empty one is NULL, for DynamoDB has no empty sets."""

    null = True

    def __init__(self, item: Scalar, kind: type) -> None:
        self.item = item
        self.kind = kind
        self.tag = f"{item.tag}S"
        self.expected = f"{kind.__name__}[{item.expected}]"
        self.classes = (kind,)

    def payload(self) -> Any:
        return list[self.item.payload()]  # type: ignore[misc] # a type made at run time

    def encode(self, source: Source, v: str) -> str:
        check = source.bind("set_", _instance(self.kind, (set, frozenset)))
        y = f"{v}_"
        values = f"sorted({{{self.item.text_of(source, y)} for {y} in {v}}})"
        return f'({{"{self.tag}": {values}}} if {check}({v}) else {{"NULL": True}})'

    def decode(self, source: Source, x: str) -> str:
        unset = source.bind("U", U)
        refuse = source.bind("refuse_null", refuse_null)
        y = f"{x.partition('.')[0]}_"
        kind = source.bind(self.kind.__name__, self.kind)
        payload = f"{x}.{self.tag}"
        values = payload if self.item.passes else f"[{self.item.value_of(source, y)} for {y} in {payload}]"
        return f"{kind}({values} if {x}.NULL is {unset} and {payload} is not {unset} else {refuse}({x}) or ())"

    def children(self) -> Iterator[Shape]:
        yield self.item

    def empty(self) -> Any:
        return self.kind()

    def element(self) -> Shape:
        return self.item


class AnySetShape(Shape):
    """A set of whatever a set may hold, known only when it comes."""

    null = True

    def __init__(self, kind: type) -> None:
        self.kind = kind
        self.expected = kind.__name__
        self.classes = (kind,)

    def encode(self, source: Source, v: str) -> str:
        check = source.bind("set_", _instance(self.kind, (set, frozenset)))
        return f"{source.bind('set_to_wire', set_to_wire)}({check}({v}))"

    def decode(self, source: Source, x: str) -> str:
        def read(wire: Any) -> Any:
            value = from_wire(wire)
            if not isinstance(value, set) and value is not None:
                raise Mismatch("SS, NS, BS or NULL", wire, next(iter(wire)))
            return self.kind(value or ())

        return f"{source.bind('any_set', read)}({x})"

    def empty(self) -> Any:
        return self.kind()

    def element(self) -> Shape:
        return ANY


class DictShape(Shape):
    """A dict: M. Its keys are stored as text."""

    tag = "M"
    classes = (dict,)

    def __init__(self, key: Scalar, item: Shape) -> None:
        self.key = key
        self.item = item
        self.expected = f"dict[{key.expected}, {item.expected}]"

    def payload(self) -> Any:
        return dict[str, self.item.wire()]  # type: ignore[misc] # a type made at run time

    def encode(self, source: Source, v: str) -> str:
        check = source.bind("dict_", _instance(dict))
        y = f"{v}_"
        pairs = f"({v} if {v}.__class__ is dict else {check}({v})).items()"
        return f'{{"M": {{{self.key.text_of(source, f"k{y}")}: {self.item.encode(source, y)} for k{y}, {y} in {pairs}}}}}'

    def decode(self, source: Source, x: str) -> str:
        y = f"{x.partition('.')[0]}_"
        key = "k" + y
        text = self.key.value_of(source, f"{self._key_reader(source)}({key})" if self.key.payload() is not str else key)
        return f"{{{text}: {self.item.decode(source, y)} for {key}, {y} in {x}.M.items()}}"

    def _key_reader(self, source: Source) -> str:
        """A UUID is read by msgspec where it is a value; as a key it comes as text."""
        return source.bind("key_of", self.key.key_of)

    def children(self) -> Iterator[Shape]:
        yield self.key
        yield self.item

    def empty(self) -> Any:
        return {}

    def element(self) -> Shape:
        return self.key

    def part(self, name: str | int) -> Shape:
        return self.item if isinstance(name, str) else super().part(name)


def _instance(kind: type, also: tuple[type, ...] = ()) -> Any:
    """A function that hands on an instance of ``kind`` (a subclass will do) and raises Mismatch for anything else."""
    accepted = (kind, *also)

    def check(value: Any) -> Any:
        if not isinstance(value, accepted):
            raise Mismatch(kind.__name__, value)
        return value

    return check
