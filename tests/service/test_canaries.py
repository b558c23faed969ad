"""The number of a card and its CVV are nowhere: not in an answer, a log, a table, figures, the page, or the dashboard."""

import asyncio
import base64
import logging
import re
import urllib.request

import httpx

from dynamorm.engine import Engine
from dynamorm.plugins import Dashboard
from dynamorm.plugins.dashboard import figures
from examples.payments.acquirer import DECLINED
from tests.service.kit import opened

PAN = "4929123456784321"
CVV = "8317"
SECRET = (PAN, CVV)


def forms(text):
    """Patterns of the forms in which a value could be seen. A short one stands alone: it may be in any number by chance."""
    raw = text.encode()
    spelled = {raw.hex(), raw.hex().upper(), " ".join(map(str, raw)), "".join(f"\\u{ord(sign):04x}" for sign in text)}
    for before in (
        b"",
        b"x",
        b"xx",
    ):  # base64 of it wherever it stands in a text, without the signs that its neighbours change
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            whole = encode(before + raw + b"xxx").decode()
            spelled.add(whole[-(-len(before) * 8 // 6) : (len(before) + len(raw)) * 8 // 6])
    if len(text) > 8:
        spelled |= {text, text[::-1], "-".join(re.findall("....", text)), " ".join(re.findall("....", text))}
    found = {re.escape(one) for one in spelled if len(one) > 4}
    return found | {rf"(?<![0-9A-Za-z+/.]){text}(?![0-9A-Za-z+/.])"}


def test_the_forms_are_found():
    for canary in SECRET:
        for text in (
            f'{{"cvv": "{canary}"}}',
            f"cvv={canary}&",
            canary.encode().hex(),
            base64.b64encode(f"{canary}!".encode()).decode(),
            base64.b64encode(f"xx{canary}y".encode()).decode(),
            "".join(f"\\u{ord(sign):04x}" for sign in canary),
        ):
            assert any(re.search(form, text) for form in forms(canary)), text


class Wire(Engine):
    """An engine that keeps what was sent to it, and what it has answered."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle(self, operation, body, **named):
        answer = super().handle(operation, body, **named)
        self.seen += [body, answer[1]]
        return answer


BAD = [
    {"number": PAN[:-1] + "8"},
    {"number": int(PAN)},
    {"number": [PAN]},
    {"number": {"number": PAN}},
    {"number": PAN, PAN: 1},
    {"number": PAN, "cvv": CVV},
    {"number": PAN, "exp_month": PAN, "exp_year": 2030},
    {"number": f" {PAN} "},
    [PAN],
    PAN,
]


def test_no_canary_is_found(tmp_path, caplog, capfd, monkeypatch):
    monkeypatch.setattr(figures.os, "getpid", lambda: 4711)  # the dashboard shows it: it may be any number
    caplog.set_level(logging.DEBUG)
    found = canaries(all_that_is_seen(tmp_path / "first", caplog, capfd))
    if found:  # what stands there by chance, in a key or a time, does not stand in the next run
        again = canaries(all_that_is_seen(tmp_path / "second", caplog, capfd))
        assert not found.keys() & again.keys(), (found, again)


def canaries(text):
    """Each form of a canary that is in a text, with what is around it."""
    found = {form: match for canary in SECRET for form in forms(canary) if (match := re.search(form, text))}
    return {form: text[max(0, one.start() - 80) : one.end() + 40] for form, one in found.items()}


def all_that_is_seen(folder, caplog, capfd):
    """What a run of the service shows, logs, sends and stores, as one text."""
    shown = []
    caplog.clear()

    async def told(awaitable):
        answer = await awaitable
        shown.append(repr(answer.headers.raw) + answer.text)
        return answer

    async def run():
        with Wire() as engine:
            async with opened(folder, engine, dashboard=Dashboard()) as shop:
                assert shop.service.dashboard.url  # it begins to count
                acme, http = shop.acme, shop.http
                received = []
                shop.service.deliveries._http = httpx.AsyncClient(
                    transport=httpx.MockTransport(lambda request: received.append(request) or httpx.Response(200))
                )
                for body in BAD:
                    answer = await told(
                        http.post("/v1/cards", json=body, headers={**acme.headers, "idempotency-key": "b"})
                    )
                    assert answer.status_code == 422
                    answer = await told(http.post("/v1/cards/search", json=body, headers=acme.headers))
                    assert answer.status_code in (404, 422)
                await told(
                    http.post(
                        "/v1/cards", content=f'{{"number": "{PAN}"', headers={**acme.headers, "idempotency-key": "c"}
                    )
                )
                new = {"number": PAN, "exp_month": 12, "exp_year": 2030}
                token = (await told(acme.post("/v1/cards", new, key="card"))).json()["token"]
                await told(acme.post("/v1/cards", new, key="card"))
                await told(acme.post("/v1/cards", {**new, "exp_year": 2031}, key="card"))
                await told(acme.post("/v1/cards/search", {"number": PAN}, key=None))
                await told(acme.get(f"/v1/cards/{token}"))
                for change in ({}, {"cvv": f"{CVV}x"}, {"cvv": int(CVV)}, {"order": f"{PAN}-{CVV}"}, {"amount": PAN}):
                    body = {
                        "amount": 5,
                        "currency": "EUR",
                        "card": token,
                        "cvv": CVV,
                        "order": "o",
                        "capture": True,
                        **change,
                    }
                    answer = await told(acme.post("/v1/payments", body))
                    assert answer.status_code == (422 if change else 201)
                declined = await acme.card(DECLINED)
                await told(acme.charge(card=declined, cvv=CVV))

                async def fails():
                    raise RuntimeError("the acquirer has failed")

                shop.service.acquirer.before = fails
                try:
                    await acme.charge(card=token, cvv=CVV)
                except RuntimeError as error:
                    logging.getLogger("payments").exception("failed", exc_info=error)
                shop.service.acquirer.before = None
                id = (await acme.get("/v1/payments")).json()["payments"][-1]["id"]
                await told(acme.post(f"/v1/payments/{id}/refunds", {"amount": 1, "reason": PAN}))
                await told(acme.post(f"/v1/payments/{id}/refunds", {"amount": 1, "reason": "4929 1234 5678 4321"}))
                await told(acme.post(f"/v1/payments/{id}/refunds", {"amount": 1}))
                await shop.delivered()
                shown.extend(repr(one.headers.raw) + one.content.decode() for one in received)
                assert received
                await told(acme.get(f"/v1/payments/{id}/life"))
                await told(http.get("/metrics"))
                await told(http.get("/v1/openapi.json", headers=acme.headers))
                for path in ("/", f"/pay/{id}"):
                    assert (await told(http.get(path, headers=acme.headers))).status_code == 200
                shown.extend(await asyncio.to_thread(dashboard_of, shop.service.dashboard))
                shown.append(repr(await acme_card(shop, token)))
                return engine.seen, list(vars(shop.service).values())

    wire, parts = asyncio.run(run())
    shown.append(repr(parts))
    shown.extend(record.getMessage() + str(record.exc_text) + repr(record.args) for record in caplog.records)
    shown.append(caplog.text)
    shown.extend(capfd.readouterr())
    text = "\n".join(shown) + "\n".join(one.decode("latin-1") for one in wire)
    assert len(wire) > 200
    assert token_is_there(text)
    return text


async def acme_card(shop, token):
    from examples.payments.models import Card

    return await shop.view().require(Card, token=token)


def token_is_there(text):
    """What is looked for would be found: the token of a card is in the text."""
    return "card_" in text and "4321" in text


def dashboard_of(dashboard):
    """The page of the dashboard and its figures."""
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    for path in ("", "figures.json"):
        base = dashboard.url.partition("?")[0]
        request = urllib.request.Request(base + path)
        request.add_header("Authorization", f"Bearer {dashboard.url.partition('token=')[2]}")
        with opener.open(request, timeout=10) as answer:
            yield answer.read().decode()
