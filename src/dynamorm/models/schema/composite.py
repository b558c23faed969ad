"""`composite(...)`: a key made of several fields, as one text from which they can be read back.

Here are the declaration, the escaping and the order of such texts. It must know neither wire types nor DynamoDB's verbs.

The rule: in a field's text every character from U+0000 to U+0025 (so ``#`` and ``%`` too) becomes ``%XX``, and ``#`` ends
it. So ``#`` is smaller than whatever an escaped text is made of: keys sort as their fields do, one after the other, in
the byte order of UTF-8, which is DynamoDB's; and just the texts from ``a#`` up to ``a$`` have ``a`` as their first field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Final
from zlib import crc32

from msgspec import Struct

from dynamorm.arguments import check_count
from dynamorm.errors import ModelError, ValidationError

from .key_forms import CASES, FORMS, NUMBER, NUMBER_PATTERN, number_in_key, number_key
from .schema import Schema

END: Final = "#"
"""What ends a field's text."""

AFTER: Final = "$"
"""The character after `END`; no escaped text holds it."""

_ESCAPED: Final = {number: f"%{number:02X}" for number in range(0x26)}
# As text, for `re` compiles and keeps a pattern with its first use: models without composite keys need none.
_CODE: Final = "%([01][0-9A-F]|2[0-5])"
_ESCAPED_TEXT: Final = "(?:[^\0-%]++|%(?:[01][0-9A-F]|2[0-5]))*+"
_SLOT: Final = r"\{([^{}]*)\}"
_FORMAT: Final = r"0([1-9]\d?)d"
_MAX_SHARDS: Final = 1000
_MAX_DIGITS: Final = 38


def escape(text: str) -> str:
    """One field's text as part of a key.

    Raises: ValidationError for text that is not Unicode (a lone surrogate).

    Example: ``escape("50% #1") == "50%25%20%231"``
    """
    if text.isalnum() and text.isascii():
        return text
    if not text.isascii() and not _is_unicode(text):
        raise ValidationError("a part of a key holds text that is not valid Unicode")
    return text.translate(_ESCAPED)


def _plain(text: str) -> str:
    return re.sub(_CODE, _character, text) if "%" in text else text


def _character(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Slot(Struct, frozen=True):
    """The place of a field in a key: its text, or with ``width`` its number, padded with zeros; ``form`` is one of `FORMS`."""

    name: str
    width: int = 0
    form: str = ""


class ScopeSlot(Struct, frozen=True):
    """The place of an entry of the view's scope in a key; `Composite.bound` puts its value there."""

    name: str


class Composite:
    """How a key is made of fields; made by `composite`, a field option like any other.

    ``scoped`` are the entries of a view's scope in it: before it is `bound` to one, it makes no key.
    ``fields`` are the names of the fields in it, in order; ``shards`` in how many partitions the library spreads what
    would be one, and ``by`` the fields that decide which of them; ``components`` are all of these names.

    Example: ``composite("a", "b").join(["x", "y#z"]) == "x#y%23z"``
    """

    def __init__(self, pieces: tuple[str | Slot | ScopeSlot, ...], shards: int = 0, by: tuple[str, ...] = ()) -> None:
        self.pieces = pieces
        self.scoped: tuple[str, ...] = tuple(piece.name for piece in pieces if isinstance(piece, ScopeSlot))
        self.slots: tuple[Slot, ...] = tuple(piece for piece in pieces if isinstance(piece, Slot))
        self.fields: tuple[str, ...] = tuple(slot.name for slot in self.slots)
        self.shards = shards
        self.by = by
        self.components: tuple[str, ...] = (*self.fields, *(name for name in by if name not in self.fields))

    def __repr__(self) -> str:
        text = "".join(piece if isinstance(piece, str) else _shown(piece) for piece in self.pieces)
        return f"<Composite {text}{f' in {self.shards} shards' if self.shards else ''}>"

    def bound(self, scope: Mapping[str, str]) -> Composite:
        """The same key in a view, whose scope has all of its entries: their values stand in it as literals do.

        Example: ``composite("T#{scope.tenant}#{id}").bound({"tenant": "t1"}).join(["a"]) == "T#t1#a"``
        """
        pieces: list[str | Slot | ScopeSlot] = []
        for piece in self.pieces:
            literal = escape(scope[piece.name]) if isinstance(piece, ScopeSlot) else piece
            if isinstance(literal, str) and pieces and isinstance(pieces[-1], str):
                pieces[-1] += literal
            else:
                pieces.append(literal)
        return Composite(tuple(pieces), self.shards, self.by)

    def matches(self, text: str) -> bool:
        """Whether a text is of the form of this key."""
        return self._pattern.fullmatch(text) is not None

    def _unbound(self) -> ValidationError:
        entries = ", ".join(f"{name}=..." for name in self.scoped)
        return ValidationError(f"{self!r} holds the scope of a view: use db.view({entries})", field="scope")

    def join(self, texts: Sequence[str] | Mapping[str, str]) -> str:
        """The key of the components' texts, given in order or by name.

        Raises: ValidationError for a number that does not fit its width, and text that is not Unicode.

        Example: ``composite("ORDER#{number:04d}").join(["7"]) == "ORDER#0007"``
        """
        by_name = texts if isinstance(texts, Mapping) else dict(zip(self.components, texts, strict=True))
        text = self._text(by_name)
        return text + self.shard_end(self.shard_of(by_name)) if self.shards else text

    def _text(self, texts: Mapping[str, str]) -> str:
        if self.scoped:
            raise self._unbound()
        return "".join(
            [piece if isinstance(piece, str) else self.part(piece, texts[piece.name]) for piece in self.pieces]  # type: ignore[arg-type] # see above
        )

    def part(self, slot: Slot, text: str) -> str:
        """One field's part of the key. Raises: ValidationError."""
        if slot.form:
            return number_key(text) if slot.form == NUMBER else escape(CASES[slot.form](text))
        if not slot.width:
            return escape(text)
        if not (text.isascii() and text.isdigit()):
            raise ValidationError(f"{slot.name} is no whole number of 0 or more, so it cannot be padded in a key")
        if len(text) > slot.width:
            raise ValidationError(
                f"{slot.name} has {len(text)} digits, and its place in the key {slot.width}: a longer number would not"
                " sort; give the composite more digits before there are any items"
            )
        return text.zfill(slot.width)

    def split(self, text: str) -> dict[str, str]:
        """The texts of the fields in a key. What only chooses the shard cannot be read back.

        Raises: ValidationError for a text that `join` cannot have made.

        Example: ``composite("a", "b").split("x#y%23z") == {"a": "x", "b": "y#z"}``
        """
        match = self._pattern.fullmatch(text)
        if match is None:
            raise ValidationError(f"the text of a key is not of the form {self!r}")
        groups = match.groups()
        return {
            slot.name: (group.lstrip("0") or "0")
            if slot.width
            else number_in_key(group)
            if slot.form == NUMBER
            else _plain(group)
            for slot, group in zip(self.slots, groups, strict=True)
        }

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        if self.scoped:
            raise self._unbound()
        parts = [
            re.escape(piece)
            if isinstance(piece, str)
            else rf"([0-9]{{{piece.width}}})"
            if isinstance(piece, Slot) and piece.width
            else f"({NUMBER_PATTERN})"
            if isinstance(piece, Slot) and piece.form == NUMBER
            else f"({_ESCAPED_TEXT})"
            for piece in self.pieces
        ]
        return re.compile("".join(parts) + (END + rf"[0-9]{{{self._shard_digits}}}" if self.shards else ""))

    # --------------------------------------------------------------------------------------------------------- shards

    @property
    def _shard_digits(self) -> int:
        return len(str(self.shards - 1))

    def shard_of(self, texts: Mapping[str, str]) -> int:
        """The shard of an item, by the texts of the ``by`` fields: the same for ever, on every machine.

        Example: ``composite("day", shards=10, by="order").shard_of({"order": "o1"})``
        """
        return crc32(END.join([escape(texts[name]) for name in self.by]).encode()) % self.shards

    def shard_end(self, shard: int) -> str:
        """What the keys of one shard end with."""
        return f"{END}{shard:0{self._shard_digits}d}"

    def spread(self, texts: Mapping[str, str]) -> list[str]:
        """The keys of every shard.

        Example: ``composite("day", shards=2, by="order").spread({"day": "d"}) == ["d#0", "d#1"]``
        """
        text = self._text(texts)
        return [text + self.shard_end(shard) for shard in range(self.shards)]

    # ---------------------------------------------------------------------------------------------------------- order

    def prefix(self, texts: Sequence[str]) -> str:
        """What the keys start with in which the first fields are ``texts``: up to the place of the next field.

        Example: ``composite("a", "b").prefix(["x"]) == "x#"``
        """
        if self.scoped:
            raise self._unbound()
        given = iter(texts)
        left = len(texts)
        text = ""
        for piece in self.pieces:
            if isinstance(piece, str):
                text += piece
            elif left:
                text += self.part(piece, next(given))  # type: ignore[arg-type] # see above
                left -= 1
            else:
                break
        return text

    def literals_behind(self, count: int) -> str:
        """The literals between so many fields and the next one, or the end.

        Example: ``composite("ORDER#{order}#LINE#{line}").literals_behind(1) == "#LINE#"``
        """
        text = ""
        for piece in self.pieces:
            if not isinstance(piece, str):
                if not count:
                    break
                count -= 1
                text = ""
            elif not count:
                text += piece
        return text

    def is_last(self, position: int) -> bool:
        """Whether nothing follows the field at this position."""
        return not self.shards and self.pieces[-1] is self.slots[position]


def composite(*parts: str, shards: int = 0, by: str | Sequence[str] = ()) -> Composite:
    """Make a key of several fields: ``composite("tenant_id", "number")`` joins them with ``#``, escaped.

    With one argument that is no field's name it is a template: ``composite("ORDER#{customer_id}#{number:010d}")`` has
    literals, ``{field}`` for a field's stored text and ``{field:010d}`` for a whole number of 0 or more, padded to ten
    digits so that it sorts. ``{field:number}`` is any exact number, as text that sorts as the numbers do, negative ones and fractions
    too; ``{field:lower}`` and ``{field:upper}`` are a text in lower and upper case. A literal behind ``{field}`` starts with ``#``. Without fields it is the same for all
    objects: ``composite("PROFILE#")``. ``{scope.tenant}`` is an entry of the view's scope, ``db.view(tenant="t1")``:
    only such a view has these keys, and it reads and writes nothing else of the model.

    ``shards=10, by="order_id"`` spreads a partition key over 10 partitions, chosen by another field (or several): a
    query that does not name that field asks them all.

    The key is computed from the fields whenever an object is stored: it is no argument of the constructor. See the
    guide on keys and single-table design.

    Raises: ModelError for a form that could not be read back or would not sort; unknown fields are found when the
    class is made.

    Example: ``pk: Attr[str] = partition_key(composite("tenant_id", "transaction_id"))``
    """
    for part in parts:
        if not isinstance(part, str):
            raise ModelError(f"composite() takes names of fields as text, or one template, not a {type(part).__name__}")
    is_template = len(parts) == 1 and not _is_name(parts[0])
    pieces = _template(parts[0]) if is_template else _joined(parts)
    names = [piece.name for piece in pieces if isinstance(piece, Slot)]
    if not any(isinstance(piece, (str, Slot)) for piece in pieces):
        raise ModelError(
            "composite(): a key that holds nothing but the scope would be the same for all objects of a view"
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ModelError(f"composite(): {twice!r} stands in it twice")
    return Composite(pieces, *_sharding(shards, by, names))


_SCOPE: Final = "scope."


def _is_name(text: str) -> bool:
    """Whether it is the name of a field, or of an entry of a view's scope."""
    return text.removeprefix(_SCOPE).isidentifier()


def _named(text: str) -> Slot | ScopeSlot:
    return ScopeSlot(text.removeprefix(_SCOPE)) if text.startswith(_SCOPE) else Slot(text)


def _shown(piece: Slot | ScopeSlot) -> str:
    return f"{{{_SCOPE if isinstance(piece, ScopeSlot) else ''}{piece.name}}}"


def _joined(names: tuple[str, ...]) -> tuple[str | Slot | ScopeSlot, ...]:
    if not names:
        raise ModelError('composite() needs the names of fields, or a template such as "ORDER#{number:010d}"')
    pieces: list[str | Slot | ScopeSlot] = []
    for name in names:
        if not _is_name(name):
            raise ModelError(
                f"composite(): {name!r} is no name of a field; a template is a single argument, such as"
                ' "ORDER#{number:010d}"'
            )
        pieces += [_named(name)] if not pieces else [END, _named(name)]
    return tuple(pieces)


def _template(text: str) -> tuple[str | Slot | ScopeSlot, ...]:
    parts = re.split(_SLOT, text)
    pieces: list[str | Slot | ScopeSlot] = []
    for number, part in enumerate(parts):
        if number % 2:
            pieces.append(_slot(part))
        elif part:
            pieces.append(part)
    for piece in pieces:
        if isinstance(piece, str) and ("{" in piece or "}" in piece or not _is_unicode(piece)):
            raise ModelError("composite(): a literal in a template holds neither { nor } nor anything but Unicode")
    for piece, after in pairwise(pieces):
        ends = isinstance(after, str) and after.startswith(END)
        if not isinstance(piece, str) and not getattr(piece, "width", 0) and not ends:
            raise ModelError(
                f"composite(): behind {_shown(piece)} the template must end or go on with {END}, the only character that"
                " no field's text holds: anything else could not be told from the text, or would not sort"
            )
    if not pieces:
        raise ModelError("composite(): an empty template makes no key")
    return tuple(pieces)


def _slot(text: str) -> Slot | ScopeSlot:
    name, colon, form = text.partition(":")
    if _is_name(name) and name.startswith(_SCOPE) and not colon:
        return _named(name)
    if not name.isidentifier():
        raise ModelError(f"composite(): {{{text}}} does not start with the name of a field")
    if not colon:
        return Slot(name)
    if form in FORMS:
        return Slot(name, form=form)
    match = re.fullmatch(_FORMAT, form)
    if match is None or int(match[1]) > _MAX_DIGITS:
        raise ModelError(
            f"composite(): {{{text}}}: the formats are a zero-padded whole number of 1 to {_MAX_DIGITS} digits, as in"
            f" {{{name}:010d}}, and :number, :lower and :upper"
        )
    return Slot(name, int(match[1]))


def _sharding(shards: Any, by: str | Sequence[str], names: list[str]) -> tuple[int, tuple[str, ...]]:
    sharded_by = (by,) if isinstance(by, str) else tuple(by)
    if shards == 0 and not sharded_by:
        return 0, ()
    check_count("shards", shards, 2, _MAX_SHARDS, subject="composite(): shards", error=ModelError)
    if not sharded_by:
        raise ModelError('composite(): say what chooses the shard of an item, as in shards=10, by="order_id"')
    for name in sharded_by:
        if name in names:
            raise ModelError(f"composite(): {name!r} is in the key already, so it cannot choose the shard too")
    return shards, sharded_by


def composites_of(schema: Schema) -> dict[str, Composite]:
    """The composite fields of a model, by name.

    Example: ``composites_of(schema_of(Transaction))["pk"].fields == ("tenant_id", "transaction_id")``
    """
    options = {name: field.option(Composite) for name, field in schema.fields.items() if field.options}
    return {name: option for name, option in options.items() if option is not None}
