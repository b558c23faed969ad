"""The ledger: postings once and whole, bounds, replays, reversals, shards, contention. On both faces."""

import inspect
import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm.errors import (
    ConditionFailed,
    DynamORMError,
    InsufficientFunds,
    KeyReused,
    NotFound,
    Outcome,
    TransactionConflict,
    ValidationError,
)
from dynamorm.payments import Ledger, Money, Posting
from dynamorm.payments.ledger import posting, reading
from dynamorm.payments.ledger.items import LedgerBalance, LedgerEntry, joined
from tests.support.held import HeldNetwork

MODELS = (LedgerBalance, LedgerEntry)
pytestmark = pytest.mark.engine
EUR = "EUR"


def eur(text):
    return Money(text, EUR)


@pytest.fixture
def ledger(db, call):
    """A ledger whose methods are called in the blocking way, on either face."""

    class Called:
        def __init__(self):
            self.inner = Ledger(db.inner)

        def __getattr__(self, name):
            return lambda *args, **named: call(getattr(self.inner, name), *args, **named)

        def move(self, source, target, money, id=None):
            return self.post([Posting(target, money), Posting(source, -money)], id=id or uuid.uuid4().hex)

    return Called()


@pytest.fixture
def names(key):
    return [f"{key}-{letter}" for letter in "abcd"]


def test_a_posting_moves_money(ledger, names):
    a, b, *_ = names
    posted = ledger.move(a, b, eur("10"))
    assert not posted.replayed
    assert (ledger.balance(a), ledger.balance(b, currency=EUR)) == (eur("-10"), eur("10"))


def test_several_currencies_are_told_apart(ledger, names):
    a, b, *_ = names
    usd = Money("3", "USD")
    ledger.post([(a, eur("1")), (b, eur("-1")), (a, usd), (b, -usd)], id=a)
    assert ledger.balance(a) == {EUR: eur("1"), "USD": usd}
    assert ledger.balance(a, currency="USD") == usd


def test_the_same_again_is_a_replay_in_whatever_order(ledger, names):
    a, b, *_ = names
    first = ledger.post([(a, eur("10")), (b, eur("-10"))], id=a)
    again = ledger.post([(b, eur("-4")), (a, eur("10")), (b, eur("-6"))], id=a)
    assert again == (first.id, first.at, True)
    for other in ([(a, eur("9")), (b, eur("-9"))], [(a, -eur("10")), (b, eur("10"))]):
        with pytest.raises(KeyReused):
            ledger.post(other, id=a)
    assert ledger.balance(a) == eur("10")


@pytest.mark.parametrize(
    "postings",
    [
        [], None, "text", Posting("a", eur("1")), [Posting("a", eur("1"))], [("a", eur("1")), ("b", eur("-2"))], [("a", eur("1")), ("b", Money("-1", "USD"))],
        [("a", 1), ("b", -1)], [("a", eur("0")), ("b", eur("0"))], [("a", eur("1")), ("a", eur("-1"))], [("", eur("1")), ("b", eur("-1"))],
        [("a\x1fb", eur("1")), ("b", eur("-1"))], [(5, eur("1")), ("b", eur("-1"))], [("a", eur("1"), 1), ("b", eur("-1"))], [("a", 1.5), ("b", -1.5)],
        [*((f"x{at}", eur("1")) for at in range(45)), ("y", eur("-45"))],
    ],
)  # fmt: skip
def test_what_is_no_posting_is_refused_before_it_is_sent(ledger, wire, postings):
    with pytest.raises(ValidationError):
        ledger.post(postings, id="x")
    assert not wire.names


@pytest.mark.parametrize("id", ["", None, 5, "a\n", "x" * 256, "a\x1freversed"])
def test_an_id_is_a_printable_text(ledger, names, id):
    with pytest.raises(ValidationError):
        ledger.post([(names[0], eur("1")), (names[1], eur("-1"))], id=id)


def test_forty_five_accounts_fit_into_one_posting(ledger, key):
    legs = [(f"{key}{at}", eur("1")) for at in range(44)]
    ledger.post([*legs, (f"{key}y", eur("-44"))], id=key)
    assert ledger.balance(f"{key}43") == eur("1")


def test_bounds_are_kept_on_the_joined_sum(ledger, names):
    a, b, *_ = names
    ledger.open(a, EUR, at_least=eur("-5"), at_most=eur("20"))
    ledger.move(a, b, eur("5"))
    with pytest.raises(InsufficientFunds) as caught:
        ledger.move(a, b, eur("0.01"), id=a)
    assert caught.value.account == a
    assert isinstance(caught.value, ConditionFailed)
    ledger.post([(a, -eur("100")), (a, eur("101")), (b, -eur("1"))], id=f"{a}2")
    ledger.move(b, a, eur("24"))
    with pytest.raises(InsufficientFunds):
        ledger.move(b, a, eur("0.01"))
    assert ledger.balance(a) == eur("20")
    ledger.move(a, b, eur("1"), id=a)  # the id of a refused posting is free


def test_a_replay_is_one_also_where_it_would_break_a_bound_now(ledger, names):
    a, b, *_ = names
    ledger.open(a, EUR, at_least=eur("0"))
    ledger.move(b, a, eur("5"))
    ledger.move(a, b, eur("5"), id=a)
    assert ledger.move(a, b, eur("5"), id=a).replayed


def test_an_account_is_opened_once(ledger, names):
    a, b, c, d = names
    ledger.open(a, EUR, at_least=eur("0"))
    ledger.open(a, EUR, at_least=eur("0"))
    for named in ({}, {"at_least": eur("-1")}, {"at_least": eur("0"), "at_most": eur("5")}):
        with pytest.raises(ValidationError, match="otherwise"):
            ledger.open(a, EUR, **named)
    ledger.move(b, c, eur("1"))
    with pytest.raises(ValidationError, match="before"):
        ledger.open(b, EUR, at_least=eur("0"))
    ledger.open(b, EUR)  # without bounds it may be opened at any time
    ledger.open(d, EUR, shards=3)
    for _ in range(6):
        ledger.move(b, d, eur("1"))
    assert ledger.balance(d) == eur("6")


@pytest.mark.parametrize(
    "named",
    [
        {"at_least": 0},
        {"at_least": Money("0", "USD")},
        {"at_least": eur("1")},
        {"at_most": eur("-1")},
        {"shards": 0},
        {"shards": 65},
        {"shards": True},
        {"shards": 2, "at_least": eur("0")},
    ],
)
def test_bounds_that_are_none_are_refused(ledger, names, named):
    with pytest.raises(ValidationError):
        ledger.open(names[0], EUR, **named)
    with pytest.raises(ValidationError):
        ledger.open(names[0], "eur")


def test_who_did_not_know_that_an_account_was_opened_keeps_its_bounds(ledger, names, db, call):
    """One ledger has learned that there is none, and another one opens it before the first posting."""
    a, b, *_ = names
    ledger.inner._unopened.add((a, EUR))
    other = Ledger(db.inner)
    call(other.open, a, EUR, at_least=eur("0"))
    with pytest.raises(InsufficientFunds):
        ledger.move(a, b, eur("1"))
    ledger.move(b, a, eur("1"))
    assert ledger.balance(a) == eur("1")


def test_a_posting_is_reversed_once(ledger, names):
    a, b, *_ = names
    ledger.move(a, b, eur("7"), id=a)
    first = ledger.reverse(a, by=f"{a}-r")
    assert ledger.reverse(a, by=f"{a}-r") == (first.id, first.at, True)
    with pytest.raises(KeyReused):
        ledger.reverse(a, by=f"{a}-s")
    with pytest.raises(KeyReused):
        ledger.move(b, a, eur("7"), id=f"{a}-r")  # the same legs, and no reversal
    assert ledger.balance(a) == ledger.balance(b) == eur("0")
    with pytest.raises(NotFound):
        ledger.reverse(f"{a}-none", by="x")


def test_an_account_that_nobody_knows_has_no_balance(ledger, names):
    with pytest.raises(NotFound):
        ledger.balance(names[0])
    ledger.open(names[0], EUR)
    assert ledger.balance(names[0]) == eur("0")


def test_entries_never_change(db, ledger, names):
    a, b, *_ = names
    ledger.move(a, b, eur("1"), id=a)
    with pytest.raises(ValidationError):
        db.put(LedgerEntry(pk=a))
    entry = db.get(LedgerEntry, a)
    entry.legs[0] = (a, EUR, 5)
    with pytest.raises(ValidationError):
        db.save(entry)


def test_what_was_tampered_with_is_named(db, ledger, names):
    a, b, *_ = names
    ledger.open(a, EUR, at_least=eur("-100"))
    ledger.move(a, b, eur("1"))
    found = ledger.verify()
    assert a not in found.differs
    db.update(LedgerBalance, a, EUR, LedgerBalance.balance.add(5))
    assert a in ledger.verify().differs
    db.update(LedgerBalance, a, EUR, LedgerBalance.balance.add(-5))
    assert a not in ledger.verify().differs


def test_postings_that_cancel_each_other_while_it_is_verified_are_no_difference(ledger, names, monkeypatch):
    """The entries are read with the first of them alone, and the balance is the same before and behind."""
    a, b, *_ = names
    ledger.move(a, b, eur("5"))
    read, times = reading.sums_of_entries, []

    def reading_between(db, home):
        if not times:
            yield ledger.inner.post([Posting(b, eur("10")), Posting(a, eur("-10"))], id=f"in-{a}")
        found = yield from read(db, home)
        if not times:
            yield ledger.inner.post([Posting(a, eur("10")), Posting(b, eur("-10"))], id=f"out-{a}")
        times.append(1)
        return found

    monkeypatch.setattr(reading, "sums_of_entries", reading_between)
    found = ledger.verify()
    assert len(times) > 1  # one look said nothing
    assert not {a, b} & {*found.differs, *found.unsettled}


def test_a_balance_of_all_currencies_shows_no_money_that_never_was_there(ledger, names, monkeypatch):
    """A shard that is made between finding the currencies and reading them is read, too."""
    a, b, *_ = names
    shard = [0]
    monkeypatch.setattr(posting.random, "randrange", lambda _: shard[0])
    ledger.move(a, b, eur("10"))
    find = reading._currencies_of

    def found_before(db, account):
        found = yield from find(db, account)
        for shard[0], cents in ((1, "10"), (0, "-20")):
            yield ledger.inner.post([Posting(b, eur(cents)), Posting(a, -eur(cents))], id=f"{a}{cents}")
        return found

    monkeypatch.setattr(reading, "_currencies_of", found_before)
    assert ledger.balance(b) == eur("0")


def test_an_account_of_many_currencies_is_read_currency_by_currency_at_one_moment(ledger, names, wire):
    a, b, *_ = names
    codes = ("EUR", "USD", "GBP", "CHF", "SEK", "NOK", "DKK")
    for code in codes:
        ledger.move(a, b, Money.minor(7, code))
    wire.clear()
    assert ledger.balance(b) == {code: Money.minor(7, code) for code in sorted(codes)}
    parts = [body["TransactItems"] for operation, body in wire.calls if operation == "TransactGetItems"]
    of = [{item["Get"]["Key"]["currency"]["S"] for item in part} for part in parts]
    assert sum(map(len, of)) == len(set().union(*of)) == 7
    assert all(len(part) <= 100 for part in parts)


def test_many_at_once_keep_the_bound_and_lose_nothing(ledger, names, figure):
    a, b, c, _ = names
    ledger.open(a, EUR, at_least=eur("0"))
    ledger.move(b, a, eur("10"))

    def one(number):
        try:
            ledger.move(a, c, eur("1"), id=f"{a}{number % 15}")
        except InsufficientFunds:
            return 0
        return 1

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(one, range(30)))
    assert ledger.balance(a) == eur("0")
    assert ledger.balance(c) == eur("10")


def test_the_trial_balance_is_zero_while_others_post(ledger, names):
    a, b, *_ = names
    stop = []

    def post():
        while not stop:
            ledger.move(a, b, eur("1"))

    with ThreadPoolExecutor(2) as pool:
        running = [pool.submit(post) for _ in range(2)]
        for _ in range(5):
            found = ledger.trial_balance()
            assert found.ok, found
        stop.append(True)
        for one in running:
            one.result()
    assert ledger.trial_balance().postings > 2
    assert not {a, b} & set(ledger.verify().differs)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 50), st.integers(0, 9)), max_size=12))
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_random_postings_agree_with_a_model(ledger, moves):
    prefix = uuid.uuid4().hex
    bank, ids = [f"{prefix}{at}" for at in range(3)], {}
    ledger.open(bank[0], EUR, at_least=eur("0"))
    expected = dict.fromkeys(bank, 0)
    for source, target, cents, number in moves:
        legs, id = ((source, target, cents)), f"{prefix}-{number}"
        postings = [(bank[target], Money.minor(cents, EUR)), (bank[source], Money.minor(-cents, EUR))]
        try:
            posted = ledger.post(postings, id=id)
        except ValidationError:
            assert source == target
        except KeyReused:
            assert ids[id] != legs
        except InsufficientFunds:
            assert source == 0
            assert expected[bank[0]] < cents
        else:
            assert posted.replayed is (id in ids)
            if not posted.replayed:
                ids[id] = legs
                expected[bank[source]] -= cents
                expected[bank[target]] += cents
            assert ids[id] == legs
    for account, cents in expected.items():
        if any(account in (bank[legs[0]], bank[legs[1]]) for legs in ids.values()):
            assert ledger.balance(account, currency=EUR) == Money.minor(cents, EUR)


def test_legs_are_joined_in_one_order():
    dice = random.Random(3)
    legs = [(f"a{at % 3}", eur("1")) for at in range(6)] + [("z", eur("-6"))]
    expected = joined(legs)
    assert expected == (("a0", EUR, 200), ("a1", EUR, 200), ("a2", EUR, 200), ("z", EUR, -600))
    for _ in range(10):
        dice.shuffle(legs)
        assert joined(legs) == expected


@pytest.fixture
def network():
    return HeldNetwork("TransactWriteItems")


@pytest.fixture
def busy(open_db, engine, made, network):
    """A ledger behind that network, called in the blocking way."""
    db = open_db(engine.endpoint, table_prefix=made, extensions=(network,), operation_timeout=2.0)
    inner = Ledger(db.inner)

    def done(result):
        return db._loop.run(result) if inspect.isawaitable(result) else result

    def post(legs, id):
        return done(inner.post(legs, id=id))

    post.open = lambda *args, **named: done(inner.open(*args, **named))
    post.delivered = lambda: {network.deliver(db, which) for which in range(len(network.held))}
    return post


def test_a_posting_that_was_refused_for_conflicts_is_not_applied_later(ledger, names, busy, network, db):
    """Copies of the tries are under way when the caller hears "not applied": none of them can be applied any more."""
    a, b, *_ = names
    network.busy = True
    with pytest.raises(TransactionConflict) as caught:
        busy([(a, eur("1")), (b, eur("-1"))], a)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert busy.delivered() == {400}
    assert db.get(LedgerEntry, a) is None


def test_an_account_that_was_not_opened_is_not_opened_later(names, busy, network, db):
    network.busy = True
    with pytest.raises(TransactionConflict) as caught:
        busy.open(names[0], EUR, at_least=eur("0"))
    assert caught.value.outcome is Outcome.NOT_APPLIED
    assert busy.delivered() == {400}
    assert db.get(LedgerBalance, names[0], EUR) is None


def test_a_posting_whose_copies_cannot_be_stopped_has_an_unknown_outcome(ledger, names, busy, network, monkeypatch):
    a, b, *_ = names
    monkeypatch.setattr("tests.support.held._only_looks", lambda items: False)  # the token cannot be spent either
    network.busy = True
    with pytest.raises(TransactionConflict) as caught:
        busy([(a, eur("1")), (b, eur("-1"))], a)
    assert caught.value.outcome is Outcome.UNKNOWN
    network.busy = False
    assert 200 in busy.delivered()
    assert ledger.post([(a, eur("1")), (b, eur("-1"))], id=a).replayed
    assert ledger.balance(a) == eur("1")


def test_a_posting_that_a_bound_refuses_is_not_applied_when_there_is_money_again(ledger, names, busy, network, db):
    a, b, *_ = names
    ledger.open(a, EUR, at_least=eur("0"))
    network.schedule = ["copy"] * 3
    with pytest.raises(InsufficientFunds) as caught:
        busy([(b, eur("1")), (a, eur("-1"))], a)
    assert caught.value.outcome is Outcome.NOT_APPLIED
    ledger.move(b, a, eur("5"))
    assert network.held
    busy.delivered()
    assert ledger.balance(a) == eur("5")
    assert db.get(LedgerEntry, a) is None


def test_a_refusal_says_what_to_do(ledger, names):
    """Errors that named what is wrong, and no way on."""
    cash, sales, new, unknown, *_ = [*names, f"{names[0]}-new", f"{names[0]}-unknown"][-4:]
    ledger.post([Posting(cash, eur("1.00")), Posting(sales, -eur("1.00"))], id=cash)
    ledger.open(new, "EUR", shards=2)
    for call, remedy in (
        (lambda: ledger.open(cash, "EUR", at_least=eur("0")), "open another account"),
        (lambda: ledger.open(new, "EUR", shards=3), "it has, or open another"),
        (lambda: ledger.open(unknown, "EUR", at_least=5), r"Money\('0', 'EUR'\)"),
        (lambda: ledger.post([Posting(cash, eur("1.00"))], id="x"), "add what is missing as a leg"),
        (lambda: ledger.balance(unknown), "is it written so"),
    ):
        with pytest.raises(DynamORMError, match=remedy):
            call()
