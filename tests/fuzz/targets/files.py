"""Files that people and programs hand over: fixtures, imports, checkpoints, spools, documents."""

from __future__ import annotations

import json
import pathlib
import tempfile
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zlib import crc32

from dynamorm import Attr, Model, attr, partition_key, sort_key
from dynamorm.adapters.cli.ends import Stop
from dynamorm.adapters.cli.formats import csvs, ion, jsonl, s3
from dynamorm.adapters.cli.formats.manifest import read_manifest
from dynamorm.adapters.cli.generate import documents
from dynamorm.adapters.cli.plain import NotAnItem
from dynamorm.adapters.cli.transfer.checkpoint import Checkpoint
from dynamorm.engine import Engine
from dynamorm.plugins.batcher.spool import Spool
from dynamorm.testing import TestDB
from tests.fuzz.kit import SECRET, Ended, Target, documented, look_at

Make = Callable[[], Target]
_FOLDER: Final = pathlib.Path(
    tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if pathlib.Path("/dev/shm").is_dir() else None)
)


@dataclass
class Place:
    """Something inside."""

    city: str
    zip: int = 0


class Booked(Model, table="booked"):
    """With a field of each kind."""

    id: Attr[str] = partition_key()
    at: Attr[int] = sort_key()
    amount: Attr[Decimal] = attr(default=Decimal(0))
    note: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    raw: Attr[bytes | None] = attr(default=None)
    due: Attr[datetime | None] = attr(default=None)
    place: Attr[Place | None] = attr(default=None)
    lines: Attr[list[dict[str, Any]]] = attr(default_factory=list)


_RECORDS: Final = [
    {"id": "p1", "at": 1, "amount": "1.50", "tags": ["a", "b"], "raw": "AAEC", "due": "2026-01-01T00:00:00Z", "place": {"city": "B", "zip": 1}},
    {"id": "p2", "at": 2, "lines": [{"a": 1, "b": None, "c": [True, "x"]}]},
]  # fmt: skip
_YAML: Final = (
    "Booked:\n  - &a\n    id: p1\n    at: 1\n    amount: 1.50\n    tags: [a, b]\n    raw: !!binary AAEC\n    due: 2026-01-01 00:00:00Z\n"
    "    place: {city: B, zip: 0o7}\n  - <<: *a\n    at: 2\n    note: |\n      text\n    lines:\n      - {a: 1, b: ~, c: .5}\n"
)


def _fixtures(name: str, seeds: list[bytes], words: tuple[bytes, ...]) -> Target:
    engine = Engine()
    db = TestDB(engine, models=[Booked])
    db.tables.ensure(Booked)
    start = engine.snapshot()
    path = _FOLDER / f"fixture.{name}"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        try:
            with documented():
                repr(db.load_fixture(path))
        finally:
            engine.restore(start)

    return Target(f"fixtures-{name}", lambda: seeds, run, words)


def fixtures_yaml() -> Target:
    """Fixtures in YAML."""
    words = (b"&a ", b"*a", b"<<: *a", b"!!binary ", b"!!python/object:os.system ", b"!!set ", b"!!timestamp ", b"? ", b"- ", b": ", b"|\n", b">\n", b"---\n", b"...\n", b"{", b"[", b"~", b".inf", b"0x1f", b"1_000", b"2026-13-45", b"%YAML 1.1\n", b"\xc2\x85", b"{}-{n}", b"$ref")  # fmt: skip
    return _fixtures("yaml", [_YAML.encode(), json.dumps({"Booked": _RECORDS}).encode()], words)


def fixtures_json() -> Target:
    """Fixtures in JSON."""
    document = {"Booked": _RECORDS}
    return _fixtures(
        "json",
        [json.dumps(document).encode(), b'{"Booked":[]}'],
        (b'"Booked":', b"1e400", b"NaN", b"Infinity"),
    )


def _items(found: Iterable[Any]) -> None:
    """Look at items, and at what is none."""
    refused = False
    for one in found:
        if isinstance(one, BaseException):
            look_at(one)
            refused = True
        else:
            json.dumps(one)
    if refused:
        raise Ended


_WIRES: Final[dict[str, Any]] = {
    "id": {"S": "a"},
    "n": {"N": "1"},
    "b": {"B": "AAEC"},
    "l": {"L": [{"M": {"x": {"NULL": True}}}]},
    "s": {"SS": ["a", SECRET]},
    "t": {"BOOL": True},
}


def json_lines() -> Target:
    """Plain JSON, and that of DynamoDB."""
    path = _FOLDER / "lines.jsonl"

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with documented(Stop):
            lines = jsonl.Lines(path, ("id", "n"))
            for _, raw in lines.raw():
                _items(lines.items(raw))

    seeds = [
        json.dumps(_WIRES).encode(),
        b'{"id":"a","n":1,"f":1.5,"x":null,"l":[1,"a",{}]}\n{"id":"b","n":2}\n',
        b'{"id":"a","b":{"$binary":"AAEC"},"s":{"$set":["a"]}}',
    ]
    return Target("json-lines", lambda: seeds, run, (b'{"S":"', b'"$set":', b'"$binary":', b"1e400", b"NaN", b"\n"))


def csv() -> Target:
    """CSV, with and without types in its heads."""
    path, types = _FOLDER / "file.csv", {"id": "S", "n": "N"}

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with documented(Stop, NotAnItem):
            records = csvs.Records(path, None, types)
            for _, raw in records.raw():
                _items(records.items(raw))

    seeds = [
        b'id,n,note,l:json\na,1,"x, ""y""\nz",[1]\n',
        b'id,n:N,b:B,t:BOOL,s:SS\r\na,1.5,AAEC,true,"[""a""]"\r\n',
        b"\xef\xbb\xbfid\n'=1+1\n",
    ]
    return Target(
        "csv",
        lambda: seeds,
        run,
        (b'"', b'""', b",", b"\r\n", b":json", b":N", b":SS", b"\\N", b"NULL", b"'=", b"\0"),
    )


def ion_() -> Target:
    """Lines of Ion."""

    def run(data: bytes) -> None:
        with documented(Stop, NotAnItem):
            _items([ion.item_of(data)])

    seeds = [
        b'$ion_1_0 {Item:{id:"a",n:1.,b:{{AAEC}},t:true,z:null,l:[1.,"x"],m:{a:1.},s:$dynamodb_SS::["a","b"],ns:$dynamodb_NS::[1.,2.]}}',
        ion.line_of(_WIRES),
    ]
    return Target(
        "ion",
        lambda: seeds,
        run,
        (
            b"$dynamodb_SS::",
            b"$ion_1_0 ",
            b"{{",
            b"}}",
            b"null.int",
            b"1e5",
            b"1d400",
            b"'''",
            b"2026-01-01T",
            b"nan",
            b"::",
        ),
    )


def s3_exports() -> Target:
    """Lines of exports, and the manifests beside them. The first character tells which."""
    folder = _FOLDER / "export"
    folder.mkdir(exist_ok=True)
    facts = {"items": 1, "itemCount": 1, "md5Checksum": "x", "dataFileS3Key": "data/a.json.gz", "etag": "e"}

    def run(data: bytes) -> None:
        kind, rest = data[:1], data[1:]
        with documented(Stop, NotAnItem):
            if kind == b"F":
                (folder / "manifest-files.json").write_bytes(rest)
                repr(s3.files_of(folder))
            elif kind == b"M":
                (folder / "manifest-summary.json").write_bytes(rest)
                repr((s3.is_ion(folder), s3.keys_of(folder)))
            elif kind == b"C":
                (folder / "x.csv.manifest.json").write_bytes(rest)
                repr(read_manifest(folder / "x.csv"))
            else:
                _items([s3._item(rest)])

    seeds = [b"L" + json.dumps({"Item": _WIRES}).encode(), b'L{"NewImage":{}}', b"F" + json.dumps(facts).encode() + b"\n", b'M{"outputFormat":"ION","itemCount":1,"exportArn":"a"}',
             b'C{"format":"csv","table":"t","items":1,"bytes":2,"md5":"x","columns":[]}']  # fmt: skip
    return Target("s3-exports", lambda: seeds, run, (b'"Item":', b'"itemCount":', b"-1", b"1e400"))


def checkpoints() -> Target:
    """Checkpoints of long commands."""
    path, asked = _FOLDER / "checkpoint", {"command": "import", "table": "t"}

    def run(data: bytes) -> None:
        path.write_bytes(data)
        with documented(Stop):
            found = Checkpoint(path, asked)
            repr(found.lines)
            found.close()

    head = json.dumps({"dynamorm": 1, **asked, "began": "2026-01-01T00:00:00Z"}).encode()
    return Target(
        "checkpoints", lambda: [head + b'\n{"part":1,"items":5}\n', head], run, (b'{"dynamorm":1', b'"began":', b"\n")
    )


def spools() -> Target:
    """Spools, with checksums that are right: each line is made of a kind, places and data."""
    folder = _FOLDER / "spool"

    def run(data: bytes) -> None:
        folder.mkdir(exist_ok=True)
        for one in folder.iterdir():
            one.unlink()
        lines = data.split(b"\n")
        whole = b"".join(
            line + b"\n" if place == 0 or line[:1] == b"!" else b"%08x %b\n" % (crc32(line), line)
            for place, line in enumerate(lines[:-1])
        )
        (folder / "000000000001.spool").write_bytes(whole + lines[-1])
        with documented():
            spool = Spool(folder, None)
            try:
                repr((len(spool), spool.left))
            finally:
                spool.close()

    made = Spool(_FOLDER / "made", None) if (_FOLDER / "made").mkdir(exist_ok=True) is None else None
    assert made is not None
    made.add(b"{}")
    made.close()
    (stored,) = sorted((_FOLDER / "made").glob("*.spool"))
    head = stored.read_bytes().split(b"\n")[0]
    seeds = [
        b"\n".join([head, b"A 1 " + b64encode(b"{}"), b"A 2 e30=", b"S 1", b"E 1,2", b""]),
        stored.read_bytes(),
        head + b"\n",
    ]
    return Target("spools", lambda: seeds, run, (b"A 1 ", b"E 1", b"S 1,2 ", b"\n", b"A -1 ", b"9" * 5_000, b" "))


_DMS: Final = 'dms_version: "0.1"\nnamespace: shop\nmodels:\n  - name: Order\n    table: {name: orders}\n    keys:\n      partition: {attribute: PK, type: S}\n    attributes:\n      - {attribute: PK, type: S, required: true, roles: [pk]}\n'


def documents_() -> Target:
    """Documents that models are generated from; one that begins with a brace is JSON."""

    def run(data: bytes) -> None:
        path = _FOLDER / ("dms.json" if data[:1] == b"{" else "dms.yaml")
        path.write_bytes(data)
        with documented(Stop):
            repr(documents.read(path))

    return Target(
        "documents",
        lambda: [_DMS.encode(), b'{"dms_version":"0.1","models":[{"name":"A","table":{"name":"a"}}]}'],
        run,
        (b"models:", b"- ", b": ", b"&a ", b"*a", b"<<: *a", b"!!python/object:x "),
    )


TARGETS: Final[dict[str, Make]] = {
    "fixtures-yaml": fixtures_yaml, "fixtures-json": fixtures_json, "json-lines": json_lines, "csv": csv, "ion": ion_, "s3-exports": s3_exports,
    "checkpoints": checkpoints, "spools": spools, "documents": documents_,
}  # fmt: skip
