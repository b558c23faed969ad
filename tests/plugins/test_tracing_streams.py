"""Tracing of streams: each request has a span below that of the program, which keeps it between two records."""

import pytest
from opentelemetry import trace

from dynamorm.wire import retry
from tests.faults.scripted import Scripted
from tests.streams.service import ARN, Checkpoint, Order, Service

from .spans import Spans, failed, is_below


@pytest.fixture
def spans():
    return Spans()


@pytest.fixture
def streamed(face_kind, spans):
    """A database over a service with a stream, with tracing; and the service."""
    retry._buckets.clear()
    service = Service()
    stage = Scripted(face_kind, service)
    service.clock = stage.clock
    stage.db.inner.use(spans.plugin())
    yield stage.db, service
    stage.db.close()


def test_the_requests_of_a_stream(streamed, spans):
    db, service = streamed
    service.shard("s1", None, *range(4))
    seen = []
    with spans.own.start_as_current_span("consumer") as mine:
        for record in db.stream(Order, page_size=2, idle_timeout=0):
            assert trace.get_current_span() is mine
            seen.append(record.new.amount)
            with spans.own.start_as_current_span("record"):
                db.get(Order, record.new.id)
    assert seen == [0, 1, 2, 3]
    found = spans.take()
    records = [span for span in found if span.name == "record"]
    gets = [span for span in found if span.name == "dynamorm.get Order"]
    assert [is_below(get, record) for get, record in zip(gets, records, strict=True)] == [True] * 4
    stream = [span for span in found if span.attributes.get("dynamorm.purpose") == "internal"]
    assert {span.name for span in stream} == {f"{name} orders" for name in set(service.names()) - {"GetItem"}}
    assert all(is_below(span, mine) for span in stream)
    assert not any(map(failed, found))
    assert not any(ARN in span.to_json() for span in stream)


def test_a_stream_that_is_left_early(streamed, spans):
    db, service = streamed
    service.shard("s1", None, *range(4))
    with db.stream(Order, page_size=2, idle_timeout=0, checkpoint=Checkpoint, consumer="orders") as stream:
        for _ in stream:
            break
    found = spans.ours()  # looks whether one is open
    assert {"GetRecords orders", "UpdateItem checkpoints"} <= {span.name for span in found}
    assert {span.attributes.get("dynamorm.purpose") for span in found} == {"internal"}
