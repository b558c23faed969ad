"""HTML that is put together from elements: what is no element is text, and is escaped."""

from __future__ import annotations

from html import escape

VOID = frozenset({"input", "link", "meta"})


class Markup(str):
    """HTML as it is."""

    __slots__ = ()


def el(tag: str, /, *inside: object, **attributes: object) -> Markup:
    """An element. ``class_`` is "class", ``data_api`` is "data-api"; what is None or False is left out, True has no value.

    Example: ``el("a", payment.id, href=f"/pay/{payment.id}")``
    """
    parts = [tag]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        shown = name.rstrip("_").replace("_", "-")
        parts.append(shown if value is True else f'{shown}="{escape(str(value))}"')
    opened = f"<{' '.join(parts)}>"
    return Markup(opened if tag in VOID else f"{opened}{joined(*inside)}</{tag}>")


def joined(*inside: object) -> Markup:
    """Elements and texts, one behind the other; what is None is left out."""
    return Markup("".join(one if isinstance(one, Markup) else escape(str(one)) for one in inside if one is not None))


def document(title: str, *body: object) -> str:
    """A whole page, whose style and script are files of ours."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("link", rel="icon", href="data:,"),
        el("link", rel="stylesheet", href="/page.css"),
        el("script", src="/page.js", defer=True),
    )
    return "<!doctype html>" + el("html", head, el("body", *body), lang="en")
