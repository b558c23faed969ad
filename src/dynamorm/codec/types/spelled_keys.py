"""Which entries of a map are read where several texts spell one key of a dict, as those of a UUID do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .source import Source

if TYPE_CHECKING:
    from .shapes import Scalar


def members_read(members: dict[str, Any], key: Scalar, key_of: Callable[[Source, str], str]) -> dict[str, Any]:
    """The entries that are read, in the order in which they are: the text that is written here goes before the others.

    ``key_of`` makes the expression of the key that a text spells. Maps with two spellings of a key are rare, so nothing is
    kept for the next one.
    """
    source = Source(careful=True)
    source.define("written", "t", [f"return {key.text_of(source, key_of(source, 't'))}"])
    source.compile("spellings of a key")
    written = source.names["written"]
    texts = {text: written(text) for text in members}
    chosen = {texts[text]: text for text in sorted(members, key=lambda text: texts[text] == text)}
    return {text: members[text] for text in chosen.values()}
