"""Asks with each request what it costs, for the plugins that want to know. Used only where one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.strict import read_object
from dynamorm.effects import Flow

from .op import ITEM_OPERATIONS

if TYPE_CHECKING:
    from .op import Op

_MEMBER: Final = "ReturnConsumedCapacity"
_BYTES: Final = _MEMBER.encode()
_TOKEN: Final = b'"ClientRequestToken"'


def asking(call: Callable[[Op], Flow[Any]], level: str, *, spares_tokens: bool = False) -> Callable[[Op], Flow[Any]]:
    """The call, with ``ReturnConsumedCapacity`` in the request of each operation that knows it.

    It is put there once, so that all attempts send the same, and those that are made later with the token of the first.
    ``spares_tokens``: requests with a token are left as they are.
    """
    member = b',"%b":"%b"}' % (_BYTES, level.encode())

    def ask(op: Op) -> Flow[Any]:
        if op.name in ITEM_OPERATIONS and not _has_member(op.body) and not (spares_tokens and _TOKEN in op.body):
            op.body = op.body.rstrip()[:-1] + member
        return call(op)

    return ask


def _has_member(body: bytes) -> bool:
    """Whether the request asks already. An attribute may be called so, and a value."""
    return _BYTES in body and _MEMBER in read_object(body)
