"""The benchmark does what it says: repeated work is done each time, and outcomes of spoilt replies are named rightly."""

from __future__ import annotations

import importlib
import json

import pytest

from benchmarks import faults, newer, payload, plugins, report, sample, worker
from benchmarks.libraries import BY_NAME, ENTRIES, NEWER, PLUGGED
from benchmarks.libraries.base import Unsupported
from benchmarks.work import ALL, SCAN
from benchmarks.work import BY_NAME as WORKS
from dynamorm.errors import ConfigError
from dynamorm.testing import FaultServer, answers

ROUTES = {
    (route.operation, route.table): json.loads(route.pages[0])
    for route in payload.routes(scan_items=8)
    if route.operation != "Query"
}
FACES = ["dynamorm", "dynamorm-async"]
SIZE_OF_NUMBERS = 16
"""Bytes by which a repeated request may differ: a version grows a digit."""


def canned(request):
    """What the canned server answers, whoever asks."""
    body = json.loads(request.body)
    table = body.get("TableName") or next(iter(body.get("RequestItems", {"*": None})))
    return answers.json(ROUTES.get((request.operation, table)) or ROUTES[request.operation, "*"])


@pytest.fixture(scope="module")
def server():
    with FaultServer(canned) as running:
        yield running


def connected(name, endpoint):
    """A library's face, connected; the caller closes it."""
    entry = BY_NAME[name]
    module = pytest.importorskip(f"benchmarks.libraries.{entry.module}", exc_type=ImportError)
    library = getattr(module, entry.connect)(endpoint)
    return worker.AsyncFace(library) if library.face == "async" else worker.Face(library)


@pytest.fixture
def face(request, server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", sample.KEY_ID)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", sample.SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", sample.REGION)
    one = connected(request.param, server.endpoint)
    yield one
    one.close()


@pytest.mark.parametrize("face", [*FACES, "boto3"], indirect=True)
@pytest.mark.parametrize("work", ["batch-get-100", "batch-write-100", "transaction-10", "put"])
def test_repeated_work_sends_the_same_requests_each_time(face, work, server):
    operation = WORKS[work].prepare(face.library)
    sent = []
    for _ in range(3):
        server.clear()
        WORKS[work].check(face.once(operation))
        sent.append(sorted((one.operation, len(one.body)) for one in server.requests))
    assert [[name for name, _ in one] for one in sent] == [[name for name, _ in sent[0]]] * 3
    for one in sent[1:]:
        differences = [abs(ours - first) for (_, ours), (_, first) in zip(one, sent[0], strict=True)]
        assert max(differences) <= SIZE_OF_NUMBERS


@pytest.mark.parametrize("face", [*FACES, "boto3"], indirect=True)
def test_a_scan_counts_the_items_of_all_segments(face):
    found = worker.counted(face, SCAN.prepare(face.library), 8)
    assert found["count"] == 8


@pytest.mark.parametrize("face", ["dynamorm"], indirect=True)
def test_a_scan_that_misses_items_is_refused(face):
    with pytest.raises(ValueError, match="100 items were expected"):
        worker.counted(face, SCAN.prepare(face.library), 100)


@pytest.mark.parametrize("face", ["observed", "surrounded"], indirect=True)
def test_the_plugins_that_are_measured_are_called(face, server):
    face.once(WORKS["get"].prepare(face.library))
    (plugin,) = face.library.extensions
    assert plugin.count == 1


def test_a_batch_that_failed_in_part_is_no_result():
    class Report:
        ok = False

    with pytest.raises(ValueError, match="batch-write-100"):
        WORKS["batch-write-100"].check(Report())


@pytest.mark.parametrize(
    ("kind", "answer", "more", "named"),
    [
        ("add", {"value": 1}, 1, "applied once"),
        ("add", {"value": 1}, 2, "APPLIED TWICE"),
        ("add", {"value": 1}, 0, "LOST"),
        ("add", {"raised": "OutcomeUnknown: ..."}, 1, "applied once, error"),
        ("add", {"raised": "Timeout: ..."}, 2, "APPLIED TWICE, error"),
        ("create", {"value": "x"}, 0, "applied once"),
        ("create", {"raised": "PutError: ConditionalCheckFailedException"}, 0, "FALSE CONFLICT"),
        ("create", {"raised": "AlreadyExists: it is there"}, 0, "FALSE CONFLICT"),
        ("create", {"raised": "OutcomeUnknown: no answer"}, 0, "applied once, error"),
        ("read", {"value": faults.WRONG}, 0, "WRONG DATA ACCEPTED"),
        ("read", {"raised": "IntegrityError: ..."}, 0, "refused with an error"),
    ],
)
def test_what_came_of_a_trial_is_named(kind, answer, more, named):
    trial = faults.Trial("boto3", kind, 1, 11)
    assert faults.judged(trial, answer, sample.payment(11)["amount"] + more) == named


def test_the_right_amount_is_right_data():
    trial = faults.Trial("boto3", "read", 1, 11)
    right = sample.payment(11)["amount"]
    assert right != faults.WRONG
    assert faults.judged(trial, {"value": right}, right) == "right data"


def test_no_two_trials_share_a_payment():
    plan = faults.trials([entry.name for entry in ENTRIES])
    assert len(plan) == len(ENTRIES) * len(faults.KINDS) * (faults.TRIALS + 1)


@pytest.mark.engine
def test_dynamorm_applies_once_and_believes_no_wrong_checksum():
    found = faults.measure(FACES, tell=lambda text: None)
    right = {"add": {"applied once": 3}, "create": {"applied once": 3}, "read": {"right data": 3}}
    assert found == dict.fromkeys(FACES, right)


def test_every_library_has_an_adapter_of_its_own():
    assert len(BY_NAME) == len(ENTRIES) + len(PLUGGED) + len(NEWER)
    for entry in BY_NAME.values():
        assert importlib.util.find_spec(f"benchmarks.libraries.{entry.module}") is not None


def test_work_that_a_library_does_not_know_is_unsupported(server):
    face = connected("floor", server.endpoint)
    with pytest.raises(Unsupported):
        SCAN.prepare(face.library)
    face.close()


def test_without_the_newer_python_the_reason_is_said(monkeypatch, tmp_path):
    monkeypatch.setattr(newer, "FOLDER", tmp_path / "venv")
    monkeypatch.setattr(newer, "PYTHON", "3.99")
    with pytest.raises(ConfigError, match=r"no CPython 3\.99"):
        newer.interpreter()


def test_the_report_shows_plugins_faults_engines_and_the_newer_python():
    figure = {"cpu": [1.0, 2.0, 3.0], "wall": [2.0, 3.0, 4.0]}
    results = {
        "libraries": {"dynamorm": {"title": "DynamORM", "version": "1"}},
        "rounds": 3,
        "works": {"scan": {"dynamorm": figure}},
        "plugins": {work: {entry.name: [1.0, 2.0, 3.0, 4.0] for entry in PLUGGED} for work in plugins.WORKS},
        "faults": {"dynamorm": {kind: {"applied once": 3} for kind in faults.KINDS}},
        "engines": {"an engine": {"get": {"dynamorm": [100.0]}}},
        "newer": {
            "python": "3.12.1",
            "versions": {"dynamoxy": "0.3.0"},
            "works": {"get": {"dynamorm": figure, "dynamoxy": {"cpu": [], "wall": [], "error": "gone"}}},
        },
    }
    shown = {table.title: table for table in report.tables(results)}
    assert len(shown) == 6
    cells = {table.title: table.rows[0] for table in shown.values()}
    assert cells["Parallel scan: CPU, µs per item"] == ["parallel scan", "2.0 (1.0…3.0)"]
    assert cells["On CPython 3.12.1: CPU, µs per operation"] == ["get", "2.0 (1.0…3.0)", "failed"]
    assert cells["End to end: operations per second, one at a time"] == ["get, an engine", "100 (100…100)"]
    assert any("applied once: 3" in row for table in shown.values() for row in table.rows)


def test_the_scan_is_the_only_work_measured_by_the_item():
    assert [work.name for work in ALL if work.each] == ["scan"]


def test_what_a_plugin_adds_is_measured_pair_by_pair():
    calls = []
    operations = {plugins.PLAIN: lambda: calls.append("plain"), "observed": lambda: calls.append("observed")}
    found = plugins.pairs(operations, 4)
    assert list(found) == ["observed"]
    assert len(found["observed"]) == 4
    assert calls.count("plain") == calls.count("observed") == 5 * plugins.BLOCK  # the first block warms up
