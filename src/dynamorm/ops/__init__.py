"""The operations, each written once as a flow. They know DynamoDB's verbs; they do no I/O.

The modules that the faces name as ``ops.verbs.put(...)`` are loaded with their first use, and are plain attributes
afterwards: a program that only reads does not load what writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import items, update, verbs

    __all__ = ["items", "update", "verbs"]
else:
    _BY_NAME = ("items", "update", "verbs")

    def __getattr__(name: str) -> object:
        if name not in _BY_NAME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return import_module(f"{__name__}.{name}")
