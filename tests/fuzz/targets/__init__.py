"""All targets, by their names."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from tests.fuzz.kit import Target

_MODULES: Final = {
    "wire": ("http", "replies", "watched-replies"),
    "engine": ("engine-http", "engine-requests", "engine-kms", "expressions", "partiql"),
    "stored": ("items", "envelopes", "audit", "idempotency", "streams"),
    "payments": ("settlements", "money", "policies"),
    "texts": ("cursors", "plain-cursors", "licences", "profiles", "environment", "webhooks"),
    "files": ("fixtures-yaml", "fixtures-json", "json-lines", "csv", "ion", "s3-exports", "checkpoints", "spools", "documents"),
}  # fmt: skip

NAMES: Final = tuple(name for names in _MODULES.values() for name in names)


def load(name: str) -> Target:
    """The target of a name; it imports what it needs."""
    module = next(module for module, names in _MODULES.items() if name in names)
    made: Target = import_module(f"tests.fuzz.targets.{module}").TARGETS[name]()
    return made
