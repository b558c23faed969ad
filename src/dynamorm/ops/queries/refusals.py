"""What the planner says when it refuses: which term is to blame, which index would serve, and what else can be done.

It must not decide anything: `dynamorm.ops.queries.planner` does.
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamorm.errors import ValidationError
from dynamorm.models.declare import did_you_mean
from dynamorm.models.expressions.tree import Comparison, Condition, paths
from dynamorm.models.schema.schema import Index, Schema, key_parts

from .request import Request


def no_plan(
    schema: Schema,
    request: Request,
    terms: tuple[Condition, ...],
    near: tuple[Index | None, tuple[Condition, ...]] | None,
    problems: list[tuple[Index, str]],
) -> ValidationError:
    """No table or index answers the request: what comes closest, and what would.

    ``near`` is where the partition is given, with the terms that are left; ``problems`` says what each index lacks.
    """
    if problems:
        if request.consistent and all(problem == "is only eventually consistent" for _, problem in problems):
            return _not_consistent(schema, problems[0][0])
        lacking = "; ".join(f"index {index.name!r} {problem}" for index, problem in problems)
        names = " or ".join(f".index({index.name!r})" for index, _ in problems)
        hydrate = (
            ", with .hydrate() to read whole items" if any(index.projection != "ALL" for index, _ in problems) else ""
        )
        return ValidationError(f"{schema.name}: {lacking}; if that is what you want, say {names}{hydrate}")
    if near is not None:
        return _nearly(schema, request, terms, *near)
    in_key = _partition_in(schema, terms)
    if in_key is not None:
        return ValidationError(
            f"{schema.name}.{in_key}: a query reads one partition: use db.batch_get() for many keys, or one query for"
            " each value, or .allow_scan() to read the whole table",
            field=in_key,
        )
    return ValidationError(
        f"{schema.name}: no key of the table or of an index is given by {_named_by(terms)};"
        f" {_suggestion(schema, request, terms)}, or say .allow_scan() to read the whole table"
    )


def _nearly(
    schema: Schema,
    request: Request,
    terms: tuple[Condition, ...],
    index: Index | None,
    filter_terms: tuple[Condition, ...],
) -> ValidationError:
    """The partition is given, but the order or a term on the key is not possible."""
    key = schema.key if index is None else index
    assert key is not None  # a plan is made only for a model with a key
    sort = key_parts(key)[1]
    if request.order is not None and request.order not in sort:
        where = "the table" if index is None else f"index {index.name!r}"
        return ValidationError(
            f"{schema.name}: {where} is sorted by {', '.join(sort) or 'nothing'}, so it cannot be ordered by"
            f" {request.order!r}{_known_field(schema, request.order)}; {_suggestion(schema, request, terms)}",
            field=request.order,
        )
    return on_key(
        schema,
        index,
        filter_terms,
        {path.field.name for term in filter_terms for path in paths(term)} & set(key.fields),
    )


def on_key(schema: Schema, index: Index | None, filter_terms: Iterable[Condition], names: set[str]) -> ValidationError:
    """A term on a key attribute that cannot be part of the key condition, nor of the filter."""
    where = "the table" if index is None else f"index {index.name!r}"
    blamed = next((path.field.name for term in filter_terms for path in paths(term) if path.field.name in names), "")
    return ValidationError(
        f"{schema.name}.{blamed}: a query of {where} takes one condition on each attribute of its key, == or, on the last"
        " one named, a range (< <= > >= between begins_with), and no filter on it: leave the rest to the program, or say"
        " .allow_scan() to read everything",
        field=blamed or None,
    )


def unfit(schema: Schema, index: Index, terms: Iterable[Condition]) -> ValidationError:
    """An index was asked for whose partition key is not given."""
    partition = ", ".join(index.partition)
    return ValidationError(
        f"{schema.name}: {_named_by(terms)} does not give the partition key of index {index.name!r}: it needs == on"
        f" {partition}, or .allow_scan() to read the whole index",
        field=index.partition[0],
    )


def no_index(schema: Schema, wanted: str) -> ValidationError:
    """No index has this name."""
    names = [index.name for index in schema.indexes.values()]
    hint = did_you_mean(wanted, names) if names else "; it has none"
    return ValidationError(f"{schema.name} has no index {wanted!r}{hint}", field="index")


def check_consistent(schema: Schema, request: Request, index: Index | None) -> None:
    """Refuse a consistent read of a global index."""
    if request.consistent and index is not None and index.kind == "GSI":
        raise _not_consistent(schema, index)


def _not_consistent(schema: Schema, index: Index) -> ValidationError:
    return ValidationError(
        f"{schema.name}: index {index.name!r} is global, so it is only eventually consistent: leave out consistent()",
        codes=("ErrInvalidOperator",),
    )


def check_order(schema: Schema, request: Request, index: Index, order: tuple[str, ...]) -> None:
    """Refuse an order that the index does not have."""
    if request.order is not None and request.order not in order:
        raise ValidationError(
            f"{schema.name}: index {index.name!r} is sorted by {', '.join(index.sort) or 'nothing'}, so it cannot be"
            f" ordered by {request.order!r}{_known_field(schema, request.order)}",
            field=request.order,
        )


def check_scan_allowed(schema: Schema, request: Request) -> None:
    """A scan in segments reads a whole table, which must be said."""
    if not request.scan_allowed:
        raise ValidationError(
            f"{schema.name}: segments({request.segments}) reads the whole table: say .allow_scan() too, if that is what"
            " you want",
            field="segments",
        )


def check_scan_order(schema: Schema, request: Request) -> None:
    """Refuse an order of a scan, which has none."""
    if request.order is not None or request.descending:
        raise ValidationError(
            f"{schema.name}: a scan comes in no order: leave out order_by(), or give == on a partition key"
        )


def check_holds(schema: Schema, request: Request, index: Index, outside: set[str], *, tagged: bool) -> None:
    """Refuse a filter or a selection of what the index does not hold: it would be missing from every item."""
    fix = "filter what .hydrate() returns" if request.hydrate else "declare the index with more in its projection"
    if outside:
        names = ", ".join(sorted(outside))
        raise ValidationError(
            f"{schema.name}: index {index.name!r} does not hold {names}, so a filter on it would find nothing: {fix}",
            field=min(outside),
        )
    if tagged and not request.hydrate:
        raise ValidationError(
            f"{schema.name}: index {index.name!r} does not hold {schema.discriminator!r}, which tells {schema.name} from"
            " its siblings: say .hydrate() to read whole items"
        )


def _partition_in(schema: Schema, terms: Iterable[Condition]) -> str | None:
    """The partition attribute that an IN names."""
    assert schema.key is not None  # a plan is made only for a model with a key
    keys = {schema.key.partition, *(name for index in schema.indexes.values() for name in index.partition)}
    for term in terms:
        if isinstance(term, Comparison) and term.op == "IN" and term.path.name in keys:
            return term.path.name
    return None


def _suggestion(schema: Schema, request: Request, terms: Iterable[Condition]) -> str:
    """The declaration of the index that would serve, as text to be copied."""
    assert schema.key is not None  # as above
    comparisons = [term for term in terms if isinstance(term, Comparison) and len(term.path.parts) == 1]
    equal = [name for name in schema.fields if any(term.op == "=" and term.path.name == name for term in comparisons)]
    ranged = [name for name in schema.fields if any(term.op != "=" and term.path.name == name for term in comparisons)]
    if not equal:
        return "give == on the partition key of one"
    wanted = request.order if request.order in schema.fields else None
    sort = wanted or next(iter(ranged), None)
    if schema.key.partition in equal:
        if sort is None or schema.key.sort is None:
            return "give == on the partition key of one"
        return f'an index such as lsi("lsi-{sort}", sort="{sort}") would serve'
    partition = next((name for name in equal if name != sort), equal[0])
    name = f"gsi-{partition}" + (f"-{sort}" if sort else "")
    tail = f', sort="{sort}"' if sort else ""
    return f'an index such as gsi("{name}", partition="{partition}"{tail}) would serve'


def _named_by(terms: Iterable[Condition]) -> str:
    names = dict.fromkeys(path.name for term in terms for path in paths(term))
    return ", ".join(names) or "a query without terms"


def _known_field(schema: Schema, name: str) -> str:
    return "" if name in schema.fields else f", which is no field{did_you_mean(name, schema.fields)}"


def lacks_needed(schema: Schema, index: Index) -> ValidationError:
    """The error for an index that does not hold what a rule of the model looks at."""
    return ValidationError(
        f"{schema.name}: index {index.name!r} does not hold what a rule of the model looks at, so nobody can tell which items"
        " to give: say .hydrate(), or let the index project it",
        field=index.name,
    )
