"""What the shipped plugins for metrics, traces and logs add to a get of 1 kB: each alone, and all three together, in one run.

``python -m benchmarks.shipped`` prints µs of CPU per get, in one process, without network: every get is given its reply, with the
units that it has cost where it has asked for them. The configurations take turns in blocks of a hundred gets. ``least`` is what
the quickest block takes beyond the quickest one without a plugin, which is what the code costs; the quartiles are those of the
differences, round by round, which is what a busy machine makes of it. ``--loopback`` measures over sockets, from a server in a
process of its own, which tells no units.

Traces are made by OpenTelemetry's SDK, with a processor that drops them: where the sampler takes every trace, most of the time is
the SDK's own, and the line ``by hand`` shows what it takes for the same two spans in the program itself.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.trace.sampling import DEFAULT_OFF, DEFAULT_ON, Sampler
from prometheus_client import CollectorRegistry

from benchmarks import payload, sample
from benchmarks.libraries.dynamorm_models import blob_model, settings
from benchmarks.plugins import turns
from benchmarks.ratios import quarters
from benchmarks.resilience import Answering
from benchmarks.server import Server
from benchmarks.tracing import by_hand, tracer
from dynamorm import DB
from dynamorm.effects import Reply
from dynamorm.plugins import LoggingPlugin, Metrics, MetricsPlugin, TracingPlugin
from dynamorm.testing import reply

PLAIN = "no plugin"
ALL = "metrics + tracing + logging"
RECORDED = f"{ALL}, every trace recorded"
PROMISE = 12.0
"""µs that the three may add to a get; the spans of the SDK, where there are any, apart."""
ROUNDS = 400
SIZE = 1_000


def metrics() -> MetricsPlugin:
    """Metrics for Prometheus, in a registry of their own; they ask what each request costs."""
    return MetricsPlugin(CollectorRegistry())


def traces(sampler: Sampler = DEFAULT_OFF) -> TracingPlugin:
    """Traces by the SDK."""
    return TracingPlugin(tracer(sampler))


def logs() -> LoggingPlugin:
    """Logs from INFO on."""
    logger = logging.getLogger("benchmarks.shipped")
    logger.setLevel(logging.INFO)
    return LoggingPlugin(logger)


CONFIGURATIONS: dict[str, Callable[[], tuple[Any, ...]]] = {
    PLAIN: lambda: (),
    "db.metrics()": lambda: (Metrics(),),
    "metrics": lambda: (metrics(),),
    "metrics, units=False": lambda: (MetricsPlugin(CollectorRegistry(), units=False),),
    "tracing, no trace sampled": lambda: (traces(),),
    "logging at INFO": lambda: (logs(),),
    ALL: lambda: (metrics(), traces(), logs()),
    "tracing, every trace recorded": lambda: (traces(DEFAULT_ON),),
    RECORDED: lambda: (metrics(), traces(DEFAULT_ON), logs()),
}
BY_HAND = "by hand: the SDK's two spans"


def gets(endpoint: str | None = None) -> dict[str, Callable[[], Any]]:
    """A get with each configuration, of a server, or else of a reply."""
    model = blob_model(SIZE)
    found: dict[str, Callable[[], Any]] = {}
    for name, make in CONFIGURATIONS.items():
        plugins = make()
        db = DB(settings(endpoint or "http://127.0.0.1:9"), extensions=plugins)
        if endpoint is None:
            asks = any(getattr(plugin, "return_consumed_capacity", None) for plugin in plugins)
            db._io = Answering(answer(units=asks))  # type: ignore[assignment]  # noqa: SLF001 - the network is replaced
        found[name] = lambda db=db: db.get(model, f"blob-{SIZE}")  # type: ignore[misc]
    spans, plain = by_hand(tracer(DEFAULT_ON), f"nanos-blob-{SIZE}"), found[PLAIN]
    found[BY_HAND] = lambda: (plain(), spans())
    return found


def answer(*, units: bool) -> Reply:
    """The reply to a get, as DynamoDB gives it."""
    body: dict[str, Any] = {}
    if units:
        taken = {"CapacityUnits": 0.5}
        body["ConsumedCapacity"] = {**taken, "Table": taken, "TableName": f"nanos-blob-{SIZE}"}
    body["Item"] = payload.wire_item(sample.blob(SIZE), "nanos")
    return reply(body)


def measure(operations: dict[str, Callable[[], Any]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """The µs of CPU of each get, round by round; the order turns."""
    found: dict[str, list[float]] = {name: [] for name in operations}
    for cpu in turns(operations, rounds, collected_every=20):
        for name, values in found.items():
            values.append(cpu[name])
    return found


def added(found: dict[str, list[float]]) -> dict[str, float]:
    """What each adds: the least of its rounds beyond the least without a plugin."""
    return {name: min(values) - min(found[PLAIN]) for name, values in found.items()}


def table(found: dict[str, list[float]]) -> list[str]:
    """The lines that are printed."""
    lines = [f"{'db.get of 1 kB with':<46}{'least':>8}{'added':>8}{'quartiles of what is added':>30}"]
    least = added(found)
    for name, values in found.items():
        low, middle, high = quarters([one - plain for one, plain in zip(values, found[PLAIN], strict=True)])
        spread = "" if name == PLAIN else f"{low:>+14.1f}{middle:>+8.1f}{high:>+8.1f}"
        lines.append(f"{name:<46}{min(values):>8.1f}{least[name]:>+8.1f}{spread}")
    beyond = least[RECORDED] - least[BY_HAND]
    lines += [
        "",
        f"{ALL}: {least[ALL]:.1f} µs a get, of {PROMISE:.0f} that are promised",
        f"every trace recorded: {least[RECORDED]:.1f} µs, {beyond:.1f} of them beyond what the SDK's spans take by hand",
    ]
    return lines


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.shipped", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="blocks of each")
    parser.add_argument("--loopback", action="store_true", help="over sockets, from a server in another process")
    asked = parser.parse_args()
    if asked.loopback:
        with Server(payload.routes()) as server:
            lines = table(measure(gets(server.endpoint), asked.rounds))
    else:
        lines = table(measure(gets(), asked.rounds))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
