"""Records as lines of JSON in a file, for who keeps or verifies them elsewhere. A flow for both faces."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from errno import EEXIST
from functools import partial
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Any

from msgspec.json import decode

from dynamorm.effects import Call, Flow
from dynamorm.errors import ValidationError

from .protected.revealing import protected
from .records import Unreadable, read

if TYPE_CHECKING:
    from .trail import Trail


def export(
    trail: Trail, path: str | os.PathLike[str], model: type[Any] | None, key: tuple[Any, ...], parts: dict[str, Any]
) -> Flow[int]:
    """Write records to a file, one a line. Returns how many."""
    count = 0
    target = _checked(path)
    queries = yield from _exported(trail, model, key, parts)
    # A name of its own: what a process that was killed has left is in nobody's way.
    unfinished = f"{target}.{token_hex(4)}.partial"
    with open(unfinished, "x", encoding="utf-8", opener=_private) as file:
        try:
            for query in queries:
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
    _named(unfinished, target)
    return count


def _private(path: str, flags: int) -> int:
    """Make a file that its owner alone may read, whatever the umask is: records tell who did what to which item."""
    return os.open(path, flags, 0o600)


def _checked(path: Any) -> str:
    """The name of a new file. Raises: ValidationError, FileExistsError."""
    if not isinstance(path, (str, os.PathLike)):
        shown = path.__name__ if isinstance(path, type) else type(path).__name__
        raise ValidationError(
            f"export takes the path of a new file first, then the model and the key, and got {shown}", field="path"
        )
    target = os.fspath(path)
    if not isinstance(target, str):
        raise ValidationError("export takes the path of a new file as text, not as bytes", field="path")
    if os.path.lexists(target):
        raise _exists(target)
    return target


def _named(unfinished: str, target: str) -> None:
    """Give a complete file its name, which nobody else has taken meanwhile. Raises: FileExistsError."""
    try:
        os.link(unfinished, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without links
        os.replace(unfinished, target)  # noqa: PTH105 - as above
    finally:
        with suppress(FileNotFoundError):
            os.unlink(unfinished)  # noqa: PTH108 - as above


def _exists(target: str) -> FileExistsError:
    return FileExistsError(
        EEXIST, "an export is written to a new file, and there is one already: name another, or remove it", target
    )


def _kept(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())


def _exported(trail: Trail, model: type[Any] | None, key: tuple[Any, ...], parts: dict[str, Any]) -> Flow[list[Any]]:
    """The queries that find what is exported."""
    if model is not None and (key or parts):
        row = trail.log.of(model).row
        place = yield from trail.place(model, key, parts)
        places = (place, place.reveals) if protected(trail, trail.log.of(model), model) else (place,)
        return [trail.db.model(row).where(row.pk == one.pk).consistent() for one in places]
    trail.refuse_view("export of more than an item")
    several = trail.log.tracked if model is None else (trail.log.of(model),)
    rows = dict.fromkeys(tracked.row for tracked in several)
    return [trail.db.model(row).allow_scan().consistent() for row in rows]


def line_of(raw: bytes) -> str:
    """A record as a line of JSON: where it is, its body, the bytes of that in base64, and its HMAC in hex."""
    stored = decode(raw)
    line = {"pk": stored["pk"]["S"], "sk": stored["sk"]["S"], "b": stored["b"]["B"]}
    try:
        record = read(raw)
    except Unreadable:
        return json.dumps({**line, "stored": stored}, sort_keys=True)
    return json.dumps({**line, "h": record.h.hex(), "body": json.loads(record.raw)}, sort_keys=True)
