"""Reading records of DynamoDB Streams and of Lambda events, strictly: a `StreamRecord`, or an error.

It must not know shards, checkpoints or how a record was fetched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET as U
from msgspec import DecodeError, Raw, Struct, UnsetType, field
from msgspec.json import Decoder

from dynamorm.arguments import check_choice
from dynamorm.codec.strict import dumps, malformed, read_object
from dynamorm.errors import ValidationError

from .stream_record import ChangeKind, StreamRecord

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPIRY: Final = ("Service", "dynamodb.amazonaws.com")
_IMAGES: Final = ("keys", "new", "old")
_NOTHING: Final = {b"null", b"{}"}


class _Change(Struct, gc=False):
    """The member ``dynamodb`` of a record."""

    keys: Raw | UnsetType = field(name="Keys", default=U)
    new: Raw | UnsetType = field(name="NewImage", default=U)
    old: Raw | UnsetType = field(name="OldImage", default=U)
    sequence_number: str | None = field(name="SequenceNumber", default=None)
    size_bytes: int | None = field(name="SizeBytes", default=None)
    view: str | None = field(name="StreamViewType", default=None)
    created_at: float | str | None = field(name="ApproximateCreationDateTime", default=None)


class _Record(Struct, gc=False):
    """One record as it comes, from the API or in an event."""

    kind: str = field(name="eventName")
    change: _Change = field(name="dynamodb")
    event_id: str | None = field(name="eventID", default=None)
    region: str | None = field(name="awsRegion", default=None)
    source: str | None = field(name="eventSourceARN", default=None)
    user: dict[str, Any] | None = field(name="userIdentity", default=None)


class _Page(Struct, gc=False):
    """A reply to GetRecords."""

    records: list[_Record] = field(name="Records")
    iterator: str | None = field(name="NextShardIterator", default=None)


_page: Final = Decoder(_Page).decode
_record: Final = Decoder(_Record).decode


def read_records(
    body: bytes, codec: ModelCodec, shard: str, *, skip_unknown: bool = False
) -> tuple[list[StreamRecord[Any]], str | None]:
    """The reply to GetRecords: the records in order, and the iterator to go on with (None: the shard is at its end).

    ``skip_unknown``: items of kinds that no class is known for are passed over.

    Raises: MalformedResponse.
    """
    read_object(body)  # proves that nothing came twice
    page: _Page | None = None
    with suppress(DecodeError):
        page = _page(body)
    # An empty iterator is no way to say that a shard is at its end: what follows in it would be lost.
    if page is None or page.iterator == "" or any(not record.change.sequence_number for record in page.records):
        raise malformed("it is no page of stream records")
    try:
        return [_made(record, codec, shard, skip_unknown=skip_unknown) for record in page.records], page.iterator
    except ValidationError as error:
        raise malformed(error.message) from None


def read_record(
    record: Any,
    codec: ModelCodec,
    *,
    prefix: str | None = None,
    skip_unknown: bool = False,
    prepare: Callable[[bytes], None] | None = None,
) -> StreamRecord[Any]:
    """A record given as a mapping: of the API, of a Lambda event, or as boto3 hands it out.

    ``prefix`` is that of the table names, None when it is not known; ``skip_unknown`` as in `read_records`. ``prepare(body)`` is
    called before images are decoded, with an answer that holds these as items.

    Raises: ValidationError when it is no record, or not one of the model's table.
    """
    if not isinstance(record, Mapping):
        raise ValidationError(
            f"a stream record is a mapping with 'eventName' and 'dynamodb', got {type(record).__name__}"
        )
    parsed: _Record | None = None
    # A parser's error would hold the item; none is kept.
    with suppress(DecodeError, TypeError, ValueError, RecursionError):
        parsed = _record(dumps(record))
    if parsed is None:
        raise ValidationError(
            "this is no stream record: it must have 'eventName' and 'dynamodb' with 'Keys' and images"
        )
    table = table_of(parsed.source)
    wanted = codec.schema.table
    if table is not None and wanted is not None and not named(table, wanted, prefix):
        raise ValidationError(
            f"the record is of table {table!r}, and {codec.schema.name} is stored in {codec.table!r}", table=table
        )
    stream_record = _made(parsed, codec, None, skip_unknown=skip_unknown)
    if stream_record.passed_over:
        return stream_record
    if prepare is not None and (body := stream_record._to_prepare()) is not None:  # noqa: SLF001 - of this package
        prepare(body)
    for name in _IMAGES:
        getattr(stream_record, name)  # a value that does not fit raises here, not later
    return stream_record


def _made(record: _Record, codec: ModelCodec, shard: str | None, *, skip_unknown: bool) -> StreamRecord[Any]:
    change = record.change
    members = {"keys": change.keys, "new": change.new, "old": change.old}
    # Some serialisers write null or {} for an image that the view leaves out.
    raw = {name: bytes(value) for name, value in members.items() if value is not U and bytes(value) not in _NOTHING}
    _check_keys(raw, codec)
    user = record.user or {}
    # Lambda writes these two with small letters, the Streams API with capitals.
    identity = user.get("type", user.get("Type")), user.get("principalId", user.get("PrincipalId"))
    return StreamRecord(
        codec,
        raw,
        kind=_change_kind(record.kind),
        sequence_number=change.sequence_number,
        event_id=record.event_id,
        created_at=_moment(change.created_at),
        size_bytes=change.size_bytes or 0,
        view=change.view,
        region=record.region,
        table=table_of(record.source),
        is_ttl_expiry=identity == _EXPIRY,
        shard=shard,
        skip_unknown=skip_unknown,
    )


def _change_kind(name: str) -> ChangeKind:
    try:
        return ChangeKind(name.lower())
    except ValueError:
        raise ValidationError("the record's eventName is none of INSERT, MODIFY and REMOVE") from None


def _moment(value: float | str | None) -> datetime | None:
    """Seconds since 1970, or ISO 8601 text (what a datetime of boto3 becomes on the way here)."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return None if value is None else _EPOCH + timedelta(seconds=value)
    except (ValueError, OverflowError):
        raise ValidationError("the record's ApproximateCreationDateTime is no time") from None


def _check_keys(raw: dict[str, bytes], codec: ModelCodec) -> None:
    names = set(read_object(raw["keys"])) if "keys" in raw else set()
    if names != set(codec.key_names):
        wanted, got = ", ".join(codec.key_names), ", ".join(sorted(names)) or "nothing"
        raise ValidationError(
            f"the record is not of {codec.schema.name}'s table: its key is {got}, the model's is {wanted}"
        )


def check_on_unknown(value: Any) -> bool:
    """Whether kinds that no class is known for are skipped. Raises: ValidationError for what says neither."""
    return bool(check_choice("on_unknown", value, ("raise", "skip")) == "skip")


def named(table: str, name: str, prefix: str | None) -> bool:
    """Whether ``table`` is ``name`` after the prefix of the table names; any prefix will do when it is not known."""
    return table.endswith(name) if prefix is None else table == prefix + name


def table_of(arn: str | None) -> str | None:
    """The table's name in a stream's ARN (``arn:aws:dynamodb:...:table/NAME/stream/...``), or None.

    Example: ``table_of("arn:aws:dynamodb:eu-west-1:1:table/payments/stream/2026-01-01T00:00:00.000") == "payments"``
    """
    parts = (arn or "").split("/")
    return parts[1] if len(parts) > 2 and parts[0].endswith(":table") else None
