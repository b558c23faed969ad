"""The starter project: its tests pass, and its page answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine


def environ():
    return {name: value for name, value in os.environ.items() if not name.startswith(("DYNAMODB_", "DYNAMORM_"))}


def test_its_tests_pass_and_its_page_answers(run, tmp_path):
    ran = run("init", "shop")
    assert ran.code == 0, ran
    assert "shop/shop/models.py" in ran.lines
    assert "python -m shop.page" in ran.err
    folder = tmp_path / "shop"
    assert not any("NAME" in path.read_text() for path in folder.rglob("*") if path.is_file())

    command = [sys.executable, "-W", "error", "-m", "unittest"]
    tested = subprocess.run(command, cwd=folder, env=environ(), capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stderr
    assert "Ran 4 tests" in tested.stderr

    command = [sys.executable, "-m", "shop.page", "0"]
    with subprocess.Popen(command, cwd=folder, env=environ(), stdout=subprocess.PIPE, text=True) as child:
        try:
            url = child.stdout.readline().split()[3]
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert "Tea" in answer.read().decode()
            with urllib.request.urlopen(url, b"buy=tea", timeout=30) as answer:
                assert "you bought one: Tea" in answer.read().decode()
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0


def test_its_models_are_known_to_the_command(run, tmp_path, monkeypatch, db):
    run("init", "corner_shop")
    monkeypatch.chdir(tmp_path / "corner_shop")
    assert "by-category" in run("tables", "plan", "corner_shop.models").out
    for name in [name for name in sys.modules if name.startswith("corner_shop")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    "name",
    ["/tmp/shop", "../shop", "a/b", ".", "2shop", "my-shop", "class", "json", "dynamorm", "shöp", "", "_x", "a b"],
)
def test_what_is_no_name_makes_nothing(refused, tmp_path, name):
    refused(2, "init", name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_empty_is_left_alone(run, refused, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "mine.txt").write_text("mine")
    assert "not empty" in refused(2, "init", "shop")
    assert [path.name for path in (tmp_path / "shop").iterdir()] == ["mine.txt"]
    (tmp_path / "file").write_text("")
    refused(2, "init", "file")
    Path("empty").mkdir()
    paths = [json.loads(line)["path"] for line in run("init", "empty", "--json").lines]
    assert all(Path(path).is_file() for path in paths)
