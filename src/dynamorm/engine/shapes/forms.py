"""Items that are alike: those of one class have the same attributes, of the same types, in the same order.

Such a form is learnt of items that came, and becomes one regular expression. An item that it fits is valid JSON in the one
spelling in which items are stored; its size, and the texts of its key, are known without taking it apart. What fits no form
is decoded, measured and encoded as ever: a form may leave an item to that, and never takes one that is refused or stored otherwise.
It must not know tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeAlias, TypedDict

import msgspec

from dynamorm.engine.refusal import Refusal
from dynamorm.engine.sizes import number_size
from dynamorm.engine.values.keys import SURELY_SHORT, KeyNames, hashed
from dynamorm.engine.values.measure import Item, Value, measure_item
from dynamorm.engine.values.numbers import number_key

AFTER: Final = 512
"""Items of a table that fitted no form, until one of them is made a form: making one takes as long as reading many items."""
MOST: Final = 4
"""Forms that are tried on an item."""
TRIES: Final = 8
"""Forms that are made for a table at most: items that are never alike are left alone."""
TABLES: Final = 512
NUMBERS: Final = 4096
"""Numbers whose sizes are kept at hand."""
LARGEST: Final = 120
"""Values of a form at most."""

_TEXT: Final = r"[ !#-\[\]-\xff]*+"
_STRING: Final = rf'\{{"S":"{_TEXT}"\}}'
_NUMBER: Final = r"0|-?[1-9][0-9]{0,17}|-?(?:0|[1-9][0-9]{0,17})\.[0-9]{0,17}[1-9]"
_BASE64: Final = r"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?"
_TEXTS: Final = rf"(?:{_STRING}(?:,{_STRING})*+)?+"
_plain: Final = re.compile(r"[^\"\\\x00-\x1f]+").fullmatch

ITEM: Final = "Item"

Match: TypeAlias = Any
KeyOf: TypeAlias = Callable[[Match], "bytes | None"]


class AttributeValue(TypedDict, total=False):
    """A value in DynamoDB's JSON; null is nothing."""

    S: str | None
    N: str | None
    B: str | None
    SS: list[str] | None
    NS: list[str] | None
    BS: list[str] | None
    M: dict[str, AttributeValue] | None
    L: list[AttributeValue] | None
    NULL: bool | None
    BOOL: bool | None


_decoder: Any = msgspec.json.Decoder(dict[str, AttributeValue])
decode_item: Final[Callable[[bytes], Any]] = _decoder.decode
"""Takes an item apart; it raises: msgspec.DecodeError."""


class _Unfit(Exception):
    """An item that no form is made of."""


_more: Final[dict[bytes, int]] = {}


def _more_of(text: bytes) -> int:
    """The size of a number, less the length of its text."""
    more = number_size(text.decode()) - len(text)
    if len(_more) < NUMBERS:
        _more[text] = more
    return more


class Form:
    """One form of items. ``fixed`` are the bytes of the JSON that are no content, less what values count beside their content."""

    __slots__ = ("_at", "_key", "_keys", "binaries", "fits", "fixed", "flags", "lists", "numbers")

    binaries: list[int]
    fixed: int
    flags: list[int]
    lists: list[int]
    numbers: list[int]

    def __init__(self, item: Item) -> None:
        maker = _Maker()
        pattern = maker.entries(item, top=True)
        self.fits: Callable[[bytes], Match] = re.compile(rf"\{{{pattern}\}}".encode(), re.DOTALL).fullmatch
        self.fixed = maker.fixed + 2
        self.numbers, self.binaries = maker.numbers, maker.binaries
        self.flags, self.lists = maker.flags, maker.lists
        self._at = maker.at
        self._keys: dict[KeyNames, KeyOf] = {}
        self._key: tuple[KeyNames | None, KeyOf] = (None, _unknown)
        """The last one, which is found without its hash."""

    def size(self, data: bytes, match: Match) -> int:
        """The bytes that DynamoDB counts for an item that fits."""
        size = len(data) - self.fixed
        for at in self.numbers:
            text = match[at]
            more = _more.get(text)
            size += _more_of(text) if more is None else more
        for at in self.binaries:
            text = match[at]
            size += len(text.rstrip(b"=")) * 3 // 4 - len(text)
        for at in self.flags:
            size += 1 - len(match[at])
        for at in self.lists:
            text = match[at]
            size += 4 - 8 * text.count(b'{"S":"') if text else 3  # the frame of an element counts for a byte
        return size

    def key(self, match: Match, names: KeyNames) -> bytes | None:
        """The bytes of a table's key; None for one that has to be looked at more closely."""
        known, key_of = self._key
        if known is not names:
            found = self._keys.get(names)
            if found is None:
                found = self._keys[names] = self._key_of(names)
            self._key, key_of = (names, found), found
        return key_of(match)

    def _key_of(self, names: KeyNames) -> KeyOf:
        places = [self._at.get(one.name) for one in names.all]
        if any(place is None or place[1] != one.type for place, one in zip(places, names.all, strict=True)):
            return _unknown
        first, *rest = [(place[0], place[1] == "S") for place in places if place is not None]
        makes = _part_of(*first)
        if not rest:
            return lambda match: None if (raw := makes(match)) is None else hashed(raw)
        also = _part_of(*rest[0])

        def composite(match: Match) -> bytes | None:
            raw, more = makes(match), also(match)
            return None if raw is None or more is None else hashed(raw) + more

        return composite


def _unknown(match: Match) -> None:
    """No key."""
    del match


def _part_of(at: int, is_text: bool) -> KeyOf:  # noqa: FBT001 - one of two kinds
    """What makes one attribute of a key; of control characters a form has none, so nothing is escaped."""
    if is_text:
        return lambda match: text + b"\0\0" if 0 < len(text := match[at]) <= SURELY_SHORT else None
    return lambda match: number_key(match[at].decode())


class _Maker:
    """The pattern of an item, and what its groups hold."""

    def __init__(self) -> None:
        self.fixed = 0
        self.groups = 0
        self.values = 0
        self.numbers: list[int] = []
        self.binaries: list[int] = []
        self.flags: list[int] = []
        self.lists: list[int] = []
        self.at: dict[str, tuple[int, str]] = {}

    def entries(self, entries: Item, *, top: bool = False) -> str:
        """The members of an item, or of a map, in their order."""
        found: list[str] = []
        for name, value in entries.items():
            if _plain(name) is None:
                raise _Unfit
            found.append(f'"{re.escape(name)}":{self.value(value, name if top else None)}')
        self.fixed += 3 * len(found) + max(len(found) - 1, 0)
        return ",".join(found)

    def value(self, value: Value, name: str | None = None) -> str:
        """One value; ``name`` is that of an attribute, which may be a key."""
        ((tag, payload),) = value.items()
        self.values += 1
        if self.values > LARGEST:
            raise _Unfit
        self.fixed += 8
        if tag == "S":
            if name is None:
                return _STRING
            self._named(name, tag)
            return rf'\{{"S":"({_TEXT})"\}}'
        if tag == "N":
            self._named(name, tag)
            self.numbers.append(self.groups)
            return rf'\{{"N":"({_NUMBER})"\}}'
        if tag == "B":
            self.binaries.append(self._group())
            return rf'\{{"B":"({_BASE64})"\}}'
        if tag == "BOOL":
            self.fixed += 1
            self.flags.append(self._group())
            return r'\{"BOOL":(true|false)\}'
        if tag == "NULL":
            self.fixed += 4
            return r'\{"NULL":true\}'
        if tag == "M":
            pattern = self.entries(payload)
            self.fixed -= 3 + len(payload)
            return rf'\{{"M":\{{{pattern}\}}\}}'
        if tag == "L":
            return self._list(payload)
        raise _Unfit

    def _list(self, elements: list[Value]) -> str:
        if all("S" in one for one in elements):  # of any length
            self.lists.append(self._group())
            return rf'\{{"L":\[({_TEXTS})\]\}}'
        pattern = ",".join(map(self.value, elements))
        self.fixed += len(elements) - 1 - (3 + len(elements))
        return rf'\{{"L":\[{pattern}\]\}}'

    def _group(self) -> int:
        self.groups += 1
        return self.groups

    def _named(self, name: str | None, tag: str) -> None:
        number = self._group()
        if name is not None:
            self.at[name] = number, tag


class Alike(msgspec.Struct, gc=False):
    """An item that fits a form: its bytes, as they are stored, and its size."""

    form: Form
    match: Match
    data: bytes
    size: int

    def key(self, names: KeyNames) -> bytes | None:
        """The bytes of a table's key; None for one that has to be looked at more closely."""
        return self.form.key(self.match, names)

    def read(self) -> Item:
        """The item, taken apart."""
        item: Item = decode_item(self.data)
        return item


class Forms:
    """The forms of a table's items."""

    __slots__ = ("all", "found", "left", "missed")

    all: tuple[Form, ...]
    found: int
    left: int
    missed: int

    def __init__(self) -> None:
        self.all = ()
        self.left = TRIES
        self.found = self.missed = 0

    def read(self, raw: bytes) -> Alike | Item:
        """An item, taken apart where it fits no form. Raises: msgspec.DecodeError."""
        if self.all and (raw.isascii() or _is_text(raw)):
            for form in self.all:
                match = form.fits(raw)
                if match is not None:
                    self.found += 1
                    return Alike(form, match, raw, form.size(raw, match))
        item: Item = decode_item(raw)
        self.missed += 1
        if self.missed >= AFTER and self.left:
            self._learn(raw)
        return item

    def _learn(self, raw: bytes) -> None:
        """Make an item a form, unless none of those that there are is of use."""
        useless, self.found, self.missed = self.all and self.found < self.missed, 0, 0
        self.left = 0 if useless and len(self.all) == MOST else self.left - 1
        if not self.left:
            self.all = () if useless else self.all
            return
        item = decode_item(raw)
        try:
            measure_item(item)  # only what may be stored is a form
            form = Form(item)
        except (Refusal, _Unfit):
            return
        if form.fits(raw) is not None:  # else it is spelled otherwise than it is stored
            self.all = (form, *self.all[: MOST - 1])


_known: Final[dict[str, Forms]] = {}


def forms_of(table: str) -> Forms:
    """The forms of items that are put into tables of a name, of whatever engine."""
    found = _known.get(table)
    if found is None:
        if len(_known) >= TABLES:
            _known.clear()
        found = _known[table] = Forms()
    return found


def _is_text(raw: bytes) -> bool:
    """Whether bytes are UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode(entry: dict[str, Any]) -> bytes:
    """An entry of a transaction or of a batch, whatever its item is, as `dynamorm.engine.answers.encode` would write it."""
    for kind in ("Put", "PutRequest"):
        put = entry.get(kind)
        if put is not None and put[ITEM].__class__ is Alike:
            entry = {**entry, kind: {**put, ITEM: msgspec.Raw(put[ITEM].data)}}
    return msgspec.json.encode(entry)


# Requests: what is put comes as an object whose item is bytes.


@cache
def _rest(kind: type[Any]) -> tuple[Callable[[Any], tuple[Any, ...]], tuple[None, ...]]:
    """What gives the other members of puts of a kind, and what that is where there are none."""
    names = [name for name in kind.__struct_fields__ if name not in {ITEM, "TableName"}]
    return attrgetter(*names), (None,) * len(names)


def _said(put: Any) -> dict[str, Any]:
    """The other members of a put; null is nothing."""
    return {
        name: value
        for name in put.__struct_fields__
        if name not in {ITEM, "TableName"} and (value := getattr(put, name)) is not None
    }


def _of_put(put: Any) -> dict[str, Any]:
    """What is said of a put, as a dictionary; null is nothing."""
    name = put.TableName
    found = {"TableName": name, ITEM: forms_of(name).read(bytes(put.Item))}
    rest, nothing = _rest(put.__class__)
    if rest(put) != nothing:
        found |= _said(put)
    return found


def _of_transaction(request: dict[str, Any]) -> dict[str, Any]:
    rest: Any = None
    nothing: tuple[None, ...] = ()
    for entry in request["TransactItems"]:
        put = entry.get("Put")
        if put is not None:
            name = put.TableName
            forms = _known.get(name) or forms_of(name)
            entry["Put"] = found = {"TableName": name, ITEM: forms.read(bytes(put.Item))}
            if rest is None:
                rest, nothing = _rest(put.__class__)
            if rest(put) != nothing:
                found |= _said(put)
    return request


def _of_batch(request: dict[str, Any]) -> dict[str, Any]:
    for name, entries in request["RequestItems"].items():
        forms = forms_of(name)
        for entry in entries:
            put = entry.get("PutRequest")
            if put is not None:
                entry["PutRequest"] = {ITEM: forms.read(bytes(put.Item))}
    return request


TAKEN: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "BatchWriteItem": _of_batch,
    "PutItem": _of_put,
    "TransactWriteItems": _of_transaction,
}
"""By operation, what makes of a request with such objects one with items. It raises: msgspec.DecodeError."""
