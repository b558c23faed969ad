"""collect: the items of several classes that share a partition, read by one query, each class in a bucket of its own.

It must not know how a query is planned or sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from dynamorm.effects import Flow
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.models.expressions.path import Path
from dynamorm.models.expressions.tree import Comparison, Condition, Wire, terms
from dynamorm.models.schema.schema import SCHEMAS, Index, Key, key_parts, schema_of
from dynamorm.ops.queries.query import everything, page_reader_of
from dynamorm.ops.reads import key_conditions
from dynamorm.ops.requests import ModelRequests

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.queries.request import Request

M = TypeVar("M")


class Buckets:
    """What `collect` found: ``buckets[Order]`` is the list of orders, in the order of the query; ``other`` is the rest.

    An object of a subclass is in the bucket of the nearest class that was asked for. ``misfits`` are the errors of stored items
    that do not fit their class, each with its ``key``, where the query said ``on_misfit("collect")``.

    Raises: ValidationError for a class that was not asked for.

    Example: ``for order in buckets[Order]: print(order.number)``
    """

    __slots__ = ("_found", "misfits", "other")

    def __init__(self, models: tuple[type[Any], ...], items: list[Any], misfits: Iterable[DynamORMError] = ()) -> None:
        self.misfits: list[DynamORMError] = list(misfits)
        self._found: dict[type[Any], list[Any]] = {model: [] for model in models}
        self.other: list[Any] = []
        for item in items:
            home = next((cls for cls in type(item).__mro__ if cls in self._found), None)
            (self.other if home is None else self._found[home]).append(item)

    def __getitem__(self, model: type[M]) -> list[M]:
        items = self._found.get(model)
        if items is None:
            asked_for = ", ".join(cls.__name__ for cls in self._found)
            raise ValidationError(
                f"{getattr(model, '__name__', model)} was not asked for: collect() was given {asked_for}"
            )
        return items

    def __len__(self) -> int:
        return sum(map(len, self._found.values())) + len(self.other)

    def __iter__(self) -> Iterator[type[Any]]:
        return iter(self._found)

    def __repr__(self) -> str:
        shown = ", ".join(f"{len(items)} {model.__name__}" for model, items in self._found.items())
        return f"<Buckets: {shown}, {len(self.other)} other>"


def collect(context: Context, request: Request, models: tuple[type[Any], ...]) -> Flow[Buckets]:
    """Everything that matches, up to the limit, by class.

    Raises: ValidationError when a class is not of the family that shares the table.
    """
    name = getattr(request.model, "__name__", "the model")
    if not models:
        raise ValidationError(f"collect() of {name} needs the classes to sort the items by, as in collect({name})")
    if request.view is not None:
        raise ValidationError("collect() sorts objects by their classes: leave out select_as()", field="select_as")
    schema = schema_of(request.model)
    for model in models:
        if schema_of(model).table != schema.table or _root(model) is not _root(request.model):
            raise ValidationError(
                f"collect(): {model.__name__} does not share the items of {name}: classes that do are subclasses of one"
                " model with discriminator=..."
            )
    if not all(issubclass(model, request.model) for model in models):
        request = _of_family(context.plan(request.model), request)
    return _collected(context, request, models)


def _collected(context: Context, request: Request, models: tuple[type[Any], ...]) -> Flow[Buckets]:
    if request.misfit != "collect":
        return Buckets(models, (yield from everything(context, request)))
    if request.cap is not None:
        raise ValidationError(
            "read_at_most() is of page() and pages(): leave it out of collect()", field="read_at_most"
        )
    reader = page_reader_of(request)
    reader.paged = True  # here they have their place
    items: list[Any] = []
    while not reader.done:
        items += yield from reader.next(context)
    return Buckets(models, items, reader.misfits)


def _root(model: Any) -> Any:
    """The class at the head of a family; a model without a discriminator is alone."""
    family = [base for base in model.__mro__ if base in SCHEMAS and SCHEMAS[base].discriminator is not None]
    return family[-1] if family else model


def _of_all_classes(plan: ModelRequests, term: Comparison, given: list[Condition]) -> Comparison:
    """A condition on a sort key made of parts, without the literals behind the last part given: these are of one class.

    A literal that begins with the separator leaves it, so that no part is taken for the beginning of a longer one.
    """
    made = plan.codec.composites[term.path.field.name].made
    literals = made.literals_behind(
        len({one.path.field.name for one in given if isinstance(one, Comparison)} & {*made.fields})
    )
    if term.op not in {"=", "begins_with"} or not literals or any(one.op != "=" for one in given):
        return term
    text = term.operands[0].value["S"].removesuffix(literals) + ("#" if literals.startswith("#") else literals)
    return Comparison("begins_with", (Wire({"S": text}),), term.path)


def _of_family(plan: ModelRequests, request: Request) -> Request:
    """The same part of the partition for all classes of the family: what one of them says of its key holds for the others.

    Of a sort key that is made of parts it is a range of its texts, which are the same for all.
    """
    schema = plan.codec.schema
    root = schema_of(_root(request.model))
    key: Key | Index | None = schema.key
    if request.index is not None:
        key = next((index for index in schema.indexes.values() if index.name == request.index), None)
    given = [term for condition in request.conditions for term in terms(condition)]
    rewritten = [] if key is None else key_conditions.rewrite(plan, key, given)
    partition, sort = ((), ()) if key is None else key_parts(key)
    key_terms: list[Comparison] = [
        term
        for term, _ in rewritten
        if term.path.field.name in partition and not isinstance(term, key_conditions.Spread)
    ]
    covered = {number for term, numbers in rewritten if term in key_terms for number in numbers}
    for number, term in enumerate(given):
        if isinstance(term, Comparison) and len(term.path.parts) == 1 and term.path.field.name in (*partition, *sort):
            key_terms.append(term)
            covered.add(number)
    for term, numbers in rewritten:
        if term.path.field.name in sort and numbers - covered:  # else it only says which class was named
            key_terms.append(_of_all_classes(plan, term, [given[number] for number in numbers]))
            covered |= numbers
    same = all(
        name in root.fields and root.fields[name].stored == schema.fields[name].stored
        for name in (term.path.field.name for term in key_terms)
    )
    if len(covered) < len(given) or not key_terms or request.filters or request.select or not same:
        raise ValidationError(
            f"collect() of classes that are no subclasses of {schema.name} takes conditions on the key alone: start with"
            f" db.model({root.name}), whose fields they all have"
        )
    conditions = tuple(
        Comparison(term.op, term.operands, Path(root.fields[term.path.field.name])) for term in key_terms
    )
    return replace(request, model=root.model, conditions=conditions)
