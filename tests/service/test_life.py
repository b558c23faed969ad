"""The life of a payment, from its card to its refund."""

from datetime import UTC, datetime, timedelta

import pytest

import dynamorm
from examples.payments.acquirer import DECLINED
from examples.payments.models import Card, Payment
from tests.service.kit import PAN, served


@served
async def test_a_payment_is_charged_settled_and_given_back(shop):
    acme = shop.acme
    answer = await acme.charge(12_500, capture=False, order="o-1")
    assert (answer.status_code, answer.json()["status"]) == (201, "authorized")
    id = answer.json()["id"]
    await shop.delivered()
    assert (await acme.get(f"/v1/payments/{id}/life")).json()["postings"] == []

    captured = await acme.post(f"/v1/payments/{id}/capture", {})
    assert captured.json()["captured"] == 12_500
    assert (await acme.get(f"/v1/payments/{id}")).json() == {
        **captured.json(),
        "created_at": (await acme.get(f"/v1/payments/{id}")).json()["created_at"],
    }
    assert (await shop.settle(id)) == 204
    refunded = await acme.post(f"/v1/payments/{id}/refunds", {"amount": 2_500, "reason": "broken"})
    assert refunded.status_code == 201
    assert refunded.json()["amount"] == 2_500
    await shop.delivered()

    life = (await acme.get(f"/v1/payments/{id}/life")).json()
    assert life["payment"]["status"] == "partially_refunded"
    states = [change["new"] for record in life["audit"] for change in record["changes"] if change["field"] == "status"]
    assert states == ["authorized", "captured", "settled", "partially_refunded"]
    assert [record["by"] for record in life["audit"]] == ["key:demo-acme", "key:demo-acme", "acquirer", "key:demo-acme"]
    assert [(one["topic"], one["attempt"], one["answer"]) for one in life["deliveries"]] == [
        ("payment.authorized", 1, "200"),
        ("payment.captured", 1, "200"),
        ("payment.settled", 1, "200"),
        ("payment.refunded", 1, "200"),
    ]
    legs = [sorted((leg["account"], leg["amount"]) for leg in posting["legs"]) for posting in life["postings"]]
    assert legs == [
        [("acquirer", 12_500), ("fees", -363), ("merchant", -12_137)],
        [("acquirer", -12_500), ("bank", 12_500)],
        [("acquirer", -2_500), ("merchant", 2_500)],
    ]
    balances = (await acme.get("/v1/balances/EUR")).json()
    assert balances == {"acquirer": -2_500, "merchant": -9_637, "fees": -363, "bank": 12_500}
    assert (await shop.globex.get("/v1/balances/EUR")).json() == dict.fromkeys(balances, 0)
    assert (await shop.service.books.trial_balance()).ok
    assert (await shop.service.books.verify()).ok
    async with shop.other_side() as db:
        kinds = [one.kind for one in await shop.instructions(db)]
    assert sorted(kinds) == ["authorize", "capture", "refund"]


@served
async def test_what_was_reserved_is_let_go_of(shop):
    id = await shop.acme.paid(capture=False)
    assert (await shop.acme.post(f"/v1/payments/{id}/void")).json()["status"] == "voided"
    again = await shop.acme.post(f"/v1/payments/{id}/capture", {})
    assert (again.status_code, again.json()["type"]) == (409, "urn:payments:forbidden-transition")


@served
async def test_a_part_is_captured(shop):
    id = await shop.acme.paid(10_000, capture=False)
    over = await shop.acme.post(f"/v1/payments/{id}/capture", {"amount": 10_001})
    assert over.status_code == 422
    assert (await shop.acme.post(f"/v1/payments/{id}/capture", {"amount": 4_000})).json()["captured"] == 4_000
    await shop.delivered()
    assert (await shop.acme.get("/v1/balances/EUR")).json()["acquirer"] == 4_000


@served
async def test_a_declined_card_is_a_payment_that_has_failed(shop):
    card = await shop.acme.card(DECLINED)
    answer = await shop.acme.charge(card=card, key="k")
    assert (answer.status_code, answer.json()["status"]) == (402, "failed")
    again = await shop.acme.charge(card=card, key="k")
    assert (again.status_code, again.json(), shop.service.acquirer.asked) == (402, answer.json(), 1)


@served
async def test_a_card_has_one_token_for_each_merchant(shop):
    first, again = await shop.acme.card(), await shop.acme.card()
    other = await shop.globex.card()
    assert first == again != other
    found = await shop.acme.post("/v1/cards/search", {"number": PAN}, key=None)
    assert found.json() == {"token": first, "last4": "4242", "exp_month": 12, "exp_year": 2030}
    assert (await shop.acme.get(f"/v1/cards/{first}")).json() == found.json()


@served
async def test_lists_have_pages(shop):
    card = await shop.acme.card()
    ids = [await shop.acme.paid(card=card, capture=at % 2 == 0) for at in range(5)]
    found, cursor = [], None
    while True:
        page = (
            await shop.acme.get("/v1/payments", params={"limit": 2, **({"cursor": cursor} if cursor else {})})
        ).json()
        found += [one["id"] for one in page["payments"]]
        if (cursor := page["cursor"]) is None:
            break
    assert found == ids[::-1]
    captured = (await shop.acme.get("/v1/payments", params={"status": "captured"})).json()["payments"]
    assert [one["id"] for one in captured] == ids[::2][::-1]
    assert (await shop.globex.get("/v1/payments")).json() == {"payments": [], "cursor": None}


@served
async def test_figures_are_told_to_prometheus(shop):
    await shop.acme.paid()
    await shop.delivered()
    text = (await shop.stranger.get("/metrics")).text
    assert 'service_deliveries_total{outcome="delivered"} 1.0' in text
    assert 'dynamorm_attempts_total{class="ok",operation="TransactWriteItems"' in text
    assert "acme" not in text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": 0}, "body.amount"),
        ({"amount": -5}, "body.amount"),
        ({"amount": 12.5}, "body.amount"),
        ({"amount": "12"}, "body.amount"),
        ({"amount": 10**13}, "body.amount"),
        ({"currency": "eur"}, "body.currency"),
        ({"currency": "XAU"}, "body.currency"),
        ({"cvv": "12"}, "body.cvv"),
        ({"order": "a b"}, "body.order"),
        ({"tenant_id": "globex"}, "body.tenant_id"),
    ],
)
@served
async def test_a_mistake_is_told_by_its_field(shop, change, field):
    answer = await shop.acme.charge(**change)
    assert answer.status_code == 422
    assert [one["field"] for one in answer.json()["fields"]] == [field]
    assert (await shop.acme.get("/v1/payments")).json()["payments"] == []


def month(before=0):
    """This month of UTC, or the one before."""
    at = datetime.now(UTC).replace(day=1) - timedelta(days=before)
    return {"exp_month": at.month, "exp_year": at.year}


@served
async def test_a_card_that_has_expired_is_not_taken(shop):
    for over in ({"exp_month": 1, "exp_year": 2020}, month(before=1)):
        answer = await shop.acme.post("/v1/cards", {"number": PAN, **over})
        assert (answer.status_code, answer.json()["type"]) == (422, "urn:payments:card-expired"), answer.text
    assert (await shop.acme.post("/v1/cards/search", {"number": PAN})).status_code == 404
    answer = await shop.acme.post("/v1/cards", {"number": PAN, **month()})  # good until its month is over
    assert answer.status_code == 201
    assert (await shop.acme.charge(card=answer.json()["token"])).status_code == 201


@served
async def test_a_card_that_has_expired_since_is_not_charged(shop):
    token = await shop.acme.card()
    async with dynamorm.actor("time"):
        await shop.view().update(Card, Card.exp_year.set(2020), token=token)
    answer = await shop.acme.charge(card=token)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:payments:card-expired"), answer.text
    assert shop.service.acquirer.asked == 0
    assert await shop.view().model(Payment).where(Payment.tenant_id == "acme").count() == 0
