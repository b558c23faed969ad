"""What a class body is written with: `Attr`, `attr`, the keys, the library-owned fields and the indexes.

A call here makes a `Spec`, plain data; `dynamorm.models.model` turns annotations and specs into fields. It must not know
wire types or verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, Unpack, overload

from dynamorm.errors import InvalidAttribute, ModelError
from dynamorm.models.expressions.path import Path
from dynamorm.models.schema.composite import Composite
from dynamorm.models.schema.defaults import factory_of
from dynamorm.models.schema.schema import MISSING, Index, Role, TimeForm

from .limits import KeyLimits, Limits

if TYPE_CHECKING:
    from typing import Self

T = TypeVar("T")


class Attr(Path[T]):
    """A typed attribute: an expression on the class, a plain value on an instance.

    Example::

        class Payment(Model, table="payments"):
            id: Attr[str] = partition_key()
            amount: Attr[int]


        Payment.amount > 5  # a Condition
        Payment(id="p1", amount=5).amount  # 5
    """

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> T: ...
        def __get__(self, instance: object | None, owner: Any) -> Any: ...

        def __set__(self, instance: Any, value: T) -> None: ...

    else:
        # At run time these objects live on the model's metaclass, so only class access meets them; instances read
        # their slots at C speed.
        def __get__(self, cls: type, meta: type | None = None) -> Attr[Any]:
            return self

        def __set__(self, cls: type, value: object) -> None:
            raise InvalidAttribute(
                f"{cls.__name__}.{self.name} is an attribute of the model and cannot be replaced: set it on an object, or"
                f" in the database with the update {cls.__name__}.{self.name}.set(value)",
                field=self.name,
            )


class Spec:
    """One declaration in a class body, before it is known which annotation it belongs to."""

    __slots__ = ("default", "default_factory", "limits", "name", "options", "role")

    def __init__(self, role: Role, options: tuple[Any, ...], settings: dict[str, Any]) -> None:
        self.role: Role = role
        self.options: tuple[Any, ...] = options
        self.default: Any = settings.pop("default", MISSING)
        self.default_factory: Callable[[], Any] | None = settings.pop("default_factory", None)
        self.name: str | None = settings.pop("name", None)
        for option in options:
            _fill_in(self, option)
        init = settings.pop("init", None)
        if isinstance(option := next((one for one in options if isinstance(one, TimeForm)), None), TimeForm):
            settings["validators"] = (*settings.get("validators", ()), option.normal)  # an object holds what is stored
        if "also_read" in settings:
            settings["also_read"] = other_names(settings["also_read"])
        self.limits: dict[str, Any] = settings
        if init is not None or any(isinstance(option, Composite) for option in options):
            _check_composite(self, init)
        _check(self)


def _fill_in(spec: Spec, option: Any) -> None:
    """Take what a field is before a plugin gives it its value from the option that says so, unless it is said here."""
    if not getattr(option, "filled_in", False) or not hasattr(option, "initial"):
        return
    if spec.default is MISSING and spec.default_factory is None:
        if option.initial is None:
            spec.default = None
        else:
            spec.default_factory = option.initial


def _check(spec: Spec) -> None:
    """Refuse what can only be a mistake, at the line where it was written."""
    for option in spec.options:
        if isinstance(option, type):
            raise ModelError(f"options are objects: write {option.__name__}(...) with parentheses")
        if option is None or isinstance(option, (str, int, float, bytes, list, dict, set, tuple)):
            raise ModelError(f"a {type(option).__name__} is not a field option; a default is written default=...")
    if spec.default is not MISSING and spec.default_factory is not None:
        raise ModelError("give either default or default_factory, not both")
    if spec.default is not MISSING and (factory := factory_of("", spec.default, shared=True)) is not None:
        spec.default, spec.default_factory = MISSING, factory
    if spec.default_factory is not None and not callable(spec.default_factory):
        raise ModelError("default_factory must be callable, e.g. default_factory=list")


def other_names(names: Any) -> tuple[str, ...]:
    """The names given as ``also_read``. Raises: ModelError."""
    if not isinstance(names, (tuple, list)) or not all(isinstance(name, str) and name for name in names):
        shown = f"write also_read=({names!r},)" if isinstance(names, str) else "it is a tuple of stored names"
        raise ModelError(f"also_read takes several names: {shown}")
    return tuple(dict.fromkeys(names))


_COMPOSITE_SETTINGS = frozenset({"secret", "omit_empty"})


def _check_composite(spec: Spec, init: Any) -> None:
    """Refuse what a computed attribute cannot have, and ``init`` where nothing is computed."""
    composites = [option for option in spec.options if isinstance(option, Composite)]
    if not composites:
        if init is not True and not any(getattr(option, "filled_in", False) for option in spec.options):
            raise ModelError(
                "init=False is for composite(...), and for an option that fills its field in, such as Tenant(): every other"
                " attribute is an argument of the constructor"
            )
        return
    if len(spec.options) > 1:
        raise ModelError("a composite(...) stands alone: it takes no other options")
    if init not in (None, False):
        raise ModelError("a composite is computed from its fields: it is no argument of the constructor")
    extra = sorted(spec.limits.keys() - _COMPOSITE_SETTINGS)
    if extra or spec.default is not MISSING or spec.default_factory is not None:
        raise ModelError(
            f"a composite is computed from its fields, so it takes no {extra[0] if extra else 'default'}: say that of"
            " the fields"
        )


class FilledIn(Protocol):
    """An option whose plugin gives the field its value with a write, so that the constructor need not have it."""

    filled_in: bool


@overload
def attr(
    composite: Composite | FilledIn,
    /,
    *,
    init: Literal[False],
    name: str | None = ...,
    secret: bool = ...,
    omit_empty: bool = ...,
) -> Any: ...
@overload
def attr(*options: object, default: T, **limits: Unpack[Limits]) -> Attr[T]: ...
@overload
def attr(*options: object, default_factory: Callable[[], T], **limits: Unpack[Limits]) -> Attr[T]: ...
@overload
def attr(*options: object, **limits: Unpack[Limits]) -> Any: ...
def attr(*options: object, **settings: Any) -> Any:
    """Declare an attribute that needs more than its type.

    Args:
        *options: option objects, e.g. `Json()`, `Codec(encode, decode)`.
        default: the value when none is given. One that can change is refused, or copied for each object: use
            ``default_factory``.
        default_factory: called without arguments for each new object.
        init: ``init=False`` tells type checkers that an index key made by `composite`, or a field with an option such as
            `Tenant` that fills it in, is no argument of the constructor. They know it of a ``partition_key`` and a ``sort_key`` without it; for mypy, any key whose only
            argument is an option is such a key, unless it says ``init=True``.
        **limits: ``name``, ``ge``, ``gt``, ``le``, ``lt``, ``min_length``, ``max_length``, ``pattern``, ``validators``,
            ``immutable``, ``write_once``, ``protected``, ``omit_empty``, ``secret``, ``allow_float``, ``also_read``:
            what each means stands in `Limits`.

    Raises: ModelError for a slip that can be seen at once.

    Example: ``note: Attr[str | None] = attr(default=None, name="n", max_length=200)``
    """
    return Spec("", options, _known(settings))


# A composite key is no argument of the constructor; mypy tells overloads apart by the number and the names of the
# arguments only, so that one is first.
@overload
def partition_key(
    composite: Composite | FilledIn, /, *, init: Literal[False] = False, name: str | None = ..., secret: bool = ...
) -> Any: ...
@overload
def partition_key(*options: object, default: T, **limits: Unpack[KeyLimits]) -> Attr[T]: ...
@overload
def partition_key(*options: object, default_factory: Callable[[], T], **limits: Unpack[KeyLimits]) -> Attr[T]: ...
@overload
def partition_key(*options: object, **limits: Unpack[KeyLimits]) -> Any: ...
def partition_key(*options: object, **settings: Any) -> Any:
    """Declare the partition key. Takes what `attr` takes, but no ``also_read``.

    Example: ``id: Attr[str] = partition_key()``
    """
    return Spec("partition", options, _known(settings))


@overload
def sort_key(
    composite: Composite, /, *, init: Literal[False] = False, name: str | None = ..., secret: bool = ...
) -> Any: ...
@overload
def sort_key(*options: object, default: T, **limits: Unpack[KeyLimits]) -> Attr[T]: ...
@overload
def sort_key(*options: object, default_factory: Callable[[], T], **limits: Unpack[KeyLimits]) -> Attr[T]: ...
@overload
def sort_key(*options: object, **limits: Unpack[KeyLimits]) -> Any: ...
def sort_key(*options: object, **settings: Any) -> Any:
    """Declare the sort key. Takes what `attr` takes, but no ``also_read``.

    Example: ``at: Attr[datetime] = sort_key()``
    """
    return Spec("sort", options, _known(settings))


@overload
def ttl(*options: object, default: T, **limits: Unpack[Limits]) -> Attr[T]: ...
@overload
def ttl(*options: object, default_factory: Callable[[], T], **limits: Unpack[Limits]) -> Attr[T]: ...
@overload
def ttl(*options: object, **limits: Unpack[Limits]) -> Any: ...
def ttl(*options: object, **settings: Any) -> Any:
    """Declare the time-to-live attribute: stored as epoch seconds. Takes what `attr` takes.

    Example: ``expires: Attr[datetime | None] = ttl(default=None)``
    """
    return Spec("ttl", options, _known(settings))


def version(*, name: str | None = None, init: Literal[False] = False) -> Any:  # noqa: ARG001 - read by type checkers
    """Declare the version: an int the library raises by one with every write, and checks on save, update and delete.

    Example: ``version: Attr[int] = version()``
    """
    return Spec("version", (), {"name": name, "default": 0})


def created_at(*, name: str | None = None, init: Literal[False] = False) -> Any:  # noqa: ARG001 - read by type checkers
    """Declare the time of creation, set by the library (UTC).

    Example: ``created_at: Attr[datetime] = created_at()``
    """
    return Spec("created_at", (), {"name": name, "default": None})


def updated_at(*, name: str | None = None, init: Literal[False] = False) -> Any:  # noqa: ARG001 - read by type checkers
    """Declare the time of the last write, set by the library (UTC).

    Example: ``updated_at: Attr[datetime] = updated_at()``
    """
    return Spec("updated_at", (), {"name": name, "default": None})


def gsi(
    name: str,
    *,
    partition: str | tuple[str, ...],
    sort: str | tuple[str, ...] | None = None,
    projection: str | tuple[str, ...] | list[str] = "ALL",
    only_if: Mapping[str, object] | None = None,
) -> Index:
    """Declare a global secondary index. ``partition`` and ``sort`` are field names; tuples make a multi-attribute key.

    ``projection`` is ``"ALL"``, ``"KEYS_ONLY"`` or a tuple or list of field names. ``only_if`` makes it sparse: fields, each with the value that it must
    have for an item to be in the index, a tuple of values of which it must have one, or a function of its value. A composite of its key is stored for such items alone.

    Example: ``by_status = gsi("gsi-status-created", partition="status", sort="created_at")``
    """
    return Index(
        name=name,
        kind="GSI",
        partition=_names(partition),
        sort=_names(sort),
        projection=_listed(projection),
        only_if=_condition(name, only_if),
    )


def lsi(name: str, *, sort: str, projection: str | tuple[str, ...] | list[str] = "ALL") -> Index:
    """Declare a local secondary index: the table's partition key with another sort key.

    Example: ``by_amount = lsi("lsi-amount", sort="amount")``
    """
    return Index(name=name, kind="LSI", sort=_names(sort), projection=_listed(projection))


def _condition(name: str, only_if: Any) -> tuple[tuple[str, Any], ...]:
    """What fields must be for an item to be in an index. Raises: ModelError."""
    if only_if is None:
        return ()
    if not isinstance(only_if, Mapping) or not only_if or not all(isinstance(field, str) for field in only_if):
        raise ModelError(
            f'only_if of index {name!r} names fields, each with what it must be: only_if={{"status": "open"}}'
        )
    several = (list, set, frozenset)
    return tuple((field, tuple(wanted) if isinstance(wanted, several) else wanted) for field, wanted in only_if.items())


def _listed(projection: str | tuple[str, ...] | list[str]) -> str | tuple[str, ...]:
    return tuple(projection) if isinstance(projection, list) else projection


def _names(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    field_names: Any = () if names is None else (names,) if isinstance(names, str) else names
    if not isinstance(field_names, (tuple, list)) or not all(isinstance(name, str) for name in field_names):
        raise ModelError("the key of an index is the name of a field, or a tuple of names")
    return tuple(field_names)


_SETTINGS = frozenset({"default", "default_factory", *Limits.__annotations__})


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """Refuse a setting that does not exist, with the nearest one that does."""
    for name in settings:
        if name not in _SETTINGS:
            name_here = _CALLED_HERE.get(name)
            hint = did_you_mean(name, _SETTINGS) if name_here is None else f"; write {name_here}"
            raise ModelError(f"attr() has no setting {name!r}{hint}", code="ErrInvalidTag")
    return settings


_CALLED_HERE = {
    "unique": "attr(Unique())",
    "option": "options first, without a name: attr(Mark(), default=...)",
    "options": "options first, without a name: attr(Mark(), default=...)",
    "plugins": "options of plugins first, without a name: attr(Mark(), default=...)",
    "primary_key": "partition_key()",
    "hash_key": "partition_key()",
    "range_key": "sort_key()",
    "index": 'by_name = gsi("by-name", partition="name") in the class',
    "nullable": "Attr[... | None] = attr(default=None)",
    "null": "Attr[... | None] = attr(default=None)",
    "optional": "Attr[... | None] = attr(default=None)",
    "required": "no default: the field is required then",
    "alias": "name= for the stored name",
    "attr_name": "name= for the stored name",
    "column": "name= for the stored name",
    "serialization_alias": "name= for the stored name",
    "validation_alias": "also_read= for other stored names",
    "validator": "validators=(function,)",
    "regex": "pattern=",
    "min": "ge=",
    "max": "le=",
    "choices": "Attr[Literal[...]], or an Enum",
    "readonly": "immutable=True",
    "frozen": "immutable=True",
    "auto_now": "updated_at()",
    "auto_now_add": "created_at()",
    "onupdate": "updated_at()",
    "default_for_new": "default= or default_factory=",
}
"""By the name in other libraries: the name in this one."""


def did_you_mean(name: str, names: Any) -> str:
    """The end of an error message: the known name nearest to a wrong one."""
    from difflib import get_close_matches  # needed only to explain a mistake

    near = get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(names))}"
