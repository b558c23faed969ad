"""What tracing adds to a get: without recording, and with a processor that drops what is recorded. No network.

``python -m benchmarks.tracing`` prints the least time of many short blocks, which take turns. Beside it stands what the SDK
takes by itself for the same two spans with the same attributes, made by hand behind the get: the rest is the plugin's.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import DEFAULT_OFF, DEFAULT_ON, Sampler

from benchmarks import payload, sample
from benchmarks.calls import Scripted
from benchmarks.libraries.dynamorm_models import payment_model, settings
from dynamorm import DB
from dynamorm.plugins.tracing import TracingPlugin
from dynamorm.testing import reply

ROUNDS, BLOCK = 2_000, 10
"""Blocks of each, and gets in a block: about 0.3 ms, so that some have the machine for themselves."""
PLAIN, LOOKING = "without a plugin", "a plugin whose hooks do nothing"


class Looking:
    """Has the hooks of tracing, and does nothing in them."""

    name = "looking"

    def began(self, *_: Any) -> None:
        """Nothing."""

    ended = call_began = observed = retried = call_ended = began


def tracer(sampler: Sampler) -> trace.Tracer:
    """A tracer whose spans go nowhere."""
    return TracerProvider(sampler=sampler).get_tracer("benchmark")


def by_hand(of: trace.Tracer, table: str) -> Callable[[], None]:
    """The two spans of a get, as a program would make them itself."""
    verb = {"dynamorm.verb": "get", "dynamorm.model": "Payment", "db.collection.name": table}
    request = {
        "db.system.name": "aws.dynamodb", "db.operation.name": "GetItem", "db.collection.name": table,
        "aws.dynamodb.table_names": (table,), "server.address": "127.0.0.1", "server.port": 9, "cloud.region": "eu-west-1",
    }  # fmt: skip

    def spans() -> None:
        outer = of.start_span("dynamorm.get Payment", None, trace.SpanKind.INTERNAL, verb)
        if outer.is_recording():
            inner = of.start_span("GetItem payments", trace.set_span_in_context(outer), trace.SpanKind.CLIENT, request)
            inner.set_attributes({"aws.request_id": "TEST"})
            inner.end()
            outer.end()

    return spans


def gets() -> dict[str, Callable[[], Any]]:
    """The gets that are compared."""
    model, key = payment_model("payments"), (sample.MERCHANT, "payment-00000001")
    answer = reply({"Item": payload.stored_payment(1, "nanos")})

    def get(*plugins: Any) -> Callable[[], Any]:
        db = DB(settings("http://127.0.0.1:9"), extensions=plugins)
        db._io = Scripted(answer)  # type: ignore[assignment]  # noqa: SLF001 - the network is replaced
        return lambda: db.get(model, *key)

    def both(one: Callable[[], Any], other: Callable[[], Any]) -> Callable[[], Any]:
        return lambda: (one(), other())

    looking = get(Looking())
    return {
        PLAIN: get(),
        LOOKING: looking,
        "tracing, a tracer that does nothing": get(TracingPlugin(trace.NoOpTracer())),
        "tracing, not sampled": get(TracingPlugin(tracer(DEFAULT_OFF))),
        "by hand, not sampled": both(looking, by_hand(tracer(DEFAULT_OFF), "nanos-payments")),
        "tracing, recorded": get(TracingPlugin(tracer(DEFAULT_ON))),
        "by hand, recorded": both(looking, by_hand(tracer(DEFAULT_ON), "nanos-payments")),
    }


def measure() -> dict[str, float]:
    """The least µs of each."""
    compared = gets()
    least = dict.fromkeys(compared, float("inf"))
    gc.collect()
    gc.disable()  # a collection would fall on one of them
    try:
        for turn in range(ROUNDS + 50):
            for name, get in compared.items():
                start = perf_counter()
                for _ in range(BLOCK):
                    get()
                if turn >= 50:  # they are warm by then
                    least[name] = min(least[name], (perf_counter() - start) / BLOCK * 1e6)
    finally:
        gc.enable()
    return least


def main() -> None:
    """Run as a command."""
    found = measure()
    for name, took in found.items():
        print(f"{name:36} {took:7.2f} µs{'' if name == PLAIN else f'   + {took - found[PLAIN]:.2f}'}")


if __name__ == "__main__":
    main()
