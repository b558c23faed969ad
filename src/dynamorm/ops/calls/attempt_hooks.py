"""Plugins that look at each attempt of a call: `dynamorm.plugin.AttemptHook`. Used only where a plugin has such a hook.

They stand around the call's own flow and see its requests to the driver: so the call is the same with and without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.effects import AttemptRefused, Flow, Send
from dynamorm.errors import DynamORMError

if TYPE_CHECKING:
    from .op import Op

Admit = Callable[[Any], None]
Observed = Callable[[Any, Any, BaseException | None], None]


def watched(call: Callable[[Op], Flow[Any]], admit: Admit, observed: Observed) -> Callable[[Op], Flow[Any]]:
    """The call, with one plugin's ``admit`` before each attempt and ``observed`` exactly once after each admitted one."""

    def watch(op: Op) -> Flow[Any]:
        flow = call(op)
        try:
            effect = next(flow)
            while True:
                if effect.__class__ is Send:
                    effect = yield from _attempt(flow, op, effect, admit, observed)
                else:
                    try:
                        answer = yield effect
                    except GeneratorExit:
                        flow.close()
                        raise
                    except BaseException as error:  # noqa: BLE001 - the flow decides
                        effect = flow.throw(error)
                    else:
                        effect = flow.send(answer)
        except StopIteration as stop:
            return stop.value

    return watch


def _attempt(flow: Flow[Any], op: Op, send: Any, admit: Admit, observed: Observed) -> Flow[Any]:
    """One attempt: what the call asks for next."""
    try:
        admit(op)
    except DynamORMError as refusal:
        return flow.throw(AttemptRefused(refusal))
    try:
        reply = yield send
    except GeneratorExit:
        _tell(observed, op, None, None)
        flow.close()
        raise
    except Exception as error:  # noqa: BLE001 - the flow decides
        _tell(observed, op, None, error)
        return flow.throw(error)
    except BaseException as stop:  # noqa: BLE001 - cancelled or interrupted: abandoned
        _tell(observed, op, None, None)
        return flow.throw(stop)
    _tell(observed, op, reply, None)
    return flow.send(reply)


def _tell(observed: Observed, op: Op, reply: Any, error: BaseException | None) -> None:
    """A failure of the plugin's changes nothing."""
    try:
        observed(op, reply, error)
    except Exception:
        from logging import getLogger  # costs milliseconds at import, and is needed for a mistake only

        getLogger("dynamorm").exception("a plugin's observed failed, of %s", op.name)
