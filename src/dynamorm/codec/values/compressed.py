"""Values that are stored compressed: their form, and the field that gives it to them.

A compressed value is one binary attribute: `MAGIC`, a letter for the algorithm, one for what was compressed (S: a text, B:
bytes, J: the JSON of a wire value), the number of its bytes in four bytes, and the compressed bytes. Plain bytes that begin like one are
led by the same head, with the letter of no algorithm, so that each stored value says what it is.

What is read is never trusted to be short: no more is made than the number says, and that is looked at first. It must not
know which plugin stores the field: where one wraps it, that one is given what is compressed.
"""

from __future__ import annotations

import zlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from msgspec.json import decode, encode

from dynamorm.codec.types.mismatch import Mismatch
from dynamorm.errors import ConfigError, ModelError, ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.placed import PlacedField, PlacedItem, Unread

if TYPE_CHECKING:
    from dynamorm.codec.placing import Place
    from dynamorm.models.schema.compressed import Compressed
    from dynamorm.models.schema.schema import Field, Schema
    from dynamorm.plugin import FieldCodec

Wire = dict[str, Any]
MAGIC: Final = b"\xd7DYNZ\x1a\x00\x01"
_HEAD: Final = len(MAGIC) + 6
_LETTERS: Final = {"gzip": b"g", "zstd": b"z"}
_PLAIN: Final = b"p"
_UNREADABLE: Final = "compressed value that can be opened"
_WINDOW: Final = 27
"""The base-two logarithm of the most memory that opening one of zstd may take for what it looks back at."""


class CompressedField(PlacedField):
    """A field with the option `Compressed`. ``inner`` is what a plugin stores in its place, such as an encrypted value.

    Raises: ModelError for a field that cannot be stored so, ConfigError where zstd is not installed.
    """

    reason = "compressed"

    def __init__(self, schema: Schema, field: Field, inner: FieldCodec | PlacedField | None) -> None:
        option: Compressed = next(option for option in field.options if hasattr(option, "algorithm"))
        where = f"{schema.name}.{field.name}"
        if field.indexed_as != field.stored:
            raise ModelError(
                f"{where} is compressed, which goes with no option that is searched by, such as"
                " Encrypted(..., searchable=True): leave one of them out"
            )
        self._where = where
        self._name: str = field.name
        self._above, self._limit = option.above, option.limit
        self._letter = _LETTERS[option.algorithm]
        self._compress = _compressing(option.algorithm, where)
        self._inner: PlacedField | None = inner if isinstance(inner, PlacedField) else None
        self._functions: FieldCodec | None = inner if isinstance(inner, tuple) else None
        if self._inner is not None:
            self.whole: PlacedItem | None = self._inner.whole
            self.beside_names: tuple[str, ...] = self._inner.beside_names
            self.marks: bool = self._inner.marks
            self.lasting: bool = self._inner.lasting

    # ----------------------------------------------------------------------------------------------- what is stored

    @override
    def encode(self, wire: Wire, place: Place) -> Wire:
        stored = self.packed(wire)
        if self._functions is not None:
            stored = self._functions[0](stored)
        return stored if self._inner is None else self._inner.encode(stored, place)

    @override
    def decode(self, wire: Wire, place: Place) -> Wire | Unread:
        opened: Wire | Unread = wire
        if self._functions is not None:
            opened = self._functions[1](wire)
        if self._inner is not None:
            opened = self._inner.decode(wire, place)
        return opened if isinstance(opened, Unread) else self.unpacked(opened)

    def packed(self, wire: Wire) -> Wire:
        """The stored form of a value. Raises: ValidationError for one that is larger than the limit, or no Unicode."""
        found = _bytes_of(wire)
        if found is None:
            raise ValidationError(f"{self._where} holds text that is not valid Unicode", field=self._name)
        kind, data = found
        if len(data) > self._limit:
            raise ValidationError(
                f"{self._where} has {len(data)} bytes, and limit of its Compressed allows {self._limit}: give it a shorter value, or"
                " the option a greater limit",
                field=self._name,
            )
        if len(data) > self._above:
            stored = self._letter, self._compress(data)
            if _HEAD + len(stored[1]) < len(data):
                return {"B": _head(stored[0], kind, len(data)) + stored[1]}
        if kind == b"B" and data.startswith(MAGIC):
            return {"B": _head(_PLAIN, kind, len(data)) + data}
        return wire

    def unpacked(self, wire: Wire) -> Wire:
        """The value of a stored form; a plain one as it is. Raises: Mismatch for what cannot be opened, or would be too large."""
        if wire.get("B") is None:
            return wire
        stored = _plain(wire["B"])
        if not stored.startswith(MAGIC):
            return wire
        letter, kind = stored[len(MAGIC) : len(MAGIC) + 1], stored[len(MAGIC) + 1 : len(MAGIC) + 2]
        size = int.from_bytes(stored[len(MAGIC) + 2 : _HEAD], "big")
        if size > self._limit:
            raise Mismatch(f"a value of at most {self._limit} bytes (limit of its Compressed)", None, f"one of {size}")
        open_ = _OPENERS.get(letter)
        if open_ is None or len(stored) < _HEAD:
            raise Mismatch(f"a {_UNREADABLE}", None, "one of another version or algorithm")
        data = open_(stored[_HEAD:], size)
        if len(data) != size:
            raise Mismatch(f"a {_UNREADABLE}", None, "one of another size than it says")
        return _wire_of(kind, data)

    # ------------------------------------------------------------------------------------- what a plugin does with it

    @override
    def settled(self, classes: tuple[Any, ...], expected: str, fields: Mapping[str, Any]) -> None:
        if self._inner is not None:
            self._inner.key_types = self.key_types
            self._inner.settled(classes, expected, fields)

    @override
    def operand(self, kind: str) -> Callable[[Wire, Mapping[str, str]], Wire] | None:
        return None

    @override
    def depends_on(self, scope: Mapping[str, str]) -> tuple[str, ...]:
        return () if self._inner is None else self._inner.depends_on(scope)

    @override
    def elsewhere(self, wire: Wire, place: Place, purpose: bytes) -> bytes | None:
        if self._inner is not None:
            return self._inner.elsewhere(self.packed(wire), place, purpose)
        if self._functions is not None:
            return None
        packed = self.packed(wire)
        return _plain(packed["B"]) if _is_packed(packed) else encode(packed)

    @override
    def from_elsewhere(self, data: bytes, place: Place, purpose: bytes) -> Wire:
        if self._inner is not None:
            return self.unpacked(self._inner.from_elsewhere(data, place, purpose))
        wire: Wire = {"B": data} if data.startswith(MAGIC) else decode(data)
        return self.unpacked(wire)

    @override
    def beside(self, wire: Wire | None, place: Place) -> Mapping[str, Wire]:
        return {} if self._inner is None else self._inner.beside(wire, place)


def _head(letter: bytes, kind: bytes, size: int) -> bytes:
    return MAGIC + letter + kind + size.to_bytes(4, "big")


def _is_packed(wire: Wire) -> bool:
    return "B" in wire and _plain(wire["B"]).startswith(MAGIC)


def _plain(value: Any) -> bytes:
    """The bytes of a binary attribute, which JSON has as base64. Raises: Mismatch for what is none."""
    try:
        return b64decode(value, validate=True) if value.__class__ is str else bytes(value)
    except (Base64Error, TypeError, ValueError):
        raise Mismatch(f"a {_UNREADABLE}", None, "no base64") from None


def _bytes_of(wire: Wire) -> tuple[bytes, bytes] | None:
    """What is compressed of a wire value, and the letter for it; None for text that is not Unicode, which has no bytes."""
    try:
        if "S" in wire:
            return b"S", wire["S"].encode()
        if "B" in wire:
            return b"B", _plain(wire["B"])
        return b"J", encode(wire)
    except UnicodeEncodeError:
        return None


def _wire_of(kind: bytes, data: bytes) -> Wire:
    """The reverse of `_bytes_of`. Raises: Mismatch."""
    try:
        if kind == b"S":
            return {"S": data.decode()}
        if kind == b"B":
            return {"B": data}
        found: Any = decode(data) if kind == b"J" else None
    except ValueError:
        found = None
    if found.__class__ is not dict or len(found) != 1:
        raise Mismatch(f"a {_UNREADABLE}", None, "something else inside")
    return found


# ------------------------------------------------------------------------------------------------------------ algorithms


def _compressing(algorithm: str, where: str) -> Callable[[bytes], bytes]:
    """The function that compresses: two calls with the same bytes give the same. Raises: ConfigError."""
    if algorithm == "gzip":
        return _gzip
    zstd = _zstd()
    if zstd is None:
        raise ConfigError(
            f'{where} says Compressed("zstd"), which is not installed here: pip install "dynamorm-py[zstd]", or use "gzip"'
        )
    return zstd[0]


def _gzip(data: bytes) -> bytes:
    made = zlib.compressobj(6, wbits=31)  # the head of it holds no time
    return made.compress(data) + made.flush()


def _from_gzip(data: bytes, size: int) -> bytes:
    opening = zlib.decompressobj(wbits=31)
    try:
        opened = opening.decompress(data, size + 1)
    except zlib.error:
        opened = None
    if opened is None or not opening.eof or opening.unused_data:
        raise Mismatch(f"a {_UNREADABLE}", None, "broken gzip")
    return opened


def _from_zstd(data: bytes, size: int) -> bytes:
    zstd = _zstd()
    if zstd is None:
        raise ConfigError(
            'an item holds a value compressed by zstd, which is not installed here: pip install "dynamorm-py[zstd]"'
        )
    opened = zstd[1](data, size)
    if opened is None:
        raise Mismatch(f"a {_UNREADABLE}", None, "broken zstd")
    return opened


_OPENERS: Final[dict[bytes, Callable[[bytes, int], bytes]]] = {
    b"g": _from_gzip,
    b"z": _from_zstd,
    _PLAIN: lambda data, size: data,  # noqa: ARG005 - it has the form of the others
}

_Zstd = tuple[Callable[[bytes], bytes], Callable[[bytes, int], bytes | None]]


def _zstd() -> _Zstd | None:
    """What compresses by zstd and what opens it: of Python 3.14, or of the package ``zstandard``; None where neither is there."""
    for load in (_of_python, _of_package):
        try:
            return load()
        except ImportError:
            continue
    return None


def _of_python() -> _Zstd:
    zstd: Any = import_module("compression.zstd")

    def compress(data: bytes) -> bytes:
        made: bytes = zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1})
        return made

    def open_(data: bytes, size: int) -> bytes | None:
        opening = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW})
        try:
            opened: bytes = opening.decompress(data, max_length=size + 1)
        except zstd.ZstdError:
            return None
        return opened if opening.eof and not opening.unused_data else None

    return compress, open_


def _of_package() -> _Zstd:
    zstd: Any = import_module("zstandard")

    def compress(data: bytes) -> bytes:
        made: bytes = zstd.ZstdCompressor(write_checksum=True).compress(data)
        return made

    def open_(data: bytes, size: int) -> bytes | None:
        try:
            if zstd.get_frame_parameters(data).content_size != size:  # no more is made than that
                return None
            opened: bytes = zstd.ZstdDecompressor(max_window_size=1 << _WINDOW).decompress(data, allow_extra_data=False)
        except zstd.ZstdError:
            return None
        return opened

    return compress, open_
