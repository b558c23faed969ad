"""The state machine of an idempotent operation, as pure data: what is stored, what may be written, what an answer means.

Each change names what it has seen, so that a copy of it that comes late, or twice, is refused:

| change | holds only while |
|---|---|
| acquire | there is no record |
| replace (an expired one) | owner, fence, expiry and state are those that were seen |
| take over | owner, fence and lease are those that were seen, and it is pending |
| beat | owner and fence are ours, it is pending, and the lease is earlier than the new one |
| correct | owner and fence are ours, it is pending, and the lease is the one that a wrong clock has made |
| step | owner and fence are ours, it is pending, and so many steps were written |
| release, fail, commit | owner and fence are ours, and it is pending |

An owner is drawn for each acquisition and never comes back: a failure gives the record to nobody, and deletes nothing. So
what was refused once stays refused. A fence only grows while the record lives. No clock decides what may be written; the
time decides when another execution may try, and it is the service's.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

PENDING: Final = "P"
COMMITTED: Final = "C"
FAILED: Final = "F"
"""The states of a record."""

NOBODY: Final = b"-"
"""The owner of a record that was released."""

STARTED: Final = b""
"""What is kept of a step that has no result yet."""

MARGIN_MS: Final = 1_000
"""Milliseconds after the end of a lease from which on it may be taken. Who holds it reckons with the same, by the latest that
the service's time can be: so nobody takes it earlier than its holder knows."""


class Stored(Struct, frozen=True):
    """A record as it is stored.

    ``st`` state, ``own`` owner, ``fence`` how often the owner has changed, ``lease`` its end (milliseconds since 1970; 0:
    released) and ``dur`` its length (milliseconds), ``exp`` when it is forgotten (seconds since 1970), ``nonce`` the secret of the
    run, ``ph`` the mark of the payload, ``rp`` the steps, ``seq`` how often they were written, ``n`` attempts, ``rsp`` the answer.
    """

    st: str
    own: bytes
    fence: int
    lease: int
    dur: int
    exp: int
    nonce: bytes
    ph: str
    rp: Mapping[str, bytes]
    seq: int
    n: int
    rsp: bytes = b""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> Stored | None:
        """What an item holds; None for one that is no record."""
        kinds = (str, bytes, int, int, int, int, bytes, str, Mapping, int, int)
        values = [item.get(name) for name in cls.__struct_fields__[:-1]]
        if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
            return None
        held: dict[str, Any] = dict(zip(cls.__struct_fields__, values, strict=False))
        return cls(**held, rsp=item.get("rsp") or b"")

    def item(self) -> dict[str, Any]:
        """The attributes, as they are stored."""
        held: dict[str, Any] = {name: getattr(self, name) for name in self.__struct_fields__}
        if not self.rsp:
            del held["rsp"]
        return held

    def is_of(self, own: bytes, fence: int) -> bool:
        """Whether this acquisition has it, or has ended it."""
        return self.own == own and self.fence == fence


class Change(Struct, frozen=True):
    """One request about a record: see `dynamorm.features.records`, where it is sent."""

    verb: str
    expect: tuple[tuple[str, str, Any], ...]
    sets: Mapping[str, Any]


READ: Final = Change("get", (), {})


class Times(Struct, frozen=True):
    """The time of a change (milliseconds since 1970, the service's), and what lasts how long (milliseconds)."""

    now: int
    lease: int
    retention: int

    @property
    def end(self) -> int:
        """The end of a lease that begins now."""
        return self.now + self.lease

    @property
    def expiry(self) -> int:
        """When a record is forgotten that is written while it runs: never before its lease has ended."""
        return (self.now + max(self.retention, self.lease)) // 1000 + 1

    @property
    def forgotten(self) -> int:
        """When a record is forgotten that ends now."""
        return (self.now + self.retention) // 1000 + 1


# --------------------------------------------------------------------------------------------------------------- changes


def fresh(own: bytes, nonce: bytes, ph: str, times: Times, *, fence: int = 1) -> Stored:
    """A record that begins."""
    return Stored(PENDING, own, fence, times.end, times.lease, times.expiry, nonce, ph, {}, 0, 1)


def acquire(new: Stored) -> Change:
    """Begin where there is no record."""
    return Change("put", (), new.item())


def replace_expired(seen: Stored, new: Stored) -> Change:
    """Begin in the place of a record that has expired."""
    return Change("put", _terms(seen, "own", "fence", "exp", "st"), new.item())


def take_over(seen: Stored, own: bytes, times: Times) -> tuple[Change, Stored]:
    """Go on with a record that was released, or whose lease has ended; and the record as it is then."""
    new = replace(
        seen,
        own=own,
        fence=seen.fence + 1,
        lease=times.end,
        dur=times.lease,
        exp=max(times.expiry, seen.exp),
        n=seen.n + 1,
    )
    return Change(
        "update",
        _terms(seen, "own", "fence", "lease", "st"),
        _differing(new, "own", "fence", "lease", "dur", "exp", "n"),
    ), new


def beat(mine: Stored, times: Times) -> Change:
    """Let the lease end later. A late one shortens nothing, and revives nothing."""
    return Change("update", (*_mine(mine), ("lease", "<", times.end)), {"lease": times.end, "exp": times.expiry})


def correct(mine: Stored, times: Times) -> Change:
    """Put right a lease that was reckoned from a wrong clock."""
    return Change("update", (*_mine(mine), ("lease", "=", mine.lease)), {"lease": times.end, "exp": times.expiry})


def write_steps(mine: Stored, steps: Mapping[str, bytes], times: Times) -> tuple[Change, Stored]:
    """Keep how far the steps have come; and the record as it is then."""
    new = replace(mine, rp=steps, seq=mine.seq + 1, exp=times.expiry)
    return Change("update", (*_mine(mine), ("seq", "=", mine.seq)), _differing(new, "rp", "seq", "exp")), new


def release(mine: Stored, times: Times) -> Change:
    """Give it to nobody: what was done of it stays known."""
    return Change("update", _mine(mine), {"own": NOBODY, "lease": 0, "exp": times.forgotten})


def end(mine: Stored, state: str, rsp: bytes, times: Times) -> Change:
    """End it, with its answer. A commit is written together with the writes of the operation, or not at all."""
    return Change("update", _mine(mine), {"st": state, "rsp": rsp, "lease": 0, "exp": times.forgotten})


def _mine(mine: Stored) -> tuple[tuple[str, str, Any], ...]:
    return (("own", "=", mine.own), ("fence", "=", mine.fence), ("st", "=", PENDING))


def _terms(seen: Stored, *names: str) -> tuple[tuple[str, str, Any], ...]:
    return tuple((name, "=", getattr(seen, name)) for name in names)


def _differing(new: Stored, *names: str) -> dict[str, Any]:
    return {name: getattr(new, name) for name in names}


# ------------------------------------------------------------------------------------------------ what a refusal has shown


class Verdict(Enum):
    """What a record that is stored means to who wants to run."""

    OURS = "ours"
    """An earlier attempt of our own request has taken it."""
    DONE = "done"
    REUSED = "reused"
    """The key belongs to another payload."""
    FREE = "free"
    """It may be taken over."""
    EXPIRED = "expired"
    BUSY = "busy"


def judge(stored: Stored, own: bytes, *, same: bool, now: int | None, unchanged: int) -> Verdict:
    """What is to be done about a record that is there.

    ``same``: it is of our payload. ``now`` is the service's time in milliseconds; None where its answer did not tell, and
    then nothing has expired. ``unchanged`` are the milliseconds for which owner, fence and lease were seen to stay as they are.
    """
    if stored.st == PENDING and stored.own == own:
        return Verdict.OURS
    is_free = stored.st == PENDING and _has_ended(stored, now, unchanged)
    if now is not None and stored.exp * 1000 < now and (is_free or stored.st != PENDING):
        return Verdict.EXPIRED  # one that runs is never expired
    if not same:
        return Verdict.REUSED
    if stored.st != PENDING:
        return Verdict.DONE
    return Verdict.FREE if is_free else Verdict.BUSY


def _has_ended(stored: Stored, now: int | None, unchanged: int) -> bool:
    """Whether a lease has ended."""
    if stored.own == NOBODY:
        return True
    if unchanged >= stored.dur + MARGIN_MS:  # nobody has renewed it for longer than it lasts
        return True
    return now is not None and stored.lease + MARGIN_MS < now


def left(stored: Stored, now: int | None, unchanged: int) -> int:
    """Milliseconds until it is worth looking again at a record that is busy: at least one."""
    by_watching = stored.dur + MARGIN_MS - unchanged
    by_date = by_watching if now is None else stored.lease + MARGIN_MS - now + 1
    return max(1, min(by_watching, by_date))
