"""Random expressions mean on the engine what they mean to the evaluator: not one difference, values exact.

``make test`` compares fifty thousand on the engine inside the process, ``make soak`` a million there and a million on DynamoDB Local,
of which ``make test-local`` compares twenty thousand.
The seed is in the report of a failure; ``DYNAMORM_TEST_SEED`` sets another. A long run tells how far it came, and goes on with
the world that ``DYNAMORM_TEST_FIRST`` says.
"""

import asyncio
import os
import uuid

import pytest

from dynamorm import AsyncDB, Attr, HighThroughput, Model, Presets, partition_key, sort_key
from tests.conftest import ENGINE

from . import runner
from .runner import KINDS, Run
from .worlds import TABLE

SEED = int(os.environ.get("DYNAMORM_TEST_SEED", "20240501"))


class Plain(Model, table=TABLE):
    pk: Attr[str] = partition_key()
    sk: Attr[int] = sort_key()


FIRST = int(os.environ.get("DYNAMORM_TEST_FIRST", "0"))


def compare(engine, count, seed, *, gentle=False, first=0, tell=lambda _: None):
    """Compare so many expressions, from a world on."""

    async def run():
        config = Presets.local_development(
            endpoint=engine.endpoint,
            table_prefix=f"{uuid.uuid4().hex}-",  # every comparison has a table of its own
            # A busy machine takes its time; nothing is lost here that would have to be found soon.
            operation_timeout=100,
            performance=HighThroughput(request_timeout=60),
        )
        async with AsyncDB(config) as db:
            await db.tables.create(Plain)
            found = Run(db, seed, gentle=gentle)
            await found.until(count, first, tell)
            return found

    found = asyncio.run(run())
    print(f"seed {seed}: {found.compared} expressions, {dict(found.counts)}")  # noqa: T201 - shown with a failure, or by -s
    return found


def check(found, count):
    assert not found.differences, f"{len(found.differences)} differences:\n" + "\n".join(found.differences[:5])
    assert found.compared >= count
    # A run in which nothing is ever true, or nothing refused, would compare little.
    counts = found.counts
    assert 0.2 < counts["true conditions"] / counts["conditions"] < 0.8
    assert 0.1 < counts["items found"] / counts["items filtered"] < 0.9
    assert counts["attributes found"] > counts["projections"] / 2
    if not found.gentle:
        assert all(counts[kind] for kind in KINDS)
        assert 0.05 < counts["refused updates"] / counts["updates"] < 0.5


@pytest.mark.skipif(ENGINE == "ministack", reason="ministack differs too much (docs/engines.md)")
@pytest.mark.local
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "count", [20_000, pytest.param(1_000_000, marks=[pytest.mark.soak, pytest.mark.timeout(36_000)])]
)
def test_random_expressions_mean_what_they_say(engine, count, capsys):
    def tell(text):
        with capsys.disabled():
            print(text, flush=True)  # noqa: T201 - a run of an hour tells how far it came

    if count <= 20_000:
        check(compare(engine, count, SEED), count)
        return
    left = count - FIRST * WORLD
    check(compare(engine, left, SEED, first=FIRST, tell=tell), left)


WORLD = 5_900
"""Expressions of a world, or a few less."""

IN_PROCESS = pytest.mark.skipif(ENGINE != "memory", reason="of the engine inside the process")


@pytest.mark.engine
@pytest.mark.once
@IN_PROCESS
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [SEED + 1, SEED + 2])
def test_thirty_thousand_expressions_mean_what_they_say_inside_the_process(engine, seed):
    """With the 20,000 that DynamoDB Local is asked, the gate has 50,000."""
    check(compare(engine, 15_000, seed), 15_000)


@pytest.mark.soak
@IN_PROCESS
@pytest.mark.timeout(7_200)
def test_a_million_expressions_mean_what_they_say_inside_the_process(engine):
    check(compare(engine, 1_000_000, SEED + 4), 1_000_000)


@pytest.mark.engine
@pytest.mark.skipif(ENGINE != "ministack", reason="a part of what is compared with the others")
def test_random_expressions_mean_what_they_say_as_far_as_the_embedded_engine_understands_them(engine):
    check(compare(engine, 800, SEED, gentle=True), 800)


@pytest.fixture
def small(monkeypatch):
    """Worlds of few expressions."""
    for name, size in (("CONDITIONS", 2), ("FILTERS", 20), ("PROJECTIONS", 1)):
        monkeypatch.setitem(runner.GENTLE, name, size)


@pytest.mark.engine
def test_a_compiler_that_mixes_up_or_and_and_is_found_out(engine, small, monkeypatch):
    honest = runner.condition_text
    monkeypatch.setattr(runner, "condition_text", lambda *args: honest(*args).replace(" OR ", " AND "))
    assert compare(engine, 100, SEED, gentle=True).differences


@pytest.mark.engine
def test_placeholders_that_ignore_letter_case_are_found_out(engine, small, monkeypatch):
    honest = runner.Placeholders.name
    monkeypatch.setattr(runner.Placeholders, "name", lambda self, stored: honest(self, stored.lower()))
    assert compare(engine, 100, SEED, gentle=True).differences


@pytest.mark.engine
def test_values_that_overwrite_one_another_are_found_out(engine, small, monkeypatch):
    def value(self, wire):
        self.values[":v0"] = wire
        return ":v0"

    monkeypatch.setattr(runner.Placeholders, "value", value)
    assert compare(engine, 100, SEED, gentle=True).differences
