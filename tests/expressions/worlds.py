"""Random models with hostile names, and random items of them: Python values, and what they mean to the evaluator.

Everything is drawn from a seeded `random.Random`, so that a seed names a run. Nothing here knows expressions.
"""

from __future__ import annotations

import random
import re
import types
from decimal import Decimal
from typing import Any, NamedTuple

from dynamorm import Attr, Model, attr, partition_key, sort_key

from .evaluator import Item, Value

TABLE = "expressions"

NAMES = (
    "name", "Name", "NAME", "status", "size", "SET", "AND", "or", "count", "data", "a", "b", "A", "a.b", "a b", " ", ".",
    "#n0", "#n1", ":v0", ":v1", "#", ":", "[0]", "a[0]", "0", "b) OR (c", "'; DROP --", '"', "\\", "${x}", "<script>",
    "attribute_exists(a)", "ünï", "ß", "ﬀ", "\u0000", "\n", "\u2028", "名前", "💶", "e\u0301", "é", "_", "-", "x" * 99,
)  # fmt: skip
TEXTS = (
    *NAMES, "", "", "aa", "ab", "abc", "b", "S", "SS", "NULL", "true", "1", "\ud7ff", "\ue000", "\uffff", "\U00010000",
    "\U0010ffff", "a\U0001f600",
)  # fmt: skip
BYTES = (b"", b"\0", b"a", b"ab", b"abc", b"b", b"\xff", b"\xff\xfe", bytes(range(32)))
NUMBERS = (
    0, 1, 2, 3, -1, -2, 10**38 - 1, 10**37, -(10**38) + 1, 12345678901234567890123456789012345678, 1.5, 0.1, -0.0, 1e22,
    Decimal("1.0"), Decimal("1.5"), Decimal("-0"), Decimal("0.1"), Decimal("1E+2"), Decimal("1E-130"),
    Decimal("9.9999999999999999999999999999999999999E+125"), Decimal("-1.23456789012345678901234567890123456E-90"),
    Decimal("0.00000000000000000000000000000000000001"),
)  # fmt: skip

SCALARS = ("text", "whole", "exact", "blob", "flag")
SETS = ("words", "figures", "blobs")
INNER = (*SCALARS, "free", "words")
ANNOTATIONS: dict[str, Any] = {
    "text": str | None, "whole": int | None, "exact": Decimal | None, "blob": bytes | None, "flag": bool | None,
    "words": set[str], "figures": set[Decimal], "blobs": set[bytes], "lines": list[Any] | None,
    "entries": dict[str, Any] | None, "free": Any,
}  # fmt: skip
UNFIT = re.compile(r'["\\\x00-\x1f]')
"""What the name of a field may not have; the name of an entry of a map may."""
DEPTH = 4
HUGE = 64 * 1024


class World(NamedTuple):
    """A model, the model nested in it, and by field name what a field holds and how it is stored."""

    model: Any
    inner: Any
    kinds: dict[str, str]
    stored: dict[str, str]
    inner_stored: dict[str, str]


def random_world(rng: random.Random) -> World:
    """A model with five free attributes and one of every type, under names of which each is legal."""
    inner_stored = dict(zip(INNER, distinct_names(rng, len(INNER)), strict=True))
    inner = _model("Inner", None, {field: (ANNOTATIONS[field], inner_stored[field]) for field in INNER})
    kinds = {f"free{number}": "free" for number in range(5)}
    kinds |= {kind: kind for kind in (*SCALARS, *SETS, "lines", "entries", "inner", "inners")}
    stored = dict(zip(kinds, distinct_names(rng, len(kinds)), strict=True))
    annotations = ANNOTATIONS | {"inner": inner | None, "inners": list[inner] | None}
    fields = {field: (annotations[kind], stored[field]) for field, kind in kinds.items()}
    return World(_model("World", TABLE, fields), inner, kinds, stored, inner_stored)


def _model(title: str, table: str | None, fields: dict[str, tuple[Any, str]]) -> Any:
    body: dict[str, Any] = {"__annotations__": {}, "__module__": __name__}
    if table is not None:
        body["__annotations__"] = {"pk": Attr[str], "sk": Attr[int]}
        body |= {"pk": partition_key(), "sk": sort_key()}
    for field, (annotation, name) in fields.items():
        body["__annotations__"][field] = Attr[annotation]
        is_set = field in SETS
        body[field] = attr(default_factory=set, name=name) if is_set else attr(default=None, name=name)
    settings = {} if table is None else {"table": table}
    return types.new_class(title, (Model,), settings, lambda namespace: namespace.update(body))


def distinct_names(rng: random.Random, count: int) -> list[str]:
    """So many different names of attributes."""
    found: dict[str, None] = {}
    while len(found) < count:
        name = random_name(rng)
        if not UNFIT.search(name):
            found[name] = None
    return list(found)


def random_name(rng: random.Random) -> str:
    """A name of an attribute, as strange as it may be."""
    chance = rng.random()
    if chance < 0.7:
        return rng.choice(NAMES)
    if chance < 0.999:
        return "".join(rng.choice("aAbB#:.[]0 'é💶") for _ in range(rng.randint(1, 6)))
    return rng.choice(("long", "x", "💶")) * rng.choice((300, 2000))


# Values


def random_value(rng: random.Random, world: World, kind: str, depth: int = 0) -> Any:
    """A Python value for a place of this kind; never None at its top."""
    sizes = (0, 1, 1, 2, 3)
    if kind == "free":
        kind = rng.choice((*SCALARS, "text", "whole", *SETS, *(("lines", "entries") * 2 if depth < DEPTH else ())))
        if kind == "whole":  # a document takes no float
            found = rng.choice(NUMBERS) if rng.random() < 0.5 else rng.randint(-2, 5)
            return Decimal(str(found)) if isinstance(found, float) else found
        if kind in SETS:  # nor an empty set
            sizes = (1, 1, 2, 3)
    if kind == "text":
        return rng.choice(TEXTS) if rng.random() < 0.999 else rng.choice(("x", "é", "ab")) * (HUGE // 2)
    if kind == "whole":
        return (
            rng.choice([one for one in NUMBERS if isinstance(one, int)]) if rng.random() < 0.2 else rng.randint(-2, 5)
        )
    if kind == "exact":
        return Decimal(str(rng.choice(NUMBERS)))
    if kind == "blob":
        return rng.choice(BYTES)
    if kind == "flag":
        return rng.random() < 0.5
    if kind in SETS:
        element = {"words": "text", "figures": "exact", "blobs": "blob"}[kind]
        return {random_value(rng, world, element) for _ in range(rng.choice(sizes))}
    if kind == "inner":
        return world.inner(**{one: random_value(rng, world, one, depth + 1) for one in INNER if rng.random() < 0.6})
    count = rng.choice(sizes)
    if kind == "entries":
        return {random_name(rng): random_entry(rng, world, depth + 1) for _ in range(count)}
    return [
        random_value(rng, world, "inner", depth + 1) if kind == "inners" else random_entry(rng, world, depth + 1)
        for _ in range(count)
    ]


def random_entry(rng: random.Random, world: World, depth: int = 1) -> Any:
    """What stands inside a free list or map: None too."""
    return None if rng.random() < 0.08 else random_value(rng, world, "free", depth)


def random_fields(rng: random.Random, world: World) -> dict[str, Any]:
    """The fields of one random object; what is not named is not stored."""
    return {
        field: random_value(rng, world, kind)
        for field, kind in world.kinds.items()
        if kind in SETS or rng.random() < 0.7
    }


def meaning(world: World, value: Any) -> Value:
    """What a Python value is when stored."""
    if value is None or (isinstance(value, (set, frozenset)) and not value):
        return "NULL", None
    if isinstance(value, bool):
        return "BOOL", value
    if isinstance(value, str):
        return "S", value
    if isinstance(value, bytes):
        return "B", value
    if isinstance(value, (int, float, Decimal)):
        return "N", Decimal(str(value))
    if isinstance(value, list):
        return "L", [meaning(world, one) for one in value]
    if isinstance(value, dict):
        return "M", {name: meaning(world, one) for name, one in value.items()}
    if isinstance(value, (set, frozenset)):
        elements = {meaning(world, one) for one in value}
        ((tag, _), *_) = elements
        return f"{tag}S", frozenset(payload for _, payload in elements)
    fields = {field: getattr(value, field) for field in INNER}
    return "M", {
        world.inner_stored[field]: meaning(world, one)
        for field, one in fields.items()
        if one is not None or field == "free"
    }


def item_of(world: World, fields: dict[str, Any]) -> Item:
    """What an object with these fields is when stored."""
    found: Item = {}
    for field, kind in world.kinds.items():
        value = fields.get(field, set() if kind in SETS else None)
        if value is not None or kind == "free":  # None of a document is stored, as its absence would mean the default
            found[world.stored[field]] = meaning(world, value)
    return found


def plain(world: World, value: Value, kind: str) -> Any:
    """A Python value that means this, fit for a place of this kind; None when there is none."""
    tag, payload = value
    if kind != "free" and _KIND_TAGS[kind] != tag:
        return None
    if kind == "inner":
        fields = {field: payload[name] for field, name in world.inner_stored.items() if name in payload}
        found = {field: plain(world, one, field) for field, one in fields.items()}
        return world.inner(**{field: one for field, one in found.items() if one is not None})
    if tag == "N":
        return (
            int(payload) if kind == "whole" or (payload == payload.to_integral() and abs(payload) < 10**9) else payload
        )
    if tag == "L" and kind == "inners":
        return [plain(world, one, "inner") for one in payload if one[0] == "M"]
    if tag == "L":
        return [plain(world, one, "free") for one in payload]
    if tag == "M":
        return {name: plain(world, one, "free") for name, one in payload.items()}
    return set(payload) if tag in {"SS", "NS", "BS"} else payload


_KIND_TAGS = {
    "text": "S", "whole": "N", "exact": "N", "blob": "B", "flag": "BOOL", "words": "SS", "figures": "NS", "blobs": "BS",
    "inner": "M", "inners": "L", "lines": "L", "entries": "M",
}  # fmt: skip
