"""One schedule: what the network does to each request of a verb, when others write, and what the verb said of it all.

The judge knows the library's word on the write, and every answer that the engine gave to every copy of it.

Schedules that nobody can tell apart are run once. Neither the engine nor the caller sees when a request is held, only when
it is delivered and what is answered, and copies of one request are alike. So, of schedules that differ only in this:

* a held copy is delivered at the earliest after something was answered since: before that, the same is the schedule in
  which it is delivered at once and its answer is lost;
* of two attempts of one request, one held and one with its answer lost, the latter is the first;
* a copy that the network makes of a further attempt is a held attempt more;
* a copy of a request that only uses up its token does nothing, so it is dropped instead of held;
* the foreign write does not follow a request that was held: it stands before it;
* after the verb has returned, the foreign write is followed by the delivery of a held copy, or by `resolve`: with nothing
  behind it, the schedule is the one in which nobody writes.

By key, a foreign write before the first request is another start, and is run as that.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from typing_extensions import override

from dynamorm import Outcome, OutcomeUnknown
from dynamorm.errors import DynamORMError
from dynamorm.testing.holding import Delivery, Fate, HoldingProxy
from dynamorm.testing.request import Request
from tests.held.cases import Case, knowable
from tests.held.explore import Choices
from tests.held.world import Outside

WRITES = frozenset({
    "PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems", "ExecuteStatement",
    "ExecuteTransaction",
})  # fmt: skip
DUPLICATED = "refused in a clear answer, and applied by a copy that the network had made"
"""Nobody but the network can know of that copy: no answer to its request was lost. HTTP itself repeats none."""
_ANSWERED = frozenset({Fate.DELIVER, Fate.DOUBLE})
APPLIED, NOT_APPLIED, UNKNOWN = Outcome.APPLIED, Outcome.NOT_APPLIED, Outcome.UNKNOWN


PREPARATIONS = 5
"""How often a schedule is begun on a machine that is too slow for the time that its database has."""


class Told(NamedTuple):
    """What the library said: at first, and after `resolve` where that was asked for."""

    outcome: Outcome
    error: str = ""
    resolved: Outcome | None = None

    @property
    def last(self) -> Outcome:
        """The last word."""
        return self.outcome if self.resolved is None else self.resolved


class Record(NamedTuple):
    """A schedule that was run: its events in order, what was told, how often the write was applied, what is wrong."""

    name: str
    start: str
    kind: str
    events: tuple[str, ...]
    told: Told
    applied: int
    held: int
    wrong: str | None

    def __str__(self) -> str:
        said = f"{self.told.outcome}{self.told.error and f' ({self.told.error})'}"
        if self.told.resolved is not None:
            said += f", resolved {self.told.resolved}"
        return f"{self.name} [{self.start}; {self.kind}] {' > '.join(self.events)}: {said}, applied {self.applied} times: {self.wrong}"


class Stage(NamedTuple):
    """What schedules run on: the database under test, the proxy before the engine, and everybody else."""

    db: Any
    proxy: HoldingProxy
    outside: Outside


class Schedule:
    """One run of a verb. `decide` is asked by the proxy for each request, in its thread; the verb waits meanwhile."""

    fates: ClassVar[Sequence[Fate]] = (Fate.DELIVER, Fate.LOSE, Fate.HOLD, Fate.DOUBLE)
    most: ClassVar[int] = 2
    """Requests of a verb that may meet a fault."""

    def __init__(self, stage: Stage, case: Case, choices: Choices, key: str) -> None:
        self.stage = stage
        self.case = case
        self.choices = choices
        self.key = key
        self.events: list[str] = []
        self.start = self.kind = ""
        self.foreign_left = False
        self.faults = 0
        self.running = False
        self.over = False
        self.resolving = False
        self.loaded = False
        self.stray: str | None = None
        self.numbers: dict[int, int] = {}
        self.ripe: set[int] = set()
        self.ambiguous: set[bytes] = set()

    # What the network does

    def decide(self, request: Request) -> Fate:
        """The fate of one request, after what happens just before it."""
        if not self.running:
            return self.aside(request)
        write = request.operation in WRITES
        if write or self.faults:  # before the first fault a read meets what the write after it meets
            self.between(may_stop=True)
        if not write:
            self.events.append(request.operation)
            self._answered()
            return Fate.DELIVER
        self.numbers[request.index] = len(self.numbers) + 1
        fate = self.choices.pick(self._fates(request))
        self.faults += fate is not Fate.DELIVER
        self.events.append(f"{_name(request)} {len(self.numbers)} {fate.name}")
        if fate in _ANSWERED:
            self._answered()
        else:
            self.ambiguous.add(request.body)
        if fate is Fate.DOUBLE:
            self.ripe.add(request.index)
        return fate

    def aside(self, request: Request) -> Fate:
        """What is sent while the verb is not running: by the start, by `resolve`, or by a verb that has given it up."""
        if not self.over or self.resolving or request.operation not in WRITES:
            return Fate.DELIVER
        self.numbers[request.index] = len(self.numbers) + 1
        self.ripe.add(request.index)
        self.events.append(f"{_name(request)} {len(self.numbers)} HOLD")
        return Fate.HOLD

    def _fates(self, request: Request) -> Sequence[Fate]:
        if self.faults >= self.most:
            return self.fates[:1]
        if not changes(request):
            return [Fate.DROP if fate is Fate.HOLD else fate for fate in self.fates if fate is not Fate.DOUBLE]
        left = set(self.fates)
        if request.body in self.ambiguous:
            left.discard(Fate.DOUBLE)
        if any(one.body == request.body and one.index not in self.ripe for one in self.stage.proxy.held):
            left.discard(Fate.LOSE)
        return [fate for fate in self.fates if fate in left]

    def _answered(self) -> None:
        """What is held from before this answer may be delivered from now on."""
        self.ripe |= {one.index for one in self.stage.proxy.held}

    def _may_write(self) -> bool:
        """Whether the foreign write has a place here."""
        if not self.foreign_left or (not self.over and (self.start, self.kind) in self.case.after):
            return False
        last = self.events[-1] if self.events else ""
        return bool(last or self.loaded or not self.running) and not last.endswith(("HOLD", "STALL"))

    def between(self, *, may_stop: bool, resolve: Any = None) -> None:
        """Whatever may happen between two requests: nothing, the foreign write, the delivery of a held copy."""
        while True:
            options: list[Any] = [None] if may_stop else []
            asking = resolve is not None and not self.resolving
            held = self.stage.proxy.held
            if asking:
                options.append(resolve)
            if self._may_write() and (self.running or held or asking):
                options.append("foreign")
            if self.running or not self.foreign_left or asking or len(held) > 1:
                ripe = {one.body: one for one in reversed(held) if one.index in self.ripe}
                options += ripe.values()  # copies of one request are all the same to the engine: the oldest
            if not options or (chosen := self.choices.pick(options)) is None:
                return
            if chosen == "foreign":
                self.foreign_left = False
                self.events.append(f"<{self.kind}>")
                self.case.foreign[self.kind](self.stage.outside, self.case.model, self.key)
            elif isinstance(chosen, Request):
                message = self.stage.proxy.release(chosen)
                self.events.append(f"late {self.numbers[chosen.index]}: {message.status}")
            else:
                self.resolving = True
                chosen()
                self.stage.proxy.settle()

    # What the caller does

    def run(self, start: str, kind: str) -> Record:
        """The whole schedule, to the delivery of the last copy."""
        stage, case = self.stage, self.case
        self.start = start
        self.kind, self.foreign_left, self.resolving = kind, kind != "none", False
        stage.proxy.clear()
        subject = self._prepared(start)
        stage.proxy.clear()
        self.loaded = hasattr(subject, "id")
        self.running = True
        outcome, error, unknown = self._verb(subject)
        self.running, self.over = False, True
        stage.proxy.settle()
        self.events.append(f"= {outcome}")
        self._answered()
        resolved: list[Outcome] = []

        def resolve() -> None:
            assert unknown is not None
            began = time.monotonic()
            found = unknown.resolve(5)
            slow = time.monotonic() - began > 3
            if found is UNKNOWN and slow and knowable(self.case, self.start, self.kind):
                found = unknown.resolve(30)  # its time ran out on a slow machine
            resolved.append(found)
            self.events.append(f"resolve = {resolved[0]}")

        self.between(may_stop=False, resolve=None if unknown is None else resolve)
        told = Told(outcome, error, resolved[0] if resolved else None)
        deliveries = stage.proxy.deliveries
        applied = effects(deliveries)
        wrong = self.wrong(told, applied)
        return Record(case.name, start, kind, tuple(self.events), told, applied, self.held_copies(), wrong)

    def _prepared(self, start: str) -> Any:
        """What the verb is called with. A slow machine may not have it made in time: then once more, under another key."""
        for _ in range(PREPARATIONS - 1):
            try:
                return self.case.start(self.stage.outside, self.stage.db, self.key, start)
            except DynamORMError:
                self.stage.proxy.settle()
                self.key += "x"
        return self.case.start(self.stage.outside, self.stage.db, self.key, start)

    def _verb(self, subject: Any) -> tuple[Outcome, str, OutcomeUnknown | None]:
        try:
            result = self.case.act(self.stage.db, subject, self.key)
        except OutcomeUnknown as error:
            return error.outcome, type(error).__name__, error
        except DynamORMError as error:
            return error.outcome, type(error).__name__, None
        except Exception as error:  # noqa: BLE001 - a verb raises nothing else: the record says so
            self.stray = f"{type(error).__name__}: {error}"
            return UNKNOWN, type(error).__name__, None
        return result if isinstance(result, Outcome) else APPLIED, "", None

    def held_copies(self) -> int:
        """How many copies the network held."""
        return sum(event.endswith(("HOLD", "STALL", "DOUBLE")) for event in self.events)

    # What is right

    def wrong(self, told: Told, applied: int) -> str | None:
        """Which promise was broken, if one was."""
        case, kind = self.case, self.kind
        if self.stray is not None:
            return f"raised {self.stray}"
        if untrue := self._untrue(told, applied):
            copies = [one for one in self.stage.proxy.deliveries if one.late and one.request.body not in self.ambiguous]
            known = effects([one for one in self.stage.proxy.deliveries if one not in copies])
            # A lease that is taken twice is prevented by other means than by what is said of it.
            counts = case.safety != "L" or told.last is NOT_APPLIED
            return DUPLICATED if counts and not self._untrue(told, known) else untrue
        if told.last is UNKNOWN and self.must_know(told):
            return "said to be unknown, and can be known"
        checked = case.check(self.stage.outside, self.key, kind) if f"<{kind}>" in self.events else None
        return self._amount(applied) or checked

    def _untrue(self, told: Told, applied: int) -> str | None:
        for said in (told.outcome, told.last):
            if said is NOT_APPLIED and applied:
                return "said to be not applied, and applied"
            if said is APPLIED and not applied and not self._gone():
                return "said to be applied, and missing"
        # Documented: a late create after a delete, where the model is not strict.
        documented = self.case.name in {"create", "create_by_save"} and self.kind == "delete"
        if applied > 1 and self.case.safety != "I" and not documented:
            return f"applied {applied} times"
        return None

    def must_know(self, told: Told) -> bool:
        """Whether the caller may ask for more than UNKNOWN."""
        return knowable(self.case, self.start, self.kind)

    def _gone(self) -> bool:
        """Whether somebody else has removed what was to be removed, or prolonged the lease further, which is as good."""
        if self.case.name == "lease_refresh":
            return self.kind == "longer"
        return "delete" in self.case.name and self.kind == "delete"

    def _amount(self, applied: int) -> str | None:
        """Where nobody else has touched the amount, it must tell the same as the engine's answers."""
        if not self.case.adds or self.kind != "none":
            return None
        found = self.stage.outside.engine.item(_TABLES[self.case.model.__name__], id=self.key)
        amount = 0 if found is None else int(found.get("amount", {"N": "0"})["N"])
        first = 5 if self.start == "five" else 0
        return (
            None
            if amount == first + applied * self.case.adds
            else f"the amount is {amount} after {applied} applications"
        )


class Silent(Schedule):
    """One request of the verb is held, and its caller learns it from the clock."""

    fates = (Fate.DELIVER, Fate.STALL)
    most = 1


class Dead(Schedule):
    """After its first write nothing of the verb arrives any more, until it has given up; then the network is well."""

    fates = (Fate.HOLD, Fate.LOSE)
    most = 1

    @override
    def decide(self, request: Request) -> Fate:
        if self.running and self.faults:
            return Fate.DROP
        return super().decide(request)

    @override
    def must_know(self, told: Told) -> bool:
        """Unconditional writes may have been overwritten before anybody looks, and a batch cannot be asked.

        Where no item is, a create may have been applied and its item deleted; and one that was made for an absent lease
        passes when the lease that is there is deleted before a copy comes.
        """
        if told.resolved is None or self.case.safety == "I" or not super().must_know(told):
            return False
        if self.case.name in {"create", "create_by_save"}:
            before = self.events[: self.events.index(f"resolve = {told.resolved}")]
            return any(event.endswith(("LOSE", ": 200")) for event in before)
        return (self.case.name, self.start) != ("lease_acquire", "run out")

    @override
    def wrong(self, told: Told, applied: int) -> str | None:
        after = self.events[self.events.index(f"= {told.outcome}") :]
        asked = f"resolve = {told.resolved}"
        newer = "<save>" in after and asked in after and after.index("<save>") < after.index(asked)
        if newer and self.case.name == "put" and self._overwritten():
            return "asking has overwritten a newer write"
        return super().wrong(told, applied)

    def _overwritten(self) -> bool:
        """Whether the item has lost what somebody else has saved, though no copy came late."""
        found = self.stage.outside.engine.item("payments", id=self.key)
        late = any(delivery.late for delivery in self.stage.proxy.deliveries)
        return not late and found is not None and found.get("note", {}).get("S") == "mine"


_TABLES = {"Payment": "payments", "Tally": "tallies"}


def _name(request: Request) -> str:
    return "spend" if not changes(request) else request.operation


def changes(request: Request) -> bool:
    """Whether the request asks for a change, rather than for a check that only uses up its token."""
    if request.operation not in WRITES:
        return False
    body = request.json
    if request.operation == "TransactWriteItems":
        return any("ConditionCheck" not in part for part in body["TransactItems"])
    statements = body.get("TransactStatements", [body]) if "Statement" in str(body)[:20_000] else []
    verbs = [one["Statement"].split(None, 1)[0].upper() for one in statements if "Statement" in one]
    return not verbs or any(verb not in {"SELECT", "EXISTS"} for verb in verbs)


def effects(deliveries: Sequence[Delivery]) -> int:
    """How often the engine applied what it was asked: every 200, once for each client request token."""
    found = 0
    tokens: set[str] = set()
    for delivery in deliveries:
        if delivery.message.status != 200 or not changes(delivery.request):
            continue
        token = delivery.request.json.get("ClientRequestToken")
        if token is None:
            found += 1
        elif token not in tokens:
            tokens.add(token)
            found += 1
    return found


def code(delivery: Delivery) -> str:
    """The engine's name for its refusal."""
    found = json.loads(delivery.message.body or b"{}")
    return str(found.get("__type", "")).rpartition("#")[2]
