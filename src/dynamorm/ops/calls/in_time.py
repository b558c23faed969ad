"""The caller's deadline around a flow of a plugin: what it calls and waits for ends with the deadline.

For flows that run before anything is sent, or that decoding waits for. Requests and places of limiters end with it anyway.
Used only where a plugin has such a flow.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from dynamorm.effects import Call, Flow, Gather, Sleep, relayed
from dynamorm.errors import DeadlineExceeded
from dynamorm.wire.deadlines import USE, remaining

EARLY: Final = 0.005
"""Seconds by which a timer of an event loop may ring too early."""


def in_time(flow: Flow[Any], name: str) -> Flow[Any]:
    """The flow, which the caller's deadline bounds. ``name`` says for what it runs. Raises: DeadlineExceeded."""
    if not USE.ever or remaining() is None:
        return (yield from flow)
    return (yield from relayed(flow, partial(_bounded, name)))


def _bounded(name: str, effect: Any) -> Flow[Any]:
    """The answer to one effect."""
    kind, left = effect.__class__, remaining()
    assert left is not None  # the deadline is the caller's, and he waits for the flow
    if kind is Gather:
        return (yield Gather([in_time(each, name) for each in effect.flows], effect.limit))
    if kind is not Call and kind is not Sleep:
        return (yield effect)
    if left <= 0:
        raise _over(name)
    if kind is Sleep:
        yield Sleep(min(effect.seconds, left))
        if effect.seconds > left:
            raise _over(name)
        return None
    if effect.timeout is not None and effect.timeout <= left:
        return (yield effect)
    try:
        return (yield Call(effect.sync, effect.async_, left))
    except TimeoutError as error:
        if (remaining() or 0.0) > EARLY:
            raise  # it is the function's own
        raise _over(name) from error


def _over(name: str) -> DeadlineExceeded:
    return DeadlineExceeded(f"the caller's deadline was over while {name} was waited for")
