"""The engine inside the process, as some tests need it."""

from __future__ import annotations

from typing import Any


def over_http(engine: Any) -> Any:
    """The same engine, asked over connections, which some tests look at: what has an ``endpoint``. It ends with the engine."""
    return engine.serve() if hasattr(engine, "serve") else engine
