"""The starter project: its tests pass, and its page answers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.wheel import ROOT

pytestmark = pytest.mark.engine


def environ():
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DYNAMODB_", "DYNAMORM_"))
    }


@contextmanager
def served(folder, *arguments, **more):
    """The page of a project, in a process of its own. Gives its address, and ends it by Ctrl-C."""
    command = [sys.executable, "-W", "error", "-m", "shop.page", *arguments]
    with subprocess.Popen(command, cwd=folder, env=environ() | more, stdout=subprocess.PIPE, text=True) as child:
        try:
            yield child.stdout.readline().split()[3]
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 0


def opened(url, data=None):
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        assert answer.status == 200
        return answer.read().decode()


def test_its_tests_pass_and_its_page_answers(run, tmp_path):
    ran = run("init", "shop")
    assert ran.code == 0, ran
    assert "shop/shop/models.py" in ran.lines
    assert "python -m shop.page" in ran.err
    folder = tmp_path / "shop"
    assert not any("NAME" in path.read_text() for path in folder.rglob("*") if path.is_file())

    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    tested = subprocess.run(command, cwd=folder, env=environ(), capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert "12 passed" in tested.stdout

    with served(folder, "0") as url:
        assert "Tea" in opened(url)
        assert "You bought one: Tea." in opened(url, b"buy=tea")
        assert "You bought one" not in opened(f"{url}/?bought=nothing")
    with served(folder, "0") as url:
        assert '<td>Tea<td class="number">4.50<td class="number">4' in opened(url), "it is all in a file"


def test_a_clumsy_user_is_told_what_to_do(run, tmp_path, engine):
    run("init", "shop")
    folder = tmp_path / "shop"

    def told(*arguments, **more):
        command = [sys.executable, "-m", "shop.page", *arguments]
        done = subprocess.run(
            command, cwd=folder, env=environ() | more, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 1
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "usage" in told("no-port")
    assert "usage" in told("99999")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "is taken: try" in told(str(taken.getsockname()[1]))
    with served(folder, "0"):
        assert "the database cannot be used" in told("0"), "a file serves one process at a time"
    assert "dynamorm tables apply shop.models --yes" in told("0", DYNAMODB_ENDPOINT=engine.endpoint)
    nowhere = {"AWS_CONFIG_FILE": "none", "AWS_SHARED_CREDENTIALS_FILE": "none", "AWS_EC2_METADATA_DISABLED": "true"}
    assert "no usable AWS credentials" in told("0", AWS_REGION="eu-central-1", **nowhere)


@pytest.mark.parametrize("keys", [{}, {"AWS_ACCESS_KEY_ID": "AKIDSHOP", "AWS_SECRET_ACCESS_KEY": "secret"}])
def test_an_emulator_shows_the_page_what_the_command_has_made(run, tmp_path, engine, prefix, monkeypatch, keys):
    """Also one that keeps the tables of each key apart."""
    run("init", "shop")
    for name, value in keys.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(tmp_path / "shop")
    with shop_models_forgotten(monkeypatch):
        assert run("tables", "apply", "shop.models", "--yes").code == 0
    with served(tmp_path / "shop", "0", DYNAMODB_ENDPOINT=engine.endpoint, DYNAMORM_TABLE_PREFIX=prefix, **keys) as url:
        assert "You bought one: Tea." in opened(url, b"buy=tea")
    assert '"stock":4' in run("get", "products", "tea").out
    code = "from shop.database import opened\nwith opened() as db: print(db.config.credentials.key_id)"
    more = {"DYNAMODB_ENDPOINT": engine.endpoint, **keys}
    asked = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "shop",
        env=environ() | more,
        capture_output=True,
        text=True,
        check=True,
    )
    assert asked.stdout.strip() == keys.get("AWS_ACCESS_KEY_ID", "local")


@contextmanager
def shop_models_forgotten(monkeypatch):
    """Modules of a project that is gone with its test are gone, too."""
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "shop"]:
        monkeypatch.delitem(sys.modules, name)


def test_it_says_what_is_missing(run, monkeypatch):
    assert "pip install" not in run("init", "shop").err
    monkeypatch.setattr("dynamorm.adapters.cli.commands.start.find_spec", lambda name: None)
    assert "pip install 'dynamorm-py[testing]'; python -m pytest" in run("init", "other_shop").err


@pytest.mark.typing
@pytest.mark.parametrize(
    "checker", [["mypy", "--strict", "--no-incremental"], ["pyright", "--pythonpath", sys.executable]]
)
def test_checkers_have_nothing_to_say_of_it(run, tmp_path, checker):
    run("init", "shop")
    command = [sys.executable, "-m", *checker, "shop", "tests"]
    checked = subprocess.run(command, cwd=tmp_path / "shop", capture_output=True, text=True, check=False, timeout=300)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.soak
def test_the_way_of_a_stranger(tmp_path):
    """From the wheel to a page in a browser, with nothing of this tree."""
    command = [sys.executable, "scripts/strangers_path.py", "--pictures", str(tmp_path)]
    walked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "in all" in walked.stdout, walked.stdout + walked.stderr
    assert "a product is bought" in walked.stdout


def test_its_models_are_known_to_the_command(run, tmp_path, monkeypatch, db):
    run("init", "corner_shop")
    monkeypatch.chdir(tmp_path / "corner_shop")
    assert "by-category" in run("tables", "plan", "corner_shop.models").out
    for name in [name for name in sys.modules if name.startswith("corner_shop")]:
        monkeypatch.delitem(sys.modules, name)


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/shop",
        "../shop",
        "a/b",
        ".",
        "2shop",
        "my-shop",
        "class",
        "json",
        "dynamorm",
        "pytest",
        "Typer",
        "shöp",
        "",
        "_x",
        "a b",
    ],
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
