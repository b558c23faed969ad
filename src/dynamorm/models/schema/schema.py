"""The only description of a model: frozen data, read by everything above.

It must not know wire types, expressions or DynamoDB's verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct

from dynamorm.errors import InvalidUse, PartialItem

if TYPE_CHECKING:
    from .rules import WriteRule
    from .upgrades import Upgrade


class _Missing:
    """The one value that means "not given", where None is a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "MISSING"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()

Role: TypeAlias = Literal["", "partition", "sort", "version", "created_at", "updated_at", "ttl"]

TOKEN_ATTRIBUTE: Final = "_wt"  # noqa: S105 - the name of an attribute
"""The stored attribute that holds the tokens of the last writes (see `dynamorm.ops.writes.token_ring`)."""

LIBRARY_NAMES: Final = frozenset({TOKEN_ATTRIBUTE})
"""The stored attributes that the library adds to items of any model: no field may have such a name."""


class Json:
    """Field option: store the value as one string of compact JSON with sorted keys; None is stored as NULL.

    Example: ``settings: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)``
    """

    __slots__ = ()


class Codec:
    """Field option: a custom pair of functions between the Python value and a value the library can store.

    ``encode`` takes the Python value and returns a str, int, Decimal, bytes, bool, list, dict or set; ``decode`` takes
    that back. None is handled before either is called.

    Example: ``color: Attr[Color] = attr(Codec(encode=Color.to_hex, decode=Color.from_hex))``
    """

    __slots__ = ("decode", "encode")

    def __init__(self, encode: Callable[[Any], Any], decode: Callable[[Any], Any]) -> None:
        self.encode: Callable[[Any], Any] = encode
        self.decode: Callable[[Any], Any] = decode


class TimeForm:
    """The base of field options that say how a datetime is stored: `Epoch`, `TimeText`.

    ``written`` gives the text of a time in UTC, as which it is stored, and ``read`` takes it back; ``normal`` cuts off of a value what is not stored;
    ``unsorted`` says why such texts do not sort as times do, where they do not.
    """

    __slots__ = ()
    tag: str = ""
    unsorted: str = ""

    def written(self, value: datetime) -> str:
        """The stored text of a time in UTC."""
        raise NotImplementedError

    def read(self, text: str) -> datetime:
        """The time of a stored text, in UTC. Raises: ValueError, OverflowError."""
        raise NotImplementedError

    def normal(self, value: Any) -> Any:
        """The value without what is finer than what is stored; what is no time with a zone is handed on."""
        if not isinstance(value, datetime) or value.utcoffset() is None:
            return value
        try:
            utc = value.astimezone(UTC)
            kept = self.read(self.written(utc))
        except (ValueError, OverflowError):  # who encodes it says so
            return value
        return value if kept == utc else kept


class TypeCodec(Codec):
    """How a class of its own is stored as a document, wherever it stands in a model: its attribute ``__dynamorm_codec__``.

    ``remedy`` says what to do where values of the class are to be ordered or to be a key, which a document cannot.
    ``is_money``: a model that holds it holds money, with what the production preset demands then. A class with a method
    ``added_to(path)`` may be given to `Path.add`: the update that it returns is done.

    ``split`` makes the `SplitValue` for a field that keeps it in several attributes, of the names of these and ``types``.

    Example: ``class Span: __dynamorm_codec__ = TypeCodec(Span.to_map, Span.of_map, remedy="store its ends as two attributes")``
    """

    __slots__ = ("is_money", "remedy", "split", "types")

    def __init__(
        self,
        encode: Callable[[Any], Any],
        decode: Callable[[Any], Any],
        *,
        remedy: str,
        is_money: bool = False,
        split: Callable[..., SplitValue] | None = None,
        types: tuple[type, ...] = (),
    ) -> None:
        super().__init__(encode, decode)
        self.remedy: str = remedy
        self.is_money: bool = is_money
        self.split: Callable[..., SplitValue] | None = split
        self.types: tuple[type, ...] = types


class SplitValue:
    """The base of a descriptor of a class body that makes one value of several fields, and sets these.

    The constructor of the model takes it, too. ``fields`` are the names of the fields; on the class it gives what conditions and
    updates are made of.
    """

    __slots__ = ("fields",)

    fields: tuple[str, ...]

    def parts(self, value: Any) -> tuple[Any, ...]:
        """The values of the fields for this one. Raises: ValidationError for what is none."""
        raise NotImplementedError


class AppendOnly:
    """Field option, of a list: it grows at its end and changes in no other way.

    Updates may ``append``, ``extend`` and ``append_or_create``; `save` of a loaded object sends what the list has gained, and refuses
    a list that was changed elsewhere; `put`, which replaces, is refused.

    Example: ``entries: Attr[list[str]] = attr(AppendOnly(), default_factory=list)``
    """

    __slots__ = ()


class Unique:
    """Field option: no two items of the model have the same value, kept by guard items in the same transaction.

    ``name`` is what the constraint is called, the field's own name by default; fields whose options bear one name are
    unique together. None is not guarded: any number of items may have none. ``guards`` is a model with a text
    partition key alone, for guard items in a table of their own; without it they are stored in the model's table.

    The constraint's name and that of the class that declares it are part of what is stored: keep them. In a model of
    tenants a value is unique within a tenant, and with ``across_tenants=True`` in the whole table, which tells a tenant
    that another one has it.

    Example: ``idempotency_key: Attr[str] = attr(Unique())``
    """

    __slots__ = ("across_tenants", "guards", "name", "within")

    def __init__(self, name: str | None = None, *, guards: type | None = None, across_tenants: bool = False) -> None:
        self.name: str | None = name
        self.guards: type[Any] | None = guards
        self.across_tenants: bool = across_tenants
        self.within: str | None = None  # the name of a field, for each value of which there is a constraint of its own


class RuledOption:
    """The base of a field option that brings a rule for the writes of its model, on every database and without a plugin.

    Example: ``class Transitions(RuledOption): ...`` with ``def write_rule(self, schema, field): return TransitionRule(field)``
    """

    __slots__ = ()

    def write_rule(self, schema: Schema, field: Field) -> WriteRule:
        """The rule, made once for each database. Raises: ModelError for a field that cannot have the option."""
        raise NotImplementedError


CORE_OPTIONS: Final = (Json, Codec, TimeForm, AppendOnly, RuledOption, Unique)
"""Options the core understands. Any other must be claimed by a plugin, or the model is refused."""


class Field(Struct, frozen=True, kw_only=True, eq=False):
    """One attribute of a model. ``stored`` is its name in DynamoDB; limits left at None do not apply.

    ``also_read`` are other names under which it may be stored: it is read there when ``stored`` itself is not.

    ``annotation`` is the type inside ``Attr[...]``, or its text while it cannot be resolved yet.
    """

    name: str
    stored: str
    annotation: Any
    owner: str
    default: Any = MISSING
    default_factory: Callable[[], Any] | None = None
    options: tuple[Any, ...] = ()
    role: Role = ""
    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    validators: tuple[Callable[[Any], Any], ...] = ()
    immutable: bool = False
    write_once: bool = False
    protected: bool = False
    omit_empty: bool = False
    secret: bool = False
    allow_float: bool = False
    also_read: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """Whether the constructor needs a value."""
        return self.default is MISSING and self.default_factory is None and not self.filled_in

    @property
    def filled_in(self) -> bool:
        """Whether the plugin of an option gives the field its value with a write, so that nobody else has to."""
        return any(getattr(option, "filled_in", False) for option in self.options)

    @property
    def unstored(self) -> Any:
        """The option that keeps the field in memory alone (``unstored = True``), or None.

        ``option.wrap(value)`` is what an object holds of a value that it is given, ``option.loaded()`` what a loaded one holds.
        """
        return next((option for option in self.options if getattr(option, "unstored", False)), None)

    @property
    def indexed_as(self) -> str:
        """The stored name under which keys of indexes and guards have it: one stored beside it where an option says so."""
        for option in self.options:
            name = getattr(option, "indexed_as", None)
            if name is not None:
                beside: str = name(self.stored)
                return beside
        return self.stored

    @property
    def searched(self) -> bool:
        """Whether it is found by what is stored beside it, and not by its own stored form."""
        return bool(self.options) and any(getattr(option, "unclaimed", None) is not None for option in self.options)

    def option(self, kind: type) -> Any:
        """The first option of class ``kind``, or None."""
        return next((option for option in self.options if isinstance(option, kind)), None)

    def __repr__(self) -> str:
        return f"<Field {self.owner}.{self.name}>"


class Check(Struct, frozen=True, eq=False):
    """A validator of several fields: what it is called, their names, and the function of an object that has them."""

    name: str
    fields: tuple[str, ...]
    function: Callable[[Any], Any]


class Key(Struct, frozen=True):
    """A primary key, by field names. ``sort`` is None for a table with a partition key only."""

    partition: str
    sort: str | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """The key's field names, partition first."""
        return (self.partition,) if self.sort is None else (self.partition, self.sort)


class Index(Struct, frozen=True, kw_only=True):
    """A secondary index. ``partition`` and ``sort`` are field names (a GSI may have up to four of each).

    ``projection`` is ``"ALL"``, ``"KEYS_ONLY"`` or a tuple of field names. ``only_if`` are the names of fields, each with what it must be for an
    item to be in the index.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/SecondaryIndexes.html
    """

    name: str
    kind: Literal["GSI", "LSI"]
    partition: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    projection: str | tuple[str, ...] = "ALL"
    only_if: tuple[tuple[str, Any], ...] = ()

    @property
    def fields(self) -> tuple[str, ...]:
        """The index key's field names, partition first."""
        return self.partition + self.sort


def key_parts(key: Key | Index) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The field names of a key: of its partition, and of its sort part."""
    if isinstance(key, Index):
        return key.partition, key.sort
    return (key.partition,), () if key.sort is None else (key.sort,)


class Schema(Struct, frozen=True, kw_only=True, eq=False):
    """Everything the library knows of a model. ``fields`` is by field name, in order of declaration.

    ``discriminator`` is the stored attribute that tells the subclasses of a model apart and ``tag`` this class's value
    of it; ``settings`` is the table's (a `dynamorm.models.schema.table_settings.TableSettings`); ``crypto_name`` is
    the name of the table as encrypted values know it: it stays when the table is renamed or prefixed; ``schema_version`` is
    stored with each item, and ``upgrades`` lead from the first version to it; ``namespace`` resolves annotations
    that were still text when the class was made. ``checks`` are the validators of several fields; ``hooks`` are its own hooks by moment; ``validated`` says that objects are
    looked at whenever they are made or changed.
    """

    model: type
    name: str
    table: str | None
    fields: dict[str, Field]
    key: Key | None = None
    indexes: dict[str, Index] = {}
    discriminator: str | None = None
    tag: str | None = None
    write_tokens: bool = True
    strict_creates: bool | None = None
    consistent_reads: bool = False
    hide_expired: bool = False
    settings: Any = None
    crypto_name: str | None = None
    schema_version: int | None = None
    upgrades: tuple[Upgrade, ...] = ()
    namespace: dict[str, Any] = {}
    typevars: dict[Any, Any] = {}
    checks: tuple[Check, ...] = ()
    hooks: Mapping[str, tuple[Callable[[Any], Any], ...]] = {}
    validated: bool = False

    def role(self, role: Role) -> Field | None:
        """The field that has this role, or None."""
        return next((field for field in self.fields.values() if field.role == role), None)

    @property
    def version(self) -> Field | None:
        """The version field, or None."""
        return self.role("version")

    @property
    def index_fields(self) -> frozenset[str]:
        """Names of the fields that are part of a secondary index's key."""
        return frozenset(name for index in self.indexes.values() for name in index.fields)


SCHEMAS: Final[dict[type, Schema]] = {}
"""Schema by model class. Classes live as long as the program, so entries are never removed."""


def schema_of(model: Any) -> Schema:
    """The schema of a model class (or of a class registered as one): its fields, key and indexes, to be read.

    Raises: InvalidUse when the class is not a model; PartialItem for that of a partial object.

    Example: ``schema_of(Payment).fields["amount"].stored``
    """
    try:
        return SCHEMAS[model]
    except (KeyError, TypeError):
        pass
    whole = getattr(model, "__partial_of__", None)
    if whole is not None:
        raise PartialItem(
            f"this {whole.__name__} holds only what select() asked for, so it can be neither written nor deleted as an"
            " object: load the whole item, or use update() and delete() with its key"
        )
    origin = getattr(model, "__origin__", None)
    if origin is not None and origin in SCHEMAS:
        return SCHEMAS[origin]
    if isinstance(model, type) and issubclass(model, type):
        name = model.__name__.removesuffix("Meta")
        raise InvalidUse(f"got the class {name} itself: pass an object, {name}(...)") from None
    if not isinstance(model, type) and type(model) in SCHEMAS:
        name = type(model).__name__
        raise InvalidUse(f"got an object of {name} where the model belongs: pass {name} and the key") from None
    kind = model if isinstance(model, type) else type(model)
    remedy = _REMEDIES.get(kind, "") + "subclass dynamorm.Model, or register it with dynamorm.adapters.register()"
    # Whoever looked it up knows no more than that a value, which may be anybody's, is no key.
    raise InvalidUse(f"{kind.__name__} is not a model: {remedy}") from None


_SEVERAL: Final = (
    "pass one class or one object; many objects are for batch_write(puts=[...]) or a transaction; to make a class one, "
)
_REMEDIES: Final[dict[type, str]] = {
    str: "pass the class itself, not its name, nor that of its table; to make one, ",
    dict: "pass an object, Payment(**values), or the class and a key; to make a class one, ",
    list: _SEVERAL,
    tuple: _SEVERAL,
    set: _SEVERAL,
}
"""What the error says where one of Python's own classes is given instead of a model."""


def with_subclasses(cls: type) -> Iterator[type]:
    """A class and all classes below it that have been defined so far.

    Of a class that was defined again, as the cell of a notebook that is run twice does, only the last one counts.
    """
    yield cls
    subclasses: list[type] = type.__subclasses__(cls)  # `type`'s own, not an attribute of the model
    last = {(subclass.__module__, subclass.__qualname__): subclass for subclass in subclasses}
    for subclass in last.values():
        yield from with_subclasses(subclass)


def family_of(model: type[Any]) -> tuple[type[Any], ...]:
    """The classes that share the table of a model by inheritance, itself among them, the root first, as far as they are defined.

    Each reads and writes the items of those below it, and by key those of all. One of a class without a table is empty.

    Raises: InvalidUse for what is no model.

    Example: ``family_of(Cat)`` is ``(Animal, Cat, Dog)``
    """
    table = schema_of(model).table
    if table is None:
        return ()
    above = [cls for cls in model.__mro__ if (schema := SCHEMAS.get(cls)) is not None and schema.table == table]
    below = (cls for top in reversed(above) for cls in with_subclasses(top))
    return tuple(dict.fromkeys(cls for cls in below if cls in SCHEMAS and SCHEMAS[cls].table == table))


def tags_of(schema: Schema) -> tuple[str, ...]:
    """The tags of a class and its subclasses, sorted; empty for the root of a family, to which every item belongs."""
    bases = (SCHEMAS.get(base) for base in schema.model.__mro__[1:])
    if all(base is None or base.discriminator is None for base in bases):
        return ()
    schemas = (SCHEMAS.get(cls) for cls in with_subclasses(schema.model))
    return tuple(sorted({member.tag for member in schemas if member is not None and member.tag is not None}))
