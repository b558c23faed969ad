"""Calls of a view that has credentials of its own: the same service and connections, signed by another session of AWS.

All that a view sends passes by its call, which names the innermost one to it: so a request is signed for the view that it is
of, whatever plugins put around calls, and whoever tries it again. It must not know what views are of.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final

from dynamorm.wire.credentials import CredentialSource

from .call import caller
from .op import Op

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.wire.channel import Channel

CallOf = Callable[[Op], "Flow[Any]"]

MOST: Final = 1024
"""Views whose credentials are kept: one that comes back after so many others asks anew."""


def choosing(plain: CallOf) -> CallOf:
    """The innermost call of a database whose views may have another one."""

    def call(op: Op) -> Flow[Any]:
        return (op.way or plain)(op)

    return call


class OwnWays:
    """The ways of the views of one database, by the function that gives their credentials.

    ``run`` calls a coroutine function for the blocking face, ``flight`` makes what tasks wait in while one of them asks.
    """

    def __init__(self, run: Callable[..., Any], flight: Callable[[], Any]) -> None:
        self._run = run
        self._flight = flight
        self._channels: dict[Any, Channel] = {}

    def channel(self, root: Channel, ask: Any, plugin: str) -> Channel:
        """The channel of a view, as that of its database but for who signs."""
        found = self._channels.get(ask)
        if found is None:
            found = copy(root)
            found.credentials = self._source(ask, plugin)
            found.signer = copy(root.signer)  # it keeps what belongs to the credentials that were used last
            if len(self._channels) >= MOST:
                del self._channels[next(iter(self._channels))]
            self._channels[ask] = found
        found.observers, found.watch = root.observers, root.watch
        return found

    def _source(self, ask: Any, plugin: str) -> CredentialSource:
        of = f"credentials of this view, which the plugin {plugin} gives"
        fix = "let the function return Credentials(key_id, secret, token, expires_at) of a session that is not over"
        if not iscoroutinefunction(getattr(ask, "func", ask)):
            return CredentialSource(ask, of=of, fix=fix)
        return CredentialSource(partial(self._run, ask, ()), of=of, fix=fix, ask=ask, flight=self._flight())


def over(channel: Channel, inner: CallOf) -> CallOf:
    """The call of a view: as ``inner``, and over this channel."""
    way = caller(channel)

    def call(op: Op) -> Flow[Any]:
        if op.way is None:  # else it is of a view of this one
            op.way = way
        return inner(op)

    return call
