"""The reference is complete: every public name, every code of an error and every setting is described, by what `make docs` makes."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import msgspec
import pytest

from dynamorm import errors
from dynamorm.config.environment import FORMS, PREFIX
from scripts.docs import api, settings
from scripts.docs import errors as error_pages
from scripts.docs.docstrings import tables_as_lists

ROOT = Path(__file__).resolve().parents[1]
CODE = re.compile(r"Err[A-Z]\w+")
IMPORTED = re.compile(r"^(?:from (dynamorm[\w.]*) import|import (dynamorm[\w.]*))", re.MULTILINE)


@pytest.fixture(scope="module")
def pages():
    return api.pages()


@pytest.mark.parametrize("module", api.MODULES)
def test_every_public_name_is_on_the_page_of_its_module(pages, module):
    """By its description, or by a link to the one page that describes it."""
    here = pages[f"reference/api/{module}.rst"]
    everything = "\n".join(pages.values())
    imported = __import__(module, fromlist=["*"])
    names = {name for name in api.names_of(imported) if not inspect.ismodule(getattr(imported, name))}
    shown = set(re.findall(r"^\.\. (?:auto\w+|py:data):: [\w.]*?(\w+)$", here, re.MULTILINE))
    linked = {full.rpartition(".")[2]: full for full in re.findall(r":py:obj:`~([\w.]+)`", here)}
    assert names <= shown | set(linked), sorted(names - shown - set(linked))
    assert all(re.search(rf":: {re.escape(full)}$", everything, re.MULTILINE) for full in linked.values())


def test_everything_that_is_on_a_page_is_described():
    silent = []
    for name, thing in api.documented().items():
        has_text = isinstance(thing, type) or inspect.isroutine(thing)
        if not (inspect.getdoc(thing) if has_text else api.said_of(name)):
            silent.append(name)
    assert not silent


def test_every_module_that_the_guide_imports_from_is_in_the_reference():
    texts = [page.read_text("utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]]
    modules = {one or other for text in texts for one, other in IMPORTED.findall(text)}
    assert modules <= set(api.MODULES)


def test_what_a_database_gives_out_is_described(pages):
    given = pages["reference/api/given.rst"]
    for name in (
        "Query",
        "AsyncQuery",
        "Transaction",
        "AsyncTransaction",
        "Tables",
        "AsyncTables",
        "TablePlan",
        "Explain",
    ):
        assert re.search(rf"^\.\. autoclass:: dynamorm\.[\w.]+\.{name}$", given, re.MULTILINE), name


def test_a_table_of_a_docstring_keeps_every_row_and_cell():
    text = ["Before.", "", "| a | what it is |", "|---|---|", "| x | one \\| two |", "| y - z: | |", "", "After."]
    assert tables_as_lists(text) == [
        *("Before.", "", ".. list-table::", "   :header-rows: 1", ""),
        *("   * - a", "     - what it is", "   * - x", "     - one | two", "   * - y - z:", "     - ", "", "After."),
    ]


def codes_in_the_source():
    found = set()
    for path in (ROOT / "src" / "dynamorm").rglob("*.py"):
        for node in ast.walk(ast.parse(source)) if b"Err" in (source := path.read_bytes()) else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and CODE.fullmatch(node.value):
                found.add(node.value)
    return found - {"Error", "Errors"}


def entries():
    text = (ROOT / "docs" / error_pages.PLACE).read_text("utf-8")
    parts = re.split(r"^### (Err\w+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_code_has_one_entry_with_its_cause_and_its_remedy():
    found = entries()
    assert set(found) == codes_in_the_source()
    for code, text in found.items():
        cause, remedy = (re.search(rf"^\*\*{word}\.\*\* (\S.+)", text, re.MULTILINE) for word in ("Cause", "Remedy"))
        assert cause, code
        assert remedy, code


def test_every_error_leads_to_its_entry():
    found = {code.lower() for code in entries()}
    for kinds in error_pages.kinds().values():
        for kind in kinds:
            place, _, anchor = kind("it failed").reference.partition("#")
            assert place == error_pages.PLACE.replace(".md", ".html")
            assert anchor in found, kind


def test_an_error_with_a_code_of_aws_leads_to_the_entry_of_its_class():
    error = errors.ClientError("refused", code="LimitExceededException")
    assert error.reference == "reference/errors.html#errclient"
    assert errors.ValidationError("no", code="ErrInvalidOperator").reference.endswith("#errinvalidoperator")


def test_every_class_is_named_at_its_code_with_its_outcome():
    (page,) = error_pages.pages().values()
    kinds = [kind for found in error_pages.kinds().values() for kind in found]
    named = [getattr(errors, name) for name in api.errors_of()]
    without = {errors.Retryable, errors.Rejected}  # which have no code of their own
    assert set(kinds) | without == {one for one in named if issubclass(one, errors.DynamORMError)}
    for kind in kinds:
        assert f"`~dynamorm.errors.{kind.__name__}`" in page.split(f"\n### {kind.code}\n")[1].split("\n### ")[0]


@pytest.mark.parametrize("cls", [cls for cls, _ in settings.CLASSES], ids=lambda cls: cls.__name__)
def test_every_setting_is_described(cls):
    (page,) = settings.pages().values()
    for name, text in settings.described(cls).items():
        assert len(text) > 10, name
        assert f".. confval:: {name}\n" in page
    assert set(settings.described(cls)) == {field.name for field in msgspec.structs.fields(cls)}


def test_every_variable_is_named_at_its_setting():
    (page,) = settings.pages().values()
    for name in FORMS:
        entry = page.split(f".. confval:: {name}\n")[1].split(".. confval::")[0]
        assert f"``{PREFIX}{name.upper()}``" in entry
