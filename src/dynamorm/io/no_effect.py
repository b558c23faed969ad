"""What is said of a flow that yields what is no effect. Loaded only then."""

from __future__ import annotations

from typing import Any

from dynamorm.errors import InvalidUse

_EFFECTS = (
    "Call (a function, or its coroutine function on the asyncio face), Sleep, Acquire (a place of a limiter) and Gather"
    " (several flows)"
)


def no_effect(effect: Any, flow: Any) -> InvalidUse:
    """The error; a coroutine is closed, for nobody awaits it. It tells the function that yielded, and no value."""
    where, source = _innermost(flow)
    if source is not None:
        what = f"says `yield from` of {_kind(source)}, which is no flow"
    else:
        what = f"yields {_kind(effect)}, which is not an effect{_advice(effect)}"
    if hasattr(effect, "cr_code"):
        effect.close()
    return InvalidUse(
        f"{where} {what}. A flow yields the effects of dynamorm.effects: {_EFFECTS}; another flow is run by `yield from`"
    )


def _innermost(flow: Any) -> tuple[str, Any]:
    """The name of the function whose generator has yielded, and what it delegates to where that is no generator."""
    name = "a flow"
    while hasattr(flow, "gi_code"):
        name = flow.gi_code.co_qualname
        flow = flow.gi_yieldfrom
    return name, flow


def _kind(given: Any) -> str:
    if given is None:
        return "nothing"
    if hasattr(given, "cr_code"):
        return "a coroutine"
    if hasattr(given, "gi_code"):
        return "a flow"
    return f"the class {given.__name__}" if isinstance(given, type) else f"an object of {type(given).__name__}"


def _advice(given: Any) -> str:
    if hasattr(given, "gi_code"):
        return ": it is run by `yield from`"
    if hasattr(given, "__await__"):
        return (
            ", and which no flow awaits: `yield Sleep(seconds)` waits, and `yield Call(blocking, coroutine_function)` awaits"
            " what it calls"
        )
    return ""
