"""What `top` draws: the figures of a dashboard as tables of rich."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .words import absent, ago, amount, clock, dollars, gauge, seconds, share, tone_of

_COLOURS: Final = {"good": "green", "warn": "yellow", "bad": "red", "": ""}
"""The tones of `tone_of` in a terminal."""
_SHOWN: Final = 8
"""Rows of each table: a terminal is not high."""


def frame(told: dict[str, Any]) -> RenderableType:
    """One frame."""
    return Group(
        _head(told), _verbs(told), Columns([_moment(told), _ends(told)], padding=(0, 4)), _cost(told), _hot_keys(told),
        _seen(told, "slowest", "Slow operations"), _seen(told, "last", "Last operations"),
    )  # fmt: skip


def _text(value: Any, style: str = "") -> Text:
    """A text as it is: no markup of rich, and nothing that a terminal would act on."""
    return Text("".join(one if one.isprintable() else "?" for one in str(value)), style=style)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Text]]) -> Table:
    """A table; a column whose name ends in ``>`` stands to the right."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, show_header=any(columns)
    )
    for name in columns:
        right = name.endswith(">")
        table.add_column(name.rstrip(">"), justify="right" if right else "left", header_style="dim", no_wrap=right)
    for row in rows[:_SHOWN]:
        table.add_row(*row)
    return table


def _none(told: dict[str, Any], part: str, title: str) -> RenderableType:
    why, code = absent(told, part)
    return Group(Text(title, style="bold"), _text(f"{why} {code}".strip(), "dim"))


def _head(told: dict[str, Any]) -> Text:
    window = (told["metrics"] or {}).get("window") or {}
    window = window if window.get("count") else {}  # of nothing there are no latencies
    rate = window.get("error_rate")
    line = Text()
    line.append_text(
        _text(f"DynamORM  {told.get('region') or ''}  process {told.get('pid')}  {clock(told['at'])}", "bold")
    )
    line.append("\n")
    line.append_text(_text(f"{amount((told['metrics'] or {}).get('qps'))} verbs/s   p50 {seconds(window.get('p50'))}"))
    line.append_text(_text(f"   p99 {seconds(window.get('p99'))}   errors "))
    line.append_text(_text(share(rate), "bold red" if rate else ""))
    return line


def _verbs(told: dict[str, Any]) -> RenderableType:
    if told["metrics"] is None:
        return _none(told, "metrics", "Verbs")
    rows = [
        [
            _text(row["model"] or "(several)"), _text(row["verb"]), _text(amount(row["count"])), _text(seconds(row["p50"])),
            _text(seconds(row["p90"])), _text(seconds(row["p99"])), _text(share(row["error_rate"]), "red" if row["error_rate"] else ""),
        ]
        for row in told["metrics"]["verbs"]
    ]  # fmt: skip
    return _table("Verbs of the last 60 s", ("model", "verb", "count>", "p50>", "p90>", "p99>", "errors>"), rows)


def _ends(told: dict[str, Any]) -> RenderableType:
    if told["metrics"] is None:
        return _none(told, "metrics", "Errors")
    found = [
        (what, kind, count)
        for what, name in (("verbs", "outcomes"), ("requests", "attempts"), ("again after", "retries"))
        for kind, count in told["metrics"][name].items()
    ]
    rows = [[_text(what), _text(kind, _COLOURS[tone_of(kind)]), _text(amount(count))] for what, kind, count in found]
    return _table("Since counting began", ("", "", ">"), rows)


def _moment(told: dict[str, Any]) -> RenderableType:
    rows = [
        [_text(f"breaker, {scope}"), _text(state, _COLOURS[tone_of(state)])]
        for scope, state in (told["breaker"] or {}).items()
    ]
    numbers = [gauge(name, value) for name, value in (told["gauges"] or {}).items() if name != "breaker_state"]
    rows += [[_text(name), _text(value)] for name, value in numbers]
    return _table("Now", ("", ">"), rows) if rows else _none(told, "gauges", "Now")


def _cost(told: dict[str, Any]) -> RenderableType:
    cost = told["cost"]
    if cost is None:
        return _none(told, "cost", "Cost")
    rows = [
        [
            _text(row["model"]), _text(row["scope"]), _text(amount(row["read"])), _text(amount(row["write"])),
            _text(dollars(row["dollars"])), _text(dollars(row["monthly"])),
        ]
        for row in cost["rows"]
    ]  # fmt: skip
    title = f"Cost in {seconds(cost['seconds'])}: {dollars(cost['dollars'])}, a month {dollars(cost['monthly'])}"
    return _table(title, ("model", "scope", "read units>", "write units>", "so far>", "a month>"), rows)


def _hot_keys(told: dict[str, Any]) -> RenderableType:
    if told["hot_keys"] is None:
        return _none(told, "hot_keys", "Hot keys")
    rows = [
        [
            _text(one["table"] if one["index"] is None else f"{one['table']} / {one['index']}"), _text(one["hash"]),
            _text(share(one["share"]), "yellow" if one["advice"] else ""), _text(amount(one["per_second"])),
            _text(share(one["throttled"])),
        ]
        for one in told["hot_keys"]
    ]  # fmt: skip
    return _table("Hot keys", ("table", "hash", "share>", "per second>", "throttled>"), rows)


def _seen(told: dict[str, Any], part: str, title: str) -> RenderableType:
    if told[part] is None:
        return _none(told, part, title)
    rows = [
        [
            _text(ago(one["at"], told["at"])), _text(one["verb"]), _text(one["model"] or one["table"] or "(several)"),
            _text(seconds(one["seconds"])), _text(amount(one["attempts"])),
            _text(one["outcome"] if one["error"] is None else f"{one['outcome']} {one['error']}", _COLOURS[tone_of(one["outcome"])]),
        ]
        for one in told[part]
    ]  # fmt: skip
    return _table(title, ("when", "verb", "model", "took>", "attempts>", "outcome"), rows)
