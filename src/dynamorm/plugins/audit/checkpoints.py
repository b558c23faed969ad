"""Signed heads: the records of a day as one hash, which is kept elsewhere. Trees are those of RFC 6962, without any key.

Source: https://www.rfc-editor.org/rfc/rfc6962#section-2.1
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.errors import ConfigError

from .values import joined

if TYPE_CHECKING:
    from typing import Self

HEAD: Final = b"dynamorm/audit/head/1"


class SignedHead(Struct, frozen=True, kw_only=True):
    """The records of one tenant and day: how many (``size``) and their ``root``, signed by the key ``kid``.

    ``prev`` is the hash of the head before, empty for the first. It holds no data of any item.

    Example: ``msgspec.json.encode(head)`` is what is kept elsewhere
    """

    tenant: str | None
    day: date
    size: int
    root: bytes
    prev: bytes
    at: datetime
    kid: str
    sig: bytes

    def signed(self) -> bytes:
        """What the signature is of."""
        return joined(
            HEAD, b"" if self.tenant is None else b"T" + self.tenant.encode(), self.day.isoformat().encode(),
            self.size.to_bytes(8, "big"), self.root, self.prev, self.at.isoformat().encode(), self.kid.encode(),
        )  # fmt: skip

    @property
    def hash(self) -> bytes:
        """What the next head names as ``prev``."""
        return hashlib.sha256(self.signed() + self.sig).digest()


class Signer:
    """Signs heads, and checks signatures: two functions, and the name of the key.

    ``verify(data, signature, kid)`` gives whether the signature holds. `ed25519` makes one of a private key.

    Example: ``ChangeTrackingConfig(..., checkpoints=Signer.ed25519(private_key_bytes))``
    """

    def __init__(self, kid: str, sign: Callable[[bytes], bytes], verify: Callable[[bytes, bytes, str], bool]) -> None:
        self.kid: str = kid
        self.sign: Callable[[bytes], bytes] = sign
        self.verify: Callable[[bytes, bytes, str], bool] = verify

    @classmethod
    def ed25519(cls, private: bytes, *, former: Sequence[bytes] = ()) -> Self:
        """A signer of an Ed25519 key, the 32 bytes of its seed. ``former`` are public keys that still verify.

        Raises: ConfigError for another length, and without the extra ``secure``.

        Example: ``Signer.ed25519(secrets.token_bytes(32))``
        """
        try:
            from cryptography.exceptions import InvalidSignature
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
        except ImportError as error:
            raise ConfigError('Ed25519 needs the extra "secure": pip install dynamorm-py[secure]') from error
        given: object = private
        if not isinstance(given, bytes) or len(given) != 32:
            raise ConfigError("the private key of Ed25519 has 32 bytes")
        key = Ed25519PrivateKey.from_private_bytes(private)
        publics = [key.public_key().public_bytes_raw(), *former]
        by_kid = {_kid(public): public for public in publics}

        def verify(data: bytes, signature: bytes, kid: str) -> bool:
            if kid not in by_kid:
                return False
            try:
                Ed25519PublicKey.from_public_bytes(by_kid[kid]).verify(signature, data)
            except InvalidSignature:
                return False
            return True

        return cls(_kid(publics[0]), key.sign, verify)


def _kid(public: bytes) -> str:
    return hashlib.sha256(public).hexdigest()[:16]


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of a tree of hashes, as RFC 6962 has it; the leaves are hashed already."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    level: list[Any] = list(leaves)
    while len(level) > 1:
        pairs = [hashlib.sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(pairs) * 2 :]
    return bytes(level[0])
