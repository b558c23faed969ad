"""What the tests of tracing share: spans kept in memory, and how to look at them."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, StatusCode

from dynamorm.plugins.tracing import SCHEMA_URL, TracingPlugin


class Spans:
    """A provider whose spans are kept: ``tracer`` is what the plugin gets, ``own`` that of a program which uses it."""

    def __init__(self, sampler=ALWAYS_ON):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.open = 0
        self.provider.add_span_processor(self)
        self.tracer = self.provider.get_tracer("dynamorm", schema_url=SCHEMA_URL)
        self.own = self.provider.get_tracer("a program")

    def plugin(self):
        return TracingPlugin(self.tracer)

    # As a processor it counts what has begun and not ended.

    def on_start(self, span, parent_context=None):
        self.open += 1

    def _on_ending(self, span):
        pass

    def on_end(self, span):
        self.open -= 1

    def shutdown(self):
        pass

    def force_flush(self, timeout_millis=30000):
        return True

    # What was exported since the last look.

    def take(self):
        """The spans that have ended, in the order in which they began; nothing is left open."""
        assert self.open == 0
        spans = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time)
        self.exporter.clear()
        return spans

    def ours(self):
        """As `take`, without those of the program."""
        return [span for span in self.take() if span.instrumentation_scope.name == "dynamorm"]

    def one(self):
        """The one verb that has ended, and its requests."""
        verbs, requests = split(self.ours())
        assert len(verbs) == 1, [span.name for span in verbs]
        assert all(is_below(request, verbs[0]) for request in requests)
        return verbs[0], requests


def split(spans):
    """The verbs, and the requests."""
    verbs = [span for span in spans if span.name.startswith("dynamorm.")]
    requests = [span for span in spans if not span.name.startswith("dynamorm.")]
    assert all(span.kind is SpanKind.INTERNAL for span in verbs)
    assert all(span.kind is SpanKind.CLIENT for span in requests)
    return verbs, requests


def is_below(span, parent):
    """Whether a span has this parent, and lies within it in time."""
    return (
        span.parent is not None
        and span.parent.span_id == parent.context.span_id
        and span.context.trace_id == parent.context.trace_id
    )


def is_within(span, parent):
    """Whether a span lies within another one in time."""
    return parent.start_time <= span.start_time <= span.end_time <= parent.end_time


def failed(span):
    """Whether its status is ERROR; it is never OK, which is for the program to say."""
    assert span.status.status_code in {StatusCode.UNSET, StatusCode.ERROR}
    return span.status.status_code is StatusCode.ERROR
