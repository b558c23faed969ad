"""Paths into an item, from which conditions and updates are built: ``Payment.amount > 5``, ``Payment.tags.append("x")``.

This module only builds trees (`dynamorm.models.expressions.tree`); it must know neither wire types nor DynamoDB's grammar.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Never, NoReturn, Protocol, TypeVar, overload

from dynamorm.errors import InvalidUse
from dynamorm.models.schema.schema import Field, Json

from .elements import Elements
from .mistakes import teach
from .sums import Holds, Sum
from .tree import Comparison, Condition, Location, Node, Part, Update, UpdateKind, Wire, paths, refuse, terms

__all__ = [
    "Comparison",
    "Condition",
    "Holds",
    "Location",
    "Path",
    "Size",
    "Sum",
    "Update",
    "Wire",
    "paths",
    "system_path",
    "terms",
]

T = TypeVar("T")
U = TypeVar("U")
A = TypeVar("A", bound="Addend")

MAX_IN = 100
"""Operands of IN. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_DEPTH = 32
"""Levels of a path. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""

MAX_INDEX = 2**31 - 1
"""The last list element that a path can name, as DynamoDB says when it refuses a larger one."""

_TYPES = frozenset({"S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"})


class Addend(Protocol):
    """A value that says itself what adding it to an attribute is: see `dynamorm.plugin.TypeCodec`."""

    def added_to(self, path: Path[Any], /) -> Update:
        """The update, which may have a condition of its own: see `Update.where`."""
        ...


class Path(Holds[T]):
    """A place in an item that holds a ``T``: an attribute, or by ``[...]`` something inside it.

    ``[Address.city]`` is an attribute of a nested model, ``[0]`` a list element, ``["key"]`` an entry of a map.
    ``== None`` means missing or NULL, since the library removes what is None; so does ``== set()``, since DynamoDB has
    no empty sets. An order (``<`` ...) is false of a missing attribute, ``!=`` is true of one, as in DynamoDB.

    Raises: ValidationError for a negative index, a slice, or a path into an attribute stored as one JSON string.

    Example: ``Payment.address[Address.city] == "Riga"``
    """

    __slots__ = ()

    def __init__(self, field: Field) -> None:
        self.field = field
        self.parts: tuple[Part, ...] = (field,)

    @overload
    def __getitem__(self, key: Path[U]) -> Path[U]: ...
    @overload
    def __getitem__(self: Holds[list[U] | None], key: int) -> Path[U]: ...
    @overload
    def __getitem__(self: Holds[dict[str, U] | None], key: str) -> Path[U]: ...
    @overload
    def __getitem__(self, key: int | str) -> Path[Any]: ...
    def __getitem__(self, key: Any) -> Path[Any]:
        last = self.parts[-1]
        if isinstance(last, Field) and last.option(Json) is not None:
            raise refuse(
                self, "is stored as one string of JSON, so nothing inside it can be named; read and set it whole"
            )
        inner: Path[Any] = Path.__new__(Path)
        inner.field = self.field
        inner.parts = self.parts + _inner_parts(self, key)
        if len(inner.parts) > MAX_DEPTH:
            raise refuse(self, f"a path has {MAX_DEPTH} levels at most: read and set what lies deeper as a whole")
        return inner

    # Without these, Python's fallback to __getitem__ makes `for x in path` and `x in path` endless.
    __iter__: ClassVar[None] = None

    def __contains__(self, item: Never) -> NoReturn:
        raise InvalidUse(f"use {self.name}.contains(value), not `in`", field=self.name)

    def __bool__(self) -> NoReturn:
        # `P.active and (P.amount > 5)` would silently drop the first condition.
        raise InvalidUse(
            f"{self.name} is an attribute of the model, not a value: compare it, as in `== True` or .exists()",
            field=self.name,
        )

    def __repr__(self) -> str:
        return f"<Path {self.name}>"

    # Conditions

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...

    else:
        __hash__ = object.__hash__

    def __eq__(self, other: T | Path[T] | Path[T | None]) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return Comparison("null", (), self) if _is_nothing(other) else Comparison("=", (other,), self)

    def __ne__(self, other: T | Path[T] | Path[T | None]) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return Comparison("not null", (), self) if _is_nothing(other) else Comparison("<>", (other,), self)

    def __lt__(self, other: T | Path[T] | Path[T | None]) -> Condition:
        return Comparison("<", (_present(self, other),), self)

    def __le__(self, other: T | Path[T] | Path[T | None]) -> Condition:
        return Comparison("<=", (_present(self, other),), self)

    def __gt__(self, other: T | Path[T] | Path[T | None]) -> Condition:
        return Comparison(">", (_present(self, other),), self)

    def __ge__(self, other: T | Path[T] | Path[T | None]) -> Condition:
        return Comparison(">=", (_present(self, other),), self)

    def between(self, low: T | Path[T] | Path[T | None], high: T | Path[T] | Path[T | None]) -> Condition:
        """``low <= attribute <= high``, both ends included.

        Raises: ValidationError when an end is None.

        Example: ``Payment.amount.between(100, 200)``
        """
        return Comparison("BETWEEN", (_present(self, low), _present(self, high)), self)

    def in_(self, values: Iterable[T], *more: Never) -> Condition:
        """The attribute equals one of 1 to 100 values; None (or an empty set) among them means missing or NULL.

        Raises: ValidationError when there are none or too many, or for a string, whose letters are surely not meant.

        Example: ``Payment.status.in_([Status.PENDING, Status.HELD])``
        """
        if more or isinstance(values, (str, bytes, Location)) or not isinstance(values, Iterable):
            got = f"{1 + len(more)} values" if more else type(values).__name__
            raise refuse(self, f"in_() needs one list of values, .in_([a, b]), got {got}")
        given = tuple(values)
        wanted = tuple([value for value in given if not _is_nothing(value)])
        if not given or len(wanted) > MAX_IN:
            raise refuse(
                self,
                f"in_() takes 1 to {MAX_IN} values, got {len(given)}; "
                + ("join several in_() with |" if given else "without a value it could never be true: leave it out"),
            )
        condition = Comparison("IN", wanted, self)
        if len(wanted) == len(given):
            return condition
        null = Comparison("null", (), self)
        return null | condition if wanted else null

    def equals(self, value: T) -> Condition:
        """The attribute has this value: as ``==``, and also for one that is stored encrypted with a blind index.

        Raises (where it is sent): ModelError for an encrypted attribute without one.

        Example: ``db.model(Card).where(Card.card_number.equals("4111111111111111")).first()``
        """
        if _is_nothing(value) or isinstance(value, Location) or not self.field.searched or len(self.parts) > 1:
            return self == value
        return Comparison("equals", (value,), self)

    @overload
    def begins_with(self: Holds[str | None], prefix: str) -> Condition: ...
    @overload
    def begins_with(self: Holds[bytes | None], prefix: bytes) -> Condition: ...
    def begins_with(self, prefix: str | bytes) -> Condition:
        """The string (or bytes) starts with ``prefix``.

        Raises: ValidationError when the prefix is neither.

        Example: ``Payment.id.begins_with("pay_")``
        """
        if not isinstance(prefix, (str, bytes, bytearray, Wire)):
            raise refuse(self, f"begins_with() needs a str or bytes, got {type(prefix).__name__}")
        return Comparison("begins_with", (prefix,), self)

    @overload
    def contains(self: Holds[str | None], part: str) -> Condition: ...
    @overload
    def contains(self: Holds[bytes | None], part: bytes) -> Condition: ...
    @overload
    def contains(self: Holds[list[U] | None], part: U) -> Condition: ...
    @overload
    def contains(self: Holds[builtins.set[U] | None], part: U) -> Condition: ...
    @overload
    def contains(self: Path[frozenset[U]], part: U) -> Condition: ...
    @overload
    def contains(self: Path[frozenset[U] | None], part: U) -> Condition: ...
    @overload
    def contains(self: Path[tuple[U, ...]], part: U) -> Condition: ...
    @overload
    def contains(self: Path[tuple[U, ...] | None], part: U) -> Condition: ...
    def contains(self, part: Any) -> Condition:
        """The string has this part, or the list or set has this element.

        Example: ``Payment.tags.contains("refundable")``
        """
        return Comparison("contains", (part,), self)

    def exists(self) -> Condition:
        """The attribute is there, be it NULL.

        Example: ``Payment.note.exists()``
        """
        return Comparison("attribute_exists", (), self)

    def not_exists(self) -> Condition:
        """The attribute is not there.

        Example: ``Payment.id.not_exists()`` is true when there is no such item.
        """
        return Comparison("attribute_not_exists", (), self)

    def attribute_type(self, name: Literal["S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"]) -> Condition:
        """The attribute is stored as this type of DynamoDB's.

        Raises: ValidationError when there is no such type.

        Example: ``Payment.note.attribute_type("NULL")``
        """
        if name not in tuple(_TYPES):  # of a list too, which has no hash
            raise refuse(self, f"attribute_type() takes one of {', '.join(sorted(_TYPES))}")
        return Comparison("attribute_type", (name,), self)

    def size(self) -> Size:
        """The size of the attribute, to compare: characters of a string, bytes, or elements of a list, set or map.

        Example: ``Payment.tags.size() > 3``
        """
        return Size(self)

    # Updates

    def set(self, value: T | Path[T] | Path[T | None] | Sum[T]) -> Update:
        """Replace the attribute by a value, by what another attribute holds before the update, or by what is computed of some.

        ``P.b + 1``, ``5 - P.b``, ``P.b - P.c`` of numbers, and ``P.b.concat(P.c)`` of lists are computed by DynamoDB, of what is
        stored before the update. An attribute that is missing counts as its default; without one the update is refused.

        None is stored as `create` and `save` store it: left out where that is read as None, else as NULL. Where the type
        does not allow it, the update is refused.

        Raises: ConditionFailed, where it is sent, for an attribute that is missing or None and must not be.

        Example: ``Payment.amount.set(6)``, ``Payment.total.set(Payment.amount + Payment.fee)``
        """
        return Update("compute" if value.__class__ is Sum else "set", self, value)

    def remove(self) -> Update:
        """Take the attribute (or list element) away.

        Example: ``Payment.note.remove()``
        """
        return Update("remove", self)

    def if_not_exists(self, value: T | Path[T] | Path[T | None]) -> Update:
        """Set the attribute unless it is there already. NULL counts as missing; the field's default is not looked at.

        Raises: ValidationError for None, which is what a missing attribute is.

        Example: ``Payment.note.if_not_exists("first")``
        """
        return Update("if_not_exists", self, _present(self, value))

    @overload
    def add(self: Holds[int | None], value: int | Wire, *, strict: bool = ..., start: int = ...) -> Update: ...
    @overload
    def add(
        self: Holds[Decimal | None], value: Decimal | int, *, strict: bool = ..., start: Decimal | int = ...
    ) -> Update: ...
    @overload
    def add(self: Path[float], value: float, *, strict: bool = ..., start: float = ...) -> Update: ...
    @overload
    def add(self: Path[float | None], value: float, *, strict: bool = ..., start: float = ...) -> Update: ...
    @overload
    def add(self: Holds[builtins.set[U] | None], value: AbstractSet[U]) -> Update: ...
    @overload
    def add(self: Path[frozenset[U]], value: AbstractSet[U]) -> Update: ...
    @overload
    def add(self: Path[frozenset[U] | None], value: AbstractSet[U]) -> Update: ...
    @overload
    def add(self: Holds[A | None], value: A) -> Update: ...
    def add(self, value: Any, *, strict: bool = False, start: Any = None) -> Update:
        """Add a number (which may be negative), or elements to a set. A missing attribute counts as its default, else as 0.

        A number that is missing counts as ``start``, where that is given; with ``strict`` the update is refused for one that is
        missing or None (ConditionFailed).

        A value of a class that says itself what adding it is, such as `dynamorm.payments.Money`, brings its own condition.

        Raises: ValidationError for an empty set, or what is neither a number nor a set.

        Example: ``Payment.amount.add(-5)``, ``Payment.flags.add({"held"})``, ``Payment.number.add(1, start=1000)``
        """
        if strict is not False or start is not None:
            return _counted(self, value, strict, start)
        if isinstance(value, (int, Decimal, float, Wire)) and not isinstance(value, bool):
            return Update("add", self, value)
        if isinstance(value, AbstractSet):
            return _set_update("add_to_set", self, value)
        added_to = getattr(value, "added_to", None)
        if added_to is not None and not isinstance(value, type):
            found: Update = added_to(self)
            return found
        given, value = type(value).__name__, None  # no frame holds what an error does not tell
        raise refuse(self, f"add() needs a number, or a set such as {{'x'}}; got {given}")

    @overload
    def delete(self: Holds[builtins.set[U] | None], value: AbstractSet[U]) -> Update: ...
    @overload
    def delete(self: Path[frozenset[U]], value: AbstractSet[U]) -> Update: ...
    @overload
    def delete(self: Path[frozenset[U] | None], value: AbstractSet[U]) -> Update: ...
    def delete(self, value: Any) -> Update:
        """Take elements out of a set; the last one takes the attribute with it. A missing one counts as its default.

        Raises: ValidationError for an empty set, or what is not a set.

        Example: ``Payment.flags.delete({"held"})``
        """
        return _set_update("delete_from_set", self, value)

    def append(self: Holds[list[U] | None], value: U) -> Update:
        """Put ONE element at the end of a list, as `list.append` does; a list becomes one nested element.

        A missing list counts as the field's default; without one DynamoDB refuses it: see `append_or_create`.

        Example: ``Payment.notes.append("checked")``
        """
        return Update("append", self, value)

    def prepend(self: Holds[list[U] | None], value: U) -> Update:
        """Put one element at the beginning of a list; a missing one counts as with `append`.

        Example: ``Payment.notes.prepend("newest")``
        """
        return Update("prepend", self, value)

    def append_or_create(self: Holds[list[U] | None], value: U) -> Update:
        """Put one element at the end of a list, which is created when it is missing, from its default if it has one.

        Example: ``Payment.notes.append_or_create("checked")``
        """
        return Update("append_or_create", self, value)

    def extend(self: Holds[list[U] | None], values: Iterable[U]) -> Update:
        """Put several elements at the end of a list, in their order, as `list.extend` does; a missing one counts as with `append`.

        Several ``append`` and ``extend`` of one list in one update are applied in their order, and so are several ``prepend``.

        Raises: ValidationError for a string, whose letters are surely not meant, and for what is no collection.

        Example: ``Payment.notes.extend(["checked", "paid"])``
        """
        return Update("extend", self, _elements(self, "extend", values))

    def extend_or_create(self: Holds[list[U] | None], values: Iterable[U]) -> Update:
        """As `extend`, of a list that is created when it is missing, as with `append_or_create`.

        Raises: as `extend`.

        Example: ``Payment.notes.extend_or_create(["checked", "paid"])``
        """
        return Update("extend_or_create", self, _elements(self, "extend_or_create", values))


teach(Path)


class Size:
    """The size of an attribute, in a condition. Compared with an int, or with a path that holds one.

    Example: ``Payment.tags.size().between(1, 10)``
    """

    __slots__ = ("path",)

    def __init__(self, path: Path[Any]) -> None:
        self.path: Path[Any] = path

    if TYPE_CHECKING:

        def __hash__(self) -> int: ...

    else:
        __hash__ = object.__hash__

    def __eq__(self, other: int | Path[int]) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("size =", other)

    def __ne__(self, other: int | Path[int]) -> Condition:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._compare("size <>", other)

    def __lt__(self, other: int | Path[int]) -> Condition:
        return self._compare("size <", other)

    def __le__(self, other: int | Path[int]) -> Condition:
        return self._compare("size <=", other)

    def __gt__(self, other: int | Path[int]) -> Condition:
        return self._compare("size >", other)

    def __ge__(self, other: int | Path[int]) -> Condition:
        return self._compare("size >=", other)

    def between(self, low: int | Path[int], high: int | Path[int]) -> Condition:
        """``low <= size <= high``, both ends included.

        Example: ``Payment.note.size().between(1, 140)``
        """
        return self._compare("size BETWEEN", low, high)

    def _compare(self, op: str, *operands: object) -> Condition:
        for one in operands:
            if isinstance(one, bool) or not isinstance(one, (int, Location, Wire)):
                raise refuse(self.path, f"a size is compared with an int, got {type(one).__name__}")
        return Comparison(op, operands, self.path)

    def __bool__(self) -> NoReturn:
        raise InvalidUse(f"the size of {self.path.name} is not known here: compare it, as in .size() > 0")

    def __repr__(self) -> str:
        return f"<Size of {self.path.name}>"


@cache
def system_path(stored: str) -> Path[Any]:
    """The path of an attribute that the library keeps beside the model's own; ``stored`` is its name in DynamoDB.

    Example: ``system_path("_wt")``
    """
    return Path(Field(name=stored, stored=stored, annotation=Any, owner=""))


def _inner_parts(path: Path[Any], key: object) -> tuple[Part, ...]:
    if isinstance(key, Path):
        return key.parts
    if isinstance(key, str):
        if not key:
            raise refuse(path, "an empty map key cannot be named in an expression; set the whole map")
        if not key.isascii() and any("\ud800" <= sign <= "\udfff" for sign in key):
            raise refuse(path, "the key of a map is text that is valid Unicode")
        return (key,)
    if isinstance(key, int) and not isinstance(key, bool):
        if key < 0:
            raise refuse(path, "DynamoDB counts list elements from the front only: use an index of 0 or more")
        if key > MAX_INDEX:
            raise refuse(path, f"no list has so many elements: an index is {MAX_INDEX} at most")
        return (key,)
    if isinstance(key, slice):
        raise refuse(path, "DynamoDB has no slices: name single elements, or set the whole list")
    raise refuse(path, f"[...] takes an attribute of a nested model, an int or a str, got {type(key).__name__}")


def _is_nothing(value: object) -> bool:
    """Whether an attribute that holds this is missing or NULL."""
    return value is None or (isinstance(value, (builtins.set, frozenset)) and not value)


def _present(path: Path[Any], value: Any) -> Any:
    if value is None:
        raise refuse(path, "None has no place here: a missing attribute is found with `== None` or .not_exists()")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, (int, Decimal, float, Wire, NoneType)) and not isinstance(value, bool)


def _counted(path: Path[Any], value: Any, strict: object, start: Any) -> Update:
    """The addition of a number that must be there, or that begins elsewhere."""
    wrong = next((one for one in (value, start) if not _is_number(one)), None)
    if wrong is not None:
        given, value, start, wrong = (
            type(wrong).__name__,
            None,
            None,
            None,
        )  # no frame holds what an error does not tell
        raise refuse(path, f"add() with strict= or start= is for numbers; got {given}")
    if not isinstance(strict, bool) or (strict and start is not None):
        raise refuse(
            path, "add() takes strict=True, which refuses a missing number, or start=n, which begins from n: not both"
        )
    if strict:
        return Update("add", path, value, where=Comparison("not null", (), path))
    return Update("add", path, value, start)


def _elements(path: Location, verb: str, values: Any) -> Elements:
    if isinstance(values, (str, bytes, bytearray, Mapping, Node)) or not isinstance(values, Iterable):
        raise refuse(path, f"{verb}() needs a list of elements, such as [x, y]; got {type(values).__name__}")
    return Elements(values)


def _set_update(kind: UpdateKind, path: Path[Any], value: object) -> Update:
    if isinstance(value, AbstractSet):
        if not value:
            raise refuse(path, "the set of elements is empty, which DynamoDB refuses: leave the update out")
    elif not isinstance(value, Wire):
        raise refuse(path, f"needs a set such as {{'x'}}, got {type(value).__name__}")
    return Update(kind, path, value)
