"""The asyncio face is what scripts/async_face.py makes of the blocking one, and the script sees what is wrong."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent

import pytest

from tests.architecture.tree import ROOT, SOURCE

SCRIPT = ROOT / "scripts" / "async_face.py"
FACES = SOURCE / "dynamorm" / "faces"


def loaded():
    spec = importlib.util.spec_from_file_location("async_face", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async_face = loaded()
needs_ruff = pytest.mark.skipif(
    not Path(sys.executable).with_name("ruff").exists(), reason="ruff is not installed beside this Python"
)


@needs_ruff
def test_the_asyncio_face_is_as_generated():
    ran = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_each_file_says_where_it_comes_from():
    for path in (FACES / "aio").glob("*.py"):
        assert path.read_text().startswith(
            f"# Generated from ../blocking/{path.name} by scripts/async_face.py: change that one.\n"
        )


@pytest.fixture
def room(tmp_path):
    """A copy of the faces, with the settings of the formatter."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    copy = tmp_path / "src" / "dynamorm" / "faces"
    shutil.copytree(FACES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@needs_ruff
@pytest.mark.parametrize("side", ["aio", "blocking"])
def test_a_change_on_one_side_is_shown_and_mended(room, side, capsys):
    path = room / side / "lease.py"
    path.write_text(path.read_text().replace("Let it run for another", "Let it last for another"))
    assert async_face.main(room, check=True) == 1
    shown = capsys.readouterr().out
    new, old = ("last", "run") if side == "blocking" else ("run", "last")
    assert f'-        """Let it {old} for another' in shown
    assert f'+        """Let it {new} for another' in shown
    assert async_face.main(room, check=False) == 0
    assert async_face.main(room, check=True) == 0
    assert f"Let it {new} for another" in (room / "aio" / "lease.py").read_text()


@needs_ruff
def test_a_file_of_one_side_alone_is_an_error(room):
    (room / "aio" / "left_over.py").write_text('"""Left over."""\n')
    (room / "aio" / "tables.py").unlink()
    assert async_face.main(room, check=True) == 1
    assert async_face.main(room, check=False) == 0
    assert not (room / "aio" / "left_over.py").exists()
    assert (room / "aio" / "tables.py").read_text() == (FACES / "aio" / "tables.py").read_text()


@needs_ruff
@pytest.mark.parametrize(
    "rule", ["It belongs to one thread", "StreamReader", "refuse_awaitable", "yield from", "# async: "]
)
def test_a_rule_that_nothing_needs_is_an_error(room, rule, capsys):
    for path in (room / "blocking").glob("*.py"):
        path.write_text(path.read_text().replace(rule, {"# async: ": "", "yield from": "yield"}.get(rule, "other")))
    async_face.main(room, check=False)
    assert f"a rule that nothing needs: {rule}\n" in capsys.readouterr().out


def test_every_rule_is_told_when_nothing_needs_any():
    assert async_face.Writer({}).unused == list(async_face.RULES)


def written(body):
    """What becomes of the body of a method, beside one that awaits and two that do not."""
    source = """
class Tables:
    def names(self):
        return self._run(flow)
    def each(self):
        yield self._run(flow)
    def plain(self):
        return 5
    def it(self):
"""
    text = f"{source}{indent(body, '        ')}\n"
    made = async_face.Writer({"x.py": text}).files()["x.py"]
    return dedent(made[made.index("it(self):\n") + len("it(self):\n") :]).strip(), "async def it" in made


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return self._run(flow(5))", "return await self._run(flow(5))"),
        ("return self._io.run(flow)  # why", "return await self._io.run(flow)  # why"),
        ("x = bool(self.names())", "x = bool(await self.names())"),
        ("return self.names()[0]", "return (await self.names())[0]"),
        ("return self.names().x, 'ä', self.names()", "return (await self.names()).x, 'ä', await self.names()"),
        ("while (x := self.names()):\n    pass", "while (x := await self.names()):\n    pass"),
        ("yield from self._run(flow)", "for item in await self._run(flow):\n    yield item"),
        ("for x in self:\n    f(x)", "async for x in self:\n    f(x)"),
        ("for x in self.names():\n    f(x)", "for x in await self.names():\n    f(x)"),
        ("with self:\n    f()", "async with self:\n    f()"),
        ("# async: await f()", "await f()"),
    ],
)
def test_what_waits(body, expected):
    text, is_async = written(body)
    assert text == expected
    assert is_async == (not body.startswith("#"))


@pytest.mark.parametrize(
    "body",
    [
        "return self._draft.commit()",
        "return self.plain()",
        "return lambda: other.names()",
        "with suppress(Planned):\n    f()",
        "for x in self._things():\n    f(x)",
        '"""Says ``names`` and ``no program (``."""',
    ],
)
def test_what_does_not_wait(body):
    assert written(body) == (body, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("``db.tables.names()``", "``await db.tables.names()``"),
        ("``db.tables.names()[0]`` or ``tx.names()``", "``(await db.tables.names())[0]`` or ``tx.names()``"),
        ("``f(lambda db: db.tables.names())``", "``f(lambda db: db.tables.names())``"),
        ("``for x in db.model(X): ...``", "``async for x in db.model(X): ...``"),
        (
            "Example::\n\n    with DB() as db:\n        db.names()\n\n    db.close()\n\nThe ``db`` of both.\n",
            "Example::\n\n    async with AsyncDB() as db:\n        await db.names()\n\n    db.close()\n\nThe ``db`` of both.\n",
        ),
        (
            "In a ``with`` block of the blocking face: `DB`.",
            "In an ``async with`` block of the asyncio face: `AsyncDB`.",
        ),
    ],
)
def test_examples_wait(text, expected):
    assert written(f'"""{text}"""') == (f'"""{expected}"""', False)


def test_an_overload_is_as_its_method():
    made = async_face.Writer(
        {"x.py": "class Many:\n    @overload\n    def f(self): ...\n    def f(self):\n        return self._run(g)\n"}
    ).files()["x.py"]
    assert made.count("async def f") == 2
    assert "class AsyncMany" in made
