"""DynamoDB Streams: records decoded into models, Lambda events, and the checkpoint table of `DB.stream`.

`decode` and its company need no database: they work in a Lambda function that gets its records handed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from dynamorm.codec.replies.stream_record import ChangeKind, StreamRecord, refuse_awaitable
from dynamorm.codec.replies.stream_records import check_on_unknown, named, read_record, table_of
from dynamorm.features.streams.checkpoint import StreamCheckpoint

from .codec.keys import StoredKey
from .codec.registry import Registry
from .errors import EncryptionNotConfigured, InvalidUse, ModelError, ValidationError
from .errors.log import close_coroutine, interrupts, logger

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec

    from .effects import Flow
    from .session import Session

M = TypeVar("M")

__all__ = ["ChangeKind", "StoredKey", "StreamCheckpoint", "StreamRecord", "decode", "decode_event", "process"]

_registry = Registry()


class Database(Protocol):
    """A `DB` or an `AsyncDB`, whose plugins and table names count.

    Example: ``decode(record, Payment, db=db)``
    """

    @property
    def _session(self) -> Session:
        """What both faces have in common."""
        ...


def decode(record: Mapping[str, Any], model: type[M], *, db: Database | None = None) -> StreamRecord[M]:
    """Decode one stream record: of the DynamoDB Streams API, of a Lambda event, or as boto3 hands it out.

    ``kind, old, new = decode(...)``; an image that the stream's view leaves out is None, and ``keys`` is always there.
    ``db`` is needed when plugins change how the model is stored (encryption, tenants), or table names have a prefix
    that is to be checked. Rules of its plugins prepare for the record first; on an `AsyncDB` only those that need not wait. The record of a sibling, an item of another class in the same table, has neither image
    (`StreamRecord.is_sibling`). Of a model of tenants ``db`` is the view of one, which refuses records of the others, or of all.

    Raises: ValidationError for what is no stream record, a record of another table or key, and an item that does not
    fit the model; TenantMismatch for an item of another tenant; ModelError for a model whose options need a plugin; InvalidUse where a rule of an `AsyncDB` must wait.

    Example::

        kind, old, new = decode(record, Payment)
    """
    return _read(record, model, db, _prefix(db))


def decode_event(
    event: Mapping[str, Any],
    model: type[M] | Mapping[str, type[Any]],
    *,
    db: Database | None = None,
    on_unknown: Literal["raise", "skip"] = "raise",
) -> Iterator[StreamRecord[M]]:
    """The records of a Lambda event (``{"Records": [...]}``), decoded one by one as they are asked for.

    ``model`` may be a mapping from table name to model, for a function that serves several tables. Of a class with a
    discriminator come the records of its own items and its subclasses'; ``on_unknown="skip"`` passes over the kinds that
    no class of this program has, which are an error otherwise.

    Raises: as `decode`; ValidationError for a table that the mapping does not name.

    Example::

        def handler(event, context):
            for kind, old, new in decode_event(event, Payment):
                ...
    """
    skip = check_on_unknown(on_unknown)
    for record in _records(event):
        found = _decoded(record, model, db, skip)
        if not found.passed_over:
            yield found


def process(
    event: Mapping[str, Any],
    model: type[M] | Mapping[str, type[Any]],
    handler: Callable[[StreamRecord[M]], Any],
    *,
    db: Database | None = None,
    on_error: Callable[[Mapping[str, Any], Exception], Any] | None = None,
    on_unknown: Literal["raise", "skip"] = "raise",
) -> dict[str, list[dict[str, str]]]:
    """Call ``handler(record)`` for each record of a Lambda event; returns the partial batch response for Lambda.

    It ends at the first record that fails, for the later ones of a shard must not overtake it: Lambda sends that record
    and all after it again. Turn on ``ReportBatchItemFailures`` in the event source mapping, or Lambda ignores the
    response and takes the failed records for done. ``on_error(record, error)`` is told of the failure; without it the
    failure is logged to the logger ``dynamorm``. Siblings and kinds that are not known: as `decode_event`.

    Raises: ValidationError for what is no event, or when the record that failed has no sequence number, so that Lambda
    sends the whole batch again.

    Source: https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html

    Example::

        def handler(event, context):
            return process(event, Payment, publish)
    """
    skip = check_on_unknown(on_unknown)
    for record in _records(event):
        try:
            found: StreamRecord[M] = _decoded(record, model, db, skip)
            if not found.passed_over:
                refuse_awaitable(handler(found))
        except Exception as error:  # noqa: BLE001 - whatever it is, Lambda must send the record again
            return _failed(record, error, on_error)
    return {"batchItemFailures": []}


def _decoded(record: Any, model: Any, db: Database | None, skip_unknown: bool) -> StreamRecord[Any]:  # noqa: FBT001 - the callers' own
    prefix = _prefix(db)
    return _read(record, _model_of(record, model, prefix), db, prefix, skip_unknown=skip_unknown)


def _read(
    record: Any, model: Any, db: Database | None, prefix: str | None, *, skip_unknown: bool = False
) -> StreamRecord[Any]:
    """The record, where the rules of the plugins do not refuse it."""
    codec, prepare = _codec(model, db), _preparing(model, db)
    found = read_record(record, codec, prefix=prefix, skip_unknown=skip_unknown, prepare=prepare)
    if db is not None and (rules := db._session.plan(model).read_rules) is not None:  # noqa: SLF001 - the faces' own seam
        found.shown_to(rules.check_record)
    return found


def _failed(record: Any, error: Exception, on_error: Callable[..., Any] | None) -> dict[str, list[dict[str, str]]]:
    change = record.get("dynamodb") if isinstance(record, Mapping) else None
    number = change.get("SequenceNumber") if isinstance(change, Mapping) else None
    if not isinstance(number, str) or not number:
        raise ValidationError("a stream record without a sequence number has failed, so the whole batch has") from error
    if on_error is not None:
        try:
            if close_coroutine(on_error(record, error)):
                logger.error("on_error of process gave a coroutine, which nobody awaits: give a plain function")
        except (
            BaseException
        ) as fault:  # the batch is answered for all the same, or what was worked off would come again
            if interrupts(fault):
                raise
            logger.exception("on_error of process failed")
    else:
        logger.error("stream record %s failed and will come again", number, exc_info=error)
    return {"batchItemFailures": [{"itemIdentifier": number}]}


def _records(event: Any) -> list[Any]:
    found = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(found, list):
        raise ValidationError('a Lambda event of a stream is a mapping with a list of "Records"')
    return found


def _model_of(record: Any, model: Any, prefix: str | None) -> Any:
    if not isinstance(model, Mapping):
        return model
    source = record.get("eventSourceARN") if isinstance(record, Mapping) else None
    table = table_of(source if isinstance(source, str) else None)
    if table is None:
        raise ValidationError("the record does not tell its table (eventSourceARN): pass the model itself")
    fitting = [name for name in model if named(table, name, prefix)]
    if not fitting:
        raise ValidationError(f"no model is given for table {table!r}: there are {', '.join(sorted(model)) or 'none'}")
    return model[max(fitting, key=len)]


def _codec(model: Any, db: Database | None) -> ModelCodec:
    try:
        codec = _registry.codec(model) if db is None else db._session.plan(model).history  # noqa: SLF001 - the faces' own seam
    except EncryptionNotConfigured:
        if db is not None:
            raise
        raise ModelError(
            f"{model.__name__} has encrypted fields, which a database with a provider of keys opens: pass it as db="
        ) from None
    if not codec.key_names:
        raise ModelError(f"{codec.schema.name} has no key, so no table and no stream")
    return codec


def _preparing(model: Any, db: Database | None) -> Callable[[bytes], None] | None:
    """What lets the rules of plugins prepare for images before these are decoded; None where there are none."""
    if db is None:
        return None
    session = db._session  # noqa: SLF001 - as above
    plan = session.plan(model)
    return None if plan.prepare is None else partial(_prepared, session, plan.codec.schema.name, plan.prepare)


def _prepared(session: Session, name: str, prepare: Callable[[bytes], Flow[None]], body: bytes) -> None:
    """Prepare, on a blocking database; on one of the asyncio face only what waits for nothing."""
    flow = prepare(body)
    assert session.run is not None  # given by the face
    if not iscoroutinefunction(session.run):
        session.run(flow)
        return
    try:
        next(flow)
    except StopIteration:
        return
    flow.close()
    raise InvalidUse(
        f"a rule of {name} fetches what decoding needs, and nobody awaits here: read the stream by db.stream(...), or pass a"
        " blocking DB with the same plugins as db="
    )


def _prefix(db: Database | None) -> str | None:
    return None if db is None else db._session.config.table_prefix  # noqa: SLF001 - as above
