"""Tracing: which tracer, what is sampled, what it may be registered with, what it costs, and what fails."""

import asyncio
import random
import sys
import threading
from contextlib import contextmanager

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import Tracer
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    DEFAULT_OFF,
    DEFAULT_ON,
    Decision,
    ParentBased,
    ParentBasedTraceIdRatio,
    Sampler,
    SamplingResult,
    StaticSampler,
    TraceIdRatioBased,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import dynamorm.plugins
from benchmarks.calls import Scripted
from dynamorm import DB, AsyncDB, Attr, Model, Presets, attr, partition_key, sort_key, version
from dynamorm.errors import AlreadyExists, ConfigError
from dynamorm.plugins.tracing import SCHEMA_URL, TracingPlugin
from dynamorm.testing import FaultServer, answers, reply

from .spans import Spans, failed

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


MODELS = [Payment, Order]


@pytest.fixture
def spans():
    return Spans()


def _get(plugin):
    """A get of a database that is always answered that nothing is there."""
    db = DB(Presets.local_development(endpoint="http://127.0.0.1:9"), extensions=(plugin,))
    db._io = Scripted(reply({}))
    return lambda: db.get(Payment, "p1")


@contextmanager
def seeded(seed):
    """The ids of traces and spans are the same each time: the SDK draws them from Python's generator."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


# ------------------------------------------------------------------------------------------------------------ sampling


def test_what_is_not_sampled_is_not_recorded(plugged, key):
    spans = Spans(ALWAYS_OFF)
    plugin = spans.plugin()
    db = plugged(plugin)
    db.create(Payment(id=key))
    assert db.batch_write(puts=[Order(customer=key, number=n) for n in range(60)]).ok
    assert len(list(db.model(Order).where(Order.customer == key).page_size(7))) == 60
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    with db.transaction() as tx:
        tx.put(Order(customer=key, number=1))
    assert spans.take() == []
    assert plugin._requests == {}


def test_the_decision_of_the_caller_is_kept(plugged, key):
    """A verb is recorded where the caller is, and its requests with it."""
    spans = Spans(ParentBased(TraceIdRatioBased(0.5)))
    db = plugged(spans.plugin())
    sampled = 0
    for _ in range(40):
        with spans.own.start_as_current_span("mine") as mine:
            db.get(Payment, key)
        found = spans.take()
        assert len(found) == (3 if mine.is_recording() or mine.get_span_context().trace_flags.sampled else 0)
        sampled += bool(found)
    assert 0 < sampled < 40


class Asked(Sampler):
    """A sampler of a program's own, which says that it is one that never samples; it counts how often it is asked."""

    def __init__(self, decision=Decision.RECORD_AND_SAMPLE):
        self.decision = decision
        self.times = 0

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        self.times += 1
        return SamplingResult(self.decision, attributes, trace_state)

    def get_description(self):
        return "AlwaysOffSampler"


class Overriding(ParentBased):
    """Goes by the parent, as it says, and records everything."""

    def should_sample(self, parent_context, trace_id, name, kind=None, attributes=None, links=None, trace_state=None):
        return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes, trace_state)


def _parent(*, remote, sampled):
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return NonRecordingSpan(SpanContext(0x1234, 0x5678, is_remote=remote, trace_flags=flags))


PARENTS = {
    "no parent": trace.INVALID_SPAN,
    "local": _parent(remote=False, sampled=False),
    "local, sampled": _parent(remote=False, sampled=True),
    "remote": _parent(remote=True, sampled=False),
    "remote, sampled": _parent(remote=True, sampled=True),
}
SAMPLERS = {
    "always off": lambda: ALWAYS_OFF,
    "always on": lambda: ALWAYS_ON,
    "record only": lambda: StaticSampler(Decision.RECORD_ONLY),
    "default off": lambda: DEFAULT_OFF,
    "default on": lambda: DEFAULT_ON,
    "ratio": lambda: TraceIdRatioBased(0.5),
    "ratio by parent": lambda: ParentBasedTraceIdRatio(0.5),
    "ratio as root": lambda: ParentBased(TraceIdRatioBased(0.5)),
    "off below a sampled one": lambda: ParentBased(ALWAYS_ON, ALWAYS_OFF, ALWAYS_ON, ALWAYS_OFF, ALWAYS_ON),
    "a program's own": Asked,
    "a program's own as root": lambda: ParentBased(Asked()),
    "a program's own below": lambda: ParentBased(ALWAYS_OFF, local_parent_not_sampled=Asked()),
    "a program's own by parent": lambda: Overriding(ALWAYS_OFF),
}


@pytest.mark.parametrize("parent", PARENTS.values(), ids=PARENTS)
@pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
def test_every_sampler_decides_as_it_would_for_a_span_by_hand(sampler, parent):
    """With and without the plugin the same is recorded: what is not asked is known."""
    spans, by_hand = Spans(sampler()), Spans(sampler())
    get = _get(spans.plugin())
    with trace.use_span(parent), seeded(7):
        for _ in range(8):
            get()
    with trace.use_span(parent), seeded(7):
        for _ in range(8):
            with by_hand.tracer.start_as_current_span("verb") as verb:
                if verb.is_recording():
                    by_hand.tracer.start_span("request").end()
    found, expected = spans.take(), by_hand.take()
    assert [span.context.trace_id for span in found] == [span.context.trace_id for span in expected]
    assert [span.context.trace_flags for span in found] == [span.context.trace_flags for span in expected]


def test_a_sampler_of_a_program_is_asked_once_for_each_span():
    sampler = Asked(Decision.DROP)
    get = _get(Spans(sampler).plugin())
    get()
    assert sampler.times == 1  # the verb: its request is left out with it
    sampler.decision = Decision.RECORD_AND_SAMPLE
    get()
    assert sampler.times == 3


@pytest.mark.parametrize("global_", [False, True], ids=["tracer", "global provider, set later"])
def test_what_a_known_sampler_leaves_out_makes_no_span(monkeypatch, global_):
    made = []
    start = Tracer.start_span
    monkeypatch.setattr(Tracer, "start_span", lambda *args: made.append(args[1]) or start(*args))
    spans = Spans(ParentBased(TraceIdRatioBased(1.0)))
    if global_:
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
        get = _get(TracingPlugin())
        get()
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", spans.provider)
        with trace.use_span(PARENTS["remote"]):
            get()  # it meets the provider
        made.clear()
    else:
        get = _get(spans.plugin())
    for parent in (PARENTS["local"], PARENTS["remote"]):
        with trace.use_span(parent):
            get()
    assert made == []
    get()
    assert made == ["dynamorm.get Payment", "GetItem payments"]
    assert len(spans.take()) == 2


def test_a_sampler_that_takes_the_place_of_another_one_decides():
    spans = Spans(ALWAYS_OFF)
    get = _get(spans.plugin())
    get()
    assert spans.take() == []
    spans.tracer.sampler = ALWAYS_ON
    get()
    assert len(spans.take()) == 2


def test_spans_that_the_sdk_counts_are_counted(monkeypatch):
    """Those that it leaves out, too: it has a metric of its own for them."""
    monkeypatch.setenv("OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED", "true")
    counted = []

    class Counting:
        def start_span(self, parent, decision):
            counted.append(decision)
            return lambda: None

    spans = Spans(ALWAYS_OFF)
    get = _get(spans.plugin())
    spans.tracer._tracer_metrics = Counting()
    get()
    assert counted == [Decision.DROP]


def test_a_tracer_that_does_nothing(plugged, spans, key):
    plugin = TracingPlugin(trace.NoOpTracer())
    db = plugged(plugin)
    with spans.own.start_as_current_span("mine") as mine:
        db.create(Payment(id=key))
        assert mine.is_recording()
    assert [span.name for span in spans.take()] == ["mine"]
    assert plugin._requests == {}


def test_the_global_provider_is_used_also_when_it_is_set_later(plugged, spans, key, monkeypatch):
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    early = plugged(TracingPlugin())
    early.get(Payment, key)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", spans.provider)
    late = plugged(TracingPlugin())
    for db in (early, late):
        db.get(Payment, key)
        verb, _ = spans.one()
        assert verb.instrumentation_scope.schema_url == SCHEMA_URL
        assert verb.instrumentation_scope.version == dynamorm.__version__


# -------------------------------------------------------------------------------------------------------- registration


@pytest.mark.parametrize(
    "wrong", ["tracer", 7, object(), Spans, TracingPlugin, Spans().provider], ids=lambda one: type(one).__name__
)
def test_what_is_no_tracer_is_refused(wrong):
    with pytest.raises(ConfigError, match="TracingPlugin takes a tracer"):
        TracingPlugin(wrong)


def test_it_may_come_late_and_serve_several(plugged, spans, key):
    plugin = spans.plugin()
    one, two = plugged(), plugged(kind="blocking")
    view = one.scoped(tenant="t1")
    one.get(Payment, key)
    view.get(Payment, key)
    one.use(plugin)
    two.use(plugin)
    for db in (one, two, view):
        db.get(Payment, key)
        assert len(spans.one()[1]) == 1
    with pytest.raises(ConfigError, match="two plugins are called tracing"):
        one.use(spans.plugin())


def test_where_the_package_is_not_installed(monkeypatch):
    """The class can be named all the same, and says what is missing."""
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ConfigError, match=r"pip install 'dynamorm-py\[tracing\]'"):
        TracingPlugin()


def test_it_is_found_by_its_name():
    assert dynamorm.TracingPlugin is TracingPlugin
    assert dynamorm.plugins.TracingPlugin is TracingPlugin
    with pytest.raises(AttributeError):
        _ = dynamorm.plugins.TracingPlugins


@pytest.mark.parametrize("where", ["start_span", "is_recording", "set_attributes", "end", "export"])
def test_a_tracer_that_fails_changes_no_verb(plugged, spans, key, where):
    class Failing:
        def __init__(self, inner):
            self._inner = inner

        def __getattr__(self, name):
            def called(*args):
                if name == where:
                    raise RuntimeError("out of order")
                found = getattr(self._inner, name)(*args)
                return Failing(found) if name == "start_span" else found

            return called

    if where == "export":

        def failing(_):
            raise RuntimeError("out of order")

        spans.exporter.export = failing
        db = plugged(spans.plugin())
    else:
        db = plugged(TracingPlugin(Failing(spans.tracer)))
    db.create(Payment(id=key))
    assert db.get(Payment, key, consistent=True).id == key
    with pytest.raises(AlreadyExists):
        db.create(Payment(id=key))
    assert trace.get_current_span() is trace.INVALID_SPAN


def test_an_address_of_aws_has_no_port_to_tell():
    from dynamorm.plugins.tracing.kinds import of_call
    from dynamorm.wire.channel import Server

    class Call:
        name, table = "GetItem", "payments"
        server = Server("dynamodb.eu-west-1.amazonaws.com", 443, "eu-west-1")

    attributes = of_call(Call()).attributes
    assert attributes["server.address"] == "dynamodb.eu-west-1.amazonaws.com"
    assert "server.port" not in attributes


def test_a_cancelled_task_ends_its_spans(spans):
    async def main(server):
        config = Presets.local_development(endpoint=server.endpoint)
        async with AsyncDB(config) as db:
            db.use(spans.plugin())
            with spans.own.start_as_current_span("mine") as mine:
                task = asyncio.create_task(db.create(Payment(id="p1")))
                await asyncio.to_thread(arrived.wait, 30)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert trace.get_current_span() is mine

    arrived = threading.Event()

    def slowly(_):
        arrived.set()
        return answers.silence("stall")

    with FaultServer(slowly) as server:
        asyncio.run(main(server))
    verb, (request,) = spans.one()
    for span in (verb, request):
        assert not failed(span)
        assert span.attributes["error.type"] == "asyncio.exceptions.CancelledError"
        assert span.attributes["dynamorm.outcome"] == "UNKNOWN"
        assert not span.events


def test_what_is_not_recorded_costs_a_few_calls():
    """Figures that are the same on every machine: functions of Python, beyond those that any plugin with such hooks costs."""
    from benchmarks.calls import count
    from benchmarks.tracing import LOOKING, gets

    def fewest(get):
        return min(count(get)["python"] for _ in range(7))

    found = {name: fewest(get) for name, get in gets().items()}
    assert found["tracing, a tracer that does nothing"] - found[LOOKING] <= 8  # of which the API makes five
    assert found["tracing, not sampled"] - found[LOOKING] <= 8  # it is told by the parent alone: no span is made
    assert found["tracing, recorded"] - found["by hand, recorded"] <= 8
