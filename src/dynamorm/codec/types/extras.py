"""The values that a pydantic model with ``extra="allow"`` takes besides its fields: stored under their names, and read back.

They are documents, as `Any` is. Loaded by such classes only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import convert

from dynamorm.codec.strict import read_object
from dynamorm.codec.tours import looker
from dynamorm.errors import ValidationError

from .document import from_wire, key_text, normal, to_wire
from .fields import explain

if TYPE_CHECKING:
    from .records import Record


def encoder(owner: str, names: Collection[str]) -> Callable[[Any], dict[str, Any]]:
    """The function from an object to the wire values of its extra values; ``names`` are the stored names of its fields.

    It raises ValidationError naming the value.

    Example: ``encoder("Order", {"id"})(order)``
    """

    def encode(obj: Any) -> dict[str, Any]:
        attributes = {}
        for name, value in (obj.__pydantic_extra__ or {}).items():
            if name in names:
                raise ValidationError(f"{owner}.{name} is no field, and {name!r} is the stored name of one", field=name)
            failed: Exception | None = None
            try:
                attributes[key_text(name)] = to_wire(value, 1, exact=True)
            except Exception as error:  # noqa: BLE001 - every failure becomes one typed error, without a value in its chain
                failed = error
            if failed is not None:
                raise explain(owner, name, failed, value)
        return attributes

    return encode


def values_in(item: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """The extra values of a stored map: all that is not under the name of a field.

    Example: ``values_in({"id": {"S": "o1"}, "note": {"S": "x"}}, {"id"}) == {"note": "x"}``
    """
    return {name: from_wire(wire) for name, wire in item.items() if name not in names}


def fill(obj: Any, raw: bytes, names: Collection[str]) -> None:
    """Give an object the extra values of its stored item.

    Example: ``fill(order, b'{"id":{"S":"o1"},"note":{"S":"x"}}', {"id"})``
    """
    object.__setattr__(obj, "__pydantic_extra__", values_in(read_object(raw), names))


def nested_reader(record: Record, decoder: Callable[[], Any], *, strict: bool = False) -> Callable[[Any], Any]:
    """The reader of a map inside an item; ``decoder()`` is what makes an object of its fields.

    With ``strict`` it raises `Unknown` where an object inside has members that its class does not know.

    Example: ``nested_reader(record, lambda: decode)({"sku": {"S": "a"}, "tax": {"N": "1"}})``
    """
    names = record.names()
    kind = record.struct()
    look = looker(record) if strict and record.holds_objects else None

    def read(wire: Any) -> Any:
        members = {name: normal(member) for name, member in wire.items() if name in names}
        obj = decoder()(convert(members, kind))
        object.__setattr__(obj, "__pydantic_extra__", values_in(wire, names))
        if look is not None:
            look(obj, {"M": wire})
        return obj

    return read
