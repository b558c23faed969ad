"""Builds a `Schema` from class bodies: names, roles, keys and indexes, and the mistakes that can be seen there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from dynamorm.errors import ModelError
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.schema import LIBRARY_NAMES, Field, Index, Key, Schema, Unique
from dynamorm.models.schema.upgrades import SCHEMA_ATTRIBUTE, chain_of, upgrades_in

from .annotations import NotAttr, Scope, attr_annotation, forbids_none
from .declare import Spec, did_you_mean
from .limit_check import check_limits

# Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_NAME_SIGNS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-")
_MAX_ATTRIBUTE_NAME = 65_535
_MAX_INDEX_ATTRIBUTES = 4

Body = tuple[str, dict[str, Any], Any, Scope]
"""Class name, annotations, namespace and scope of one class body."""


def build_schema(
    name: str, bodies: Iterable[Body], parent: Schema, settings: dict[str, Any], typevars: dict[Any, Any]
) -> Schema:
    """The schema of class ``name``. Its ``model`` is filled in by the caller, once the class exists."""
    naming = naming_of(name, settings["naming"])
    fields = dict(parent.fields)
    indexes = dict(parent.indexes)
    upgrades = []
    for owner, annotated, namespace, scope in bodies:
        for key, annotation in annotated.items():
            field = _field(owner, key, annotation, namespace.get(key), scope=scope, naming=naming, settings=settings)
            if field is not None:
                fields[key] = field
        _refuse_bare_specs(owner, annotated, namespace)
        indexes.update({key: value for key, value in namespace.items() if isinstance(value, Index)})
        upgrades += upgrades_in(namespace)
    schema_version = settings.get("schema_version")
    if parent.discriminator is not None and schema_version not in {None, parent.schema_version}:
        raise ModelError(f"class {name}: the schema_version of a family is that of its first class: say it there")
    schema_version = parent.schema_version if schema_version is None else schema_version
    schema = Schema(
        model=parent.model,
        name=name,
        table=settings["table"] or parent.table,
        fields=fields,
        discriminator=settings["discriminator"] or parent.discriminator,
        write_tokens=parent.write_tokens if settings["write_tokens"] is None else settings["write_tokens"],
        strict_creates=parent.strict_creates if settings["strict_creates"] is None else settings["strict_creates"],
        consistent_reads=flag(name, "consistent_reads", settings.get("consistent_reads"), parent),
        hide_expired=flag(name, "hide_expired", settings.get("hide_expired"), parent),
        settings=table_settings(name, settings["settings"], parent),
        crypto_name=settings.get("crypto_name") or parent.crypto_name or settings["table"] or parent.table,
        schema_version=schema_version,
        upgrades=chain_of(name, schema_version, parent.upgrades, upgrades),
        namespace=parent.namespace,
        typevars=typevars,
        checks=parent.checks,
        hooks=parent.hooks,
        validated=parent.validated or validates(name, settings["validate"]),
    )
    return complete(schema, indexes, tag=settings["tag"])


def validates(name: str, given: Any) -> bool:
    """Whether objects of a class are looked at whenever they are made or changed. Raises: ModelError."""
    if given not in (None, "always"):
        raise ModelError(
            f'class {name}: validate is "always", or is left out: objects are then looked at before a write'
        )
    return given is not None


def flag(name: str, setting: str, given: Any, parent: Schema | None) -> bool:
    """A class setting that is True or False: the class's own, or its base's. Raises: ModelError when it is something else."""
    if given is None:
        return parent is not None and bool(getattr(parent, setting))
    if given.__class__ is not bool:
        raise ModelError(f"class {name}: {setting} is True or False, not {type(given).__name__}")
    return bool(given)


def table_settings(name: str, given: Any, parent: Schema | None) -> Any:
    """The settings of the table: the class's own, or its base's. Raises: ModelError when they are something else."""
    if given is None:
        return None if parent is None else parent.settings
    from dynamorm.models.schema.table_settings import TableSettings  # only for models that have any

    if not isinstance(given, TableSettings):
        raise ModelError(f"class {name}: settings is a TableSettings(...), not a {type(given).__name__}")
    return given


def complete(schema: Schema, indexes: dict[str, Index], *, tag: str | None = None) -> Schema:
    """Check the fields against one another and work out the keys. Used for registered classes too."""
    _check_names(schema)
    for field in schema.fields.values():
        check_limits(field.owner, field)
    key = _key(schema)
    if schema.hide_expired and schema.role("ttl") is None:
        raise ModelError(
            f"{schema.name}: hide_expired=True asks for a time to live: declare a field such as"
            " expires: Attr[datetime | None] = ttl(default=None)"
        )
    if schema.table is not None:
        if not _is_name(schema.table):
            raise ModelError(f"{schema.name}: a table name has 3 to 255 of A-Z a-z 0-9 _ - . (got {schema.table!r})")
        if key is None:
            raise ModelError(
                f"{schema.name} has a table but no partition key: declare one with partition_key()",
                code="ErrMissingPrimaryKey",
            )
    if schema.schema_version is not None:
        _check_schema_version(schema)
    if tag is not None and schema.discriminator is None:
        raise ModelError(f"{schema.name}: tag= needs discriminator= on this class or its base")
    indexes = {name: _index(schema, index, key) for name, index in indexes.items()}
    taken: dict[str, str] = {}
    for attribute, index in indexes.items():
        if index.name in taken:
            raise ModelError(f"{schema.name}: index name {index.name!r} is used by {taken[index.name]} and {attribute}")
        taken[index.name] = attribute
    tag = (tag or schema.name) if schema.discriminator is not None else None
    schema = replace(schema, key=key, indexes=indexes, tag=tag)
    for index in indexes.values():
        if index.only_if:
            _check_only_if(schema, index)
    if any(field.also_read for field in schema.fields.values()):
        _check_other_names(schema)
    if composites_of(schema):
        from .composite_check import check_composites  # only models with composite keys need it

        check_composites(schema)
    return schema


def _field(
    owner: str,
    key: str,
    annotation: Any,
    declared: Any,
    *,
    scope: Scope,
    naming: Callable[[str], str],
    settings: dict[str, Any],
) -> Field | None:
    """One annotated name of a class body: a field, or None for a ClassVar or an index."""
    inner = attr_annotation(annotation, scope)
    if inner is None or isinstance(declared, Index):
        return None
    if isinstance(inner, NotAttr):
        shown = inner.annotation if isinstance(inner.annotation, str) else getattr(inner.annotation, "__name__", "...")
        raise ModelError(f"{owner}.{key}: annotate it as Attr[{shown}] (or ClassVar[{shown}] if it is not stored)")
    if key in _NEEDED or (key.startswith("__") and key.endswith("__")):
        raise ModelError(f"{owner}.{key}: Python needs this name; choose another and keep the stored one with name=")
    if declared is None:
        declared = Spec("", (), {})
    if not isinstance(declared, Spec):
        raise ModelError(f"{owner}.{key}: a default is written attr(default=...)")
    _check_none(owner, key, inner, declared)
    omit_empty = declared.limits.pop("omit_empty", None)
    if declared.role in _KEYS and omit_empty:
        raise ModelError(f"{owner}.{key}: a key attribute is always stored: leave out omit_empty")
    if omit_empty is None:
        omit_empty = bool(settings["omit_empty"]) and declared.role not in _KEYS
    return Field(
        name=key,
        stored=naming(key) if declared.name is None else declared.name,
        annotation=inner,
        owner=owner,
        default=declared.default,
        default_factory=declared.default_factory,
        options=declared.options,
        role=declared.role,
        omit_empty=omit_empty,
        **declared.limits,
    )


_NEEDED = frozenset({"mro", "self", "MISSING", "_unknown"})
"""What Python calls a class for, and what the constructor of a model is written with."""
_KEYS = ("partition", "sort")


def _check_none(owner: str, key: str, annotation: Any, declared: Spec) -> None:
    """Refuse None as a default where it has no place; the times of the library are None before the first write."""
    if declared.default is not None or declared.role in ("created_at", "updated_at"):
        return
    if any(getattr(option, "given_later", False) for option in declared.options):
        return
    if declared.role in _KEYS:
        raise ModelError(f"{owner}.{key}: a key attribute cannot be None: leave out default=None")
    if forbids_none(annotation):
        shown = getattr(annotation, "__name__", "...") if isinstance(annotation, type) else str(annotation)
        raise ModelError(f"{owner}.{key}: the default is None, which its type has no place for: Attr[{shown} | None]")


def _refuse_bare_specs(owner: str, annotations: dict[str, Any], namespace: Any) -> None:
    for key, value in namespace.items():
        if isinstance(value, Spec) and key not in annotations:
            raise ModelError(f"{owner}.{key} has no annotation: write {key}: Attr[...] = ...")


def _check_names(schema: Schema) -> None:
    stored: dict[str, str] = {}
    for field in schema.fields.values():
        if not field.stored.isidentifier() and _is_escaped(field.stored):
            raise ModelError(
                f"{schema.name}.{field.name}: a stored name is Unicode text without quotes, backslashes and control"
                f" characters (got {field.stored!r})"
            )
        if not field.stored or len(field.stored.encode()) > _MAX_ATTRIBUTE_NAME:
            raise ModelError(f"{schema.name}.{field.name}: a stored name has 1 to {_MAX_ATTRIBUTE_NAME} bytes")
        if field.stored in LIBRARY_NAMES or field.stored == schema.discriminator:
            raise ModelError(f"{schema.name}.{field.name}: the stored name {field.stored!r} belongs to the library")
        if field.stored in stored:
            raise ModelError(
                f"{schema.name}: {stored[field.stored]} and {field.name} are both stored as {field.stored!r}"
            )
        stored[field.stored] = field.name


def _check_other_names(schema: Schema) -> None:
    """Refuse names to read that belong to another attribute, and fields that cannot be read under several names."""
    taken = {field.stored: field.name for field in schema.fields.values()}
    keys = {*schema.index_fields, *(part for composite in composites_of(schema).values() for part in composite.fields)}
    taken |= dict.fromkeys(LIBRARY_NAMES | ({schema.discriminator} if schema.discriminator else set()), "the library")
    for field in schema.fields.values():
        if not field.also_read:
            continue
        where = f"{schema.name}.{field.name}"
        for name in field.also_read:
            if name in taken:
                raise ModelError(f"{where}: also_read names {name!r}, which is the stored name of {taken[name]}")
            if _is_escaped(name):
                raise ModelError(f"{where}: also_read holds a name with quotes, backslashes or control characters")
            taken[name] = field.name
        if field.role in ("partition", "sort") or field.name in keys or field.option(Unique) is not None:
            raise ModelError(f"{where} is part of a key, which has one name: leave out also_read, or say name=")
        if field.omit_empty:
            raise ModelError(
                f"{where}: with omit_empty an empty value is left out, and one stored under another name would be read"
                " in its place: leave out also_read or omit_empty"
            )


def _check_schema_version(schema: Schema) -> None:
    """Refuse a schema version that cannot be stored, or whose items could not be saved."""
    taken = next((field for field in schema.fields.values() if field.stored == SCHEMA_ATTRIBUTE), None)
    if taken is not None or schema.discriminator == SCHEMA_ATTRIBUTE:
        raise ModelError(
            f"{schema.name} has a schema_version, which is stored as {SCHEMA_ATTRIBUTE!r}: choose another stored name, with name=",
            code="ErrInvalidTag",
        )
    if schema.upgrades and schema.table is not None and schema.version is None:
        raise ModelError(
            f"{schema.name} upgrades items, and a save of one must know that nobody has changed it meanwhile: declare"
            " version: Attr[int] = version()"
        )


def _check_only_if(schema: Schema, index: Index) -> None:
    """Refuse a condition that cannot be kept, or would leave out what is more than a key. Raises: ModelError."""
    where = f"{schema.name}: only_if of index {index.name!r}"
    composites = composites_of(schema)
    made = [name for name in index.fields if name in composites and not schema.fields[name].role]
    if not made:
        raise ModelError(
            f"{where} leaves the key of the index out of other items, and a field that is left out would be lost: make the key of fields, as in"
            ' open_key: Attr[str | None] = attr(composite("shop"), init=False) and partition="open_key"'
        )
    for other in schema.indexes.values():
        shared = next((name for name in made if name in other.fields), None)
        if other is not index and shared is not None and other.only_if != index.only_if:
            raise ModelError(
                f"{where}: {shared!r} is in the key of index {other.name!r}, too, which has another condition: give each its own composite"
            )
    for name, _ in index.only_if:
        field = schema.fields.get(name)
        if field is None:
            raise ModelError(f"{where} names {name!r}, which is no field{did_you_mean(name, schema.fields)}")
        if name in composites or field.role in {"version", "updated_at"}:
            raise ModelError(
                f"{where} names {name!r}, which every write makes anew: name a field that your program sets"
            )


def _is_name(text: str) -> bool:
    """Whether a table or an index may be called so."""
    return 3 <= len(text) <= 255 and _NAME_SIGNS.issuperset(text)


def _is_escaped(text: str) -> bool:
    """Whether JSON has to escape this: it could not be recognised while a reply is read, or (a surrogate) not be sent."""
    return any(sign in '"\\' or sign < " " or "\ud800" <= sign <= "\udfff" for sign in text)


def _key(schema: Schema) -> Key | None:
    by_role: dict[str, str] = {}
    for field in schema.fields.values():
        if field.role and field.role in by_role:
            raise ModelError(
                f"{schema.name}: {by_role[field.role]} and {field.name} are both declared as {field.role}",
                code="ErrDuplicatePrimaryKey" if field.role in {"partition", "sort"} else None,
            )
        by_role[field.role] = field.name
    if "partition" not in by_role:
        if "sort" in by_role:
            raise ModelError(
                f"{schema.name} has a sort key but no partition key: declare one with partition_key()",
                code="ErrMissingPrimaryKey",
            )
        return None
    return Key(by_role["partition"], by_role.get("sort"))


def _index(schema: Schema, index: Index, key: Key | None) -> Index:
    """An index with its partition filled in, every name checked."""
    if not _is_name(index.name):
        raise ModelError(f"{schema.name}: an index name has 3 to 255 of A-Z a-z 0-9 _ - . (got {index.name!r})")
    if index.kind == "LSI":
        if key is None or key.sort is None:
            raise ModelError(f"{schema.name}: index {index.name!r} is local, which needs a table with a sort key")
        index = replace(index, partition=(key.partition,))
    if not index.partition or max(len(index.partition), len(index.sort)) > _MAX_INDEX_ATTRIBUTES:
        raise ModelError(f"{schema.name}: index {index.name!r} takes 1 to 4 partition and up to 4 sort attributes")
    if index.projection not in ("ALL", "KEYS_ONLY") and not (
        isinstance(index.projection, tuple) and all(isinstance(name, str) for name in index.projection)
    ):
        raise ModelError(f"{schema.name}: projection of {index.name!r} is 'ALL', 'KEYS_ONLY' or a tuple of field names")
    projected = index.projection if isinstance(index.projection, tuple) else ()
    for name in (*index.fields, *projected):
        if name not in schema.fields:
            hint = did_you_mean(name, schema.fields)
            raise ModelError(f"{schema.name}: index {index.name!r} names {name!r}, which is no field{hint}")
    return index


def naming_of(name: str, naming: Any) -> Callable[[str], str]:
    """The function from field name to stored name of a convention. Raises: ModelError for an unknown one."""
    if naming is None or naming == "snake_case":
        return str
    if callable(naming):
        return naming  # type: ignore[no-any-return] # a user's function; its result is checked as a stored name
    if naming not in _CONVENTIONS:
        raise ModelError(f"class {name}: no naming convention {naming!r}{did_you_mean(str(naming), _CONVENTIONS)}")
    return _CONVENTIONS[naming]


def _camel(text: str) -> str:
    first, *words = text.split("_")
    return first + "".join(word.capitalize() for word in words)


def _pascal(text: str) -> str:
    return "".join(word.capitalize() for word in text.split("_"))


def _kebab(text: str) -> str:
    return text.replace("_", "-")


_CONVENTIONS: dict[str, Callable[[str], str]] = {
    "snake_case": str,
    "camelCase": _camel,
    "PascalCase": _pascal,
    "kebab-case": _kebab,
}
