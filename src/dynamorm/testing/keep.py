"""The tables of a failed test as files: what was stored when it failed. Returns a flow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow
from dynamorm.features.tables.look import names
from dynamorm.ops.calls.op import Op
from dynamorm.session import Session

_STRANGE: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def keep(session: Session, folder: Path) -> Flow[list[Path]]:
    """Write each table with the session's prefix to a file of its name without it: a line ``{"Item": ...}`` for each item.

    That is DynamoDB's JSON as its exports have it. Returns the files.
    """
    prefix = session.config.table_prefix
    found: list[str] = yield from names(session)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name in sorted(found):
        path = folder / f"{_STRANGE.sub('_', name.removeprefix(prefix))}.jsonl"
        with path.open("wb") as file:
            start: Any = None
            while True:
                request = {
                    "TableName": name,
                    "ConsistentRead": True,
                    **({} if start is None else {"ExclusiveStartKey": start}),
                }
                page = yield from session.call(Op("Scan", name, dumps(request), read_object))
                file.writelines(dumps({"Item": item}) + b"\n" for item in page["Items"])
                start = page.get("LastEvaluatedKey")
                if start is None:
                    break
        files.append(path)
    return files


def folder_of(base: str, node: str) -> Path:
    """The folder of one test, by its name."""
    return Path(base) / _STRANGE.sub("_", node).strip("_")[-150:]
