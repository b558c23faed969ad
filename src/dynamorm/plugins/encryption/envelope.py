"""The envelope of one value: AES-256-GCM under a key of its own, with a commitment to that key, bound to its place.

::

    0xD7 | version 1 | algorithm 1 | flags 0 | key version 16 | salt 16 | nonce 12 | commitment 32 | ciphertext | tag 16

The keys of a value are HKDF-Expand (RFC 5869) of the branch key with the salt, so that no two values share one. The commitment
is an HMAC-SHA256 over the head and the place: an envelope opens under one key and in one place only. It is compared, in constant
time, before anything is decrypted. Whatever is wrong is one error.
"""

from __future__ import annotations

from collections.abc import Sequence
from hmac import digest as hmac_digest
from struct import pack
from typing import Any, Final

from dynamorm.errors import TamperedCiphertext
from dynamorm.plugin import framed_key

MAGIC: Final = b"\xd7\x01\x01\x00"
HEAD: Final = 48
"""Bytes before the commitment."""
COMMITTED: Final = 80
"""Bytes with it."""
OVERHEAD: Final = 96
FORMAT: Final = b"dynamorm/enc/1"


def framed(*parts: bytes) -> bytes:
    """Byte strings as one, each led by its length in four bytes, so that no two lists give the same."""
    return b"".join([piece for part in parts for piece in (pack(">I", len(part)), part)])


def place_bytes(ring: str, crypto_name: str, tenant: str) -> bytes:
    """What is authenticated of every value of one ring, model and tenant."""
    return framed(FORMAT, ring.encode(), crypto_name.encode(), tenant.encode())


def with_key(prefix: bytes, key: Sequence[tuple[str, str, bytes]], attribute: str) -> bytes:
    """What is authenticated of one value: the key of its item, name, type and value of each part, and its attribute."""
    return prefix + framed_key(key) + framed(attribute.encode())


def expand(key: bytes, info: bytes) -> bytes:
    """HKDF-Expand with SHA-256 to 32 bytes, which is one block.

    Source: https://www.rfc-editor.org/rfc/rfc5869
    """
    return hmac_digest(key, info + b"\x01", "sha256")


def version_of(envelope: Any) -> bytes:
    """The version of the key that an envelope names. Raises: TamperedCiphertext for what is none."""
    if envelope.__class__ is not bytes or len(envelope) <= OVERHEAD or envelope[:4] != MAGIC:
        raise tampered()
    version: bytes = envelope[4:20]
    return version


def tampered() -> TamperedCiphertext:
    """The one error for whatever is no envelope of its place."""
    return TamperedCiphertext("an encrypted value is not the one that was stored for this attribute of this item")
