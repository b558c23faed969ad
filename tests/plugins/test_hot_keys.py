"""Hot keys: the hottest are found in fixed space, by hashes alone, with their share and advice."""

import random
import time

import pytest

from dynamorm import Attr, Model, Presets, gsi, partition_key, sort_key
from dynamorm.errors import ConfigError, Throttled, ValidationError
from dynamorm.plugins.hot_keys import HotKeys
from dynamorm.testing import FakeClock
from tests.plugins.scripts import DONE, THROTTLED, Order, Payment, Scripted
from tests.support.faces import Face

SECRET = b"0123456789abcdef"


class Event(Model, table="events"):
    day: Attr[int] = partition_key()
    number: Attr[int] = sort_key()
    kind: Attr[str]
    by_kind = gsi("by-kind", partition="kind", sort="number")


def made(kind, **settings):
    clock = FakeClock()
    hot = HotKeys(**{"every": 1, "secret": SECRET, "clock": clock.monotonic} | settings)
    return hot, Scripted(kind, hot, answer=DONE, clock=clock)


def test_the_hottest_is_found_with_its_share(face_kind):
    hot, here = made(face_kind)
    dice = random.Random(3)
    for _ in range(600):
        here.db.get(Payment, "hot" if dice.random() < 0.4 else f"p{dice.randrange(1_000)}")
        here.clock.advance(0.01)
    first, second = hot.top(2)
    assert first.key == hot.hash_of("hot")
    assert (first.table, first.index) == ("payments", None)
    assert 0.35 < first.share < 0.45
    assert 35 < first.per_second < 45
    assert (first.reads, first.throttled) == (1.0, 0.0)
    assert "in a cache" in first.advice
    assert second.share < 0.02
    assert second.advice == ""
    assert hot.gauges() == {"hot_keys_largest_share": first.share}


def test_space_is_fixed_and_the_hottest_stays_in(face_kind):
    """More keys than are kept, the hot one among them only now and then."""
    hot, here = made(face_kind, size=20)
    dice = random.Random(4)
    for number in range(1_000):
        here.db.get(Payment, "hot" if dice.random() < 0.15 else f"p{number}")
    sketch = hot._sketches["payments", None]
    assert len(sketch.counts) <= 20
    assert hot.top(1)[0].key == hot.hash_of("hot")
    assert 0.1 < hot.top(1)[0].share < 0.2


def test_writes_have_other_advice_and_throttles_are_told(face_kind):
    hot, here = made(face_kind)
    for number in range(20):
        here.db.put(Order(customer="c1", number=number))
    here.answer = THROTTLED
    with pytest.raises(Throttled):
        here.db.put(Order(customer="c1", number=1))
    (found,) = hot.top(5, table="orders")
    assert found.key == hot.hash_of("c1")
    assert (found.share, found.reads) == (1.0, 0.0)
    assert "spread this partition over shards" in found.advice
    assert "17% of its requests were throttled" in found.advice
    assert hot.top(5, table="payments") == []


@pytest.mark.engine
def test_each_kind_of_request(engine, face_kind):
    hot = HotKeys(every=1, secret=SECRET)
    config = Presets.local_development(endpoint=engine.endpoint, table_prefix=f"kinds-{face_kind}-")
    db = Face(face_kind, config, extensions=(hot,))
    db.tables.ensure(Payment, Order, Event)
    c1, c2, c3 = (f"c{n}-{time.monotonic_ns()}" for n in (1, 2, 3))
    db.get(Order, c1, 1)
    db.put(Order(customer=c1, number=1))
    db.delete(Order, c1, 1)
    db.update(Payment, c1, Payment.amount.set(1), upsert=True)
    db.model(Order).where(Order.customer == c1).where(Order.number > 3).all()
    db.model(Event).where(Event.kind == "k1").all()
    db.model(Event).where(Event.day == 7).all()
    db.batch_get(Order, [(c1, 1), (c2, 2)])
    assert db.batch_write(puts=[Order(customer=c1, number=5)], deletes=[Order(customer=c3, number=6)]).ok
    with db.transaction() as tx:
        tx.put(Order(customer=c1, number=5))
        tx.put(Payment(id=c1))
    db.close()
    found = {(one.table.rpartition("-")[2], one.index, one.key): one for one in hot.top(100)}
    orders = {key: one.share for (table, _, key), one in found.items() if table == "orders"}
    assert orders[hot.hash_of(c1)] == pytest.approx(7 / 9)
    assert orders[hot.hash_of(c2)] == orders[hot.hash_of(c3)] == pytest.approx(1 / 9)
    assert found["events", "by-kind", hot.hash_of("k1")].share == 1.0
    assert found["events", None, hot.hash_of(7)].share == 1.0
    assert found["payments", None, hot.hash_of(c1)].share == 1.0


def test_what_was_hot_is_forgotten(face_kind):
    hot, here = made(face_kind)
    for _ in range(100):
        here.db.get(Payment, "old")
    here.clock.advance(600)
    for _ in range(10):
        here.db.get(Payment, "new")
    assert [one.key for one in hot.top()] == [hot.hash_of("new")]


def test_of_so_many_one_is_looked_at(face_kind):
    hot, here = made(face_kind, every=10)
    for _ in range(200):
        here.db.get(Payment, "p")
        here.clock.advance(0.1)
    assert hot._sketches["payments", None].total == 20
    assert 9 < hot.top(1)[0].per_second < 11


def test_no_value_is_kept(face_kind):
    hot, here = made(face_kind, secret=None)
    here.db.get(Payment, "secret-merchant")
    shown = f"{hot.top()} {hot._sketches['payments', None].counts} {vars(hot)}"
    assert "secret-merchant" not in shown
    other = HotKeys(every=1)
    assert other.hash_of("secret-merchant") != hot.hash_of("secret-merchant")
    assert HotKeys(secret=SECRET).hash_of("a") == HotKeys(secret=SECRET).hash_of("a")
    assert HotKeys(secret=SECRET).hash_of("1") != HotKeys(secret=SECRET).hash_of(1)
    assert HotKeys(secret=SECRET).hash_of(b"a") != HotKeys(secret=SECRET).hash_of("a")


@pytest.mark.engine
def test_on_an_engine_with_a_prefix(engine, face_kind):
    hot = HotKeys(every=1)
    prefix = f"hot-{face_kind}-"
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix), extensions=(hot,))
    face.tables.ensure(Payment)
    key = f"p{time.monotonic_ns()}"
    face.create(Payment(id=key))
    for _ in range(9):
        face.get(Payment, key)
    (found,) = hot.top()
    assert (found.table, found.key, found.share) == (f"{prefix}payments", hot.hash_of(key), 1.0)
    assert found.reads == pytest.approx(0.9)
    face.close()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"size": 0}, "size of HotKeys is a whole number"),
        ({"every": -1}, "every of HotKeys is a whole number"),
        ({"share": 0}, "share of HotKeys"),
        ({"share": 2}, "share of HotKeys"),
        ({"secret": b"short"}, "16 to 64 random bytes"),
        ({"secret": "0123456789abcdef"}, "16 to 64 random bytes"),
    ],
)
def test_bad_settings(settings, what):
    with pytest.raises(ConfigError, match=what):
        HotKeys(**settings)


@pytest.mark.parametrize("value", [None, True, 1.5, [], object()])
def test_a_hash_of_what_is_no_key(value):
    with pytest.raises(ValidationError, match="a partition key is a text, a number or bytes"):
        HotKeys().hash_of(value)


def test_a_slip_for_a_table_is_no_empty_list(face_kind):
    hot, here = made(face_kind)
    here.db.get(Payment, "p1")
    for slip in ("paymnets", "ments"):
        with pytest.raises(ValidationError, match="did you mean 'payments'"):
            hot.top(table=slip)
    with pytest.raises(ValidationError, match=r"db\.tables\.name_of\(Model\), not PaymentMeta"):
        hot.top(table=Payment)
    assert hot.top(table="events") == []  # what was not met may still come
    assert hot.top(table=here.db.tables.name_of(Payment)) == hot.top()
