"""`MetricsPlugin` over prometheus_client: names and labels, shared registries, caps, the multiprocess mode, bad input."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from contextlib import suppress

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from dynamorm import DB, Attr, MetricsPlugin, Model, Presets, attr, partition_key, version
from dynamorm.errors import AlreadyExists, ConfigError, OutcomeUnknown
from dynamorm.plugin import Greatest
from dynamorm.testing import EngineBackend, FaultServer, answers
from tests.support.memory import over_http

pytestmark = pytest.mark.engine


class Payment(Model, table="prometheus-payments"):
    id: Attr[str] = partition_key()

    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


TABLE = "prom-prometheus-payments"


MODELS = [Payment]


@pytest.fixture(scope="module")
def engine(engine):
    """Figures of the pool need connections."""
    return over_http(engine)


@pytest.fixture(scope="module")
def prefix():
    return "prom-"


def text(registry):
    """What Prometheus is shown; it can be read."""
    shown = prometheus_client.generate_latest(registry).decode()
    list(text_string_to_metric_families(shown))
    return shown


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_process_starts_with_nothing(engine, made, key):
    """Nor does it wait for what a thread of the parent holds: that does not exist in it."""
    registry = CollectorRegistry()
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made)
    with DB(config, extensions=(plugin := MetricsPlugin(registry),)) as db:
        db.get(Payment, key)
        series = [*plugin._shared.durations.values(), *plugin._shared.units.values()]
        assert series
        held = threading.Thread(target=lambda: [one.lock.acquire() for one in series])
        held.start()
        held.join(30)
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            good = "dynamorm_operation_duration_seconds_count" not in text(registry)
            db.get(Payment, key)
            labels = {"verb": "get", "model": "Payment", "table": TABLE, "outcome": "ok"}
            good = good and registry.get_sample_value("dynamorm_operation_duration_seconds_count", labels) == 1
            good = good and "dynamorm_pool_idle 1.0" in text(registry)
            os._exit(0 if good else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_gauges_are_added_up_but_the_greatest_ones(plugged):
    registry = CollectorRegistry()

    class Telling:
        def __init__(self, number):
            self.number = number

        def gauges(self):
            return {"hot_share": Greatest(self.number), "waiting": self.number}

    dbs = [plugged(MetricsPlugin(registry), Telling(number)) for number in (0.5, 0.25)]
    for db in dbs:
        db.get(Payment, "p1")
    shown = text(registry)
    assert "dynamorm_hot_share 0.5" in shown
    assert "dynamorm_waiting 0.75" in shown
    tokens = max(db.gauges()["retry_tokens"] for db in dbs)
    assert f"dynamorm_retry_tokens {tokens}" in shown


def test_names_and_labels(plugged, key):
    registry = CollectorRegistry()
    db = plugged(MetricsPlugin(registry))
    db.create(Payment(id=key))
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    db.get(Payment, key)
    value = registry.get_sample_value
    duration = "dynamorm_operation_duration_seconds"
    create = {"verb": "create", "model": "Payment", "table": TABLE, "outcome": "ok"}
    assert value(f"{duration}_count", create) == 1
    assert value(f"{duration}_count", create | {"outcome": "rejected"}) == 1
    assert value(f"{duration}_count", create | {"verb": "get"}) == 1
    assert value(f"{duration}_bucket", create | {"le": "+Inf"}) == 1
    assert value(f"{duration}_bucket", create | {"le": "10.0"}) == 1
    assert 0 < value(f"{duration}_sum", create) < 10
    attempts = {"operation": "PutItem", "table": TABLE, "class": "ok"}
    assert value("dynamorm_attempts_total", attempts) == 1
    assert value("dynamorm_attempts_total", attempts | {"class": "condition"}) == 1
    assert value("dynamorm_consumed_units_total", {"table": TABLE, "index": "", "direction": "write"}) == 1
    assert value("dynamorm_consumed_units_total", {"table": TABLE, "index": "", "direction": "read"}) == 0.5
    assert value("dynamorm_pool_idle") == 1
    assert value("dynamorm_retry_tokens") > 0
    assert key not in text(registry)


@pytest.mark.once
def test_buckets_are_cumulative(plugged, key):
    registry = CollectorRegistry()
    db = plugged(MetricsPlugin(registry, buckets=(1e-9, 100)))
    for _ in range(600):  # more than wait to be put into buckets
        db.get(Payment, key)
    labels = {"verb": "get", "model": "Payment", "table": TABLE, "outcome": "ok"}
    shown = [registry.get_sample_value("dynamorm_operation_duration_seconds_bucket", labels | {"le": le}) for le in ("1e-09", "100.0", "+Inf")]  # fmt: skip
    assert shown == [0, 600, 600]


def test_faults(engine, plugged, key):
    script = [answers.error("ThrottlingException", 400), answers.json({"Item": {}}, crc="bad")]
    registry = CollectorRegistry()
    with FaultServer(lambda _: script.pop(0) if script else None, backend=EngineBackend(engine.endpoint)) as server:
        db = plugged(MetricsPlugin(registry), endpoint=server.endpoint, throttle_base=0.001)
        db.get(Payment, key)
    for kind in ("throttled", "checksum"):
        labels = {"operation": "GetItem", "table": TABLE, "class": kind}
        assert registry.get_sample_value("dynamorm_attempts_total", labels) == 1
        assert registry.get_sample_value("dynamorm_retries_total", labels) == 1


def test_an_unknown_outcome(engine, plugged, key):
    registry = CollectorRegistry()
    with FaultServer(lambda _: answers.reset().applied(), backend=EngineBackend(engine.endpoint)) as server:
        db = plugged(MetricsPlugin(registry), endpoint=server.endpoint, operation_timeout=2)
        with pytest.raises(OutcomeUnknown):
            db.create(Payment(id=key))
    labels = {"verb": "create", "model": "Payment", "table": TABLE, "outcome": "unknown"}
    assert registry.get_sample_value("dynamorm_operation_duration_seconds_count", labels) == 1


def test_two_databases_on_one_registry(plugged, key):
    registry = CollectorRegistry()
    for db in (plugged(MetricsPlugin(registry)), plugged(MetricsPlugin(registry))):
        db.get(Payment, key)
    labels = {"verb": "get", "model": "Payment", "table": TABLE, "outcome": "ok"}
    assert registry.get_sample_value("dynamorm_operation_duration_seconds_count", labels) == 2
    assert registry.get_sample_value("dynamorm_pool_idle") == 2
    del db
    gc.collect()
    text(registry)


def test_one_plugin_for_two_databases(plugged, key):
    registry = CollectorRegistry()
    plugin = MetricsPlugin(registry)
    plugged(plugin).get(Payment, key)
    plugged(plugin).get(Payment, key)
    labels = {"operation": "GetItem", "table": TABLE, "class": "ok"}
    assert registry.get_sample_value("dynamorm_attempts_total", labels) == 2


def test_beside_the_figures_of_the_database(plugged, key):
    registry = CollectorRegistry()
    db = plugged(MetricsPlugin(registry))
    metrics = db.metrics()
    db.get(Payment, key)
    assert metrics.total().count == 1
    assert "prometheus" in {plugin.name for plugin in db.inner._session.plugins}


def test_the_scope_is_a_hash_where_it_is_asked_for(plugged, key):
    plain, scoped = CollectorRegistry(), CollectorRegistry()
    db = plugged(MetricsPlugin(plain))
    db.scoped(tenant="acme-bank").get(Payment, key)
    other = plugged(MetricsPlugin(scoped, scope="tenant"))
    other.scoped(tenant="acme-bank").get(Payment, key)
    other.get(Payment, key)
    assert "scope" not in text(plain)
    assert "acme" not in text(plain) + text(scoped)
    assert text(scoped).count('le="+Inf",model="Payment"') == 2
    assert 'scope=""' in text(scoped)


def test_without_units_nothing_is_asked(plugged, key):
    class Seen:
        name = "seen"

        def __init__(self):
            self.bodies = []

        def observed(self, call, reply, error):
            self.bodies.append(call.body)

    seen = Seen()
    plugged(MetricsPlugin(CollectorRegistry(), units=False), seen).get(Payment, key)
    assert b"ReturnConsumedCapacity" not in seen.bodies[0]


@pytest.mark.once
def test_series_are_capped():
    registry = CollectorRegistry()
    plugin = MetricsPlugin(registry)

    class Seen:
        verb, scope, took, name = "get", {}, 0.01, "GetItem"

    for number in range(2500):
        Seen.model, Seen.table = type(f"M{number}", (), {}), f"t{number}"
        plugin.ended(Seen, None)
        plugin.observed(Seen, None, None)
        plugin.retried(Seen, OSError())
    shown = text(registry)
    assert shown.count("duration_seconds_count{") <= 2000
    assert shown.count("dynamorm_attempts_total{") <= 2000
    assert 'model="other",outcome="ok",table="other"' in shown or 'model="other",table="other"' in shown
    total = sum(
        sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == "dynamorm_operation_duration_seconds_count"
    )
    assert total == 2500


@pytest.mark.parametrize(
    "make",
    [
        lambda: MetricsPlugin("registry"),
        lambda: MetricsPlugin(CollectorRegistry),
        lambda: MetricsPlugin(CollectorRegistry(), buckets=()),
        lambda: MetricsPlugin(CollectorRegistry(), buckets=(2, 1)),
        lambda: MetricsPlugin(CollectorRegistry(), buckets=(-1, 1)),
        lambda: MetricsPlugin(CollectorRegistry(), buckets="fast"),
        lambda: MetricsPlugin(CollectorRegistry(), buckets=5),
        lambda: MetricsPlugin(CollectorRegistry(), units="yes"),
        lambda: MetricsPlugin(CollectorRegistry(), scope=5),
        lambda: MetricsPlugin(CollectorRegistry(), scope=""),
        lambda: MetricsPlugin(CollectorRegistry(), most_series=-1),
    ],
)
def test_what_is_refused(make):
    with pytest.raises(ConfigError):
        make()


def test_two_that_differ_cannot_share():
    registry = CollectorRegistry()
    MetricsPlugin(registry)
    with pytest.raises(ConfigError, match="other buckets, or another scope"):
        MetricsPlugin(registry, buckets=(1, 2))
    with pytest.raises(ConfigError, match="other buckets, or another scope"):
        MetricsPlugin(registry, scope="tenant")


def test_a_registry_that_has_such_names_already():
    registry = CollectorRegistry()
    Counter("dynamorm_attempts", "mine", registry=registry)
    with pytest.raises(ConfigError, match="not of a MetricsPlugin"):
        MetricsPlugin(registry)


def test_the_default_registry():
    plugin = MetricsPlugin()
    try:
        assert plugin._shared.gauges in prometheus_client.REGISTRY._collector_to_names
    finally:
        for collector in (plugin._shared.families, plugin._shared.gauges):
            with suppress(KeyError):
                prometheus_client.REGISTRY.unregister(collector)


def test_what_a_program_has_taken_off_a_registry_is_shown_again_by_the_next_plugin(plugged, key):
    """Tests of programs clear the default registry between two of them."""
    registry = CollectorRegistry()
    db = plugged(MetricsPlugin(registry))
    db.create(Payment(id=key))
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)
    assert "dynamorm" not in text(registry)
    plugged(MetricsPlugin(registry)).get(Payment, key)
    assert text(registry).count('dynamorm_operation_duration_seconds_count{model="Payment"') == 2
    assert "dynamorm_pool_busy" in text(registry)


WORKER = textwrap.dedent(
    """
    import sys
    from prometheus_client import CollectorRegistry
    from dynamorm import DB, MetricsPlugin, Presets
    from tests.plugins.test_prometheus import Payment

    config = Presets.local_development(endpoint=sys.argv[1], table_prefix="prom-")
    with DB(config, extensions=(MetricsPlugin(CollectorRegistry()),)) as db:
        for _ in range(3):
            db.get(Payment, "p1")
    """
)


def test_the_multiprocess_mode(engine, made, tmp_path):
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", WORKER, engine.endpoint], env=environment, check=True, timeout=60)
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path))
    labels = {"verb": "get", "model": "Payment", "table": TABLE, "outcome": "ok"}
    assert registry.get_sample_value("dynamorm_operation_duration_seconds_count", labels) == 6
    assert registry.get_sample_value("dynamorm_operation_duration_seconds_bucket", labels | {"le": "+Inf"}) == 6
    labels = {"operation": "GetItem", "table": TABLE, "class": "ok"}
    assert registry.get_sample_value("dynamorm_attempts_total", labels) == 6
    assert registry.get_sample_value("dynamorm_consumed_units_total", {"table": TABLE, "index": "", "direction": "read"}) == 3  # fmt: skip


def test_without_the_package_the_error_names_the_extra():
    code = "import sys; sys.modules['prometheus_client'] = None\nfrom dynamorm import MetricsPlugin\nMetricsPlugin()"
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False)  # fmt: skip
    assert "ConfigError" in ran.stderr
    assert 'pip install "dynamorm-py[metrics]"' in ran.stderr


@pytest.mark.parametrize("module", ["dynamorm", "dynamorm.plugins", "dynamorm.plugins.metrics", "dynamorm.testing"])
def test_without_the_extras_everything_can_be_looked_at(module):
    """By ``import *``, by `help`, by `inspect` and by mocks: no name is an error but one that is not there."""
    code = f"""
import sys
for extra in ("prometheus_client", "redis", "opentelemetry", "pydantic", "cryptography", "structlog"):
    sys.modules[extra] = None
import importlib, inspect, pydoc
from unittest.mock import create_autospec
from {module} import *
module = importlib.import_module({module!r})
members = dict(inspect.getmembers(module))
create_autospec(module)
assert "NAME" in pydoc.plain(pydoc.render_doc(module))
assert not hasattr(module, "no_such_name")
if {module!r} != "dynamorm.testing":
    assert "MetricsPlugin" in members
    assert inspect.signature(members["MetricsPlugin"])
"""
    ran = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode == 0, ran.stderr
