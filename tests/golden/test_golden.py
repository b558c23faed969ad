"""What every released version has stored is read by the present code, and what the present code stores is written down.

`scripts/golden_items.py` writes the file of a new version. The file of a released version never changes.
"""

from __future__ import annotations

import copy
import json
import tomllib
from hashlib import sha256

import pytest
from packaging.version import Version

from tests.support.wheel import ROOT

from . import kit, stories  # noqa: F401 - which fills kit.STORIES

pytestmark = pytest.mark.whole

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
FILES = sorted(kit.HERE.glob("*.json"), key=lambda path: Version(path.stem))
RUNS = [
    pytest.param(name, run, id=f"{path.stem}: {name}{f' {number}' if number else ''}")
    for path in FILES
    for name, runs in kit.load(path).items()
    for number, run in enumerate(runs)
]


@pytest.mark.parametrize(("name", "run"), RUNS)
def test_what_a_version_has_stored_is_read(name, run, tmp_path):
    """With the values that were read then, by every way that a story reads."""
    assert kit.read_again(kit.STORIES[name], run, tmp_path) == run["read"]


@pytest.mark.parametrize("name", kit.STORIES)
def test_what_is_stored_now_has_a_form_that_is_written_down(name, tmp_path):
    """Another form is a change of what is promised: add it on purpose, by ``python scripts/golden_items.py``, and tell it in the changelog."""
    known = kit.load(kit.path_of(VERSION)).get(name, [])
    now = kit.forms(kit.written(kit.STORIES[name], tmp_path))
    if now not in [kit.forms(run) for run in known]:
        told = [f"not known: {line}" for run in known[-1:] for line in now - kit.forms(run)]
        told += [f"not stored any more: {line}" for run in known[-1:] for line in kit.forms(run) - now]
        pytest.fail(f"{kit.path_of(VERSION).name} lacks what {name!r} stores now:\n" + "\n".join(told))


def test_each_version_has_a_file_and_no_file_lost_a_story():
    assert VERSION in [path.stem for path in FILES]
    assert all(Version(path.stem) <= Version(VERSION) for path in FILES)
    for path in FILES:
        found = json.loads(path.read_text("utf-8"))
        assert found["version"] == path.stem
        assert set(found["stories"]) <= set(kit.STORIES), "a story was removed, so nobody reads what it has stored"
    assert set(kit.load(kit.path_of(VERSION))) == set(kit.STORIES)


RELEASED: dict[str, str] = {}
"""The SHA-256 of the file of each released version. A line is added when a version is released, and stays."""


def test_the_file_of_a_released_version_is_as_it_was_when_it_was_released():
    found = {
        path.stem: sha256(path.read_bytes()).hexdigest()
        for path in FILES
        if path.stem != VERSION or VERSION in RELEASED
    }
    assert found == RELEASED


def test_every_kind_of_stored_thing_is_written_down():
    """Each table and attribute of the library's own is in the items that are written down."""
    text = kit.path_of(VERSION).read_text("utf-8")
    for mark in (
        *('"_wt"', '"_seal"', '"_sealed"', '"_bi_number"', "~U#", "~K#", "~A#", "~R#", "~D#", "~I#", "T#acme#"),
        *('"LOCK"', "dynamorm-ledger-balances", "dynamorm-outbox-queues", "dynamorm-idempotency", "dynamorm-spool"),
        *('\\"dynamorm\\":1', '"v0.1"', '"head"'),
    ):
        assert mark in text, mark
    # Every type of DynamoDB.
    for kind in ("S", "N", "B", "SS", "NS", "BS", "M", "L", "BOOL", "NULL"):
        assert f'"{kind}": ' in text


NAME = "versions tokens counters and lists"


def changed(run, change):
    other = copy.deepcopy(run)
    change(other["tables"])
    return other


@pytest.mark.parametrize(
    "change",
    [
        lambda tables: tables["golden-accounts"][0].update(more={"S": "x"}),
        lambda tables: tables["golden-accounts"][0].pop("_wt"),
        lambda tables: tables["golden-accounts"][0].update(left={"S": "5"}),
        lambda tables: tables["golden-accounts"][0].update(left={"N": "5.0"}),
        lambda tables: tables["golden-accounts"][0].update(_wt={"B": "AAAA"}),
        lambda tables: tables["golden-accounts"].append({"id": {"S": "another"}}),
        lambda tables: tables["golden-counters"].pop(),
        lambda tables: tables.update(other=tables.pop("golden-counters")),
    ],
)
def test_another_form_is_noticed(change):
    (run,) = kit.load(kit.path_of(VERSION))[NAME][:1]
    assert kit.forms(changed(run, change)) != kit.forms(run)


def test_what_differs_from_run_to_run_is_no_other_form(tmp_path):
    one, other = (kit.written(kit.STORIES[NAME], tmp_path / name) for name in ("one", "other"))
    assert one["tables"] != other["tables"]  # its tokens
    assert kit.forms(one) == kit.forms(other)


def test_a_value_that_is_read_otherwise_is_noticed(tmp_path):
    (run,) = kit.load(kit.path_of(VERSION))[NAME][:1]
    wrong = changed(run, lambda tables: tables["golden-accounts"][0].update(left={"N": "6"}))
    assert kit.read_again(kit.STORIES[NAME], wrong, tmp_path) != run["read"]


def test_a_file_is_added_to_and_never_written_over(tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "STORIES", {name: kit.STORIES[name] for name in ("leases", NAME)})
    assert kit.store("9.9.9", tmp_path / "one", tmp_path) == ["leases", NAME]
    path = kit.path_of("9.9.9", tmp_path)
    before = path.read_bytes()
    assert kit.store("9.9.9", tmp_path / "two", tmp_path) == []
    assert path.read_bytes() == before
    known = kit.load(path)
    first = known["leases"][0]
    first["tables"]["golden-leases"][0]["former"] = {"S": "attribute"}
    path.write_text(json.dumps({"version": "9.9.9", "stories": known}))
    assert kit.store("9.9.9", tmp_path / "three", tmp_path) == ["leases"]
    after = kit.load(path)
    assert after["leases"][0] == first
    assert len(after["leases"]) == 2
    assert after[NAME] == known[NAME]
