"""Identifiers that sort by time: the published formats to the letter, growth whatever the clock does, and as keys of items."""

import faulthandler
import os
import re
import signal
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from dynamorm import Attr, Model, ValidationError, attr, id_time, ksuid, partition_key, sort_key, ulid, uuid7
from dynamorm.errors import InvalidUse
from dynamorm.models import ids

FACTORIES = {"ulid": ulid, "ksuid": ksuid, "uuid7": uuid7}
FORMS = {
    "ulid": r"[0-7][0-9A-HJKMNP-TV-Z]{25}",
    "ksuid": r"[0-9A-Za-z]{27}",
    "uuid7": r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
}


class Event(Model, table="events"):
    room: Attr[str] = partition_key()
    id: Attr[str] = sort_key(default_factory=ulid)
    other: Attr[str] = attr(default_factory=ksuid)
    mark: Attr[UUID] = attr(default_factory=uuid7)


MODELS = [Event]


@pytest.fixture(params=FACTORIES)
def kind(request):
    return request.param


@pytest.fixture
def fresh(monkeypatch):
    """Generators that have made nothing yet, and a clock that shows what the test says."""
    for name in ("_ulids", "_ksuids", "_uuids"):
        before = getattr(ids, name)
        made = ids._Growing(
            before._name, before._unit, before._limit.bit_length() - 1, before._bits, since=before._since
        )
        monkeypatch.setattr(ids, name, made)
    clock = [1_700_000_000 * 10**9]
    monkeypatch.setattr(ids.time, "time_ns", lambda: clock[0])
    return clock


def test_the_form_is_the_published_one(kind):
    assert all(re.fullmatch(FORMS[kind], str(FACTORIES[kind]())) for _ in range(200))
    if kind == "uuid7":
        made = uuid7()
        assert (made.version, made.variant) == (7, "specified in RFC 4122")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        # The example of the specification of ULID, in both cases, and with the signs that are read as others.
        ("01ARZ3NDEKTSV4RRFFQ69G5FAV", datetime(2016, 7, 30, 23, 54, 10, 259_000, UTC)),
        ("01arz3ndektsv4rrffq69g5fav", datetime(2016, 7, 30, 23, 54, 10, 259_000, UTC)),
        ("oiarz3ndektsv4rrffq69g5fav", datetime(2016, 7, 30, 23, 54, 10, 259_000, UTC)),
        ("00000000000000000000000000", datetime(1970, 1, 1, tzinfo=UTC)),
        # The example of the README of KSUID: its timestamp is 107608047.
        ("0ujtsYcgvSTl8PAuAdqWYSMnLOv", datetime(2017, 10, 10, 4, 0, 47, tzinfo=UTC)),
        ("000000000000000000000000000", datetime(2014, 5, 13, 16, 53, 20, tzinfo=UTC)),
        ("aWgEPTl1tmebfsQzFP4bxwgy80V", datetime(2150, 6, 19, 23, 21, 35, tzinfo=UTC)),
        # The test vector of RFC 9562, appendix A.6.
        ("017F22E2-79B0-7CC3-98C4-DC0C0C07398F", datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)),
        (UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)),
    ],
)
def test_the_time_of_known_identifiers(text, at):
    assert id_time(text) == at


@pytest.mark.parametrize(
    ("factory", "bits", "published"),
    [
        (ulid, (1_469_922_850_259 << 80) + 0xD6764C61EFB99302BD5B, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (ksuid, (107_608_047 << 128) + 0xB5A1CD34B5F99D1154FB6853345C9735, "0ujtsYcgvSTl8PAuAdqWYSMnLOv"),
        (uuid7, (0x017F22E279B0 << 74) + (0xCC3 << 62) + 0x18C4DC0C0C07398F, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"),
    ],
)
def test_known_bits_are_written_as_published(monkeypatch, factory, bits, published):
    for name in ("_ulids", "_ksuids", "_uuids"):
        monkeypatch.setattr(getattr(ids, name), "next", lambda: bits)
    assert str(factory()) == published


def test_the_time_reads_back(kind):
    unit = timedelta(seconds=1) if kind == "ksuid" else timedelta(milliseconds=1)
    before = datetime.now(UTC)
    at = id_time(FACTORIES[kind]())
    assert before - unit < at
    # What was made before in this process may have been of a later moment by one unit.
    assert at < datetime.now(UTC) + 2 * unit


def test_many_of_one_moment_grow(kind, fresh):
    made = [FACTORIES[kind]() for _ in range(5000)]
    assert made == sorted(set(made))
    assert {id_time(one) for one in made} == {datetime.fromtimestamp(1_700_000_000, UTC)}


def test_they_grow_where_the_clock_goes_back(kind, fresh):
    first = FACTORIES[kind]()
    fresh[0] -= 3600 * 10**9
    second = FACTORIES[kind]()
    fresh[0] += 7200 * 10**9
    third = FACTORIES[kind]()
    assert first < second < third
    assert id_time(second) == id_time(first)
    assert id_time(third) == datetime.fromtimestamp(1_700_003_600, UTC)


def test_random_bits_that_are_used_up_go_on_with_the_next_moment(kind, fresh, monkeypatch):
    monkeypatch.setattr(ids.os, "urandom", lambda count: b"\xff" * count)
    first, second = FACTORIES[kind](), FACTORIES[kind]()
    unit = timedelta(seconds=1) if kind == "ksuid" else timedelta(milliseconds=1)
    assert first < second
    assert id_time(second) == id_time(first) + unit


def test_threads_share_one_sequence(kind):
    made = [[] for _ in range(8)]
    factory = FACTORIES[kind]
    threads = [threading.Thread(target=lambda own=own: own.extend(factory() for _ in range(500))) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for own in made for one in own}) == 4000
    assert all(own == sorted(own) for own in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_process_makes_others_that_grow(kind):
    last = FACTORIES[kind]()
    ends = [os.pipe() for _ in range(2)]
    children = []
    for _, write in ends:
        child = os.fork()
        if not child:
            try:
                os.write(write, "\n".join(str(FACTORIES[kind]()) for _ in range(50)).encode())
            finally:
                os._exit(0)
        children.append(child)
        os.close(write)
    made = [str(FACTORIES[kind]()) for _ in range(50)]
    told = [os.read(read, 65_536).decode().split() for read, _ in ends]
    for child in children:
        os.waitpid(child, 0)
    for read, _ in ends:
        os.close(read)
    assert [len(own) for own in told] == [50, 50]
    assert len({*made, *told[0], *told[1]}) == 150
    for own in (made, *told):
        assert [str(last), *own] == sorted([str(last), *own])


class Interruption:
    """Calls a function before one bytecode of the generators, as a signal or a finalizer may."""

    def __init__(self, at, call):
        self.left = at
        self.call = call

    def __call__(self, frame, event, _):
        if frame.f_code.co_filename != ids.__file__:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == -1:
                sys.settrace(None)
                self.call()
        return self


def interrupted_at_each_step(function, call):
    """What the function gives when it is interrupted before its first bytecode, its second one, and so on."""
    for at in range(10_000):
        interruption, before = Interruption(at, call), sys.gettrace()
        sys.settrace(interruption)
        try:
            result = function()
        finally:
            sys.settrace(before)
        if interruption.left >= 0:
            assert at > 50, "it was seldom interrupted"
            return
        yield result


@contextmanager
def ended_by_a_hang():
    """What waits for itself would wait for ever: the process tells where, and ends."""
    faulthandler.dump_traceback_later(120, exit=True, file=sys.__stderr__)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def test_one_may_be_made_at_each_step_of_another(kind, fresh):
    factory = FACTORIES[kind]
    before, inner = factory(), []
    with ended_by_a_hang():
        for outer in interrupted_at_each_step(factory, lambda: inner.append(factory())):
            made, after = {outer, inner.pop()}, factory()
            assert len(made) == 2
            assert all(before < one < after for one in made)
            before = after
            fresh[0] += 250_000_000  # of KSUIDs and of the others, some are of one moment and some of the next


def test_a_signal_handler_may_make_one(kind, monkeypatch):
    factory, random, inner, signals = FACTORIES[kind], os.urandom, [], [signal.SIGINT]

    def urandom(count):
        if signals:
            signal.raise_signal(signals.pop())
        return random(count)

    before = signal.signal(signal.SIGINT, lambda *_: inner.append(factory()))
    monkeypatch.setattr(ids.os, "urandom", urandom)
    try:
        with ended_by_a_hang():
            outer = factory()
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(inner) == 1
    assert inner[0] < outer < factory()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_process_may_fork_at_each_step_and_makes_others(kind, fresh):
    """What was made before the fork is the same in both processes; what was about to be made is not."""
    child, last = [], []
    read, write = os.pipe()
    generator = {"ulid": ids._ulids, "ksuid": ids._ksuids, "uuid7": ids._uuids}[kind]

    def fork():
        last[:] = [_last_of(generator)]
        child[:] = [os.fork()]
        if not child[0]:
            generator.forked()  # of those that the module has, the interpreter does it

    both = set()
    try:
        for outer in interrupted_at_each_step(generator.next, fork):
            if not child[0]:
                os.write(write, str(outer).encode())
                os._exit(0)
            theirs = int(os.read(read, 100))
            os.waitpid(child[0], 0)
            made_before = last[0] == _last_of(generator)
            both.add(made_before)
            assert (theirs == outer) == made_before
    finally:
        if child and not child[0]:
            os._exit(1)
    os.close(read)
    os.close(write)
    assert both == {False, True}


def _last_of(generator):
    last = generator._recent
    while "next" in last:
        last = last["next"]
    return last["value"]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "x",
        "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
        "01ARZ3NDEKTSV4RRFFQ69G5FA!",
        "zzzzzzzzzzzzzzzzzzzzzzzzzzz",
        "0" * 36,
        str(UUID(int=4 << 76 | 2 << 62)),
        UUID(int=4 << 76 | 2 << 62),
        5,
        None,
        b"01ARZ3NDEKTSV4RRFFQ69G5FAV",
    ],
)
def test_what_is_no_identifier_is_refused(wrong):
    with pytest.raises(ValidationError, match="id_time") as caught:
        id_time(wrong)
    assert str(wrong) not in str(caught.value) or str(wrong) in {"", "x", "5", "None"}


def test_a_time_after_all_datetimes_is_refused():
    with pytest.raises(ValidationError, match="year 9999"):
        id_time("7ZZZZZZZZZZZZZZZZZZZZZZZZZ")


def test_a_clock_that_the_format_cannot_hold_is_refused(fresh):
    fresh[0] = 10**9
    assert id_time(ulid()) == datetime.fromtimestamp(1, UTC)
    with pytest.raises(InvalidUse, match="KSUID"):
        ksuid()


@pytest.mark.engine
def test_as_defaults_of_items(db, key):
    made = [db.create(Event(room=key)) for _ in range(3)]
    made.append(Event(room=key))
    with db.transaction() as tx:
        tx.create(made[-1])
    made += [Event(room=key), Event(room=key)]
    assert db.batch_write(puts=made[-2:]).failed == []
    found = db.model(Event).where(Event.room == key).all()
    assert found == made  # by the sort key, so in the order in which they were made
    assert [one.other for one in found] == sorted(one.other for one in found)
    assert [one.mark for one in found] == sorted(one.mark for one in found)
    assert abs(id_time(found[0].id) - datetime.now(UTC)) < timedelta(seconds=60)
