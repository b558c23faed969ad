"""The careful path: the code of the hot path, field by field, with functions that explain what is wrong.

It runs only after the hot path has failed, and for single fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import UNSET as U
from msgspec import ValidationError as ShapeError
from msgspec import convert

from dynamorm.codec.placing import NOWHERE, Place, place_of
from dynamorm.codec.types import extras
from dynamorm.codec.types.document import normal
from dynamorm.codec.types.fields import FieldPlan, explain
from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.shapes import Nullable
from dynamorm.codec.types.source import Source
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.schema.schema import LIBRARY_NAMES
from dynamorm.models.schema.upgrades import SCHEMA_ATTRIBUTE

if TYPE_CHECKING:
    from .codec import ModelCodec


class Explaining:
    """Encodes and decodes the fields of one codec, one at a time."""

    def __init__(self, codec: ModelCodec) -> None:
        self._codec = codec
        self._name = codec.schema.name
        self._functions: dict[str, Any] = {}
        self._inside: dict[FieldPlan, Any] = {}

    def function(self, which: str) -> Any:
        """``encode <name>``, ``operand <name>`` or ``decode <name>``, compiled when it is first needed."""
        try:
            return self._functions[which]
        except KeyError:
            kind, name = which.split()
            function = self._functions[which] = _compile(self._name, kind, self._codec.plans[name])
            return function

    def inside(self, plan: FieldPlan) -> Any:
        """The function that encodes a field of a record inside an attribute."""
        function = self._inside.get(plan)
        if function is None:
            function = self._inside[plan] = _compile(plan.owner, "encode", plan)
        return function

    def encode(self, obj: Any) -> dict[str, Any]:
        """Encode field by field, to name the one that does not fit."""
        if not isinstance(obj, self._codec.model):
            raise ValidationError(f"expected a {self._name}, got {type(obj).__name__}")
        if self._codec.family is not None and type(obj) is not self._codec.model:
            codec: ModelCodec = self._codec.codec_of(type(obj))
            return codec.encode(obj)
        wire: dict[str, Any] = {}
        if self._codec.record.tagged is not None:
            wire[self._codec.record.tagged[0]] = {"S": self._codec.record.tagged[1]}
        if self._codec.record.schema_version is not None:
            wire[SCHEMA_ATTRIBUTE] = {"N": f"{self._codec.record.schema_version}"}
        for plan in self._codec.record.plans:
            value = getattr(obj, plan.name, U)
            if value is U:
                raise ValidationError(
                    f"{self._name}.{plan.name} has no value: a field of an object is never deleted; set it to None, or take the attribute"
                    f" away with the update {self._name}.{plan.name}.remove()",
                    field=plan.name,
                )
            stored = self.encode_field(plan.name, value)
            if stored is not None:
                wire[plan.stored] = stored
        if self._codec.record.extras:
            wire |= extras.encoder(self._name, self._codec.record.names() | LIBRARY_NAMES)(obj)
        return wire

    def encode_field(self, name: str, value: Any) -> dict[str, Any] | None:
        """The wire value of one field, its constraints checked; None when it is left out of the item.

        Raises: ValidationError.
        """
        plan = self._codec.plans[name]
        function = self.function(f"encode {name}")
        failed: Exception
        try:
            wire: dict[str, Any] | None = function(value)
        except Exception as error:  # noqa: BLE001 - every failure becomes one typed error, without a value in its chain
            failed = error
        else:
            return wire
        if isinstance(failed, DynamORMError) and not isinstance(failed, ValidationError):
            raise failed
        raise explain(self._name, plan.name, failed, value)

    def decode(self, wire: dict[str, Any], raw: bytes | None) -> Any:
        """Decode attribute by attribute, with the careful readers; names the attribute that does not fit.

        Raises: ValidationError.
        """
        if self._codec.composites:
            from .composites import recovered  # only models with composite keys need it

            wire = {**wire, **recovered(self._codec, wire)}
        values: dict[str, Any] = {}
        place = place_of(self._codec, raw, wire) if self._codec.record.is_placed else None
        for plan in self._codec.record.plans:
            stored = plan.stored_in(wire)
            values[plan.name] = self._absent(plan) if stored is U else self.decode_field(plan.name, stored, place)
        obj = self._codec.access.construct(self._codec.model, values)
        self._codec.access.set_state(obj, raw)
        if (hook := self._codec.record.loaded_hook) is not None:
            hook(obj)
        return obj

    def _absent(self, plan: FieldPlan) -> Any:
        make = plan.missing()
        if make is None:
            raise ValidationError(
                f"{self._name}.{plan.name}: the stored item lacks {plan.stored!r}",
                field=plan.name,
                table=self._codec.table,
            )
        return make()

    def value_before(self, name: str, wire: dict[str, Any]) -> Any:
        """The Python value of what `FieldPlan.before` gives. Raises: ValidationError."""
        plan = self._codec.plans[name]
        failed: Exception
        try:
            return self.function(f"before {name}")(convert(plan.shape.canonical(normal(wire)), plan.shape.wire()))
        except Exception as error:  # noqa: BLE001 - as below
            failed = error
        if isinstance(failed, DynamORMError):
            raise failed
        raise ValidationError(_misread(self._name, plan, wire, failed), field=name, table=self._codec.table)

    def decode_field(self, name: str, wire: dict[str, Any], place: Place | None = None) -> Any:
        """The Python value of one stored attribute; ``place`` is where it is stored. Raises: ValidationError."""
        plan = self._codec.plans[name]
        failed: Exception
        try:
            function = self.function(f"decode {name}")
            return function(_typed(plan, wire), place or NOWHERE) if plan.placed else function(_typed(plan, wire))
        except Exception as error:  # noqa: BLE001 - every failure becomes one typed error, without a value in its chain
            failed = error
        if isinstance(failed, DynamORMError):
            raise failed
        raise ValidationError(_misread(self._name, plan, wire, failed), field=name, table=self._codec.table)


def _compile(title: str, kind: str, plan: FieldPlan) -> Any:
    """One function of one field: the code of the hot path with careful functions."""
    source = Source(careful=True)
    name = source.bind(f"{kind}_{plan.name}", object())
    if kind == "before":
        source.define(name, "x", [f"return {plan.shape.decode(source, 'x')}"])
    elif kind == "decode":
        source.define(name, "x, p" if plan.placed else "x", [f"return {plan.decode_text(source, 'x')}"])
    else:
        source.define(name, "v", plan.encode_lines(source, "v", "return", checks=kind == "encode"))
    source.compile(f"{title} {kind} {plan.name}")
    return source.names[name]


def value_of(plan: FieldPlan, wire: dict[str, Any]) -> Any:
    """The Python value of a wire value of a field, wherever that is in the item."""
    return _compile(plan.owner, "decode", plan)(_typed(plan, wire))


def _typed(plan: FieldPlan, wire: dict[str, Any]) -> Any:
    """The stored attribute, in whatever known form it has, as the msgspec struct that decoding works on."""
    return normal(wire) if plan.hook is not None else convert(plan.canonical(normal(wire)), plan.wire())


def _misread(owner: str, plan: FieldPlan, wire: Any, error: Exception) -> str:
    """What to say of a stored attribute that does not fit: the wire types, never the value."""
    where = f"{owner}.{plan.name}"
    tag = next(iter(wire)) if isinstance(wire, dict) and len(wire) == 1 else "no attribute value"
    shape = plan.shape
    expected = shape.tag or shape.expected
    if isinstance(error, ShapeError) and tag not in (shape.tag, *(["NULL"] if shape.null else ())) and shape.tag:
        return f"{where}: the stored item has {tag} where {expected} is expected{_remedy(plan, tag)}"
    if isinstance(error, Mismatch):
        return f"{where}: the stored {tag} {error.text}"
    at = _blamed(shape, wire)
    return f"{where}: the stored {tag} does not fit {shape.expected}{f': look at {plan.name}{at}' if at else ''}"


def _remedy(plan: FieldPlan, tag: str) -> str:
    if plan.field.role:  # keys and what the library owns have one form
        return ""
    if tag == "NULL":
        return "; allow None in its type, Attr[... | None], to read it"
    return "; another program's form is read by attr(Codec(encode, decode))"


def _blamed(shape: Any, wire: Any) -> str:
    """The first place inside a stored value that cannot be read, as the end of a path; empty when it is not found."""
    shape = shape.inner if isinstance(shape, Nullable) else shape
    if not isinstance(wire, dict):
        return ""
    plans: list[FieldPlan] = getattr(shape, "plans", [])
    if plans and isinstance(members := wire.get("M"), dict):
        for plan in plans:
            stored = plan.stored_in(members)
            if stored is U:
                if plan.missing() is None:
                    return f".{plan.name}, which is missing"
            elif _fails(plan, stored):
                return f".{plan.name}{_blamed(plan.shape, stored)}"
    elif isinstance(elements := wire.get("L"), list):
        for at, element in enumerate(elements):
            for inner in shape.children():
                if end := _blamed(inner, element):
                    return f"[{at}]{end}"
                if getattr(inner, "plans", None) and not (isinstance(element, dict) and "M" in element):
                    return f"[{at}]"
    return ""


def _fails(plan: FieldPlan, wire: Any) -> bool:
    try:
        value_of(plan, wire)
    except Exception:  # noqa: BLE001 - whatever the reason, this is the place
        return True
    return False
