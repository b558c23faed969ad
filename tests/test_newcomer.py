"""What a newcomer meets: the wheel in an environment without anything else, the README pasted into files, first mistakes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from scripts.release import contents
from tests.support.wheel import ROOT, clean, environment, pip, wheel

# What is built and installed is the same for every version; an index that answers slowly is no failure.
pytestmark = [pytest.mark.once, pytest.mark.timeout(300)]

README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    return wheel(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_the_package_alone(built: Path) -> None:
    """No demo, no tests, and no data but the mark that the package has types, the prices of AWS, two files of a page, and one for assistants."""
    with zipfile.ZipFile(built) as archive:
        paths = [PurePosixPath(name) for name in archive.namelist()]
    (information,) = {path.parts[0] for path in paths} - {"dynamorm"}
    assert information.endswith(".dist-info")
    inside = [path for path in paths if path.parts[0] == "dynamorm"]
    assert {path.suffix or path.name for path in inside} == {
        ".py", ".typed", ".json", ".css", ".js", ".txt", ".md",
    }  # fmt: skip
    assert sorted(str(path) for path in inside if path.suffix in {".json", ".css", ".js", ".md"}) == [
        "dynamorm/ASSISTANTS.md",
        "dynamorm/engine/shapes/shapes.json",
        "dynamorm/plugins/cost/prices.json",
        "dynamorm/plugins/dashboard/dashboard.css",
        "dynamorm/plugins/dashboard/dashboard.js",
    ]
    assert not [path for path in inside if {"demo", "examples", "tests"}.intersection(path.parts)]


def test_the_wheel_is_as_it_is_declared(built: Path) -> None:
    """Every file that is committed, the licences, and nothing else; the metadata are those of pyproject.toml."""
    assert contents.faults_of_wheel(built) == []


@pytest.fixture(scope="module")
def run(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Runs a file in a bare environment into which the wheel was installed as the README says. Returns what it prints."""
    assert "`pip install dynamorm-py`" in README
    place = tmp_path_factory.mktemp("newcomer")
    python, _ = environment(place / "venv")
    pip("--python", str(python), "install", "--no-compile", str(built))
    folder = place / "work"
    folder.mkdir()

    def run(text: str, name: str, *arguments: str) -> str:
        (folder / name).write_text(text, "utf-8")
        done = subprocess.run(
            [str(python), "-W", "error", name, *arguments],
            cwd=folder, env=clean(), capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


def test_the_blocks_of_the_readme_run_when_they_are_pasted_into_a_file(run: Callable[..., str]) -> None:
    assert len(BLOCKS) >= 3
    assert run(BLOCKS[0], "first.py") == ""
    assert run("\n\n".join(BLOCKS), "whole.py").startswith("Query on orders")  # the last block explains a query


def test_nothing_else_is_installed_and_imported(run: Callable[..., str]) -> None:
    program = (
        "import sys, dynamorm\nprint(dynamorm.__file__)\nprint('botocore' in sys.modules, 'asyncio' in sys.modules)"
    )
    file, modules = run(program, "where.py").splitlines()
    assert "site-packages" in file
    assert str(ROOT) not in file
    assert modules == "False False"


MISTAKES: list[tuple[str, str, list[str]]] = [
    ('P.id == "a" & P.amount > 1', "InvalidUse", ["parentheses", "(P.amount == value) & (...)"]),
    ('db.model(P).where(id="a")', "InvalidUse", [".where(P.id == value)"]),
    ('db.update(P, "a", amount=5)', "ValidationError", ["P.amount.set(value)"]),
    ('db.update(P, "a", {"amount": 5})', "ValidationError", ["P.amount.set(value)"]),
    ("asyncio.run(awaited())", "InvalidUse", ["tx.create(...)", "without await"]),
    ('db.update(P, "a", P.amount + 1)', "ValidationError", [".set(amount + ?)"]),
    ('P.id.startswith("a")', "InvalidAttribute", [".begins_with(text)"]),
    ("P.note.is_null()", "InvalidAttribute", ["== None"]),
    ('P.tags.insert(0, "x")', "InvalidAttribute", [".prepend(x), .append(x) or [index].set(x)"]),
    ("db.model(P).where(P.at is None).all()", "ValidationError", ["== None"]),
    ('DB(Presets.production(region="us-east1")).get(P, "a")', "ConfigError", ["us-east1", "correct it"]),
    ("db.tables.ensure(Indexed)", "ModelError", ["by-note", "db.tables.plan(Indexed)", "db.tables.apply(plan)"]),
    # Python names the nearest attribute itself from 3.13 on. Type checkers refuse the line on every version.
    ("p.amout = 1", "AttributeError", ["'P'", "'amout'", *(["'amount'"] if sys.version_info >= (3, 13) else [])]),
    ("blocking_with()", "InvalidUse", ["`async with AsyncDB(...)`"]),
    ("asyncio.run(async_with())", "InvalidUse", ["`with DB(...)`"]),
    ('db.update(P, "a", P.amount == 5)', "ValidationError", ["condition=...", ".set(value)"]),
    ("db.model(P).where(P.amount > 1 and P.amount < 5)", "InvalidUse", ["& | ~", "not with and"]),
    ('P(id="a", amout=5)', "UnknownArgument", ["did you mean 'amount'"]),
    ("P(amount=5)", "MissingArgument", ["keyword-only argument: 'id'"]),
    ('Config(regoin="eu-west-1")', "UnknownSetting", ["did you mean region"]),
    ("db.model(P).where(P.amount > 1).all()", "ValidationError", ["partition key", ".allow_scan()"]),
    ('bool(db.model(P).where(P.id == "a"))', "InvalidUse", [".exists()", ".first()"]),
    ("pickle.dumps(db)", "InvalidUse", ["db.config"]),
    ("db.create(P)", "InvalidUse", ["P(...)"]),
]

PROGRAM = """
import asyncio
import json
import pickle
import sys
import traceback

from dynamorm import DB, AsyncDB, Attr, Config, Model, Presets, attr, gsi, partition_key, version


class P(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    at: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    version: Attr[int] = version()


class Indexed(Model, table="payments"):
    id: Attr[str] = partition_key()
    note: Attr[str | None] = attr(default=None)
    by_note = gsi("by-note", partition="note")


async def awaited():
    async with AsyncDB(Presets.local_development()) as other, other.transaction() as tx:
        await tx.create(P(id="b"))


async def async_with():
    async with db:
        pass


def blocking_with():
    with AsyncDB(Presets.local_development()):
        pass


with DB(Presets.local_development()) as db:
    db.tables.ensure(P)
    p = db.create(P(id="a"))
    for mistake in json.loads(sys.argv[1]):
        try:
            exec(mistake)
        except Exception as error:
            print(json.dumps("".join(traceback.format_exception_only(error))))
        else:
            print(json.dumps("nothing"))
    assert db.require(P, "a") == p  # none has changed anything
    assert not db.exists(P, "b")
"""


def test_each_of_the_first_mistakes_is_answered_with_its_remedy(run: Callable[..., str]) -> None:
    assert len(MISTAKES) >= 20
    printed = run(PROGRAM, "mistakes.py", json.dumps([line for line, _, _ in MISTAKES])).splitlines()
    missing = []
    for (line, kind, words), text in zip(MISTAKES, map(json.loads, printed), strict=True):
        if not text.split(":")[0].endswith(kind) or not all(word in text for word in words):
            missing.append(f"{line}\n    {text}")
    assert not missing, "\n".join(missing)
