"""What the page shows, as HTML. It is given plain data, and asks nobody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dynamorm.payments import Money

from ..models import Payment
from .markup import Markup, document, el, joined


def login_page(demo_keys: Mapping[str, str]) -> str:
    """The place for a key. In local development there is a button for each merchant that was made up."""
    ready = [
        el(
            "form",
            el("input", type="hidden", name="key", value=key),
            el("button", f"Sign in as {tenant}"),
            method="post",
            action="/session",
        )
        for tenant, key in demo_keys.items()
    ]
    asked = el(
        "form",
        el("label", "API key", el("input", type="password", name="key", autocomplete="off", required=True)),
        el("button", "Sign in", class_="main"),
        method="post",
        action="/session",
    )
    hint = el("p", "Local development: two merchants were made up.", class_="quiet") if ready else None
    return document(
        "Payments",
        el("main", el("section", el("h1", "Payments"), asked, hint, el("div", *ready, class_="row")), class_="narrow"),
    )


def list_page(tenant: str, payments: Iterable[Payment], *, plays: bool) -> str:
    """The newest payments, and a form for a new one."""
    rows = [
        el(
            "tr",
            el("td", el("a", f"{one.id[:12]}…", href=f"/pay/{one.id}", title=one.id)),
            el("td", one.order),
            el("td", _money(one.amount, one.currency), class_="number"),
            el("td", _state(one.status.value)),
            el("td", _time(one.created_at.isoformat()), class_="quiet"),
        )
        for one in payments
    ]
    table = _table("payments", "Payment|Order|Amount|State|Created", rows, "No payment yet.", numbers=(2,))
    form = el(
        "form",
        _field("Amount (minor units)", name="amount", value="12500", inputmode="numeric"),
        _field("Currency", name="currency", value="EUR", maxlength="3"),
        _field("Order", name="order", value="order-1", maxlength="64"),
        _field("Card number", name="number", value="4242424242424242", autocomplete="off", inputmode="numeric"),
        _field("CVV", name="cvv", value="123", type="password", autocomplete="off", maxlength="4"),
        el("label", el("input", type="checkbox", name="capture"), " take the money at once", class_="check"),
        el("button", "Charge", class_="main"),
        class_="grid",
        data_form="charge",
    )
    said = el("div", id="said", class_="said", role="status")
    charge = el("section", el("h2", "New charge"), form, said)
    return document(
        "Payments",
        _top(tenant, plays=plays),
        el("main", charge, el("section", el("h2", "Payments"), table, id="live")),
    )


def life_page(tenant: str, life: Mapping[str, Any], *, plays: bool) -> str:
    """One payment, from its first state to its last."""
    payment = life["payment"]
    facts = [
        ("Order", payment["order"]),
        ("Captured", _money(payment["captured"], payment["currency"])),
        ("Refunded", _money(payment["refunded"], payment["currency"])),
        ("Card", payment["card"]),
    ]
    head = el(
        "section",
        el("p", payment["id"], class_="id"),
        el("h1", _money(payment["amount"], payment["currency"]), " ", _state(payment["status"])),
        _states(life["audit"]),
        el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in facts)),
    )
    live = el(
        "div",
        head,
        el("section", el("h2", "Actions"), *_actions(payment, plays=plays)),
        el("section", el("h2", "Ledger"), _postings(life["postings"])),
        el("section", el("h2", "Audit trail"), _audit(life["audit"])),
        el("section", el("h2", "Deliveries"), _deliveries(life["deliveries"])),
        id="live",
        class_="stack",
    )
    return document(
        payment["id"], _top(tenant, plays=plays), el("main", live, el("div", id="said", class_="said", role="status"))
    )


def _top(tenant: str, *, plays: bool) -> Markup:
    figures = el("a", "Figures", href="/play/dashboard") if plays else None
    out = el("form", el("button", "Sign out"), method="post", action="/session")
    return el(
        "header", el("a", "Payments", href="/", class_="brand"), el("span", tenant, class_="tenant"), figures, out
    )


def _field(label: str, **attributes: object) -> Markup:
    return el("label", label, el("input", required=True, **attributes))


def _states(records: Iterable[Mapping[str, Any]]) -> Markup:
    """The states that it has had, in order."""
    found = [
        el("li", _state(change["new"]), el("span", _time(record["at"]), class_="quiet"))
        for record in records
        for change in record["changes"]
        if change["field"] == "status"
    ]
    return el("ol", *found, class_="states")


def _actions(payment: Mapping[str, Any], *, plays: bool) -> list[Markup]:
    """What may be done with a payment now."""
    path = f"/v1/payments/{payment['id']}"
    left = payment["captured"] - payment["refunded"]
    made: list[Markup] = []
    if payment["status"] == "authorized":
        made += [_action("Capture", f"{path}/capture", main=True), _action("Void", f"{path}/void")]
    if payment["status"] in ("captured", "settled", "partially_refunded") and left:
        made.append(_action("Refund", f"{path}/refunds", _field("Minor units", name="amount", value=left), main=True))
    if plays and payment["status"] == "captured":
        made.append(_action("Settle (webhook of the acquirer)", f"/play/settled/{payment['id']}"))
    return [el("div", *made, class_="row")] if made else [el("p", "Nothing can be done with it.", class_="quiet")]


def _action(text: str, path: str, *fields: Markup, main: bool = False) -> Markup:
    return el("form", *fields, el("button", text, class_="main" if main else None), data_form="action", data_path=path)


def _postings(postings: list[Mapping[str, Any]]) -> Markup:
    rows = []
    for posting in postings:
        for at, leg in enumerate(posting["legs"]):
            amount = _money(abs(leg["amount"]), leg["currency"])
            rows.append(
                el(
                    "tr",
                    el("td", _time(posting["at"]) if at == 0 else "", class_="quiet"),
                    el("td", leg["account"]),
                    el("td", amount if leg["amount"] > 0 else "", class_="number"),
                    el("td", amount if leg["amount"] < 0 else "", class_="number"),
                    class_="first" if at == 0 else None,
                )
            )
    return _table("postings", "Posted|Account|Debit|Credit", rows, "Nothing is posted yet.", numbers=(2, 3))


def _audit(records: list[Mapping[str, Any]]) -> Markup:
    items = [
        el(
            "li",
            el("b", f"{record['number']}. {record['what']}"),
            el("span", f" by {record['by']}, ", _time(record["at"]), class_="quiet"),
            el("ul", *(_change(change) for change in record["changes"])),
        )
        for record in records
    ]
    return el("ol", *items, class_="audit")


def _change(change: Mapping[str, Any]) -> Markup:
    old = "" if change["old"] is None else f"{change['old']} → "
    return el("li", el("code", change["field"]), f" {old}{change['new']}")


def _deliveries(deliveries: list[Mapping[str, Any]]) -> Markup:
    rows = [
        el(
            "tr",
            el("td", _time(one["at"]), class_="quiet"),
            el("td", one["topic"]),
            el("td", one["attempt"], class_="number"),
            el("td", one["answer"]),
            el("td", el("code", f"{one['event'][:12]}…"), class_="quiet"),
        )
        for one in deliveries
    ]
    return _table("deliveries", "Sent|Event|Try|Answer|Id", rows, "Nothing was delivered yet.", numbers=(2,))


def _table(kind: str, heads: str, rows: list[Markup], empty: str, *, numbers: tuple[int, ...]) -> Markup:
    if not rows:
        return el("p", empty, class_="quiet")
    first = [
        el("th", name, scope="col", class_="number" if at in numbers else None)
        for at, name in enumerate(heads.split("|"))
    ]
    return el(
        "div", el("table", el("thead", el("tr", *first)), el("tbody", joined(*rows)), class_=kind), class_="scroll"
    )


def _state(status: str) -> Markup:
    return el("span", status.replace("_", " "), class_=f"state {status}")


def _money(cents: int, currency: str) -> str:
    return str(Money.minor(cents, currency))


def _time(text: str) -> Markup:
    """A time; small screens leave the day out."""
    return joined(el("span", f"{text[:10]} ", class_="day"), text[11:19])
