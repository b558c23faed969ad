"""The first example of a test that was asked for, translated line by line; what it says in Go stands beside each line."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from dynamorm import Attr, Model, created_at, gsi, partition_key, version
from dynamorm.testing import assert_eventually, freeze_time

pytestmark = pytest.mark.engine

FIXTURE = """
Payment:
- $name: first
  id: p1
  amount: 12500
  status: completed
- $count: 4
  id: "p{n}0"
  amount: "{n}00"
  status: pending
"""


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    status: Attr[str]
    created_at: Attr[datetime] = created_at()
    version: Attr[int] = version()
    by_status = gsi("gsi-status-created", partition="status", sort="created_at")


@pytest.fixture(autouse=True)
def _testdata(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "testdata").mkdir()
    (tmp_path / "testdata" / "payments.yaml").write_text(FIXTURE, "utf-8")


def test_payment_flow(test_db):  # func TestPaymentFlow(t *testing.T) {
    db = test_db  # db := dynamorm.NewTestDB(t) // Automatic cleanup
    db.load_fixture("testdata/payments.yaml")  # db.LoadFixture("testdata/payments.yaml")

    with freeze_time("2024-01-01T00:00:00Z"):  # dynamorm.FreezeTime(t, "2024-01-01T00:00:00Z")
        # dynamorm.AssertEventually(t, func() bool {
        #     count, _ := db.Model(&Payment{}).Where("Status", "=", "completed").Count()
        #     return count > 0
        # }, 5*time.Second)
        assert_eventually(lambda: db.model(Payment).where("status", "=", "completed").count() > 0, timeout=5)

        # What the lines promise, looked at: the count, the time, and that waiting is what it says.
        assert db.model(Payment).where("status", "=", "completed").count() == 1
        assert db.create(Payment(id="p9", amount=1, status="new")).created_at == datetime(2024, 1, 1, tzinfo=UTC)
        with pytest.raises(AssertionError, match="it did not hold after"):
            assert_eventually(lambda: db.model(Payment).where("status", "=", "lost").count() > 0, timeout=0.2)


def test_payment_flow_on_asyncio(async_test_db):
    async def program():
        db = async_test_db
        await db.load_fixture("testdata/payments.yaml")
        with freeze_time("2024-01-01T00:00:00Z"):

            async def completed():
                return await db.model(Payment).where("status", "=", "completed").count() > 0

            await assert_eventually(completed, timeout=5)
            payment = await db.create(Payment(id="p9", amount=1, status="new"))
            assert payment.created_at == datetime(2024, 1, 1, tzinfo=UTC)
            assert await db.model(Payment).where("status", "=", "pending").count() == 4

    asyncio.run(program())


@freeze_time("2024-01-01T00:00:00Z")
def test_the_clock_may_stand_for_a_whole_test(test_db):
    test_db.load_fixture("testdata/payments.yaml")
    assert {payment.created_at for payment in test_db.model(Payment).allow_scan().all()} == {
        datetime(2024, 1, 1, tzinfo=UTC)
    }


def test_nothing_of_one_test_is_in_another(test_db):
    assert test_db.model(Payment).allow_scan().count() == 0
