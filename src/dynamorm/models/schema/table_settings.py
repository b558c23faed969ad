"""`TableSettings`: what a table is besides its keys and indexes, as plain data. It must not know wire types or verbs.

A setting that is left out (None) is DynamoDB's default when a table is made, and is left as it is when one is changed.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from msgspec import Struct

from dynamorm.arguments import check_choice, is_whole
from dynamorm.errors import ModelError

BillingMode: TypeAlias = Literal["PAY_PER_REQUEST", "PROVISIONED"]
StreamView: TypeAlias = Literal["KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"]
TableClass: TypeAlias = Literal["STANDARD", "STANDARD_INFREQUENT_ACCESS"]

# Source of all limits here: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CreateTable.html
UNLIMITED = -1
"""As a part of ``max_throughput``: takes a maximum away again."""
MAX_RECOVERY_DAYS = 35
MAX_TAGS = 50


class Throughput(Struct, frozen=True):
    """Units of reading and writing per second; a part that is left out is not set.

    A read unit is one strongly consistent read of up to 4 KB, a write unit one write of up to 1 KB.
    Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-units.html

    Raises: ModelError for anything but whole numbers from 1 up.

    Example: ``Throughput(read=100, write=25)``
    """

    read: int | None = None
    write: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("read", self.read), ("write", self.write)):
            if value is not None and not (is_whole(value) and (value >= 1 or value == UNLIMITED)):
                raise ModelError(f"Throughput: {name} is a whole number of units from 1 up")
        if self.read is None and self.write is None:
            raise ModelError("Throughput: give read, write or both")

    def __str__(self) -> str:
        parts = ((self.read, "read"), (self.write, "write"))
        return ", ".join(
            f"unlimited {name}" if value == UNLIMITED else f"{value} {name}"
            for value, name in parts
            if value is not None
        )


class IndexSettings(Struct, frozen=True, kw_only=True):
    """The throughput of one global secondary index; see `TableSettings` for the three kinds.

    Example: ``IndexSettings(throughput=Throughput(5, 5))``
    """

    throughput: Throughput | None = None
    max_throughput: Throughput | None = None
    warm_throughput: Throughput | None = None

    def __post_init__(self) -> None:
        _check_throughputs("IndexSettings", self)


class TableSettings(Struct, frozen=True, kw_only=True):
    """What a table is besides its keys and indexes. A setting that is left out is not touched by a plan.

    Args:
        billing_mode: ``"PAY_PER_REQUEST"`` (on demand, the default of a new table) or ``"PROVISIONED"``.
        throughput: provisioned units; it alone says ``PROVISIONED``.
        max_throughput: the most an on-demand table will serve; a part of -1 takes a maximum away.
        warm_throughput: what the table serves at once, without growing into it first; it can only be raised.
        indexes: the same three for global indexes, by index name. Under ``PROVISIONED`` a new index that is not named
            gets the table's units.
        time_to_live: False leaves DynamoDB's expiry off although a model has a ``ttl()`` field. Without it the field of
            the models is switched on.
        stream: what a change record holds, e.g. ``"NEW_AND_OLD_IMAGES"``; False switches the stream off.
        point_in_time_recovery: True, False, or the number of days to keep (1 to 35).
        encryption: ``"AWS_OWNED"`` (the default), ``"AWS_MANAGED"`` (KMS, alias/aws/dynamodb), or the id, ARN or alias
            of a KMS key of one's own.
        deletion_protection: refuse to delete the table.
        table_class: ``"STANDARD"`` or ``"STANDARD_INFREQUENT_ACCESS"``.
        tags: names and values; other tags that a table has are kept.

    Raises: ModelError for settings that contradict each other or that DynamoDB does not have.

    Example::

        class Payment(
            Model, table="payments", settings=TableSettings(point_in_time_recovery=True, deletion_protection=True)
        ):
            id: Attr[str] = partition_key()
    """

    billing_mode: BillingMode | None = None
    throughput: Throughput | None = None
    max_throughput: Throughput | None = None
    warm_throughput: Throughput | None = None
    indexes: dict[str, IndexSettings] = {}
    time_to_live: bool | None = None
    stream: StreamView | Literal[False] | None = None
    point_in_time_recovery: bool | int | None = None
    encryption: str | None = None
    deletion_protection: bool | None = None
    table_class: TableClass | None = None
    tags: dict[str, str] = {}

    def __post_init__(self) -> None:
        _check_words(self)
        _check_throughputs("TableSettings", self)
        _check_billing(self)
        _check_recovery(self.point_in_time_recovery)
        _check_tags(self.tags)

    @property
    def provisioned(self) -> bool:
        """Whether the table is billed by provisioned units."""
        return self.billing_mode == "PROVISIONED" or (self.billing_mode is None and self.throughput is not None)

    @property
    def recovery_days(self) -> int | None:
        """For how many days point-in-time recovery keeps its record, when that is said."""
        days = self.point_in_time_recovery
        return None if days is None or isinstance(days, bool) else days


_WORDS: dict[str, tuple[Any, ...]] = {
    "billing_mode": (None, "PAY_PER_REQUEST", "PROVISIONED"),
    "stream": (None, False, "KEYS_ONLY", "NEW_IMAGE", "OLD_IMAGE", "NEW_AND_OLD_IMAGES"),
    "table_class": (None, "STANDARD", "STANDARD_INFREQUENT_ACCESS"),
    "time_to_live": (None, True, False),
    "deletion_protection": (None, True, False),
}


def _check_words(settings: TableSettings) -> None:
    for name, allowed in _WORDS.items():
        check_choice(name, getattr(settings, name), allowed, subject=f"TableSettings: {name}", error=ModelError)
    key: Any = settings.encryption
    if key is not None and not (isinstance(key, str) and key.strip()):
        raise ModelError("TableSettings: encryption is 'AWS_OWNED', 'AWS_MANAGED' or a KMS key")


def _check_throughputs(what: str, settings: TableSettings | IndexSettings) -> None:
    for name in ("throughput", "max_throughput", "warm_throughput"):
        given = getattr(settings, name)
        if given is None:
            continue
        if not isinstance(given, Throughput):
            raise ModelError(f"{what}: {name} is a Throughput, e.g. {name}=Throughput(read=10, write=5)")
        if name == "throughput" and (given.read is None or given.write is None):
            raise ModelError(f"{what}: throughput needs both read and write")
        if name != "max_throughput" and UNLIMITED in (given.read, given.write):
            raise ModelError(f"{what}: only max_throughput can be unlimited (-1)")


def _check_billing(settings: TableSettings) -> None:
    named: Any = settings.indexes
    if not isinstance(named, dict) or not all(isinstance(index, IndexSettings) for index in named.values()):
        raise ModelError("TableSettings: indexes is a dict of IndexSettings by index name")
    units = any(index.throughput is not None for index in named.values())
    limits = any(index.max_throughput is not None for index in named.values())
    if settings.provisioned:
        if settings.throughput is None:
            raise ModelError("TableSettings: PROVISIONED needs throughput=Throughput(read=..., write=...)")
        if settings.max_throughput is not None or limits:
            raise ModelError("TableSettings: max_throughput is for on-demand tables, and this one is PROVISIONED")
    elif settings.throughput is not None or units:
        raise ModelError(
            "TableSettings: throughput is for PROVISIONED tables, which need it for the table itself;"
            " to limit an on-demand table use max_throughput"
        )


def _check_recovery(value: Any) -> None:
    if value is None or isinstance(value, bool):
        return
    if not is_whole(value) or not 1 <= value <= MAX_RECOVERY_DAYS:
        raise ModelError(f"TableSettings: point_in_time_recovery is True, False or 1 to {MAX_RECOVERY_DAYS} days")


def _check_tags(tags: Any) -> None:
    """Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Tagging.html."""
    if not isinstance(tags, dict) or not all(isinstance(text, str) for pair in tags.items() for text in pair):
        raise ModelError("TableSettings: tags is a dict of text to text")
    if len(tags) > MAX_TAGS:
        raise ModelError(f"TableSettings: a table has at most {MAX_TAGS} tags")
    for name, value in tags.items():
        if not 1 <= len(name) <= 128 or len(value) > 256 or name.lower().startswith("aws:"):
            raise ModelError(
                "TableSettings: a tag's name has 1 to 128 characters and no aws: before it, its value up to 256"
            )
