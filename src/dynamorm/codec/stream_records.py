"""Records of DynamoDB Streams and of Lambda events as `StreamRecord`: what happened, to which item, old and new.

It must not know shards, checkpoints or how a record was fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from msgspec import UNSET as U
from msgspec import DecodeError, Raw, Struct, UnsetType, field
from msgspec.json import Decoder

from dynamorm.errors import ValidationError

from .replies import dumps, malformed, read_object

if TYPE_CHECKING:
    from .generate import Codec

M = TypeVar("M")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXPIRY: Final = ("Service", "dynamodb.amazonaws.com")
_IMAGES: Final = ("keys", "new", "old")
_NOTHING: Final = {b"null", b"{}"}


class ChangeKind(StrEnum):
    """What happened to the item.

    Example: ``if record.kind is ChangeKind.REMOVE: ...`` or ``if record.kind == "remove": ...``
    """

    INSERT = "insert"
    MODIFY = "modify"
    REMOVE = "remove"


class StreamRecord(Generic[M]):
    """One change of one item, unpacked as ``kind, old, new = record``.

    ``kind`` is a `ChangeKind`. ``sequence_number`` orders the records of one shard, ``event_id`` is DynamoDB's id of the
    record, ``created_at`` about when the change was made (UTC; None when the record does not say), ``size_bytes`` its
    size, ``view`` the stream's view type (``"NEW_AND_OLD_IMAGES"``, ...), ``region`` where it was made, ``table`` the
    table's name when the record tells it (a Lambda event does), ``shard`` the shard it was read from, if any.

    Images are decoded when they are first asked for, so that a record whose item does not fit the model can still be
    told by its ``keys`` and passed over.

    Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_Record.html

    Example::

        kind, old, new = decode(record, Payment)
        if kind is ChangeKind.MODIFY and old.status != new.status:
            ...
    """

    __slots__ = (
        "_codec", "_known", "_raw", "created_at", "event_id", "is_ttl_expiry", "kind", "region", "sequence_number",
        "shard", "size_bytes", "table", "view",
    )  # fmt: skip

    def __init__(
        self,
        codec: Codec,
        raw: dict[str, bytes],
        *,
        kind: ChangeKind,
        sequence_number: str | None,
        event_id: str | None = None,
        created_at: datetime | None = None,
        size_bytes: int = 0,
        view: str | None = None,
        region: str | None = None,
        table: str | None = None,
        is_ttl_expiry: bool = False,
        shard: str | None = None,
    ) -> None:
        self._codec = codec
        self._raw = raw
        self._known: dict[str, Any] = {}
        self.kind = kind
        self.sequence_number = sequence_number
        self.event_id = event_id
        self.created_at = created_at
        self.size_bytes = size_bytes
        self.view = view
        self.region = region
        self.table = table
        self.is_ttl_expiry = is_ttl_expiry
        """Whether DynamoDB removed the item because its time to live was over, rather than somebody's delete."""
        self.shard = shard

    @property
    def keys(self) -> tuple[Any, ...]:
        """The item's key as Python values, partition first. Every view type has it.

        Raises: ValidationError when the key is not of the model's types.

        Example: ``db.get(Payment, *record.keys)``
        """
        return self._once("keys", self._codec.key_values)  # type: ignore[no-any-return] # the codec's own values

    @property
    def new(self) -> M | None:
        """The item as it was after the change, or None: it was removed, or the stream's view does not hold it.

        It counts as loaded: `DB.save` writes only what is changed, and only if the item is still at this version.

        Raises: ValidationError when the item does not fit the model.

        Example: ``record.new.status``
        """
        return self._once("new", self._codec.decode)  # type: ignore[no-any-return] # the codec's own object

    @property
    def old(self) -> M | None:
        """The item as it was before the change, or None: it was inserted, or the stream's view does not hold it.

        Raises: ValidationError when the item does not fit the model.

        Example: ``record.old.status``
        """
        return self._once("old", self._codec.decode)  # type: ignore[no-any-return] # the codec's own object

    def _once(self, name: str, decode: Any) -> Any:
        if name not in self._raw:
            return None
        if name not in self._known:
            self._known[name] = decode(self._raw[name])
        return self._known[name]

    def __iter__(self) -> Iterator[Any]:
        """``kind, old, new = record``."""
        return iter((self.kind, self.old, self.new))

    def __repr__(self) -> str:
        return f"<StreamRecord {self.kind} {self._codec.schema.name} {self.sequence_number}>"


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


def read_records(body: bytes, codec: Codec, shard: str) -> tuple[list[StreamRecord[Any]], str | None]:
    """The reply to GetRecords: the records in order, and the iterator to go on with (None: the shard is at its end).

    Raises: MalformedResponse.
    """
    read_object(body)  # proves that nothing came twice
    page: _Page | None = None
    with suppress(DecodeError):
        page = _page(body)
    # An empty iterator is no way to say that a shard is at its end: what follows in it would be lost.
    if page is None or page.iterator == "" or any(not one.change.sequence_number for one in page.records):
        raise malformed("it is no page of stream records")
    try:
        return [_made(one, codec, shard) for one in page.records], page.iterator
    except ValidationError as error:
        raise malformed(error.message) from None


def read_record(record: Any, codec: Codec, *, prefix: str | None = None) -> StreamRecord[Any]:
    """A record given as a mapping: of the API, of a Lambda event, or as boto3 hands it out.

    ``prefix`` is that of the table names, None when it is not known.

    Raises: ValidationError when it is no record, or not one of the model's table.
    """
    if not isinstance(record, Mapping):
        raise ValidationError(
            f"a stream record is a mapping with 'eventName' and 'dynamodb', got {type(record).__name__}"
        )
    found: _Record | None = None
    # A parser's error would hold the item; none is kept.
    with suppress(DecodeError, TypeError, ValueError, RecursionError):
        found = _record(dumps(record))
    if found is None:
        raise ValidationError(
            "this is no stream record: it must have 'eventName' and 'dynamodb' with 'Keys' and images"
        )
    table = table_of(found.source)
    wanted = codec.schema.table
    if table is not None and wanted is not None and not named(table, wanted, prefix):
        raise ValidationError(
            f"the record is of table {table!r}, and {codec.schema.name} is stored in {codec.table!r}", table=table
        )
    made = _made(found, codec, None)
    for name in _IMAGES:
        getattr(made, name)  # what does not fit is told here, not somewhere later
    return made


def _made(one: _Record, codec: Codec, shard: str | None) -> StreamRecord[Any]:
    change = one.change
    found = {"keys": change.keys, "new": change.new, "old": change.old}
    # Some serialisers write null or {} for an image that the view leaves out.
    raw = {name: bytes(value) for name, value in found.items() if value is not U and bytes(value) not in _NOTHING}
    _check_keys(raw, codec)
    user = one.user or {}
    # Lambda writes these two with small letters, the Streams API with capitals.
    identity = user.get("type", user.get("Type")), user.get("principalId", user.get("PrincipalId"))
    return StreamRecord(
        codec,
        raw,
        kind=_change_kind(one.kind),
        sequence_number=change.sequence_number,
        event_id=one.event_id,
        created_at=_moment(change.created_at),
        size_bytes=change.size_bytes or 0,
        view=change.view,
        region=one.region,
        table=table_of(one.source),
        is_ttl_expiry=identity == _EXPIRY,
        shard=shard,
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
            found = datetime.fromisoformat(value)
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        return None if value is None else _EPOCH + timedelta(seconds=value)
    except (ValueError, OverflowError):
        raise ValidationError("the record's ApproximateCreationDateTime is no time") from None


def _check_keys(raw: dict[str, bytes], codec: Codec) -> None:
    names = set(read_object(raw["keys"])) if "keys" in raw else set()
    if names != set(codec.key_names):
        wanted, got = ", ".join(codec.key_names), ", ".join(sorted(names)) or "nothing"
        raise ValidationError(
            f"the record is not of {codec.schema.name}'s table: its key is {got}, the model's is {wanted}"
        )


def named(table: str, name: str, prefix: str | None) -> bool:
    """Whether ``table`` is ``name`` behind the prefix of the table names; any prefix will do when it is not known."""
    return table.endswith(name) if prefix is None else table == prefix + name


def table_of(arn: str | None) -> str | None:
    """The table's name in a stream's ARN (``arn:aws:dynamodb:...:table/NAME/stream/...``), or None.

    Example: ``table_of("arn:aws:dynamodb:eu-west-1:1:table/payments/stream/2026-01-01T00:00:00.000") == "payments"``
    """
    parts = (arn or "").split("/")
    return parts[1] if len(parts) > 2 and parts[0].endswith(":table") else None
