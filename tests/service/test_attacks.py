"""The service attacked: repetitions, mistakes with keys, foreign merchants, cursors, refunds at once."""

import asyncio
from collections import Counter

import pytest

from examples.payments.database import digest_of
from examples.payments.models import ApiKey, Payment
from tests.service.kit import PAN, Client, served


async def count(shop, tenant="acme"):
    """Payments of a merchant."""
    return await shop.view(tenant).model(Payment).count()


# ------------------------------------------------------------------------------------------------------------ one key


@served
async def test_repetitions_at_once_are_one_charge_with_one_answer(shop):
    card = await shop.acme.card()

    async def asked():
        while True:
            answer = await shop.acme.charge(key="k1", card=card)
            if answer.status_code != 409:
                return answer

    answers = await asyncio.gather(*(asked() for _ in range(20)))
    assert Counter(one.status_code for one in answers) == {201: 20}
    assert len({one.content for one in answers}) == 1
    assert sum("idempotency-replayed" in one.headers for one in answers) == 19
    assert (await count(shop), shop.service.acquirer.asked) == (1, 1)


@served
async def test_a_request_that_runs_is_told_so(shop):
    card, gate, entered = await shop.acme.card(), asyncio.Event(), asyncio.Event()

    async def wait():
        entered.set()
        await gate.wait()

    shop.service.acquirer.before = wait
    first = asyncio.create_task(shop.acme.charge(key="k1", card=card))
    await entered.wait()
    second = await shop.acme.charge(key="k1", card=card)
    assert (second.status_code, second.json()["type"]) == (409, "urn:dynamorm:idempotency:in-progress")
    assert int(second.headers["retry-after"]) >= 1
    gate.set()
    assert (await first).status_code == 201
    assert (await shop.acme.charge(key="k1", card=card)).content == (await first).content


@served
async def test_another_payload_under_the_same_key_is_refused(shop):
    card = await shop.acme.card()
    assert (await shop.acme.charge(100, key="k1", card=card)).status_code == 201
    answer = await shop.acme.charge(101, key="k1", card=card)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:dynamorm:idempotency:key-reused")
    assert await count(shop) == 1


@served
async def test_every_route_that_changes_something_asks_for_a_key(shop):
    id, card = await shop.acme.paid(capture=False), await shop.acme.card()
    before = await shop.view().require(Payment, id=id)
    bodies = {
        "/v1/cards": {"number": PAN, "exp_month": 1, "exp_year": 2031},
        "/v1/payments": {"amount": 1, "currency": "EUR", "card": card, "order": "o"},
        f"/v1/payments/{id}/capture": {},
        f"/v1/payments/{id}/void": {},
        f"/v1/payments/{id}/refunds": {"amount": 1},
    }
    api = next(route.app for route in shop.app.routes if getattr(route, "path", "") == "/v1")._app._app
    posts = {path.replace("{id}", id) for path, verbs in api.openapi()["paths"].items() if "post" in verbs}
    assert {f"/v1{path}" for path in posts} - {"/v1/cards/search"} == set(bodies)
    for path, body in bodies.items():
        answer = await shop.acme.post(path, body, key=None)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:payments:key-missing"), path
        for bad in ("", "x" * 256, "a\tb"):
            answer = await shop.acme.post(path, body, key=None, idempotency_key=bad)
            assert answer.status_code == 400, (path, bad)
    assert await shop.view().require(Payment, id=id) == before
    assert await count(shop) == 1


@served
async def test_two_merchants_may_use_one_key(shop):
    one, other = await shop.acme.charge(100, key="k1"), await shop.globex.charge(200, key="k1")
    assert (one.status_code, other.status_code) == (201, 201)
    assert one.json()["id"] != other.json()["id"]
    assert "idempotency-replayed" not in other.headers


@served
async def test_a_repetition_with_a_new_api_key_is_a_repetition(shop):
    """A merchant has replaced the API key between the two."""
    first = await shop.acme.charge(key="k1")
    await shop.db.put(ApiKey(digest=digest_of("sk_new"), id="new", tenant="acme"))
    again = await Client(shop.http, "sk_new").charge(key="k1")
    assert (again.headers["idempotency-replayed"], again.content) == ("true", first.content)
    await shop.db.delete(ApiKey, digest_of("sk_new"))
    assert (await Client(shop.http, "sk_new").get("/v1/payments")).status_code == 401


# ------------------------------------------------------------------------------------------------------------ strangers


@pytest.mark.parametrize("key", [None, "sk_" + "0" * 64, "", "é"])
@served
async def test_nobody_is_let_in_without_a_key(shop, key):
    id = await shop.acme.paid()
    headers = {} if key is None else {"authorization": f"Bearer {key}".encode("latin-1")}
    for method, path in (("GET", f"/v1/payments/{id}"), ("GET", "/v1/payments"), ("POST", "/v1/payments")):
        answer = await shop.http.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:payments:key"), path
    assert (await shop.http.get(f"/pay/{id}", headers=headers)).status_code == 401


@served
async def test_what_is_of_another_merchant_is_as_if_it_were_not_there(shop):
    """Read, changed, given back, searched: the answer is that for an id that nobody has, byte for byte."""
    card = await shop.acme.card()
    id = await shop.acme.paid(card=card, capture=False)
    before = await shop.view().require(Payment, id=id)
    globex, none = shop.globex, "pay_" + "0" * 24

    def asked(of):
        return (
            globex.get(f"/v1/payments/{of}"),
            globex.get(f"/v1/payments/{of}/life"),
            globex.post(f"/v1/payments/{of}/capture", {}),
            globex.post(f"/v1/payments/{of}/void", {}),
            globex.post(f"/v1/payments/{of}/refunds", {"amount": 1}),
        )

    for mine, nobodys in zip(asked(id), asked(none), strict=True):
        one, other = await mine, await nobodys
        assert one.status_code == other.status_code == 404
        assert one.content == other.content
    search = {"number": PAN}
    assert (await globex.post("/v1/cards/search", search, key=None)).status_code == 404
    assert (await globex.get(f"/v1/cards/{card}")).status_code == 404
    assert (await globex.charge(card=card)).status_code == 404  # nor is it charged
    for odd in ("acme%23" + id, "pay_", "x" * 3000, id.upper(), id + "%00"):
        assert (await globex.get(f"/v1/payments/{odd}")).status_code == 404
    assert (await globex.get("/v1/payments")).json()["payments"] == []
    assert await shop.view().require(Payment, id=id) == before
    assert await count(shop, "globex") == 0
    assert (await shop.settle(id, tenant="globex")) == 404  # a webhook that names another merchant


@served
async def test_the_cursor_of_a_list_is_good_for_nothing_else(shop):
    card = await shop.acme.card()
    for _ in range(4):
        await shop.acme.paid(card=card)
    await shop.globex.paid()
    cursor = (await shop.acme.get("/v1/payments", params={"limit": 2})).json()["cursor"]
    assert "acme" not in cursor
    right = await shop.acme.get("/v1/payments", params={"limit": 2, "cursor": cursor})
    assert len(right.json()["payments"]) == 2

    middle = len(cursor) // 2
    edited = [
        cursor[:-1],
        cursor + "A",
        cursor[:middle] + ("A" if cursor[middle] != "A" else "B") + cursor[middle + 1 :],
        "nothing",
        "x" * 5000,
    ]
    tries = [(shop.globex, {"cursor": cursor}), (shop.acme, {"cursor": cursor, "status": "captured"})]
    for client, params in tries + [(shop.acme, {"cursor": one}) for one in edited]:
        answer = await client.get("/v1/payments", params={"limit": 2, **params})
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:payments:tampered-cursor"), params


# -------------------------------------------------------------------------------------------------------------- refunds


@served
async def test_more_than_was_captured_is_not_given_back(shop):
    id = await shop.acme.paid(10_000)
    for amount, status in ((10_001, 422), (6_000, 201), (4_001, 422), (4_000, 201), (1, 409)):
        answer = await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": amount})
        assert answer.status_code == status, (amount, answer.text)
    for amount in (0, -5, 1.5, "5"):
        assert (await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": amount})).status_code == 422
    await shop.delivered()
    payment = await shop.view().require(Payment, id=id)
    assert (payment.refunded, payment.status, sorted(payment.refunds.values())) == (10_000, "refunded", [4_000, 6_000])


@served
async def test_of_two_refunds_of_60_of_100_at_once_one_wins(shop):
    id = await shop.acme.paid(10_000)
    answers = []

    async def asked(key):
        while True:
            answer = await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": 6_000}, key=key)
            answers.append(answer.status_code)
            if answer.status_code != 503:
                return answer

    one, other = await asyncio.gather(asked("r1"), asked("r2"))
    assert sorted((one.status_code, other.status_code)) == [201, 422]
    assert 503 in answers  # both had seen a payment of which nothing was given back
    await shop.delivered()
    payment = await shop.view().require(Payment, id=id)
    assert (payment.refunded, list(payment.refunds.values())) == (6_000, [6_000])
    async with shop.other_side() as db:
        told = [one.amount for one in await shop.instructions(db) if one.kind == "refund"]
    assert told == [6_000]


@served
async def test_of_two_captures_at_once_one_wins(shop):
    id = await shop.acme.paid(10_000, capture=False)

    async def asked(key, amount):
        while True:
            answer = await shop.acme.post(f"/v1/payments/{id}/capture", {"amount": amount}, key=key)
            if answer.status_code != 503:
                return answer.status_code

    assert sorted(await asyncio.gather(asked("c1", 10_000), asked("c2", 9_000))) == [200, 409]
    await shop.delivered()
    async with shop.other_side() as db:
        told = [one.amount for one in await shop.instructions(db) if one.kind == "capture"]
    assert told == [(await shop.view().require(Payment, id=id)).captured]
