"""The page: a head that stays, and the figures, which the script fetches anew every two seconds. It works without it, too."""

from __future__ import annotations

from typing import Any

from .charts import bar, by_tens, even, lines
from .markup import Markup, document, element, joined
from .parts import filled, missing, panel, place, table, tone, verb
from .words import ago, amount, clock, dollars, gauge, seconds, share, tone_of


def page(told: dict[str, Any], *, audit: bool = False) -> str:
    """The whole page; with ``audit`` it leads to the timelines."""
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
    way = element("p", element("a", "audit trail", href="audit")) if audit else ""
    return document(
        head, joined(element("header", title, element("div", way, live, button, class_="now")), figures(told))
    )


def figures(told: dict[str, Any]) -> Markup:
    """All that changes."""
    return element(
        "main",
        _tiles(told),
        _rates(told),
        _waits(told),
        _verbs(told),
        _ends(told),
        _cost(told),
        _moment(told),
        _hot_keys(told),
        _seen(told, "slowest", "Slow operations", "the slowest of the last 10 minutes"),
        _seen(told, "last", "Last operations", "the newest first; keys and values are not kept"),
        id="figures",
        data_at=f"{told['at']:.0f}",
    )


# The panels


def _tiles(told: dict[str, Any]) -> Markup:
    metrics, gauges = told["metrics"] or {}, told["gauges"] or {}
    window = metrics.get("window") or {}
    window = window if window.get("count") else {}  # of nothing there are no latencies
    states = list((told["breaker"] or {}).values())
    worst = next((state for state in ("open", "half-open", "closed") if state in states), "none")
    rate = window.get("error_rate")
    tiles = [
        ("Verbs per second", amount(metrics.get("qps")), "last 10 s", ""),
        ("Latency, p50", seconds(window.get("p50")), "last 60 s", ""),
        ("Latency, p99", seconds(window.get("p99")), "last 60 s", ""),
        ("Errors", share(rate), "last 60 s", "bad" if rate else ""),
        ("Breaker", worst, "reads, writes, streams", tone_of(worst)),
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


def _drawn(told: dict[str, Any], drawing: Markup) -> tuple[Any, ...]:
    """A drawing with its ends; a word while there are too few samples."""
    samples = told["history"]
    if told["metrics"] is None:
        return ()
    if len(samples) < 2:
        return (element("p", "The lines begin after a few seconds.", class_="none"),)
    return drawing, element("p", element("span", ago(samples[0][0], told["at"])), element("span", "now"), class_="ends")


def _rates(told: dict[str, Any]) -> Markup:
    rates = [(sample[0], sample[1]) for sample in told["history"]]
    drawing = lines([("first", rates)], even([rate for _, rate in rates]), "verbs per second over time")
    return panel(told, "metrics", "Verbs per second", "", *_drawn(told, drawing), wide="half chart")


def _waits(told: dict[str, Any]) -> Markup:
    half, most = ([(sample[0], sample[at]) for sample in told["history"] if sample[at] > 0] for at in (2, 3))
    scale = by_tens([value for _, value in (*half, *most)])
    drawing = lines([("second", most), ("first", half)], scale, "latencies over time")
    legend = joined(element("span", "p50", class_="key first"), element("span", "p99", class_="key second"))
    return panel(told, "metrics", "Latency", legend, *_drawn(told, drawing), wide="half chart")


def _verbs(told: dict[str, Any]) -> Markup:
    columns = [
        ("verb", "first"), ("count", "num"), ("p50", "num"), ("p90", "num extra"), ("p99", "num"), ("errors", "num"),
    ]  # fmt: skip
    rows = [
        [
            verb(row["verb"], row["model"] or "(several)"), amount(row["count"]), seconds(row["p50"]), seconds(row["p90"]),
            seconds(row["p99"]), tone(share(row["error_rate"]), "bad" if row["error_rate"] else ""),
        ]
        for row in (told["metrics"] or {}).get("verbs", ())
    ]  # fmt: skip
    return panel(told, "metrics", "Verbs", "last 60 s", *filled(told["metrics"], columns, rows), wide="two")


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
                [tone(kind, tone_of(kind)), bar(count / total), amount(count)]
                for kind, count in sorted(counts.items(), key=lambda item: -item[1])
            ]
            content += [element("h3", title), table([("", "name"), ("", "wide"), ("", "num")], rows)]
    if told["metrics"] and not content:
        content.append(element("p", "Nothing yet.", class_="none"))
    return panel(told, "metrics", "Errors and retries", "since counting began", *content)


def _moment(told: dict[str, Any]) -> Markup:
    states = told["breaker"]
    rows: list[list[Any]] = [
        [f"breaker, {scope}", tone(state, f"state {tone_of(state)}")] for scope, state in (states or {}).items()
    ]
    rows += [list(gauge(name, value)) for name, value in (told["gauges"] or {}).items() if name != "breaker_state"]
    content: list[Any] = [table([("", ""), ("", "num")], rows)] if rows else []
    if content:
        content += [missing(told, part) for part in ("breaker", "gauges") if told[part] is None]
    return panel(told, "gauges", "Breaker and connections", "now", *content)


def _hot_keys(told: dict[str, Any]) -> Markup:
    columns = [
        ("table", "first"), ("key (hash)", "hash"), ("share", "num"), ("per second", "num extra"), ("throttled", "num extra"),
    ]  # fmt: skip
    found = told["hot_keys"] or ()
    rows = [
        [
            place(one["table"], one["index"]), element("code", one["hash"]),
            tone(share(one["share"]), "warn" if one["advice"] else ""), amount(one["per_second"]), share(one["throttled"]),
        ]
        for one in found
    ]  # fmt: skip
    advice = [
        element("p", element("code", one["hash"]), " ", one["advice"], class_="none") for one in found if one["advice"]
    ]
    content = filled(told["hot_keys"], columns, rows)
    return panel(told, "hot_keys", "Hot keys", "lately", *content, *advice, wide="all")


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
    content = list(filled(cost, columns, rows))
    if rows:
        total = ["all", "", *(amount(cost[name]) for name in ("read", "write"))]
        rows.append([element("b", cell) for cell in (*total, dollars(cost["dollars"]), dollars(cost["monthly"]))])
        content = [table(columns, rows), element("p", _said_of(cost), class_="none")]
    note = f"measured for {seconds(cost['seconds'])}" if cost else ""
    return panel(told, "cost", "Cost", note, *content, wide="two")


def _said_of(cost: dict[str, Any]) -> str:
    more = f"{cost['more']} more rows are not shown. " if cost["more"] else ""
    if not cost["priced"]:
        return f"{more}No price is known for this Region."
    return f"{more}Requests at on-demand prices; a month as if it went on like this. Storage is not in it."


def _seen(told: dict[str, Any], part: str, title: str, note: str) -> Markup:
    columns = [("when", ""), ("verb", ""), ("took", "num"), ("attempts", "num extra"), ("outcome", "")]
    rows = []
    for one in told[part] or ():
        of = one["model"] or one["table"] or "(several)"
        end = one["outcome"] if one["error"] is None else joined(one["outcome"], " ", element("small", one["error"]))
        rows.append(
            [
                element("time", ago(one["at"], told["at"]), title=clock(one["at"])),
                verb(one["verb"], place(of, one["index"]), one["table"]),
                seconds(one["seconds"]), amount(one["attempts"]),
                element("span", end, class_=f"tone {tone_of(one['outcome'])}".strip()),
            ]
        )  # fmt: skip
    return panel(told, part, title, note, *filled(told[part], columns, rows), wide="half")
