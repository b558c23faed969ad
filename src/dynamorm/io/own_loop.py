"""Runs a coroutine for the blocking face: what a plugin awaits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from dynamorm.errors import InvalidUse


def on_a_loop(hook: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """Run a coroutine to its end in this thread, on a loop of its own. Raises: InvalidUse inside a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(hook(*args))
    raise InvalidUse("a hook that is a coroutine cannot run on a blocking DB inside a running event loop: use AsyncDB")
