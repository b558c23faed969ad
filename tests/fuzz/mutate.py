"""Changes inputs: bytes as bytes, and JSON as what it means, so that not every change ends at the first brace."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

LONGEST: Final = 20_000

_STRANGE: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 2**63, 10**400, -0.0, 1e308, "", "a", "\0", "\ud83d\ude00", "é" * 50, [], {}, [[]], [{}], {"": {}}, "1", "-0",
    "1e127", "1e-131", "9" * 39, "9" * 5_000, "1e999999999", "1e-999999999", "NaN", "Infinity", "0x1", "1_0", " 1", "+1", "AAAA", "A===", "=", {"S": "a"}, {"N": "1"},
    {"N": "1E5"}, {"B": "AA=="}, {"NULL": True}, {"NULL": False}, {"BOOL": 1}, {"L": []}, {"M": {}}, {"SS": []}, {"SS": ["a", "a"]},
    {"NS": ["1", "1.0"]}, {"BS": ["!"]}, {"S": None}, {"S": "a", "N": "1"}, {"X": 1}, {"M": {"a": None}}, {"L": [{"L": [{"L": []}]}]},
)  # fmt: skip
_BYTES: Final = (
    b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n", b"\n", b"{", b"}", b"[", b"]", b'"', b"\\", b"\\u0000", b"\\ud800", b"1e999", b"-0",
    b"9" * 400, b"[" * 3_000, b"[" * 1_100, b"1e999999999", b"1d400", b"\\udfff\\ud800", b"[" * 900 + b"]" * 900, b'{"a":' * 1_500, b"(" * 500, b"'" * 3, b"&a *a", b"!!", b"%", b"=", b",", b":", b"NaN", b"\xe2\x80\xa8", b" ",
)  # fmt: skip


def changed(data: bytes, others: Sequence[bytes], words: Sequence[bytes], dice: random.Random) -> bytes:
    """One input made of another one."""
    if dice.random() < 0.6:
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            pass
        else:
            with suppress(RecursionError):  # of what is nested too deeply by now
                return _document(document, others, dice)[:LONGEST]
    for _ in range(dice.choice((1, 1, 2, 3, 6))):
        data = _bytes(data, others, words, dice)
    return data[:LONGEST]


def _document(document: Any, others: Sequence[bytes], dice: random.Random) -> bytes:
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        document = _changed(document, dice, others)
    text = json.dumps(document, ensure_ascii=dice.random() < 0.7)
    if dice.random() < 0.1 and "{" in text:
        at = dice.choice([place for place, one in enumerate(text) if one == "{"])
        text = (
            f'{text[: at + 1]}"{dice.choice(("S", "N", "id", "pk", "Item"))}":null,{text[at + 1 :]}'  # a member twice
        )
    return text.encode(errors="surrogatepass")


def _changed(value: Any, dice: random.Random, others: Sequence[bytes], depth: int = 0) -> Any:
    if isinstance(value, dict) and value and (depth == 0 or dice.random() < 0.85):
        name = dice.choice(list(value))
        how = dice.random()
        if how < 0.65:
            return value | {name: _changed(value[name], dice, others, depth + 1)}
        if how < 0.75:
            return {one: inner for one, inner in value.items() if one != name}
        if how < 0.85:
            other = dice.choice([*value, "S", "N", "M", "x", "", "é", name * 2])
            return {one: inner for one, inner in value.items() if one != name} | {other: value[name]}
        if how < 0.93:
            return value | {name: value[dice.choice(list(value))]}
        return value | {dice.choice(("x", "S", "L", "", "_wt")): dice.choice(_STRANGE)}
    if isinstance(value, list) and value and (depth == 0 or dice.random() < 0.85):
        place = dice.randrange(len(value))
        how = dice.random()
        if how < 0.6:
            return [*value[:place], _changed(value[place], dice, others, depth + 1), *value[place + 1 :]]
        return value[:place] + value[place + 1 :] if how < 0.8 else [*value, value[place]]
    if isinstance(value, str) and value and dice.random() < 0.5:
        place = dice.randrange(len(value) + 1)
        return (
            value[:place]
            + dice.choice(("", "", "a", "\0", "0", "=", "-", "é", "#", ".", "%", " "))
            + value[place + dice.randrange(2) :]
        )
    if dice.random() < 0.1:
        deep, how = value, dice.random()
        for _ in range(dice.choice((3, 33, 120) if how < 0.7 else (33, 300, 900))):
            if how < 0.4:
                deep = {"L": [deep]}
            elif how < 0.7:
                deep = {"M": {"a": deep}}
            else:
                deep = [deep] if how < 0.85 else {"a": deep}
        return deep
    return dice.choice(_STRANGE)


def _bytes(data: bytes, others: Sequence[bytes], words: Sequence[bytes], dice: random.Random) -> bytes:
    at, end = sorted((dice.randrange(len(data) + 1), dice.randrange(len(data) + 1)))
    how = dice.randrange(9)
    if how == 0:
        return data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
    if how == 1 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
    if how == 2:
        return data[:at] + dice.choice(_BYTES) + data[at:]
    if how == 3:
        return data[:at] + data[min(end, at + 40) :]
    if how == 4:
        return data[:end] + data[at:end] * dice.choice((1, 2, 20)) + data[end:]
    if how == 5 and others:
        other = dice.choice(others)
        return data[:at] + other[dice.randrange(len(other) + 1) :][: dice.choice((4, 40, 400))] + data[at:]
    if how == 6 and words:
        return data[:at] + dice.choice(words) + data[at + dice.randrange(3) :]
    if how == 7 and words:
        return data[:at] + b" " + dice.choice(words) + b" " + data[at:]
    return data[:at] + dice.choice(_BYTES) + data[end:]
