"""The page: who may open it, what it shows, and that nothing which was sent becomes HTML."""

import re

import pytest

from examples.payments.access import COOKIE
from examples.payments.models import Payment
from examples.payments.page.markup import Markup, document, el, joined
from tests.service.kit import served


def test_what_is_no_element_is_escaped():
    bad = '<script>"&'
    assert el("p", bad, title=bad, hidden=None, open=True) == (
        '<p title="&lt;script&gt;&quot;&amp;" open>&lt;script&gt;&quot;&amp;</p>'
    )
    assert el("div", el("b", 1), None, class_="x", data_api="y") == '<div class="x" data-api="y"><b>1</b></div>'
    assert el("input", name="a") == '<input name="a">'
    assert joined("a<", Markup("<b>")) == "a&lt;<b>"
    assert "<title>&lt;" in document("<", "x")


async def signed_in(shop, tenant="acme"):
    """The headers of a browser that has signed in."""
    answer = await shop.http.post("/session", content=f"key={shop.service.settings.demo_keys[tenant]}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert re.search(r"HttpOnly.*SameSite=strict", cookie)
    shop.http.cookies.clear()
    return {"cookie": cookie.partition(";")[0]}


@served
async def test_the_page_shows_a_life(shop):
    id = await shop.acme.paid(12_500, order="order-7")
    await shop.settle(id)
    await shop.acme.post(f"/v1/payments/{id}/refunds", {"amount": 2_500})
    await shop.delivered()
    browser = await signed_in(shop)
    listed = (await shop.http.get("/", headers=browser)).text
    assert f'<a href="/pay/{id}"' in listed
    assert "125.00 EUR" in listed
    shown = (await shop.http.get(f"/pay/{id}", headers=browser)).text
    text = re.sub(r"<[^>]+>", " ", shown)
    for part in (
        "captured",
        "settled",
        "partially refunded",
        "merchant",
        "fees",
        "3.63 EUR",
        "payment.refunded",
        "acquirer",
    ):
        assert part in text, part
    assert "order-7" in text
    assert (await shop.http.get(f"/pay/{id}", headers=await signed_in(shop, "globex"))).status_code == 404


@served
async def test_the_page_is_for_who_has_a_key(shop):
    id = await shop.acme.paid()
    for headers in ({}, {"cookie": f"{COOKIE}=nothing"}, {"cookie": f"{COOKIE}="}):
        answer = await shop.http.get("/", headers=headers)
        assert (answer.status_code, id in answer.text) == (200, False)
        assert "Sign in" in answer.text
        assert (await shop.http.get(f"/pay/{id}", headers=headers)).status_code == 401
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in re.sub(r"\s", "", answer.text).replace("http-equiv", "")  # nothing from outside
    for path in ("/page.css", "/page.js"):
        text = (await shop.http.get(path)).text
        assert len(text) > 500
        assert "//" not in re.sub(r"(^|\s)// .*", "", text)


@served
async def test_the_cookie_is_a_key_of_the_api_and_nothing_is_done_without_the_header_of_one(shop):
    browser = await signed_in(shop)
    card = await shop.acme.card()
    body = {"amount": 5, "currency": "EUR", "card": card, "order": "o"}
    assert (await shop.http.post("/v1/payments", json=body, headers=browser)).status_code == 400
    made = await shop.http.post("/v1/payments", json=body, headers={**browser, "idempotency-key": "k"})
    assert made.status_code == 201
    again = await shop.acme.post("/v1/payments", body, key="k")  # the same caller, by cookie or by header
    assert (again.headers["idempotency-replayed"], again.json()) == ("true", made.json())


@pytest.mark.parametrize(("kind", "status"), [("settled", 204), ("disputed", 204), ("refunded", 404)])
@served
async def test_the_page_plays_the_acquirer_in_local_development(shop, kind, status):
    id = await shop.acme.paid()
    browser = await signed_in(shop)
    assert (await shop.http.post(f"/play/{kind}/{id}", headers=browser)).status_code in (
        403,
        404,
    )  # a form of another site
    assert (await shop.http.post(f"/play/{kind}/{id}", headers={**browser, "x-page": "1"})).status_code == status
    stored = await shop.view().require(Payment, id=id)
    assert stored.status == (kind if status == 204 else "captured")
    other = await signed_in(shop, "globex")
    assert (await shop.http.post(f"/play/{kind}/{id}", headers={**other, "x-page": "1"})).status_code == 404


@pytest.mark.parametrize("key", ["\xe9", "\u20ac", "a b", "a\r\nb", "\x00", "a" * 300])
@served
async def test_what_no_header_may_have_is_no_key(shop, key):
    answer = await shop.http.post("/session", data={"key": key})
    assert answer.status_code == 400
    assert "set-cookie" not in answer.headers
