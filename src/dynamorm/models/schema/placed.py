"""What a plugin gives for a field whose stored form depends on the place of its item. The core and plugins both know it."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from dynamorm.errors import ValidationError

from .composite import END, escape

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


class Unread:
    """What stands in an object for a value that could not be read; ``stored`` is its stored form, which a save leaves as it is."""

    __slots__ = ("stored",)

    def __init__(self, stored: dict[str, Any]) -> None:
        self.stored: dict[str, Any] = stored

    __hash__: ClassVar[None] = None  # type: ignore[assignment] # pyright: ignore[reportIncompatibleMethodOverride] # it is no value


class PlacedItem:
    """What is stored beside all attributes of an item, and depends on them: a seal over them, say.

    ``names`` are the attributes that are written by `beside`. They are written anew with each write of the item, so a write by
    key reads the item before, and is refused and built again where the item has changed meanwhile. ``looks`` are the attributes
    that it depends on, by their stored names.
    """

    names: tuple[str, ...] = ()

    @property
    def looks(self) -> tuple[str, ...]:
        """The attributes that it depends on, by their stored names."""
        raise NotImplementedError

    def beside(self, attributes: Mapping[str, dict[str, Any] | None], place: Place) -> Mapping[str, dict[str, Any]]:
        """What is stored beside these attributes: the item as it will be stored. Raises: NotReady."""
        raise NotImplementedError

    def check(self, attributes: Mapping[str, dict[str, Any] | None], place: Place) -> None:
        """Look at an item as it is stored, before an update is built on it; raise to refuse it. Raises: NotReady."""
        del attributes, place


class PlacedField:
    """A field whose stored form depends on where its item is stored, such as one that is encrypted for its item alone.

    Subclass it, and let ``field(schema, field)`` of a plugin return an object of it. ``place`` is a
    `dynamorm.codec.placing.Place`: ``place.key`` has name, type and stored bytes of each attribute of the item's key,
    ``place.framed`` has the same as bytes, each led by its length in four bytes, with three empty ones behind a key without a
    sort key, and ``place.scope`` is that of the view. A value is encoded once for each write that is built, and compared with what was loaded
    before that, so two forms of one value make no change. Such a field is no part of a key, is set and removed as a whole, and
    is compared with nothing that `operand` has no encoder for.

    ``beside_names`` are the stored names of the binary attributes that `beside` gives. ``whole`` is what is stored beside all
    attributes of the item: one object for all fields of a model.
    """

    whole: PlacedItem | None = None

    reason: str = "stored in a form that depends on its item"
    """How the field is stored, in the words of an error that refuses to compare it."""
    beside_names: tuple[str, ...] = ()
    marks: bool = False
    """Whether `decode` may give an `Unread`."""
    lasting: bool = True
    """Whether a stored form may be sent at any time after it was made, as a spool sends it after a crash."""
    key_types: tuple[tuple[str, str], ...] = ()
    """Name and type (S, N or B) of each attribute of the item's key: filled in by the library."""

    def encode(self, wire: dict[str, Any], place: Place) -> dict[str, Any]:
        """The stored form, ``{"B": b"bytes"}`` say, of a value such as ``{"S": "text"}``."""
        raise NotImplementedError

    def decode(self, wire: dict[str, Any], place: Place) -> dict[str, Any] | Unread:
        """The value of a stored form: the reverse of `encode`. An `Unread` where it ``marks`` what cannot be read."""
        raise NotImplementedError

    def settled(self, classes: tuple[Any, ...], expected: str, fields: Mapping[str, Any]) -> None:
        """Look at the classes of the field's values (``expected`` in words), and at the fields of its model. Raises: ModelError."""
        del classes, expected, fields

    def operand(self, kind: str) -> Callable[[dict[str, Any], Mapping[str, str]], dict[str, Any]] | None:
        """What makes the operand of a comparison of the field: ``encode(wire, scope)``. None: it cannot be compared so.

        ``kind`` is ``"value"`` (``==``, ``!=``, ``in_``), ``"order"``, ``"prefix"``, ``"element"`` or ``"number"``. Of ``"search"``
        (``equals`` in a query) and ``"equals"`` (elsewhere) it gives a list of wire values by the stored name of what is stored
        beside the field, one of which it has where the value is the same. It is asked for ``"type"``, ``"size"``, ``"string"`` and
        ``"inside"`` (a part of the value) too, which are refused whatever it gives: it may say why.
        """
        del kind
        return None

    def depends_on(self, scope: Mapping[str, str]) -> tuple[str, ...]:
        """The stored names of other attributes of the item on which the stored form depends, in a view with this scope.

        A write by key that sets the field reads them before.
        """
        del scope
        return ()

    def elsewhere(self, wire: dict[str, Any], place: Place, purpose: bytes) -> bytes | None:
        """A value (as for `encode`) for what is kept of the item in another place, such as a record of its changes.

        ``purpose`` says for what: bytes that are kept for one thing are nothing for another. None: the value is shown nowhere else.
        Raises: NotReady.
        """
        del wire, place, purpose
        return None

    def from_elsewhere(self, data: bytes, place: Place, purpose: bytes) -> dict[str, Any]:
        """The reverse of `elsewhere`. Raises: NotReady; what refuses the bytes."""
        raise NotImplementedError

    exact: bool = True
    """Whether what is stored beside it to be found by says as much as the value."""

    def matches(self, left: dict[str, Any] | None, right: dict[str, Any] | None) -> bool:
        """Whether two values are equal to who searches, where `exact` is False."""
        return left == right

    def beside(self, wire: dict[str, Any] | None, place: Place) -> Mapping[str, dict[str, Any]]:
        """What is stored beside the field, by stored name; ``wire`` is its value, None where it has none."""
        del wire, place
        return {}


OF_TENANTS: Final = "T#"
"""What keys of the library's own items of a tenant begin with."""


def tenant_prefix(tenant: str) -> str:
    """What the keys of the library's own items of a tenant begin with: as it is allowed by `dynamorm.plugins.tenancy.session_policy`.

    Signs that end a part of a key, or mean something in a policy, are written by their numbers.

    Example: ``tenant_prefix("shop #1") == "T#shop%20%231#"``
    """
    return f"{OF_TENANTS}{system_part(tenant)}{END}"


def system_part(text: str) -> str:
    """A text as a part of a key of the library's own: without what ends a part, and what means something in a policy of IAM.

    Raises: ValidationError for text that is not Unicode.

    Example: ``system_part("50% #1*") == "50%25%20%231%2A"``
    """
    return escape(text).translate(_IN_POLICIES)


_IN_POLICIES: Final = {ord(sign): f"%{ord(sign):02X}" for sign in "*?{}"}


def former_tenant_prefix(tenant: str) -> str:
    """As `tenant_prefix`, in the spelling that records of keys had before: signs beyond ASCII by the numbers of their bytes.

    No tenant has one that another one has in the spelling of today.

    Example: ``former_tenant_prefix("é 1") == "T#%C3%A9 1#"``
    """
    part = "".join(
        f"%{byte:02X}" if byte < 0x20 or byte in b"%#*?${}" or byte > 0x7E else chr(byte)
        for byte in tenant.encode(errors="surrogatepass")
    )
    return f"{OF_TENANTS}{part}{END}"


KeyPart = tuple[str, str, bytes]
"""One attribute of a key: name, type (S, N or B), and the bytes of the stored value."""
NO_SORT_KEY: Final = bytes(12)


def framed_key(key: Sequence[KeyPart]) -> bytes:
    """The parts of a key as bytes, so that no two keys give the same: see `place.framed` of `PlacedField`.

    Example: ``framed_key((("pk", "S", b"a"),)).hex() == "00000002706b" "0000000153" "0000000161" + 12 * "00"``
    """
    name, kind, value = key[0]
    framed = framed_part(name, kind) + len(value).to_bytes(4, "big") + value
    if len(key) == 1:
        return framed + NO_SORT_KEY
    name, kind, value = key[1]
    return framed + framed_part(name, kind) + len(value).to_bytes(4, "big") + value


@lru_cache(maxsize=4096)
def framed_part(name: str, kind: str) -> bytes:
    """What stands before a value in `framed_key`: name and type."""
    encoded = name.encode()
    return len(encoded).to_bytes(4, "big") + encoded + len(kind).to_bytes(4, "big") + kind.encode()


def key_part(name: str, wire: Mapping[str, Any]) -> KeyPart:
    """One attribute of a key as ``place.key`` has it: name, type and bytes. A number has one text, however it was spelled.

    Example: ``key_part("n", {"N": "1E+2"}) == ("n", "N", b"100")``
    """
    text: Any = wire.get("S")
    if text.__class__ is str:  # first, for most are texts
        return name, "S", text.encode()
    ((tag, value),) = wire.items()
    if tag == "B":
        return name, tag, a2b_base64(value) if isinstance(value, str) else value
    return name, tag, (_one_text(value) if tag == "N" else value).encode()


def _one_text(number: str) -> str:
    """A number in plain digits, without what does not count: the service and programs spell one number in several ways."""
    digits = number.removeprefix("-")
    if digits.isascii() and digits.isdigit() and (digits[0] != "0" or number == "0"):
        return number
    sign, figures, exponent = Decimal(number).as_tuple()
    assert isinstance(exponent, int)  # it is a number of DynamoDB
    text = "".join(map(str, figures)).lstrip("0")
    if not text:
        return "0"
    shorter = text.rstrip("0")
    exponent += len(text) - len(shorter)
    if exponent >= 0:
        plain = shorter + "0" * exponent
    elif -exponent >= len(shorter):
        plain = "0." + "0" * (-exponent - len(shorter)) + shorter
    else:
        plain = f"{shorter[:exponent]}.{shorter[exponent:]}"
    return f"-{plain}" if sign else plain
