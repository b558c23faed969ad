"""`ModelCodec`: everything that turns one model's objects into bytes for DynamoDB and back.

The hot paths are generated per model (`dynamorm.codec.types.records`); this module joins them to replies and keys.
It must not know verbs, HTTP or expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from dynamorm.codec import values
from dynamorm.codec.placing import NO_SCOPE, UNPLACED, Place, check_places
from dynamorm.codec.replies.reading import Reading
from dynamorm.codec.types.fields import FieldPlan, has_field, has_other_names
from dynamorm.codec.types.planner import FieldHooks, Planner
from dynamorm.codec.types.source import Source
from dynamorm.engine.sizes import MAX_NAME
from dynamorm.errors import DynamORMError, ModelError, ValidationError
from dynamorm.models.schema.composite import Composite
from dynamorm.models.schema.schema import LIBRARY_NAMES, Field, Schema

from .explaining import Explaining
from .keys import KeyCodec
from .limits import SURELY_FLAT, check_limits, may_nest
from .setting import asks_nothing, cached_of, forget, giver_of, may_refuse, setter_of
from .state import ACCESS, SLOTS, Access
from .strict import decoded, dumps, parts_of, read_object

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import Keeps
    from dynamorm.codec.types.records import Record
    from dynamorm.codec.values.inner import Inner
    from dynamorm.models.schema.placed import PlacedItem

    from .composites import Computed
    from .family import Family
    from .upgrades import Upgrades


class Page(Struct, gc=False):
    """One page of a query: objects, the raw JSON of the key to go on from, and DynamoDB's counts."""

    items: list[Any]
    last_key: bytes | None
    count: int
    scanned: int
    places: list[int] | None = None
    """Which items of the reply these are, by their numbers, where some were left out."""


class ModelCodec:
    """Encodes and decodes one model.

    ``schema``, ``model``, ``table`` (physical name or None), ``source`` (the generated code), ``key_names`` (stored
    names of the key, partition first) and ``record`` (the shape) are plain attributes; so are the generated functions
    ``encode(obj) -> wire item`` (without the write tokens) and ``key_json(values) -> bytes``, and ``encode_field(name,
    value) -> wire value or None`` (None: it is left out of the item) with its reverse ``decode_field(name, wire)``.
    ``renamed`` says that attributes are read under other names too, ``bounded`` that fields have limits; ``changing`` are
    the fields with validators, which may change a value. ``is_scoped``: the primary key holds the scope of a view, to which
    ``bound(scope)`` binds it. ``loaded(obj)`` is the JSON of the stored item as last known, or None; ``mark(obj, raw)`` says what is stored now.

    Raises: ModelError when the model's types cannot be stored.
    """

    access: Access
    loaded: Callable[[Any], bytes | None]
    mark: Callable[[Any, bytes | None], None]

    decode_loaded: Callable[[bytes], Any] | None = None
    encode_loaded: Callable[[Any], dict[str, Any]] | None = None
    """As ``decode`` and ``encode``, of what was loaded earlier, where a view has a rule for them."""

    upgrades: Upgrades | None = None
    """What knows the schema versions of the model, where it has any."""

    encode: Callable[[Any], dict[str, Any]]
    key_json: Callable[[tuple[Any, ...]], bytes]

    def __init__(
        self, schema: Schema, hook_of: FieldHooks, codec_of: Callable[[Any], ModelCodec], table_prefix: str = ""
    ) -> None:
        self.schema = schema
        self.model: type[Any] = schema.model
        self.table: str | None = None if schema.table is None else table_prefix + schema.table
        self.access = access = ACCESS.get(schema.model, SLOTS)
        self.loaded, self.mark = access.get_state, access.set_state
        self.record: Record = Planner(hook_of, codec_of).model(schema)
        self.plans: dict[str, FieldPlan] = {plan.name: plan for plan in (*self.record.plans, *self.record.computed)}
        self.codec_of = codec_of
        self.family: Family | None = None
        if schema.discriminator is not None:
            from .family import Family  # only models that share a table need it

            self.family = Family(schema, codec_of)
        self._names = self.record.names() | LIBRARY_NAMES
        self._deep = may_nest(self.record)
        self.nests: bool = self.record.holds_objects
        self.branching: dict[str, FieldPlan] = _branching(self.record)
        self.renamed: bool = has_other_names(self.record)
        self.bounded: bool = has_field(self.record, lambda plan: plan.bounded)
        self.placed: tuple[FieldPlan, ...] = tuple(plan for plan in self.record.plans if plan.placed)
        self.whole: PlacedItem | None = next((plan.hook.whole for plan in self.placed if plan.hook.whole), None)
        self.scope: Mapping[str, str] = NO_SCOPE
        self.unstored: tuple[str, ...] = tuple(plan.stored for plan in self.record.plans if plan.unstored is not None)
        self.changing: tuple[FieldPlan, ...] = ()
        if has_field(self.record, lambda plan: bool(plan.field.validators)):
            self.changing = values.normal_form.changing(self.record)
        self.careful: Explaining = Explaining(self)
        self.encode_field: Callable[[str, Any], dict[str, Any] | None] = self.careful.encode_field
        self.decode_field: Callable[[str, dict[str, Any]], Any] = self.careful.decode_field
        source = Source()
        self._build(source)
        self.source: str = source.compile(schema.name)
        self.encode = self._encode = source.names["encode"]
        self._decode = source.names[self._decoder]
        self.keys: KeyCodec = KeyCodec(self)
        self.key_names: tuple[str, ...] = self.keys.names
        self.key_json = self.keys.json
        self.encode_key: Callable[[dict[str, Any]], bytes] = self.keys.encode
        self.key_of: Callable[[Any], bytes] = self.keys.of
        if self.placed:
            self._place()
        self.composites: dict[str, Computed] = {}
        self.is_scoped: bool = False
        if self.record.computed:
            self._compute_keys()
        self.reading: Reading = self._readers()
        self.read_item: Callable[[bytes], Any] = self.reading.item
        self.read_item_of: Callable[[bytes, bytes], Any] = self.reading.item_of
        self.read_attributes: Callable[..., Any] = self.reading.attributes
        self.attributes_json: Callable[..., bytes | None] = self.reading.attributes_json
        # See `dynamorm.codec.replies.checked`: the rules for what is read, the attributes they look at, and the codec with those of
        # them that look at the key alone.
        self.keeps: Keeps | None = None
        self.needs: tuple[str, ...] | None = () if self.upgrades is None else self.upgrades.needed
        self.keyed: ModelCodec = self
        self.absent: Callable[[bytes], bool] | None = None  # whether a stored item counts as not there
        self.partials: dict[Any, Any] = {}  # by selection; kept and filled by `dynamorm.codec.partial.reader`

    def _place(self) -> None:
        """Tell the fields that depend on the place of their item what its key is made of."""
        check_places(self.schema.name, self.placed, self._key_parts())
        types = tuple((field.stored, self.key_type(field.name)) for field in self.keys.fields)
        for plan in self.placed:
            plan.hook.key_types = types
            plan.hook.settled(tuple(plan.shape.classes), plan.shape.expected, self.schema.fields)

    def _readers(self) -> Reading:
        """The readers of replies; of a model with a schema version those that upgrade."""
        if self.schema.schema_version is None:
            return Reading(self, self.key_names)
        from .upgrades import Upgrades  # only models with a schema version need it

        self.upgrades = Upgrades(self)
        return self.upgrades.reading(self)

    def _key_parts(self) -> set[str]:
        """The names of the fields that keys are made of."""
        key = self.schema.key
        made = (plan.field.option(Composite) for plan in self.record.computed)
        parts = {name for composite in made if composite is not None for name in composite.fields}
        # A key of an index may be what is stored beside a field, as its partition.
        sorts = {name for index in self.schema.indexes.values() for name in index.sort}
        beside = {name for name, plan in self.plans.items() if plan.field.indexed_as != plan.stored} - sorts
        return {*(() if key is None else key.fields), *(self.schema.index_fields - beside), *parts}

    @cached_property
    def depends(self) -> tuple[str, ...]:
        """The stored names of the attributes on which the stored form of others depends, in this view."""
        return tuple(dict.fromkeys(name for plan in self.placed for name in plan.hook.depends_on(self.scope)))

    def _compute_keys(self) -> None:
        """Let the keys be computed that are made of several fields."""
        from . import composites  # only models with composite keys need it

        self.composites = composites.computed_of(self.schema.name, self.record.computed, self.plans)
        composites.mark_sparse(self.composites, self.plans)
        composites.with_conditions(self)
        self.is_scoped = composites.is_scoped(self)
        self.bound: Callable[[Mapping[str, str]], ModelCodec] = partial(composites.bound, self)
        self.key_of = partial(composites.key_of, self)
        self.compose: Callable[..., bytes] = partial(composites.compose, self)
        if self.is_scoped:
            composites.refuse_unbound(self)

    def _build(self, source: Source) -> None:
        """Write the functions of the hot paths."""
        source.define("encode", "o", self._encode_lines(source))
        self._completing: dict[str, Callable[..., Any]] = {}  # by the name of a field; all copies share them
        self._decoder = self.record.decoder(source)

    def _encode_lines(self, source: Source) -> list[str]:
        lines = self.record.body_lines(source)
        explain = source.bind("explain", self.careful.encode)
        invalid, ours = source.bind("ValidationError", ValidationError), source.bind("DynamORMError", DynamORMError)
        kind = source.bind("Model", self.model)
        return [
            *self.record.check_lines(source, self.careful.encode),
            "try:",
            f"    if o.__class__ is not {kind}: raise TypeError",
            *(f"    {line}" for line in lines),
            # An error of a plugin is final; anything else is explained field by field.
            f"except {invalid}: pass",
            f"except {ours}: raise",
            "except Exception: pass",
            f"return {explain}(o)",
        ]

    # ------------------------------------------------------------------------------------------------------- encoding

    def completing(
        self, name: str, text: str, complete: Callable[[Any], object]
    ) -> Callable[[Any], dict[str, Any]] | None:
        """As ``encode``, of objects that ``complete`` sees before, but those whose field of this name holds the text: in one function.

        None where another one stands in the place of ``encode``.
        """
        if self.encode is not self._encode:
            return None
        make = self._completing.get(name)
        if make is None:
            source = Source()
            lines = self._encode_lines(source)
            own, do, found = (source.bind(hint, object()) for hint in ("own_text", "complete", "found_text"))
            # A text of another class may be equal to all.
            body = [
                f"try: {found} = o.{name}",
                f"except AttributeError: {found} = None",
                f"if {found} is not {own} and ({found}.__class__ is not str or {found} != {own}): {do}(o)",
                *lines,
            ]
            source.define(
                "completing", f"{own}, {do}", ["def encode(o):", *(f"    {line}" for line in body), "return encode"]
            )
            source.compile(f"{self.schema.name} in views")
            make = self._completing[name] = source.names["completing"]
        encode: Callable[[Any], dict[str, Any]] = make(text, complete)
        return encode

    def place(self, key: bytes, scope: Mapping[str, str], attributes: Mapping[str, Any] | None = None) -> Place:
        """Where an item with this key (as JSON) is stored, with what is known of its other attributes."""
        return Place(key, self.key_names, scope, attributes)

    def encode_whole(self, obj: Any) -> dict[str, Any]:
        """As ``encode``, with the members of nested objects that their classes do not know."""
        wire = self.encode(obj)
        if self.nests:
            self.inner.fill(obj, wire, self.access.get_state(obj))
        return wire

    def encode_key_field(self, name: str, value: Any) -> dict[str, Any]:
        """The wire value of a key attribute. Raises: ValidationError, also for a value that is left out of items."""
        wire = self.encode_field(name, value)
        if wire is None:
            raise ValidationError(f"{self.schema.name}.{name} is part of the key, so it cannot be empty", field=name)
        return wire

    def encode_operand(self, parts: tuple[Any, ...], value: Any, what: str = "value") -> dict[str, Any] | None:
        """The wire value of an operand of a condition; None for a value that is never stored, being left out.

        ``parts`` is the place in the item: a `Field`, then fields, names and indexes inside it. ``what`` tells what the
        operand is: ``"value"`` (of the place's type), ``"element"`` (of the list, set or text there), ``"number"``,
        ``"string"``, or what `dynamorm.models.expressions.compile.Encode` says besides. The field's constraints do not apply: a condition may ask for what may not be stored.
        The value is taken as it is; `normal_operand` lets the field's validators change it first, as they do what is stored.

        Raises: ValidationError.
        """
        return values.operands.encode_operand(self, parts, value, what)

    def normal_operand(self, parts: tuple[Any, ...], value: Any, what: str = "value") -> dict[str, Any] | None:
        """As `encode_operand`, of the value in the form in which the field's validators let it be stored."""
        if not self.changing:
            return values.operands.encode_operand(self, parts, value, what)
        wire: dict[str, Any] | None = values.normal_form.normal_operand(self, parts, value, what)
        return wire

    def encode_update(self, parts: tuple[Any, ...], value: Any, what: str = "value") -> dict[str, Any] | None:
        """As `encode_operand`, for a value to be stored: the constraints of a field are checked where it is set as a whole.

        ``"members"`` are those of a set that are added or deleted.
        """
        if what == "value" and len(parts) == 1:
            name = parts[0].name
            return values.operands.sendable(self, name, self.encode_field(name, value))
        if self.changing:
            value = values.normal_form.in_normal_form(self, parts, value, what) if what != "value" else value
        return values.operands.encode_addend(self, parts, value, what)

    def operand_beside(self, parts: tuple[Any, ...], value: Any) -> Any:
        """What is stored beside an attribute for values that are equal to this one: a list of wire values by stored name."""
        return values.operands.encode_operand(self, parts, value, "search")

    def wire_before(self, name: str, value: Any) -> dict[str, Any] | None:
        """The wire value of a field before it has the form that it has in its item; None where it is left out."""
        wire = self.encode_field(name, value)
        if wire is None or UNPLACED not in wire:
            return wire
        before: dict[str, Any] = wire[UNPLACED].wire
        return before

    def key_type(self, name: str) -> str:
        """S, N or B: the type a key or index attribute is declared with. Raises: ModelError when values decide."""
        if self.field(name).indexed_as != self.field(name).stored:
            return "B"
        tag = self.plans[name].shape.tag
        if tag not in ("S", "N", "B"):
            raise ModelError(f"{self.schema.name}.{name}: its stored type depends on its value, so it can be no key")
        return tag

    def item_bytes(self, wire: dict[str, Any]) -> bytes:
        """The JSON of a wire item, checked against DynamoDB's limits.

        Raises: ItemTooLarge; ValidationError for nesting, names and text that is not Unicode.
        """
        try:
            raw = dumps(wire)
        except UnicodeEncodeError:  # the exception would hold the text, so it is not passed on
            raw = b""
        size = len(raw)
        if not size:
            raise ValidationError(f"a {self.schema.name} holds text that is not valid Unicode")
        if size > MAX_NAME or (self._deep and size > SURELY_FLAT):
            check_limits(self, wire, raw)
        return raw

    # ------------------------------------------------------------------------------------------------------- decoding

    def decode(self, raw: bytes) -> Any:
        """The object of one item's JSON; the bytes become its loaded state.

        Raises: MalformedResponse; ValidationError when the item does not fit the model.
        """
        return self.reading.decode(raw)

    def decode_shown(self, raw: bytes) -> Any:
        """As `decode`, of an item that somebody else may have stored: None where the rules of the model leave it out."""
        return self.decode(raw) if self.keeps is None else self.reading.shown(raw)  # type: ignore[attr-defined] # see `with_rules`

    def class_of(self, item: dict[str, Any]) -> type[Any]:
        """The class that an item is of, by its plain value: the model, or a subclass.

        The model too where nobody knows its kind, which is told where it is decoded.
        """
        try:
            own = None if self.family is None else self.family.codec(item)
        except DynamORMError:
            own = None
        return self.model if own is None else own.model

    def decode_nested(self, wire: dict[str, Any]) -> Any:
        """The object of a map inside an item: it has no state of its own."""
        obj = self.decode(dumps(wire))
        self.access.set_state(obj, None)
        return obj

    def read_page(self, body: bytes, *, lenient: bool = False) -> Page:
        """The reply to Query or Scan; with ``lenient`` a `dynamorm.codec.replies.reading.Misfit` for each item that is unreadable.

        Raises: MalformedResponse, ValidationError.
        """
        return Page(*self.reading.page(body, lenient=lenient))

    # ---------------------------------------------------------------------------------------------------------- state

    def assign(self, target: Any, source: Any) -> None:
        """Copy every field and the state of ``source`` into ``target``."""
        self._copy(target, source)
        self.access.set_state(target, self.access.get_state(source))

    @cached_property
    def give(self) -> Callable[[Any, Mapping[str, Any]], None]:
        """Let an object hold values that are stored: all of them or, where its class refuses one, none."""
        return giver_of(self.model, self.schema.fields)

    @cached_property
    def takes_all(self) -> bool:
        """Whether a plain assignment is all that there is to `give`."""
        cls, names = self.model, self.schema.fields
        return asks_nothing(cls) and not may_refuse(cls, names, setter_of(cls)) and not cached_of(cls, names)

    @cached_property
    def _copy(self) -> Callable[[Any, Any], None]:
        """Copies every field that is stored: in one function, which takes a third of the time of a loop."""
        source = Source()
        names = [plan.name for plan in self.record.plans if plan.unstored is None]
        setter, cached = setter_of(self.model), cached_of(self.model, self.schema.fields)
        if may_refuse(self.model, self.schema.fields, setter):
            return lambda target, fresh: self.give(target, {name: getattr(fresh, name) for name in names})
        lines = [f"target.{name} = source.{name}" for name in names]
        if not asks_nothing(self.model):  # what is stored is not looked at
            set_ = source.bind("set", setter)
            lines = [f"{set_}(target, {name!r}, source.{name})" for name in names]
        if cached:
            lines.append(f"{source.bind('forget', forget)}(target, {cached!r})")
        source.define("copy", "target, source", lines or ["pass"])
        source.compile(f"{self.schema.name} copied")
        copy: Callable[[Any, Any], None] = source.names["copy"]
        return copy

    def as_stored(self, obj: Any, item: bytes) -> None:
        """Let an object hold its values as they are stored in an item's JSON: validators may have changed them."""
        if self.changing:
            values.normal_form.settle(self, obj, item)

    def new(self, **values: Any) -> Any:
        """An object from field values; what is not given gets its default.

        Raises: ValidationError when a field without a default is missing.
        """
        for plan in self.record.plans:
            name = plan.name
            if name not in values:
                make = plan.missing()
                if make is None:
                    raise ValidationError(f"{self.schema.name}.{name} needs a value", field=name)
                values[name] = make()
        return self.access.construct(self.model, values)

    def key_values(self, raw: bytes) -> tuple[Any, ...]:
        """The Python values of a key's JSON, partition first."""
        wire = read_object(raw)
        return tuple(
            self.decode_field(field.name, wire[field.stored]) for field in self.keys.fields if field.stored in wire
        )

    def changes(self, obj: Any) -> dict[str, dict[str, Any] | None]:
        """What differs between the object and its loaded state, by stored name: the new wire value, None for "remove".

        Attributes the model does not know never appear; members of nested values that it does not know are in the wire
        values, with the objects they belong to. Raises: ValidationError.
        """
        return values.changes.difference(self, obj)[0]

    def compare(self, obj: Any) -> tuple[dict[str, dict[str, Any] | None], dict[str, Any]]:
        """As `changes`, and the wire values of the whole loaded state that they were compared with."""
        return values.changes.difference(self, obj)

    @cached_property
    def inner(self) -> Inner:
        """What keeps the members of nested objects that their classes do not know. Made for items that have some."""
        from dynamorm.codec.values.inner import Inner  # most programs never need it

        return Inner(self)

    def unknown(self, obj: Any) -> dict[str, Any]:
        """The stored attributes of the loaded state that the model does not know, without the write tokens."""
        raw = self.access.get_state(obj)
        if raw is None or self.record.extras:  # then the object itself holds them
            return {}
        if self.upgrades is not None:  # what an upgrade has taken away is unknown, and not to be kept
            raw = self.upgrades.newer(raw)
        # Only the names are looked at: nearly always there is nothing to decode.
        names = self._names
        return {name: decoded(part) for name, part in parts_of(raw).items() if name not in names}

    def stored(self, obj: Any, name: str) -> dict[str, Any] | None:
        """The wire value of one attribute in the loaded state, None when it is not there."""
        raw = self.access.get_state(obj)
        part = None if raw is None else parts_of(raw).get(name)
        return None if part is None else decoded(part)

    def known_version(self, obj: Any) -> int | None:
        """The version in the loaded state; None when nothing is loaded, or it holds none."""
        raw = self.access.get_state(obj)
        return None if raw is None else self.reading.version(raw)

    def ring(self, raw: bytes) -> bytes:
        """The write tokens in an item's JSON, empty when it has none."""
        return self.reading.ring(raw)

    def field(self, name: str) -> Field:
        """A field by name."""
        return self.plans[name].field

    def __repr__(self) -> str:
        return f"<Codec {self.schema.name}>"


def _branching(record: Record) -> dict[str, FieldPlan]:
    """Attributes inside which a part may change, by stored name."""
    return {
        plan.stored: plan
        for plan in record.plans
        if plan.hook is None and plan.unstored is None and plan.shape.tag in ("M", "L", "")
    }
