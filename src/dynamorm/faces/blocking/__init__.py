"""The blocking face: a verb is one line, which runs a flow.

The module that the face names as ``blocking.query.Query(...)`` is loaded with its first use, and is a plain attribute
afterwards: a program that sends no query does not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import query

    __all__ = ["query"]
else:

    def __getattr__(name: str) -> object:
        if name != "query":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
