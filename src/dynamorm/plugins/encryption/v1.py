"""The envelopes of the Go library, version 1: read where a field says so, and written on request, byte for byte.

They are maps of four members, bound to the name of the attribute alone: one can be moved from item to item, so that they
are read only where that was asked for.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from dynamorm.effects import Flow
from dynamorm.errors import EncryptionError, KeyDisabled, KeyUnavailable
from dynamorm.plugin import NotReady

from .bounds import Findings
from .ciphers import Envelopes
from .envelope import tampered
from .keyring import checked_key
from .keys import MANY, MOMENT, Keys

MEMBERS: Final = frozenset({"v", "edk", "nonce", "ct"})
PREFIXES: Final = ("theorydb", "dynamorm")
DEPTH: Final = 32
_MEMBER: Final = {"S": "s", "N": "n", "B": "b", "BOOL": "bool", "NULL": "null", "L": "l", "M": "m", "SS": "ss", "NS": "ns", "BS": "bs"}  # fmt: skip
_EMPTY: Final[dict[str, Callable[[], Any]]] = {
    "S": str,
    "B": str,
    "L": list,
    "M": dict,
    "SS": list,
    "NS": list,
    "BS": list,
}
_ESCAPED: Final = {"&": "\\u0026", "<": "\\u003c", ">": "\\u003e", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class V1:
    """Seals and opens them, with data keys of the provider, which are kept as long as others."""

    def __init__(self, keys: Keys, envelopes: Envelopes) -> None:
        self._keys = keys
        self._envelopes = envelopes
        self._opened: dict[bytes, tuple[bytes, float]] = {}
        self._held: Findings[bytes, bytes | EncryptionError] = Findings(MANY, lambda: keys.clock(), MOMENT)  # noqa: PLW0108 - it may be another one later
        self._own: tuple[bytes, bytes, float] | None = None

    def seal(self, attribute: str, prefix: str, wire: dict[str, Any], *, nonce: bytes = b"") -> dict[str, Any]:
        """The stored map of a value. ``nonce`` is drawn, but for test vectors. Raises: NotReady."""
        own = self._own
        if own is None or self._keys.clock() >= own[2]:
            raise NotReady("a data key", self._fetch_own)
        nonce = nonce or os.urandom(12)
        sealed = self._envelopes.cipher(own[1]).encrypt(nonce, to_json(wire).encode(), _associated(prefix, attribute))
        return {"M": {"v": {"N": "1"}, "edk": {"B": own[0]}, "nonce": {"B": nonce}, "ct": {"B": sealed}}}

    def open(self, attribute: str, members: Any) -> dict[str, Any]:
        """The value of a stored map. Raises: NotReady, TamperedCiphertext."""
        edk, nonce, sealed = parts_of(members)
        key = self.key_of(edk)
        for prefix in PREFIXES:
            try:
                opened = self._envelopes.cipher(key).decrypt(nonce, sealed, _associated(prefix, attribute))
            except self._envelopes.wrong:
                continue
            return from_json(opened)
        raise tampered()

    def key_of(self, edk: bytes) -> bytes:
        """An opened data key. Raises: NotReady."""
        known = self._opened.get(edk)
        if known is not None and self._keys.clock() < known[1]:
            return known[0]
        held = self._held.get(edk)
        if isinstance(held, (KeyDisabled, KeyUnavailable)):
            raise type(held)(held.message, version=held.version)
        if isinstance(held, bytes):
            return held
        raise NotReady("a data key", lambda: self._fetch(edk))

    def hold(self, edk: bytes, found: bytes | EncryptionError) -> None:
        """Let what was found be the answer for a moment."""
        self._held.hold(edk, found)

    def doubt(self, edk: bytes) -> None:
        """Let go of an error that was found a while ago."""
        self._held.doubt(edk)

    def _fetch(self, edk: bytes) -> Flow[None]:
        provider = self._keys.keyring.provider
        self._keep(edk, checked_key("a value", (yield from provider.unwrap(edk, {}))))

    def _fetch_own(self) -> Flow[None]:
        provider = self._keys.keyring.provider
        plain, wrapped = yield from provider.generate({})
        self._own = wrapped, checked_key("a value", plain), self._keys.until()
        self._keep(wrapped, plain)

    def _keep(self, edk: bytes, key: bytes) -> None:
        while len(self._opened) >= self._keys.keyring.provider.max_keys:
            self._opened.pop(next(iter(self._opened)), None)
        self._opened[edk] = key, self._keys.until()
        self.hold(edk, key)


class V1Need(NamedTuple):
    """A data key that is needed: as `dynamorm.plugins.encryption.keys.Need`."""

    v1: V1
    edk: bytes
    is_asked: bool = False

    def of(self, keys: Keys) -> bytes:
        """The data key. Raises: NotReady, KeyUnavailable, KeyDisabled."""
        del keys
        return self.v1.key_of(self.edk)

    def doubt(self, keys: Keys) -> None:
        """See `V1.doubt`."""
        del keys
        self.v1.doubt(self.edk)

    def hold(self, keys: Keys, found: bytes | EncryptionError) -> None:
        """See `V1.hold`."""
        del keys
        self.v1.hold(self.edk, found)


def parts_of(members: Any) -> tuple[bytes, bytes, bytes]:
    """The wrapped key, the nonce and the ciphertext of a stored map. Raises: TamperedCiphertext for what is none."""
    if not isinstance(members, dict) or members.keys() != MEMBERS or members["v"] != {"N": "1"}:
        raise tampered()
    found: list[bytes] = []
    for name in ("edk", "nonce", "ct"):
        value = members[name].get("B") if isinstance(members[name], dict) and len(members[name]) == 1 else None
        try:
            found.append(value if isinstance(value, bytes) else b64decode(value or "", validate=True))
        except (TypeError, ValueError):
            raise tampered() from None
    edk, nonce, sealed = found
    if not edk or len(nonce) != 12 or len(sealed) < 16:
        raise tampered()
    return edk, nonce, sealed


def _associated(prefix: str, attribute: str) -> bytes:
    return f"{prefix}:encrypted:v1|attr={attribute}".encode()


def to_json(wire: dict[str, Any]) -> str:
    """A wire value as the Go library writes it: members in a fixed order, empty collections left out, its escapes."""
    ((tag, value),) = wire.items()
    if tag in {"L", "M", "SS", "NS", "BS"} and not value:
        return f'{{"t":"{tag}"}}'
    if tag == "L":
        text = "[" + ",".join(to_json(one) for one in value) + "]"
    elif tag == "M":
        text = "{" + ",".join(f"{_text(name)}:{to_json(value[name])}" for name in sorted(value, key=str.encode)) + "}"
    elif tag in {"SS", "NS"}:
        text = "[" + ",".join(_text(one) for one in value) + "]"
    elif tag == "BS":
        text = "[" + ",".join(_text(_base64(one)) for one in value) + "]"
    elif tag == "B":
        text = _text(_base64(value))
    else:
        text = json.dumps(value) if value.__class__ is bool else _text(value)
    return f'{{"t":"{tag}","{_MEMBER[tag]}":{text}}}'


def _base64(value: Any) -> str:
    return value if isinstance(value, str) else b64encode(value).decode()


def _text(value: str) -> str:
    text = json.dumps(value, ensure_ascii=False).replace("\\b", "\\u0008").replace("\\f", "\\u000c")
    for letter, escape in _ESCAPED.items():
        text = text.replace(letter, escape)
    return text


def from_json(data: bytes) -> dict[str, Any]:
    """The wire value. Raises: TamperedCiphertext for what is none, has a member twice, or lies too deep."""
    try:
        return _wire(json.loads(data, object_pairs_hook=_once), 0)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise tampered() from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member twice")
    return found


def _wire(value: Any, depth: int) -> dict[str, Any]:
    if depth > DEPTH:
        raise ValueError("too deep")
    tag = value["t"]
    name = _MEMBER[tag]
    if not value.keys() <= {"t", name}:
        raise ValueError("another member")
    given: Any = value[name] if name in value and value[name] is not None else _EMPTY[tag]()
    kind: Any = {"L": list, "M": dict, "SS": list, "NS": list, "BS": list, "BOOL": bool, "NULL": bool}.get(tag, str)
    if given.__class__ is not kind:
        raise ValueError("another type")
    if tag == "L":
        return {"L": [_wire(one, depth + 1) for one in given]}
    if tag == "M":
        return {"M": {member: _wire(one, depth + 1) for member, one in given.items()}}
    if tag == "B":
        return {"B": b64decode(given, validate=True)}
    if tag == "BS":
        return {"BS": [b64decode(one, validate=True) for one in given]}
    return {tag: given}
