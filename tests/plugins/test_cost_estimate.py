"""The estimate of a month: what it is made of, how sure it is, and what it does where a table tells nothing."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from dynamorm import Attr, Model, TableSettings, Throughput, attr, gsi, partition_key
from dynamorm.errors import ConfigError, DynamORMError
from dynamorm.plugins.cost import CostPlugin
from tests.behaviour.conftest import key, made, plugged, prefix  # noqa: F401 - fixtures

pytestmark = pytest.mark.engine

HOUR = 3600
GIGABYTE = 1024**3


class Payment(Model, table="payments"):
    by_merchant = gsi("by-merchant", partition="merchant")

    id: Attr[str] = partition_key()
    merchant: Attr[str | None] = attr(default=None)


class Order(Model, table="orders"):
    id: Attr[str] = partition_key()


class Refund(Model, table="orders"):
    id: Attr[str] = partition_key()
    reason: Attr[str | None] = attr(default=None)


class Bought(Model, table="bought", settings=TableSettings(throughput=Throughput(5, 4))):
    id: Attr[str] = partition_key()


MODELS = [Payment, Order]


class Clock:
    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


class Told:
    """Puts a description in the place of what the engine tells of its tables, or an error."""

    name = "told"

    def __init__(self, **changes):
        self.changes = changes
        self.error = None
        self.asked = 0

    def around(self, call):
        def around(op):
            if op.name != "DescribeTable":
                return (yield from call(op))
            self.asked += 1
            if self.error is not None:
                raise self.error
            found = yield from call(op)
            return replace(found, **self.changes)

        return around


@pytest.fixture
def clock():
    return Clock()


def written(db, clock, key, *, seconds=HOUR, count=10):  # noqa: F811
    """Write so many items, then let time pass."""
    for number in range(count):
        db.create(Payment(id=f"{key}{number}"))
    clock.now += seconds


def sums(estimate):
    return [
        sum(amounts.values(), Decimal(0))
        for amounts in (
            {name: amount for name, amount in estimate.breakdown.items() if amount is not None},
            estimate.by_model,
            estimate.by_scope,
        )
    ]


def test_a_month_is_the_window_730_hours_long(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key)
    db.view(tenant="t1").get(Payment, key, consistent=True)
    estimate = db.estimate_monthly_cost()
    assert estimate.window == timedelta(hours=1)
    assert estimate.breakdown["write"] == 10 * 730 * Decimal("0.000000625")
    assert estimate.breakdown["read"] == 730 * Decimal("0.000000125")
    assert estimate.breakdown["streams"] == estimate.breakdown["replicas"] == estimate.breakdown["kms"] == 0
    assert list(estimate.breakdown) == ["read", "write", "storage", "streams", "backup", "replicas", "kms"]
    assert sums(estimate) == [estimate.total] * 3
    assert estimate.by_scope["tenant=t1"] == 730 * Decimal("0.000000125")
    assert set(estimate.by_model) == {"Payment"}
    assert estimate.priced_on == date(2026, 9, 11)
    assert estimate.currency == "USD"
    assert format(estimate, ".2f") == f"{estimate:.2f}" == "0.00"
    assert str(estimate) == f"{estimate}" == "0.00 USD a month (medium confidence)"
    assert f"{estimate:.6f}" == f"{estimate.total:.6f}"


@pytest.mark.parametrize(
    ("seconds", "confidence"),
    [
        (0, "low"),
        (1, "low"),
        (599, "low"),
        (600, "medium"),
        (24 * HOUR - 1, "medium"),
        (24 * HOUR, "high"),
        (72 * HOUR, "high"),
    ],
)
def test_how_sure_an_estimate_is(plugged, key, clock, seconds, confidence):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key, seconds=seconds, count=1)
    estimate = db.estimate_monthly_cost()
    assert estimate.confidence == confidence
    assert estimate.total.is_finite()
    assert estimate.total > 0


@pytest.mark.parametrize("year", [1970, 2025, 2096])
def test_a_wall_clock_that_is_set_changes_no_window(plugged, key, clock, year):  # noqa: F811
    wall = [datetime(year, 5, 1, tzinfo=UTC).timestamp()]
    db = plugged(CostPlugin(clock=lambda: wall[0], monotonic=clock))
    written(db, clock, key)
    wall[0] = datetime(2026, 11, 10, tzinfo=UTC).timestamp()
    estimate = db.estimate_monthly_cost()
    assert (estimate.window, estimate.confidence) == (timedelta(hours=1), "medium")
    assert estimate.breakdown["write"] == 10 * 730 * Decimal("0.000000625")
    costs = db.costs()
    assert costs.window == timedelta(hours=1)
    assert costs.since == datetime(2026, 11, 9, 23, tzinfo=UTC), "by the clock as it is set now"


def test_the_clock_of_what_has_passed_is_not_the_one_that_is_set():
    times = CostPlugin().times
    assert times.steady() < times.wall() - 365 * 86_400
    assert times.steady() <= times.steady()


def test_before_the_first_call_nothing_costs(plugged):  # noqa: F811
    estimate = plugged(CostPlugin()).estimate_monthly_cost()
    assert estimate.total == 0
    assert estimate.confidence == "low"


def test_tables_cost_by_themselves(plugged, key, clock):  # noqa: F811
    told = Told(
        size_bytes=10 * GIGABYTE - 100 * 1000, item_count=1000, indexes={}, encryption="arn:aws:kms:us-east-1:1:key/k"
    )
    db = plugged(told, CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key, seconds=24 * HOUR)
    estimate = db.estimate_monthly_cost()
    assert estimate.breakdown["storage"] == Decimal("2.5"), "nothing is subtracted for a free tier"
    assert estimate.breakdown["kms"] == 1 + 12 * 730 * Decimal("0.000003")
    assert estimate.by_model["Payment"] == estimate.total
    assert sums(estimate) == [estimate.total] * 3


def test_recovery_to_a_point_in_time_is_paid_by_the_size(plugged, key, clock, monkeypatch):  # noqa: F811
    db = plugged(Told(size_bytes=10 * GIGABYTE, indexes={}), plugin := CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key)
    db.estimate_monthly_cost()
    ((table, (then, found)),) = plugin.facts._known.items()
    plugin.facts._known[table] = then, replace(found, point_in_time_recovery=True)
    assert db.estimate_monthly_cost().breakdown["backup"] == 2
    plugin.facts._known[table] = then, replace(found, point_in_time_recovery=False)
    assert db.estimate_monthly_cost().breakdown["backup"] == 0
    plugin.facts._known[table] = then, replace(found, point_in_time_recovery=None)
    assert db.estimate_monthly_cost().breakdown["backup"] is None


def test_three_regions_cost_three_writes(plugged, key, clock):  # noqa: F811
    db = plugged(Told(replicas=("us-east-2", "us-west-2")), CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key)
    estimate = db.estimate_monthly_cost()
    assert estimate.breakdown["replicas"] == 2 * estimate.breakdown["write"]
    assert sums(estimate) == [estimate.total] * 3


def test_a_replica_whose_prices_are_not_known_is_said(plugged, key, clock):  # noqa: F811
    db = plugged(Told(replicas=("mars-1",)), CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key)
    estimate = db.estimate_monthly_cost()
    assert estimate.breakdown["replicas"] == 0
    assert "the price of replicated writes in mars-1" in estimate.unknown


def test_infrequent_access_has_prices_of_its_own(plugged, key, clock):  # noqa: F811
    told = Told(table_class="STANDARD_INFREQUENT_ACCESS", size_bytes=10 * GIGABYTE, item_count=0, indexes={})
    db = plugged(told, CostPlugin(region="us-east-2", clock=clock, monotonic=clock))
    written(db, clock, key)
    db.get(Payment, key, consistent=True)
    estimate = db.estimate_monthly_cost()
    assert estimate.breakdown["storage"] == 1
    assert estimate.breakdown["read"] == 730 * Decimal("0.000000155")
    assert estimate.breakdown["write"] == 0
    assert estimate.unknown[0] == "the price of Standard-IA writes in us-east-2"
    assert estimate.confidence == "low"


def test_provisioned_tables_cost_by_the_hour(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    db.tables.ensure(Bought)
    for number in range(10):
        db.put(Bought(id=f"{key}{number}"))
    clock.now += HOUR
    estimate = db.estimate_monthly_cost()
    assert estimate.breakdown["read"] == 5 * 730 * Decimal("0.00013")
    assert estimate.breakdown["write"] == 4 * 730 * Decimal("0.00065")
    assert sums(estimate) == [estimate.total] * 3
    (mode,) = estimate.modes.values()
    assert mode.current == "provisioned"


@pytest.mark.parametrize("error", ["AccessDenied", "ClientError", "Unavailable", "RuntimeError"])
def test_a_table_that_does_not_tell_is_left_out(plugged, key, clock, error):  # noqa: F811
    from dynamorm import errors

    told = Told()
    told.error = RuntimeError("broken") if error == "RuntimeError" else getattr(errors, error)("refused")
    db = plugged(told, CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key, seconds=48 * HOUR)
    estimate = db.estimate_monthly_cost()
    assert estimate.breakdown["storage"] is None
    assert estimate.breakdown["write"] > 0
    assert estimate.confidence == "low"
    assert any("the size of the table" in words for words in estimate.unknown)
    assert sums(estimate) == [estimate.total] * 3
    told.error = None
    assert db.estimate_monthly_cost().breakdown["storage"] is None, "not asked again at once"
    clock.now += 601
    assert db.estimate_monthly_cost().breakdown["storage"] is not None


def test_tables_are_asked_every_six_hours(plugged, key, clock):  # noqa: F811
    told = Told()
    db = plugged(told, CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key)
    for _ in range(3):
        db.estimate_monthly_cost()
    assert told.asked == 1
    clock.now += 6 * HOUR
    db.estimate_monthly_cost()
    assert told.asked == 2
    assert db.costs().units().read == 0, "a question costs no units"


def test_models_that_share_a_table(plugged, key, clock):  # noqa: F811
    db = plugged(Told(size_bytes=GIGABYTE, item_count=0, indexes={}), CostPlugin(clock=clock, monotonic=clock))
    db.put(Order(id=key))
    db.put(Refund(id=key))
    db.batch_write(puts=[Order(id=key + "1")])  # of one model, so it is known whose it is
    db.batch_write(puts=[Order(id=key + "2"), Refund(id=key + "3")])
    clock.now += HOUR
    estimate = db.estimate_monthly_cost()
    table = next(name for name in estimate.by_model if name.endswith("orders"))
    each = 730 * Decimal("0.000000625")
    assert estimate.by_model == {"Order": 2 * each, "Refund": each, table: 2 * each + Decimal("0.25")}


def test_a_region_without_prices_is_refused(engine, made, face_kind, key):  # noqa: F811
    from dynamorm import Presets
    from tests.support.faces import Face

    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made, region="sa-east-1"))
    with pytest.raises(ConfigError, match="no price is known for the Region 'sa-east-1'"):
        face.estimate_monthly_cost()
    with pytest.raises(ConfigError, match="no price is known"):
        face.set_cost_alert(5)
    face.tables.ensure(Order)
    face.put(Order(id=key))
    assert face.costs().units().write == 1, "units are counted all the same"
    assert "no price is known" in str(face.explain(lambda db: db.get(Order, "x")))
    face.close()


def test_a_database_that_is_closed(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    written(db, clock, key)
    db._db.close()
    with pytest.raises(DynamORMError):
        db.estimate_monthly_cost()


def test_explain_shows_dollars(plugged):  # noqa: F811
    db = plugged(
        CostPlugin(),
    )
    assert "$1.25 or more per million calls (on demand, us-east-1, 2026-09-11)" in str(
        db.explain(lambda db: db.create(Payment(id="x", merchant="m")))
    )
    assert "$0.0625 or more per million calls" in str(db.explain(lambda db: db.get(Payment, "x")))
    (request,) = db.explain(lambda db: db.get(Payment, "x", consistent=True)).requests
    assert request.notes == ("$0.125 or more per million calls (on demand, us-east-1, 2026-09-11)",)
    query = db.model(Payment).where(Payment.id == "x").explain()
    assert "per million calls" in str(query)
    assert "dollars" not in str(plugged().explain(lambda db: db.get(Payment, "x")))
    assert "$" not in str(plugged().explain(lambda db: db.get(Payment, "x")))


# On-demand against provisioned


def traffic(db, clock, key, pattern, hours=24):  # noqa: F811
    """So many consistent reads in each hour, as ``pattern(hour)`` says, without sending them."""
    plugin = next(plugin for plugin in db.inner._session.plugins if plugin.name == "cost")
    db.get(Payment, key)
    from dynamorm.plugins.cost.ledger import REPORTED, Part

    (entry,) = {row.table for row, _ in plugin.ledger.rows()}
    for hour in range(hours):
        for _ in range(60):
            units = pattern(hour) / 60
            plugin.ledger.note((clock.now, REPORTED, "GetItem", "get", Payment, {}, [Part(entry, None, units, 0.0)]))
            plugin.ledger.settle()
            clock.now += 60
    return db.estimate_monthly_cost().modes[entry]


def test_steady_traffic_is_cheaper_provisioned(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    mode = traffic(db, clock, key, lambda hour: 360_000)  # 100 each second
    assert mode.recommended == "provisioned"
    assert mode.current == "on_demand"
    assert mode.read_capacity == 143, "100 a second, used to 70 %"
    assert mode.provisioned == 143 * 730 * Decimal("0.00013") + 730 * Decimal("0.00065")
    assert mode.on_demand == pytest.approx(Decimal(100 * 730 * 3600) * Decimal("0.000000125"), rel=Decimal("0.001"))
    assert "provisioned costs" in mode.why


def test_traffic_with_peaks_is_cheaper_on_demand(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    mode = traffic(db, clock, key, lambda hour: 360_000 if hour == 12 else 100)
    assert mode.recommended == "on_demand"
    assert mode.provisioned > mode.on_demand


def test_before_a_day_has_passed_no_mode_is_recommended(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(clock=clock, monotonic=clock))
    mode = traffic(db, clock, key, lambda hour: 360_000, hours=2)
    assert mode.recommended is None
    assert "24 hours" in mode.why


def test_without_a_price_no_mode_is_recommended(plugged, key, clock):  # noqa: F811
    db = plugged(CostPlugin(region="eu-west-1", clock=clock, monotonic=clock))
    mode = traffic(db, clock, key, lambda hour: 360_000)
    assert mode.recommended is mode.provisioned is None
    assert "refresh" in mode.why
