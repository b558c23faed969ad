"""What objects refer to: the keys that their fields hold, and the objects that were read for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dynamorm.codec.keys import StoredKey
from dynamorm.errors import DynamORMError, NotFound, ValidationError
from dynamorm.models.expressions.tree import Location
from dynamorm.ops.reads.items import key_from_parts

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

N = TypeVar("N")


class Populated(Generic[N]):
    """What `DB.populate` has read: of each object the one that it refers to.

    Objects with the same reference share one object. The objects themselves are not changed.

    Example::

        customers = db.populate(orders, Order.customer_id, Customer)
        for order in orders:
            print(order.number, customers[order].name)
    """

    __slots__ = ("_found", "_name", "_objs", "missing")

    def __init__(self, objs: Sequence[Any], found: Mapping[int, N], missing: Sequence[Any], name: str) -> None:
        self._objs = objs  # as long as they live, no other object has their identity
        self._found = found
        self._name = name
        self.missing: list[Any] = list(missing)
        """The objects whose reference leads to no item."""

    def get(self, obj: Any, /) -> N | None:
        """What an object refers to; None where it refers to nothing, where nothing is stored, and for another object.

        Example: ``customer = customers.get(order)``
        """
        return self._found.get(id(obj))

    def __getitem__(self, obj: Any, /) -> N:
        found = self._found.get(id(obj))
        if found is None:
            raise NotFound(f"no {self._name} was found for this {type(obj).__name__}")
        return found

    def __contains__(self, obj: Any, /) -> bool:
        return id(obj) in self._found

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return (
            f"<Populated {len(self._found)} of {len(self._objs)} with their {self._name}, {len(self.missing)} missing>"
        )


class References:
    """The references of some objects: ``keys`` are those of the items to read, each once. Raises: ValidationError."""

    def __init__(self, context: Context, objs: Any, field: Any, model: Any) -> None:
        self._plan = plan = context.plan(model)
        self._objs = _listed(objs)
        self._of: list[int | None] = []
        places: dict[bytes, int] = {}
        fields = _fields(plan, field)
        for at, obj in enumerate(self._objs):
            values = _values(obj, fields, f"objs[{at}]")
            if values is None:
                self._of.append(None)
                continue
            wrong: DynamORMError
            try:
                named = isinstance(fields, dict)
                key = plan.codec.key_json(key_from_parts(plan, (), values) if named else tuple(values.values()))
            except DynamORMError as error:
                wrong = error.about(f"the reference of objs[{at}]")
            else:
                self._of.append(places.setdefault(key, len(places)))
                continue
            raise wrong
        self.keys: list[StoredKey] = [StoredKey(key, plan.codec.key_names) for key in places]

    def populated(self, items: Sequence[Any]) -> Populated[Any]:
        """What was read for the keys, by the objects that refer to it."""
        found: dict[int, Any] = {}
        missing: list[Any] = []
        for obj, place in zip(self._objs, self._of, strict=True):
            if place is None:
                continue
            if items[place] is None:
                missing.append(obj)
            else:
                found[id(obj)] = items[place]
        return Populated(self._objs, found, missing, self._plan.codec.schema.name)


def _listed(objs: Any) -> list[Any]:
    if isinstance(objs, (str, bytes, Mapping, type)) or not isinstance(objs, Iterable):
        raise ValidationError(f"populate takes a list of objects, not {type(objs).__name__}: write [obj]", field="objs")
    return list(objs)


def _fields(plan: Any, field: Any) -> dict[str, Location] | tuple[Location, ...]:
    """The fields that hold the parts of a key: in its order, or by the names of its fields. Raises: ValidationError."""
    name = plan.codec.schema.name
    fields = field if isinstance(field, (tuple, dict)) else (field,)
    every = fields.values() if isinstance(fields, dict) else fields
    for one in every:
        if not isinstance(one, Location) or len(one.parts) != 1:
            raise ValidationError(
                f"populate takes the field that holds the key of a {name}, as Order.customer_id; a tuple of fields for a key of"
                " two attributes; or a dict of fields by the names of the key's parts",
                field="field",
            )
    if isinstance(fields, tuple) and len(fields) != len(plan.key_names):
        raise ValidationError(
            f"the key of {name} has {len(plan.key_names)} attributes ({', '.join(plan.key_names)}), and {len(fields)} fields were"
            " given: give one for each, in their order",
            field="field",
        )
    return fields


def _values(obj: Any, fields: Any, place: str) -> dict[Any, Any] | None:
    """The values of an object's reference, None where one of them is None. Raises: ValidationError for another object."""
    named = fields.items() if isinstance(fields, dict) else enumerate(fields)
    values: dict[Any, Any] = {}
    for name, path in named:
        field = path.field.name
        try:
            value = getattr(obj, field)
        except AttributeError:
            raise ValidationError(
                f"{place} is a {type(obj).__name__}, which has no {field!r}: give objects of the class of the field",
                field=field,
            ) from None
        if value is None:
            return None
        values[name] = value
    return values
