"""The page: a head that stays, and the figures, which the script fetches anew every two seconds. It works without it, too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .charts import bar, highest, lines
from .markup import Markup, document, element, joined
from .words import absent, ago, amount, clock, dollars, gauge, seconds, share

_WELL: Final = {"ok": "good", "rejected": "", "cancelled": "", "throttled": "warn"}
"""The tones of outcomes; the others are bad."""
_STATES: Final = {"closed": "good", "half_open": "warn", "half-open": "warn", "open": "bad"}


def page(told: dict[str, Any]) -> str:
    """The whole page."""
    region = told.get("region") or "DynamoDB"
    head = joined(
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"DynamORM · {region}"),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href="dashboard.css"),
        element("noscript", element("meta", http_equiv="refresh", content="5")),
        Markup('<script src="dashboard.js" defer></script>'),
    )
    title = element("h1", "DynamORM", element("small", f"{region} · process {told['pid']}"))
    live = element("p", "live", id="state", data_state="live", role="status")
    button = element("button", "Pause", id="pause", type="button", aria_pressed="false")
    return document(head, joined(element("header", title, element("div", live, button, class_="now")), figures(told)))


def figures(told: dict[str, Any]) -> Markup:
    """All that changes."""
    return element(
        "main",
        _tiles(told),
        _rates(told),
        _waits(told),
        _verbs(told),
        _ends(told),
        _hot_keys(told),
        _moment(told),
        _cost(told),
        _seen(told, "slowest", "Slow operations", "the slowest of the last 10 minutes"),
        _seen(told, "last", "Last operations", "the newest first; keys and values are not kept"),
        id="figures",
        data_at=f"{told['at']:.0f}",
    )


# What panels are made of


def _panel(told: dict[str, Any], part: str, title: str, note: str, *content: Any, wide: str = "") -> Markup:
    """A panel; without content it says why, and what switches its source on."""
    if not content:
        why, code = absent(told, part)
        content = (element("p", why, " ", element("code", code) if code else "", class_="none"),)
    heading = element("h2", title, element("small", note) if note else "")
    return element("section", heading, *content, class_=f"panel {wide}".strip(), id=_id(title))


def _id(title: str) -> str:
    return title.lower().replace(" ", "-")


Column = tuple[str, str]
"""The heading of a column, and its classes: ``num`` for numbers, ``extra`` for what a narrow screen leaves out."""


def _table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Markup:
    heads = (element("th", name, class_=kind or None, scope="col") for name, kind in columns)
    body = (
        element("tr", *(element("td", cell, class_=kind or None) for (_, kind), cell in zip(columns, row, strict=True)))
        for row in rows
    )
    return element("table", element("thead", element("tr", *heads)), element("tbody", *body))


def _tone(text: str, tone: str) -> Markup:
    return element("span", text, class_=f"tone {tone}".strip())


# The panels


def _tiles(told: dict[str, Any]) -> Markup:
    metrics, gauges = told["metrics"] or {}, told["gauges"] or {}
    window = metrics.get("window") or {}
    states = list((told["breaker"] or {}).values())
    worst = next((state for state in ("open", "half_open", "closed") if state in states), "none")
    rate = window.get("error_rate")
    tiles = [
        ("Verbs per second", amount(metrics.get("qps")), "last 10 s", ""),
        ("Half within", seconds(window.get("p50")), "p50, last 60 s", ""),
        ("99 % within", seconds(window.get("p99")), "p99, last 60 s", ""),
        ("Errors", share(rate), "last 60 s", "bad" if rate else ""),
        ("Breaker", worst.replace("_", "-"), "reads, writes, streams", _STATES.get(worst, "")),
        ("Connections", amount(gauges.get("pool_busy")), f"busy, of {amount(gauges.get('pool_connections_max'))}", ""),
    ]
    return element(
        "div",
        *(
            element(
                "div", element("h2", name), element("p", value, class_=f"value {tone}".strip()), element("small", note)
            )
            for name, value, note, tone in tiles
        ),
        class_="tiles",
    )


def _drawn(told: dict[str, Any], drawing: Markup, top: str) -> tuple[Any, ...]:
    """A drawing with its scale; nothing while there are too few samples."""
    samples = told["history"]
    if len(samples) < 2:
        return (element("p", "The lines begin after a few seconds.", class_="none"),)
    scale = element("p", element("span", top), class_="scale")
    ends = element("p", element("span", ago(samples[0][0], told["at"])), element("span", "now"), class_="scale")
    return scale, drawing, ends


def _rates(told: dict[str, Any]) -> Markup:
    rates = [(sample[0], sample[1]) for sample in told["history"]]
    top = highest([rate for _, rate in rates])
    drawing = lines([("first", rates)], top, "verbs per second over time")
    content = _drawn(told, drawing, f"{amount(top)} per second") if told["metrics"] else ()
    return _panel(told, "metrics", "Verbs per second", "", *content, wide="half chart")


def _waits(told: dict[str, Any]) -> Markup:
    half = [(sample[0], sample[2]) for sample in told["history"]]
    most = [(sample[0], sample[3]) for sample in told["history"]]
    top = highest([value for _, value in (*half, *most)])
    drawing = lines([("second", most), ("first", half)], top, "latencies over time")
    content = _drawn(told, drawing, seconds(top)) if told["metrics"] else ()
    legend = joined(element("span", "p50", class_="key first"), element("span", "p99", class_="key second"))
    heading = element("h2", "Latency", element("small", legend))
    if not content:
        return _panel(told, "metrics", "Latency", "", wide="half chart")
    return element("section", heading, *content, class_="panel half chart", id=_id("Latency"))


def _verbs(told: dict[str, Any]) -> Markup:
    columns = [
        ("model", ""), ("verb", ""), ("count", "num"), ("p50", "num"), ("p90", "num extra"), ("p99", "num"), ("errors", "num"),
    ]  # fmt: skip
    rows = [
        [
            row["model"] or "(several)", row["verb"], amount(row["count"]), seconds(row["p50"]), seconds(row["p90"]),
            seconds(row["p99"]), _tone(share(row["error_rate"]), "bad" if row["error_rate"] else ""),
        ]
        for row in (told["metrics"] or {}).get("verbs", ())
    ]  # fmt: skip
    return _panel(told, "metrics", "Verbs", "last 60 s", *_filled(told["metrics"], columns, rows), wide="two")


def _filled(part: Any, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """A table, what stands for one without rows, or nothing where there is no source."""
    if part is None:
        return ()
    return (_table(columns, rows) if rows else element("p", "Nothing yet.", class_="none"),)


def _ends(told: dict[str, Any]) -> Markup:
    content: list[Markup] = []
    for title, name in (
        ("Verbs, by outcome", "outcomes"),
        ("Requests sent", "attempts"),
        ("Sent again after", "retries"),
    ):
        counts = (told["metrics"] or {}).get(name)
        if counts:
            total = sum(counts.values()) or 1.0
            rows = [
                [_tone(kind, _WELL.get(kind, "bad")), bar(count / total), amount(count)]
                for kind, count in sorted(counts.items(), key=lambda item: -item[1])
            ]
            content += [element("h3", title), _table([("", "name"), ("", "wide"), ("", "num")], rows)]
    if told["metrics"] and not content:
        content.append(element("p", "Nothing yet.", class_="none"))
    return _panel(told, "metrics", "Errors", "since counting began", *content)


def _moment(told: dict[str, Any]) -> Markup:
    states = told["breaker"]
    rows: list[list[Any]] = [
        [f"breaker, {scope}", _tone(state.replace("_", "-"), _STATES.get(state, ""))]
        for scope, state in (states or {}).items()
    ]
    rows += [list(gauge(name, value)) for name, value in (told["gauges"] or {}).items() if name != "breaker_state"]
    content: list[Any] = [_table([("", ""), ("", "num")], rows)] if rows else []
    if states is None and content:
        why, code = absent(told, "breaker")
        content.append(element("p", why, " ", element("code", code) if code else "", class_="none"))
    return _panel(told, "gauges", "Breaker and connections", "now", *content)


def _hot_keys(told: dict[str, Any]) -> Markup:
    columns = [
        ("table", ""),
        ("key (hash)", ""),
        ("share", "num"),
        ("per second", "num extra"),
        ("throttled", "num extra"),
    ]
    rows: list[list[Any]] = []
    for one in told["hot_keys"] or ():
        place = one["table"] if one["index"] is None else f"{one['table']} / {one['index']}"
        name = joined(place, element("small", one["advice"], class_="advice") if one["advice"] else "")
        rows.append(
            [
                name, element("code", one["hash"]), _tone(share(one["share"]), "warn" if one["advice"] else ""),
                amount(one["per_second"]), share(one["throttled"]),
            ]
        )  # fmt: skip
    return _panel(told, "hot_keys", "Hot keys", "lately", *_filled(told["hot_keys"], columns, rows), wide="two")


def _cost(told: dict[str, Any]) -> Markup:
    cost = told["cost"]
    columns = [
        ("model", ""), ("scope", ""), ("read units", "num extra"), ("write units", "num extra"), ("so far", "num"), ("a month", "num"),
    ]  # fmt: skip
    rows = [
        [
            row["model"], row["scope"] or "–", amount(row["read"]), amount(row["write"]),  # noqa: RUF001 - as in words
            dollars(row["dollars"]), dollars(row["monthly"]),
        ]
        for row in (cost or {}).get("rows", ())
    ]  # fmt: skip
    content = list(_filled(cost, columns, rows))
    if rows:
        total = ["all", "", *(amount(cost[name]) for name in ("read", "write"))]
        rows.append([element("b", cell) for cell in (*total, dollars(cost["dollars"]), dollars(cost["monthly"]))])
        content = [_table(columns, rows), element("p", _said_of(cost), class_="none")]
    note = f"measured for {seconds(cost['seconds'])}" if cost else ""
    return _panel(told, "cost", "Cost", note, *content, wide="two")


def _said_of(cost: dict[str, Any]) -> str:
    more = f"{cost['more']} more rows are not shown. " if cost["more"] else ""
    if not cost["priced"]:
        return f"{more}No price is known for this Region."
    return f"{more}Requests at on-demand prices; a month as if it went on like this. Storage is not in it."


def _seen(told: dict[str, Any], part: str, title: str, note: str) -> Markup:
    columns = [("when", ""), ("verb", ""), ("took", "num"), ("attempts", "num extra"), ("outcome", "")]
    rows = []
    for one in told[part] or ():
        place = one["model"] or one["table"] or "(several)"
        where = place if one["index"] is None else f"{place} / {one['index']}"
        end = one["outcome"] if one["error"] is None else joined(one["outcome"], " ", element("small", one["error"]))
        rows.append(
            [
                element("time", ago(one["at"], told["at"]), title=clock(one["at"])),
                joined(one["verb"], " ", element("small", where, title=one["table"])),
                seconds(one["seconds"]), amount(one["attempts"]),
                element("span", end, class_=f"tone {_WELL.get(one['outcome'], 'bad')}".strip()),
            ]
        )  # fmt: skip
    return _panel(told, part, title, note, *_filled(told[part], columns, rows), wide="half")
