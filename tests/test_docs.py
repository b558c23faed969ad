"""The README and the guide cannot lie: every Python block in them runs, on a test database of its own.

Blocks of one file run in order and share their names. ``db`` and ``async_db`` are opened before the first block. A
block after ``<!-- not run: why -->`` is only compiled; one in an async function or with top-level ``await`` is awaited.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import re
import secrets
import shlex
import sys
import types
from pathlib import Path

import pytest

import dynamorm
from dynamorm.__main__ import main as command_line
from dynamorm.testing import AsyncTestDB, TestDB

ROOT = Path(__file__).resolve().parents[1]
ASSISTANTS = ROOT / "src" / "dynamorm" / "ASSISTANTS.md"
"""The page that is shipped in the wheel."""
GUIDE = [ROOT / "README.md", ASSISTANTS, *sorted((ROOT / "docs" / "guide").glob("*.md"))]
OTHERS = sorted({*(ROOT / "docs").rglob("*.md")} - {*GUIDE})
ELSEWHERE = "<!-- not on DynamoDB Local -->"
"""Before a block of what that engine does not have."""
BLOCK = re.compile(
    rf"(?P<mark>(?:<!-- not run: [^\n]+ -->|{ELSEWHERE})\n+)?^```python\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE
)
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
PAGES = [page for page in [*GUIDE, *OTHERS] if page in GUIDE or BLOCK.search(page.read_text("utf-8"))]

OWN_ENGINES = ("engine.md", "testing.md")
"""Pages that show engines of their own, where tables need no prefix."""

pytestmark = [pytest.mark.engine, pytest.mark.whole]


def name_of(page):
    return page.relative_to(ROOT).as_posix().removeprefix("docs/").removeprefix("guide/")


def blocks(page):
    """(line number, code, whether it is run) of each block of a page."""
    text = page.read_text("utf-8")
    left_out = ("<!-- not run", ELSEWHERE) if os.environ.get("DYNAMORM_TEST_ENGINE") == "local" else "<!-- not run"
    return [
        (text.count("\n", 0, match.start("code")) + 1, match["code"], not (match["mark"] or "").startswith(left_out))
        for match in BLOCK.finditer(text)
    ]


@pytest.fixture
def page_module(request, monkeypatch, tmp_path):
    """A module to run the blocks of a page in: models look their annotations up in their module."""
    module = types.ModuleType("dynamorm_docs_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    return module


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_runs(page, page_module, monkeypatch):
    found = blocks(page)
    assert found, f"{page.name} shows no code"

    with TestDB() as db, asyncio.Runner() as runner:
        settings = {"table_prefix": db._session.config.table_prefix}
        async_db = runner.run(AsyncTestDB(db.config.engine, **settings).__aenter__())
        # `DB()` and the presets of a page work on the page's own tables.
        monkeypatch.setenv("DYNAMODB_ENDPOINT", db._session.config.endpoint)
        if page.name not in OWN_ENGINES:
            monkeypatch.setenv("DYNAMORM_TABLE_PREFIX", settings["table_prefix"])
        monkeypatch.setenv("SPOOL_KEY", secrets.token_hex(32))  # which a page takes from where secrets are kept
        vars(page_module).update(db=db, async_db=async_db)
        try:
            for line, code, is_run in found:
                padded = "\n" * (line - 1) + code  # so that a traceback names the page's own line
                compiled = compile(padded, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                if not is_run:
                    continue
                if compiled.co_flags & inspect.CO_COROUTINE:
                    runner.run(eval(compiled, vars(page_module)))
                else:
                    eval(compiled, vars(page_module))  # outside of any loop, so that a block may begin one
        finally:
            runner.run(async_db.close())
            if page_module.db is not db:  # a page that can be pasted opens its own
                page_module.db.close()
    monkeypatch.delenv("DYNAMODB_ENDPOINT")  # an engine that has ended
    run_the_tests_in(page_module)


def run_the_tests_in(module):
    """The tests that a page shows, with the fixtures they ask for."""
    for name, function in list(vars(module).items()):
        if not name.startswith("test_") or not inspect.isfunction(function):
            continue
        if inspect.iscoroutinefunction(function):

            async def program(function=function):
                async with AsyncTestDB() as fixture:
                    await function(fixture)

            asyncio.run(program())
        else:
            with TestDB() as fixture:
                function(fixture)


SHOWN = re.compile(r"^```(?P<kind>python|console)\n(?P<code>.*?)^```", re.DOTALL | re.MULTILINE)


def test_every_command_of_the_command_line_runs(page_module, monkeypatch, tmp_path):
    """Its commands, on its models, in the order of the page: each one ends with 0."""
    page = ROOT / "docs" / "guide" / "command-line.md"
    done = 0
    with TestDB() as db:
        monkeypatch.setenv("DYNAMODB_ENDPOINT", db.config.endpoint)
        monkeypatch.setenv("DYNAMORM_TABLE_PREFIX", db.config.table_prefix)
        for block in SHOWN.finditer(page.read_text("utf-8")):
            if block["kind"] == "python":
                (tmp_path / "shop_models.py").write_text(block["code"])
                monkeypatch.delitem(sys.modules, "shop_models", raising=False)
                continue
            for line in block["code"].splitlines():
                assert line.startswith("$ dynamorm "), line
                assert command_line(shlex.split(line)[2:]) == 0, line
                done += 1
    monkeypatch.delitem(sys.modules, "shop_models", raising=False)
    assert done > 10


PASTED = ("plugins", "observability", "tracing", "resilience", "cache", "batcher", "cost")


@pytest.mark.parametrize("name", PASTED)
def test_a_page_about_plugins_runs_as_it_is_pasted(name, page_module, monkeypatch):
    """Its blocks are one program, which opens its own database and has no ``await`` outside of functions."""
    with TestDB() as scratch:
        monkeypatch.setenv("DYNAMODB_ENDPOINT", scratch.config.endpoint)
        monkeypatch.setenv("DYNAMORM_TABLE_PREFIX", scratch.config.table_prefix)
        monkeypatch.setenv("SPOOL_KEY", secrets.token_hex(32))
        page = ROOT / "docs" / "guide" / f"{name}.md"
        program = "\n".join(code for _, code, is_run in blocks(page) if is_run)
        exec(compile(program, str(page), "exec"), vars(page_module))
        page_module.db.close()


@pytest.mark.parametrize("page", [*GUIDE, *OTHERS], ids=name_of)
def test_every_link_leads_somewhere(page):
    """To a file, or to a page that is made when the documentation is built (tests/test_docs_reference.py looks at those)."""
    links = [(page.parent / link).resolve() for link in LINK.findall(page.read_text("utf-8"))]
    made = {(ROOT / "docs" / place) for place in ("reference/api/index.rst", "reference/configuration.rst")}
    assert not [link for link in links if not link.exists() and link not in made]


STARTER = ROOT / "src" / "dynamorm" / "adapters" / "cli" / "starter" / "makefile.txt"


def test_the_set_up_commands_of_the_readme_exist():
    """In the Makefile here; what the page of the command line says of a starter project, in the one of that."""
    here, there = (
        set(re.findall(r"^([a-z-]+):", path.read_text("utf-8"), re.MULTILINE)) for path in (ROOT / "Makefile", STARTER)
    )
    named = set()
    for page in GUIDE:
        found = set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text("utf-8"), re.MULTILINE))
        assert found <= (here | there if page.name == "command-line.md" else here), page
        named |= found
    assert {"demo", "docs", "test"} <= named


def test_the_tests_that_the_threat_model_names_are_there():
    text = (ROOT / "docs" / "threat-model.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/.*]+)`", text)
    assert len(named) > 20
    assert not [path for path in named if not any(ROOT.glob(path))]


def test_every_page_is_in_a_list_of_pages():
    """A new page goes into docs/index.md, or into the list of its folder: else `make docs` ends with an error."""
    docs = ROOT / "docs"
    listed = {docs / "index.md"}
    for page in docs.rglob("*.md"):
        for tree in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE):
            for line in filter(None, (line.strip() for line in tree.splitlines())):
                if not line.startswith(":"):
                    listed |= {*page.parent.glob(f"{line}.md")}
    assert not [name_of(page) for page in docs.rglob("*.md") if page not in listed]


@pytest.mark.parametrize("page", [*GUIDE, *OTHERS], ids=name_of)
def test_no_block_of_python_is_passed_by(page):
    """One that is indented, as in a list, or whose fence has other words, would be shown and never run."""
    text = page.read_text("utf-8")
    assert len(re.findall(r"^\s*(?:```+|~~~+)\s*(?:python|py|pycon|\{code)", text, re.MULTILINE)) == len(
        BLOCK.findall(text)
    )


def test_the_page_for_assistants_is_in_the_package():
    """It lies in the folder that the wheel is made of, and is short enough to be read whole."""
    text = ASSISTANTS.read_text("utf-8")
    assert (Path(dynamorm.__file__).parent / ASSISTANTS.name).read_text("utf-8") == text
    assert len(text.splitlines()) < 200
