"""The planner: which table or index answers a request, and what of it is key condition and what is filter.

The same request always gets the same plan, whatever the order of its terms. It must not know how a query is sent.

Of the tables and indexes whose partition key the terms give, one is taken so: those whose whole key is given go first;
then the table before its indexes; then the most key attributes given; then a local index before a global one; then the
name. An index that may lack items or attributes is taken only when asked for by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.errors import ValidationError
from dynamorm.models.expressions.tree import Comparison, Condition, Location
from dynamorm.models.schema.schema import Index, Key, Schema, key_parts
from dynamorm.ops.reads import key_conditions
from dynamorm.ops.reads.searched import searched
from dynamorm.ops.reads.terms import (
    PRESENT,
    RANGES,
    always_stored,
    flat,
    joined,
    named_in,
    outside,
    sibling_filter,
    without_guards,
)
from dynamorm.ops.requests import ModelRequests

from . import refusals
from .request import Request
from .ruled import ruled

if TYPE_CHECKING:
    from dynamorm.ops.reads.read_rules import ReadRules

_NOWHERE: Final[frozenset[int]] = frozenset()

Used = tuple[tuple[Comparison, ...], frozenset[int]]
"""The comparisons of a key condition, and the numbers of the terms that they stand for."""


class QueryPlan(Struct, frozen=True):
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


def choose(
    plan: ModelRequests,
    request: Request,
    within: tuple[Condition, ...] | None = None,
    more: tuple[Condition, ...] = (),
) -> QueryPlan:
    """The table or index that answers the request, with what rules add to it. Raises: ValidationError when there is none.

    ``within`` are those of the conditions that must become a part of the partition key, unless the whole key of the table is
    given, and ``more`` are conditions besides those of the request: they are given where rules were asked already.
    """
    rules = plan.read_rules
    if rules is not None and (within is not None or not rules.adds):
        rules = None
    if rules is not None and rules.known_query is None:
        return ruled(plan, rules, request, choose)
    schema = plan.codec.schema
    terms = flat(schema, request.conditions + more if more else request.conditions)
    filters = flat(schema, request.filters) if request.filters else ()
    if plan.codec.placed:
        terms, filters = searched(plan, terms), searched(plan, filters)
    tagged = sibling_filter(schema) if schema.discriminator is not None else None
    candidates = _Candidates(plan, request, terms, filters if tagged is None else (*filters, tagged), tagged)
    if rules is not None:
        own = candidates.known(rules)
        if own is None:
            return _ruled(plan, rules, request)
        candidates.within = own
    elif within:
        candidates.within = _places(within, terms)
    if request.segments is not None:
        refusals.check_scan_allowed(schema, request)
        return candidates.as_scan()
    if request.index is not None:
        return candidates.by_name(_named(schema, request.index))
    used = candidates.fits(schema.key)
    if (
        used is not None
        and len(used[1]) == len(terms)
        and ((request.order is None and not candidates.filters) or candidates.sound(schema.key, used))
    ):
        why = "the table's key takes every term"
        if not candidates.filters and not plan.codec.composites:
            return QueryPlan(None, used[0], why=why)
        return candidates.as_query(None, used, why)
    return candidates.best(used)


def _ruled(plan: ModelRequests, rules: ReadRules, request: Request) -> QueryPlan:
    """What is chosen for a request that does not say itself what the rules know of it."""
    condition = rules.lacking(request.conditions + request.filters)
    if condition is not None:
        try:
            return choose(plan, request, (condition,), (condition,))
        except ValidationError:  # whose mistake it is, is found out there
            pass
    return ruled(plan, rules, request, choose)


def _places(conditions: tuple[Condition, ...], terms: tuple[Condition, ...]) -> frozenset[int]:
    """The numbers of conditions among the terms; -1 for one that is none of them."""
    numbers = {id(term): number for number, term in enumerate(terms)}
    return frozenset(numbers.get(id(condition), -1) for condition in conditions)


class _Candidates:
    """The table and the indexes as candidates for one request, whose terms are sorted by what a key can do with each.

    ``equals`` and ``ranges`` hold, by field name, the comparison that a key could take and the numbers of the terms it
    stands for; ``present`` the numbers of the terms that only say that the attribute is there. ``tagged`` is the filter
    that keeps sibling classes out; it is then the last of ``filters``. ``within`` are the numbers of the terms that must become
    a part of the partition key, unless the whole key of the table is given. ``is_odd``: two terms contradict each other, or one
    is no comparison with one value.
    """

    __slots__ = (
        "equals",
        "filters",
        "is_odd",
        "plan",
        "present",
        "ranges",
        "request",
        "schema",
        "tagged",
        "terms",
        "within",
    )

    def __init__(
        self,
        plan: ModelRequests,
        request: Request,
        terms: tuple[Condition, ...],
        filters: tuple[Condition, ...],
        tagged: Condition | None,
    ) -> None:
        self.plan = plan
        self.schema = plan.codec.schema
        self.request = request
        self.terms = terms
        self.filters = filters
        self.tagged = tagged
        self.within: frozenset[int] = _NOWHERE
        self.is_odd: bool = False
        self.equals: dict[str, tuple[Comparison, frozenset[int]]] = {}
        self.ranges: dict[str, tuple[Comparison, frozenset[int]]] = {}
        self.present: dict[str, set[int]] = {}
        for number, term in enumerate(terms):
            if isinstance(term, Comparison) and len(term.path.parts) == 1:
                self._sort(number, term)

    def _sort(self, number: int, term: Comparison) -> None:
        name, op = term.path.field.name, term.op
        if op == "IN" and len(term.operands) == 1:
            term, op = Comparison("=", term.operands, term.path), "="
            self.is_odd = True
        if op == "=" or (isinstance(term, key_conditions.Found)):
            comparisons = self.equals
        elif op in RANGES:
            comparisons = self.ranges
        else:
            if op in PRESENT:
                self.present.setdefault(name, set()).add(number)
            return
        for operand in term.operands:
            if isinstance(operand, Location):
                self.is_odd = True
                return  # a key is compared with values only
        before = comparisons.get(name)
        if before is None:
            comparisons[name] = term, frozenset((number,))
            return
        combined = joined(before[0], term)
        if combined is not None:
            comparisons[name] = combined, before[1] | {number}
        else:
            self.is_odd = True

    def known(self, rules: ReadRules) -> frozenset[int] | None:
        """The numbers of the terms by which it is known what rules add, which is nothing else; None where they must be asked."""
        own = self.equals.get(rules.known_name)
        if own is None or self.is_odd:
            return None
        value = own[0].operands[0]
        if value.__class__ is not str or value != rules.known_text:
            return None
        for other in rules.known_others:
            if other in self.equals:
                return None
        if self.filters and named_in(self.filters, (rules.known_name, *rules.known_others)):
            return None
        return own[1]

    # --------------------------------------------------------------------------------------------------- one candidate

    def fits(self, key: Key | Index | None) -> Used | None:
        """What of the terms becomes a condition on this key; None when they do not give its partition."""
        assert key is not None  # a plan is made only for a model with a key
        equals, ranges = self.equals, self.ranges
        if self.plan.codec.composites:
            equals, ranges = dict(equals), dict(ranges)
            for term, stands_for in key_conditions.rewrite(self.plan, key, self.terms):
                (equals if term.op == "=" else ranges).setdefault(term.path.field.name, (term, stands_for))
        partition, sort = key_parts(key)
        taken: list[Comparison] = []
        numbers: frozenset[int] = frozenset()
        for name in partition:
            given = equals.get(name)
            if given is None:
                return None
            taken.append(given[0])
            numbers |= given[1]
        of_partition = numbers
        for name in sort:
            given = equals.get(name) or ranges.get(name)
            if given is None:
                break
            taken.append(given[0])
            numbers |= given[1]
            if given[0].op != "=":
                break
        if self.within and not self.within <= of_partition and not self._is_whole(key, taken):
            return None
        if self.present:  # whatever is in an index has the attributes of its key
            numbers = numbers.union(*(self.present.get(name, ()) for name in key.fields))
        return tuple(taken), numbers

    def _is_whole(self, key: Key | Index, taken: list[Comparison]) -> bool:
        """Whether the whole key of the table is given."""
        return key is self.schema.key and [term.op for term in taken] == ["="] * len(key.fields)

    def filter_terms(self, used: Used) -> tuple[Condition, ...]:
        """The terms that are left for the filter."""
        left = tuple(term for number, term in enumerate(self.terms) if number not in used[1])
        return left + self.filters

    def sound(self, key: Key | Index | None, used: Used) -> bool:
        """Whether the order is right and no filter names an attribute of the key, which DynamoDB refuses."""
        assert key is not None  # as in `fits`
        if self.request.order is not None and self.request.order not in self.orders(key, used):
            return False
        if not self.filters and len(used[1]) == len(self.terms):
            return True
        return not named_in(self.filter_terms(used), key.fields)

    def orders(self, key: Key | Index, used: Used) -> tuple[str, ...]:
        """The fields that the items may be asked to be sorted by."""
        names = _order(key, used)
        if self.plan.codec.composites:
            names += key_conditions.orders(self.plan, key, self.terms)
        return names

    def whole(self, index: Index, used: Used) -> str | None:
        """What an index may lack, in words; None when it answers just as the table would."""
        if index.only_if:
            return (
                f"holds the items alone whose {' and '.join(name for name, _ in index.only_if)} is as its only_if says"
            )
        if self.request.consistent and index.kind == "GSI":
            return "is only eventually consistent"
        filter_terms = self.filter_terms(used)
        lacks = [name for name in index.fields if not self._stored(name, used[0])]
        if lacks:
            return f"leaves out items without {' or '.join(lacks)}"
        holds = held(self.schema, index)
        if holds is None:
            return None
        if outside(filter_terms, holds) or self.tagged is not None:
            return "does not hold what the filter names"
        if not self.request.hydrate and lacks_needed(self.plan, holds):
            return "does not hold what a rule of the model looks at"
        if self.request.hydrate or (
            self.request.select and all(place.field.name in holds for place in self.request.select)
        ):
            return None
        return "holds only part of each item"

    def _stored(self, name: str, used: Iterable[Comparison]) -> bool:
        """Whether every item that the request is about has the attribute."""
        return (
            name in self.present or any(term.path.field.name == name for term in used) or always_stored(self.plan, name)
        )

    # --------------------------------------------------------------------------------------------------- the decision

    def best(self, of_table: Used | None) -> QueryPlan:
        """The best of all candidates, or a scan where that is allowed."""
        fitting: list[tuple[Index | None, Used]] = [] if of_table is None else [(None, of_table)]
        own = set() if of_table is None else {term.path.field.name for term in of_table[0]}
        for index in self.schema.indexes.values():
            used = self.fits(index)
            # An index that adds nothing but another order is read only when that order is asked for.
            if used is not None and (
                self.request.order is not None or not own.issuperset(term.path.field.name for term in used[0])
            ):
                fitting.append((index, used))
        sound = [
            (candidate, used)
            for candidate, used in fitting
            if self.sound(self.schema.key if candidate is None else candidate, used)
        ]
        problems: list[tuple[Index, str]] = []
        best: tuple[tuple[Any, ...], Index | None, Used] | None = None
        for candidate, used in sound:
            problem = None if candidate is None else self.whole(candidate, used)
            if candidate is not None and problem is not None:
                problems.append((candidate, problem))
                continue
            rank = self._rank(candidate, used)
            if best is None or rank < best[0]:
                best = rank, candidate, used
        if best is not None:
            return self.as_query(best[1], best[2], _reason(best[0], len(sound), ordered=self.request.order is not None))
        if self.request.scan_allowed:
            return self.as_scan()
        near = (fitting[0][0], self.filter_terms(fitting[0][1])) if fitting else None
        raise refusals.no_plan(self.schema, self.request, self.terms, near, problems)

    def _rank(self, index: Index | None, used: Used) -> tuple[Any, ...]:
        key = self.schema.key if index is None else index
        assert key is not None  # as in `fits`
        part = len(used[0]) < len(key.fields)
        if index is None:
            return part, 0, -len(used[0]), 0, ""
        return part, 1, -len(used[0]), int(index.kind == "GSI"), index.name

    def as_query(self, index: Index | None, used: Used, why: str) -> QueryPlan:
        """The plan of a Query."""
        family = False
        spread: tuple[str, ...] = ()
        if self.plan.codec.composites or self.plan.codec.placed:
            spread = key_conditions.partitions(used[0])
        holds = None if index is None or self._fetches(index) else held(self.schema, index)
        if len(used[1]) < len(self.terms) or self.filters:
            filter_terms = self.filter_terms(used)
            if holds is not None and self.tagged is not None:
                family, filter_terms = True, filter_terms[:-1]
            return QueryPlan(index, used[0], filter_terms, holds=holds, partitions=spread, family=family, why=why)
        return QueryPlan(index, used[0], holds=holds, partitions=spread, why=why)

    def _fetches(self, index: Index) -> bool:
        """Whether a query reads what this index does not hold in the same request: a local index has its table beside it."""
        if index.kind != "LSI" or self.tagged is not None:
            return False
        holds, request = held(self.schema, index), self.request
        return holds is not None and (request.hydrate or any(place.field.name not in holds for place in request.select))

    def by_name(self, index: Index) -> QueryPlan:
        """The plan for an index that was asked for by name: it may lack items or attributes."""
        used = self.fits(index)
        if used is None:
            if self.request.scan_allowed:
                return self.as_scan(index)
            raise refusals.unfit(self.schema, index, self.terms)
        refusals.check_consistent(self.schema, self.request, index)
        refusals.check_order(self.schema, self.request, index, self.orders(index, used))
        self._check_held(index, self.filter_terms(used))
        on_key = named_in(self.filter_terms(used), index.fields)
        if on_key:
            raise refusals.on_key(self.schema, index, self.filter_terms(used), on_key)
        return self.as_query(index, used, "asked for by name")

    def as_scan(self, index: Index | None = None) -> QueryPlan:
        """The plan of a Scan."""
        if index is None and self.request.index is not None:
            index = _named(self.schema, self.request.index)
        refusals.check_consistent(self.schema, self.request, index)
        refusals.check_scan_order(self.schema, self.request)
        if self.within:
            raise ValidationError("a scan is in no partition", field="allow_scan")
        filter_terms = (*self.terms, *without_guards(self.plan), *self.filters)
        if index is not None:
            filter_terms = (*self.terms, *self.filters)
            self._check_held(index, filter_terms)
        holds = None if index is None else held(self.schema, index)
        if holds is not None and self.tagged is not None:
            return QueryPlan(
                index, (), filter_terms[:-1], scan=True, holds=holds, family=True, why="a scan was allowed"
            )
        return QueryPlan(index, (), filter_terms, scan=True, holds=holds, why="a scan was allowed")

    def _check_held(self, index: Index, filter_terms: tuple[Condition, ...]) -> None:
        """A filter on what the index does not hold would be false of every item."""
        holds = held(self.schema, index)
        if holds is not None:
            if not self.request.hydrate and lacks_needed(self.plan, holds) and not self._fetches(index):
                raise refusals.lacks_needed(self.schema, index)
            if self.tagged is not None:
                filter_terms = filter_terms[:-1]
            lacks = outside(filter_terms, holds)
            refusals.check_holds(self.schema, self.request, index, lacks, tagged=self.tagged is not None)


def _order(key: Key | Index, used: Used) -> tuple[str, ...]:
    """The fields that a query's items come sorted by, as far as one may ask for it: any one of the sort key's."""
    sort = key_parts(key)[1]
    fixed = {term.path.field.name for term in used[0] if term.op == "="}
    for position, name in enumerate(sort):
        if name not in fixed:
            return sort[: position + 1]
    return sort


def _reason(rank: tuple[Any, ...], candidates: int, *, ordered: bool) -> str:
    if candidates == 1:
        return "the only one whose key the terms give" + (" and that is in the order asked for" if ordered else "")
    if not rank[0]:
        return "the terms give its whole key" + ("" if rank[1] else ", and the table goes before its indexes")
    return "the table goes before its indexes" if not rank[1] else "the terms give the most of its key"


def held(schema: Schema, index: Index) -> frozenset[str] | None:
    """The fields that an index holds of each item; None for all."""
    if index.projection == "ALL":
        return None
    assert schema.key is not None  # as in `_Candidates.fits`
    more = index.projection if isinstance(index.projection, tuple) else ()
    keys = (name for name in index.fields if schema.fields[name].indexed_as == schema.fields[name].stored)
    return frozenset((*schema.key.fields, *keys, *more))


def lacks_needed(plan: ModelRequests, holds: frozenset[str]) -> bool:
    """Whether an index that holds these fields lacks what the rules of the model look at."""
    needs, fields = plan.codec.needs, plan.codec.schema.fields
    return needs is None or not {fields[name].stored for name in holds}.issuperset(needs)


def _named(schema: Schema, wanted: str) -> Index:
    for index in schema.indexes.values():
        if index.name == wanted:
            return index
    raise refusals.no_index(schema, wanted)
