"""Where a statement looks: the key that it names, the ranges of keys, and what else its condition asks. It must not know answers."""

from __future__ import annotations

from typing import NamedTuple

from dynamorm.engine.catalog.table import Table
from dynamorm.engine.expressions.grammar import Condition
from dynamorm.engine.partiql.binding import Bound
from dynamorm.engine.queries.key_conditions import KeyTest, Range, range_of
from dynamorm.engine.refusal import invalid, wrong_parameter
from dynamorm.engine.values.keys import KeyNames
from dynamorm.engine.values.keys import part as part_of
from dynamorm.engine.values.measure import Item

MAX_PARTITIONS = 50
"""Partitions that one statement names."""

_RANGES = frozenset({"=", "<", "<=", ">", ">=", "BETWEEN", "begins_with"})
_NO_KEY = "Where clause does not contain a mandatory equality on all key attributes"


class Located(NamedTuple):
    """The key that a condition names, and the rest of it."""

    key: Item
    rest: Condition | None


def located(bound: Bound, table: Table) -> Located:
    """The one item that a statement is of. Raises: Refusal."""
    found = whole_key(bound, table)
    if found is None:
        raise invalid(_NO_KEY)
    return found


def whole_key(bound: Bound, table: Table) -> Located | None:
    """The one item that a statement is of, None where it does not say its whole key."""
    where = bound.statement.where
    key: Item = {}
    rest: list[Condition] = []
    for part in () if where is None else where.parts:
        found = bound.keyed(part)
        if found is not None and found[1].op == "=" and found[0] in table.key_attributes and found[0] not in key:
            key[found[0]] = found[1].values[0]
        else:
            rest.append(part)
    if len(key) != len(table.key_attributes):
        return None
    return Located(key, _together(rest))


def _together(parts: list[Condition]) -> Condition | None:
    """One condition of several, all of which must hold."""
    if not parts:
        return None
    whole = parts[0]
    for part in parts[1:]:
        whole = (*whole, *part, "AND")
    return whole


class Looked(NamedTuple):
    """What a SELECT reads: ranges of keys, None for everything, in the order of the keys of partitions, and the rest of the condition."""

    ranges: list[Range] | None
    rest: Condition | None


def looked(bound: Bound, names: KeyNames) -> Looked:
    """The ranges that a condition leaves to read. Raises: Refusal."""
    where = bound.statement.where
    if where is None:
        return Looked(None, None)
    tests: dict[str, KeyTest] = {}
    rest: list[Condition] = []
    partitions = {one.name for one in names.partition}
    sorting = {one.name for one in names.sort}
    types = {one.name: one.type for one in names.all}
    for part in where.parts:
        found = bound.keyed(part)
        if (
            found is not None
            and found[1].op in _RANGES
            and any(types.get(found[0], tag) != tag for tag in _tags(found[1]))
        ):
            raise wrong_parameter("Condition parameter type does not match schema type")
        if found is None or found[0] in tests or not _narrows(found, partitions, sorting):
            rest.append(part)
        else:
            tests[found[0]] = found[1]
    if not partitions <= tests.keys():
        return Looked(None, where.whole)
    for one in _behind_a_gap(tests, names):
        del tests[one]
        rest = list(where.parts)  # what is not read by is looked at item by item
    many = [name for name in partitions if tests[name].op == "IN"]
    if not many:
        return Looked([range_of(tests, names)], _together(rest))
    name = many[0]
    if len(many) > 1:
        raise invalid("IN may be asked of one attribute of a partition key; the others are compared by =")
    if len(tests[name].values) > MAX_PARTITIONS:
        raise invalid(f"IN names {MAX_PARTITIONS} partitions at most")
    ranges = [range_of({**tests, name: KeyTest("=", (value,))}, names) for value in tests[name].values]
    return Looked(sorted({one.low: one for one in ranges}.values(), key=lambda one: one.low), _together(rest))


def _narrows(found: tuple[str, KeyTest], partitions: set[str], sorting: set[str]) -> bool:
    name, test = found
    if name in partitions:
        return test.op in ("=", "IN")
    return name in sorting and test.op in _RANGES


def _behind_a_gap(tests: dict[str, KeyTest], names: KeyNames) -> list[str]:
    """The tests of a sort key that no range of keys can say: behind an attribute that is not asked for, or not by ``=``."""
    ended, found = False, []
    for one in names.sort:
        test = tests.get(one.name)
        if ended and test is not None:
            found.append(one.name)
        ended = ended or test is None or test.op != "="
    return found


def _tags(test: KeyTest) -> list[str]:
    return [next(iter(value)) for value in test.values]


def ordered(bound: Bound, names: KeyNames, looking: Looked) -> tuple[Looked, bool]:
    """What a SELECT reads in the order that it asks for, and whether downwards. Raises: Refusal for an order that keys do not have."""
    order = bound.statement.order
    if not order:
        return looking, False
    if looking.ranges is None:
        raise invalid("Must have WHERE clause in the statement when using ORDER BY clause.")
    asked = dict(order)
    partitions, sorting = ({one.name for one in some} for some in (names.partition, names.sort))
    if len(asked) != len(order) or not asked.keys() <= partitions | sorting:
        raise invalid("Variable reference in ORDER BY clause must be part of the primary key")
    backwards = {downwards for name, downwards in order if name in sorting}
    if len(backwards) > 1:
        raise invalid("ORDER BY goes one way through a sort key of several attributes")
    if len(looking.ranges) > 1:
        if order[0][0] not in partitions:
            raise invalid("ORDER BY begins with the partition key, where there are several partitions")
        (name, tag), downwards = names.partition[0], order[0][1]
        ranges = sorted(looking.ranges, key=lambda one: part_of(tag, one.fixed[name][tag]), reverse=downwards)
        looking = looking._replace(ranges=ranges)
    return looking, backwards == {True}
