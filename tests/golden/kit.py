"""Stored forms: what a story writes is taken out of the engine as it is stored, and put back into another one.

A *story* writes one kind of stored thing with the present code, and reads it again. A golden file has, for one released version, what each
story left in the tables (``tables``), what it handed to clients to keep, such as cursors (``kept``), and what reading gave then (``read``).
"""

from __future__ import annotations

import json
import random
import re
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import time_machine

from dynamorm import DB, Config, Model
from dynamorm.engine import Engine
from dynamorm.models.schema.schema import schema_of

HERE = Path(__file__).parent
WRITTEN = datetime(2033, 6, 1, 12, 0, 0, tzinfo=UTC)
"""When everything is written: no time in a story is of that year, so that times of the clock are known by it."""


class World(NamedTuple):
    """An empty engine, a folder for files, and a database on the engine."""

    engine: Engine
    folder: Path
    db: DB


class Story(NamedTuple):
    """``opened`` prepares a database (plugins, tables); ``write`` gives the texts that clients keep; ``read`` what is there."""

    name: str
    opened: Callable[[DB, Path, dict[str, Any]], None]
    write: Callable[[World], dict[str, Any] | None]
    read: Callable[[World, dict[str, Any]], Any]
    settings: dict[str, Any] = {}


STORIES: dict[str, Story] = {}


def story(
    opened: Callable[..., None], read: Callable[[World, dict[str, Any]], Any], **settings: Any
) -> Callable[[Callable[[World], dict[str, Any] | None]], Callable[[World], dict[str, Any] | None]]:
    """A decorator of the function that writes."""

    def named(write: Callable[[World], dict[str, Any] | None]) -> Callable[[World], dict[str, Any] | None]:
        name = write.__name__.replace("_", " ")
        assert name not in STORIES
        STORIES[name] = Story(name, opened, write, read, settings)
        return write

    return named


@contextmanager
def world(one: Story, folder: Path, kept: dict[str, Any], at: datetime) -> Iterator[World]:
    """A database on a new engine at a time, with the tables that the present code makes."""
    folder.mkdir(parents=True)
    with patch(
        "dynamorm.engine.engine.token_hex", return_value="601d601d601d"
    ):  # what is kept in files names the endpoint
        engine = Engine()
    with time_machine.travel(at, tick=True), engine, DB(Config(engine=engine, **one.settings)) as db:
        random.seed(7)
        one.opened(db, folder, kept)
        yield World(engine, folder, db)


def written(one: Story, folder: Path) -> dict[str, Any]:
    """What a story writes now: its tables, and what clients keep. What reading gives is added, in a world of its own."""
    with world(one, folder / "written", {}, WRITTEN) as here:
        kept = one.write(here) or {}
        made = {"tables": tables_of(here.engine), "kept": kept}
    return {**made, "read": read_again(one, made, folder)}


def read_again(one: Story, stored: dict[str, Any], folder: Path) -> Any:
    """What reading gives of items that were stored, a minute later, in another process so to speak."""
    with world(one, folder / "read", stored["kept"], WRITTEN + timedelta(minutes=1)) as here:
        for table, items in stored["tables"].items():
            for item in items:
                asked(here.engine, "PutItem", TableName=table, Item=item)
        return json.loads(json.dumps(shown(one.read(here, stored["kept"]))))


def asked(engine: Engine, operation: str, **request: Any) -> dict[str, Any]:
    """A request of DynamoDB, past the library."""
    status, body = engine.handle(f"DynamoDB_20120810.{operation}", json.dumps(request).encode())
    assert status == 200, body
    answer: dict[str, Any] = json.loads(body)
    return answer


def tables_of(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Every item of every table, in an order of its own."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in sorted(asked(engine, "ListTables")["TableNames"]):
        items = asked(engine, "Scan", TableName=name)["Items"]
        found[name] = sorted((_sorted(item) for item in items), key=lambda item: json.dumps(item, sort_keys=True))
    return found


def _sorted(value: Any) -> Any:
    """Maps by their names, and sets by their members: neither has an order."""
    if isinstance(value, dict):
        return {
            name: sorted(inner) if name in {"SS", "NS", "BS"} else _sorted(inner)
            for name, inner in sorted(value.items())
        }
    return [_sorted(inner) for inner in value] if isinstance(value, list) else value


def shown(value: Any) -> Any:
    """What was read, as JSON can hold it: the ``repr`` of everything that JSON has not."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Model):
        fields = {field.name: shown(getattr(value, field.name)) for field in schema_of(type(value)).fields.values()}
        return {"class": type(value).__name__, **fields}
    if isinstance(value, dict):
        return {str(name): shown(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return [shown(inner) for inner in value]
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({sorted(map(repr, value))})"
    return repr(value)


# ------------------------------------------------------------------------------------------------------------ the forms

_TIME = re.compile(r"2033-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(\.\d+)?)?(Z|\+00:00)?)?")
_EPOCH = re.compile(r"(?<!\d)20\d{8}(\d{3}|\d{6}|\d{9})?(\.\d+)?(?!\d)")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_HEX = re.compile(r"(?<![0-9a-f])(?!0{8})(?=[a-f]*\d)[0-9a-f]{15,}(?![0-9a-f])")
_PART = re.compile(r"(?<=-)[0-9a-f]{8}(?=\.part)")  # of the name of a part of an export
_CHECKSUM = re.compile(r"(?<![0-9a-z])[0-9a-f]{8}(?= [AS] \d)")  # of a line of a spool
_SHARD = re.compile(r"(?<=^~D#\d{5}#)[0-9a-f]$")  # one of sixteen, by chance
_RANDOM = re.compile(r"(?<![A-Za-z0-9_+/=-])(?=[a-z_+/=-]*[A-Z0-9])(?=\S*[a-z])[A-Za-z0-9_+/-]{20,}={0,2}")


def form_of_text(text: str) -> str:
    """A text without what differs from run to run: times of the clock, and random parts, of which the lengths stay."""
    text = _CHECKSUM.sub("<checksum>", _SHARD.sub("<shard>", _PART.sub("<part>", text)))
    text = _TIME.sub(lambda it: f"<time {it[1] and len(it[1]) - 1} {it[2]}>", text)
    text = _UUID.sub("<uuid>", text)
    text = _EPOCH.sub(lambda it: f"<epoch {len(it[0].partition('.')[0])}>", text)
    text = _HEX.sub(lambda it: f"<hex {len(it[0])}>", text)
    return _RANDOM.sub(lambda it: _form_of_base64(it[0]), text)


def _form_of_base64(text: str) -> str:
    with suppress(ValueError):
        return f"<JSON {form_of_text(json.dumps(json.loads(b64decode(text)), sort_keys=True))}>"
    return f"<random {len(text)}>"


def form(value: Any, kind: str = "M", name: str = "") -> Any:
    """The form of a stored value: names, types, and what is the same in each run."""
    if kind == "B" and name.startswith("_"):  # an attribute of the library's own: a token, a hash
        return f"<{len(b64decode(value))} bytes>"
    if kind == "B":
        raw = b64decode(value)
        if raw[:1] in {b"{", b"["} and len(raw) >= 12:
            with suppress(ValueError):
                return f"<JSON {form_of_text(json.dumps(json.loads(raw), sort_keys=True))}>"
        # An envelope begins with its mark and its version; what is shorter than a token is a value of a story.
        head = "envelope 1, " if raw[:2] == b"\xd7\x01" and len(raw) > 90 else ""
        return value if len(raw) < 8 else f"<{head}{len(raw)} bytes>"
    if kind in {"S", "N"}:
        return form_of_text(value)
    if kind in {"SS", "NS", "BS"}:
        return sorted(form(inner, kind[0]) for inner in value)
    if kind == "L":
        return [{name: form(one, name) for name, one in inner.items()} for inner in value]
    if kind == "M":
        return {form_of_text(name): {k: form(v, k, name) for k, v in inner.items()} for name, inner in value.items()}
    return value


def forms(stored: dict[str, Any]) -> Counter[str]:
    """The forms of all items of a story, and of what clients keep."""
    lines = [
        f"{table} {json.dumps(form(item), sort_keys=True)}"
        for table, items in stored["tables"].items()
        for item in items
    ]
    lines += [f"kept {form_of_text(name)}: {form_of_text(text)}" for name, text in stored["kept"].items()]
    return Counter(lines)


# ------------------------------------------------------------------------------------------------------------ the files


def path_of(version: str, folder: Path = HERE) -> Path:
    """The golden file of a version."""
    return folder / f"{version}.json"


def load(path: Path) -> dict[str, list[dict[str, Any]]]:
    """What is in a golden file: of each story one run, and another one for each form that was added."""
    found: dict[str, list[dict[str, Any]]] = json.loads(path.read_text("utf-8"))["stories"]
    return found


def store(version: str, scratch: Path, folder: Path = HERE) -> list[str]:
    """Write down what the present code stores, as of this version. Returns the stories that were added.

    A run that is in the file is never changed and never removed: what is stored so must be read for good. A story is added where the file
    lacks it, or where the present code writes another form.
    """
    path = path_of(version, folder)
    known = load(path) if path.exists() else {}
    added: list[str] = []
    for name, one in STORIES.items():
        run = written(one, scratch / name)
        if forms(run) not in [forms(old) for old in known.get(name, [])]:
            known.setdefault(name, []).append(run)
            added.append(name)
    if added:
        text = json.dumps({"version": version, "stories": dict(sorted(known.items()))}, indent=1, ensure_ascii=False)
        path.write_text(text + "\n", "utf-8")
    return added
