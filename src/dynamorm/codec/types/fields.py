"""One field of a record: the lines that encode it with its constraints, and those that decode it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import ValidationError as ShapeError
from msgspec import convert

from dynamorm.arguments import type_given
from dynamorm.codec.placing import UNPLACED, Place, unplaced
from dynamorm.errors import DynamORMError, InvalidUse, ValidationError
from dynamorm.models.schema.defaults import constant_of
from dynamorm.models.schema.placed import Unread
from dynamorm.models.schema.schema import MISSING, Field

from .document import empty_wire, normal
from .mismatch import Mismatch
from .shapes import GENERIC, Nullable, Shape
from .size import check_key
from .source import Source
from .times import ZERO_TIME

if TYPE_CHECKING:
    from dynamorm.plugin import FieldCodec, PlacedField


_ZERO_WIRE: Final = {"S": ZERO_TIME}


class FieldPlan:
    """How one field is stored. ``owner`` is the name of its class; ``shape`` is without the Optional."""

    def __init__(
        self,
        field: Field,
        shape: Shape,
        *,
        owner: str,
        hook: FieldCodec | PlacedField | None = None,
        key_limit: int = 0,
        sparse: bool = False,
        keep_none: bool = False,
    ) -> None:
        self.field = field
        self.name: str = field.name
        self.stored: str = field.stored
        self.owner = owner
        self.hook: Any = hook
        self.unstored: Any = field.unstored if field.options else None
        self.placed: bool = hook is not None and not isinstance(hook, tuple)
        self.marks: bool = bool(self.placed and hook.marks)  # type: ignore[union-attr] # as below
        self.beside_names: tuple[str, ...] = tuple(hook.beside_names) if self.placed else ()  # type: ignore[union-attr] # it is one then
        whole = hook.whole if self.placed else None  # type: ignore[union-attr] # as above
        self.names_beside: tuple[str, ...] = (*self.beside_names, *(whole.names if whole is not None else ()))
        self.key_limit = key_limit
        self.sparse = sparse
        self.optional: bool = isinstance(shape, Nullable)
        self.shape: Shape = shape.inner if isinstance(shape, Nullable) else shape
        # The times that the library sets are declared without Optional, and are None until the first write.
        self.nullable: bool = self.optional or (field.default is None and not shape.null)
        # None is left out and read back as the default; where the default is another value, NULL must say so.
        # NULL is also needed where an attribute of another name would be read instead.
        told = keep_none or bool(field.also_read) or not self._none_by_default
        self.keep_none: bool = self.optional and not sparse and told
        # A part of the primary key is always stored.
        self.omits: bool = field.omit_empty and (sparse or not key_limit)

    @property
    def _none_by_default(self) -> bool:
        default = self.field.default
        return self.field.default_factory is None and (default is MISSING or default is None)

    @property
    def sure(self) -> bool:
        """Whether the field is always written."""
        return (not self.nullable or self.keep_none) and not self.omits and not self.sparse

    def wire(self) -> Any:
        """The msgspec type of the stored attribute."""
        if self.hook is not None:
            return GENERIC
        return Nullable(self.shape).wire() if self.nullable and not self.shape.null else self.shape.wire()

    # ------------------------------------------------------------------------------------------------------- decoding

    def missing(self) -> Callable[[], Any] | None:
        """What makes the value of an attribute that is not stored; None when it must be stored."""
        field = self.field
        if self.unstored is not None:
            made: Callable[[], Any] = self.unstored.loaded
            return made
        if field.default_factory is not None:
            return field.default_factory
        if field.default is not MISSING:
            return lambda: field.default
        if self.nullable or self.shape.none_absent:
            return lambda: None
        if (self.omits or self.sparse or self.shape.vanishes) and self.shape.empty() is not U:
            return self.shape.empty
        return None

    def missing_text(self, source: Source) -> str | None:
        """The expression of `missing`."""
        make = self.missing()
        if make is None:
            return None
        value = self.field.default
        if self.field.default_factory is None and value in (MISSING, None) and self.nullable:
            return "None"
        if self.field.default_factory is None and value is not MISSING:
            return repr(value) if type(value) in (int, str, bool) else source.bind(f"default_{self.name}", value)
        return f"{source.bind(f'missing_{self.name}', make)}()"

    def decode_text(self, source: Source, x: str) -> str:
        """The expression of the value of the stored attribute in variable ``x``."""
        shape = self.shape
        if self.hook is not None:
            inner = shape.decode(source, x)
            place = ", p" if self.placed else ""
            opened = f"({x} := {source.bind(f'open_{self.name}', self._opener())}({x}{place}))"
            if self.marks:
                text = f"({x} if isinstance({opened}, {source.bind('Unread', Unread)}) else {inner})"
            else:
                text = f"({inner} if {opened} is not None else None)"
            return f'(None if "NULL" in {x} else {text})' if self.nullable else text
        if self.nullable and not shape.null:
            return Nullable(shape).decode(source, x)
        return shape.decode(source, x)

    def decode_into(self, source: Source, x: str, y: str, last: str = "") -> list[str] | None:
        """As `decode_text`, as the lines of `Shape.decode_into`."""
        if self.hook is not None:
            return None
        shape = Nullable(self.shape) if self.nullable and not self.shape.null else self.shape
        return shape.decode_into(source, x, y, last)

    def _opener(self) -> Callable[[Any], Any]:
        decode = self.hook.decode if self.placed else self.hook[1]
        wire = self.shape.wire()

        def open_(stored: Any, *place: Place) -> Any:
            opened = decode(normal(stored), *place)
            if opened.__class__ is not dict and isinstance(opened, Unread):
                return opened
            if self.renamed:
                opened = self.shape.canonical(normal(opened))
            try:
                return convert(opened, wire)
            except ShapeError:
                return convert(self.shape.canonical(normal(opened)), wire)

        return open_

    def waits(self, wire: dict[str, Any] | None) -> bool:
        """Whether a wire value waits for the place of its item."""
        return wire is not None and UNPLACED in wire

    def before(self, wire: dict[str, Any], place: Place | None) -> dict[str, Any] | Unread:
        """The value of a stored form, or of one that waits for its place, before it has that form. Raises: as the plugin."""
        waiting = wire.get(UNPLACED)
        if waiting is not None:
            return waiting.wire  # type: ignore[no-any-return] # a wire value
        found: dict[str, Any] | Unread = self.hook.decode(normal(wire), place)
        return found

    @cached_property
    def renamed(self) -> bool:
        """Whether something inside the attribute is read under other names too."""
        return has_other_names(self.shape)

    def canonical(self, stored: Any) -> Any:
        """As `Shape.canonical`, of the stored attribute."""
        if self.hook is not None or (self.nullable and "NULL" in stored):
            return stored
        return self.shape.canonical(stored)

    def stored_in(self, item: Mapping[str, Any]) -> Any:
        """The attribute among those of an item, under its own name or another that is read; `U` when it is not there."""
        value = U if self.unstored is not None else item.get(self.stored, U)
        if value is U:
            return next((item[name] for name in self.field.also_read if name in item), U)
        return value

    # ------------------------------------------------------------------------------------------------------- encoding

    def plain_text(self, source: Source, v: str) -> str | None:
        """The expression of the wire value when the field needs no lines of its own, else None."""
        if not self.sure or self.hook is not None or self.unstored is not None or self.key_limit or self.constrained:
            return None
        if self.nullable and self.shape.vanishes:  # NULL is an empty set, so None is refused
            return None
        return (Nullable(self.shape) if self.nullable else self.shape).encode(source, v)

    @property
    def constrained(self) -> bool:
        """Whether not every value of the type may be stored as it is."""
        return bool(self.field.validators) or self.bounded

    @property
    def bounded(self) -> bool:
        """Whether the field has limits."""
        field = self.field
        limits = (field.ge, field.gt, field.le, field.lt, field.min_length, field.max_length, field.pattern)
        return any(limit is not None for limit in limits)

    @property
    def plain_key(self) -> bool:
        """Whether a key attribute has no hook and no constraints."""
        return self.hook is None and not self.constrained

    def encode_lines(self, source: Source, v: str, store: str, *, checks: bool = True) -> list[str]:
        """The lines that compute the wire value of variable ``v``, put after ``store``, unless it is left out.

        Without ``checks`` the value may break the field's constraints, as the operand of a condition may.
        """
        if self.unstored is not None:
            return []
        lines = [f"x = {self.shape.encode(source, v)}", *(self._checks(source, v) if checks else ())]
        condition = self._kept(source)
        tail = (
            [f"{self._key_guard(v)}{source.bind('check_key', check_key)}(x, {self.key_limit})"]
            if self.key_limit
            else []
        )
        if self.placed:
            tail += [f"x = {source.bind(f'unplaced_{self.name}', unplaced(self))}(x)"]
        elif self.hook is not None:
            tail += [
                f"x = {source.bind(f'seal_{self.name}', self.hook[0])}(x)",
                f"if x.__class__ is not dict: {source.bind('refuse_sealed', refuse_sealed)}({self.owner!r}, {self.name!r}, x)",
            ]
        tail += [f"{store} x"]
        lines += tail if condition is None else [f"if {condition}:", *(f"    {line}" for line in tail)]
        if self.sparse and checks:
            lines += self._empty_key(source)
        if self.marks:
            kept = f"{store} {source.bind(f'unplaced_{self.name}', unplaced(self))}({v})"
            unread = [f"if isinstance({v}, {source.bind('Unread', Unread)}):", f"    {kept}", "else:"]
            lines = [*unread, *(f"    {line}" for line in lines)]
        if not self.nullable:
            return lines
        inner = [f"if {v} is not None:", *(f"    {line}" for line in lines)]
        otherwise = self._none_lines(source, store, checks=checks)
        return [*inner, "else:", *(f"    {line}" for line in otherwise)] if otherwise else inner

    def in_place(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """What a plugin stores for a wire value in this place. Raises: ValidationError, InvalidUse; what the plugin raises."""
        if wire.__class__ is not dict and isinstance(wire, Unread):
            raise ValidationError(
                f"{self.owner}.{self.name} holds what could not be read, so that it cannot be stored as a value: save the object"
                " that was loaded, or give it a value",
                field=self.name,
            )
        try:
            stored: Any = self.hook.encode(wire, place)
        except DynamORMError:
            raise
        except Exception as error:  # noqa: BLE001 - its text may hold the value
            failed = type(error).__name__
        else:
            if stored.__class__ is not dict or len(stored) != 1:
                refuse_sealed(self.owner, self.name, stored)
            return stored  # type: ignore[no-any-return] # as was just asked
        raise ValidationError(f"{self.owner}.{self.name} cannot be stored ({failed})", field=self.name)

    def beside(self, wire: dict[str, Any] | None, place: Place) -> Mapping[str, dict[str, Any]]:
        """What a plugin stores beside the attribute, by stored name; ``wire`` is the value that waits for its place, or None."""
        if not self.beside_names:
            return {}
        waiting = None if wire is None else wire.get(UNPLACED)
        if waiting is not None and isinstance(waiting.wire, Unread):
            return {}
        found: Mapping[str, dict[str, Any]] = self.hook.beside(None if waiting is None else waiting.wire, place)
        return found

    def _none_lines(self, source: Source, store: str, *, checks: bool) -> list[str]:
        """The lines for None: left out where absence reads back as None, else stored as NULL where that is None."""
        if self.keep_none and not self.shape.vanishes:
            return [f'{store} {{"NULL": True}}']
        if not checks or self._absent() is None:
            return []
        rule = "be None: a key of an index takes no NULL" if self.sparse else "be None: NULL is the empty set there"
        return [self._refusal(source, f"not {rule}, and without the attribute its default would be read")]

    def _empty_key(self, source: Source) -> list[str]:
        """The lines for an empty value in the key of an index, which DynamoDB refuses: left out where it is read back."""
        stop = self._refusal(source, "not be empty: a key of an index takes no empty value, and without it " + (
            "None would be read; use None" if self._absent() is None else "its default would be read"
        ))  # fmt: skip
        left_out = self.left_out
        if left_out is None:
            return [f"else: {stop}"]
        return [f"elif x != {source.bind(f'empty_{self.name}', left_out)}: {stop}"]

    def _refusal(self, source: Source, rule: str) -> str:
        return f"{source.bind('refuse', refuse)}({self.owner!r}, {self.name!r}, {rule!r})"

    def _absent(self) -> Any:
        """What is read where the attribute is not stored; `U` when nothing can be, or only a call of a user's would tell."""
        field = self.field
        if field.default_factory is not None:
            return constant_of(field.default_factory)
        if field.default is not MISSING:
            return field.default
        make = self.missing()
        return U if make is None else make()

    @cached_property
    def absent_wire(self) -> Any:
        """What is read where the attribute is not stored, as a wire value; None when that is None, or not known."""
        absent = self._absent()
        return None if absent is U or (absent is None and self.nullable) else wire_of(self.shape, absent)

    @property
    def left_out(self) -> Any:
        """The wire value that is left out, being empty and just what is read where there is none; None when none is."""
        wire = self.absent_wire
        return wire if wire is not None and (empty_wire(wire) or wire == _ZERO_WIRE) else None

    def _key_guard(self, v: str) -> str:
        """The test that makes it unnecessary to measure most texts in bytes; a number is never too long for a key."""
        if self.shape.passes and self.shape.tag == "S" and self.shape.classes == (str,):
            return f"if not 0 < len({v}) <= {self.key_limit // 4}: "
        return ""

    @property
    def always(self) -> bool:
        """Whether every value is stored: none is left out, and there is no None."""
        return self.unstored is None and not (
            self.nullable or self.sparse or (self.omits and self.left_out is not None)
        )

    def _kept(self, source: Source) -> str | None:
        """The condition under which a value that is not None is stored; None when it always is."""
        if self.sparse:
            return '"NULL" not in x and x.get("S") != "" and x.get("B") != b""'
        if self.omits and self.left_out is not None:
            return f"x != {source.bind(f'empty_{self.name}', self.left_out)}"
        return None

    def _checks(self, source: Source, v: str) -> list[str]:
        """The constraints, on a value whose type is known to be right."""
        field = self.field
        stop = f"{source.bind('refuse', refuse)}({self.owner!r}, {self.name!r}, "
        lines: list[str] = []
        if field.validators:  # they come first: the limits hold for what is stored
            run = source.bind(f"validate_{self.name}", _validator(self.owner, self.name, field.validators))
            # A validator may change the value, so what is stored is worked out again.
            lines += [f"y = {run}({v})", f"if y is not {v}:", f"    {v} = y", f"    x = {self.shape.encode(source, v)}"]
        for sign, limit in ((">=", field.ge), (">", field.gt), ("<=", field.le), ("<", field.lt)):
            if limit is not None:
                lines += [
                    f"if not {v} {sign} {source.bind(f'limit_{self.name}', limit)}: {stop}{f'be {sign} {limit}'!r})"
                ]
        if field.min_length is not None:
            lines += [f"if len({v}) < {field.min_length}: {stop}{f'have a length of at least {field.min_length}'!r})"]
        if field.max_length is not None:
            lines += [f"if len({v}) > {field.max_length}: {stop}{f'have a length of at most {field.max_length}'!r})"]
        if field.pattern is not None:
            match = source.bind(f"match_{self.name}", re.compile(field.pattern).fullmatch)
            lines += [f"if {match}({v}) is None: {stop}{f'match the pattern {field.pattern}'!r})"]
        return lines


def has_other_names(shape: Shape) -> bool:
    """Whether a record inside the shape, or the shape itself, has fields that are read under other names too."""
    return has_field(shape, lambda plan: bool(plan.field.also_read))


def has_field(shape: Shape, test: Callable[[FieldPlan], bool], above: frozenset[int] = frozenset()) -> bool:
    """Whether a record inside the shape, or the shape itself, has a field for which the test is true."""
    if id(shape) in above:
        return False
    plans: list[FieldPlan] = getattr(shape, "plans", [])
    if any(map(test, plans)):
        return True
    inside = [plan.shape for plan in plans] or list(shape.children())
    return any(has_field(child, test, above | {id(shape)}) for child in inside)


def wire_of(shape: Shape, value: Any) -> Any:
    """The wire value of a default; None for one that cannot be stored."""
    source = Source(careful=True)
    name = source.bind("encode_default", object())
    source.define(name, "v", [f"return {shape.encode(source, 'v')}"])
    source.compile("default")
    try:
        return source.names[name](value)
    except Exception:  # noqa: BLE001 - a default is checked when it is written, and explained there
        return None


def refuse_sealed(owner: str, name: str, given: Any) -> None:
    """Raise the InvalidUse of what a plugin's ``encode`` gave in the place of a stored form."""
    raise InvalidUse(
        f"{owner}.{name}: encode of the plugin that wraps the field gives the stored form, such as"
        f' {{"S": "text"}} or {{"B": b"bytes"}}, not {type_given(given)}',
        field=name,
    )


def refuse(owner: str, name: str, rule: str) -> None:
    """Raise the ValidationError of a constraint that does not hold."""
    raise ValidationError(f"{owner}.{name} must {rule}", field=name)


def _validator(owner: str, name: str, validators: tuple[Callable[[Any], Any], ...]) -> Callable[[Any], Any]:
    """One function that runs all the validators of a field. Their messages may hold the value, so they are dropped."""

    def validate(value: Any) -> Any:
        failed = None
        for validator in validators:
            try:
                value = validator(value)
            except (ValueError, AssertionError):
                failed = getattr(validator, "__name__", type(validator).__name__)
                break
        if failed is not None:
            raise ValidationError(f"{owner}.{name} was refused by its validator {failed}", field=name)
        return value

    return validate


def explain(owner: str, name: str, error: Exception, value: Any) -> ValidationError:
    """The ValidationError for a value that could not be encoded."""
    if isinstance(error, ValidationError):
        if error.field is None:
            return type(error)(f"{owner}.{name}: {error.message}", field=name)
        return error
    if isinstance(error, Mismatch):
        where = "" if error.value is value else " holds a value that"
        return ValidationError(f"{owner}.{name}{where} {error.text}", field=name)
    return ValidationError(f"{owner}.{name} cannot be stored ({type(error).__name__})", field=name)
