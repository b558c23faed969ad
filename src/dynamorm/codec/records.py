"""Maps with known fields: models, dataclasses, TypedDicts, NamedTuples, msgspec Structs and pydantic models, as M.

It must not know where the annotations come from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import UNSET as U
from msgspec import UnsetType, defstruct
from msgspec import convert as msgspec_convert
from msgspec import Struct

from ..schema import TOKEN_ATTRIBUTE, Field, Schema
from .fields import FieldPlan
from .mismatch import Mismatch, misfit
from .shapes import GENERIC, Shape, wire_struct
from .source import Source
from .state import Access

# How the objects of a record are made and read.
SLOTS, CALL, DICT, ACCESSED = "slots", "call", "dict", "access"


class Record(Shape):
    """A class with known fields. ``plans`` is filled after it is made, so that a type may refer to itself."""

    tag = "M"

    def __init__(self, cls: Any, style: str, *, schema: Schema | None = None, access: Access | None = None) -> None:
        self.cls = cls
        self.style = style
        self.schema = schema
        self.access = access
        self.expected = cls.__name__
        self.classes = (dict,) if style == DICT else (cls,)
        self.plans: list[FieldPlan] = []
        self.optional: frozenset[str] = frozenset()
        self.arguments: dict[str, str] = {}
        self.make: Callable[..., Any] = cls
        self._wire: Any = None

    @property
    def tagged(self) -> tuple[str, str] | None:
        """The discriminator's stored name and this class's tag."""
        schema = self.schema
        if schema is None or schema.discriminator is None or schema.tag is None:
            return None
        return schema.discriminator, schema.tag

    def names(self) -> frozenset[str]:
        """Every stored name of the class."""
        extra = {self.tagged[0]} if self.tagged else set()
        return frozenset({plan.stored for plan in self.plans} | extra)

    def payload(self) -> Any:
        return self.struct()

    def struct(self) -> Any:
        """The msgspec type of the map. Annotations are filled in after it exists: they may refer to it."""
        if self._wire is not None:
            return self._wire
        fields: list[Any] = []
        rename = {}
        for plan in self.plans:
            fields.append((plan.name, Any) if plan.missing() is None else (plan.name, Any, U))
            rename[plan.name] = plan.stored
        extra: dict[str, Any] = {}
        if self.schema is not None and self.schema.table is not None and TOKEN_ATTRIBUTE not in rename.values():
            extra["wt__"] = TOKEN_ATTRIBUTE, bytes, "B"
        if self.tagged is not None:
            extra["tag__"] = self.tagged[0], str, "S"
        for name, (stored, _, _) in extra.items():
            fields.append((name, Any, U))
            rename[name] = stored
        wire = self._wire = defstruct(f"Wire{self.cls.__name__}", fields, rename=rename, kw_only=True, gc=False)
        for plan in self.plans:
            stored_type = plan.wire()
            wire.__annotations__[plan.name] = stored_type if plan.missing() is None else stored_type | UnsetType
        for name, (_, payload, tag) in extra.items():
            wire.__annotations__[name] = wire_struct(tag, payload, null=False) | UnsetType
        return wire

    # ------------------------------------------------------------------------------------------------------- encoding

    def encode(self, source: Source, v: str) -> str:
        return f'{{"M": {self.encoder(source)}({v})}}'

    def encoder(self, source: Source) -> str:
        """The name of the function from an object to its wire map."""
        hint = f"encode_{self.cls.__name__}"
        return source.function((self, "encode"), hint, lambda: ("o", self._encode_lines(source)))

    def _read(self, plan: FieldPlan) -> str:
        return f"o[{plan.name!r}]" if self.style == DICT else f"o.{plan.name}"

    def _encode_lines(self, source: Source) -> list[str]:
        kind = source.bind(self.cls.__name__, dict if self.style == DICT else self.cls)
        misfit_ = source.bind("misfit", misfit)
        lines = [f"if o.__class__ is not {kind} and not isinstance(o, {kind}): {misfit_}({self.expected!r}, o)"]
        if self.style == DICT:
            lines += [
                f"if o.keys() - {source.bind(f'keys_{self.cls.__name__}', frozenset(plan.name for plan in self.plans))}:",
                f"    {misfit_}('a {self.expected} without other keys', o, 'one with other keys')",
            ]
            required = frozenset(plan.name for plan in self.plans) - self.optional
            lines += [
                f"if {source.bind(f'required_{self.cls.__name__}', required)} - o.keys():",
                f"    {misfit_}('a {self.expected} with all required keys', o, 'one that lacks a key')",
            ]
        return lines + self.body_lines(source)

    def body_lines(self, source: Source) -> list[str]:
        """The lines from object ``o`` to ``return`` of its wire map: first what is always written, then the rest."""
        lines: list[str] = []
        always: list[str] = []
        rest: list[FieldPlan] = []
        if self.tagged is not None:
            always.append(f'{self.tagged[0]!r}: {{"S": {self.tagged[1]!r}}}')
        for plan in self.plans:
            v = f"v{len(always)}"
            text = None if plan.name in self.optional else plan.plain_text(source, v)
            if text is None:
                rest.append(plan)
                continue
            lines.append(f"{v} = {self._read(plan)}")
            always.append(f"{plan.stored!r}: {text}")
        lines.append(f"w = {{{', '.join(always)}}}")
        for plan in rest:
            some = [f"v = {self._read(plan)}", *plan.encode_lines(source, "v", f"w[{plan.stored!r}] = {{x}}")]
            if plan.name in self.optional:
                some = [f"if {plan.name!r} in o:", *(f"    {line}" for line in some)]
            lines += some
        return [*lines, "return w"]

    # ------------------------------------------------------------------------------------------------------- decoding

    def decode(self, source: Source, x: str) -> str:
        return f"{self.decoder(source)}({x}.M)"

    def decoder(self, source: Source) -> str:
        """The name of the function from a wire struct to an object."""
        hint = f"decode_{self.cls.__name__}"
        return source.function((self, "decode"), hint, lambda: ("w, raw=None", self.decode_lines(source)))

    def decode_lines(self, source: Source) -> list[str]:
        """The lines from the wire struct ``w`` to ``return`` of the object; ``raw`` becomes its state."""
        kind = source.bind(self.cls.__name__, self.cls)
        if self.style == SLOTS:
            lines = [f"o = {source.bind('new', object.__new__)}({kind})"]
            for plan in self.plans:
                lines += self._decode_field(source, plan, f"o.{plan.name}")
            return [*lines, "o.__loaded__ = raw", "return o"]
        lines = ["k = {}"]
        for plan in self.plans:
            target = f"k[{self.arguments.get(plan.name, plan.name)!r}]"
            if plan.missing() is not None and (plan.name in self.optional or plan.field.default is U):
                # The class has a default of its own, or the key may be absent.
                lines += [f"x = w.{plan.name}", f"if x is not {source.bind('U', U)}:"]
                lines += [f"    {target} = {plan.decode_text(source, 'x')}"]
            else:
                lines += self._decode_field(source, plan, target)
        if self.access is not None:
            lines += [f"o = {source.bind('construct', self.access.construct)}({kind}, k)"]
            lines += [f"if raw is not None: {source.bind('set_state', self.access.set_state)}(o, raw)"]
            return [*lines, "return o"]
        if self.style == DICT:
            return [*lines, "return k"]
        return [*lines, f"return {source.bind(f'make_{self.cls.__name__}', self.make)}(k)"]

    @staticmethod
    def _decode_field(source: Source, plan: FieldPlan, target: str) -> list[str]:
        missing = plan.missing_text(source)
        if missing is not None:
            unset = source.bind("U", U)
            return [f"x = w.{plan.name}", f"{target} = {missing} if x is {unset} else {plan.decode_text(source, 'x')}"]
        once = plan.decode_text(source, "\0")
        if once.count("\0") == 1:
            return [f"{target} = {once.replace(chr(0), f'w.{plan.name}')}"]
        return [f"x = w.{plan.name}", f"{target} = {plan.decode_text(source, 'x')}"]

    # ---------------------------------------------------------------------------------------------------------- paths

    def part(self, name: str | int) -> Shape:
        if isinstance(name, str):
            for plan in self.plans:
                if name in (plan.name, plan.stored):
                    return plan.shape
        return super().part(name)


class Family(Shape):
    """A model whose subclasses are told apart by a discriminator: each is encoded and decoded by its own codec."""

    tag = "M"

    def __init__(self, cls: Any, codec_of: Callable[[Any], Any]) -> None:
        self.cls = cls
        self.codec_of = codec_of
        self.expected = cls.__name__
        self.classes = ()

    def payload(self) -> Any:
        return GENERIC

    def encode(self, source: Source, v: str) -> str:
        def member(value: Any) -> Any:
            if not isinstance(value, self.cls):
                raise Mismatch(self.expected, value)
            return self.codec_of(type(value)).encode(value)

        return f'{{"M": {source.bind(f"encode_{self.cls.__name__}", member)}({v})}}'

    def decode(self, source: Source, x: str) -> str:
        def member(wire: Any) -> Any:
            return self.codec_of(self.cls).decode_nested(wire)

        return f"{source.bind(f'decode_{self.cls.__name__}', member)}({x}.M)"

    def part(self, name: str | int) -> Shape:
        return self.codec_of(self.cls).record.part(name)  # type: ignore[no-any-return] # a Record


class Union(Shape):
    """One of several types: told apart by wire type, then by discriminator, then by what fits."""

    def __init__(self, members: list[Shape]) -> None:
        self.members = members
        self.expected = " | ".join(member.expected for member in members)
        self.null = any(member.null for member in members)

    def children(self) -> Any:
        yield from self.members

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
                        continue  # the elements decide, so the members are tried in turn
                    if isinstance(member, Record) and kind is dict:
                        continue
                    lines.append(f"if c is {source.bind(kind.__name__, kind)}: return {name}(v)")
            return "v", [*lines, f"return {source.bind('first_that_fits', _encode_first)}(({''.join(tries)}), v, {self.expected!r})"]

        return f"{source.function((self, 'encode'), 'encode_union', body)}({v})"

    def decode(self, source: Source, x: str) -> str:
        def body() -> tuple[str, list[str]]:
            tries = []
            for number, member in enumerate(self.members):
                name = source.bind(f"decode_{number}", object())
                source.define(name, "x", [f"return {member.decode(source, 'x')}"])
                shape = source.bind(f"member_{number}", member)
                tries.append(f"({shape}, {name}), ")
            return "x", [f"return {source.bind('read_first_that_fits', _decode_first)}(({''.join(tries)}), x, {self.expected!r})"]

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
    for error in refused:
        if not isinstance(error, (Mismatch, TypeError, AttributeError)):
            raise error from None
    raise Mismatch(expected, value)


def _decode_first(members: tuple[tuple[Shape, Any], ...], wire: Any, expected: str) -> Any:
    """The value by the first member that fits; among records, one that knows every attribute comes first."""
    if wire.__class__ is not dict or len(wire) != 1:
        raise Mismatch("an attribute value", wire, "something else")
    ((tag, payload),) = wire.items()
    fitting = [one for one in members if one[0].tag in (tag, "") or (tag == "NULL" and one[0].null)]
    if tag == "M" and len(fitting) > 1:
        fitting.sort(key=lambda one: not _knows_all(one[0], payload))
    for shape, function in fitting:
        try:
            return function(msgspec_convert(wire, shape.wire()))
        except Exception:  # noqa: BLE001, S112 - whatever the reason, the value does not fit this member
            continue
    raise Mismatch(expected, wire, tag)


def _knows_all(shape: Shape, payload: Any) -> bool:
    if not isinstance(shape, Record):
        return False
    if shape.tagged is not None and payload.get(shape.tagged[0]) == {"S": shape.tagged[1]}:
        return True
    return payload.keys() <= shape.names()


def record_field(name: str, stored: str, owner: str, **settings: Any) -> Field:
    """A field of a class that is no model."""
    return Field(name=name, stored=stored, annotation=None, owner=owner, **settings)


def struct_names(cls: type[Struct]) -> dict[str, str]:
    """Stored name by field name of a msgspec Struct."""
    return dict(zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True))
