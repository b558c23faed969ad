"""From models to the tables they want, without a database."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dynamorm.codec.registry import Registry
from dynamorm.models.schema.table_settings import TableSettings
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.rules.of_model import add_rules

from .wanted import WantedTable, wanted


class _Models:
    """Plans of models as a session has them, without a connection."""

    def __init__(self, table_prefix: str, extensions: tuple[Any, ...]) -> None:
        self._registry = Registry(
            field_hooks=[extension.field for extension in extensions if hasattr(extension, "field")],
            model_hooks=[extension.model for extension in extensions if hasattr(extension, "model")],
            claimed=[option for extension in extensions for option in getattr(extension, "options", ())],
            table_prefix=table_prefix,
        )
        self._plans: dict[Any, ModelRequests] = {}

    def plan(self, model: Any) -> ModelRequests:
        """The plan of a model. Raises: ModelError for what no session would take either."""
        codec = self._registry.codec(model)
        if codec not in self._plans:
            plan = self._plans[codec] = ModelRequests(codec)
            add_rules(plan)
        return self._plans[codec]


def tables_of(
    models: Any, settings: TableSettings | None, table_prefix: str, extensions: tuple[Any, ...]
) -> list[WantedTable]:
    """The tables of a model or of several."""
    several = models if isinstance(models, Iterable) and not isinstance(models, type) else (models,)
    return wanted(_Models(table_prefix, extensions), tuple(several), settings)


def identifiers(tables: list[WantedTable], style: str) -> dict[str, str]:
    """A name inside the template for each table: ``PaymentEvents`` (``"camel"``) or ``payment_events`` (``"snake"``)."""
    unique_names: dict[str, str] = {}
    taken: set[str] = set()
    for table in tables:
        words = re.findall(r"[A-Za-z0-9]+", table.name) or ["table"]
        if style == "camel":
            name = "".join(word[0].upper() + word[1:] for word in words)
            name = name if name[0].isalpha() else f"Table{name}"
        else:
            name = "_".join(words).lower()
            name = name if name[0].isalpha() else f"table_{name}"
        number, unique = 2, name
        while unique in taken:  # two tables whose names differ in punctuation only
            unique, number = f"{name}{number}", number + 1
        taken.add(unique)
        unique_names[table.name] = unique
    return unique_names
