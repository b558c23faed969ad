"""``save_all``: many objects saved side by side, each as `save` does it, with what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, Outcome, ValidationError
from dynamorm.ops.calls.backoff import workers
from dynamorm.ops.verbs.batch_result import BatchFailure, BatchResult

if TYPE_CHECKING:
    from dynamorm.ops.context import Context


def save_all(context: Context, objs: Any, save: Callable[..., Flow[Any]], *, concurrency: int) -> Flow[BatchResult]:
    """Save objects of any models; ``save`` is the verb. What is refused, or left open, is in the result.

    Raises: ValidationError, before anything is sent, for what is no object of a model, and for two objects of one item.
    """
    limit = workers(context, concurrency)
    every = _checked(context, objs)
    errors: dict[int, DynamORMError] = {}
    if every:
        yield Gather([_one(context, save, at, obj, errors) for at, obj in enumerate(every)], limit)
    result = BatchResult()
    for at, obj in enumerate(every):
        error = errors.get(at)
        if error is None:
            result.written.append(obj)
            result.count += 1
        else:
            (result.unknown if error.outcome is Outcome.UNKNOWN else result.failed).append(BatchFailure(obj, error))
    return result


def _one(
    context: Context, save: Callable[..., Flow[Any]], at: int, obj: Any, errors: dict[int, DynamORMError]
) -> Flow[None]:
    try:
        yield from save(context, obj)
    except DynamORMError as error:
        errors[at] = error


def _checked(context: Context, objs: Any) -> list[Any]:
    if isinstance(objs, (str, bytes, Mapping, type)) or not isinstance(objs, Iterable):
        raise ValidationError(f"save_all takes a list of objects, not {type(objs).__name__}: write [obj]", field="objs")
    every = list(objs)
    places: dict[tuple[str, bytes], int] = {}
    for at, obj in enumerate(every):
        wrong: DynamORMError
        try:
            plan = context.plan(type(obj))
        except (DynamORMError, TypeError) as error:
            wrong = (error if isinstance(error, DynamORMError) else ValidationError(str(error))).about(f"objs[{at}]")
        else:
            try:
                key = plan.codec.key_of(obj)
            except DynamORMError:
                continue  # it has none, which is the end of this one alone
            before = places.setdefault((plan.table, key), at)
            if before == at:
                continue
            wrong = ValidationError(
                f"objs[{at}] has the key of objs[{before}]: one call saves each item once", field="objs"
            )
        raise wrong
    return every
