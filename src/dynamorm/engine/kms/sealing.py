"""Ciphertexts of the engine's own keys: encrypted, and bound to their key and to the encryption context.

This is for tests: KMS encrypts within hardware, the engine with what the standard library has. A stream of SHAKE-256 under a key of
its own for each ciphertext, and BLAKE2b with a key over everything: what was changed, and what is opened under another context, is refused.

::

    blob = version (1 byte), length of the key's id (1 byte), id, number of the key material (4 bytes), nonce (16), ciphertext, tag (32)
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b, shake_256
from secrets import compare_digest, token_bytes
from typing import Final, NamedTuple

from msgspec import json

_VERSION: Final = 1
_NONCE: Final = 16
_TAG: Final = 32
_NUMBER: Final = 4


class Sealed(NamedTuple):
    """A ciphertext in its parts. ``head`` is what precedes the nonce."""

    key_id: str
    material: int
    head: bytes
    nonce: bytes
    encrypted: bytes
    tag: bytes


def seal(key_id: str, material: int, secret: bytes, plain: bytes, context: Mapping[str, str]) -> bytes:
    """Encrypt bytes under a key's material. Only the same context opens them."""
    name = key_id.encode()
    head = bytes((_VERSION, len(name))) + name + material.to_bytes(_NUMBER)
    nonce = token_bytes(_NONCE)
    stream, signing = _keys(secret, nonce)
    encrypted = _xor(plain, stream)
    return head + nonce + encrypted + _tag(signing, head, nonce, encrypted, context)


def parts_of(blob: bytes) -> Sealed | None:
    """The parts of a ciphertext, None for bytes that are none."""
    if len(blob) < 2 or blob[0] != _VERSION:
        return None
    end = 2 + blob[1] + _NUMBER
    if len(blob) < end + _NONCE + _TAG:
        return None
    name = blob[2 : 2 + blob[1]]
    if not name.isascii():
        return None
    number = int.from_bytes(blob[2 + blob[1] : end])
    return Sealed(name.decode(), number, blob[:end], blob[end : end + _NONCE], blob[end + _NONCE : -_TAG], blob[-_TAG:])


def unseal(sealed: Sealed, secret: bytes, context: Mapping[str, str]) -> bytes | None:
    """The bytes that were encrypted, None where anything of the ciphertext or of the context was changed."""
    stream, signing = _keys(secret, sealed.nonce)
    expected = _tag(signing, sealed.head, sealed.nonce, sealed.encrypted, context)
    return _xor(sealed.encrypted, stream) if compare_digest(expected, sealed.tag) else None


def _keys(secret: bytes, nonce: bytes) -> tuple[bytes, bytes]:
    both = blake2b(nonce, key=secret).digest()
    return both[:32], both[32:]


def _xor(data: bytes, key: bytes) -> bytes:
    stream = shake_256(key).digest(len(data))
    return (int.from_bytes(data) ^ int.from_bytes(stream)).to_bytes(len(data))


def _tag(key: bytes, head: bytes, nonce: bytes, encrypted: bytes, context: Mapping[str, str]) -> bytes:
    bound = json.encode(sorted(context.items()))
    return blake2b(len(bound).to_bytes(8) + bound + head + nonce + encrypted, key=key, digest_size=_TAG).digest()
