"""The composite keys of one codec: from the wire values of the components to the text that is stored, and back.

They are computed from what is stored of the components, so a protected component never shows in a key. It must not know
verbs or expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.codec.types.shapes import CustomShape
from dynamorm.codec.types.size import check_key
from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.schema.composite import END, Composite, Slot, escape
from dynamorm.models.schema.key_forms import CASES, NUMBER
from dynamorm.models.schema.schema import Field

from .library_attributes import key_json_of, text_in
from .strict import read_object

if TYPE_CHECKING:
    from dynamorm.codec.types.fields import FieldPlan

    from .codec import ModelCodec
    from .replies.checked import StoredItem

Wire = dict[str, Any]


class Test(NamedTuple):
    """What a field must be for the composite of an index to be stored: ``decode`` gives its value of the wire value, or of None."""

    name: str
    stored: str
    decode: Callable[[Any], Any]
    holds: Callable[[Any], Any]


NOT_KNOWN: Final[Any] = object()


class Computed:
    """One composite of one codec. ``primary``: it is part of the primary key, so every object has it."""

    __slots__ = ("field", "inputs", "limit", "made", "owner", "primary", "sources", "tags", "tests")

    def __init__(self, owner: str, plan: FieldPlan, plans: Mapping[str, FieldPlan]) -> None:
        composite = plan.field.option(Composite)
        assert composite is not None  # the planner has checked it
        self.owner: str = owner
        self.field: Field = plan.field
        self.made: Composite = composite
        self.primary: bool = plan.field.role in {"partition", "sort"}
        self.limit: int = plan.key_limit
        self.sources: tuple[tuple[Any, str], ...] = tuple((name, plans[name].stored) for name in composite.components)
        self.inputs: tuple[tuple[Any, str], ...] = self.sources
        self.tests: tuple[Test, ...] = ()
        self.tags: dict[Any, str] = {name: plans[name].shape.tag for name in composite.components}
        for slot in composite.slots:
            _check_shape(f"{owner}.{plan.name}", slot, plans[slot.name])
        for name in composite.by:
            _check_shape(f"{owner}.{plan.name}", Slot(name), plans[name])

    @property
    def stored(self) -> str:
        """The name of the attribute."""
        return self.field.stored

    def bound(self, scope: Mapping[str, str]) -> Computed:
        """The same composite in a view with this scope."""
        if not set(scope).issuperset(self.made.scoped):
            return self
        other = copy(self)
        other.made = self.made.bound(scope)
        return other

    def text(self, item: Mapping[str, Wire | None]) -> str | None:
        """The text made of an item's attributes; None when a component is missing.

        Raises: ValidationError for a component that fits no key.
        """
        if self.tests and self.fails(item, missing=None):
            return None
        texts: dict[str, str] = {}
        for name, stored in self.sources:
            text = text_in(f"{self.owner}.{name}", item.get(stored))
            if text is None:
                return None
            texts[name] = text
        return self.join(texts)

    def fails(self, item: Mapping[str, Wire | None], missing: Any = NOT_KNOWN) -> bool:
        """Whether what the index is for does not hold, as far as the item tells: of what it lacks, ``missing`` is the value, or nothing is known.

        Raises: ValidationError where a function of the program's fails.
        """
        for name, stored, decode, holds in self.tests:
            if stored not in item and missing is NOT_KNOWN:
                continue
            failed = None
            try:
                if not holds(decode(item.get(stored))):
                    return True
            except ValidationError:
                raise
            except Exception as error:  # noqa: BLE001 - it is a function of the program's, and its error may hold the value
                failed = type(error).__name__
            if failed is not None:
                raise ValidationError(
                    f"{self.owner}.{self.field.name}: the function for {name!r} in only_if of its index raised {failed}",
                    field=name,
                )
        return False

    def join(self, texts: Mapping[str, str]) -> str | None:
        """The text made of the components' texts; None for an empty key of an index, which is left out.

        Raises: ValidationError.
        """
        problem = None
        text = ""
        try:
            text = self.made.join(texts)
        except ValidationError as error:
            problem = error.message
        if problem is not None:
            raise ValidationError(f"{self.owner}.{self.field.name}: {problem}", field=self.field.name)
        if not text and not self.primary:
            return None
        if self.limit:
            try:
                check_key({"S": text}, self.limit)
            except Mismatch as error:
                problem = error.text
            if problem is not None:
                raise ValidationError(f"{self.owner}.{self.field.name} {problem}", field=self.field.name)
        return text

    def missing(self, item: Mapping[str, Wire | None]) -> list[str]:
        """The components that have no value."""
        return [name for name, stored in self.sources if text_in(name, item.get(stored)) is None]

    def split(self, text: str) -> dict[str, Wire]:
        """The wire values of the components in a key's text, by stored name.

        Raises: ValidationError when the text is no such key.
        """
        texts = self.made.split(text)
        return {
            stored: {self.tags[name]: texts[name]}
            for name, stored in self.sources
            if name in texts and self.tags[name] in {"S", "N"}
        }


def computed_of(owner: str, computed: Iterable[FieldPlan], plans: Mapping[str, FieldPlan]) -> dict[str, Computed]:
    """The composites of a codec, by field name.

    Raises: ModelError for a component that cannot be in a key.
    """
    return {plan.name: Computed(owner, plan, plans) for plan in computed}


def with_conditions(codec: ModelCodec) -> None:
    """Give the composites of sparse indexes what must hold for them. Raises: ModelError for a field that cannot be looked at."""
    for index in codec.schema.indexes.values():
        if not index.only_if:
            continue
        tests = tuple(_test_of(codec, index.name, name, wanted) for name, wanted in index.only_if)
        for name in index.fields:
            computed = codec.composites.get(name)
            if computed is not None and not computed.primary:
                computed.tests = tests
                more = ((test.name, test.stored) for test in tests)
                computed.inputs = tuple(dict.fromkeys((*computed.sources, *more)))
                codec.plans[name].nullable = True


def _test_of(codec: ModelCodec, index: str, name: str, wanted: Any) -> Test:
    plan = codec.plans[name]
    if plan.hook is not None or plan.unstored is not None:
        raise ModelError(
            f"{codec.schema.name}.{name} is stored in a form of its own, or not at all, so that only_if of index {index!r} cannot look at it"
        )

    def decoded(wire: Wire | None) -> Any:
        if wire is not None:
            return codec.decode_field(name, wire)
        make = plan.missing()
        return None if make is None else make()

    if callable(wanted):
        return Test(name, plan.stored, decoded, wanted)
    several = wanted if isinstance(wanted, tuple) else (wanted,)
    return Test(name, plan.stored, decoded, several.__contains__)


def mark_sparse(computed: Mapping[str, Computed], plans: Mapping[str, FieldPlan]) -> None:
    """Say of each key of an index whether items may lack it: when they may lack one of its components."""
    for name, composite in computed.items():
        parts = [plans[part] for part in composite.made.components]
        plans[name].nullable = not composite.primary and any(
            part.field.omit_empty or (part.nullable and part.field.role not in {"created_at", "updated_at"})
            for part in parts
        )


def _check_shape(where: str, slot: Slot, plan: FieldPlan) -> None:
    shape = plan.shape
    if isinstance(shape, CustomShape):  # the type depends on the values
        return
    if shape.tag not in {"S", "N"} or shape.expected == "float":
        raise ModelError(
            f"{where}: {slot.name!r} is stored as {shape.expected}, which cannot be in a key: only texts, exact numbers,"
            " times, UUIDs and enums can"
        )
    if (slot.width or slot.form == NUMBER) and shape.tag != "N":
        raise ModelError(f"{where}: {slot.name!r} is stored as text, so it cannot be padded, nor written, as a number")
    if slot.form in CASES and shape.expected != "str":
        raise ModelError(
            f"{where}: {slot.name!r} is stored as {shape.expected}, which has no case: write {{{slot.name}}}; only texts are put in"
            f" {slot.form} case"
        )


def compose(codec: ModelCodec, item: dict[str, Any], obj: Any = None) -> bytes:
    """Put the composites into a wire item that is about to be stored, and return the JSON of its key.

    ``obj`` is the loaded object that it replaces: it keeps its key.

    Raises: ValidationError when the key lacks a component, or a component of a loaded object's key was changed.
    """
    kept = None if obj is None else read_object(key_of(codec, obj))
    for composite in codec.composites.values():
        text = composite.text(item) if kept is None or not composite.primary else None
        if text is not None:
            item[composite.stored] = {"S": text}
        elif composite.primary and kept is None:
            raise _incomplete(composite, composite.missing(item))
        else:
            item.pop(composite.stored, None)
    if kept is not None:
        item.update(kept)
    return codec.encode_key({name: item[name] for name in codec.key_names})


def key_of(codec: ModelCodec, obj: Any) -> bytes:
    """The JSON of an object's key. A loaded object has the key it was stored under.

    Raises: ValidationError when a component has no value, or was changed since the object was loaded.
    """
    loaded = codec.access.get_state(obj)
    item = _key_item(codec, obj)
    if loaded is None:
        for composite in codec.composites.values():
            if not composite.primary:
                continue
            text = composite.text(item)
            if text is None:
                raise _incomplete(composite, composite.missing(item))
            item[composite.stored] = {"S": text}
        return codec.encode_key({name: item[name] for name in codec.key_names})
    key = key_json_of(loaded, codec.key_names)
    stored = read_object(key)
    for composite in codec.composites.values():
        if composite.primary:
            item[composite.stored] = {"S": composite.text(item) or ""}
    if any(item[name] != stored[name] for name in codec.key_names):
        _refuse_changed(codec, item, loaded)
    return key


def _key_item(codec: ModelCodec, obj: Any) -> dict[str, Any]:
    """What is stored of the fields that an object's key is made of."""
    names = dict.fromkeys(
        name for composite in codec.composites.values() if composite.primary for name, _ in composite.sources
    )
    names |= {field.name: None for field in codec.keys.fields if field.name not in codec.composites}
    return {codec.plans[name].stored: codec.encode_field(name, getattr(obj, name)) for name in names}


def _refuse_changed(codec: ModelCodec, item: dict[str, Any], loaded: bytes) -> None:
    """Name what was changed of a key. Another program's form of the same value (a time, say) is no change."""
    before = _key_item(codec, codec.decode(loaded))
    for field in codec.schema.fields.values():
        if field.stored in before and before[field.stored] != item.get(field.stored):
            raise ValidationError(
                f"{codec.schema.name}.{field.name} is part of the key and was changed: create a new object instead",
                field=field.name,
            )


def _incomplete(composite: Computed, missing: list[str]) -> ValidationError:
    names = " and ".join(missing)
    return ValidationError(
        f"{composite.owner}.{composite.field.name} is computed from {', '.join(composite.made.components)}, and"
        f" {names} has no value",
        field=missing[0] if missing else composite.field.name,
    )


def recovered(codec: ModelCodec, item: Mapping[str, Any]) -> dict[str, Any]:
    """The components that an item's keys hold, for an item that lacks them as attributes of their own."""
    attributes: dict[str, Any] = {}
    for composite in codec.composites.values():
        text = item.get(composite.stored, {}).get("S")
        if text is None:
            continue
        try:
            attributes |= composite.split(text)
        except ValidationError:  # another program wrote the text: its components cannot be read from it
            continue
    return {stored: wire for stored, wire in attributes.items() if stored not in item}


def is_scoped(codec: ModelCodec) -> bool:
    """Whether a key of the model holds entries of a view's scope."""
    return any(one.made.scoped for one in codec.composites.values())


def refuse_unbound(codec: ModelCodec) -> None:
    """Let a codec make no key and take none: outside of a view nobody knows whose it would be."""
    unbound = [one for one in codec.composites.values() if one.primary and one.made.scoped]

    def refused(*_: Any) -> bytes:
        unbound[0].join({})
        raise AssertionError("an unbound composite joins nothing")

    if unbound:
        codec.key_json = codec.encode_key = codec.key_of = refused


def scope_in_keys(codec: ModelCodec, scope: Mapping[str, str]) -> str:
    """What the keys of a scoped model's other items begin with, such as those of unique values; empty for other models."""
    return "".join(f"{name}={escape(scope[name])}{END}" for name in scope_entries(codec) if name in scope)


def scope_entries(codec: ModelCodec) -> list[str]:
    """The entries of a view's scope that the model's keys hold, bound or not."""
    if not codec.composites:
        return []
    options = (field.option(Composite) for field in codec.schema.fields.values())
    return sorted({name for option in options if option is not None for name in option.scoped})


def bound(codec: ModelCodec, scope: Mapping[str, str]) -> ModelCodec:
    """The codec of a scoped model in a view: its keys hold the scope, and it takes and gives no other key."""
    other = copy(codec)
    other.composites = {name: computed.bound(scope) for name, computed in codec.composites.items()}
    own = {
        computed.stored: other.composites[name].made
        for name, computed in codec.composites.items()
        if computed.primary and computed.made.scoped
    }
    other.careful = copy(codec.careful)
    other.careful._codec = other  # noqa: SLF001 - one unit with its codec
    if codec.family is not None:
        other.family = codec.family.of(lru_cache(maxsize=None)(lambda cls: bound(codec.codec_of(cls), scope)))
    other.reading = codec.reading.of(other)
    other.read_item, other.read_item_of = other.reading.item, other.reading.item_of
    other.read_attributes, other.attributes_json = other.reading.attributes, other.reading.attributes_json
    other.partials = {}
    other.keyed = other
    other.key_json, other.encode_key, other.key_of = codec.keys.json, codec.keys.encode, partial(key_of, other)
    other.compose = partial(compose, other)
    if not own:  # only keys of indexes hold it
        return other
    if any(made.scoped for made in own.values()):  # the scope lacks an entry
        refuse_unbound(other)
        return other

    def in_scope(key: bytes) -> bytes:
        """The JSON of a key, if it is of this scope. Raises: ValidationError."""
        wires = read_object(key)
        for stored, made in own.items():
            text = wires[stored].get("S", "")
            if not made.matches(text) and not any(one.matches(text) for one in _of_subclasses(codec, stored, scope)):
                raise ValidationError(
                    f"{codec.schema.name}: this key is not of the scope of this view: use the view in which it was made",
                    field="scope",
                )
        return key

    def checked(function: Callable[..., bytes]) -> Callable[..., bytes]:
        return lambda *args: in_scope(function(*args))

    other.key_json = checked(other.key_json)
    other.encode_key = checked(other.encode_key)
    other.key_of = checked(other.key_of)
    return other


def _of_subclasses(codec: ModelCodec, stored: str, scope: Mapping[str, str]) -> list[Composite]:
    """How the subclasses of a model make this part of their keys, in a view: an item of theirs may be named by the model."""
    if codec.family is None:
        return []
    composites = [one for below in codec.family.below() for one in below.composites.values() if one.stored == stored]
    return [one.made.bound(scope) for one in composites]


def in_scope_of(codec: ModelCodec) -> Callable[[StoredItem], bool]:
    """Whether the key of an item is of the scope that the codec is bound to."""
    scoped = {
        field.stored for field in codec.schema.fields.values() if (option := field.option(Composite)) and option.scoped
    }
    made = {one.stored: one.made for one in codec.composites.values() if one.primary and one.stored in scoped}

    def keeps(item: StoredItem) -> bool:
        return all(composite.matches((item.get(stored) or {}).get("S", "")) for stored, composite in made.items())

    return keeps
