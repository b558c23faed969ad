"""The exhaustive search of the executor: its own flows, over a table in memory and a network that does anything.

A state is what is stored, what was done outside, which messages are under way, and what each execution has been told. From
each state every message may arrive, for up to two times, its answer be lost or not, and each lease be over or not. An
execution that is killed is one that is told nothing any more, so each state is also one in which it was killed. A copy that would
change nothing may as well arrive later, so only its answer is of interest. What an execution does next is found by running its
flow from the beginning with what it has been told.
"""

from functools import cache
from types import SimpleNamespace
from typing import NamedTuple

from dynamorm.errors import (
    ExecutionLost,
    IdempotencyError,
    InProgress,
    Outcome,
    OutcomeUnknown,
    TransactionCancelled,
)
from dynamorm.plugins.idempotency.executor import Execution
from dynamorm.plugins.idempotency.held import Known
from dynamorm.plugins.idempotency.options import checked
from dynamorm.plugins.idempotency.values import encoded

START = 1_800_000_000
"""The time of the service, in seconds since 1970, while leases run."""
LATE = START + 600
"""The same when they are over."""

LOST = "lost"
REFUSED = "refused"
"""What an execution is told besides answers: none came; the writes were refused by a condition of their own."""


class Told:
    """An answer. Equal ones are one object, so that a state is known again without a look into them."""

    def __init__(self, applied, item, date):
        self.applied = applied
        self.item = item
        self.date = date


class Ask:
    """A request: ``is_commit`` carries the writes of the operation. Equal ones are one object, too."""

    def __init__(self, change, is_commit):
        self.change = change
        self.is_commit = is_commit


told_of = cache(Told)
ask_of = cache(Ask)


class Done(NamedTuple):
    """How an execution has ended: what its caller was told."""

    word: str


def frozen(value):
    if isinstance(value, dict):
        return tuple(sorted((name, frozen(inner)) for name, inner in value.items()))
    return value


def thawed(item):
    if item is None:
        return None
    return {name: dict(value) if name == "rp" else value for name, value in item}


class Asking:
    """What an execution is given of its database: it asks the search."""

    def __init__(self, number):
        self.number = number
        self.drawn = 0

    def monotonic(self):
        return 1_000.0

    def wall(self):
        return float(START)

    def random_bytes(self, count):
        self.drawn += 1
        return f"{self.number}-{self.drawn}".encode().ljust(count, b".")

    def dice(self):
        return 0.5

    def send(self, key, change):
        return self.ask(change, is_commit=False)

    def commit(self, key, change, blocks):
        return self.ask(change, is_commit=True)

    def ask(self, change, *, is_commit):
        told = yield ask_of(
            (change.verb, change.expect, tuple((n, frozen(v)) for n, v in change.sets.items())), is_commit
        )
        if told == LOST:
            raise OutcomeUnknown("lost")
        if told == REFUSED:
            raise TransactionCancelled("refused", reasons=[])
        date = None if told.date == 0 else told.date
        return SimpleNamespace(applied=told.applied, item=thawed(told.item), date=date, asked=1_000.0, at=1_000.0)


OPTIONS = checked(
    "", "key", payload={"amount": 5}, scope="charge", lease=30, retention=86_400, wait=0, final=(), max_run=900
)


class Charge(NamedTuple):
    """A step is run: the key that the other side gets."""

    key: str


def program(number, *, seen, steps=True, beats=False, stumbles=False, fails=False):
    """One execution: a step, then a commit, or a failure behind the step; what it tells its caller."""
    known = Known()
    known.time.confirms = lambda told: True
    known.time.learn = lambda told, wall: None  # leases are over when the search says so: no clock goes forth and back
    execution = Execution(Asking(number), known, OPTIONS)
    seen.append(execution)
    try:
        yield from execution.acquire()
    except InProgress:
        return "busy"
    if execution.replayed:
        return f"replay {execution.response}"
    try:
        if steps:
            yield from execution.step("charge", str, Charge, once=False)
        if beats:
            yield from execution.beat()
        if stumbles:
            raise ValueError
        if fails:
            yield from execution.fail(encoded("failed", "answer"))
            return "failed"
        yield from execution.commit(encoded("answer", "answer"), ())
    except ValueError:
        yield from execution.release()
        return "not applied"
    except OutcomeUnknown:
        return "unknown"
    except (ExecutionLost, TransactionCancelled) as error:
        return "not applied" if error.outcome is Outcome.NOT_APPLIED else "unknown"
    return "done"


class State(NamedTuple):
    """``item`` what is stored; ``commits`` which executions' writes were applied; ``charges`` keys of the other side.

    ``said`` has, for each execution, what it was told on its way to where it is, and nothing once it has ended. ``sent`` are the
    messages: execution, request, how often it may still arrive.
    """

    item: tuple | None
    commits: tuple
    charges: frozenset
    said: tuple
    sent: tuple
    words: tuple


def put(values, number, value):
    return (*values[:number], value, *values[number + 1 :])


def ordered(sent):
    return tuple(sorted(sent, key=hash))


class Violation(AssertionError):
    """What must never be."""


class Search:
    """All that can happen to some executions. ``refuses``: the writes of the operation may be refused by a condition of their own."""

    def __init__(self, programs, *, refuses=True, dateless=False, deliveries=2):
        self.deliveries = deliveries
        self.programs = programs
        self.refuses = refuses
        self.dates = (0,) if dateless else (START, LATE)
        self.next = {}
        self.same = {}

    def doing(self, number, said):
        """What an execution does next: an `Ask`, or `Done`; what it has charged until then; and the first way to where it is."""
        found = self.next.get((number, said))
        if found is None:
            found = self.next[number, said] = self._run(number, said)
        return found

    def _run(self, number, said):
        seen = []
        flow, charges, told = self.programs[number](number, seen=seen), [], iter(said)
        answer = None
        try:
            while True:
                effect = flow.send(answer)
                if isinstance(effect, Charge):
                    charges.append(effect.key)
                    answer = "charged"
                    continue
                answer = next(told, None)
                if answer is None:
                    where = number, effect, tuple(charges), self._fingerprint(flow, seen[0])
                    return effect, tuple(charges), self.same.setdefault(where, said)
        except StopIteration as stop:
            return Done(stop.value), tuple(charges), ()
        except IdempotencyError as error:
            return Done(type(error).__name__), tuple(charges), ()

    @staticmethod
    def _fingerprint(flow, execution):
        """Where a flow is, and all that its execution knows."""
        places = []
        while hasattr(flow, "gi_frame"):
            places.append((flow.gi_code.co_name, flow.gi_frame.f_lasti))
            flow = flow.gi_yieldfrom
        known = {name: repr(value) for name, value in vars(execution).items() if name[:6] not in ("_recor", "_known")}
        time = execution._known.time
        return tuple(places), tuple(known.items()), execution._records.drawn, time._bounds

    def run(self):
        """Visit all states. Returns how many there are."""
        count = len(self.programs)
        first = State(None, (), frozenset(), ((),) * count, (), (None,) * count)
        begin = self._going_on(first)
        seen, waiting = {begin: None}, [begin]
        while waiting:
            state = waiting.pop()
            for other in self._after(state):
                if other not in seen:
                    seen[other] = state
                    waiting.append(other)
                    if (wrong := self.wrong(other)) is not None:
                        raise Violation(wrong + self._way(other, seen))
        return len(seen)

    @staticmethod
    def _way(state, seen):
        """How a state was come to."""
        lines = []
        while state is not None:
            stored = {} if state.item is None else dict(state.item)
            shown = {name: stored.get(name) for name in ("st", "own", "fence", "lease", "seq")}
            told = [[getattr(one, "applied", one) for one in said] for said in state.said]
            lines.append(
                f"{state.words} {told} {[(one[0], one[1].change[2][:2], one[2]) for one in state.sent]} {shown}"
            )
            state = seen[state]
        return "\n".join(["", *reversed(lines)])

    def _going_on(self, state, number=None):
        """Let executions, or one of them, send what they have to send."""
        for one in range(len(self.programs)) if number is None else (number,):
            if state.words[one] is None:
                state = self._gone_on(state, one)
        return state

    def _gone_on(self, state, number):
        what, charged, said = self.doing(number, state.said[number])
        state = state._replace(charges=state.charges | frozenset(charged), said=put(state.said, number, said))
        if isinstance(what, Done):
            return state._replace(words=put(state.words, number, what.word))
        sent = tuple(one for one in state.sent if one[:2] != (number, what))
        return state._replace(sent=ordered((*sent, (number, what, self.deliveries))))

    def _after(self, state):
        for message in state.sent:
            yield from self._arrives(state, message)
            if self._waits(state, message):
                yield self._told(state, message[0], LOST)

    def _waits(self, state, message):
        number, ask, _ = message
        if state.words[number] is not None:
            return False
        return self.doing(number, state.said[number])[0] == ask

    def _arrives(self, state, message):
        number, ask, left = message
        others = tuple(one for one in state.sent if one is not message)
        sent = others if left == 1 else ordered((*others, (number, ask, left - 1)))
        waits = self._waits(state, message)
        applied, item = applying(state.item, ask.change)
        if ask.is_commit and self.refuses and applied and waits:  # else the record is among the reasons
            yield self._told(state._replace(sent=sent), number, REFUSED)
        commits = (*state.commits, number) if ask.is_commit and applied else state.commits
        after = state._replace(item=item, sent=sent, commits=commits)
        if applied:
            yield after  # its answer is lost
        if waits:
            for date in self.dates[:1] if applied or ask.change[0] == "get" else self.dates:
                yield self._told(after, number, told_of(applied, None if applied else item, date))

    def _told(self, state, number, what):
        return self._going_on(state._replace(said=put(state.said, number, (*state.said[number], what))), number)

    @staticmethod
    def wrong(state):
        """What must never be, in words; None where all is well."""
        if len(state.commits) > 1:
            return "the writes were applied twice"
        if len(state.charges) > 1:
            return "the other side was given two keys"
        for number, word in enumerate(state.words):
            if word == "not applied" and number in state.commits:
                return "it was said that nothing was applied"
            if word == "done" and number not in state.commits:
                return "it was said to be done"
            if word == "replay answer" and not state.commits:
                return "an answer was given for nothing"
        return "it has failed, and was done" if "failed" in state.words and state.commits else None


@cache
def applying(item, change):
    """What the table does with a change: whether it holds, and what is stored then."""
    verb, expect, sets = change
    stored = None if item is None else dict(item)
    if verb == "delete":  # of a mutant
        ours = stored is not None and all(_holds(stored.get(name), sign, value) for name, sign, value in expect)
        return ours, None if ours else item
    if verb == "get":
        return False, item
    if not expect:
        holds = stored is None
    else:
        holds = stored is not None and all(
            _holds(stored.get(name), sign, frozen(value)) for name, sign, value in expect
        )
    if not holds:
        return False, item
    kept = {} if verb == "put" else stored
    return True, tuple(sorted({**kept, **dict(sets)}.items()))


def _holds(stored, sign, value):
    return stored is not None and (stored == value if sign == "=" else stored < value)
