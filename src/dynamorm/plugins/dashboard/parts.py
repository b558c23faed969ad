"""What the page is made of: panels and their tables. Nothing of it knows what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .markup import Markup, element, joined
from .words import absent

Column = tuple[str, str]
"""The heading of a column, and its classes: ``num`` for numbers, ``extra`` for what a narrow screen leaves out."""


def panel(told: dict[str, Any], part: str, title: str, note: str, *content: Any, wide: str = "") -> Markup:
    """A panel; without content it says why, and what switches its source on."""
    if not content:
        content = (missing(told, part),)
    heading = element("h2", title, element("small", note) if note else "")
    return element("section", heading, *content, class_=f"panel {wide}".strip(), id=title.lower().replace(" ", "-"))


def missing(told: dict[str, Any], part: str) -> Markup:
    """Why a part is not there, and what switches it on."""
    why, code = absent(told, part)
    return element("p", why, " ", element("code", code) if code else "", class_="none")


def table(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> Markup:
    """A table with a heading for each column."""
    heads = (element("th", name, class_=kind or None, scope="col") for name, kind in columns)
    body = (
        element("tr", *(element("td", cell, class_=kind or None) for (_, kind), cell in zip(columns, row, strict=True)))
        for row in rows
    )
    return element("table", element("thead", element("tr", *heads)), element("tbody", *body))


def verb(name: str, where: str, of: str | None = None) -> Markup:
    """A verb and what it is about; ``of`` is its table, which is seen by pointing at it."""
    return joined(name, " ", element("small", where, title=of))


def tone(text: str, kind: str) -> Markup:
    """A text that is good, a warning or bad; or neither of them."""
    return element("span", text, class_=f"tone {kind}".strip())


def filled(part: Any, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> tuple[Any, ...]:
    """A table, what stands for one without rows, or nothing where there is no source."""
    if part is None:
        return ()
    return (table(columns, rows) if rows else element("p", "Nothing yet.", class_="none"),)


def place(of: str, index: str | None) -> str:
    """A table or a model, with its index where there is one."""
    return of if index is None else f"{of} / {index}"
