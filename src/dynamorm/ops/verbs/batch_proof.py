"""The proof that an item is stored as a spool has written it: by its tokens, which are made with a secret of the spool.

So nothing has to be remembered of the writes of a spool: who opens it again, after however long a time, sees from what is
stored whether it was this spool that wrote it last, and whether anybody has changed it since. It must not know files.
"""

from __future__ import annotations

from binascii import b2a_base64
from decimal import Context, Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import dumps, read_object
from dynamorm.models.schema.schema import TOKEN_ATTRIBUTE
from dynamorm.ops.writes.token_ring import CUT, TOKEN, fresh, tokens

if TYPE_CHECKING:
    from dynamorm.ops.requests import ModelRequests

_HALF: Final = TOKEN // 2
"""Bytes of a token that are random, where the others prove whose it is: a stranger's has them once in 4 billion."""
_EXACT: Final = Context(prec=60)
"""More digits than DynamoDB keeps of a number: nothing is rounded."""


class Proof:
    """Makes tokens with the secret of a spool, and knows them again.

    A put without a version stores its token, a digest of what it stores, and the cut: whatever somebody changes shows. A
    write under a version has room for a token only, of which one half proves the other: who writes under the version puts
    his own before it.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def token(self, drawn: bytes, table: str, key: bytes) -> bytes:
        """The token of a write under a version, of so many bytes as were drawn."""
        return drawn[:_HALF] + self._of_half(drawn[:_HALF], table, key) + drawn[TOKEN:]

    def marked(self, content: bytes, token: bytes, table: str) -> bytes:
        """The JSON of an item to put, with the digest beside its token."""
        before, after = (b'"%b"' % b2a_base64(ring, newline=False) for ring in (fresh(token), self._ring(content, token, table)))  # fmt: skip
        return content.replace(before, after, 1)

    def is_own(self, plan: ModelRequests, key: bytes, raw: bytes) -> bool:
        """Whether the item is stored as this spool has written it last."""
        ring = tokens(plan.codec.ring(raw))
        if len(ring) == 3 and ring[2] == CUT and self._digest(raw, ring[0], plan.table) == ring[1]:
            return True
        half = ring[0][:_HALF] if ring else b""
        return plan.version is not None and half != b"" and ring[0][_HALF:] == self._of_half(half, plan.table, key)

    def _ring(self, content: bytes, token: bytes, table: str) -> bytes:
        return token + self._digest(content, token, table) + CUT

    def _digest(self, raw: bytes, token: bytes, table: str) -> bytes:
        attributes = read_object(raw)
        attributes.pop(TOKEN_ATTRIBUTE, None)
        return self._mac(TOKEN, token, table.encode(), normal(attributes))

    def _of_half(self, half: bytes, table: str, key: bytes) -> bytes:
        return self._mac(TOKEN - _HALF, half, table.encode(), normal(read_object(key)))

    def _mac(self, size: int, *parts: bytes) -> bytes:
        mac = blake2b(key=self._secret, digest_size=size)
        for part in parts:
            mac.update(b"%d:%b" % (len(part), part))
        return mac.digest()


def normal(attributes: dict[str, Any]) -> bytes:
    """Attributes as bytes that are the same however DynamoDB spells them: numbers, and the order of names and of sets."""
    return dumps([[name, _normal(attributes[name])] for name in sorted(attributes)])


def _normal(wire: dict[str, Any]) -> Any:
    ((kind, value),) = wire.items()
    if kind == "N":
        value = _number(value)
    elif kind == "M":
        value = [[name, _normal(value[name])] for name in sorted(value)]
    elif kind == "L":
        value = [_normal(one) for one in value]
    elif kind == "NS":
        value = sorted(map(_number, value))
    elif kind in ("SS", "BS"):
        value = sorted(value)
    return [kind, value]


def _number(text: str) -> str:
    number = Decimal(text).normalize(_EXACT)
    return str(number) if number else "0"
