"""`assert_snapshot`: what tables hold, compared with a file. It must not know how tests are run."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Final

from dynamorm.effects import Flow
from dynamorm.models.schema.schema import SCHEMAS
from dynamorm.session import Session
from dynamorm.testing.fixtures.dump import text_of

UPDATE: Final = "DYNAMORM_TEST_UPDATE_SNAPSHOTS"
"""The environment variable that lets snapshots be written anew; the option ``--dynamorm-update-snapshots`` sets it."""

_LINES: Final = 60


def assert_snapshot(
    db: Any, path: str | os.PathLike[str], models: Iterable[type], *, ignore: Collection[str] | None = None
) -> Any:
    """Assert that the items of ``models`` are those of a file, which has the form of a fixture. To be awaited on asyncio.

    ``ignore`` are names of fields that are left out; by default the times that writes set. With
    ``pytest --dynamorm-update-snapshots`` the file is written; without it a file that is not there is a failure, too.

    Raises: AssertionError with the lines that differ; ValidationError for a model with encrypted fields.

    Example: ``assert_snapshot(db, "snapshots/settled.yaml", [Payment])``
    """
    run = db._io.run  # noqa: SLF001 - a flow of these tools runs on the driver of either face
    return run(_compared(db._session, Path(path), tuple(models), ignore))  # noqa: SLF001 - as above


def _compared(session: Session, path: Path, models: tuple[type, ...], ignore: Collection[str] | None) -> Flow[None]:
    left_out = _times(models) if ignore is None else frozenset(ignore)
    text: str = yield from text_of(session, path, models, plaintext=False, without=left_out)
    if os.environ.get(UPDATE, "") not in ("", "0"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return
    if not path.exists():
        raise AssertionError(
            f"there is no snapshot {path}: run pytest --dynamorm-update-snapshots once, and look at the file"
        )
    stored = path.read_text("utf-8")
    if stored != text:
        lines = list(difflib.unified_diff(stored.splitlines(), text.splitlines(), str(path), "the tables", lineterm=""))
        more = [] if len(lines) <= _LINES else [f"... and {len(lines) - _LINES} more lines"]
        shown = "\n".join(lines[:_LINES] + more)
        raise AssertionError(
            f"the tables differ from the snapshot (--dynamorm-update-snapshots takes them over):\n{shown}"
        )


def _times(models: tuple[type, ...]) -> frozenset[str]:
    """The fields that hold the times of writes."""
    fields = (field for model in models if model in SCHEMAS for field in SCHEMAS[model].fields.values())
    return frozenset(field.name for field in fields if field.role in ("created_at", "updated_at"))
