# Generated from ../blocking/__init__.py by scripts/async_face.py: change that one.
"""The asyncio face: a verb is one line, which runs a flow.

The modules that the face names as ``aio.query.AsyncQuery(...)`` are loaded with their first use, and are plain attributes
afterwards: a program that sends no query does not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import groups, lease, query, stream, tables, transaction

    __all__ = ["groups", "lease", "query", "stream", "tables", "transaction"]
else:

    def __getattr__(name: str) -> object:
        if name not in {"groups", "lease", "query", "stream", "tables", "transaction"}:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
