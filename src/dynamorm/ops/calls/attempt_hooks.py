"""Plugins that look at each attempt of a call: `dynamorm.plugin.AttemptHook`. Used only where a plugin has such a hook.

They stand around the call's own flow and see its requests to the driver: so the call is the same with and without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dynamorm.effects import AttemptRefused, Flow, Send
from dynamorm.errors import DynamORMError, PluginRefused
from dynamorm.log import shielded

if TYPE_CHECKING:
    from .op import Op

Admit = Callable[[Any], None]
Observed = Callable[[Any, Any, BaseException | None], None]


def watched(call: Callable[[Op], Flow[Any]], admit: Admit, observed: Observed, name: str) -> Callable[[Op], Flow[Any]]:
    """The call, with one plugin's ``admit`` before each attempt and ``observed`` exactly once after each admitted one."""
    tell = shielded(observed, name, "observed")

    def watch(op: Op) -> Flow[Any]:
        flow = call(op)
        go_on: Callable[[Any], Any] = flow.send
        answer: Any = None
        while True:
            try:
                effect = go_on(answer)
            except StopIteration as stop:
                return stop.value
            try:
                go_on, answer = (
                    (yield from _attempt(flow, op, effect)) if effect.__class__ is Send else (flow.send, (yield effect))
                )
            except GeneratorExit:
                flow.close()
                raise
            except BaseException as error:  # noqa: BLE001 - the flow decides
                go_on, answer = flow.throw, error

    def _attempt(flow: Flow[Any], op: Op, send: Send) -> Flow[tuple[Callable[[Any], Any], Any]]:
        """One attempt: how the call's flow goes on, and with what."""
        try:
            admit(op)
        except DynamORMError as refusal:
            return flow.throw, AttemptRefused(refusal)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of this attempt is sent
            refused = PluginRefused(
                f"the plugin {name} refused an attempt of {op.name} ({type(error).__name__}): it was not sent"
            )
            refused.__cause__ = error
            return flow.throw, AttemptRefused(refused)
        reply = failed = None
        try:
            reply = yield send
        except Exception as error:
            failed = error
            raise
        finally:  # cancelled, closed or interrupted: with neither
            tell(op, reply, failed)
        return flow.send, reply

    return watch
