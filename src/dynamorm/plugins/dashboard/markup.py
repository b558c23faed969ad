"""HTML and SVG whose texts are always escaped: what is no `Markup` is a text."""

from __future__ import annotations

from html import escape
from typing import Any, Final

_EMPTY: Final = frozenset({"link", "meta"})
"""Elements without content, which have no end."""


class Markup(str):
    """A text that is HTML already. Only `element` and `document` make it."""

    __slots__ = ()


def element(tag: str, /, *content: Any, **attributes: Any) -> Markup:
    """An element with its content and attributes; ``class_`` is the class, and one that is None is left out.

    Example: ``element("td", "a < b", class_="name") == '<td class="name">a &lt; b</td>'``
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _EMPTY:
        return Markup(f"<{tag}{named}>")
    return Markup(f"<{tag}{named}>{joined(*content)}</{tag}>")


def joined(*content: Any) -> Markup:
    """Pieces one behind the other, each escaped that is no `Markup`."""
    return Markup("".join(piece if type(piece) is Markup else escape(str(piece)) for piece in content))


def document(head: Markup, body: Markup) -> Markup:
    """A whole page."""
    return Markup(f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n')
