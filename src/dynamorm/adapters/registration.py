"""`register`: makes a model of a class that is none, by filling in what a `Model` says in its class body."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from dynamorm.adapters.computed import composites_in, computed_field, show_composites
from dynamorm.adapters.foreign import Foreign, Member, bases_of, read_class
from dynamorm.adapters.states import access_for
from dynamorm.codec.state import ACCESS
from dynamorm.errors import ModelError
from dynamorm.models.build import complete, flag, naming_of, table_settings
from dynamorm.models.declare import did_you_mean, other_names
from dynamorm.models.schema.composite import Composite
from dynamorm.models.schema.schema import LIBRARY_NAMES, MISSING, SCHEMAS, Field, Index, Role, Schema

if TYPE_CHECKING:
    from dynamorm.models.schema.table_settings import TableSettings

C = TypeVar("C", bound=type[Any])

_LIBRARY_DEFAULTS: dict[Role, Any] = {"version": 0, "created_at": None, "updated_at": None}


@overload
def register(
    cls: C,
    /,
    *,
    table: str | None = ...,
    partition: str | None = ...,
    sort: str | None = ...,
    version: str | None = ...,
    created_at: str | None = ...,
    updated_at: str | None = ...,
    ttl: str | None = ...,
    indexes: Iterable[Index] | Mapping[str, Index] = ...,
    names: Mapping[str, str] | None = ...,
    naming: str | Callable[[str], str] | None = ...,
    discriminator: str | None = ...,
    tag: str | None = ...,
    write_tokens: bool = ...,
    consistent_reads: bool = ...,
    hide_expired: bool = ...,
    settings: TableSettings | None = ...,
    options: Mapping[str, Iterable[object]] | None = ...,
    secret: Iterable[str] = ...,
    immutable: Iterable[str] = ...,
    write_once: Iterable[str] = ...,
    protected: Iterable[str] = ...,
    omit_empty: Iterable[str] = ...,
    allow_float: Iterable[str] = ...,
    also_read: Mapping[str, Iterable[str]] | None = ...,
    composites: Mapping[str, Composite] | None = ...,
) -> C: ...
@overload
def register(
    *,
    table: str | None = ...,
    partition: str | None = ...,
    sort: str | None = ...,
    version: str | None = ...,
    created_at: str | None = ...,
    updated_at: str | None = ...,
    ttl: str | None = ...,
    indexes: Iterable[Index] | Mapping[str, Index] = ...,
    names: Mapping[str, str] | None = ...,
    naming: str | Callable[[str], str] | None = ...,
    discriminator: str | None = ...,
    tag: str | None = ...,
    write_tokens: bool = ...,
    consistent_reads: bool = ...,
    hide_expired: bool = ...,
    settings: TableSettings | None = ...,
    options: Mapping[str, Iterable[object]] | None = ...,
    secret: Iterable[str] = ...,
    immutable: Iterable[str] = ...,
    write_once: Iterable[str] = ...,
    protected: Iterable[str] = ...,
    omit_empty: Iterable[str] = ...,
    allow_float: Iterable[str] = ...,
    also_read: Mapping[str, Iterable[str]] | None = ...,
    composites: Mapping[str, Composite] | None = ...,
) -> Callable[[C], C]: ...
def register(cls: Any = None, /, **settings: Any) -> Any:
    """Make a pydantic v2 model, dataclass, attrs class or msgspec Struct usable as a model, and return it. Also a decorator.

    Args:
        table: the physical name, without the session's prefix; None for a class that is only nested in others.
        partition, sort: the fields of the key.
        version, created_at, updated_at: library-owned fields (an int; a datetime or None), as in a `Model`.
        ttl: the field of the time to live: a datetime, or an int of epoch seconds.
        indexes: `gsi` and `lsi` objects, with names as a mapping where `fields` shall offer them.
        names: stored names by field name; the rest follows ``naming``, or keeps the field's own name. Aliases of
            pydantic and renames of msgspec are for their own input and output and change nothing here.
        discriminator, tag: as the class settings of a `Model`. A subclass of a registered class inherits its settings.
        write_tokens: False stores no write tokens.
        consistent_reads, hide_expired: as the class settings of a `Model`.
        settings: the table's, a `TableSettings`.
        options: option objects by field name, e.g. ``{"profile": [Json()]}``.
        secret, immutable, write_once, protected, omit_empty, allow_float: fields that have that property of `attr`.
        also_read: other stored names to read, by field name, e.g. ``{"name": ["Name"]}``.
        composites: keys that are made of fields, e.g. ``{"pk": composite("tenant_id", "number")}``, for ``partition``, ``sort`` and
            ``indexes`` to name. The class has no such field; its objects have a property of that name.

    Bounds in annotations (``ge``, ``max_length``, ...) are checked again before each write. Objects are made from
    stored items without pydantic's validation; the constructor of a dataclass, attrs class or Struct is called.

    Raises: ModelError for a setting that cannot work, and a class whose objects cannot keep the loaded state.

    Example: ``register(Order, table="orders", partition="id", version="version")``
    """
    for name in settings:
        if name not in _SETTINGS:
            raise ModelError(f"register() has no setting {name!r}{did_you_mean(name, _SETTINGS)}")
    local = dict(sys._getframe(1).f_locals)  # noqa: SLF001 - names of the place where the class stands
    if cls is None:
        return lambda decorated: _register(decorated, settings, local)
    return _register(cls, settings, local)


_ROLES: dict[str, Role] = {
    "partition": "partition",
    "sort": "sort",
    "version": "version",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "ttl": "ttl",
}
_FLAGS = ("secret", "immutable", "write_once", "protected", "omit_empty", "allow_float")
_SETTINGS = {
    *_ROLES,
    *_FLAGS,
    "table",
    "indexes",
    "names",
    "naming",
    "discriminator",
    "tag",
    "write_tokens",
    "consistent_reads",
    "hide_expired",
    "settings",
    "options",
    "also_read",
    "composites",
}


def _register(cls: Any, settings: dict[str, Any], local: dict[str, Any]) -> Any:
    if not isinstance(cls, type):
        raise ModelError(f"register() takes a class, not {type(cls).__name__}")
    if cls in SCHEMAS:
        raise ModelError(f"{cls.__name__} is a model already")
    foreign = read_class(cls, local)
    parent = next((SCHEMAS[base] for base in bases_of(cls) if base in SCHEMAS), None)
    schema = _schema(cls, foreign, parent, settings, local)
    stored_names = {field.stored for field in schema.fields.values()} | LIBRARY_NAMES | {schema.discriminator or ""}
    ACCESS[cls] = access_for(cls, foreign.construct, frozenset(stored_names) if foreign.extras else None)
    SCHEMAS[cls] = schema
    show_composites(cls, schema)
    return cls


def _schema(
    cls: type, foreign: Foreign, parent: Schema | None, settings: dict[str, Any], local: dict[str, Any]
) -> Schema:
    roles = _roles(settings, parent)
    names = {member.name for member in foreign.members}
    composites = composites_in(cls, settings.get("composites") or {}, parent, names)
    _check_names(cls, settings, names, composites, roles)
    naming = naming_of(cls.__name__, settings.get("naming"))
    fields = {}
    for member in foreign.members:
        inherited = None if parent is None else parent.fields.get(member.name)
        fields[member.name] = _field(member, inherited, roles.get(member.name, ""), naming, settings)
    for name, made in composites.items():
        inherited = None if parent is None else parent.fields.get(name)
        fields[name] = computed_field(
            cls, name, made, roles.get(name, ""), _stored_name(name, inherited, naming, settings)
        )
    deferred = any(isinstance(member.annotation, str) for member in foreign.members)
    schema = Schema(
        model=cls,
        name=cls.__name__,
        table=settings.get("table") or (None if parent is None else parent.table),
        fields=fields,
        discriminator=settings.get("discriminator") or (None if parent is None else parent.discriminator),
        write_tokens=settings.get("write_tokens", True if parent is None else parent.write_tokens),
        consistent_reads=flag(cls.__name__, "consistent_reads", settings.get("consistent_reads"), parent),
        hide_expired=flag(cls.__name__, "hide_expired", settings.get("hide_expired"), parent),
        settings=table_settings(cls.__name__, settings.get("settings"), parent),
        namespace={**local, cls.__name__: cls} if deferred else {},
        typevars={},
    )
    indexes = {} if parent is None else dict(parent.indexes)
    return complete(schema, indexes | _indexes(settings), tag=settings.get("tag"))


def _roles(settings: dict[str, Any], parent: Schema | None) -> dict[str, Role]:
    """The role of each field that has one."""
    roles: dict[str, Role] = {}
    for setting, role in _ROLES.items():
        inherited = None if parent is None else parent.role(role)
        name = settings.get(setting) or (None if inherited is None else inherited.name)
        if name is None:
            continue
        if name in roles:
            raise ModelError(f"{name!r} is named as {roles[name]} and as {role}: a field has one role")
        roles[name] = role
    return roles


def _check_names(
    cls: type, settings: dict[str, Any], own: set[str], composites: dict[str, Composite], roles: dict[str, Role]
) -> None:
    """Every name in the settings must be a field's; what is made of fields has a role and a stored name, and no more."""
    named: list[tuple[str, str]] = [(role, name) for name, role in roles.items()]
    for setting in ("names", "options", "also_read", *_FLAGS):
        given = settings.get(setting) or ()
        if isinstance(given, str):
            raise ModelError(f"{cls.__name__}: {setting} takes several names: write [{given!r}]")
        named += [(setting, name) for name in given]
    for name, several in (settings.get("options") or {}).items():
        if isinstance(several, str) or not isinstance(several, Iterable):
            raise ModelError(f"{cls.__name__}: options takes several for each field: write options={{{name!r}: [...]}}")
    for setting, name in named:
        names = own | composites.keys() if setting in _ROLES or setting == "names" else own
        if name not in names:
            raise ModelError(f"{cls.__name__}: {setting} names {name!r}, which is no field{did_you_mean(name, names)}")


def _stored_name(name: str, inherited: Field | None, naming: Callable[[str], str], settings: dict[str, Any]) -> str:
    """The name under which a field is stored."""
    names = settings.get("names") or {}
    if name in names:
        stored: str = names[name]
        return stored
    return naming(name) if inherited is None or "naming" in settings else inherited.stored


def _field(
    member: Member, inherited: Field | None, role: Role, naming: Callable[[str], str], settings: dict[str, Any]
) -> Field:
    stored = _stored_name(member.name, inherited, naming, settings)
    default, factory = member.default, member.default_factory
    if default is MISSING and factory is None and role in _LIBRARY_DEFAULTS:
        default = _LIBRARY_DEFAULTS[role]
    options = tuple((settings.get("options") or {}).get(member.name, inherited.options if inherited else ()))
    if any(isinstance(option, Composite) for option in options):
        raise ModelError(
            f"{member.owner}.{member.name}: a composite is made of fields and is none itself: leave the field out, and say"
            f" composites={{{member.name!r}: composite(...)}}"
        )
    flags: dict[str, Any] = {
        flag: member.name in settings.get(flag, ()) or getattr(inherited, flag, False) for flag in _FLAGS
    }
    limits = dict(member.limits)
    given = (settings.get("also_read") or {}).get(member.name)
    if given is not None:
        limits["also_read"] = other_names(given)
    elif inherited is not None and "also_read" not in limits:
        limits["also_read"] = inherited.also_read
    return Field(
        name=member.name,
        stored=stored,
        annotation=member.annotation,
        owner=member.owner,
        default=default,
        default_factory=factory,
        options=options,
        role=role,
        **limits,
        **flags,
    )


def _indexes(settings: dict[str, Any]) -> dict[str, Index]:
    given = settings.get("indexes") or ()
    return dict(given) if isinstance(given, Mapping) else {index.name: index for index in given}
