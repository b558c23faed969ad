"""A world for the query cache in which everything that may interleave does, by a seed.

Processes share a Redis, and a table whose eventual reads lag. Each process reads and writes through a cache of its own, in
several flows at once. A scheduler chooses which flow goes on, what becomes of each request (applied, lost, or applied as a
copy that comes late), who is cancelled, and what happens to Redis. Time is the world's own.

Each answer that was given out of the cache is compared with all states that the table ever had: see `World._check`.
"""

from __future__ import annotations

import base64
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from msgspec import json
from redis.exceptions import ConnectionError as Broken

from dynamorm import Attr, Model, attr, gsi, partition_key, version
from dynamorm.effects import Acquire, Send, TransportError
from dynamorm.errors import ConditionFailed, Outcome, OutcomeUnknown, PoolTimeout
from dynamorm.models.schema.schema import schema_of
from dynamorm.ops.calls.op import Op, Safety
from dynamorm.plugins.cache import Cache, CacheConfig
from dynamorm.plugins.cache.shared import Shared

from .cache_redis import FakeLink, FakeRedis

if TYPE_CHECKING:
    from collections.abc import Callable

    from dynamorm.effects import Flow

LAG = 0.8
"""Seconds by which an eventual read lags at most."""
LATEST_COPY = 300.0
"""Seconds behind which no copy of a request is accepted."""
STATUSES = ("a", "b", "c")
KEYS = ("k1", "k2")
SETTLE = 5.0
EDGE = 5.0
"""Seconds at both ends of a long wait in which all rounds are done that are due."""
MISLEADING = {"back", "down"}
"""Faults behind which a process may read what others have written over: what is lost only makes a miss."""


class Row(Model, table="cache-world"):
    """What is stored."""

    id: Attr[str] = partition_key()
    status: Attr[str] = attr(default="a")
    text: Attr[str] = attr(default="")
    version: Attr[int] = version()
    by_status = gsi("by-status", partition="status")


class Cancelled(BaseException):
    """A task is cancelled."""


class Table:
    """Items, and all the states that they were in: ``(time, items)``."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.states: list[tuple[float, dict[str, Any]]] = [(world.now, {})]

    @property
    def items(self) -> dict[str, Any]:
        """What is stored now."""
        return self.states[-1][1]

    def apply(self, op: Op, at: float) -> bool:
        """Apply a write, or refuse it by its condition."""
        request = json.decode(op.body)
        key = (request.get("Key") or request["Item"])["id"]["S"]
        item = self.items.get(key)
        names = request.get("ExpressionAttributeNames", {})
        values = request.get("ExpressionAttributeValues", {})
        condition = request.get("ConditionExpression", "")
        if condition.startswith("attribute_not_exists") and item is not None:
            return False
        if condition.startswith("#n0 = :v0") and (
            item is None or item["version"] != values[":v0"] or item.get("_wt") != values[":v1"]
        ):
            return False
        after = dict(self.items)
        if op.name == "PutItem":
            after[key] = request["Item"]
        elif op.name == "DeleteItem":
            after.pop(key, None)
        else:
            new = dict(item or {"id": {"S": key}, "version": {"N": "0"}})
            text, _, added = request["UpdateExpression"].partition(" ADD ")
            for part in text.removeprefix("SET ").split(", "):
                place, _, value = part.partition(" = ")
                new[names[place]] = values[value]
            if added:
                new["version"] = {"N": str(int(new["version"]["N"]) + 1)}
            after[key] = new
        self.states.append((at, after))
        return True

    def seen(self, *, consistent: bool) -> dict[str, Any]:
        """What a read meets: the latest state, or one of the last moments."""
        if consistent:
            return self.items
        since = self.world.now - self.world.random.uniform(0, LAG)
        return next(items for time, items in reversed(self.states) if time <= since or time == self.states[0][0])


def answer_of(body: bytes, items: dict[str, Any]) -> bytes:
    """The JSON that answers a read of these items."""
    request = json.decode(body)
    if "Key" in request:
        item = items.get(request["Key"]["id"]["S"])
        return json.encode({} if item is None else {"Item": item})
    status = request["ExpressionAttributeValues"][":v0"]
    found = [item for _, item in sorted(items.items()) if item.get("status") == status]
    return json.encode({"Items": found, "Count": len(found)})


class Process:
    """A process: a cache, and the writes that it has made, as pairs of whether it has ended and the states it made."""

    def __init__(self, world: World, config: CacheConfig, redis: FakeRedis | None) -> None:
        self.world = world
        self.cache = cache = Cache(config)
        self.rule = cache.write_rule(schema_of(Row))
        if redis is not None:
            cache._store = Shared(config, FakeLink(redis), b"k" * 32, "world")
            cache._store.wall = lambda: world.now
            cache._store.random_bytes = world.random.randbytes
        cache._store.clock = lambda: world.now
        self.call = cache.around(world.call)
        self.writes: list[SimpleNamespace] = []
        self.tend_at: float | None = None
        if redis is not None:
            cache._store.wake = self.wake

    def wake(self) -> None:
        """There is something to do although nobody uses the cache."""
        self.tend_at = self.world.now

    def tend(self) -> None:
        """What the cache's own thread or task does, when its time has come."""
        if self.tend_at is None or self.world.now < self.tend_at:
            return
        self.tend_at = None
        flow, answer, go_on = self.cache._store.tend(), None, None
        try:
            effect = next(flow)
            while True:
                go_on, answer = flow.send, None
                try:
                    answer = self.world.answer_to(*effect)
                except Exception as error:  # noqa: BLE001 - what redis raises
                    go_on, answer = flow.throw, error
                effect = go_on(answer)
        except StopIteration as stop:
            wait = stop.value
        if wait is not None:
            self.tend_at = self.world.now + max(wait, 0.01)  # time has a grain
        if not self.cache._store._debt:
            for write in self.writes:  # Redis knows all of it now
                write.closed = False


class Actor:
    """One flow of a process."""

    def __init__(self, process: Process, kind: str, flow: Flow[Any], op: Op, write: Any) -> None:
        self.process, self.kind, self.op, self.write = process, kind, op, write
        self.flow = flow
        self.effect: Any = None
        self.permit: Any = None
        self.waits_since = 0.0
        self.was_cancelled = False
        self.begun: list[tuple[Any, int]] = []  # what had to be seen, when it began


class World:
    """Runs one schedule. ``faults``: what happens to Redis; ``closes``: flows may be closed half way; ``told``: keep a trail.

    ``narrow``: all read and write one item, faults are frequent, and copies of requests come soon, so that rare coincidences
    are met. ``calm``: no request is lost, and nobody is cancelled.
    """

    def __init__(
        self,
        seed: int,
        *,
        processes: int = 2,
        redis: bool = True,
        faults: tuple[str, ...] = (),
        closes: bool = False,
        settle: float = SETTLE,
        steps: int = 24,
        told: bool = False,
        ttl: float | None = None,
        narrow: bool = False,
        calm: bool = False,
    ) -> None:
        self.random = random.Random(seed)
        self.keys, self.reads, self.latest = (KEYS[:1], 1.0, 8.0) if narrow else (KEYS, 0.6, LATEST_COPY)
        self.often, self.calm = 0.2 if narrow else 0.06, calm
        self.now = 1_700_000_000.0
        self.table = Table(self)
        self.late: list[tuple[float, Op, Any]] = []
        self.redis = FakeRedis(lambda: self.now) if redis else None
        self.ttl = ttl or self.random.choice([10.0, 60.0, 900.0])
        self.config = CacheConfig(ttl=self.ttl, settle=settle, missing=self.random.random() < 0.3)
        self.processes = [Process(self, self.config, self.redis) for _ in range(processes)]
        self.faults, self.closes, self.steps = faults, closes, steps
        self.actors: list[Actor] = []
        self.number = 0
        self.saved: dict[bytes, Any] = {}
        self.hits = 0
        self.trail: list[str] = []
        self._told = told
        if self.redis is not None:
            for process in self.processes:  # each of them was there before anything was lost
                self._whole(process.call(self._read()))

    # ---------------------------------------------------------------------------------------------------------- requests

    def _op(self, name: str, request: dict[str, Any], verb: str, *, safety: Safety = Safety.READ) -> Op:
        op = Op(name, "cache-world", json.encode({"TableName": "cache-world", **request}), bytes, safety)
        op.operation = SimpleNamespace(verb=verb, model=Row, scope={})
        return op

    def _read(self) -> Op:
        if self.random.random() < self.reads:
            return self._op("GetItem", {"Key": {"id": {"S": self.random.choice(self.keys)}}}, "get")
        return self._op(
            "Query",
            {
                "KeyConditionExpression": "#n0 = :v0", "IndexName": "by-status",
                "ExpressionAttributeNames": {"#n0": "status"},
                "ExpressionAttributeValues": {":v0": {"S": self.random.choice(STATUSES)}},
            },
            "all",
        )  # fmt: skip

    def _write(self, process: Process) -> Op:
        self.number += 1
        key = {"id": {"S": self.random.choice(self.keys)}}
        status, text = {"S": self.random.choice(STATUSES)}, {"S": str(self.number)}
        ring = {"B": base64.b64encode(self.random.randbytes(8)).decode()}
        kind = self.random.choice(["put", "create", "save", "save", "update", "delete"])
        item = self.table.items.get(key["id"]["S"])
        if kind == "save" and item is not None and "_wt" in item:
            # As the library writes it: bound to the state that was loaded, which the rule takes note of.
            draft = SimpleNamespace(version_check=True, stored_item=lambda: item)
            process.rule.contribute(draft)
            values = {":v0": item["version"], ":v1": item["_wt"], ":v2": text, ":v4": ring}
            values[":v5"] = {"N": str(int(item["version"]["N"]) + 1)}
            names = {"#n0": "version", "#n1": "_wt", "#n2": "text"}
            expression = "SET #n2 = :v2, #n1 = :v4, #n0 = :v5"
            if self.random.random() < 0.5:
                names["#n3"], values[":v3"] = "status", status
                expression = "SET #n2 = :v2, #n3 = :v3, #n1 = :v4, #n0 = :v5"
            elif self.random.random() < 0.3:
                return self._op(
                    "DeleteItem",
                    {
                        "Key": key, "ConditionExpression": "#n0 = :v0 AND #n1 = :v1",
                        "ExpressionAttributeNames": {"#n0": "version", "#n1": "_wt"},
                        "ExpressionAttributeValues": {":v0": item["version"], ":v1": item["_wt"]},
                    },
                    "delete", safety=Safety.RESEND,
                )  # fmt: skip
            request = {
                "Key": key, "UpdateExpression": expression, "ConditionExpression": "#n0 = :v0 AND #n1 = :v1",
                "ExpressionAttributeNames": names, "ExpressionAttributeValues": values,
            }  # fmt: skip
            return self._op("UpdateItem", request, "save", safety=Safety.RESEND)
        if kind == "delete":
            return self._op("DeleteItem", {"Key": key}, "delete", safety=Safety.RESEND)
        if kind in {"put", "create"}:
            whole = {**key, "status": status, "text": text, "version": {"N": "0"}, "_wt": ring}
            more = {}
            if kind == "create":
                more = {
                    "ConditionExpression": "attribute_not_exists(#k)",
                    "ExpressionAttributeNames": {"#k": "id"},
                }
            return self._op("PutItem", {"Item": whole, **more}, kind, safety=Safety.RESEND)
        request = {
            "Key": key, "UpdateExpression": "SET #n1 = :v0, #n3 = :v3 ADD #n2 :v1",
            "ExpressionAttributeNames": {"#n1": "text", "#n2": "version", "#n3": "status"},
            "ExpressionAttributeValues": {":v0": text, ":v1": {"N": "1"}, ":v3": status},
        }  # fmt: skip
        return self._op("UpdateItem", request, "update", safety=Safety.RESEND)

    def call(self, op: Op) -> Flow[Any]:
        """The innermost call: a read, or a write with its repetitions."""
        if op.safety is Safety.READ:
            reply = yield Send(op, 1.0)
            return op.decode(reply.body)
        ambiguous = False
        for attempt in range(3):
            try:
                reply = yield Send(op, 1.0)
            except TransportError:
                ambiguous = True
                if attempt == 2 or self.random.random() < 0.4:
                    break
                continue
            except BaseException as stop:
                stop.outcome = Outcome.UNKNOWN
                raise
            if reply.status == 200:
                return None
            raise ConditionFailed("no", outcome=Outcome.UNKNOWN if ambiguous else Outcome.NOT_APPLIED)
        raise OutcomeUnknown("lost")

    def answer_to(self, link: FakeLink, command: tuple[Any, ...]) -> Any:
        """What Redis answers, or what becomes of the question. Raises what redis raises."""
        if link.down:
            if self.random.random() < 0.5:
                self._quietly(link, command)  # it was done, and the answer was lost
            raise Broken("down")
        return link.perform(command)

    def _whole(self, flow: Flow[Any]) -> None:
        """Run a flow of a read to its end, with nothing beside it."""
        try:
            effect = next(flow)
            while True:
                if effect.__class__ is tuple:
                    try:
                        answer = self.answer_to(*effect)
                    except Exception as error:  # noqa: BLE001 - a script that is not there yet
                        effect = flow.throw(error)
                        continue
                else:
                    body = answer_of(effect.data.body, self.table.seen(consistent=True))
                    answer = SimpleNamespace(status=200, body=body)
                effect = flow.send(answer)
        except StopIteration:
            return

    # --------------------------------------------------------------------------------------------------------- the run

    def run(self) -> int:
        """Run the schedule to its end. The number of hits. Raises: AssertionError for a stale one."""
        started = 0
        while started < self.steps or self.actors:
            self._tick()
            if started < self.steps and ((len(self.actors) < 4 and self.random.random() < 0.5) or not self.actors):
                started += 1
                self._start()
                continue
            self._step(self.random.choice(self.actors))
        return self.hits

    def _tell(self, line: Callable[[], str]) -> None:
        if self._told:
            self.trail.append(line())

    def _tick(self) -> None:
        roll = self.random.random()
        self._pass(0.002)
        if roll < 0.08:
            self._pass(self.random.choice([0.1, 0.5, 1.0, 3.0, 5.5]))
        elif roll < 0.10:
            self._pass(self.random.choice([20.0, 120.0, 290.0, 600.0]))
        if self.redis is not None and self.faults and self.random.random() < self.often:
            self._fault(self.random.choice(self.faults), self.redis)

    def _pass(self, seconds: float) -> None:
        """Let time pass. Copies arrive meanwhile, and processes do what they do by themselves.

        Nobody reads, and nothing is lost in the middle of a long wait, so that one round says there what sixty would.
        """
        begin, end = self.now, self.now + seconds
        while True:
            due = [process.tend_at for process in self.processes if process.tend_at is not None]
            at = max(self.now, min([end, *due]))
            self.now = min(self.now + 60.0, end - EDGE) if begin + EDGE < at < end - EDGE else at
            for entry in sorted([one for one in self.late if one[0] <= self.now], key=lambda one: one[0]):
                self.late.remove(entry)
                self._apply(entry[1], entry[2], at=entry[0])
            for process in self.processes:
                process.tend()
            if self.now >= end:
                return

    def _fault(self, fault: str, redis: FakeRedis) -> None:
        self._tell(lambda: f"{self.now:.3f} redis: {fault}")
        if fault == "back":
            if self.saved and self.random.random() < 0.5:
                redis.data = dict(self.saved)
                if self.random.random() < 0.5:
                    redis.run_id = b"server-%d" % self.random.randrange(1000)
            else:
                self.saved = dict(redis.data)
        elif fault == "flush":
            redis.data.clear()
        elif fault == "evict":
            for key in self.random.sample(sorted(redis.data), min(3, len(redis.data))):
                del redis.data[key]
        elif fault == "evict one":  # and nothing that would tell that something is lost
            name = ("part", "cache-world", f"S{self.random.choice(self.keys)}")
            redis.data.pop(self.processes[0].cache._store._name(name), None)
        elif fault == "down":
            for process in self.processes:
                process.cache._store.redis.link.down = self.random.random() < 0.5

    def _start(self) -> None:
        process = self.random.choice(self.processes)
        if self.random.random() < 0.65:
            op, kind, write = self._read(), "read", None
        else:
            op, kind = self._write(process), "write"
            write = SimpleNamespace(ended=False, states=[], closed=False, process=process)
            process.writes.append(write)
        actor = Actor(process, kind, process.call(op), op, write)
        op.operation.write = write
        if kind == "read":
            actor.begun = self._must_see(process)
        self._tell(
            lambda: f"{self.now:.3f} {self.processes.index(process)} begins {op.operation.verb} {op.body[:200]!r}"
        )
        self.actors.append(actor)
        self._go(actor, actor.flow.send, None)

    def _must_see(self, process: Process) -> list[int]:
        """The states that were made by writes which have ended: by this process, and where Redis is well by all."""
        weak = bool(MISLEADING & set(self.faults))
        return [
            state
            for one in self.processes
            for write in one.writes
            if write.ended and (one is process or not (weak or write.closed))
            for state in write.states
        ]

    def _apply(self, op: Op, write: Any, at: float | None = None) -> bool:
        if not self.table.apply(op, self.now if at is None else at):
            return False
        write.states.append(len(self.table.states) - 1)
        self._tell(lambda: f"{self.now:.3f} applied {op.name} {op.body[:90]!r}")
        return True

    def _step(self, actor: Actor) -> None:
        effect, roll = actor.effect, self.random.random()
        if roll < 0.02 and not self.calm:
            self._tell(lambda: f"{self.now:.3f} cancelled {actor.op.operation.verb} at {type(effect).__name__}")
            if effect.__class__ is Send and actor.kind == "write" and self.random.random() < 0.5:
                self._apply(actor.op, actor.write)
            self._leave_queue(actor)
            if effect.__class__ is tuple and actor.write is not None:  # twice, and only the process itself knows it
                actor.write.closed, actor.was_cancelled = actor.was_cancelled, True
            return self._go(actor, actor.flow.throw, Cancelled())
        if roll < 0.03 and self.closes:
            self._leave_queue(actor)
            if actor.write is not None:
                actor.write.closed = True
                if effect.__class__ is Send and self.random.random() < 0.5:
                    self._apply(actor.op, actor.write)
            actor.flow.close()
            return self._end(actor, None)
        if effect.__class__ is Acquire:
            if actor.permit is None:
                actor.permit, actor.waits_since = effect.limiter.permit(), self.now
            if actor.permit.take():
                permit, actor.permit = actor.permit, None
                return self._go(actor, actor.flow.send, permit)
            if self.now - actor.waits_since >= effect.timeout:
                self._leave_queue(actor)
                return self._go(actor, actor.flow.throw, PoolTimeout("waited"))
            self.now += 0.01
            return None
        if effect.__class__ is tuple:
            return self._redis(actor, *effect)
        return self._send(actor, effect.data)

    def _leave_queue(self, actor: Actor) -> None:
        if actor.permit is not None:
            actor.permit.release()
            actor.permit = None

    def _redis(self, actor: Actor, link: FakeLink, command: tuple[Any, ...]) -> None:
        try:
            answer = self.answer_to(link, command)
        except Exception as error:  # noqa: BLE001 - what redis raises
            return self._go(actor, actor.flow.throw, error)
        return self._go(actor, actor.flow.send, answer)

    @staticmethod
    def _quietly(link: FakeLink, command: tuple[Any, ...]) -> None:
        try:
            link.perform(command)
        except Exception:  # noqa: BLE001 - a script that is not there yet
            return

    def _send(self, actor: Actor, op: Op) -> None:
        if actor.kind == "read":
            consistent = b"ConsistentRead" in op.body
            assert not (consistent and b"IndexName" in op.body)
            body = answer_of(op.body, self.table.seen(consistent=consistent))
            return self._go(actor, actor.flow.send, SimpleNamespace(status=200, body=body))
        roll = self.random.random()
        if roll < 0.75 or self.calm:
            status = 200 if self._apply(op, actor.write) else 400
            return self._go(actor, actor.flow.send, SimpleNamespace(status=status, body=b""))
        if roll < 0.85:
            self._apply(op, actor.write)
        if roll > 0.80:  # a copy is still on its way
            self.late.append((self.now + self.random.uniform(0, self.latest), op, actor.write))
        return self._go(actor, actor.flow.throw, TransportError("receive", "lost", sent=True))

    def _go(self, actor: Actor, go_on: Any, what: Any) -> None:
        counts = actor.process.cache._counts
        hits = counts.hits
        try:
            actor.effect = go_on(what)
        except StopIteration as stop:
            self._end(actor, stop.value if counts.hits > hits else None)
        except (OutcomeUnknown, ConditionFailed, Cancelled) as error:
            name = type(error).__name__
            self._tell(lambda: f"{self.now:.3f} {actor.op.operation.verb} ended with {name}")
            self._end(actor, None)

    def _end(self, actor: Actor, hit: bytes | None) -> None:
        self.actors.remove(actor)
        if actor.write is not None:
            actor.write.ended = True
            self._tell(lambda: f"{self.now:.3f} ended {actor.op.operation.verb}")
        if hit is not None:
            self.hits += 1
            self._check(actor, hit)

    def _check(self, actor: Actor, hit: bytes) -> None:
        """A hit shows a state that is as new as every write that had ended when it began, and that was there while it lived."""
        states = self.table.states
        showing = [place for place, (_, items) in enumerate(states) if answer_of(actor.op.body, items) == hit]
        what = f"{actor.op.body!r} gave {hit!r}"
        if not showing:
            raise AssertionError(f"{what}, which was never stored\n" + "\n".join(self.trail))
        newest = max(showing)
        relevant = [state for state in actor.begun if state > newest and self._changed(actor.op.body, state)]
        if relevant:
            raise AssertionError(
                f"stale: {what}, of state {newest}, and {relevant} had been written\n" + "\n".join(self.trail)
            )
        gone = states[newest + 1][0] if newest + 1 < len(states) else self.now
        assert self.now - gone <= self.ttl * 1.1 + LAG + 1.0, f"too old: {what}\n" + "\n".join(self.trail)

    def _changed(self, body: bytes, state: int) -> bool:
        """Whether the write that made a state changed what an answer shows."""
        (_, before), (_, after) = self.table.states[state - 1 : state + 1]
        return answer_of(body, before) != answer_of(body, after)
