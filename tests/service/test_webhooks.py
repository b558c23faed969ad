"""Webhooks in: verified, each done once. Webhooks out: signed, in order, repeated until they arrive, and sent nowhere else."""

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
