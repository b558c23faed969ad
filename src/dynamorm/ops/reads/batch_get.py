"""batch_get: any number of keys, in chunks of 100, each answered in its place. Returns a flow."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from dynamorm.arguments import check_choice
from dynamorm.codec.replies.batches import Asked
from dynamorm.codec.replies.reading import Misfit
from dynamorm.codec.strict import dumps
from dynamorm.effects import Flow, Gather, Sleep
from dynamorm.errors import DeadlineExceeded, DynamORMError, Throttled, ValidationError
from dynamorm.ops.calls.backoff import Pace, workers
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import ModelRequests

from .items import key_from_parts
from .selected import selection

if TYPE_CHECKING:
    from dynamorm.codec.partial.reader import PartialReader
    from dynamorm.ops.context import Context

MAX_KEYS: Final = 100
"""Keys of one request.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""


def get(
    context: Context,
    model: Any,
    keys: Iterable[Any],
    *,
    consistent: bool,
    concurrency: int,
    select: Any = None,
    lenient: bool = False,
    on_misfit: str = "raise",
) -> Flow[list[Any]]:
    """The objects under the keys, in their order; None where there is none. With ``select`` they are partial ones.

    With ``lenient`` a `dynamorm.codec.replies.reading.Misfit` stands for an item that does not fit the model, and None where
    ``on_misfit`` is ``"skip"``.

    Raises: ValidationError for a key; Throttled or DeadlineExceeded, with the number of keys that were not read.
    """
    plan = context.plan(model)
    limit = workers(context, concurrency)
    if on_misfit != "raise":
        check_choice("on_misfit", on_misfit, ("raise", "skip"))
    requested = keys_of(plan, keys)
    places = {key: place for place, key in enumerate(dict.fromkeys(requested))}
    said: dict[str, Any] = {"ConsistentRead": True} if consistent or plan.is_consistent else {}
    reader = None
    if select is not None:
        reader, parameters = selection(plan, select)
        said = {**parameters, **said}
    if on_misfit != "raise":
        return _fitting(_all(context, plan, requested, places, limit=limit, said=said, reader=reader, lenient=True))
    return _all(context, plan, requested, places, limit=limit, said=said, reader=reader, lenient=lenient)


def _fitting(flow: Flow[list[Any]]) -> Flow[list[Any]]:
    """The objects, with None for an item that does not fit the model."""
    return [None if obj.__class__ is Misfit else obj for obj in (yield from flow)]


def _all(
    context: Context,
    plan: ModelRequests,
    requested: list[bytes],
    places: dict[bytes, int],
    *,
    limit: int,
    said: dict[str, Any],
    reader: PartialReader | None,
    lenient: bool,
) -> Flow[list[Any]]:
    distinct = list(places)
    objects: list[Any] = [None] * len(distinct)
    answered = [0]
    chunks = [
        _chunk(context, plan, distinct, objects, start, answered, said=said, reader=reader, lenient=lenient)
        for start in range(0, len(distinct), MAX_KEYS)
    ]
    try:
        if len(chunks) == 1:
            yield from chunks[0]
        else:
            yield Gather(chunks, limit)
    except (Throttled, DeadlineExceeded) as error:
        left = len(distinct) - sum(answered)
        error.about(f"{left} of {len(distinct)} keys of {plan.codec.schema.name} were not read")
        raise
    if len(distinct) == len(requested):
        return objects
    seen = set[int]()
    result = []
    for key in requested:
        place = places[key]
        obj = objects[place]
        # An object of its own for each place: changing one changes no other.
        if place in seen and obj is not None and obj.__class__ is not Misfit:
            obj = _again(plan, obj) if reader is None else deepcopy(obj)
        seen.add(place)
        result.append(obj)
    return result


def _chunk(
    context: Context,
    plan: ModelRequests,
    keys: list[bytes],
    objects: list[Any],
    start: int,
    answered: list[int],
    *,
    said: dict[str, Any],
    reader: PartialReader | None,
    lenient: bool,
) -> Flow[None]:
    """Read up to 100 of ``keys`` from ``start`` on: each object goes into ``objects`` at the place of its key.

    The number of keys that a request got an answer for is appended to ``answered``, so it is known also after an error.

    Raises: Throttled when keys were left unprocessed too often.
    """
    pace = Pace(context)
    open_places = list(range(start, min(start + MAX_KEYS, len(keys))))
    head = b'{"RequestItems":{' + dumps(plan.table) + b':{"Keys":['
    tail = b"]," + dumps(said)[1:] + b"}}" if said else b"]}}}"
    read = (plan.codec if reader is None else reader).reading.read_batch
    while True:
        asked_for = [keys[place] for place in open_places]
        asked = Asked(plan.key_names, asked_for, lenient=lenient)
        op = Op(
            "BatchGetItem",
            plan.table,
            head + b",".join(asked_for) + tail,
            partial(read, asked=asked),
            timeout=pace.left(),
        )
        op.prepare = plan.prepare
        items, unprocessed = yield from context.call(op)
        for position, obj in items:
            objects[open_places[position]] = obj
        answered.append(len(open_places) - len(unprocessed))
        if not unprocessed:
            return
        delay = pace.unprocessed(progress=len(unprocessed) < len(open_places))
        if delay is None:
            raise Throttled(
                f"DynamoDB left {len(unprocessed)} keys of a request undone {pace.requests} times; {pace.why}",
                operation="BatchGetItem",
                table=plan.table,
                attempts=pace.requests,
            )
        yield Sleep(delay)
        open_places = [open_places[position] for position in unprocessed]


def _again(plan: ModelRequests, obj: Any) -> Any:
    """Another object of the same item."""
    return plan.codec.decode(plan.codec.loaded(obj) or b"")


def keys_of(plan: ModelRequests, keys: Any) -> list[bytes]:
    """The JSON of each key. Raises: ValidationError naming the position of a key that cannot be one."""
    name = plan.codec.schema.name
    if isinstance(keys, (str, bytes, dict)) or not isinstance(keys, Iterable):
        raise ValidationError(
            f"batch_get takes a list of keys of {name}, not a {type(keys).__name__}: write [key]", field="keys"
        )
    keys_json = []
    key_json = plan.codec.key_json
    for position, key in enumerate(keys):
        wrong: DynamORMError
        try:
            keys_json.append(key_json(key) if key.__class__ is tuple else _key_json(plan, key))
            continue
        except (DynamORMError, TypeError) as error:
            wrong = at(error, f"keys[{position}]")
        raise wrong
    return keys_json


def _key_json(plan: ModelRequests, key: Any) -> bytes:
    """The JSON of a key that is given as one value, as a tuple, or as a dict of its parts. Raises: ValidationError."""
    if key.__class__ is dict:
        return plan.codec.key_json(key_from_parts(plan, (), key))
    if isinstance(key, plan.model):
        return plan.codec.key_of(key)
    return plan.codec.key_json(key if key.__class__ is tuple else (key,))


def at(error: Exception, place: str) -> DynamORMError:
    """The same error, saying which element of a batch it is about. What is no model is a matter of validation here."""
    return (error if isinstance(error, DynamORMError) else ValidationError(str(error))).about(place)
