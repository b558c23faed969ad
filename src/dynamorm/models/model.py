"""`Model` and `Mixin`: a class body becomes frozen `Schema` data, storage in slots, and a generated constructor.

Class attributes are expressions (`Attr`, on one metaclass per model), instance attributes plain slots. It must not
know wire types, verbs or plugins. `Model` has no public method: the namespace belongs to the fields.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, dataclass_transform

from msgspec.structs import replace

from dynamorm.errors import InvalidAttribute, ModelError
from dynamorm.models.schema.composite import composites_of
from dynamorm.models.schema.other_ways import MODEL, subscripted, teach
from dynamorm.models.schema.schema import SCHEMAS, Index, Schema
from dynamorm.models.schema.upgrades import Upgrade

from .annotations import Scope, parameters_of, scope_of
from .build import build_schema
from .class_body import USE, CachedInSlot, cached_properties, has_post_init, refuse_constructor, slot_of
from .declare import Attr, Spec, attr, created_at, did_you_mean, partition_key, sort_key, ttl, updated_at, version
from .generated import methods
from .split import constructor_of, split_fields

M = TypeVar("M", bound="Model")

_CLASS_SETTINGS = frozenset(
    {
        "table",
        "naming",
        "discriminator",
        "tag",
        "write_tokens",
        "strict_creates",
        "consistent_reads",
        "hide_expired",
        "omit_empty",
        "settings",
        "crypto_name",
        "validate",
        "schema_version",
    }
)


@dataclass_transform(
    kw_only_default=True,
    eq_default=False,
    field_specifiers=(attr, partition_key, sort_key, ttl, version, created_at, updated_at),
)
class MixinMeta(ABCMeta):
    """Keeps a mixin's declarations aside, so that its fields become slots of the models that use it.

    It is an `ABCMeta`, so that models and mixins may have abstract methods and an `abc.ABC` among their bases.
    """

    def __new__(
        mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, _scope: Scope | None = None, **_: Any
    ) -> Any:
        """Take the declarations out of the class body."""
        scope = _scope or scope_of(sys._getframe(1), namespace)  # noqa: SLF001 - the body's own names
        split_fields(name, namespace, scope)
        namespace["__specs__"] = {key: value for key, value in namespace.items() if isinstance(value, Spec)}
        namespace["__scope__"] = scope
        for key in namespace["__specs__"]:
            del namespace[key]
        # Without empty slots a mixin would give every instance a __dict__.
        namespace.setdefault("__slots__", ())
        return ABCMeta.__new__(mcls, name, bases, namespace)


class Mixin(metaclass=MixinMeta):
    """Fields, indexes and methods shared by several models.

    Example::

        class Owned(Mixin):
            owner: Attr[str]


        class Document(Model, Owned, table="documents"):
            id: Attr[str] = partition_key()
    """


# Repeated here, since type checkers look at a class's own metaclass only.
@dataclass_transform(
    kw_only_default=True,
    eq_default=False,
    field_specifiers=(attr, partition_key, sort_key, ttl, version, created_at, updated_at),
)
class ModelMeta(MixinMeta):
    """Builds a model: schema, slots, constructor, and the metaclass that holds its attributes."""

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        table: str | None = None,
        naming: Any = None,
        discriminator: str | None = None,
        tag: str | None = None,
        write_tokens: bool | None = None,
        strict_creates: bool | None = None,
        consistent_reads: bool | None = None,
        hide_expired: bool | None = None,
        omit_empty: bool | None = None,
        settings: Any = None,
        crypto_name: str | None = None,
        validate: Literal["always"] | None = None,
        schema_version: int | None = None,
        **unknown: Any,
    ) -> Any:
        """Create the class from its body. Raises ModelError for anything that cannot work."""
        if unknown:
            first = next(iter(unknown))
            raise ModelError(f"class {name}: no class setting {first!r}{did_you_mean(first, _CLASS_SETTINGS)}")
        scope = scope_of(sys._getframe(1), namespace)  # noqa: SLF001 - the body's own names
        if not any(isinstance(base, ModelMeta) for base in bases):
            return _root(mcls, name, bases, namespace, scope)
        class_settings = {
            "table": table,
            "naming": naming,
            "discriminator": discriminator,
            "tag": tag,
            "write_tokens": write_tokens,
            "strict_creates": strict_creates,
            "consistent_reads": consistent_reads,
            "hide_expired": hide_expired,
            "omit_empty": omit_empty,
            "settings": settings,
            "crypto_name": crypto_name,
            "validate": validate,
            "schema_version": schema_version,
        }
        refuse_constructor(name, bases, namespace, ModelMeta)
        split_fields(name, namespace, scope)
        bodies = [*_mixin_bodies(bases), _body_of(name, namespace, scope)]
        parent = _parent_schema(name, bases)
        schema = build_schema(name, bodies, parent, class_settings, _typevars(parent, namespace))
        if USE.ever:  # a class of this process has marked methods
            schema = import_module("dynamorm.models.validators").with_validators(schema, bases, namespace)
            schema = import_module("dynamorm.models.hooks").with_hooks(schema, bases, namespace)
        return _finish(mcls, name, bases, namespace, scope=scope, schema=schema, parent=parent)

    def __init__(cls, *_: Any, **__: Any) -> None:
        """The work is done in __new__."""

    def __delattr__(cls, name: str) -> None:
        if name in SCHEMAS[cls].fields:
            raise InvalidAttribute(
                f"{cls.__name__}.{name} is an attribute of the model and cannot be removed", field=name
            )
        super().__delattr__(name)


def _root(mcls: type, name: str, bases: tuple[type, ...], namespace: dict[str, Any], scope: Scope) -> Any:
    """`Model` itself: no fields, one slot for what is known of the stored item."""
    cls = MixinMeta.__new__(mcls, name, bases, namespace, _scope=scope)
    SCHEMAS[cls] = Schema(model=cls, name=name, table=None, fields={})
    return cls


def _finish(
    mcls: type,
    name: str,
    bases: tuple[type, ...],
    namespace: dict[str, Any],
    *,
    scope: Scope,
    schema: Schema,
    parent: Schema,
) -> Any:
    """Make the class and the metaclass that carries its attributes."""
    inherited = parent.fields
    own: dict[str, Attr[Any]] = {
        key: Attr(field) for key, field in schema.fields.items() if inherited.get(key) is not field
    }
    computed, before = composites_of(schema), composites_of(parent)
    kept = dict(cached_properties(bases, namespace))
    given = namespace.get("__slots__", ())
    namespace["__slots__"] = (
        *(key for key in own if key not in computed and (key not in inherited or key in before)),
        *((given,) if isinstance(given, str) else given),
        *map(slot_of, kept),
    )
    namespace.update({key: property(ComputedText(key)) for key in own if key in computed})
    namespace.update({key: CachedInSlot(key, cached.func) for key, cached in kept.items()})
    for key, value in methods(schema, after=has_post_init(bases, namespace)).items():
        namespace.setdefault(key, value)
    namespace.setdefault("__hash__", None)
    metas = tuple(dict.fromkeys([*(type(base) for base in bases if isinstance(base, ModelMeta)), mcls]))
    metas = tuple(
        metaclass
        for metaclass in metas
        if not any(other is not metaclass and issubclass(other, metaclass) for other in metas)
    )
    meta: Any = type(f"{name}Meta", metas, {**own, **constructor_of(bases, namespace)})
    cls: Any = MixinMeta.__new__(meta, name, bases, namespace, _scope=scope)
    deferred = any(isinstance(field.annotation, str) for field in schema.fields.values())
    local = {**scope.local, name: cls} if deferred else {}
    SCHEMAS[cls] = replace(schema, model=cls, namespace={**parent.namespace, **local})
    return cls


def _body_of(name: str, namespace: dict[str, Any], scope: Scope) -> tuple[str, dict[str, Any], dict[str, Any], Scope]:
    return name, dict(scope.annotations), namespace, scope


def _mixin_bodies(bases: tuple[type, ...]) -> list[tuple[str, dict[str, Any], dict[str, Any], Scope]]:
    """The class bodies of the mixins among the bases, outermost ancestor first."""
    seen: dict[type, None] = {}
    for base in reversed(bases):
        if not isinstance(base, ModelMeta):
            seen.update(dict.fromkeys(reversed(base.__mro__)))
    bodies = []
    for cls in seen:
        scope = cls.__dict__.get("__scope__")
        if scope is not None:
            indexes = {
                key: value for key, value in vars(cls).items() if isinstance(value, (Index, Upgrade, staticmethod))
            }
            bodies.append((cls.__name__, dict(scope.annotations), {**indexes, **cls.__dict__["__specs__"]}, scope))
    return bodies


def _parent_schema(name: str, bases: tuple[type, ...]) -> Schema:
    models = [base for base in bases if isinstance(base, ModelMeta)]
    if sum(bool(SCHEMAS[base].fields) for base in models) > 1:
        raise ModelError(f"class {name}: only one base may be a model with fields; make the others a Mixin")
    return max((SCHEMAS[base] for base in models), key=lambda schema: len(schema.fields))


def _typevars(parent: Schema, namespace: dict[str, Any]) -> dict[Any, Any]:
    """What the type variables of a generic base stand for: ``class A(Event[int])`` binds T to int."""
    bound = dict(parent.typevars)
    for base in namespace.get("__orig_bases__", ()):
        bound.update(parameters_of(base))
    return bound


class ComputedText:
    """Reads a composite of an object: computed from its fields, as their stored text."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name: str = name

    def __call__(self, obj: Any) -> str | None:
        # By name: nothing below the codec may depend on it.
        text: str | None = import_module("dynamorm.codec.key_text").text_of(obj, self.name)
        return text


class _Plain:
    """Lets FastAPI, `dataclasses` and `inspect` see a model as the plain data it is; the work is done by the adapter."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __get__(self, obj: Any, cls: type) -> Any:
        # By name: nothing below the faces may depend on an adapter.
        return getattr(import_module("dynamorm.adapters.plain"), self._what)(cls)


class Model(metaclass=ModelMeta):
    """Base of every model.

    Class settings: ``table`` (physical name, without the session's prefix), ``naming`` (``"snake_case"``,
    ``"camelCase"``, ``"PascalCase"``, ``"kebab-case"`` or a function from field name to stored name),
    ``discriminator`` (stored attribute that tells subclasses apart), ``tag`` (this class's value of it),
    ``strict_creates=True`` (create each item by a transaction with a token, see `DB.create`),
    ``consistent_reads=True`` (read the latest state wherever that can be read), ``hide_expired=True`` (leave out items whose time
    to live is over, in all reads),
    ``write_tokens=False`` (do not store ``_wt``: an ambiguous write is then reported as `OutcomeUnknown`),
    ``omit_empty`` (for every field), ``settings`` (a `TableSettings`: billing, backups, ...), ``crypto_name`` (the name by which
    encrypted values are bound to their table, for one that was renamed), ``validate="always"`` (objects are looked at when they are
    made and when a field is assigned, and not only before a write), ``schema_version`` (stored with each item; older ones are
    upgraded while they are read, see `upgrade`). A model without a table is
    used as a nested value.

    Example::

        class Payment(Model, table="payments"):
            id: Attr[str] = partition_key()
            amount: Attr[int]
            note: Attr[str | None] = attr(default=None)
            version: Attr[int] = version()
    """

    __slots__ = ("__loaded__", "__weakref__")
    __loaded__: ClassVar[Any]
    __dataclass_fields__ = _Plain("fields_of")
    __dataclass_params__: _Plain = _Plain("params_of")
    if not TYPE_CHECKING:
        __signature__ = _Plain("signature_of")

    @property
    def __replaced__(self) -> Self:
        return self  # handed to the constructor by `dataclasses.replace`, as what a new object is made of

    def __replace__(self, /, **changes: Any) -> Self:
        """What `copy.replace` does, and `dataclasses.replace` with it: all but the changes is kept."""
        # By name, as above.
        replaced: Self = import_module("dynamorm.adapters.plain").replaced(self, changes)
        return replaced

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Let pydantic (and so FastAPI) read and write a model; the work is done by the adapter."""
        # By name, as above.
        return import_module("dynamorm.adapters.pydantic").core_schema_of_model(source, handler)


teach(Model, MODEL)
setattr(Model, "__getitem__", subscripted(Model))  # noqa: B010 - checkers refuse a subscript by themselves


__all__ = ["Index", "Mixin", "Model"]
