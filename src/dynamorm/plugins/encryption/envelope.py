"""The envelope of one value: AES-256-GCM under a key of its own, with a commitment to that key, bound to its place.

::

    0xD7 | version 1 | algorithm 1 | flags 0 | key version 16 | salt 16 | nonce 12 | commitment 32 | ciphertext | tag 16

The keys of a value are HKDF-Expand (RFC 5869) of the branch key with the salt, so that no two values share one. The commitment
is an HMAC-SHA256 over the head and the place: an envelope opens under one key and in one place only. It is compared, in constant
time, before anything is decrypted. Whatever is wrong is one error.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from hmac import compare_digest
from hmac import digest as hmac_digest
from struct import pack
from typing import Any, Final

from dynamorm.errors import ConfigError, TamperedCiphertext

MAGIC: Final = b"\xd7\x01\x01\x00"
HEAD: Final = 48
"""Bytes before the commitment."""
OVERHEAD: Final = 96
FORMAT: Final = b"dynamorm/enc/1"
_KEY: Final = b"dynamorm/key/1"
_COMMIT: Final = b"dynamorm/commit/1"


def framed(*parts: bytes) -> bytes:
    """Byte strings as one, each led by its length in four bytes, so that no two lists give the same."""
    return b"".join([piece for part in parts for piece in (pack(">I", len(part)), part)])


def place_bytes(ring: str, crypto_name: str, tenant: str) -> bytes:
    """What is authenticated of every value of one ring, model and tenant."""
    return framed(FORMAT, ring.encode(), crypto_name.encode(), tenant.encode())


def with_key(prefix: bytes, key: Iterable[tuple[str, str, bytes]], attribute: str) -> bytes:
    """What is authenticated of one value: the key of its item, name, type and value of each part, and its attribute."""
    return prefix + key_frame(key) + framed(attribute.encode())


def key_frame(key: Iterable[tuple[str, str, bytes]]) -> bytes:
    """The part of that which is of the key."""
    frame, left = b"", 2
    for name, kind, value in key:
        frame += (_heads.get((name, kind)) or _head(name, kind)) + len(value).to_bytes(4, "big") + value
        left -= 1
    return frame + _NO_SORT_KEY if left else frame


def _head(name: str, kind: str) -> bytes:
    head = _heads[name, kind] = framed(name.encode(), kind.encode())
    return head


_NO_SORT_KEY: Final = bytes(12)
_heads: dict[tuple[str, str], bytes] = {}


def expand(key: bytes, info: bytes) -> bytes:
    """HKDF-Expand with SHA-256 to 32 bytes, which is one block.

    Source: https://www.rfc-editor.org/rfc/rfc5869
    """
    return hmac_digest(key, info + b"\x01", "sha256")


_SEAL: Final = b"dynamorm/seal-key/1"


class BranchKey:
    """A branch key as half-finished hashes (RFC 2104), from which `expand` goes on in half the time."""

    __slots__ = ("_committing", "_inner", "_keying", "_outer", "_sealing")

    def __init__(self, key: bytes) -> None:
        padded = key.ljust(64, b"\0")  # the block size of SHA-256
        self._inner = sha256(padded.translate(_IPAD))
        self._outer = sha256(padded.translate(_OPAD))
        self._keying, self._committing = self._inner.copy(), self._inner.copy()
        self._keying.update(_KEY)
        self._committing.update(_COMMIT)

    def of_value(self, salt: bytes) -> tuple[bytes, bytes]:
        """The two keys of a value with this salt: that of the cipher, and that of the commitment."""
        end = salt + b"\x01"
        inner, outer = self._keying.copy(), self._outer.copy()
        inner.update(end)
        outer.update(inner.digest())
        key = outer.digest()
        inner, outer = self._committing.copy(), self._outer.copy()
        inner.update(end)
        outer.update(inner.digest())
        return key, outer.digest()

    def expand(self, info: bytes) -> bytes:
        """As HMAC-SHA256 of ``info``: HKDF-Expand of an info with the byte 1 behind it."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(info)
        outer.update(inner.digest())
        return outer.digest()

    def seal(self, data: bytes) -> bytes:
        """The HMAC of what seals an item, under a key of its own."""
        sealing: bytes | None = getattr(self, "_sealing", None)
        if sealing is None:
            sealing = self._sealing = self.expand(_SEAL + b"\x01")
        return hmac_digest(sealing, data, "sha256")

    def __repr__(self) -> str:
        return "<BranchKey>"


_IPAD: Final = bytes(byte ^ 0x36 for byte in range(256))
_OPAD: Final = bytes(byte ^ 0x5C for byte in range(256))
_INNER: Final = b"\x36" * 32
_OUTER: Final = b"\x5c" * 32


def hmac_of(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA256 (RFC 2104) under a key of 32 bytes, in two thirds of the time that `hmac.digest` takes for as few bytes as these."""
    return sha256(key.translate(_OPAD) + _OUTER + sha256(key.translate(_IPAD) + _INNER + data).digest()).digest()


class Envelopes:
    """Seals and opens. It holds what it needs of the ``cryptography`` package, which is imported once.

    Raises: ConfigError where that is not installed.
    """

    def __init__(self) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # only who encrypts needs the package
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # as above
        except ImportError as error:
            raise ConfigError(
                "encryption needs the cryptography package: pip install 'dynamorm-py[encryption]'"
            ) from error
        self.cipher: Any = AESGCM
        self.wrong: type[Exception] = InvalidTag

    @staticmethod
    def random(count: int) -> bytes:
        """So many random bytes."""
        return os.urandom(count)

    def seal(
        self,
        branch: BranchKey | bytes,
        version: bytes,
        place: bytes,
        plain: bytes,
        *,
        salt: bytes = b"",
        nonce: bytes = b"",
    ) -> bytes:
        """The envelope of a value. ``salt`` and ``nonce`` are drawn, but for test vectors."""
        if isinstance(branch, bytes):
            branch = BranchKey(branch)
        drawn = os.urandom(28)
        salt, nonce = salt or drawn[:16], nonce or drawn[16:]
        head = MAGIC + version + salt + nonce
        key, committing = branch.of_value(salt)
        head_and_commitment = head + hmac_of(committing, head + place)
        sealed: bytes = self.cipher(key).encrypt(nonce, plain, head_and_commitment + place)
        return head_and_commitment + sealed

    def open(self, branch: BranchKey | bytes, place: bytes, envelope: bytes) -> bytes:
        """The value of an envelope. Raises: TamperedCiphertext."""
        if isinstance(branch, bytes):
            branch = BranchKey(branch)
        if len(envelope) > OVERHEAD and envelope[:4] == MAGIC:
            key, committing = branch.of_value(envelope[20:36])
            expected = hmac_of(committing, envelope[:HEAD] + place)
            if compare_digest(expected, envelope[HEAD : HEAD + 32]):
                try:
                    opened: bytes = self.cipher(key).decrypt(
                        envelope[36:HEAD], envelope[HEAD + 32 :], envelope[: HEAD + 32] + place
                    )
                except self.wrong:
                    pass
                else:
                    return opened
        raise tampered()


def version_of(envelope: Any) -> bytes:
    """The version of the key that an envelope names. Raises: TamperedCiphertext for what is none."""
    if envelope.__class__ is not bytes or len(envelope) <= OVERHEAD or envelope[:4] != MAGIC:
        raise tampered()
    version: bytes = envelope[4:20]
    return version


def tampered() -> TamperedCiphertext:
    """The one error for whatever is no envelope of its place."""
    return TamperedCiphertext("an encrypted value is not the one that was stored for this attribute of this item")
