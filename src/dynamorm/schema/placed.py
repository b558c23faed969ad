"""What a plugin gives for a field whose stored form depends on the place of its item. The core and plugins both know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ValidationError

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place
    from dynamorm.effects import Flow


class NotReady(ValidationError):
    """Raised by `PlacedField.encode`, or ``decode``: something must be fetched before. ``flow()`` is run, and the verb goes on.

    The write is then built again, so what the flow has fetched is to be kept by who raises this. ``name`` says what it is.

    Example: ``raise NotReady("the key of the ring", lambda: self.fetch_key(ring))``
    """

    def __init__(self, name: str, flow: Callable[[], Flow[Any]]) -> None:
        super().__init__(f"this needs {name}, which must be fetched, and nobody fetches it here")
        self.name: str = name
        self.flow: Callable[[], Flow[Any]] = flow


class PlacedField:
    """A field whose stored form depends on where its item is stored, such as one that is encrypted for its item alone.

    Subclass it, and let ``field(schema, field)`` of a plugin return an object of it. ``place`` is a
    `dynamorm.codec.placing.Place`: ``place.key`` has name, type and stored bytes of each attribute of the item's key, and
    ``place.scope`` that of the view. A value is encoded once for each write that is built, and compared with what was loaded
    before that, so two forms of one value make no change. Such a field is no part of a key, is set and removed as a whole, and
    is compared with nothing that `operand` has no encoder for.

    ``beside_names`` are the stored names of the binary attributes that `beside` gives.
    """

    beside_names: tuple[str, ...] = ()
    key_types: tuple[tuple[str, str], ...] = ()
    """Name and type (S, N or B) of each attribute of the item's key: filled in by the library."""

    def encode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The stored form, ``{"B": b"bytes"}`` say, of a value such as ``{"S": "text"}``."""
        raise NotImplementedError

    def decode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The value of a stored form: the reverse of `encode`."""
        raise NotImplementedError

    def operand(self, kind: str) -> Callable[[dict[str, Any], Mapping[str, str]], dict[str, Any]] | None:
        """What makes the operand of a comparison of the field: ``encode(wire, scope)``. None: it cannot be compared so.

        ``kind`` is ``"value"`` (``==``, ``!=``, ``in_``), ``"order"``, ``"prefix"``, ``"element"`` or ``"number"``.
        """
        del kind
        return None

    def beside(self, wire: dict[str, Any] | None, place: Place) -> Mapping[str, dict[str, Any]]:
        """What is stored beside the field, by stored name; ``wire`` is its value, None where it has none."""
        del wire, place
        return {}
