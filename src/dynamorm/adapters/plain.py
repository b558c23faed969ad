"""A `Model` as the standard library sees a dataclass: what FastAPI asks for before it takes a class for a request body."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

from dynamorm.composite import composites_of
from dynamorm.generated import masked
from dynamorm.schema import SCHEMAS


@cache
def fields_of(cls: type) -> dict[str, dataclasses.Field[Any]]:
    """What `dataclasses.fields` and `dataclasses.asdict` go by, for ``__dataclass_fields__``: all but secret fields and composites.

    Example: ``fields_of(Payment)["amount"].name == "amount"``
    """
    found: dict[str, dataclasses.Field[Any]] = {}
    computed = composites_of(SCHEMAS[cls])
    for name, field in SCHEMAS[cls].fields.items():
        if masked(field) or name in computed:
            continue
        plain: Any = dataclasses.field(kw_only=True)
        plain.name, plain.type = name, field.annotation
        plain._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # noqa: SLF001 - the standard library's own mark
        found[name] = plain
    return found
