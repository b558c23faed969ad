"""What is stored of a table's stream. It must not know records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from dynamorm.engine.core import Core


def new_stream(core: Core, table: str, view: str) -> dict[str, Any]:
    """A stream that begins now."""
    core.sequence += 1
    moment = datetime.fromtimestamp(core.now(), UTC).isoformat(timespec="milliseconds")
    # Two streams of one table may begin within one millisecond: the number keeps their names apart.
    label = f"{moment[:19]}.{core.sequence % 1000:03d}"
    return {"on": True, "view": view, "label": label, "number": core.sequence, "table": table, "begun": core.now()}
