"""delete_all: removes everything that a query matches, page by page, in batches. Returns a flow.

Only keys are read, and items are deleted by them without a condition; those with unique attributes one by one, since their
guards go in the same transaction. It must not know how a request is planned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from dynamorm.codec.partial.reader import address, place_of
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, MissingItem, Outcome, ValidationError
from dynamorm.ops.callbacks import check_progress, told
from dynamorm.ops.queries.query import page_reader_of
from dynamorm.ops.queries.request import Request
from dynamorm.ops.requests import ModelRequests
from dynamorm.ops.verbs.batch_write import remove
from dynamorm.ops.verbs.delete import delete

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

CONCURRENCY: Final = 4
"""Requests of 25 deletes under way at once, as in `DB.batch_write`."""


def delete_all(
    context: Context, request: Request, *, confirm: bool, progress: Callable[[int], Any] | None
) -> Flow[int]:
    """Delete everything that matches and return how many items that was."""
    plan = context.plan(request.model)
    name = plan.codec.schema.name
    if confirm is not True:
        raise ValidationError(
            f"delete_all deletes every {name} that the query matches: say delete_all(confirm=True)", field="confirm"
        )
    if progress is not None:
        check_progress(progress, "the number of items deleted so far")
    codec = plan.codec
    keys = tuple(place_of(codec, field.name) for field in codec.keys.fields)
    return _pages(context, plan, replace(request, select=keys, hydrate=False, view=None, any_version=True), progress)


def _pages(context: Context, plan: ModelRequests, request: Request, progress: Callable[[int], Any] | None) -> Flow[int]:
    deleted = 0
    reader = page_reader_of(request)
    try:
        while not reader.done:
            items = yield from reader.next(context)
            if not items:
                continue
            keys = [address(plan.codec, item) for item in items]
            if plan.single_deletes or context.finishers:
                counts = yield Gather([_one(context, plan, key) for key in keys], CONCURRENCY)
                deleted += sum(counts)
            else:
                result = yield from remove(context, plan, keys, concurrency=CONCURRENCY)
                deleted += result.count
                for failure in (*result.unknown, *result.failed):
                    raise failure.error
            if progress is not None:
                told(progress, deleted)
    except DynamORMError as error:
        if deleted:
            # The call as a whole was not without effect, whatever became of its last request.
            error.outcome = Outcome.UNKNOWN
            error.add_note(f"delete_all had deleted {deleted} items before; calling it again goes on with the rest.")
        raise
    return deleted


def _one(context: Context, plan: ModelRequests, key: tuple[Any, ...]) -> Flow[int]:
    """Delete one item with its guards, unless its key is another class's item's by now."""
    try:
        yield from delete(context, plan.model, key, {}, condition=None, must_exist=False, returning=None)
    except MissingItem:
        return 0
    return 1
