"""The planner: which table or index answers a request, and what of it is key condition and what is filter.

The same request always gets the same plan, whatever the order of its terms. It must not know how a query is sent.

Of the tables and indexes whose partition key the terms give, one is taken so: those whose whole key is given go first;
then the table before its indexes; then the most key attributes given; then a local index before a global one; then the
name. An index that may lack items or attributes is taken only when asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from dynamorm.codec.system import text_wire
from dynamorm.errors import ValidationError
from dynamorm.expression_compile import check_paths
from dynamorm.expression_tree import Comparison, Condition, Location, Wire, paths, terms
from dynamorm.schema import Index, Key, Schema, Unique, key_parts

from . import refusals
from .plan import Plan
from .request import Request

RANGES = frozenset({"<", "<=", ">", ">=", "BETWEEN", "begins_with"})
"""The operators that a sort key takes besides ``=``."""
MAX_IN = 100
"""Operands of IN. Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html"""
Used = tuple[tuple[Comparison, ...], frozenset[int]]
"""The comparisons of a key condition, and the numbers of the terms that they stand for."""


class Chosen(Struct, frozen=True):
    """Where a request goes: the table (``index`` None) or an index, as a Query, or as a Scan.

    ``terms`` is the key condition, ``filters`` the rest. ``holds`` are the fields that the index holds of each item, None
    when it holds all. ``partitions`` are the values of the partition key to ask one by one, where a key is sharded;
    empty for the usual one. ``family`` says that objects of other classes are to be left out after hydrating, because
    the index does not hold what tells them apart. ``why`` is the reason in words.
    """

    index: Index | None
    terms: tuple[Comparison, ...]
    filters: tuple[Condition, ...] = ()
    scan: bool = False
    holds: frozenset[str] | None = None
    partitions: tuple[Any, ...] = ()
    family: bool = False
    why: str = ""


def choose(plan: Plan, request: Request) -> Chosen:
    """The table or index that answers the request. Raises ValidationError when there is none."""
    schema = plan.codec.schema
    found = _flat(schema, request.conditions)
    filters = _flat(schema, request.filters) if request.filters else ()
    tagged = _tagged(schema) if schema.discriminator is not None else None
    asked = _Asked(plan, request, found, filters if tagged is None else (*filters, tagged), tagged)
    if request.segments is not None:
        return asked.scanned()
    if request.index is not None:
        return asked.named(_named(schema, request.index))
    used = asked.fits(schema.key)
    if used is not None and len(used[1]) == len(found) and asked.sound(schema.key, used):
        return asked.chosen(None, used, "the table's key takes every term")
    return asked.best(used)


class _Asked:
    """A request taken apart: its terms by what a key can do with them."""

    __slots__ = ("equals", "filters", "found", "plan", "ranges", "request", "schema", "tagged")

    def __init__(
        self,
        plan: Plan,
        request: Request,
        found: tuple[Condition, ...],
        filters: tuple[Condition, ...],
        tagged: Condition | None,
    ) -> None:
        self.plan = plan
        self.schema = plan.codec.schema
        self.request = request
        self.found = found
        self.filters = filters
        self.tagged = tagged
        self.equals: dict[str, tuple[Comparison, frozenset[int]]] = {}
        self.ranges: dict[str, tuple[Comparison, frozenset[int]]] = {}
        for number, term in enumerate(found):
            if term.__class__ is Comparison and len(term.path.parts) == 1:  # type: ignore[attr-defined] # a Comparison
                self._sort(number, term)  # type: ignore[arg-type] # as above

    def _sort(self, number: int, term: Comparison) -> None:
        name, op = term.path.field.name, term.op
        if op == "=":
            known = self.equals
        elif op in RANGES:
            known = self.ranges
        else:
            return
        for one in term.operands:
            if isinstance(one, Location):
                return  # a key is compared with values only
        before = known.get(name)
        if before is None:
            known[name] = term, frozenset((number,))
            return
        joined = _joined(before[0], term)
        if joined is not None:
            known[name] = joined, before[1] | {number}

    # --------------------------------------------------------------------------------------------------- one candidate

    def fits(self, key: Key | Index | None) -> Used | None:
        """What of the terms becomes a condition on this key; None when they do not give its partition."""
        assert key is not None  # a plan is made only for a model with a key
        equals, ranges = self.equals, self.ranges
        if getattr(self.plan.codec, "composites", None):
            from . import parts

            equals, ranges = dict(equals), dict(ranges)
            for term, stands_for in parts.rewrite(self.plan, key, self.found):
                (equals if term.op == "=" else ranges).setdefault(term.path.field.name, (term, stands_for))
        partition, sort = key_parts(key)
        taken: list[Comparison] = []
        numbers: frozenset[int] = frozenset()
        for name in partition:
            one = equals.get(name)
            if one is None:
                return None
            taken.append(one[0])
            numbers |= one[1]
        for name in sort:
            one = equals.get(name) or ranges.get(name)
            if one is None:
                break
            taken.append(one[0])
            numbers |= one[1]
            if one[0].op != "=":
                break
        return tuple(taken), numbers

    def rest(self, used: Used) -> tuple[Condition, ...]:
        """The terms that are left for the filter."""
        left = tuple(term for number, term in enumerate(self.found) if number not in used[1])
        return left + self.filters

    def sound(self, key: Key | Index | None, used: Used) -> bool:
        """Whether the order is right and no filter names an attribute of the key, which DynamoDB refuses."""
        assert key is not None  # as in `fits`
        if self.request.order is not None and self.request.order not in _order(key, used):
            return False
        if not self.filters and len(used[1]) == len(self.found):
            return True
        return not _named_in(self.rest(used), key.fields)

    def whole(self, index: Index, used: Used) -> str | None:
        """What an index may lack, in words; None when it answers just as the table would."""
        if self.request.consistent and index.kind == "GSI":
            return "is only eventually consistent"
        rest = self.rest(used)
        lacks = [name for name in index.fields if not self._stored(name, used[0], rest)]
        if lacks:
            return f"leaves out items without {' or '.join(lacks)}"
        holds = held(self.schema, index)
        if holds is None:
            return None
        if _outside(rest, holds) or self.tagged is not None:
            return "does not hold what the filter names"
        if self.request.hydrate or (
            self.request.select and all(place.field.name in holds for place in self.request.select)
        ):
            return None
        return "holds only part of each item"

    def _stored(self, name: str, used: Iterable[Comparison], rest: Iterable[Condition]) -> bool:
        """Whether every item that the request is about has the attribute."""
        if any(term.path.field.name == name for term in used) or _always_stored(self.plan, name):
            return True
        return any(_demands(self.plan, term, name) for term in rest)

    # --------------------------------------------------------------------------------------------------- the decision

    def best(self, of_table: Used | None) -> Chosen:
        """The best of all candidates, or a scan where that is allowed."""
        fitting: list[tuple[Index | None, Used]] = [] if of_table is None else [(None, of_table)]
        for index in self.schema.indexes.values():
            used = self.fits(index)
            if used is not None:
                fitting.append((index, used))
        sound = [one for one in fitting if self.sound(self.schema.key if one[0] is None else one[0], one[1])]
        problems: list[tuple[Index, str]] = []
        best: tuple[tuple[Any, ...], Index | None, Used] | None = None
        for index, used in sound:
            problem = None if index is None else self.whole(index, used)
            if index is not None and problem is not None:
                problems.append((index, problem))
                continue
            rank = self._rank(index, used)
            if best is None or rank < best[0]:
                best = rank, index, used
        if best is not None:
            return self.chosen(best[1], best[2], _reason(best[0], len(sound)))
        if self.request.scan_allowed:
            return self.scanned()
        raise refusals.no_plan(self.schema, self.request, self.found, [one[0] for one in fitting], problems)

    def _rank(self, index: Index | None, used: Used) -> tuple[Any, ...]:
        key = self.schema.key if index is None else index
        assert key is not None  # as in `fits`
        part = len(used[0]) < len(key.fields)
        if index is None:
            return part, 0, -len(used[0]), 0, ""
        return part, 1, -len(used[0]), int(index.kind == "GSI"), index.name

    def chosen(self, index: Index | None, used: Used, why: str) -> Chosen:
        """The plan of a Query."""
        family = False
        holds = None if index is None else held(self.schema, index)
        if len(used[1]) < len(self.found) or self.filters:
            rest = self.rest(used)
            if holds is not None and self.tagged is not None:
                family, rest = True, rest[:-1]
            return Chosen(index, used[0], rest, holds=holds, family=family, why=why)
        return Chosen(index, used[0], holds=holds, why=why)

    def named(self, index: Index) -> Chosen:
        """The plan for an index that was asked for by name: it may lack items or attributes."""
        used = self.fits(index)
        if used is None:
            if self.request.scan_allowed:
                return self.scanned(index)
            raise refusals.unfit(self.schema, index, self.found)
        refusals.check_consistent(self.schema, self.request, index)
        refusals.check_order(self.schema, self.request, index, _order(index, used))
        self._check_held(index, self.rest(used), scan=False)
        return self.chosen(index, used, "asked for by name")

    def scanned(self, index: Index | None = None) -> Chosen:
        """The plan of a Scan."""
        if index is None and self.request.index is not None:
            index = _named(self.schema, self.request.index)
        refusals.check_consistent(self.schema, self.request, index)
        refusals.check_scan_order(self.schema, self.request)
        rest = (*self.found, *_without_guards(self.plan), *self.filters)
        if index is not None:
            rest = (*self.found, *self.filters)
            self._check_held(index, rest, scan=True)
        holds = None if index is None else held(self.schema, index)
        if holds is not None and self.tagged is not None:
            return Chosen(index, (), rest[:-1], scan=True, holds=holds, family=True, why="a scan was allowed")
        return Chosen(index, (), rest, scan=True, holds=holds, why="a scan was allowed")

    def _check_held(self, index: Index, rest: tuple[Condition, ...], *, scan: bool) -> None:
        """A filter on what the index does not hold would be false of every item; one on its key is refused."""
        holds = held(self.schema, index)
        if holds is not None:
            if self.tagged is not None:
                rest = rest[:-1]
            refusals.check_holds(self.schema, self.request, index, _outside(rest, holds), tagged=self.tagged is not None)
        if not scan:
            on_key = _named_in(rest, index.fields)
            if on_key:
                raise refusals.on_key(self.schema, index, rest, on_key)


def _order(key: Key | Index, used: Used) -> tuple[str, ...]:
    """The fields that a query's items come sorted by, as far as one may ask for it: any one of the sort key's."""
    sort = key_parts(key)[1]
    fixed = {term.path.field.name for term in used[0] if term.op == "="}
    for position, name in enumerate(sort):
        if name not in fixed:
            return sort[: position + 1]
    return sort


def _reason(rank: tuple[Any, ...], candidates: int) -> str:
    if candidates == 1:
        return "the only one whose key the terms give"
    if not rank[0]:
        return "the terms give its whole key" + ("" if rank[1] else ", and the table goes before its indexes")
    return "the table goes before its indexes" if not rank[1] else "the terms give the most of its key"


def _flat(schema: Schema, conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The terms that must all be true, whether they were given apart or joined with &."""
    found: list[Condition] = []
    for condition in conditions:
        joined = terms(condition)
        check_paths(schema, condition)
        if len(joined) == 1:
            found += joined
        else:
            found += _flat_terms(joined)
    return tuple(found)


def _flat_terms(joined: tuple[Condition, ...]) -> list[Condition]:
    flat: list[Condition] = []
    for one in joined:
        flat += _flat_terms(one.operands) if one.op == "AND" else [one]
    return flat


def _joined(first: Comparison, second: Comparison) -> Comparison | None:
    """Two terms on one attribute as one, where that says the same: ``>=`` with ``<=``, or the same term twice."""
    if first.op == second.op:
        # An operand may be of any class; only what is surely the same is one term.
        same = all(
            one.__class__ is two.__class__ and one == two
            for one, two in zip(first.operands, second.operands, strict=True)
        )
        return first if same else None
    if (first.op, second.op) == (">=", "<="):
        return Comparison("BETWEEN", (first.operands[0], second.operands[0]), first.path)
    if (first.op, second.op) == ("<=", ">="):
        return Comparison("BETWEEN", (second.operands[0], first.operands[0]), first.path)
    return None


def _named_in(conditions: Iterable[Condition], fields: Iterable[str]) -> set[str]:
    wanted = set(fields)
    return {path.field.name for condition in conditions for path in paths(condition)} & wanted


def _outside(conditions: Iterable[Condition], holds: frozenset[str]) -> set[str]:
    return {path.field.name for condition in conditions for path in paths(condition) if path.field.owner} - holds


def _always_stored(plan: Plan, name: str) -> bool:
    """Whether every item has the attribute; the library's own have no value only until the first write."""
    found = plan.codec.plans[name]
    return found.field.role in {"version", "created_at", "updated_at"} or not (found.nullable or found.field.omit_empty)


def _demands(plan: Plan, term: Condition, name: str) -> bool:
    """Whether the term is false of an item without the attribute."""
    if not isinstance(term, Comparison) or term.path.field.name != name or len(term.path.parts) > 1:
        return False
    if term.op in {"<>", "null", "attribute_not_exists"}:
        return False
    if term.op == "=" and not isinstance(term.operands[0], Location):
        # Equal to what is never stored is what is missing.
        value = term.operands[0]
        return isinstance(value, Wire) or plan.operand(term.path, value, "value") is not None
    return True


def held(schema: Schema, index: Index) -> frozenset[str] | None:
    """The fields that an index holds of each item; None for all."""
    if index.projection == "ALL":
        return None
    assert schema.key is not None  # as in `_Asked.fits`
    more = index.projection if isinstance(index.projection, tuple) else ()
    return frozenset((*schema.key.fields, *index.fields, *more))


def _named(schema: Schema, wanted: str) -> Index:
    for index in schema.indexes.values():
        if index.name == wanted:
            return index
    raise refusals.no_index(schema, wanted)


def _without_guards(plan: Plan) -> tuple[Condition, ...]:
    """The filter of a scan that leaves out the guards of unique attributes, which are stored in the same table."""
    if all(field.option(Unique) is None for field in plan.codec.schema.fields.values()):
        return ()
    from .unique_flows import no_guards

    return (no_guards(plan),)


def _tagged(schema: Schema) -> Condition | None:
    """The filter that keeps the siblings of a class out; None for the root of a family."""
    from dynamorm.codec.family import tags_of  # only for models that share a table

    tags = tags_of(schema)
    if not tags:
        return None
    from dynamorm.expression import system_path

    path = system_path(schema.discriminator or "")
    wires = [Wire(text_wire(tag)) for tag in tags]
    if len(wires) == 1:
        return Comparison("=", (wires[0],), path)
    parts = [Comparison("IN", tuple(wires[at : at + MAX_IN]), path) for at in range(0, len(wires), MAX_IN)]
    return parts[0] if len(parts) == 1 else Condition("OR", tuple(parts))
