"""Keys by their parts: the key of an item from its fields, and conditions on these as conditions on the key.

It must not know how a query is planned or sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.codec.library_attributes import text_in
from dynamorm.errors import ValidationError
from dynamorm.models.expressions.path import Path
from dynamorm.models.expressions.tree import Comparison, Condition, Location, Wire
from dynamorm.models.schema.composite import AFTER, END, Composite, Slot
from dynamorm.models.schema.key_forms import NUMBER
from dynamorm.models.schema.overriding import override
from dynamorm.models.schema.schema import SCHEMAS, Index, Key, key_parts, with_subclasses
from dynamorm.ops.requests import ModelRequests

if TYPE_CHECKING:
    from dynamorm.codec.composites import Computed

_RANGES: Final = frozenset({"<", "<=", ">", ">=", "BETWEEN"})
_LAST: Final = "\U0010ffff"

Rewritten = tuple[Comparison, frozenset[int]]
"""A condition on a key attribute, and the numbers of the terms that it stands for."""


def key_from_parts(plan: ModelRequests, key: tuple[Any, ...], parts: dict[str, Any]) -> tuple[Any, ...]:
    """The key's values in order, each given by the key field's own name or by all the fields it is made of.

    Raises: ValidationError naming all parts.
    """
    codec = plan.codec
    schema = codec.schema
    assert schema.key is not None  # a plan is made only for a model with a key
    left = set(parts)
    parts = {**plan.given, **parts}
    values: list[Any] = []
    for name in schema.key.fields:
        computed = codec.composites.get(name)
        if name in parts:
            left.discard(name)
            values.append(parts[name])
        elif computed is not None and all(part in parts for part in computed.made.components):
            left.difference_update(computed.made.components)
            values.append(_text(plan, computed, parts))
        else:
            break
    if key or left or len(values) < len(schema.key.fields):
        got = ", ".join([*("a value" for _ in key), *sorted(parts)])
        raise ValidationError(
            f"{schema.name} is found by its key: give {_wanted(plan, schema.key)}, by name; or the stored texts of"
            f" {', '.join(schema.key.fields)} in order (got {got})"
        )
    return tuple(values)


def _wanted(plan: ModelRequests, key: Key) -> str:
    names: dict[str, None] = {}
    for name in key.fields:
        computed = plan.codec.composites.get(name)
        names |= dict.fromkeys((name,) if computed is None else computed.made.components)
    return ", ".join(names)


def _text(plan: ModelRequests, computed: Computed, parts: dict[str, Any]) -> str | None:
    texts: dict[str, str] = {}
    given = plan.given
    for name, _ in computed.sources:
        value = parts[name]
        is_given = name in given and value.__class__ is str and value == given[name]
        text = plan.given_texts.get(name) if is_given else None
        if text is None:
            text = text_in(f"{computed.owner}.{name}", plan.codec.encode_field(name, value))
            if text is None:
                raise ValidationError(f"{computed.owner}.{name} is part of the key and needs a value", field=name)
            if is_given:
                plan.given_texts[name] = text
        texts[name] = text
    return computed.join(texts)


# ------------------------------------------------------------------------------------------------ conditions on parts


class Spread(Comparison, frozen=True, eq=False):
    """``=`` on a partition key that is spread over shards; ``texts`` are the keys of all of them."""

    texts: tuple[str, ...]

    def of(self, number: int) -> Comparison:
        """The condition for one shard."""
        return Comparison("=", (Wire({"S": self.texts[number]}),), self.path)


class Found(Spread, frozen=True, eq=False):
    """IN on what is stored beside an attribute: as a key, each of its values is asked for by itself."""

    @override
    def of(self, number: int) -> Comparison:
        return Comparison("=", (self.operands[number],), self.path)


def partitions(terms: Sequence[Comparison]) -> tuple[str, ...]:
    """The partitions to ask one by one, none where the key is not spread."""
    return next((term.texts for term in terms if isinstance(term, Spread)), ())


def rewrite(plan: ModelRequests, key: Key | Index, terms: Sequence[Condition]) -> list[Rewritten]:
    """Conditions on the attributes of a key that say what the terms say of the fields they are made of.

    A term that is not covered is still to be tested; one that is, is tested exactly by the condition on the key. All
    fields with ``==`` become ``=``; the first ones with ``==``, and maybe a range on the next, a range of the text.

    Raises: ValidationError for a value that can be in no key.
    """
    composites = plan.codec.composites
    partition, sort = key_parts(key)
    conditions: list[Rewritten] = []
    by_field: _TermsByField | None = None
    for name in (*partition, *sort):
        computed = composites.get(name)
        if computed is None or not _same_in_subclasses(plan, name):
            continue
        by_field = by_field or _TermsByField(plan, terms)
        if name in by_field.direct:
            continue
        rewritten = _equal(computed, by_field)
        if rewritten is None:
            rewritten = _spread(computed, by_field) if name in partition else _range(computed, by_field)
        if rewritten is not None:
            conditions.append(rewritten)
    return conditions


def _same_in_subclasses(plan: ModelRequests, name: str) -> bool:
    """Whether the subclasses, whose objects a query gives too, make this key in the same way."""
    schema = plan.codec.schema
    if schema.discriminator is None:
        return True
    schemas = (SCHEMAS.get(cls) for cls in with_subclasses(schema.model))
    return all(
        subclass_schema is None or subclass_schema.fields[name].options == schema.fields[name].options
        for subclass_schema in schemas
    )


class _TermsByField:
    """The comparisons among the terms, by the field they name. ``direct`` are the names of all fields they name."""

    def __init__(self, plan: ModelRequests, terms: Sequence[Condition]) -> None:
        self.plan = plan
        self.direct: set[str] = set()
        self._by_name: dict[str, list[tuple[int, Comparison]]] = {}
        for number, term in enumerate(terms):
            if not isinstance(term, Comparison) or len(term.path.parts) != 1:
                continue
            name = term.path.field.name
            self.direct.add(name)
            if not any(isinstance(operand, Location) for operand in term.operands):
                self._by_name.setdefault(name, []).append((number, term))

    def equal(self, name: str) -> tuple[int, str] | None:
        """The number and the text of the term that says what a field equals."""
        for number, term in self._by_name.get(name, ()):
            if term.op == "=":
                text = self.text(term, term.operands[0])
                if text is not None:
                    return number, text
        return None

    def ranges(self, name: str) -> Iterator[tuple[int, Comparison]]:
        """The terms that say what a field lies between or begins with."""
        for number, term in self._by_name.get(name, ()):
            if term.op in _RANGES or term.op == "begins_with":
                yield number, term

    def text(self, term: Comparison, value: Any) -> str | None:
        """An operand as the text of a component, None for a value that is never stored."""
        plan, name = self.plan, term.path.field.name
        is_given = name in plan.given and term.op == "=" and value.__class__ is str and value == plan.given[name]
        text = plan.given_operands.get(name) if is_given else None
        if text is None:
            operand_kind = "string" if term.op == "begins_with" else "value"
            wire = value.value if isinstance(value, Wire) else plan.operand(term.path, value, operand_kind)
            text = text_in(f"{plan.codec.schema.name}.{term.path.name}", wire)
            if is_given and text is not None:
                plan.given_operands[name] = text
        return text


def _equal(computed: Computed, by_field: _TermsByField) -> Rewritten | None:
    """The condition that the whole key equals a text, when all its fields are given."""
    texts: dict[str, str] = {}
    numbers: set[int] = set()
    for name in computed.made.components:
        equal = by_field.equal(name)
        if equal is None:
            return None
        number, texts[name] = equal
        if name in computed.made.fields:  # what chooses the shard is not in the key: its term is still to be tested
            numbers.add(number)
    text = computed.join(texts)
    return None if text is None else (_on_key(computed, "=", text), frozenset(numbers))


def _spread(computed: Computed, by_field: _TermsByField) -> Rewritten | None:
    """The condition that the key is that of any shard, when the fields are given and not what chooses the shard."""
    if not computed.made.shards:
        return None
    texts: dict[str, str] = {}
    numbers: set[int] = set()
    for name in computed.made.fields:
        equal = by_field.equal(name)
        if equal is None:
            return None
        number, texts[name] = equal
        numbers.add(number)
    keys = tuple(computed.made.spread(texts))
    term = Spread("=", (Wire({"S": keys[0]}),), Path(computed.field), keys)
    return term, frozenset(numbers)


def _range(computed: Computed, by_field: _TermsByField) -> Rewritten | None:
    """The condition on the texts that begin with the fields given, and go on as the next field's range says."""
    composite = computed.made
    texts: list[str] = []
    numbers: set[int] = set()
    for name in composite.fields:
        equal = by_field.equal(name)
        if equal is None:
            break
        number, component = equal
        numbers.add(number)
        texts.append(component)
    if len(texts) == len(composite.slots):
        return None
    prefix = composite.prefix(texts)
    following = composite.slots[len(texts)]
    for number, term in by_field.ranges(following.name):
        if term.op == "begins_with" and not following.width:
            text = by_field.text(term, term.operands[0])
            if text:
                return _on_key(computed, "begins_with", prefix + composite.part(following, text)), frozenset(
                    numbers | {number}
                )
    bounds = _bounds(computed, prefix, len(texts), by_field)
    if bounds is not None:
        return bounds[0], frozenset(numbers | bounds[1])
    return (_on_key(computed, "begins_with", prefix), frozenset(numbers)) if prefix else None


class _Bounds(NamedTuple):
    """The first and the last text of a range, None where it is open, and whether it says just what the term does."""

    low: str | None
    high: str | None
    exact: bool = True


def _bounds(computed: Computed, prefix: str, position: int, by_field: _TermsByField) -> Rewritten | None:
    """The range of texts between the bounds of all terms on one field; a term that fits none is left to the filter."""
    low, high = prefix, _behind(prefix)
    covered: set[int] = set()
    used = False
    for number, term in by_field.ranges(computed.made.slots[position].name):
        bounds = _bounds_of(computed.made, prefix, position, term, by_field)
        if bounds is None:
            continue
        new_low = low if bounds.low is None else max(low, bounds.low)
        new_high = high if bounds.high is None else bounds.high if high is None else min(high, bounds.high)
        if new_high is not None and new_low > new_high:
            continue  # nothing matches, which the filter finds out: DynamoDB refuses such a range
        low, high, used = new_low, new_high, True
        if bounds.exact:
            covered.add(number)
    if not used or not (low or high):
        return None
    if high is None:
        return _on_key(computed, ">=", low), frozenset(covered)
    return (_on_key(computed, "BETWEEN", low, high) if low else _on_key(computed, "<=", high)), frozenset(covered)


def _bounds_of(
    composite: Composite, prefix: str, position: int, term: Comparison, by_field: _TermsByField
) -> _Bounds | None:
    """The bounds that one term sets; None when there are no such texts."""
    slot, op = composite.slots[position], term.op
    if op == "begins_with" or not _is_ordered(by_field.plan, slot):
        return None
    texts = [by_field.text(term, value) for value in term.operands]
    edges = []
    for text in texts:
        if text is None or (slot.width and not (text.isdigit() and len(text) <= slot.width)):
            return None  # beyond what a key can hold
        edges.append(prefix + composite.part(slot, text))
    last = composite.is_last(position)
    after = None if last else _after(slot, prefix, edges[-1])
    if op == ">=":
        return _Bounds(edges[0], None)
    if op == ">":
        low = edges[0] + "%" if last else after  # no text goes on with less than %
        return None if low is None else _Bounds(low, None)
    if op == "<":
        return _Bounds(None, edges[0], exact=not last)  # where nothing follows, the value itself is within
    low = edges[0] if op == "BETWEEN" else None
    return _Bounds(low, edges[-1] if last else after)


def _is_ordered(plan: ModelRequests, slot: Slot) -> bool:
    """Whether the texts of the field sort as its values do: numbers only in a form for that, and texts only in their own case."""
    if slot.form:
        return slot.form == NUMBER
    shape = plan.codec.plans[slot.name].shape
    return bool(slot.width) or (shape.tag == "S" and not shape.remedy)


def _after(slot: Slot, prefix: str, edge: str) -> str | None:
    """The first text after those that have this value and go on; None when no value is greater."""
    if not slot.width:
        return edge + AFTER
    following = str(int(edge[len(prefix) :]) + 1).zfill(slot.width)
    return prefix + following if len(following) == slot.width else None


def _behind(prefix: str) -> str | None:
    """The first text after those that begin with ``prefix``; None when there is none."""
    head = prefix.rstrip(_LAST)
    if not head:
        return None
    if head.endswith(END):
        return head[:-1] + AFTER
    following = ord(head[-1]) + 1
    return head[:-1] + chr(0xE000 if following == 0xD800 else following)


def _on_key(computed: Computed, op: str, *texts: str) -> Comparison:
    return Comparison(op, tuple(Wire({"S": text}) for text in texts), Path(computed.field))


def orders(plan: ModelRequests, key: Key | Index, terms: Sequence[Condition]) -> tuple[str, ...]:
    """The fields by which a query's items come sorted, because the sort key is made of them in this order.

    Those are the ones with ``==``, and the next, if its texts sort as its values do.
    """
    sort = key_parts(key)[1]
    computed = plan.codec.composites.get(sort[0]) if len(sort) == 1 else None
    if computed is None or not _same_in_subclasses(plan, sort[0]):
        return ()
    by_field = _TermsByField(plan, terms)
    names: list[str] = []
    for slot in computed.made.slots:
        fixed = by_field.equal(slot.name) is not None
        if fixed or _is_ordered(plan, slot):
            names.append(slot.name)
        if not fixed:
            break
    return tuple(names)
