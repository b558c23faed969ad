"""Test tools: databases, fixtures, clocks, engines, faults on the wire. It must not load anything before its first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dynamorm.testing import answers as answers
    from dynamorm.testing.answers import Answer as Answer
    from dynamorm.testing.answers import Message as Message
    from dynamorm.testing.backend import Backend as Backend
    from dynamorm.testing.backend import EngineBackend as EngineBackend
    from dynamorm.testing.backend import Upstream as Upstream
    from dynamorm.testing.clock import FakeClock as FakeClock
    from dynamorm.testing.db import AsyncTestDB as AsyncTestDB
    from dynamorm.testing.db import TestDB as TestDB
    from dynamorm.testing.driver import Late as Late
    from dynamorm.testing.driver import ScriptedDriver as ScriptedDriver
    from dynamorm.testing.engines import DynamoDBLocal as DynamoDBLocal
    from dynamorm.testing.engines import EmbeddedEngine as EmbeddedEngine
    from dynamorm.testing.engines import Ministack as Ministack
    from dynamorm.testing.holding import Delivery as Delivery
    from dynamorm.testing.holding import Fate as Fate
    from dynamorm.testing.holding import HoldingProxy as HoldingProxy
    from dynamorm.testing.kit.eventually import assert_eventually as assert_eventually
    from dynamorm.testing.kit.factories import factory as factory
    from dynamorm.testing.kit.faulty_engine import FaultyEngine as FaultyEngine
    from dynamorm.testing.kit.freeze import freeze_time as freeze_time
    from dynamorm.testing.kit.licences import licence as licence
    from dynamorm.testing.kit.recorder import Recorder as Recorder
    from dynamorm.testing.kit.snapshot import assert_snapshot as assert_snapshot
    from dynamorm.testing.kit.strategies import strategy as strategy
    from dynamorm.testing.proxy import Fault as Fault
    from dynamorm.testing.proxy import LossyProxy as LossyProxy
    from dynamorm.testing.replies import FakeReply as FakeReply
    from dynamorm.testing.replies import SentRequest as SentRequest
    from dynamorm.testing.replies import failure as failure
    from dynamorm.testing.replies import reply as reply
    from dynamorm.testing.request import Request as Request
    from dynamorm.testing.server import FaultServer as FaultServer

_HOMES = {
    "Recorder": "kit.recorder",
    "assert_eventually": "kit.eventually",
    "assert_snapshot": "kit.snapshot",
    "factory": "kit.factories",
    "freeze_time": "kit.freeze",
    "strategy": "kit.strategies",
    "FaultyEngine": "kit.faulty_engine",
    "Answer": "answers",
    "AsyncTestDB": "db",
    "Backend": "backend",
    "Delivery": "holding",
    "DynamoDBLocal": "engines",
    "EmbeddedEngine": "engines",
    "Ministack": "engines",
    "EngineBackend": "backend",
    "FakeClock": "clock",
    "FakeReply": "replies",
    "Fate": "holding",
    "Fault": "proxy",
    "FaultServer": "server",
    "HoldingProxy": "holding",
    "Late": "driver",
    "LossyProxy": "proxy",
    "Message": "answers",
    "Request": "request",
    "ScriptedDriver": "driver",
    "SentRequest": "replies",
    "TestDB": "db",
    "Upstream": "backend",
    "failure": "replies",
    "licence": "kit.licences",
    "reply": "replies",
}

__all__ = [
    "Answer",
    "AsyncTestDB",
    "Backend",
    "Delivery",
    "DynamoDBLocal",
    "EmbeddedEngine",
    "EngineBackend",
    "FakeClock",
    "FakeReply",
    "Fate",
    "Fault",
    "FaultServer",
    "FaultyEngine",
    "HoldingProxy",
    "Late",
    "LossyProxy",
    "Message",
    "Ministack",
    "Recorder",
    "Request",
    "ScriptedDriver",
    "SentRequest",
    "TestDB",
    "Upstream",
    "answers",
    "assert_eventually",
    "assert_snapshot",
    "factory",
    "failure",
    "freeze_time",
    "licence",
    "reply",
    "strategy",
]


def __getattr__(name: str) -> Any:
    if name == "answers":
        return importlib.import_module("dynamorm.testing.answers")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(importlib.import_module(f"dynamorm.testing.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
