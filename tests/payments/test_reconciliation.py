"""Reconciliation: a file beside the payments of its day. On both faces."""

import io
import random
from datetime import UTC, date, datetime, timedelta

import pytest

from dynamorm import Attr, Model, Tenant, attr, gsi, partition_key, sort_key
from dynamorm.errors import TenantError, ValidationError
from dynamorm.payments import Money, PaymentIndexes, PaymentMixin, Reconciliation, Status
from dynamorm.payments.reconciliation import IDLE, _compared, _Payment
from dynamorm.payments.settlement_lines import Line

pytestmark = pytest.mark.engine
DAYS = iter(date(2024, 1, 1) + timedelta(days=3 * at) for at in range(10_000))


class Payment(Model, PaymentMixin, PaymentIndexes, table="reconciled-payments"):
    id: Attr[str] = partition_key()


class Timed(Model, table="timed"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    currency: Attr[str]
    settled_at: Attr[datetime | None] = attr(default=None)


class OfTenant(Model, PaymentMixin, PaymentIndexes, table="payments-of-tenants"):
    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(prefix=True), init=False)


class Indexed(Model, PaymentMixin, table="indexed-payments-of-tenants"):
    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(prefix=True), init=False)
    by_day = gsi("by-tenant-day", partition="tenant_id", sort="settlement_date")


@pytest.fixture
def day():
    """A day that no other test uses."""
    return next(DAYS)


@pytest.fixture
def run(db, call, day):
    def running(lines, model=Payment, **named):
        return call(
            Reconciliation(db.inner, model).run, named.pop("date", day), lines, **{"tz": "Europe/Riga", **named}
        )

    return running


@pytest.fixture
def stored(db, key, day):
    def storing(name, cents, currency="EUR", status=Status.SETTLED, captured=0):
        some = {Status.PARTIALLY_REFUNDED: (cents, cents // 2), Status.REFUNDED: (cents, cents)}
        paid, returned = some.get(status, (captured, 0))
        money = {"amount": cents, "currency": currency, "captured": paid, "refunded": returned}
        db.create(Payment(id=f"{key}{name}", status=status, settlement_date=day, **money))
        return f"{key}{name}"

    return storing


def file(*rows, head="id,amount,currency,status"):
    return [f"{head}\n", *(f"{row}\n" for row in rows)]


def test_everything_that_differs_is_told(run, stored):
    a, b, c, d, e = (stored(name, 1000) for name in "abcde")
    lines = file(
        f"{a},1000,EUR,settled",
        f"{b},1001,EUR,settled",
        f"{c},1000,USD,settled",
        f"{d},1000,EUR,refunded",
        "x,5,EUR,settled",
        f"{a},1000,EUR,settled",
    )
    report = run(lines)
    assert report.matched == (a,)
    assert [line.id for line in report.missing_here] == ["x"]
    assert [line.id for line in report.missing_there] == [e]
    assert report.amount_differs == ((b, Money("10.00", "EUR"), Money("10.01", "EUR")),)
    assert report.currency_differs == ((c, Money("10.00", "EUR"), Money("10.00", "USD")),)
    assert report.status_differs == ((d, "settled", "refunded"),)
    assert report.duplicates == (a,)
    assert report.totals == {
        "EUR": (Money("50.00", "EUR"), Money("40.06", "EUR")),
        "USD": (Money("0", "USD"), Money("10.00", "USD")),
    }
    assert not report.ok
    shuffled = lines[1:]
    random.Random(1).shuffle(shuffled)
    assert run([lines[0], *shuffled]) == report == run(lines)


def test_a_day_that_agrees_is_ok(run, stored):
    a, b = stored("a", 1000), stored("b", 5, "JPY")
    assert run(file(f"{a},1000,EUR,settled", f"{b},5,JPY,settled")).ok
    assert run([{"id": a, "amount": 1000, "currency": "EUR"}, {"id": b, "amount": "5", "currency": "JPY"}]).ok
    assert run(
        io.StringIO("\ufeffRef;x\r\n".replace(";x", ",Gross,Ccy") + f'"{a}",10.00,EUR\r\n{b},5,JPY\r\n'),
        columns={"id": "Ref", "amount": "Gross", "currency": "Ccy"},
        amounts="major",
    ).ok


def test_a_payment_that_pays_nothing_has_no_line(run, stored):
    """Pending, authorized, failed and voided: a line of one differs, whether it tells a state or not, and none is missing."""
    idle = [stored(state.value, 1000, status=state) for state in IDLE]
    kept = [stored(state.value, 1000, status=state) for state in Status if state not in IDLE]
    told = run(file(*(f"{id},1000,EUR," for id in (*idle, *kept))))
    assert {one.id: (one.here, one.there) for one in told.status_differs} == {
        id: (state.value, "settled") for id, state in zip(idle, IDLE, strict=True)
    }
    assert sorted(told.matched) == sorted(kept)
    assert told.totals["EUR"] == (Money("10", "EUR") * len(kept), Money("10", "EUR") * len(Status))
    assert run(file(*(f"{id},1000,EUR," for id in kept))).ok
    assert run(file(*(f"{id},1000,EUR," for id in kept), f"{idle[0]},1000,EUR,{next(iter(IDLE)).value}")).ok


def test_what_was_captured_is_what_is_paid_out(run, stored):
    a = stored("a", 1000, captured=600)
    assert run(file(f"{a},600,EUR,settled")).ok
    assert run(file(f"{a},1000,EUR,settled")).amount_differs == ((a, Money("6", "EUR"), Money("10", "EUR")),)


def test_states_are_translated(run, stored):
    a = stored("a", 1)
    assert run(file(f"{a},1,EUR,PAID"), statuses={"PAID": Status.SETTLED}).ok
    with pytest.raises(ValidationError, match="line 2"):
        run(file(f"{a},1,EUR,LOST"), statuses={"PAID": Status.SETTLED})


def test_the_zone_has_no_default_and_decides_the_day(db, call, run, stored, key, day):
    a = stored("a", 1)
    with pytest.raises(TypeError):
        Reconciliation(db.inner, Payment).run(day, [])
    for wrong in ("Nowhere/None", None, 5, ""):
        with pytest.raises(ValidationError, match="tz"):
            run([], tz=wrong)
    evening = f"{day - timedelta(days=1)}T23:30:00+00:00"  # in Riga that is the next day
    lines = file(f"{a},1,EUR,{evening}", head="id,amount,currency,settled_at")
    assert run(lines).ok
    assert [line.id for line in run(lines, tz="UTC").missing_there] == [a]


def test_a_model_may_have_a_time(db, run, key, day):
    noon = datetime(day.year, day.month, day.day, 21, 30, tzinfo=UTC)
    for name, at in (("a", noon), ("b", noon + timedelta(hours=3)), ("c", None)):
        db.create(Timed(id=f"{key}{name}", amount=1, currency="EUR", settled_at=at))
    found = run(file(f"{key}a,1,EUR,"), model=Timed, field="settled_at", tz="UTC")
    assert found.matched == (f"{key}a",)
    assert found.ok


@pytest.mark.parametrize(
    "row",
    [
        "a,1.5,EUR,",
        "a,,EUR,",
        ",1,EUR,",
        "a,1,eur,",
        "a,1,XAU,",
        "a,1_0,EUR,",
        "a,\u0661,EUR,",
        "a,1e3,EUR,",
        "a,1,EUR",
        "a,1,EUR,,",
        'a,"1,EUR,',
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_nothing_of_it_shown(run, wire, row):
    with pytest.raises(ValidationError, match="line"):
        run(file("ok,1,EUR,", row))
    assert not wire.names


@pytest.mark.parametrize(
    "named",
    [
        {"amounts": "cents"},
        {"columns": {"ident": "x"}},
        {"field": "nothing"},
        {"date": datetime(2024, 1, 1)},
        {"date": "2024-01-01"},
    ],
)
def test_arguments_that_are_none_are_refused(run, named):
    with pytest.raises(ValidationError):
        run([], **named)
    for lines in ("a,b", b"", 5, [b"id"]):
        with pytest.raises(ValidationError):
            run(lines)
    with pytest.raises(ValidationError, match="float"):
        run([{"id": "a", "amount": 1.0, "currency": "EUR"}])
    with pytest.raises(ValidationError, match="float"):
        run([{"id": "a", "amount": 1.0, "currency": "EUR"}], amounts="major")


def test_a_model_without_money_is_refused(db):
    class Bare(Model, table="bare"):
        id: Attr[str] = partition_key()

    with pytest.raises(ValidationError, match="amount"):
        Reconciliation(db.inner, Bare)


def test_cells_that_would_be_formulas_are_quoted(run, stored):
    stored("a", 5)
    out = io.StringIO()
    run(file("=cmd(),1,EUR,", "+x,1,EUR,", "@y,1,EUR,", "-z,-1,EUR,")).write_csv(out)
    cells = [cell for line in out.getvalue().splitlines() for cell in line.split(",")]
    assert "'=cmd()" in cells
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'-0.01 EUR" in cells


class Referred(Model, PaymentMixin, PaymentIndexes, table="referred-payments"):
    id: Attr[str] = partition_key()
    ref: Attr[str | None] = attr(default=None)


class OfMerchant(Model, PaymentMixin, PaymentIndexes, table="payments-of-merchants"):
    merchant: Attr[str] = partition_key()
    id: Attr[str] = sort_key()


MODELS = (Payment, Timed, Referred, OfMerchant)


@pytest.fixture
def settled(db, day):
    def storing(model, cents=500, status=Status.SETTLED, *, to=None, **fields):
        (to or db).create(model(amount=cents, currency="EUR", status=status, settlement_date=day, **fields))

    return storing


def test_a_double_charge_is_told_and_in_the_totals(run, settled, key):
    for name in ("p1", "p2", "p3"):
        settled(Referred, id=key + name, ref="x")
    found = run(file("x,500,EUR,settled"), Referred, match="ref")
    assert not found.ok
    assert found.matched == ("x",)
    assert [(line.id, line.key) for line in found.duplicates_here] == [("x", f"{key}p2"), ("x", f"{key}p3")]
    assert found.totals["EUR"] == (Money("15", "EUR"), Money("5", "EUR"))
    out = io.StringIO()
    found.write_csv(out)
    assert f"duplicate here,{key}p2,5.00 EUR," in out.getvalue()


def test_the_payment_that_agrees_is_the_one_that_is_matched(run, settled, key):
    for name, cents in (("p1", 400), ("p2", 500)):
        settled(Referred, cents, id=key + name, ref="x")
    found = run(file("x,500,EUR,"), Referred, match="ref")
    assert found.totals["EUR"] == (Money("9", "EUR"), Money("5", "EUR"))
    assert len(found.duplicates_here) == 1


def test_an_attempt_that_failed_is_no_double_charge(run, settled, key):
    settled(Referred, id=f"{key}p1", ref="x", status=Status.FAILED)
    settled(Referred, id=f"{key}p2", ref="x")
    settled(Referred, id=f"{key}p3", ref="x", status=Status.VOIDED)
    assert run(file("x,500,EUR,settled"), Referred, match="ref").ok


def test_payments_without_a_value_are_missing_there_each(run, settled, key):
    for at in range(3):
        settled(Referred, id=f"{key}{at}")
    settled(Referred, id=f"{key}idle", status=Status.PENDING)
    found = run(file("None,500,EUR,"), Referred, match="ref")
    assert [line.key for line in found.missing_there] == [f"{key}{at}" for at in range(3)]
    assert [line.id for line in found.missing_here] == ["None"]
    assert found.totals["EUR"].here == Money("15", "EUR")


def test_a_model_with_a_sort_key_is_matched_by_its_whole_key(run, settled, key):
    for merchant, id in ((f"{key}m", "p1"), (f"{key}m", "p2"), (f"{key}n", "p1")):
        settled(OfMerchant, merchant=merchant, id=id)
    ids = [f"{key}m/p1", f"{key}m/p2", f"{key}n/p1"]
    assert run(file(*(f"{id},500,EUR," for id in ids)), OfMerchant).matched == tuple(ids)
    by_field = run(file("p1,500,EUR,", "p2,500,EUR,"), OfMerchant, match="id")
    assert [line.key for line in by_field.duplicates_here] == [f"{key}n/p1"]
    assert by_field.totals["EUR"].here == Money("15", "EUR")
    with pytest.raises(ValidationError, match="no field"):
        run(file(), OfMerchant, match="nothing")


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_lost_from_the_totals(seed):
    """Whatever the payments and the lines are: every payment and every line counts once in the totals, and in one list."""
    dice = random.Random(seed)
    states = [*Status]

    def payment(at):
        status = dice.choice(states)
        line = Line(dice.choice(["", "a", "b", "c"]), Money.minor(dice.choice([1, 2]), "EUR"), status.value, f"k{at}")
        return _Payment(line, dice.choice([None, "t", "u"]), is_idle=status in IDLE)

    here = [payment(at) for at in range(dice.randrange(12))]
    there = [Line(dice.choice("abcd"), Money.minor(dice.choice([1, 2]), "EUR")) for _ in range(dice.randrange(8))]
    found = _compared(here, there)
    shuffled = dice.sample(here, len(here)), dice.sample(there, len(there))
    assert _compared(*shuffled) == found
    paying = [one.line for one in here if not one.is_idle]
    totals = found.totals.get("EUR", (Money("0", "EUR"), Money("0", "EUR")))
    assert totals[0] == sum((line.money for line in paying), Money("0", "EUR"))
    assert totals[1] == sum((line.money for line in there), Money("0", "EUR"))
    listed = [line.key for line in (*found.missing_there, *found.duplicates_here)]
    assert len(listed) == len(set(listed))
    assert found.ok is not any((*found[1:7], found.duplicates_here))


def test_tenants_are_kept_apart(open_db, engine, call, day, key):
    face = open_db(engine.endpoint, table_prefix=f"rec-{key}-")
    face.enable_multi_tenancy()
    face.tables.ensure(OfTenant, Indexed)
    views = [face.with_tenant(tenant) for tenant in "ab"]
    for view, cents in zip(views, (500, 700), strict=True):
        for model in (OfTenant, Indexed):
            view.create(model(id="p1", amount=cents, currency="EUR", status=Status.SETTLED, settlement_date=day))

    def run(view, model, *rows):
        found = Reconciliation(getattr(view, "_subject", view), model).run(day, file(*rows), tz="UTC")
        return face._loop.run(found) if face.kind == "asyncio" else found

    every = face.all_tenants(reason="reconciliation")
    found = run(every, OfTenant, "p1,700,EUR,")
    assert found.matched == ("p1",)
    assert [line.key for line in found.missing_there] == ["a/p1"]
    assert not found.duplicates_here
    assert found.totals["EUR"].here == Money("12", "EUR")
    assert run(every, OfTenant, "p1,700,EUR,", "p1,500,EUR,").matched == ("p1", "p1")
    for view, cents in zip(views, (500, 700), strict=True):
        assert run(view, Indexed, f"p1,{cents},EUR,").ok
        with pytest.raises(TenantError, match="by-tenant-day"):
            run(view, OfTenant, f"p1,{cents},EUR,")
