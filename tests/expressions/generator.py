"""Random expressions: each as the library's own object, and as what it means to the evaluator.

An expression is made for one item, so that its paths are mostly there and its comparisons are often close calls.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple

from .evaluator import ORDERED, Action, At, Item, Literal, Path, SizeOf, Test, find, size_of
from .worlds import INNER, SETS, World, meaning, plain, random_entry, random_name, random_value

COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
NULL_TESTS = {"=": "missing or null", "<>": "present and not null"}
"""What a comparison with None is, and one with an empty set, which is stored as NULL."""
TYPES = ("S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M")


class Place(NamedTuple):
    """A path as the library's object, as the evaluator's, and what it may hold."""

    ours: Any
    path: Path
    kind: str


class Made(NamedTuple):
    """An expression: the library's, and what it means."""

    ours: Any
    meaning: Any


def _possible(place: Place, value: Any) -> Any:
    """The value; for the partition key one that a key can have, since the library compares a key with no other."""
    if place.path != ("pk",) or not isinstance(value, str):
        return value
    return value.encode()[:2000].decode(errors="ignore") or "a"


class Generator:
    """Draws expressions over the items of one world.

    ``keys`` says whether conditions may name the key attributes, ``gentle`` that they are only such as the embedded
    engine understands (docs/engines.md).
    """

    def __init__(self, rng: random.Random, world: World, *, keys: bool = True, gentle: bool = False) -> None:
        self.rng = rng
        self.world = world
        self.gentle = gentle
        self.wild = 0.0 if gentle else 0.05  # the chance of what DynamoDB must refuse
        self.paths = 0.0 if gentle else 0.25  # the chance of an operand that is a path
        self.terms = self._GENTLE if gentle else self._TERMS
        self.roots = [
            Place(getattr(world.model, field), (world.stored[field],), kind) for field, kind in world.kinds.items()
        ]
        self.keyed = [Place(world.model.pk, ("pk",), "text"), Place(world.model.sk, ("sk",), "whole")] if keys else []

    # Places

    def place(self, item: Item, *, keys: bool = False) -> Place:
        """A place in the item; one in six is not there."""
        rng = self.rng
        if keys and self.keyed and rng.random() < 0.03:
            return rng.choice(self.keyed)
        found = rng.choice(self.roots)
        while rng.random() < 0.65:
            inner = self._inside(found, item)
            if inner is None:
                break
            found = inner
        return found

    def _inside(self, place: Place, item: Item) -> Place | None:
        """A place inside another, mostly one that is there."""
        rng, kind = self.rng, place.kind
        value = find(item, place.path)
        tag, payload = value or ("", None)
        if kind == "inner":
            field = rng.choice(INNER)
            part: Any = getattr(self.world.inner, field)
            return Place(place.ours[part], (*place.path, self.world.inner_stored[field]), field)
        if kind not in {"free", "lines", "entries", "inners"}:
            return None
        if kind == "entries" or (kind == "free" and tag == "M"):
            known = bool(payload) and tag == "M" and rng.random() < 0.85
            part = rng.choice(sorted(payload)) if known else random_name(rng)
        elif kind in {"lines", "inners"} or (kind == "free" and tag == "L"):
            length = len(payload) if tag == "L" else 0
            part = rng.randrange(length) if length and rng.random() < 0.85 else rng.choice((0, 1, 2, length, 5, 99))
        elif rng.random() < 0.15:
            part = rng.choice((random_name(rng), 0, 1))
        else:
            return None
        return Place(place.ours[part], (*place.path, part), "inner" if kind == "inners" else "free")

    # Operands

    def value(self, place: Place, item: Item, kind: str | None = None) -> Any:
        """A Python value to compare with what is at a place: often just that, or close to it."""
        rng = self.rng
        wanted = kind or place.kind
        found = find(item, place.path if rng.random() < 0.7 else self.place(item).path)
        if found is not None and rng.random() < 0.7:
            value = plain(self.world, found, wanted)
            if value is not None:
                return _possible(place, self._close_to(value))
        return _possible(place, random_value(rng, self.world, wanted))

    def _close_to(self, value: Any) -> Any:
        chance = self.rng.random()
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool) and abs(value) < 10**9 and chance < 0.3:
            return value + self.rng.choice((-1, 1))
        if isinstance(value, (str, bytes)) and value and chance < 0.3:
            return value[:-1] or value if chance < 0.15 else value + value[:1]
        return value

    def operand(self, place: Place, item: Item) -> Made:
        """A value, or another place."""
        if self.rng.random() < self.paths:
            other = self.place(item, keys=True)
            if other.path != place.path:
                return Made(other.ours, At(other.path, other.kind))
        value = self.value(place, item)
        return Made(value, Literal(meaning(self.world, value)))

    # Conditions

    def condition(self, item: Item) -> Made:
        """A condition of one to a few dozen terms."""
        count = self.rng.choice((1, 1, 1, 2, 2, 3, 4, 5, 8)) if self.rng.random() < 0.99 else 30
        return self._tree(item, count)

    def _tree(self, item: Item, count: int) -> Made:
        if self.rng.random() < 0.2:
            inner = self._tree(item, count) if count > 1 else self.term(item)
            return Made(~inner.ours, Test("NOT", (inner.meaning,)))
        if count == 1:
            return self.term(item)
        first = self.rng.randint(1, count - 1)
        left, right = self._tree(item, first), self._tree(item, count - first)
        if self.rng.random() < 0.5:
            return Made(left.ours & right.ours, Test("AND", (left.meaning, right.meaning)))
        return Made(left.ours | right.ours, Test("OR", (left.meaning, right.meaning)))

    def term(self, item: Item) -> Made:
        """A condition on one place."""
        place = self.place(item, keys=True)
        return self.rng.choice(self.terms)(self, place, item)

    def _compared(self, place: Place, item: Item) -> Made:
        operand = self.operand(place, item)
        ops = tuple(COMPARE)
        if not _may_be_ordered(place, operand) or (not _has_order(operand.meaning) and self.rng.random() >= self.wild):
            ops = ("=", "<>")
        op = self.rng.choice(ops)
        if op in NULL_TESTS and isinstance(operand.ours, set) and not operand.ours:
            return Made(COMPARE[op](place.ours, set()), Test(NULL_TESTS[op], (At(place.path),)))
        return Made(COMPARE[op](place.ours, operand.ours), Test(op, (At(place.path), operand.meaning)))

    def _null(self, place: Place, item: Item) -> Made:
        op = self.rng.choice(tuple(NULL_TESTS))
        return Made(COMPARE[op](place.ours, None), Test(NULL_TESTS[op], (At(place.path),)))

    def _between(self, place: Place, item: Item) -> Made:
        low, high = self.operand(place, item), self.operand(place, item)
        if not (_may_be_ordered(place, low) and _may_be_ordered(place, high)):
            return self._compared(place, item)
        if not (_has_order(low.meaning) and _has_order(high.meaning)) and self.rng.random() >= self.wild:
            return self._compared(place, item)
        if isinstance(low.meaning, Literal) and isinstance(high.meaning, Literal) and self.rng.random() >= self.wild:
            low, high = sorted((low, high), key=lambda one: _sort_key(one.meaning.value))
            if low.meaning.value[0] != high.meaning.value[0]:
                high = low
        ours = place.ours.between(low.ours, high.ours)
        return Made(ours, Test("BETWEEN", (At(place.path), low.meaning, high.meaning)))

    def _in(self, place: Place, item: Item) -> Made:
        count = self.rng.choice((1, 2, 3, 4)) if self.rng.random() < 0.99 else 100
        values = [self.value(place, item) for _ in range(count)]
        if self.rng.random() < 0.15:
            values[self.rng.randrange(count)] = None
        meant = tuple(Literal(meaning(self.world, one)) for one in values if one is not None and one != set())
        test = Test("IN", (At(place.path), *meant))
        if len(meant) < count:
            test = Test("OR", (Test("missing or null", (At(place.path),)), test))
        return Made(place.ours.in_(values), test)

    def _begins_with(self, place: Place, item: Item) -> Made:
        if place.kind not in {"free", "text", "blob"}:
            return self._compared(place, item)
        kind = {"free": self.rng.choice(("text", "blob")), "blob": "blob"}.get(place.kind, "text")
        prefix = self.value(place, item, kind)
        if self.rng.random() < 0.5:
            prefix = prefix[: self.rng.randint(0, len(prefix))]
        operand = Literal(meaning(self.world, prefix))
        return Made(place.ours.begins_with(prefix), Test("begins_with", (At(place.path), operand)))

    def _contains(self, place: Place, item: Item) -> Made:
        kind = _ELEMENT.get(place.kind)
        if kind is None:
            return self._compared(place, item)
        element = self._element(place, item, kind)
        return Made(
            place.ours.contains(element), Test("contains", (At(place.path), Literal(meaning(self.world, element))))
        )

    def _element(self, place: Place, item: Item, kind: str) -> Any:
        """An element of what is there, or a part of a text, or something else."""
        tag, payload = find(item, place.path) or ("", None)
        if payload and self.rng.random() < 0.6:
            if tag in {"S", "B"} and kind in {"free", "text", "blob"}:
                start = self.rng.randrange(len(payload))
                return payload[start : start + self.rng.choice((1, 2, 5))]
            if tag in {"SS", "NS", "BS"}:
                return self.rng.choice(sorted(payload))
            if tag == "L":
                value = plain(self.world, self.rng.choice(payload), kind)
                return random_value(self.rng, self.world, kind) if value is None else value
        return random_entry(self.rng, self.world) if kind == "free" else random_value(self.rng, self.world, kind)

    def _presence(self, place: Place, item: Item) -> Made:
        if self.rng.random() < 0.5:
            return Made(place.ours.exists(), Test("attribute_exists", (At(place.path),)))
        return Made(place.ours.not_exists(), Test("attribute_not_exists", (At(place.path),)))

    def _type(self, place: Place, item: Item) -> Made:
        found = find(item, place.path)
        tag = found[0] if found is not None and self.rng.random() < 0.6 else self.rng.choice(TYPES)
        return Made(place.ours.attribute_type(tag), Test("attribute_type", (At(place.path), Literal(("S", tag)))))

    def _size(self, place: Place, item: Item) -> Made:
        if place.kind in {"whole", "exact", "flag"}:
            return self._compared(place, item)
        size, left = place.ours.size(), SizeOf(place.path, place.kind in SETS)
        count = self._count(place, item)
        if self.rng.random() < 0.2:
            more = count + self.rng.choice((0, 0, 1, 3))
            meant = (left, Literal(("N", Decimal(count))), Literal(("N", Decimal(more))))
            return Made(size.between(count, more), Test("BETWEEN", meant))
        op = self.rng.choice(tuple(COMPARE))
        if self.rng.random() < 0.15:
            other = self.place(item, keys=True)
            if _TAGS.get(other.kind, "N") == "N":
                return Made(COMPARE[op](size, other.ours), Test(op, (left, At(other.path))))
        return Made(COMPARE[op](size, count), Test(op, (left, Literal(("N", Decimal(count))))))

    def _count(self, place: Place, item: Item) -> int:
        tag, payload = find(item, place.path) or ("", None)
        if tag in {"N", "BOOL", "NULL", ""} or self.rng.random() < 0.2:
            return self.rng.randint(0, 4)
        return size_of((tag, payload)) + self.rng.choice((0, 0, 1))

    _TERMS = (
        _compared, _compared, _compared, _compared, _null, _between, _in, _begins_with, _contains, _contains, _presence,
        _type, _size,
    )  # fmt: skip

    _GENTLE = (_compared, _compared, _compared, _null, _between, _in, _presence, _type)

    # Projections

    def projection(self, item: Item) -> Made:
        """One to six places, of which ministack understands one (it takes a and a.b for overlapping)."""
        count = 1 if self.gentle else self.rng.choice((1, 1, 2, 3, 4, 6))
        places = [self.place(item, keys=True) for _ in range(count)]
        if self.rng.random() < 0.9:
            places = _apart(places)
        return Made([one.ours for one in places], [one.path for one in places])

    # Updates

    def update(self, item: Item) -> Made:
        """One to five changes to the item."""
        places = [self.place(item) for _ in range(self.rng.choice((1, 1, 2, 3, 5)))]
        if self.rng.random() < 0.95:
            places = _apart(places)
        made = [self.change(place, item) for place in places]
        return Made([one.ours for one in made], [one.meaning for one in made])

    def change(self, place: Place, item: Item) -> Made:
        """A change to one place, of a kind that the library has for what it may hold."""
        rng, ours, path = self.rng, place.ours, place.path
        kind = place.kind
        tag = (find(item, path) or ("",))[0]
        verbs = ["set", "set", "set", "copy", "none", "remove", "remove", "if_not_exists"]
        if kind in {"whole", "exact"} or (kind == "free" and (tag in {"N", ""} or rng.random() < 0.05)):
            verbs += ["add"] * 3
        if kind in SETS or (kind == "free" and (tag in {"SS", "NS", "BS", ""} or rng.random() < 0.05)):
            verbs += ["add_to_set", "add_to_set", "delete_from_set", "delete_from_set"]
        if kind in {"lines", "inners"} or (kind == "free" and (tag == "L" or rng.random() < 0.05)):
            verbs += ["append", "prepend", "append_or_create", "append_or_create", "extend", "extend_or_create"]
        verb = rng.choice(verbs)
        if verb == "remove":
            return Made(ours.remove(), Action("remove", path))
        if verb == "none":
            if kind == "free":  # a document may be None
                return Made(ours.set(None), Action("set", path, Literal(("NULL", None))))
            if isinstance(path[-1], int) or kind in SETS:  # an element of a list of models cannot be None, nor a set
                return Made(ours.remove(), Action("remove", path))
            return Made(ours.set(None), Action("remove", path))
        if verb == "copy":
            return self._copy(place, item)
        if verb == "add":
            step = rng.choice(_STEPS[kind])
            return Made(ours.add(step), Action("add", path, Literal(meaning(self.world, step))))
        if verb in {"add_to_set", "delete_from_set"}:
            elements = self._elements(place, item)
            action = Action(verb, path, Literal(meaning(self.world, elements)))
            return Made(ours.add(elements) if verb == "add_to_set" else ours.delete(elements), action)
        if verb in {"append", "prepend", "append_or_create"}:
            element = random_value(rng, self.world, "inner") if kind == "inners" else random_entry(rng, self.world)
            return Made(getattr(ours, verb)(element), Action(verb, path, Literal(meaning(self.world, element))))
        if verb in {"extend", "extend_or_create"}:
            count = rng.choice((0, 1, 2, 3))
            more = [
                random_value(rng, self.world, "inner") if kind == "inners" else random_entry(rng, self.world)
                for _ in range(count)
            ]
            return Made(getattr(ours, verb)(more), Action(verb, path, Literal(meaning(self.world, more))))
        value = self.value(place, item)
        return Made(getattr(ours, verb)(value), Action(verb, path, Literal(meaning(self.world, value))))

    def _copy(self, place: Place, item: Item) -> Made:
        """Take over what stands elsewhere; a typed place takes only its own type."""
        for _ in range(8):
            other = self.place(item)
            if other.path != place.path and place.kind in {"free", other.kind}:
                verb = self.rng.choice(("set", "set", "if_not_exists"))
                return Made(getattr(place.ours, verb)(other.ours), Action(verb, place.path, At(other.path)))
        return Made(place.ours.remove(), Action("remove", place.path))

    def _elements(self, place: Place, item: Item) -> set[Any]:
        rng = self.rng
        tag, payload = find(item, place.path) or ("", None)
        kind = place.kind if place.kind in SETS else {"NS": "figures", "BS": "blobs"}.get(tag, "words")
        if place.kind == "free" and rng.random() < 0.05:
            kind = rng.choice(SETS)
        found = random_value(rng, self.world, kind)
        if tag in {"SS", "NS", "BS"} and {"words": "SS", "figures": "NS", "blobs": "BS"}[kind] == tag:
            found |= {one for one in payload if rng.random() < 0.6}
        while not found:
            found = random_value(rng, self.world, kind)
        return found


_EXACT = (1, -1, Decimal("0.1"), Decimal("-1.5"), Decimal("-1E-20"), 10**37, Decimal("1E+100"), Decimal("9E+125"))
_STEPS = {"whole": (1, -1, 5, 10**37), "exact": _EXACT, "free": (*_EXACT, 1.5)}
_ELEMENT = {
    "free": "free", "text": "text", "blob": "blob", "words": "text", "figures": "exact", "blobs": "blob",
    "lines": "free", "entries": None, "inners": "inner",
}  # fmt: skip


def _apart(places: list[Place]) -> list[Place]:
    """Those of the places that neither meet nor lie in one another."""
    found: list[Place] = []
    for one in places:
        if not any(one.path[: len(other.path)] == other.path[: len(one.path)] for other in found):
            found.append(one)
    return found


_TAGS = {
    "text": "S", "whole": "N", "exact": "N", "blob": "B", "flag": "BOOL", "words": "SS", "figures": "NS", "blobs": "BS",
    "lines": "L", "entries": "M", "inner": "M", "inners": "L",
}  # fmt: skip
"""How what is at a place is stored; of a free one only its value tells."""


def _may_be_ordered(place: Place, operand: Made) -> bool:
    """Whether the library orders what is at the place by such an operand."""
    tag = _TAGS.get(place.kind, "")
    if tag and tag not in ORDERED:
        return False
    if not isinstance(operand.meaning, At):
        return True
    other = _TAGS.get(operand.meaning.kind, "")
    return not other or (other in ORDERED and tag in {"", other})


def _has_order(operand: Any) -> bool:
    return not isinstance(operand, Literal) or operand.value[0] in ORDERED


def _sort_key(value: Any) -> Any:
    tag, payload = value
    return (tag, payload) if tag in ORDERED else (tag, 0)
