"""The typing contract of expressions: good programs are accepted, each marked line is rejected, by both checkers."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.typing,
    pytest.mark.skipif(
        any(importlib.util.find_spec(name) is None for name in ("mypy", "pyright")), reason="needs the lint extra"
    ),
]

SRC = Path(__file__).parents[2] / "src"

MODEL = """
from __future__ import annotations
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Literal, NewType, TypeVar, assert_type, overload
from typing_extensions import Self
from dynamorm.models.expressions.path import Condition, Path, Size, Update

T = TypeVar("T")

class Attr(Path[T]):
    @overload
    def __get__(self, instance: None, owner: Any) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: Any) -> T: ...
    def __get__(self, instance: object | None, owner: Any) -> Any: ...

Cents = NewType("Cents", int)
UserId = NewType("UserId", str)

class Status(StrEnum):
    DONE = "done"

class Address:
    city: Attr[str]
    zip: Attr[str | None]

class Line:
    price: Attr[int]

class P:
    id: Attr[str]
    user: Attr[UserId]
    amount: Attr[int]
    paid: Attr[int | None]
    price: Attr[Decimal]
    fee: Attr[Decimal | None]
    cents: Attr[Cents]
    ratio: Attr[float]
    note: Attr[str | None]
    raw: Attr[bytes]
    rawn: Attr[bytes | None]
    status: Attr[Status]
    kind: Attr[Literal["x", "y"]]
    tags: Attr[list[str]]
    tagsn: Attr[list[str] | None]
    flags: Attr[set[str]]
    flagsn: Attr[frozenset[int] | None]
    pair: Attr[tuple[int, ...]]
    doc: Attr[dict[str, Any]]
    counts: Attr[dict[str, int]]
    any: Attr[Any]
    address: Attr[Address]
    lines: Attr[list[Line]]
    ok: Attr[bool]
    at: Attr[datetime]

def need(condition: Condition) -> None: ...
def change(update: Update) -> None: ...
"""

GOOD = """
assert_type(P.amount == 5, Condition)
assert_type(P.paid > 5, Condition)
assert_type(P.paid == None, Condition)
assert_type(P.amount < P.amount, Condition)
assert_type(P.amount < P.paid, Condition)
assert_type(P.fee > Decimal(5), Condition)
assert_type(P.note.begins_with("x"), Condition)
assert_type(P.id.begins_with("x"), Condition)
assert_type(P.user.begins_with("x"), Condition)
assert_type(P.status.begins_with("x"), Condition)
assert_type(P.kind.begins_with("x"), Condition)
assert_type(P.raw.begins_with(b"x"), Condition)
assert_type(P.rawn.begins_with(b"x"), Condition)
assert_type(P.any.begins_with("x"), Condition)
assert_type(P.any.add(5), Update)
assert_type(P.any.add({"x"}), Update)
assert_type(P.amount.add(5), Update)
assert_type(P.paid.add(5), Update)
assert_type(P.fee.add(5), Update)
assert_type(P.fee.add(Decimal(5)), Update)
assert_type(P.price.add(5), Update)
assert_type(P.cents.add(5), Update)
assert_type(P.ratio.add(5), Update)
assert_type(P.ratio.add(0.5), Update)
assert_type(P.flags.add({"x"}), Update)
assert_type(P.flags.delete({"x"}), Update)
assert_type(P.flagsn.add({3}), Update)
assert_type(P.flagsn.delete(frozenset({3})), Update)
assert_type(P.tags.append("x"), Update)
assert_type(P.tagsn.append_or_create("x"), Update)
assert_type(P.tags.prepend("x"), Update)
assert_type(P.tags.contains("x"), Condition)
assert_type(P.id.contains("x"), Condition)
assert_type(P.note.contains("x"), Condition)
assert_type(P.flagsn.contains(3), Condition)
assert_type(P.flags.contains("x"), Condition)
assert_type(P.pair.contains(1), Condition)
assert_type(P.raw.contains(b"x"), Condition)
assert_type(P.note.set(None), Update)
assert_type(P.amount.set(P.amount), Update)
assert_type(P.amount.if_not_exists(4), Update)
assert_type(P.status.in_([Status.DONE]), Condition)
assert_type(P.amount.between(1, 2), Condition)
assert_type(P.at.between(datetime.now(), datetime.now()), Condition)
assert_type(P.tags.size() > 3, Condition)
assert_type(P.tags.size() == 3, Condition)
assert_type(P.tags.size(), Size)
assert_type(P.tags[0], Path[str])
assert_type(P.tagsn[0], Path[str])
assert_type(P.counts["a"], Path[int])
assert_type(P.counts["a"].add(5), Update)
assert_type(P.doc["a"]["b"][0].set(5), Update)
assert_type(P.address[Address.city], Path[str])
assert_type(P.address[Address.city].set("x"), Update)
assert_type(P.address[Address.zip].remove(), Update)
assert_type(P.lines[0][Line.price].add(5), Update)
assert_type(P.ok == True, Condition)
assert_type(P.status == Status.DONE, Condition)
assert_type(P.kind == "x", Condition)
assert_type((P.amount > 5) & ~(P.id == "USD") | P.note.exists(), Condition)
"""

BAD = """
need(P.id == 5)  # E
need(P.amount == "x")  # E
need(P.amount != "x")  # E
need(P.id == P.amount)  # E
need(P.id)  # E
need(P.amount.add(5))  # E
change(P.amount > 5)  # E
P.amount > "x"  # E
P.amount.begins_with("x")  # E
P.id.begins_with(b"x")  # E
P.raw.begins_with("x")  # E
P.amount.set("x")  # E
P.amount.set(None)  # E
P.amount.set(P.id)  # E
P.id.add(5)  # E
P.note.add(5)  # E
P.amount.add(2.5)  # E
P.amount.add({"x"})  # E
P.price.add(0.5)  # E
P.flags.add({3})  # E
P.flags.add(["x"])  # E
P.flags.add("x")  # E
P.flagsn.add({"x"})  # E
P.flagsn.contains("x")  # E
P.flags.delete("x")  # E
P.tags.append(5)  # E
P.tags.append(["x"])  # E
P.id.append("x")  # E
P.amount.contains(5)  # E
P.tags.contains(5)  # E
P.amount.between(1, "2")  # E
P.amount.in_(["1"])  # E
P.tags.size() > "x"  # E
P.note.attribute_type("X")  # E
P.address[Address.city].set(5)  # E
P.counts["a"].set("x")  # E
P.tags[1:2]  # E
list(P.tags)  # E
"x" in P.tags  # E
P.amount & (P.amount > 5)  # E
(P.amount > 5) & P.amount  # E
(P.amount > 5) & True  # E
True & (P.amount > 5)  # E
(P.amount > 5).op = "="  # E
"""


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_correct_expressions_are_accepted_and_each_marked_line_is_rejected(tool, tmp_path):
    """Both programs are checked in one run: a checker takes longest to read what they import."""
    (tmp_path / "good.py").write_text(MODEL + GOOD)
    (tmp_path / "bad.py").write_text(MODEL + BAD)
    (tmp_path / "mypy.ini").write_text(f"[mypy]\nstrict = true\nmypy_path = {SRC}\npython_version = 3.11\n")
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{SRC}"], "pythonVersion": "3.11"}}')
    # Only the programs are on trial, not the modules that they import.
    options = {"mypy": ["--follow-imports=silent"], "pyright": ["--pythonpath", sys.executable]}[tool]
    command = [sys.executable, "-m", tool, *options, "good.py", "bad.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    rejected = [(name, int(line)) for name, line in re.findall(r"(good|bad)\.py:(\d+).*error", done.stdout)]
    assert [line for name, line in rejected if name == "good"] == [], said
    marked = {number for number, line in enumerate((MODEL + BAD).splitlines(), 1) if line.endswith("# E")}
    lines = {line for name, line in rejected if name == "bad"}
    assert lines == marked, f"missed {sorted(marked - lines)}\n{said}"
