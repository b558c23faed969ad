"""Scans spread over threads, processes and a cluster: a worker that is lost loses nothing, and nothing comes twice."""

from __future__ import annotations

import pickle
import secrets
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

from dynamorm import DB, Config, Credentials, Presets, spread
from dynamorm.engine import Engine
from dynamorm.errors import ConfigError, InvalidUse, TableNotFound, ValidationError

from .shop import DieAlways, DieOnce, Sale, refuse, total

pytestmark = pytest.mark.engine

COUNT = 300
SUM = COUNT * (COUNT - 1) // 2


@pytest.fixture
def config(engine):
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=f"s{secrets.token_hex(4)}-")
    with DB(config) as db:
        db.tables.ensure(Sale)
        db.batch_write(puts=[Sale(id=f"s{number}", amount=number) for number in range(COUNT)])
        yield config
        db.tables.delete(Sale)


def amounts(found):
    return sorted(sale.amount for sale in found)


@pytest.fixture
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.mark.parametrize("segments", [1, 8, 50])
def test_threads(config, segments):
    with ThreadPoolExecutor(4) as executor:
        found = spread.scan(Sale, segments=segments, on=executor, config=config)
        assert amounts(found) == list(range(COUNT))
        assert sum(spread.scan(Sale, segments=segments, on=executor, config=config, consume=total)) == SUM


def test_threads_of_the_environment_and_on_an_engine_of_this_process(config, monkeypatch):
    monkeypatch.setenv("DYNAMORM_PRESET", "local_development")
    monkeypatch.setenv("DYNAMODB_ENDPOINT", str(config.endpoint))
    monkeypatch.setenv("DYNAMORM_TABLE_PREFIX", config.table_prefix)
    with ThreadPoolExecutor(2) as executor:
        assert amounts(spread.scan(Sale, on=executor)) == list(range(COUNT))
    with Engine() as engine, DB(engine) as db, ThreadPoolExecutor(2) as executor:
        db.tables.ensure(Sale)
        db.put(Sale(id="s", amount=1))
        assert amounts(spread.scan(Sale, on=executor, config=Config(engine=engine))) == [1]


def test_processes_of_which_one_is_killed(config, processes, tmp_path):
    found = spread.scan(Sale, segments=8, on=processes, config=config, consume=DieOnce(tmp_path / "died"))
    assert (tmp_path / "died").exists()
    assert sum(found) == SUM
    assert amounts(spread.scan(Sale, segments=8, on=processes, config=config)) == list(range(COUNT))


def test_processes_that_are_killed_again_and_again_end_the_scan(config, processes, tmp_path):
    with pytest.raises(BrokenExecutor):
        spread.scan(Sale, segments=2, on=processes, config=config, consume=DieAlways(tmp_path / "died"))


class Lossy:
    """An executor that runs nothing, but for its failures: each segment fails so often with each of these errors."""

    def __init__(self, *errors, times=1):
        self.errors, self.times, self.submitted, self.cancelled = errors, times, [], []

    def submit(self, function, number, name):
        self.submitted.append((number, name))
        tried = sum(one == number for one, _ in self.submitted) - 1
        return Later(self, function, number, name, self.errors[0] if self.errors and tried < self.times else None)


class Later:
    def __init__(self, executor, function, number, name, error):
        self.executor, self.function, self.number, self.name, self.error = executor, function, number, name, error

    def result(self):
        if self.error is not None:
            raise self.error
        return self.function(self.number, self.name)

    def cancel(self):
        self.executor.cancelled.append(self.number)


class KilledWorker(Exception):
    """As Dask's, which need not be installed."""


class CancelledError(BaseException):
    """As asyncio's, which Dask's is made of."""


@pytest.mark.parametrize("error", [ConnectionResetError(), BrokenExecutor(), KilledWorker(), CancelledError()])
def test_a_segment_that_is_lost_is_submitted_again_three_times(config, error):
    executor = Lossy(error, times=3)
    assert amounts(spread.scan(Sale, segments=3, on=executor, config=config)) == list(range(COUNT))
    assert len(executor.submitted) == 12
    assert len({*executor.submitted}) == 12, "a cluster would take equal calls for one"
    executor = Lossy(error, times=4)
    with pytest.raises(type(error)):
        spread.scan(Sale, segments=3, on=executor, config=config)
    assert {0, 1, 2} == {*executor.cancelled}


def test_any_other_error_ends_the_scan_and_cancels_the_rest(config):
    executor = Lossy()
    with pytest.raises(ValueError, match="own"):
        spread.scan(Sale, segments=3, on=executor, config=config, consume=refuse)
    assert len(executor.submitted) == 3
    assert {1, 2} <= {*executor.cancelled}
    with ThreadPoolExecutor(2) as threads, pytest.raises(TableNotFound):
        spread.scan(Sale, on=threads, config=config.replace(table_prefix="nowhere-"))


def test_no_credentials_and_no_secrets_are_sent():
    secret = secrets.token_hex(32)
    config = Config(
        region="eu-west-1",
        endpoint="http://127.0.0.1:1",
        allow_insecure_local=True,
        credentials=Credentials("AKIDEXAMPLE", "sekrit", "tokken"),
        cursor_key=secret,
        idempotency_key=secret,
    )
    sent = []

    class Looking:
        def submit(self, function, number, name):
            sent.append(pickle.dumps(function))
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        spread.scan(Sale, on=Looking(), config=config)
    for word in (b"AKIDEXAMPLE", b"sekrit", b"tokken", secret.encode(), bytes.fromhex(secret)):
        assert word not in sent[0]
    task = pickle.loads(sent[0])
    assert (task.config.region, task.config.credentials) == ("eu-west-1", None)


def test_what_cannot_be_spread_is_refused_at_once(config):
    with Engine() as engine, pytest.raises(ConfigError, match=r"engine\.serve"):
        spread.scan(Sale, on=Lossy(), config=Config(engine=engine))
    with pytest.raises(InvalidUse, match="on is an executor"):
        spread.scan(Sale, on=8, config=config)
    with pytest.raises(InvalidUse, match="consume is a function"):
        spread.scan(Sale, on=Lossy(), config=config, consume=5)
    with pytest.raises(ConfigError, match=r"db\.config"):
        spread.scan(Sale, on=Lossy(), config="eu-west-1")
    with pytest.raises(ValidationError, match="segments"):
        spread.scan(Sale, on=Lossy(), config=config, segments=0)
    with pytest.raises(InvalidUse):
        spread.scan(str, on=Lossy(), config=config)


def test_one_segment_of_a_scan(config):
    with DB(config) as db:
        query = db.model(Sale).allow_scan()
        parts = [query.segments(4, only=number).all() for number in range(4)]
        assert sorted(sale.amount for part in parts for sale in part) == list(range(COUNT))
        assert [query.segments(4, only=number).count() for number in range(4)] == [len(part) for part in parts]
        for wrong in (-1, 4):
            with pytest.raises(ValidationError, match="only"):
                query.segments(4, only=wrong)


@pytest.mark.once
@pytest.mark.timeout(240)
@pytest.mark.embedded
def test_a_dask_cluster_of_two_workers_of_which_one_is_killed(config, tmp_path):
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", memory_limit=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert amounts(spread.scan(Sale, segments=8, on=client, config=config)) == list(range(COUNT))
        found = spread.scan(Sale, segments=8, on=client, config=config, consume=DieOnce(tmp_path / "died"))
        assert (tmp_path / "died").exists()
        assert sum(found) == SUM
