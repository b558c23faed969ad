"""The operations, each written once as a flow. They know DynamoDB's verbs; they do no I/O.

The modules that the faces name as ``ops.put.put(...)`` are loaded with their first use, and are plain attributes
afterwards: a program that only reads does not load what writes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reads import items
    from .verbs import delete, put, save, update

    __all__ = ["delete", "items", "put", "save", "update"]
else:
    _HOMES = {"items": "reads", "delete": "verbs", "put": "verbs", "save": "verbs", "update": "verbs"}

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = globals()[name] = import_module(f"{__name__}.{_HOMES[name]}.{name}")
        return found
