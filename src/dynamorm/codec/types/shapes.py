"""How a Python type is stored: each `Shape` writes the expressions that encode and decode its values.

Expressions take the name of a variable and work on it; a shape never knows which field it is used for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct

from dynamorm.errors import ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import Codec, TypeCodec

from .document import from_wire, to_wire
from .mismatch import Mismatch, misfit
from .numbers import int_of
from .source import Source

if TYPE_CHECKING:
    from dynamorm.codec.tours import Walk, Walks

    from .records import Record

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


def refuse_empty(wire: Any, value: Any) -> Any:
    """The wire value of a set that may also be None; raises Mismatch for an empty one, which is stored like None."""
    if "NULL" in wire:
        raise Mismatch("None or a set that is not empty", value, "an empty one, which is stored as None is")
    return wire


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
    none_absent: bool = False
    """Whether an attribute that is not stored may be read as None."""
    vanishes: bool = False
    """Whether DynamoDB removes the attribute when an update leaves it empty."""
    passes: bool = False
    """Whether decoding returns the payload unchanged, so that a missing one would go unnoticed."""
    remedy: str = ""
    """What to do where its values are to be ordered or to be a key, and cannot."""
    any_depth: bool = False
    """Whether its values may nest deeper than the types show."""
    is_money: bool = False
    """Whether its values are money, whatever the field is called."""
    form: Any = None
    """The option that says how its values are stored, where there are several ways."""
    first: str = "None"
    """What variable ``last`` of `decode_into` holds before the first value."""

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

    def decode_into(self, source: Source, x: str, y: str, last: str = "") -> list[str] | None:
        """As `decode`, as lines that leave the value in variable ``y``; None where the expression does as well.

        ``last`` is the variable that holds the value of the item before: what is equal to it need not be held twice.
        """
        del source, x, y, last
        return None

    def canonical(self, wire: Any) -> Any:
        """A wire value (with bytes for B) in the form that is written here, where it has another form that is known.

        Any other one is handed on as it is: the very same object, so that a change can be told.
        """
        return wire

    def children(self) -> Iterator[Shape]:
        """The shapes inside, but not those of a record's fields."""
        return iter(())

    def walk(self, walks: Walks) -> Walk | None:
        """How a tour is led through its values; None where there are no objects in them."""
        del walks
        return None

    @property
    def leaf(self) -> Record | None:
        """The class of its objects, where there are none inside them."""
        return None

    def fits(self, value: Any) -> bool:
        """Whether a value is one of this shape, as far as its class tells."""
        return not self.classes or isinstance(value, self.classes)

    def empty(self) -> Any:
        """The empty value that may be left out of an item, or `U` when there is none."""
        return U

    def element(self) -> Shape:
        """The shape of what ``contains`` and ``append`` take."""
        raise ValidationError(f"{self.expected} has no elements: a list, set or text has")

    def part(self, name: str | int) -> Shape:
        """The shape of ``.name`` or ``[0]``."""
        raise ValidationError(f"{self.expected} has no part {name!r}")


class Scalar(Shape):
    """A value with one wire tag whose payload is one expression: a row of the table in `dynamorm.codec.types.scalars`."""

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
        self.careful: dict[str, Any] = careful or {}
        self.classes = classes
        self.passes: bool = parse == "{x}"
        self.lenient = lenient
        self.key_of = key_of
        self._payload = payload
        self._empty = empty

    @override
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

    @override
    def encode(self, source: Source, v: str) -> str:
        return f'{{"{self.tag}": {self.text_of(source, v)}}}'

    @override
    def decode(self, source: Source, x: str) -> str:
        return self.value_of(source, f"{x}.{self.tag}")

    @property
    def is_text(self) -> bool:
        """Whether it is text that is returned unchanged."""
        return self.passes and self._payload is str

    @override
    def decode_into(self, source: Source, x: str, y: str, last: str = "") -> list[str] | None:
        if not last or not self.is_text:
            return None
        return [f"{y} = {x}.{self.tag}", f"if {y} == {last}: {y} = {last}", f"else: {last} = {y}"]

    @override
    def canonical(self, wire: Any) -> Any:
        if self.tag != "B":
            return wire
        if "NULL" in wire and self.classes == (bytes,):
            return {"B": b""}
        return _bytes_of_numbers(wire) if "L" in wire else wire

    @override
    def empty(self) -> Any:
        return self._empty

    @override
    def element(self) -> Shape:
        return self if self.tag in ("S", "B") else super().element()


def _bytes_of_numbers(wire: Any) -> Any:
    """B of a list of numbers from 0 to 255, which is how some verbs of the Go library store bytes."""
    try:
        return {"B": bytes([int_of(element["N"]) for element in wire["L"]])}
    except (KeyError, TypeError, ValueError, Mismatch):
        return wire


class AnyShape(Shape):
    """A document of any shape."""

    expected = "a document"
    null = True
    none_absent = True

    @override
    def encode(self, source: Source, v: str) -> str:
        return f"{source.bind('to_wire', to_wire)}({v}, 0, True)"

    @override
    def decode(self, source: Source, x: str) -> str:
        return f"{source.bind('from_wire', from_wire)}({x})"

    @override
    def element(self) -> Shape:
        return self

    @override
    def part(self, name: str | int) -> Shape:
        return self


ANY: Final = AnyShape()


def canonical_each(wires: list[Any], shapes: Iterable[Shape]) -> list[Any]:
    """Each wire value in its canonical form; the very same list where none has another one."""
    results = [shape.canonical(wire) for wire, shape in zip(wires, shapes, strict=False)]
    same = len(results) == len(wires) and all(result is wire for result, wire in zip(results, wires, strict=True))
    return wires if same else results


class CustomShape(Shape):
    """A field with its own pair of functions; what they make is stored as a document."""

    expected = "a value its Codec accepts"

    def __init__(self, custom: Codec) -> None:
        self.custom = custom

    @override
    def encode(self, source: Source, v: str) -> str:
        encoded = f"{source.bind('custom_encode', self.custom.encode)}({v})"
        none = f"{source.bind('misfit', misfit)}({self.expected!r}, {v})"
        return f"({source.bind('to_wire', to_wire)}({encoded}) if {v} is not None else {none})"

    @override
    def decode(self, source: Source, x: str) -> str:
        return f"{source.bind('custom_decode', self.custom.decode)}({ANY.decode(source, x)})"


class TypeShape(CustomShape):
    """A class that says itself how it is stored, as a document."""

    def __init__(self, cls: type, custom: TypeCodec) -> None:
        super().__init__(custom)
        self.cls = cls
        self.remedy: str = custom.remedy
        self.is_money: bool = custom.is_money
        self.expected: str = cls.__name__
        self.classes: tuple[type, ...] = (cls,)

    @override
    def encode(self, source: Source, v: str) -> str:
        refuse, cls = source.bind("misfit", misfit), source.bind(self.cls.__name__, self.cls)
        fitting = f"isinstance({v}, {cls})"
        return f"({super().encode(source, v)} if {fitting} else {refuse}({self.expected!r}, {v}))"

    @override
    def part(self, name: str | int) -> Shape:
        return ANY


class Nullable(Shape):
    """A type or None."""

    null = True

    def __init__(self, inner: Shape) -> None:
        self.inner = inner
        self.tag: str = inner.tag
        self.first: str = inner.first
        self.expected: str = f"{inner.expected} or None"

    @override
    def payload(self) -> Any:
        return self.inner.payload()

    @override
    def encode(self, source: Source, v: str) -> str:
        inner = self.inner.encode(source, v)
        if self.inner.vanishes:  # an empty one would be NULL too
            inner = f"{source.bind('refuse_empty', refuse_empty)}({inner}, {v})"
        return f'({{"NULL": True}} if {v} is None else {inner})'

    @override
    def decode(self, source: Source, x: str) -> str:
        inner = self.inner.decode(source, x)
        if not self.tag:
            return f'(None if "NULL" in {x} else {inner})'
        unset = source.bind("U", U)
        refuse = source.bind("refuse_null", refuse_null)
        return f"({inner} if {x}.NULL is {unset} and {x}.{self.tag} is not {unset} else {refuse}({x}))"

    @override
    def decode_into(self, source: Source, x: str, y: str, last: str = "") -> list[str] | None:
        lines = self.inner.decode_into(source, x, y, last)
        if lines is None:
            return None
        unset = source.bind("U", U)
        return [
            f"if {x}.NULL is {unset} and {x}.{self.tag} is not {unset}:",
            *(f"    {line}" for line in lines),
            f"else: {y} = {source.bind('refuse_null', refuse_null)}({x})",
        ]

    @override
    def canonical(self, wire: Any) -> Any:
        return wire if "NULL" in wire else self.inner.canonical(wire)

    @override
    def children(self) -> Iterator[Shape]:
        yield self.inner

    @override
    def walk(self, walks: Walks) -> Walk | None:
        return walks.of(self.inner)  # which does not handle NULL

    @override
    def fits(self, value: Any) -> bool:
        return value is None or self.inner.fits(value)

    @override
    def empty(self) -> Any:
        return self.inner.empty()

    @override
    def element(self) -> Shape:
        return self.inner.element()

    @override
    def part(self, name: str | int) -> Shape:
        return self.inner.part(name)
