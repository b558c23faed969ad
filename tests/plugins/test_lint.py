"""The lint for development: scans and N+1 are told with the line of the caller, once for each place."""

import asyncio
import inspect
import warnings
from pathlib import Path

import pytest

from dynamorm import AsyncDB, Presets
from dynamorm.errors import ConfigError
from dynamorm.plugins.lint import DevelopmentLint, LintWarning
from dynamorm.testing import FaultServer, answers, reply
from tests.plugins.scripts import DONE, FOUND, FakeClock, Order, Payment, Scripted
from tests.support.faces import Face

PAGE = reply({"Items": [], "Count": 0, "ScannedCount": 0})


def line():
    """The line of the caller."""
    return inspect.currentframe().f_back.f_lineno


@pytest.fixture
def told():
    return []


@pytest.fixture
def server():
    def script(request):
        if request.operation in {"Scan", "Query"}:
            items = {} if b'"COUNT"' in request.body else {"Items": []}
            return answers.json({**items, "Count": 0, "ScannedCount": 0})
        return answers.json(
            {"Responses": {"payments": []}, "UnprocessedKeys": {}} if request.operation == "BatchGetItem" else {}
        )

    with FaultServer(script) as running:
        yield running


def linted(server, told, **settings):
    lint = DevelopmentLint(tell=lambda message, file, line: told.append((message, file, line)), **settings)
    return Presets.local_development(endpoint=server.endpoint), (lint,)


def blocking(server, told, **settings):
    config, plugins = linted(server, told, **settings)
    return Face("blocking", config, extensions=plugins)


def run(server, told, program, **settings):
    config, plugins = linted(server, told, **settings)

    async def main():
        async with AsyncDB(config, extensions=plugins) as db:
            return await program(db)

    return asyncio.run(main())


def test_n_plus_one_of_threads(server, told):
    db = blocking(server, told)
    for number in range(30):
        at = line() + 1
        db.get(Payment, f"p{number}")
    ((message, file, told_line),) = told
    assert (file, told_line) == (__file__, at)
    assert "one Payment was read here by get()" in message
    assert "db.batch_get(Payment, keys)" in message
    db.close()


def test_only_what_a_batch_could_read_is_told(server, told):
    db = blocking(server, told)
    for number in range(30):
        db.model(Order).where(Order.customer == f"c{number}").exists()
    assert not told
    for number in range(30):
        db.exists(Payment, f"p{number}")
    ((message, _, _),) = told
    assert "one Payment was read here by exists()" in message
    db.close()


def test_n_plus_one_of_tasks(server, told):
    async def program(db):
        for number in range(30):
            at = line() + 1
            await db.get(Payment, f"p{number}")
        return at

    at = run(server, told, program)
    assert [(file, told_line) for _, file, told_line in told] == [(__file__, at)]


def test_scans_of_threads(server, told):
    db = blocking(server, told)
    lines = []
    for _ in range(3):
        lines.append(line() + 1)
        db.model(Order).allow_scan().all()
        lines.append(line() + 1)
        for _ in db.model(Order).allow_scan():
            pass
        lines.append(line() + 1)
        db.model(Order).allow_scan().segments(3).count()
    assert sorted(told_line for _, _, told_line in told) == sorted(set(lines))
    assert {file for _, file, _ in told} == {__file__}
    assert all("this scans the whole of orders" in message for message, _, _ in told)
    db.close()


def test_scans_of_tasks(server, told):
    async def program(db):
        lines = [line() + 1]
        await db.model(Order).allow_scan().all()
        lines.append(line() + 1)
        async for _ in db.model(Order).allow_scan():
            pass
        lines.append(line() + 1)
        await db.model(Order).allow_scan().segments(3).count()
        return lines

    lines = run(server, told, program)
    assert sorted(told_line for _, _, told_line in told) == lines


def test_what_runs_in_a_task_of_its_own_has_no_line_and_is_not_told(server, told):
    """Nobody can say where it was called."""

    async def program(db):
        await asyncio.gather(*(db.get(Payment, f"p{n}") for n in range(30)))

    run(server, told, program)
    assert told == []


def test_what_is_no_n_plus_one(server, told):
    db = blocking(server, told)
    for _ in range(9):
        db.get(Payment, "p")
    for number in range(20):
        db.get(Payment if number % 2 else Order, *(("p",) if number % 2 else ("c", 1)))
    db.batch_get(Payment, [f"p{n}" for n in range(100)])
    for _ in range(20):
        db.put(Order(customer="c", number=1))
        db.model(Order).where(Order.customer == "c").all()
    # The line that asks for two models is told once.
    assert len(told) == 1
    db.close()


def test_slow_reads_are_none(face_kind, told):
    clock = FakeClock()
    lint = DevelopmentLint(tell=lambda *what: told.append(what), clock=clock.monotonic)
    here = Scripted(face_kind, lint, answer=FOUND, clock=clock)
    for _ in range(50):
        here.db.get(Payment, "p1")
        clock.advance(0.2)
    assert told == []
    for _ in range(50):
        here.db.get(Payment, "p1")
        clock.advance(0.01)
    assert len(told) == 1


def test_files_that_may(server, told):
    db = blocking(server, told, allow=("tests/plugins/",))
    db.model(Order).allow_scan().all()
    assert told == []
    db.close()


def test_warnings_name_the_line(server):
    config = Presets.local_development(endpoint=server.endpoint)
    db = Face("blocking", config, extensions=(DevelopmentLint(),))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            at = line() + 1
            db.model(Order).allow_scan().all()
    (warning,) = [
        one for one in caught if issubclass(one.category, LintWarning)
    ]  # others may be of what others have left
    assert (warning.filename, warning.lineno) == (__file__, at)
    with warnings.catch_warnings():
        warnings.simplefilter("error", LintWarning)
        with pytest.raises(LintWarning, match="scans the whole"):
            db.model(Order).allow_scan().all()
    db.close()


def test_a_tell_that_fails_changes_nothing(server, caplog):
    def failing(message, file, line):
        raise RuntimeError("no")

    db = Face(
        "blocking", Presets.local_development(endpoint=server.endpoint), extensions=(DevelopmentLint(tell=failing),)
    )
    assert db.model(Order).allow_scan().all() == []
    assert "tell of DevelopmentLint failed" in caplog.text
    db.close()


def test_nothing_piles_up(face_kind):
    clock = FakeClock()
    lint = DevelopmentLint(clock=clock.monotonic, tell=lambda *_: None)
    here = Scripted(face_kind, lint, answer=PAGE, clock=clock)
    for number in range(3):
        here.db.model(Order).allow_scan().limit(number + 1).all()
    here.answer = DONE
    here.db.get(Payment, "p")
    assert lint._places == {}


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"many": 1}, "many of DevelopmentLint is a whole number of 2 or more"),
        ({"many": -3}, "many of DevelopmentLint"),
        ({"within": 0}, "within of DevelopmentLint is a positive number"),
        ({"allow": "tests/"}, "a tuple"),
        ({"allow": (Path("tests"),)}, "parts of paths as texts: a tuple, allow=.'migrations/',.*, not PosixPath"),
        ({"allow": ("",)}, "parts of paths as texts"),
        ({"allow": None}, "not None"),
        ({"allow": 5}, "not int"),
        ({"allow": (None,)}, "parts of paths as texts"),
        ({"tell": "print"}, "tell of DevelopmentLint is a function"),
    ],
)
def test_bad_settings(settings, what):
    with pytest.raises(ConfigError, match=what):
        DevelopmentLint(**settings)


def test_who_is_told_takes_a_message_and_a_place():
    with pytest.raises(
        ConfigError, match=r"tell of DevelopmentLint is called with \(message, file, line\), and takes \(message\)"
    ):
        DevelopmentLint(tell=lambda message: None)
