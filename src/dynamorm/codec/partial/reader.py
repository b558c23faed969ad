"""`reader`: replies that hold part of each item, as partial objects. As strict as the reading of whole items.

A partial object holds what was selected and the item's key; see `dynamorm.codec.partial.partial_class`. This module must not
know verbs: it says which places to fetch, and reads what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from linecache import cache as shown_sources
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from dynamorm.codec.codec import ModelCodec, Page
from dynamorm.codec.explaining import Explaining
from dynamorm.codec.keys import StoredKey
from dynamorm.codec.library_attributes import key_json_of
from dynamorm.codec.replies.checked import CheckedReading
from dynamorm.codec.replies.reading import Reading
from dynamorm.codec.state import SLOTS, Access
from dynamorm.codec.types.fields import FieldPlan
from dynamorm.codec.types.source import Source
from dynamorm.codec.values.updates import spellings
from dynamorm.errors import ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.expressions.tree import Location, Part
from dynamorm.models.schema.schema import Index, Schema

from .narrow import PartialRecord, Wanted, narrow, want
from .partial_class import open_class, seal

if TYPE_CHECKING:
    from dynamorm.codec.composites import Computed

MAX_READERS: Final = 256
"""Selections of one model whose readers are kept. A program has a few; one that lets its users choose has any number."""


class PartialReader:
    """Reads replies into partial objects of one selection.

    ``projection`` are the places to put into ProjectionExpression, key attributes included; ``names`` the fields that
    the objects hold; ``discriminator`` the stored attribute to fetch beside them, or None.

    Example: ``reader(codec, [Payment.amount]).read_item(b'{"Item":{"id":{"S":"p1"},"amount":{"N":"5"}}}')``
    """

    def __init__(
        self, codec: ModelCodec, wanted: dict[str, Wanted], computed: tuple[str, ...] = (), *, whole: bool = True
    ) -> None:
        narrowed = narrow(codec.record, wanted)
        self.codec: _PartialCodec = _PartialCodec(codec, narrowed.plans, wanted, computed, whole=whole)
        self.names: tuple[str, ...] = tuple(plan.name for plan in narrowed.plans)
        places = [*narrowed.places, *((codec.field(name),) for name in computed)]
        if codec.renamed:
            places = [other for place in places for other in spellings(place)]
        self.projection: tuple[Location, ...] = tuple(_location(parts) for parts in places)
        extras: tuple[str, ...] = () if codec.schema.discriminator is None else (codec.schema.discriminator,)
        reading: Any = Reading(self.codec)  # type: ignore[arg-type] # has what reading asks of a codec
        # Of what an index holds nobody looks at the schema version: it leads to whole items.
        checked = codec if codec.upgrades is None or not whole else codec.upgrades.checking(codec)
        if checked.keeps is not None:
            reading = CheckedReading(reading, checked)
            extras += _needed(codec)
        held = {place.field.stored for place in self.projection if len(place.parts) == 1}
        self.projection += tuple(_attribute(codec.schema, name) for name in extras if name not in held)
        self.reading: Reading = reading
        self.read_item: Callable[[bytes], Any] = self.reading.item

    def read_page(self, body: bytes, *, lenient: bool = False) -> Page:
        """As `ModelCodec.read_page`."""
        return Page(*self.reading.page(body, lenient=lenient))

    def __repr__(self) -> str:
        return f"<PartialReader {self.codec.schema.name}: {', '.join(self.names)}>"


class _PartialCodec:
    """As much of a `ModelCodec` as `Reading` and `Explaining` ask for, of some of the fields."""

    def __init__(
        self,
        codec: ModelCodec,
        plans: list[FieldPlan],
        wanted: dict[str, Wanted],
        computed: tuple[str, ...],
        *,
        whole: bool,
    ) -> None:
        self.schema: Schema = codec.schema
        self.composites: dict[str, Computed] = {name: codec.composites[name] for name in computed}
        # A component that is no attribute of its own is read out of the key, which the careful path does.
        components = {name for composite in self.composites.values() for name in composite.made.fields}
        plans = [_demanding(plan) if plan.name in components else plan for plan in plans]
        self.model: type[Any] = codec.model
        self.table: str | None = codec.table
        self.scope: Mapping[str, str] = codec.scope
        self.keys: Any = codec.keys
        self.key_names: tuple[str, ...] = codec.key_names
        self.record: PartialRecord = PartialRecord(codec.record, plans, [codec.plans[name] for name in computed])
        self.plans: dict[str, FieldPlan] = {plan.name: plan for plan in plans}
        self.renamed: bool = codec.renamed
        self.nests: bool = False  # what partial objects hold is not written back
        self.codec_of: Callable[[Any], ModelCodec] = codec.codec_of
        self.family: Any = None if codec.family is None else _PartialFamily(codec.family, wanted, computed, whole=whole)
        # Its values may hold less than its key (a composite's components), or in another spelling: then it keeps that.
        is_placed = self.record.is_placed  # then its key is needed, to read it
        kept = bool(computed) or not codec.keys.exact or is_placed
        self.access: Access = Access(self._construct, lambda _: None, _keep if kept else lambda _, __: None)
        self.careful: Explaining = Explaining(self)  # type: ignore[arg-type] # has what it asks of a codec
        source = Source()
        scope = ", scope" if is_placed else ""
        filled = f"{self.record.decoder(source)}(w{', raw' if kept else ''}{scope})"
        source.define("read", f"w, raw{scope}", [f"return {self.record.sealed(source, filled)}"])
        source.compile(f"{codec.schema.name} partial")
        read = source.names["read"]
        self._decode: Any = partial(read, scope=codec.scope) if is_placed else read
        self._file: str = read.__code__.co_filename

    @property
    def file(self) -> str:
        """Where the generated code is shown from."""
        return self._file

    def _construct(self, _: Any, values: dict[str, Any]) -> Any:
        obj = object.__new__(open_class(self.record.partial))
        obj.__loaded__ = None
        for name, value in values.items():
            setattr(obj, name, value)
        return seal(obj, self.record.partial)


def _keep(obj: Any, raw: bytes | None) -> None:
    object.__setattr__(obj, "__loaded__", raw)


class _PartialFamily:
    """Finds the partial reader of an item's class."""

    def __init__(self, family: Any, wanted: dict[str, Wanted], computed: tuple[str, ...], *, whole: bool) -> None:
        self._whole = whole
        self._family = family
        self._wanted = wanted
        self._computed = computed
        self._readers: dict[Any, PartialReader] = {}

    def codec(self, item: dict[str, Any]) -> Any | None:
        """What has the ``reading`` of the item's class; None when it is the class itself."""
        codec = self._family.codec(item)
        if codec is None:
            return None
        if codec not in self._readers:
            self._readers[codec] = PartialReader(codec, self._wanted, self._computed, whole=self._whole)
        return self._readers[codec]


def _demanding(plan: FieldPlan) -> FieldPlan:
    """The plan of a field that must be there."""
    demanding = copy(plan)
    demanding.missing = lambda: None  # type: ignore[method-assign] # of this one field only
    return demanding


def reader(
    codec: ModelCodec, select: Sequence[str | Location], also: Iterable[str] = (), *, whole: bool = True
) -> PartialReader:
    """The reader of a selection: names of fields (or their stored names) and places.

    The item's key is always among what is read, and so are the fields ``also``: of an index, its key, which paging
    needs. Made once for each selection. Without ``whole`` it is what an index holds, and nothing else of the items.

    Raises: ValidationError when nothing is selected, or something that the model does not have.

    Example: ``reader(codec, ["id", Payment.address[Address.city]]).projection``
    """
    if isinstance(select, (str, Location)):
        select = (select,)
    readers: dict[Any, PartialReader] = codec.partials
    key = (
        tuple([selected.parts if isinstance(selected, Location) else selected for selected in select]),
        tuple(also),
        whole,
    )
    try:
        return readers[key]
    except (KeyError, TypeError):
        pass
    if not select:
        raise ValidationError("nothing was selected: name at least one attribute, or leave select out")
    places = [_place(codec, selected) for selected in select]
    names = dict.fromkeys((*(field.name for field in codec.keys.fields), *also))
    places += [_place(codec, name) for name in names]
    new_reader = PartialReader(codec, *_expanded(codec, places), whole=whole)
    if len(readers) >= MAX_READERS:
        forget(codec)
    readers[key] = new_reader
    return new_reader


def _needed(codec: ModelCodec) -> tuple[str, ...]:
    """The attributes that the rules of a model look at. Raises: ValidationError when they look at whole items."""
    if codec.needs is None:
        raise ValidationError(
            f"a rule of {codec.schema.name} looks at whole items, so they are read as a whole: leave out select, and read"
            " an index that holds part of each item with .hydrate()",
            field="select",
        )
    return codec.needs


def forget(codec: ModelCodec) -> None:
    """Let go of the readers of a codec, and of what tracebacks show of them."""
    for old_reader in codec.partials.values():
        shown_sources.pop(old_reader.codec.file, None)
    codec.partials.clear()


def index_reader(codec: ModelCodec, index: Index) -> PartialReader:
    """The reader of what an index holds of each item: the keys of both, and what is projected.

    Example: ``index_reader(codec, Payment.by_key).names``
    """
    return reader(codec, index_fields(codec.schema, index), whole=index.projection == "ALL")


def index_fields(schema: Schema, index: Index) -> tuple[str, ...]:
    """The names of the fields that an index holds, in order of declaration.

    Example: ``index_fields(schema, Payment.by_key) == ("id", "idempotency_key")``
    """
    if index.projection == "ALL":
        return tuple(schema.fields)
    projected = index.projection if isinstance(index.projection, tuple) else ()
    keys = (name for name in index.fields if schema.fields[name].indexed_as == schema.fields[name].stored)
    held = {*(schema.key.fields if schema.key else ()), *keys, *projected}
    return tuple(name for name in schema.fields if name in held)


def _expanded(codec: ModelCodec, places: list[Location]) -> tuple[dict[str, Wanted], tuple[str, ...]]:
    """What is wanted, and the names of the composites among it, for which their components are read."""
    if not codec.composites:
        return want(codec.record, places), ()
    plain: list[Location] = []
    computed: dict[str, None] = {}
    for place in places:
        composite = codec.composites.get(place.field.name)
        if composite is None or len(place.parts) > 1:
            plain.append(place)
        else:
            computed[composite.field.name] = None
            plain += [_place(codec, name) for name in composite.made.fields]
    return want(codec.record, plain), tuple(computed)


def place_of(codec: ModelCodec, name: str) -> Location:
    """The place of a field, by its own or its stored name. Raises: ValidationError, naming the nearest."""
    plan = codec.record.plan(name) or codec.plans.get(name)
    if plan is None:
        schema = codec.schema
        if "." in name or "[" in name:
            raise ValidationError(
                f"{schema.name} has no field {name!r}; what lies inside an attribute is named by a path, such as"
                f" {schema.name}.address[Address.city]",
                field=name,
            )
        raise ValidationError(f"{schema.name} has no field {name!r}{did_you_mean(name, schema.fields)}", field=name)
    return _location((plan.field,))


def address(codec: ModelCodec, obj: Any) -> tuple[Any, ...]:
    """What verbs take as the key of an object that was read, partial or whole: the key in its stored spelling.

    Example: ``address(codec, payment) == ("p1",)``
    """
    raw = SLOTS.get_state(obj) if hasattr(obj, "__partial_of__") else codec.loaded(obj)
    if raw is None:
        return tuple([getattr(obj, field.name) for field in codec.keys.fields])
    return (StoredKey(key_json_of(raw, codec.key_names), codec.key_names),)


def _place(codec: ModelCodec, selected: Any) -> Location:
    if isinstance(selected, str):
        return place_of(codec, selected)
    if not isinstance(selected, Location):
        raise ValidationError(
            f"select takes attributes such as {codec.schema.name}.{next(iter(codec.plans), 'id')} or their names, got"
            f" {type(selected).__name__}"
        )
    return selected


def _location(parts: tuple[Part, ...]) -> Location:
    place = Location()
    place.field = parts[0]  # type: ignore[assignment] # a place begins with a field
    place.parts = parts
    return place


def _attribute(schema: Schema, stored: str) -> Location:
    """The place of an attribute that is no field."""
    first = next(iter(schema.fields.values()))
    return _location((replace(first, name=stored, stored=stored, owner=""),))
