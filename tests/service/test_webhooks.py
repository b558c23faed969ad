"""Webhooks in: verified, each done once. Webhooks out: signed, in order, repeated until they arrive, and sent nowhere else."""

import asyncio
import json
import time

import httpx
import pytest

from dynamorm.errors import ValidationError
from dynamorm.payments import sign_webhook, verify_webhook
from examples.payments import deliveries
from examples.payments.models import Delivery, Endpoint, Payment
from examples.payments.settings import new_secret
from tests.service.kit import served


def event(shop, id, kind="settled", *, name="evt_1", at=None, secret=None, tenant="acme"):
    """A webhook of the acquirer: its body and its headers."""
    body = json.dumps({"type": f"payment.{kind}", "tenant": tenant, "payment": id}).encode()
    secret = secret or shop.service.settings.acquirer_secrets[0]
    return body, sign_webhook(secret, id=name, body=body, timestamp=at)


async def sent(shop, body, headers):
    return await shop.http.post("/webhooks/acquirer", content=body, headers=headers)


@served
async def test_a_webhook_that_comes_again_is_done_once(shop):
    id = await shop.acme.paid()
    first = event(shop, id)
    assert [(await sent(shop, *first)).status_code for _ in range(5)] == [204] * 5
    later = event(shop, id, at=time.time() + 60)  # the same webhook, signed anew
    assert (await sent(shop, *later)).status_code == 204
    history = await shop.view().audit.history(Payment, id=id)
    assert [record.by for record in history] == ["key:demo-acme", "acquirer"]
    await shop.delivered()
    told = await shop.view().model(Delivery).where(Delivery.payment_id == id).all()
    assert [one.topic for one in told] == ["payment.captured", "payment.settled"]
    assert (await shop.acme.get("/v1/balances/EUR")).json()["bank"] == 10_000


@served
async def test_a_webhook_that_was_edited_is_refused(shop):
    id, other = await shop.acme.paid(), await shop.acme.paid()
    body, headers = event(shop, id)
    tries = [
        (body.replace(id.encode(), other.encode()), headers),
        (body + b" ", headers),
        (json.dumps(json.loads(body), indent=1).encode(), headers),
        (body, {**headers, "webhook-id": "evt_2"}),
        (body, {**headers, "webhook-timestamp": str(int(headers["webhook-timestamp"]) + 1)}),
        (body, {name: value for name, value in headers.items() if name != "webhook-signature"}),
        (body, {}),
        event(shop, id, secret=new_secret()),
        event(shop, id, at=time.time() - 301),
        event(shop, id, at=time.time() + 360),
        event(shop, id, at=0),
    ]
    for number, one in enumerate(tries):
        answer = await sent(shop, *one)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:payments:invalid-signature"), number
    assert {(await shop.view().require(Payment, id=one)).status for one in (id, other)} == {"captured"}
    assert (await sent(shop, body, headers)).status_code == 204  # what was refused has used up nothing


@served
async def test_a_webhook_of_what_cannot_be_is_refused_and_may_come_again(shop):
    id = await shop.acme.paid(capture=False)
    early = event(shop, id)
    assert (await sent(shop, *early)).status_code == 409
    await shop.acme.post(f"/v1/payments/{id}/capture", {})
    assert (await sent(shop, *early)).status_code == 204
    assert (await sent(shop, *event(shop, id, "refunded", name="evt_2"))).status_code == 422
    assert (await sent(shop, *event(shop, "pay_none", name="evt_3"))).status_code == 404
    assert (await sent(shop, *event(shop, id, name="evt_4", tenant="acme/x"))).status_code == 422


@pytest.mark.parametrize("order", [["settle", 3_000], [3_000, "settle"], [3_000, "settle", 2_000], [10_000, "settle"]])
@served
async def test_the_books_are_right_in_any_order_of_refunds_and_settlement(shop, order):
    id, refunded = await shop.acme.paid(), 0
    for number, step in enumerate(order):
        if step == "settle":
            assert (await sent(shop, *event(shop, id, name=f"evt_{number}"))).status_code == 204
            arrived = 10_000 - refunded
        else:
            assert (await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": step})).status_code == 201
            refunded += step
    for again in range(3):  # told again under other ids, it has happened once
        assert (await sent(shop, *event(shop, id, name=f"evt_again{again}"))).status_code == 409
    await shop.delivered()
    payment = await shop.view().require(Payment, id=id)
    assert (payment.refunded, payment.settled) == (refunded, True)
    assert payment.status == ("refunded" if refunded == 10_000 else "partially_refunded")
    balances = (await shop.acme.get("/v1/balances/EUR")).json()
    assert (balances["bank"], balances["acquirer"]) == (arrived, 10_000 - refunded - arrived)
    assert sum(balances.values()) == 0
    assert (await shop.service.books.trial_balance()).ok
    assert (await shop.service.books.verify()).ok


@served
async def test_a_refund_ends_a_dispute_only_if_it_says_so(shop):
    id = await shop.acme.paid()
    assert (await sent(shop, *event(shop, id, "disputed"))).status_code == 204
    refused = await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": 300})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:payments:disputed")
    assert (await shop.view().require(Payment, id=id)).status == "disputed"
    known = await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": 300, "ends_dispute": True})
    assert known.status_code == 201
    assert (await shop.view().require(Payment, id=id)).status == "partially_refunded"


@served
async def test_of_many_first_addresses_at_once_all_are_told_the_secret_that_holds(shop):
    url = shop.service.settings.url
    answers = await asyncio.gather(
        *(
            shop.http.put("/v1/endpoint", json={"url": f"{url}/{number}"}, headers=shop.acme.headers)
            for number in range(6)
        )
    )
    assert [one.status_code for one in answers] == [200] * 6
    stored = await shop.view().require(Endpoint, consistent=True)
    assert {one.json()["secret"] for one in answers} == {stored.secret}
    assert stored.url in {one.json()["url"] for one in answers}


@served
async def test_an_attempt_at_an_address_that_cannot_be_sent_to_is_noted(shop):
    await shop.http.put("/v1/endpoint", json={"url": shop.service.settings.url}, headers=shop.acme.headers)
    for url in (
        "https://8.8.8.8/\x01",
        "https://[8.8.8.8]/",
        f"{shop.service.settings.url}/\x7f",
        "https://8.8.8.8:0/",
    ):
        await shop.view().update(Endpoint, Endpoint.url.set(url))  # as it was stored before such addresses were refused
        id = await shop.acme.paid()
        await shop.delivered()
        noted = (await shop.acme.get(f"/v1/payments/{id}/life")).json()["deliveries"]
        assert [one["attempt"] for one in noted] == [1], url
        assert not noted[0]["answer"].isdigit(), url


@served
async def test_no_more_is_read_of_a_stranger_than_a_body_has(shop):
    given = 0

    async def endless():
        nonlocal given
        while given < 2**24:
            given += 2**16
            yield b" " * 2**16

    for path in ("/webhooks/acquirer", "/session"):
        given = 0
        answer = await shop.http.post(path, content=endless())
        assert answer.status_code == 413, path
        assert given < 2**22, path


class Receiver:
    """A merchant's server, which answers as a test says."""

    def __init__(self, shop):
        self.answers, self.seen = [], []
        shop.service.deliveries._http = httpx.AsyncClient(transport=httpx.MockTransport(self.receive))

    def receive(self, request):
        self.seen.append(request)
        answer = self.answers.pop(0) if self.answers else 200
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"retry-after": "1"} if answer == 503 else {})


@served
async def test_a_webhook_is_signed_and_repeated_with_the_same_id_and_body(shop, monkeypatch):
    monkeypatch.setattr(deliveries, "check_target", lambda url: ("203.0.113.7",))
    secret = (
        await shop.http.put("/v1/endpoint", json={"url": shop.service.settings.url}, headers=shop.acme.headers)
    ).json()
    await shop.view().update(Endpoint, Endpoint.url.set("https://shop.example:8443/hook"))
    receiver = Receiver(shop)
    receiver.answers = [200, 503, httpx.ConnectError("no"), 200]
    id = await shop.acme.paid(capture=False)
    await shop.acme.post(f"/v1/payments/{id}/capture", {})
    for _ in range(3):
        await shop.delivered()
        await shop.due_now()
    await shop.delivered()
    before, first, again, third = receiver.seen
    assert first.url == "https://203.0.113.7:8443/hook"  # where the name was looked up to lead
    assert first.headers["host"] == "shop.example:8443"
    assert first.extensions["sni_hostname"] == "shop.example"
    ids = [verify_webhook(secret["secret"], one.headers, one.content) for one in receiver.seen]
    assert ids[0] != ids[1] == ids[2] == ids[3]
    assert first.content == again.content == third.content
    assert [json.loads(one.content)["type"] for one in (before, first)] == ["payment.authorized", "payment.captured"]
    told = (await shop.acme.get(f"/v1/payments/{id}/life")).json()["deliveries"]
    assert [(one["attempt"], one["answer"]) for one in told] == [
        (1, "200"),
        (1, "503"),
        (2, "ConnectError"),
        (3, "200"),
    ]
    async with shop.other_side() as db:
        kinds = [one.kind for one in await shop.instructions(db)]
    assert sorted(kinds) == ["authorize", "capture"]  # the acquirer was told once
    assert (await shop.service.books.trial_balance()).postings == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hook",
        "https://127.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://user:pass@shop.example/",
        "http://127.0.0.1:8000@shop.example/",
        "http://127.0.0.1:80001/",
        "ftp://x",
        "https://[8.8.8.8]/",
        "https://8.8.8.8/\x01",
        "https://8.8.8.8:0/",
        "",
    ],
)
@served
async def test_a_webhook_is_sent_to_no_private_address(shop, url, monkeypatch):
    assert not shop.service.settings.is_own(url)
    answer = await shop.http.put("/v1/endpoint", json={"url": url}, headers=shop.acme.headers)
    assert answer.status_code == 422
    assert "127" not in answer.text

    def private(_):
        raise ValidationError("private")

    monkeypatch.setattr(deliveries, "check_target", private)  # the name leads elsewhere since it was set
    await shop.view().update(Endpoint, Endpoint.url.set("https://shop.example/hook"))
    receiver = Receiver(shop)
    await shop.acme.paid()
    await shop.delivered()
    assert receiver.seen == []
