"""The pytest plugin in runs of its own: fixtures, the mark that names engines, options, pytest-xdist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

pytestmark = pytest.mark.engine

MODEL = """
import asyncio
import pytest
from dynamorm import DB, Attr, Model, attr, partition_key

class Coin(Model, table="coins"):
    id: Attr[str] = partition_key()
    worth: Attr[int] = attr(default=1)
"""


@pytest.fixture
def run(tmp_path, engine):
    """Runs pytest on a file of tests: (exit code, what it says)."""

    def runner(tests, *options, **environment):
        (tmp_path / "test_it.py").write_text(MODEL + textwrap.dedent(tests), "utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers -p no:cacheprovider\n", "utf-8")
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "DYNAMODB_LOCAL"))}
        # One engine, and no other plugins: each run is quicker by seconds.
        env |= {
            "DYNAMODB_ENDPOINT": engine.endpoint,
            "DYNAMORM_TEST_ENGINE": engine.endpoint,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        ran = subprocess.run(
            [sys.executable, "-m", "pytest", "-rA", "-p", "dynamorm.testing.pytest_plugin", *options, "test_it.py"],
            cwd=tmp_path, env=env | environment, capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
        return ran.returncode, ran.stdout + ran.stderr

    return runner


def test_both_databases_are_there_and_apart(run):
    code, said = run(
        """
        @pytest.mark.parametrize("time", [1, 2])
        def test_one(test_db, time):
            assert test_db.get(Coin, "c1") is None
            test_db.create(Coin(id="c1"))

        def test_both(test_db, async_test_db):
            test_db.create(Coin(id="c1"))
            assert asyncio.run(async_test_db.get(Coin, "c1")) is None
            asyncio.run(async_test_db.create(Coin(id="c2")))
        """
    )
    assert code == 0, said


def test_workers_of_xdist_share_nothing(run):
    code, said = run(
        """
        @pytest.mark.parametrize("time", range(24))
        def test_one(test_db, time):
            for number in range(5):
                test_db.create(Coin(id=f"c{number}"))
            assert test_db.model(Coin).allow_scan().count() == 5
        """,
        "-p", "xdist", "-n", "3",
    )  # fmt: skip
    assert code == 0, said
    assert "24 passed" in said


def test_faults_are_those_of_the_tests_own_database(run):
    code, said = run(
        """
        def test_lossy(lossy, test_db, engine):
            assert lossy is test_db and engine is test_db.engine
            for number in range(60):
                lossy.create(Coin(id=f"c{number}"))
            (fault,) = engine.faults.active
            assert fault.count > 0
            assert test_db.model(Coin).allow_scan().count() == 60

        def test_throttled(throttled):
            for number in range(40):
                throttled.create(Coin(id=f"c{number}"))
            assert throttled.engine.faults.active[0].count > 0

        def test_slow_on_asyncio(slow, async_test_db):
            import time
            assert slow is async_test_db
            began = time.monotonic()
            asyncio.run(slow.get(Coin, "c1"))
            assert time.monotonic() - began >= 0.05

        def test_an_engine_of_its_own(engine):
            from dynamorm.testing import TestDB
            with TestDB(engine) as db, engine.faults.lose_reply(op="PutItem", times=1) as fault:
                db.create(Coin(id="c1"))
            assert fault.count == 1
        """,
        "--dynamorm-seed=1",  # one that throttles no request four times
    )
    assert code == 0, said


LOSSY = """
    def test_lossy(lossy):
        for number in range(30):
            lossy.create(Coin(id=f"c{number}"))
        pytest.fail(f"met {lossy.engine.faults.active[0].count}")
"""


def test_the_seed_of_a_failing_run_is_printed_and_repeats_it(run):
    code, said = run(LOSSY)
    seed = re.search(r"--dynamorm-seed=(\d+)", said)
    assert code == 1
    assert seed, said
    met = re.search(r"met \d+", said)[0]
    assert met in run(LOSSY, f"--dynamorm-seed={seed[1]}")[1]


ENGINES = """
    seen = []

    @pytest.mark.dynamorm_engines("memory", "sqlite", "ministack")
    def test_it(test_db, request):
        test_db.create(Coin(id="c1"))
        assert test_db.exists(Coin, "c1")
        seen.append((test_db.config.engine is not None, test_db.config.endpoint))

    def test_each_ran_on_its_own():
        assert [inside for inside, _ in seen] == [True, True, False]
        assert len({endpoint for _, endpoint in seen}) == 3

    @pytest.mark.dynamorm_engines("local")
    def test_local(async_test_db):
        asyncio.run(async_test_db.create(Coin(id="c1")))

    @pytest.mark.dynamorm_engines("local")
    def test_that_asks_for_nothing():
        pass
"""


def test_a_test_runs_on_each_engine_and_a_missing_one_is_a_skip_with_its_reason(run):
    code, said = run(ENGINES)
    assert code == 0, said
    for name in ("memory", "sqlite", "ministack"):
        assert f"PASSED test_it.py::test_it[{name}]" in said
    assert re.search(r"SKIPPED.*the engine local: .*DYNAMODB_LOCAL_HOME", said)
    assert "4 passed, 2 skipped" in said


def test_a_missing_engine_is_a_failure_where_engines_are_required(run):
    code, said = run(ENGINES, "--dynamorm-require-engines", "-k", "local or nothing")
    assert code == 1
    assert "2 errors" in said
    assert "the engine local: set DYNAMODB_LOCAL_HOME" in said


@pytest.mark.parametrize(("mark", "told"), [('"cassandra"', "not 'cassandra'"), ("", "names engines")])
def test_the_mark_takes_names_of_engines(run, mark, told):
    code, said = run(f"@pytest.mark.dynamorm_engines({mark})\ndef test_it(test_db): pass\n")
    assert code != 0
    assert told in said


def test_tables_of_failed_tests_are_kept_on_demand(run, tmp_path):
    tests = """
        def test_good(test_db):
            test_db.create(Coin(id="c1"))

        def test_bad(test_db):
            test_db.create(Coin(id="c1", worth=5))
            test_db.create(Coin(id="c2"))
            pytest.fail("no")

        def test_bad_on_asyncio(async_test_db):
            asyncio.run(async_test_db.create(Coin(id="c3")))
            pytest.fail("no")
    """
    assert run(tests)[0] == 1
    assert run(tests, "--dynamorm-keep", "kept")[0] == 1
    files = sorted(path.relative_to(tmp_path).as_posix() for path in (tmp_path / "kept").rglob("*.jsonl"))
    assert files == ["kept/test_it.py_test_bad/coins.jsonl", "kept/test_it.py_test_bad_on_asyncio/coins.jsonl"]
    rows = [json.loads(line)["Item"] for line in (tmp_path / files[0]).read_text("utf-8").splitlines()]
    assert sorted((row["id"]["S"], row["worth"]["N"]) for row in rows) == [("c1", "5"), ("c2", "1")]


def test_the_clock_of_the_fixture_is_the_tests_own(run):
    code, said = run(
        """
        import time
        from datetime import datetime, UTC

        def test_frozen(frozen_time, test_db):
            frozen_time.tick(60)
            assert datetime.now(UTC) == datetime(2024, 1, 1, 0, 1, tzinfo=UTC)
            test_db.create(Coin(id="c1"))

        def test_goes_on():
            assert datetime.now(UTC).year > 2024
        """
    )
    assert code == 0, said


def test_snapshots_are_taken_over_on_demand(run):
    tests = """
        def test_it(test_db):
            from dynamorm.testing import assert_snapshot
            test_db.create(Coin(id="c1"))
            assert_snapshot(test_db, "stored.yaml", [Coin])
    """
    assert run(tests)[0] == 1
    assert run(tests, "--dynamorm-update-snapshots")[0] == 0
    assert run(tests)[0] == 0


def test_the_options_and_the_mark_are_listed(run):
    assert "--dynamorm-require-engines" in run("", "--help")[1]
    assert "@pytest.mark.dynamorm_engines(*names)" in run("", "--markers")[1]


def test_a_fixture_called_engine_of_ones_own_is_no_hindrance(run):
    code, said = run(
        """
        @pytest.fixture
        def engine():
            return "an engine of SQLAlchemy"

        def test_it(test_db, engine):
            test_db.create(Coin(id="c1"))
            assert engine.startswith("an engine")
        """
    )
    assert code == 0, said
