"""The flows of the verbs, by the modules they live in: ``verbs.put.create(...)``.

A module is loaded when its first verb is called, and is a plain attribute afterwards: a program that only reads does not
load what writes, nor what it takes to make tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dynamorm.features import aggregate, collect, delete_all, increment, partiql, rewriting, unique_repair
    from dynamorm.features.leases import lease
    from dynamorm.features.loading import gets, patching, references, refreshing, saving
    from dynamorm.features.tables import apply, backups, lifecycle, look, plan
    from dynamorm.ops.calls import explain
    from dynamorm.ops.queries import query, terminals, views
    from dynamorm.ops.reads import items, textual, transact_get
    from dynamorm.ops.rules import unique_flows
    from dynamorm.ops.verbs import batch, batch_items, delete, open_transaction, put, save, update

    __all__ = [
        "aggregate", "apply", "backups", "batch", "batch_items", "collect", "delete", "delete_all", "explain", "gets", "increment", "items", "lease", "lifecycle", "look",
        "open_transaction", "partiql", "patching", "plan", "put", "query", "references", "refreshing", "rewriting", "save", "saving", "terminals", "textual",
        "transact_get", "unique_flows", "unique_repair", "update", "views",
    ]  # fmt: skip
else:
    _ROOMS = {
        "features": ("aggregate", "collect", "delete_all", "increment", "partiql", "rewriting", "unique_repair"),
        "features.leases": ("lease",),
        "features.loading": ("gets", "patching", "references", "refreshing", "saving"),
        "features.tables": ("apply", "backups", "lifecycle", "look", "plan"),
        "ops.calls": ("explain",),
        "ops.queries": ("query", "terminals", "views"),
        "ops.reads": ("items", "textual", "transact_get"),
        "ops.rules": ("unique_flows",),
        "ops.verbs": ("batch", "batch_items", "delete", "open_transaction", "put", "save", "update"),
    }
    _HOMES = {name: room for room, names in _ROOMS.items() for name in names}

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # costs nothing more: it is loaded by then

        module = globals()[name] = import_module(f"dynamorm.{_HOMES[name]}.{name}")
        return module
