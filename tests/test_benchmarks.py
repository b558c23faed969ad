"""The benchmark does what it says: repeated work is done each time, and outcomes of spoilt replies are named rightly."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest

from benchmarks import (
    batcher_faults,
    calls,
    child,
    cores,
    faults,
    growth,
    measure,
    newer,
    output,
    payload,
    plugins,
    progress,
    ratios,
    report,
    run,
    sample,
    stacks,
    targets,
    upgrades,
    worker,
)
from benchmarks import profile as profiling
from benchmarks.libraries import BY_NAME, ENTRIES, NEWER, PLUGGED
from benchmarks.libraries.base import Unsupported
from benchmarks.work import ALL, SCAN
from benchmarks.work import BY_NAME as WORKS
from dynamorm import DB, Presets
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
    table += "/ACTIVE" if b'"ACTIVE"' in request.body else ""
    return answers.json(ROUTES.get((request.operation, table)) or ROUTES[request.operation, "*"])


@pytest.fixture(scope="module")
def server():
    with FaultServer(canned) as running:
        yield running


def connected(name, endpoint):
    """A library's face, connected; the caller closes it."""
    pytest.importorskip(f"benchmarks.libraries.{BY_NAME[name].module}", exc_type=ImportError)
    return worker.connected(name, endpoint)


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


@pytest.mark.parametrize("face", FACES, indirect=True)
def test_the_get_with_everything_on_reads_its_key_once_and_gives_the_text_back(face, server):
    server.clear()
    operation = WORKS["protected-get"].prepare(face.library)
    tables = []
    for _ in range(3):
        found = face.once(operation)
        assert (found.merchant_id, found.idempotency_key) == (
            sample.MERCHANT,
            sample.payment(1)["idempotency_key"],
        )
        tables += [json.loads(one.body)["TableName"] for one in server.requests]
        assert all("ReturnConsumedCapacity" in json.loads(one.body) for one in server.requests)  # metrics ask for it
        server.clear()
    assert tables == ["nanos-protected", "nanos-keys", "nanos-keys", "nanos-protected", "nanos-protected"]
    stored = ROUTES["GetItem", "nanos-protected"]["Item"]["idempotency_key"]
    assert list(stored) == ["B"]


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


STARTS = ("import, wall", "import, cpu", "first get, wall", "first get, cpu")
FIGURE = {"cpu": [1.0, 2.0, 3.0], "wall": [2.0, 3.0, 4.0]}


def test_the_report_shows_plugins_faults_engines_and_the_newer_python():
    results = {
        "libraries": {"dynamorm": {"title": "DynamORM", "version": "1"}},
        "rounds": 3,
        "scan_items": 8,
        "works": {"scan": {"dynamorm": FIGURE}},
        "plugins": {work: {entry.name: [1.0, 2.0, 3.0, 4.0] for entry in PLUGGED} for work in plugins.WORKS},
        "faults": {"dynamorm": {kind: {"applied once": 3} for kind in faults.KINDS}},
        "engines": {"an engine": {"get": {"dynamorm": [100.0]}}},
        "newer": {
            "python": "3.12.1",
            "libraries": {name: {"title": BY_NAME[name].title, "version": "1"} for name in ("dynamorm", "dynamoxy")},
            "rounds": 3,
            "works": {"get": {"dynamorm": FIGURE, "dynamoxy": {"cpu": [], "wall": [], "error": "gone"}}},
            "startup": {"dynamoxy": dict.fromkeys(STARTS, (9.0,))},
            "memory": {"dynamoxy": {"held": [2e6], "peak": [3e6]}},
            "size": {"dynamoxy": 16e6},
        },
    }
    shown = {table.title: table for table in report.tables(results)}
    cells = {table.title: table.rows[0] for table in shown.values()}
    assert cells["Parallel scan"][:4] == ["DynamORM", "2.0 (1.0…3.0)", "3.0 (2.0…4.0)", "500,000"]
    assert cells["CPython 3.12.1: CPU: µs per operation"] == ["get", "2.0", "failed"]
    assert cells["CPython 3.12.1: Start in a fresh interpreter: ms"][:2] == ["dynamoxy", "9.0 (9.0…9.0)"]
    assert cells["CPython 3.12.1: Memory of a query of 1,000 items: KB"][1] == "2,000 (2,000…2,000)"
    assert cells["CPython 3.12.1: Installed size: MB"] == ["dynamoxy", "16.0"]
    assert cells["End to end: operations per second, one at a time"] == ["get, an engine", "100 (100…100)"]
    assert cells["Left out"] == ["dynamoxy, CPython 3.12.1", "get", "gone"]
    assert any("applied once: 3" in row for table in shown.values() for row in table.rows)


def made_up(**cpu):
    """Results of works in which every library has the same figure in three rounds, given as CPU µs."""
    names = sorted({name for by_library in cpu.values() for name in by_library})
    return {
        "date": "2026-01-01",
        "machine": {"processor": "p", "cores": 2, "system": "s", "python": "3", "server": "C", "load": 0.0},
        "libraries": {name: {"title": BY_NAME[name].title, "version": "1"} for name in names},
        "rounds": 3,
        "problems": {},
        "works": {
            work.replace("_", "-"): {
                name: {"cpu": [value * 0.9, value, value * 1.1], "wall": [value] * 3}
                for name, value in by_library.items()
            }
            for work, by_library in cpu.items()
        },
    }


class TestTargets:
    def verdicts(self, results):
        return {(one.work, one.compared): one for one in targets.targets(results)}

    def test_a_ratio_is_judged_by_the_medians(self):
        found = self.verdicts(made_up(get={"dynamorm": 80, "boto3": 1600, "pydynox": 200, "floor": 50}))
        boto3 = found["get: CPU", "DynamORM / boto3 client"]
        assert (boto3.measured, boto3.met, boto3.verdict) == (1 / 20, True, "met")
        assert found["get: CPU", "DynamORM / pydynox"].verdict == "MISSED"
        assert found["get: CPU", "DynamORM / hand-written floor"].verdict == "met, but within the spread"

    @pytest.mark.parametrize(
        ("work", "limit"), [("put", 1.6), ("update", 2.2), ("batch_write_100", 4.0), ("transaction_10", 4.0)]
    )
    def test_writes_are_beside_the_floor(self, work, limit):
        compared = "DynamORM / hand-written floor"
        for ours, verdict in ((limit * 10 * 0.8, True), (limit * 10 * 1.25, False)):
            (found,) = targets.targets(made_up(**{work: {"dynamorm": ours, "floor": 10}}))
            assert (found.compared, found.limit, found.met) == (compared, limit, verdict)

    @pytest.mark.parametrize(("ours", "met"), [(199, True), (201, False)])
    def test_a_get_with_everything_on_is_beside_the_plain_get_of_boto3(self, ours, met):
        found = self.verdicts(made_up(get={"dynamorm": 80, "boto3": 1600}, protected_get={"dynamorm": ours}))
        one = found["get with metrics, tenants and encryption: CPU", "DynamORM / boto3 client"]
        assert (one.measured, one.limit, one.met) == (ours / 1600, 1 / 8, met)

    def test_a_get_with_everything_on_that_failed_is_not_measured(self):
        found = self.verdicts(made_up(get={"dynamorm": 80, "boto3": 1600}, protected_get={}))
        assert found["get with metrics, tenants and encryption: CPU", "DynamORM / boto3 client"].met is None

    def test_many_at_once_are_two_and_a_half_times_the_best_peer_of_the_blocking_face(self):
        found = targets.targets(
            made_up(gets_64={"dynamorm": 80, "pydynox": 202, "dynamorm-async": 80, "aiodynamo": 202})
        )
        assert [(one.limit, one.met) for one in found] == [(2.5, True), (3.0, False)]

    def test_an_asyncio_peer_is_beside_the_asyncio_face(self):
        found = self.verdicts(made_up(query_100={"dynamorm": 1, "dynamorm-async": 100, "aiodynamo": 300}))
        assert [compared for _, compared in found] == ["DynamORM (asyncio) / aiodynamo (dicts)"]

    def test_the_best_peer_of_each_face_is_found_in_the_run(self):
        results = made_up(
            gets_64={"dynamorm": 50, "boto3": 900, "pydynox": 200, "dynamorm-async": 100, "aiodynamo": 250}
        )
        results["newer"] = made_up(gets_64={"dynamorm-async": 100, "dynamoxy": 160}) | {"python": "3.12.1"}
        work = "64 concurrent gets: operations per second"
        found = {
            compared: (one.measured, one.met)
            for (name, compared), one in self.verdicts(results).items()
            if name == work
        }
        assert found == {
            "DynamORM / best peer, pydynox": (4.0, True),
            "DynamORM (asyncio) / best peer, aiodynamo (dicts)": (2.5, False),
            "DynamORM (asyncio) / best peer, dynamoxy, CPython 3.12.1": (1.6, False),
        }

    def test_start_is_scaled_to_a_machine_where_boto3_takes_280_ms(self):
        results = made_up(get={"dynamorm": 1, "boto3": 20, "pydynox": 4})
        starts = {"dynamorm": [100.0, 100.0], "boto3": [400.0, 400.0], "pydynox": [120.0, 120.0]}
        results["startup"] = {name: {"first get, wall": values} for name, values in starts.items()}
        found = [(one.measured, one.met) for one in targets.targets(results) if one.work == "import + first get"]
        assert found == [(1 / 4, True), (100 / 120, True), (70.0, True)]
        results["startup"]["dynamorm"]["first get, wall"] = [101.0, 101.0]
        assert [one.met for one in targets.targets(results) if one.work == "import + first get"] == [False, True, True]

    def test_memory_plugins_and_generated_code(self):
        results = made_up(get={"dynamorm": 1, "pynamodb": 20})
        results["memory"] = {"dynamorm": {"held": [2.0], "peak": [2.0]}, "pynamodb": {"held": [3.0], "peak": [8.0]}}
        results |= {"plugins": {"get": {"observed": [1.0, 1.5, 3.0] * 100}}, "same_source": True}
        found = {(one.work, one.compared): one.verdict for one in targets.targets(results)}
        assert found["query of 1,000: memory, held", "DynamORM / PynamoDB"] == "MISSED"
        assert found["query of 1,000: memory, peak", "DynamORM / PynamoDB"] == "met"
        assert found["a plugin that observes", "DynamORM, get: CPU added"] == "met"
        assert found["a plugin that observes", "DynamORM: generated source with and without it"] == "met"

    def test_what_failed_is_not_measured(self):
        results = made_up(get={"dynamorm": 80, "boto3": 1600})
        results["works"]["get"]["boto3"] = {"cpu": [], "wall": [], "error": "broken"}
        found = self.verdicts(results)["get: CPU", "DynamORM / boto3 client"]
        assert (found.met, found.verdict) == (None, "not measured")

    def test_they_can_be_stored_as_json(self):
        stored = json.loads(json.dumps(targets.plain(targets.targets(made_up(get={"dynamorm": 80, "boto3": 1600})))))
        assert stored[0]["met"] is True


class TestRatios:
    def test_the_spread_is_that_of_the_rounds(self):
        found = ratios.ratio([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])  # both slow down together
        assert found == (0.5, 0.5, 0.5, 0.5, 3)

    def test_a_library_that_stopped_early_is_compared_over_its_rounds(self):
        assert ratios.ratio([1.0, 9.0], [2.0]).rounds == 1
        assert ratios.ratio([], [2.0]) is None


class TestGrowth:
    def grown(self, cost):
        works = {name: {"dynamorm": {"cpu": [cost(size)] * 2}} for size, name in growth.KINDS[0].works.items()}
        return growth.growth(growth.KINDS[0], works, "dynamorm")

    def test_a_call_and_so_much_for_each_item_is_constant(self):
        found = self.grown(lambda size: 80 + 7.0 * size)
        assert found.more == pytest.approx([7.0] * 4)
        assert found.ratio == pytest.approx(1.0)
        assert (found.fixed, found.slope) == pytest.approx((80, 7.0))
        assert found.off < 0.001
        assert found.each[0] == pytest.approx(15.0)

    def test_items_that_become_half_as_dear_again_are_not(self):
        found = self.grown(lambda size: 80 + 7.0 * size * (1.6 if size > 10_000 else 1))
        assert found.off > growth.CONSTANT

    def test_a_larger_size_that_came_out_cheaper_is_not_clear(self):
        assert self.grown(lambda size: 80.0 if size < 1000 else 7.0 * size).ratio is None

    def test_the_tables_say_it_for_items_and_bytes(self):
        results = made_up(
            **{name: {"dynamorm": 80 + 7.0 * size} for size, name in growth.KINDS[0].works.items()},
            **{name: {"dynamorm": 80 + 0.002 * size} for size, name in growth.KINDS[1].works.items()},
        )
        shown = {table.title: table.rows[0] for table in report.tables(results)}
        assert shown["Growth of a query: CPU, µs per item"][-1] == "2.1"
        assert shown["Growth of a query: CPU of each item more, µs"][-3:-1] == ["1.00", "80.0 µs + 7.00 µs"]
        assert shown["Growth of a get: CPU of each byte more, ns"][1] == "2.00"


def test_the_page_begins_with_the_targets_and_hides_no_cell(tmp_path):
    results = made_up(get={"dynamorm": 80, "boto3": 1600})
    results["works"]["get"]["boto3"] |= {"error": "it printed 'a|b'"}
    lines = output.page(results, [("cpu.svg", "CPU")])
    assert (
        lines.index("## Targets: 1 of 1 met") < lines.index("![CPU](cpu.svg)") < lines.index("## CPU: µs per operation")
    )
    assert "| boto3 client | get, after 3 rounds | it printed 'a\\|b' |" in lines


def test_results_are_stored_and_drawn_again(tmp_path, capsys):
    results = made_up(get={"dynamorm": 80, "boto3": 1600})
    output.write(results, tmp_path)
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["targets"][0]["verdict"] == "met"
    page = (tmp_path / "results.md").read_text()
    output.write({name: value for name, value in stored.items() if name != "targets"}, tmp_path)
    assert (tmp_path / "results.md").read_text() == page
    output.show(stored)
    assert "1/20.0" in capsys.readouterr().out


class TestChildren:
    def script(self, monkeypatch, text):
        """Children run this text instead of a library."""
        popen = child.subprocess.Popen
        monkeypatch.setattr(
            child.subprocess, "Popen", lambda command, **more: popen([sys.executable, "-c", text], **more)
        )

    def test_a_library_that_cannot_start_says_why(self, monkeypatch):
        self.script(monkeypatch, "raise ImportError('no such library')")
        worker = child.Worker("dynamorm", "http://127.0.0.1:9")
        assert worker.order({}) == {"error": "ImportError: no such library"}
        worker.close()

    def test_a_library_that_hangs_is_killed_and_begins_anew(self, monkeypatch):
        text = "import time\nprint('{}', flush=True)\nif input() == '{\"hang\": true}': time.sleep(60)\nprint('{\"cpu\": 1}')"
        self.script(monkeypatch, text)
        worker = child.Worker("dynamorm", "http://127.0.0.1:9")
        assert worker.order({"hang": True}, patience=0.3) == {"error": "no answer within 0 s"}
        assert worker.order({}) == {"cpu": 1}
        worker.close()

    def test_bytecode_may_be_kept_and_no_real_credentials_are_seen(self, monkeypatch):
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
        monkeypatch.setenv("AWS_PROFILE", "real")
        found = child.environment()
        assert "PYTHONDONTWRITEBYTECODE" not in found
        assert "AWS_PROFILE" not in found


class Answering:
    """Stands in for a worker: answers each order with the next of these."""

    def __init__(self, answers):
        self.answers = iter(answers)

    def ask(self, work, **order):
        return next(self.answers)

    def close(self):
        """Nothing to end."""


def operations(monkeypatch, answers, works, rounds):
    made = {name: Answering(some) for name, some in answers.items()}
    monkeypatch.setattr(measure, "Worker", lambda library, endpoint, interpreter: made[library])
    return measure.operations(
        "", list(answers), [WORKS[name] for name in works], rounds=rounds, seconds=0.1, tell=lambda text: None
    )


def test_a_library_that_fails_is_a_row_with_its_reason_and_the_others_go_on(monkeypatch):
    good, bad = {"cpu": 1.0, "wall": 2.0}, {"error": "broken"}
    found = operations(
        monkeypatch, {"dynamorm": [good] * 3, "boto3": [good, bad], "floor": [{"unsupported": True}]}, ["get"], 3
    )
    assert found["get"] == {
        "dynamorm": {"cpu": [1.0] * 3, "wall": [2.0] * 3},
        "boto3": {"cpu": [1.0], "wall": [2.0], "error": "broken"},
    }


def test_long_work_ends_when_another_round_would_take_too_long(monkeypatch):
    now = iter(range(0, 1000, 20))  # each pass takes 20 s
    monkeypatch.setattr(measure.time, "monotonic", lambda: next(now))
    found = operations(monkeypatch, {"boto3": [{"cpu": 1.0, "wall": 2.0}] * 9}, ["query-100000"], 9)
    assert len(found["query-100000"]["boto3"]["cpu"]) == 1


def test_a_phase_that_fails_is_noted_and_the_rest_goes_on(monkeypatch, capsys):
    results = {"problems": {}}
    tell = progress.Progress({"one": 1.0}, print)
    with run.phase("one", results, tell):
        raise RuntimeError("no luck")
    assert results["problems"] == {"one": "RuntimeError: no luck"}


def test_the_time_left_follows_the_pace_of_the_phases_behind():
    now = [0.0]
    told = []
    tell = progress.Progress({"one": 60.0, "two": 60.0, "three": 120.0}, told.append, clock=lambda: now[0])
    tell.phase("one")
    assert tell.left() == 240.0
    now[0] = 120.0  # twice as long as planned
    tell.phase("two")
    assert tell.left() == 360.0
    now[0] = 180.0
    tell("get")
    assert told == ["about 5 min left · two · get"]


def test_every_phase_of_a_run_is_planned():
    plan = run.Plan(["dynamorm", "boto3"], list(ALL), set(run.EXTRAS), 9, 0.2)
    phases = run.all_phases(plan)
    assert {"operations", "query of 100,000", "parallel scan", "start", "memory", "real engines"} <= set(phases)
    assert sum(phases.values()) < 30 * 60


def test_an_operation_that_is_long_enough_is_done_once_and_checked(server):
    face = connected("dynamorm", server.endpoint)
    try:
        work = WORKS["query-10000"]._replace(items=100)
        found = worker.passed(face, work, face.library.batch_get())
        assert found["cpu"] > 0
        with pytest.raises(ValueError, match="7 items were expected"):
            worker.passed(face, work._replace(items=7), face.library.batch_get())
    finally:
        face.close()


def test_a_round_does_as_many_operations_as_filled_the_last_one():
    asked = []

    def timed(count):
        asked.append(count)
        return count * 0.001, count * 0.001

    first = worker.measure(timed, 1, 0.1)
    assert first["count"] == 100
    asked.clear()
    assert worker.measure(timed, 1, 0.1, worker.filling(0.1, first["wall"] / 1e6, 1))["cpu"] == pytest.approx(1000)
    assert asked == [100]


class TestProfile:
    def test_own_time_goes_to_the_layer_of_the_innermost_function(self):
        shares = stacks.sort([
            "0x7f (libc.so.6);DB.put (dynamorm/db.py:1);put (dynamorm/ops/verbs/put.py:2) 3",
            "DB.put (dynamorm/db.py:1);json_of (dynamorm/codec/strict.py:9);json_skip (msgspec/_core.cpython-311.so) 2",
            "DB.put (dynamorm/db.py:1);encode (<dynamorm codec Payment 1>:12);unicode_hash (libpython3.11.so.1.0) 5",
            "Blocking.exchange (dynamorm/io/blocking.py:1);sock_send (socketmodule.c:4);send (libc.so.6) 7",
            "Blocking.exchange (dynamorm/io/blocking.py:1);select_poll_poll (selectmodule.c.h:2);poll (libc.so.6) 11",
            "f (dynamorm/io/gather.py:1);sock_send (socketmodule.c:9);pthread_cond_timedwait (libc.so.6);0x7f (libc.so.6) 13",
            "run (benchmarks/worker.py:3) 1",
        ])  # fmt: skip
        assert shares.layers == {
            "ops": 3, "msgspec": 2, "codec": 5, "system calls": 7, stacks.MEASURING: 1,
        }  # fmt: skip
        assert shares.waiting == 24
        assert shares.functions["encode (generated codec of Payment)", "codec"] == 5
        assert shares.functions["send, called by Blocking.exchange (dynamorm/io/blocking.py)", "system calls"] == 7

    def test_the_note_shows_layers_functions_and_system_calls(self):
        shares = stacks.sort(["put (dynamorm/ops/verbs/put.py:2) 3", "DB.put (dynamorm/db.py:1) 1"])
        found = profiling.Profile("dynamorm-async", "get", shares, 80.0, {"sendto": 1.0, "poll": 2.0})
        lines = profiling.page([found], made_up()["machine"], "before")
        assert "# Where the time goes: before" in lines
        assert "| ops | 75.0 |" in lines
        assert "| get (asyncio) | 3.0 | sendto 1.0, poll 2.0 |" in lines
        assert "| 75.0 | ops | `put (dynamorm/ops/verbs/put.py)` |" in lines

    def test_straces_table_is_read(self):
        table = " 50.00    0.000071           1        70           recvfrom\n  1.00    0.000001           1         9         3 open\n"
        assert profiling.counted(table + "100.00    0.000072           1        79         3 total\n") == {
            "recvfrom": 70,
            "open": 9,
        }


def test_the_scan_is_the_only_work_measured_by_the_item():
    assert [work.name for work in ALL if work.each] == ["scan"]


@pytest.mark.soak
def test_what_a_plugin_adds_is_measured_pair_by_pair():
    calls = []
    operations = {plugins.PLAIN: lambda: calls.append("plain"), "observed": lambda: calls.append("observed")}
    found = plugins.pairs(operations, 4)
    assert list(found) == ["observed"]
    assert len(found["observed"]) == 4
    assert calls.count("plain") == calls.count("observed") == 5 * plugins.BLOCK  # the first block warms up


@pytest.mark.once
@pytest.mark.parametrize(
    ("way", "kill"), [("spool", True), ("asyncio-spool", True), ("batcher", False), ("batch_write", False)]
)
def test_every_item_of_a_batcher_that_is_killed_is_accounted_for(way, kill):
    """The figures of ``python -m benchmarks.batcher_faults``, for fewer items."""
    found = batcher_faults.measure(way, 1_500, kill=kill)
    assert found["error"] == ""
    assert (found["kills"], found["lost"], found["false"], found["strange"]) == (int(kill), 0, 0, 0)
    assert found["written"] + found["reported"] >= 1_500
    assert found["written"] >= 1_400


@pytest.mark.skipif(not cores.POSSIBLE, reason="this system does not let us choose cores")
def test_a_client_shares_the_servers_core_where_they_take_turns_only():
    every = os.sched_getaffinity(0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as server:
        client = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            placed = cores.Cores(server.pid)
            for work, wanted in (("get", 1), ("gets-64", len(every)), ("scan", len(every)), ("batch-write-100", 1)):
                placed.place(client.pid, WORKS[work] if work != "scan" else SCAN)
                assert len(os.sched_getaffinity(client.pid)) == wanted
                assert os.sched_getaffinity(server.pid) == os.sched_getaffinity(client.pid)
            cores.Cores(server.pid, shared=False).place(client.pid, WORKS["get"])
            assert os.sched_getaffinity(client.pid) == os.sched_getaffinity(server.pid)
        finally:
            for one in (client, server):
                one.communicate(b"\n", timeout=10)
    assert os.sched_getaffinity(0) == every


def test_items_of_three_versions_cost_their_functions_and_nothing_else_of_python():
    """The bound of `benchmarks.upgrades` is one of time; this one is of calls, which are the same on every machine."""
    found = upgrades.measure(upgrades.Payment, 2000, 1)
    assert found.keys() == {"newest", "three versions", "without versions"}
    (page,) = upgrades.pages(upgrades.Payment, (3, 1, 2), 1000)
    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"))
    db._io = upgrades.Paged([page])
    read = db.model(upgrades.Payment).allow_scan().all
    assert len(read()) == 1000
    of_functions = 333 * 2 + 333
    assert of_functions <= calls.count(read)["python"] < of_functions + 300
