"""What a stored record means to whoever comes: to the millisecond, and at both ends of each limit."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.plugins.idempotency import machine
from dynamorm.plugins.idempotency.machine import COMMITTED, FAILED, MARGIN_MS, NOBODY, PENDING, Times, Verdict, judge
from dynamorm.plugins.idempotency.marks import has_mark, mark

OWN, OTHER = b"own-own-own-own-", b"other-other-oth-"
NOW = 1_800_000_000_000
LEASE, RETENTION = 30_000, 86_400_000
TIMES = Times(NOW, LEASE, RETENTION)


def record(**changed):
    """A record of another owner that runs since now."""
    made = machine.fresh(OTHER, b"nonce", "ph", TIMES)
    return machine.replace(made, **changed)


def _keys(secrets):
    return SimpleNamespace(secrets=secrets)


def verdict(stored, *, now=NOW, unchanged=0, same=True):
    return judge(stored, OWN, same=same, now=now, unchanged=unchanged)


def test_a_record_of_our_own_that_runs_is_ours_however_late_it_is():
    for now in (None, NOW, NOW + 10 * RETENTION):
        assert verdict(record(own=OWN), now=now, unchanged=10 * LEASE) is Verdict.OURS
    assert verdict(record(own=OWN, st=COMMITTED)) is Verdict.DONE


@pytest.mark.parametrize(
    ("late", "expected"), [(0, Verdict.BUSY), (MARGIN_MS, Verdict.BUSY), (MARGIN_MS + 1, Verdict.FREE)]
)
def test_a_lease_is_taken_only_after_its_end_and_a_margin(late, expected):
    assert verdict(record(), now=NOW + LEASE + late) is expected


@pytest.mark.parametrize(("watched", "expected"), [(MARGIN_MS - 1, Verdict.BUSY), (MARGIN_MS, Verdict.FREE)])
@pytest.mark.parametrize("now", [None, NOW])
def test_a_lease_that_nobody_renews_while_it_is_watched_is_taken_without_any_clock(now, watched, expected):
    assert verdict(record(), now=now, unchanged=LEASE + watched) is expected


def test_what_was_released_is_free_at_once():
    assert verdict(record(own=NOBODY), now=None) is Verdict.FREE
    assert verdict(record(own=NOBODY), same=False) is Verdict.REUSED


@pytest.mark.parametrize("state", [COMMITTED, FAILED])
def test_what_has_ended_is_done_until_it_is_forgotten_and_not_a_millisecond_longer(state):
    ended = record(st=state)
    assert verdict(ended, now=ended.exp * 1000) is Verdict.DONE
    assert verdict(ended, now=ended.exp * 1000 + 1) is Verdict.EXPIRED
    assert verdict(ended, now=None) is Verdict.DONE  # who does not know the time forgets nothing
    assert verdict(ended, now=ended.exp * 1000, same=False) is Verdict.REUSED
    assert verdict(ended, now=ended.exp * 1000 + 1, same=False) is Verdict.EXPIRED


def test_what_runs_is_never_forgotten():
    running = record(exp=NOW // 1000 - 1, lease=NOW + LEASE)
    assert verdict(running) is Verdict.BUSY
    assert verdict(machine.replace(running, own=NOBODY)) is Verdict.EXPIRED


@given(
    lease=st.integers(-2 * LEASE, 2 * LEASE),
    unchanged=st.integers(0, 3 * LEASE),
    now=st.none() | st.just(NOW),
)
def test_who_waits_as_long_as_it_is_told_finds_it_free_and_would_not_have_a_millisecond_earlier(lease, unchanged, now):
    busy = record(lease=NOW + lease)
    wait = machine.left(busy, now, unchanged)
    assert wait >= 1
    if verdict(busy, now=now, unchanged=unchanged) is Verdict.BUSY:
        later = [(now and now + after, unchanged + after) for after in (wait - 1, wait)]
        found = [verdict(busy, now=time, unchanged=watched) for time, watched in later]
        assert found == [Verdict.BUSY, Verdict.FREE]
    else:
        assert wait == 1


@given(now=st.integers(NOW, NOW + 2_000), lease=st.integers(1, 5_000), retention=st.integers(1, 5_000))
def test_a_record_is_kept_for_its_retention_and_its_lease_and_at_most_a_second_longer(now, lease, retention):
    times = Times(now, lease, retention)
    assert times.end == now + lease
    assert 0 < times.expiry * 1000 - (now + max(lease, retention)) <= 1000
    assert 0 < times.forgotten * 1000 - (now + retention) <= 1000


def test_each_change_names_what_it_has_seen():
    mine = record(own=OWN, fence=3, seq=5, n=2)
    ours = {("own", "=", OWN), ("fence", "=", 3), ("st", "=", PENDING)}
    later = Times(NOW + 10, LEASE, RETENTION)
    assert machine.acquire(mine) == machine.Change("put", (), mine.item())
    beat, correct = machine.beat(mine, later), machine.correct(mine, later)
    assert set(beat.expect) == ours | {("lease", "<", later.end)}
    assert set(correct.expect) == ours | {("lease", "=", mine.lease)}
    assert beat.sets == correct.sets == {"lease": later.end, "exp": later.expiry}
    step, stepped = machine.write_steps(mine, {"charge": b"1"}, later)
    assert set(step.expect) == ours | {("seq", "=", 5)}
    assert step.sets == {"rp": {"charge": b"1"}, "seq": 6, "exp": later.expiry}
    assert (stepped.seq, stepped.rp, stepped.own) == (6, {"charge": b"1"}, OWN)
    release = machine.release(mine, later)
    assert set(release.expect) == ours
    assert release.sets["own"] == b"-"  # as it is stored, for processes of every version
    assert release.sets == {"own": NOBODY, "lease": 0, "exp": later.forgotten}
    done = machine.end(mine, COMMITTED, b"answer", later)
    assert set(done.expect) == ours
    assert done.sets == {"st": COMMITTED, "rsp": b"answer", "lease": 0, "exp": later.forgotten}
    assert {one.verb for one in (beat, correct, step, release, done)} == {"update"}


def test_who_takes_over_has_a_new_fence_a_full_lease_and_forgets_nothing():
    seen = record(fence=3, n=2, rp={"charge": b"1"}, seq=4, exp=NOW // 1000 + 10**6)
    later = Times(NOW + LEASE + 5_000, 40_000, RETENTION)
    change, taken = machine.take_over(seen, OWN, later)
    assert set(change.expect) == {
        ("own", "=", OTHER),
        ("fence", "=", 3),
        ("lease", "=", seen.lease),
        ("st", "=", PENDING),
    }
    assert (taken.own, taken.fence, taken.n, taken.seq, taken.rp) == (OWN, 4, 3, 4, {"charge": b"1"})
    assert (taken.lease, taken.dur, taken.exp) == (later.end, 40_000, seen.exp)
    assert change.sets == {name: getattr(taken, name) for name in ("own", "fence", "lease", "dur", "exp", "n")}
    soon = machine.take_over(record(exp=1), OWN, later)[1]
    assert soon.exp == later.expiry


def test_a_record_that_has_expired_is_replaced_only_as_it_was_seen():
    seen, new = record(fence=7), machine.fresh(OWN, b"other nonce", "ph", TIMES)
    change = machine.replace_expired(seen, new)
    assert (change.verb, change.sets) == ("put", new.item())
    assert set(change.expect) == {("own", "=", OTHER), ("fence", "=", 7), ("exp", "=", seen.exp), ("st", "=", PENDING)}
    assert (new.fence, new.seq, new.n, new.rp, new.st) == (1, 0, 1, {}, PENDING)


@pytest.mark.parametrize("name", ["st", "own", "fence", "lease", "dur", "exp", "nonce", "ph", "rp", "seq", "n"])
def test_what_lacks_a_part_or_has_another_kind_of_value_is_no_record(name):
    item = record().item()
    assert machine.Stored.of(item) == record()
    assert machine.Stored.of({key: value for key, value in item.items() if key != name}) is None
    assert machine.Stored.of(item | {name: None}) is None


def test_an_answer_is_stored_where_there_is_one():
    assert "rsp" not in record().item()
    assert record(rsp=b"a").item()["rsp"] == b"a"
    assert machine.Stored.of(record(rsp=b"a").item()) == record(rsp=b"a")


def test_an_acquisition_is_known_by_owner_and_fence():
    stored = record(own=OWN, fence=3)
    assert stored.is_of(OWN, 3)
    assert not stored.is_of(OWN, 4)
    assert not stored.is_of(OTHER, 3)


def test_what_is_stored_is_what_every_version_reads():
    """Other processes, of another version, meet the same records."""
    assert (PENDING, COMMITTED, FAILED, NOBODY) == ("P", "C", "F", b"-")
    assert record().item() == {
        "st": "P", "own": OTHER, "fence": 1, "lease": NOW + LEASE, "dur": LEASE, "exp": (NOW + RETENTION) // 1000 + 1,
        "nonce": b"nonce", "ph": "ph", "rp": {}, "seq": 0, "n": 1,
    }  # fmt: skip
    assert mark(b"nonce", b"form") == "1:54a3c84f27a4e1a6e74ad883dd738dd62010f4ac9d406723df26d739fcf5bfd6"
    keys = _keys((b"k" * 32, b"l" * 32))
    assert (
        mark(b"nonce", b"form", keys)
        == "2:67fcf93b22322103:a6ebbe4a048260977a73393f7f6eb0f5c6b901d9a654211c97d11cbec51a9656"
    )
    assert has_mark(mark(b"nonce", b"form", _keys((b"l" * 32,))), b"nonce", b"form", keys) is True


def test_a_mark_is_of_one_run_one_payload_and_one_key():
    keys, others = _keys((b"k" * 32,)), _keys((b"l" * 32,))
    for known in (None, keys):
        made = mark(b"nonce", b"form", known)
        assert has_mark(made, b"nonce", b"form", known) is True
        assert has_mark(made, b"nonce", b"another", known) is False
        assert has_mark(made, b"another", b"form", known) is False
        assert has_mark(made, b"noncef", b"orm", known) is False
    assert has_mark(mark(b"nonce", b"form", keys), b"nonce", b"form", others) is None
    assert has_mark(mark(b"nonce", b"form", keys), b"nonce", b"form") is None
    assert has_mark("another:kind", b"nonce", b"form", keys) is None
