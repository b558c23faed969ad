"""Plugins that belong to one process: who sends one to another is told what to do, as with a database."""

import copy
import pickle

import pytest

from dynamorm import CircuitBreakerConfig
from dynamorm.errors import InvalidUse
from dynamorm.plugin import OfOneProcess
from dynamorm.plugins import (
    Bulkhead,
    CapacityLimiter,
    CircuitBreaker,
    CostPlugin,
    Hedging,
    HotKeys,
    Metrics,
    MetricsPlugin,
    ThrottlePacing,
)

MADE = [
    Bulkhead(5), CapacityLimiter(requests=5), CircuitBreaker(CircuitBreakerConfig()), CostPlugin(), Hedging(), HotKeys(), Metrics(),
    ThrottlePacing(),
]  # fmt: skip


@pytest.mark.parametrize("plugin", MADE, ids=lambda plugin: type(plugin).__name__)
@pytest.mark.parametrize("send", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_plugin_of_one_process_is_not_sent_to_another(plugin, send):
    name = type(plugin).__name__
    with pytest.raises(InvalidUse, match=f"neither pickled nor copied: make a {name} with the same arguments"):
        send(plugin)


def test_that_of_prometheus_neither():
    prometheus_client = pytest.importorskip("prometheus_client")
    with pytest.raises(InvalidUse, match="make a MetricsPlugin with the same arguments"):
        pickle.dumps(MetricsPlugin(prometheus_client.CollectorRegistry()))


def test_a_plugin_may_have_a_sentence_of_its_own():
    class Outbox(OfOneProcess):
        unpicklable_for = "has letters under way"
        unpicklable_instead = "open another {name}"

    with pytest.raises(
        InvalidUse, match=r"an Outbox has letters under way, so it can be .* copied: open another Outbox"
    ):
        pickle.dumps(Outbox())
