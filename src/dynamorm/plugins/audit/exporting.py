"""Records as lines of JSON in a file, for who keeps or verifies them elsewhere. A flow for both faces."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from msgspec.json import decode

from dynamorm.effects import Call, Flow

from .records import Unreadable, read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .trail import Trail


def export(
    trail: Trail, path: str | os.PathLike[str], model: type[Any] | None, key: tuple[Any, ...], parts: dict[str, Any]
) -> Flow[int]:
    """Write records to a file, one a line. Returns how many."""
    count = 0
    target = os.fspath(path)
    unfinished = f"{target}.partial"
    with open(unfinished, "x", encoding="utf-8") as file:  # noqa: PTH123 - what fsync needs
        try:
            for query in _exported(trail, model, key, parts):
                cursor = None
                while True:
                    page = query.cursor(cursor).page if cursor else query.page
                    found = yield Call(page, page)
                    lines = [line_of(raw) + "\n" for raw in trail.raw(found.items)]
                    count += len(lines)
                    yield Call(partial(file.writelines, lines))
                    cursor = found.cursor
                    if cursor is None:
                        break
            yield Call(partial(_kept, file))
        except BaseException:
            os.unlink(unfinished)  # noqa: PTH108 - as above
            raise
    os.replace(unfinished, target)  # noqa: PTH105 - as above
    return count


def _kept(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _exported(trail: Trail, model: type[Any] | None, key: tuple[Any, ...], parts: dict[str, Any]) -> Iterator[Any]:
    if model is not None and (key or parts):
        tracked = trail.log.of(model)
        place = tracked.chain(trail.tenant(tracked), trail.key(model, key, parts))
        yield trail.db.model(tracked.row).where(tracked.row.pk == place.pk).consistent()
        return
    trail.refuse_view("export of more than an item")
    several = trail.log.tracked if model is None else (trail.log.of(model),)
    for row in dict.fromkeys(tracked.row for tracked in several):
        yield trail.db.model(row).allow_scan().consistent()


def line_of(raw: bytes) -> str:
    """A record as a line of JSON: where it is, its body, the bytes of that in base64, and its HMAC in hex."""
    stored = decode(raw)
    line = {"pk": stored["pk"]["S"], "sk": stored["sk"]["S"], "b": stored["b"]["B"]}
    try:
        record = read(raw)
    except Unreadable:
        return json.dumps({**line, "stored": stored}, sort_keys=True)
    return json.dumps({**line, "h": record.h.hex(), "body": json.loads(record.raw)}, sort_keys=True)
