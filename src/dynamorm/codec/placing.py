"""Fields whose stored form depends on the place of their item: its key, and the scope of the view. Only where a plugin has some.

An object is encoded before its key is known, so the codec gives for such a field a value that cannot be sent (`Unplaced`). It
becomes what is stored where the key is settled, at the end of each draft. It must not know verbs, nor what a plugin does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import copy
from functools import lru_cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

from msgspec import Struct, defstruct
from msgspec.json import Decoder
from msgspec.structs import astuple

from dynamorm.codec.strict import dumps
from dynamorm.errors import ModelError, ValidationError
from dynamorm.models.schema.placed import NO_SORT_KEY, KeyPart, Unread, framed_key, framed_part, key_part

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec
    from dynamorm.codec.types.fields import FieldPlan

NO_SCOPE: Final[Mapping[str, str]] = MappingProxyType({})
UNPLACED: Final = "unplaced"
"""The tag in the wire value of what has no stored form yet: none of DynamoDB's, so that it is sent nowhere by mistake."""


class Place:
    """Where an attribute is stored: the key of its item, and the ``scope`` of the view that reads or writes it.

    Example: ``for name, kind, value in place.key: digest.update(value)``
    """

    __slots__ = ("_framed", "_key", "_names", "_raw", "attributes", "scope")

    def __init__(
        self,
        raw: bytes | None,
        names: tuple[str, ...],
        scope: Mapping[str, str] = NO_SCOPE,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        self._raw = raw  # the JSON of the item, or of its key
        self._names = names
        self._key: tuple[KeyPart, ...] | None = None
        self._framed: bytes | None = None
        self.scope: Mapping[str, str] = scope
        self.attributes: Mapping[str, Any] | None = attributes  # of an item that is about to be stored

    def attribute(self, name: str) -> dict[str, Any] | None:
        """Another attribute of the item, by its stored name; None where it is not there, or not known here."""
        if self.attributes is not None and name in self.attributes:
            found: dict[str, Any] | None = self.attributes[name]
            return found
        if self._raw is None:
            return None
        read = _reader((name,))
        return (_made((name,)) if read is None else read)(self._raw)[0]  # type: ignore[no-any-return] # a wire value

    @property
    def key(self) -> tuple[KeyPart, ...]:
        """The attributes of the key, partition first: name, type (S, N or B), and the bytes of the stored value.

        Raises: ValidationError where the item was read without its key.
        """
        key = self._key
        if key is None:
            key = self._key = self._read_key()
        return key

    @property
    def framed(self) -> bytes:
        """The key as bytes: see `dynamorm.models.schema.placed.framed_key`. Raises: as `key`."""
        framed = self._framed
        if framed is None:
            raw = self._raw
            framed = None if raw is None else (_framer(self._names) or _framer_of(self._names))(raw)
            self._framed = framed = framed_key(self.key) if framed is None else framed
        return framed

    def _read_key(self) -> tuple[KeyPart, ...]:
        if self._raw is not None:
            names = self._names
            found = (_reader(names) or _made(names))(self._raw)
            if None not in found:
                return tuple([key_part(name, wire) for name, wire in zip(names, found, strict=True)])
        raise ValidationError("an attribute that depends on the key of its item was read without that key: read both")

    def __repr__(self) -> str:
        return "<Place>"  # a key is a value


_readers: dict[tuple[str, ...], Callable[[bytes], tuple[Any, ...]]] = {}
_reader: Final = _readers.get


def _made(names: tuple[str, ...]) -> Callable[[bytes], tuple[Any, ...]]:
    """What reads these attributes of an item's JSON, and no other: None for each that is not there."""
    decode = _decoder(names, Any)

    def read(raw: bytes) -> tuple[Any, ...]:
        return astuple(decode(raw))

    _readers[names] = read
    return read


def _decoder(names: tuple[str, ...], of: Any, default: Any = None) -> Callable[[bytes], Any]:
    fields: Any = [(f"a{at}", of, default) for at in range(len(names))]
    rename = {f"a{at}": name for at, name in enumerate(names)}
    decode: Callable[[bytes], Any] = Decoder(defstruct("KeyOfItem", fields, rename=rename, gc=False)).decode
    return decode


class _Text(Struct, frozen=True, gc=False):
    S: str | None = None


_NO_TEXT: Final = _Text()


_framers: dict[tuple[str, ...], Callable[[bytes], bytes | None]] = {}
_framer: Final = _framers.get


def _framer_of(names: tuple[str, ...]) -> Callable[[bytes], bytes | None]:
    """What makes `Place.framed` of an item's JSON where its keys are texts, as most are; None for others."""
    decode = _decoder(names, _Text, _NO_TEXT)
    start, between = framed_part(names[0], "S"), framed_part(names[-1], "S")

    def one(raw: bytes) -> bytes | None:
        text = decode(raw).a0.S
        if text is None:
            return None
        value: bytes = text.encode()
        return start + len(value).to_bytes(4, "big") + value + NO_SORT_KEY

    def two(raw: bytes) -> bytes | None:
        key = decode(raw)
        text, sorted_by = key.a0.S, key.a1.S
        if text is None or sorted_by is None:
            return None
        value: bytes = text.encode()
        sort: bytes = sorted_by.encode()
        return start + len(value).to_bytes(4, "big") + value + between + len(sort).to_bytes(4, "big") + sort

    frame = _framers[names] = one if len(names) == 1 else two
    return frame


NOWHERE: Final = Place(None, ("",))
"""The place of what is read without its item."""


class Unplaced:
    """The value of a field before its place is known: two are equal when their values are. It can be sent nowhere."""

    __slots__ = ("wire",)

    def __init__(self, wire: dict[str, Any]) -> None:
        self.wire: dict[str, Any] = wire

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Unplaced):
            return False
        left: Any = self.wire
        right: Any = other.wire
        if isinstance(left, Unread) or isinstance(right, Unread):
            return isinstance(left, Unread) and isinstance(right, Unread) and left.stored == right.stored
        return bool(left == right)

    __hash__: ClassVar[None] = None  # type: ignore[assignment] # pyright: ignore[reportIncompatibleMethodOverride] # as of any wire value

    def __repr__(self) -> str:
        return "<Unplaced>"  # what it holds is nobody's business


class UnplacedOf(Unplaced):
    """An `Unplaced` that knows its field."""

    __slots__ = ("plan",)

    def __init__(self, plan: FieldPlan, wire: dict[str, Any]) -> None:
        super().__init__(wire)
        self.plan: FieldPlan = plan


def unplaced(plan: FieldPlan) -> Any:
    """The function that makes of a field's wire value the one that waits for its place."""
    return lambda wire: {UNPLACED: UnplacedOf(plan, wire)}


def placed(wire: dict[str, Any], place: Place) -> dict[str, Any]:
    """The stored form of a wire value; the very same one where it depends on no place.

    Raises: InvalidUse for what a plugin gives in the place of a stored form; and what that raises.
    """
    waiting = wire.get(UNPLACED)
    if waiting is None:
        return wire
    stored: dict[str, Any] = waiting.plan.in_place(waiting.wire, place)
    return stored


def place_item(codec: ModelCodec, item: dict[str, Any], key: bytes, scope: Mapping[str, str]) -> None:
    """Give the attributes of an item that is about to be stored the form that they have there."""
    place = Place(key, codec.key_names, scope, item)
    for plan in codec.placed:
        wire = item.get(plan.stored)
        item |= plan.beside(wire, place)
        if wire is not None:
            item[plan.stored] = placed(wire, place)
    if codec.whole is not None:
        item |= codec.whole.beside(item, place)


def place_changes(
    codec: ModelCodec,
    changes: dict[str, Any],
    key: bytes,
    scope: Mapping[str, str],
    *,
    stored: Mapping[str, Any],
    stamped: Mapping[str, Any],
) -> None:
    """As `place_item`, of the attributes that a save writes; what is removed takes along what is stored beside it.

    ``stored`` is the item as it was loaded, ``stamped`` what the library sets besides.
    """
    place = Place(key, codec.key_names, scope, {**stored, **changes})
    for plan in codec.placed:
        if plan.stored not in changes:
            continue
        wire = changes[plan.stored]
        beside = plan.beside(wire, place)
        for name in plan.beside_names:
            changes[name] = beside.get(name)
        if wire is not None:
            changes[plan.stored] = placed(wire, place)
    if codec.whole is not None:
        changes |= codec.whole.beside({**stored, **changes, **stamped}, place)


def place_values(
    codec: ModelCodec,
    values: dict[str, Any],
    key: bytes,
    scope: Mapping[str, str],
    known: Mapping[str, Any] | None = None,
) -> None:
    """As `place_item`, of the values of a request's expressions; ``known`` are other attributes of the item."""
    place: Place | None = None
    for name, wire in values.items():
        if UNPLACED in wire:
            if place is None:
                place = Place(key, codec.key_names, scope, known)
            values[name] = placed(wire, place)


def besides(
    codec: ModelCodec,
    given: Mapping[str, Any],
    key: bytes,
    scope: Mapping[str, str],
    known: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is stored beside the attributes that are ``given`` by stored name: None for what is removed with them."""
    place = Place(key, codec.key_names, scope, known)
    found: dict[str, Any] = {}
    for plan in codec.placed:
        if plan.beside_names and plan.stored in given:
            beside = plan.beside(given[plan.stored], place)
            found |= {name: beside.get(name) for name in plan.beside_names}
    return found


def refuse_operand(codec: ModelCodec, plan: FieldPlan, what: str) -> ModelError:
    """The error for a field that an expression compares or changes in part, and whose stored form depends on its place."""
    return ModelError(
        f"{codec.schema.name}.{plan.name} is {plan.hook.reason}, so that no expression can compare it or"
        f" change a part of it ({what}): set it as a whole, remove it, or load the object"
    )


def check_places(owner: str, plans: Iterable[FieldPlan], keys: Iterable[str]) -> None:
    """Refuse fields whose stored form depends on the key where they are a part of one, or guard it. Raises: ModelError."""
    named = frozenset(keys)
    for plan in plans:
        field = plan.field
        if plan.name in named or field.role:
            raise ModelError(
                f"{owner}.{plan.name} is a part of a key, or kept by the library, so that it cannot be {plan.hook.reason}"
            )
        if field.also_read or field.immutable or field.write_once:
            raise ModelError(
                f"{owner}.{plan.name} is {plan.hook.reason}, which goes with neither also_read, nor immutable, nor write_once"
            )


def in_scope(codec: ModelCodec, scope: Mapping[str, str]) -> ModelCodec:
    """The codec of a model with such fields in a view: what it reads is of this scope."""
    other = copy(codec)
    other.scope = scope
    vars(other).pop("depends", None)
    other.careful = copy(codec.careful)
    other.careful._codec = other  # noqa: SLF001 - one unit with its codec
    other.encode_field, other.decode_field = other.careful.encode_field, other.careful.decode_field
    if codec.family is not None:
        other.family = codec.family.of(lru_cache(maxsize=None)(lambda cls: placed_in(codec.codec_of(cls), scope)))
    other._decode = partial(codec._decode, scope=scope) if codec.placed else codec._decode  # noqa: SLF001 - as above
    other.reading = codec.reading.of(other)
    other.reading.forget_pages()
    other.read_item, other.read_item_of = other.reading.item, other.reading.item_of
    other.read_attributes, other.attributes_json = other.reading.attributes, other.reading.attributes_json
    other.partials = {}
    other.keyed = other
    return other


def placed_in(codec: ModelCodec, scope: Mapping[str, str]) -> ModelCodec:
    """The codec in a view, where that matters to it."""
    return in_scope(codec, scope) if codec.placed or codec.family is not None else codec


def place_of(codec: Any, raw: bytes | None, item: Any) -> Place:
    """The place of an item that is read field by field."""
    return Place(dumps(item) if raw is None else bytes(raw), codec.key_names, codec.scope)
