"""Keys as bytes: hash of the partition, the partition, the sort key, in DynamoDB's order. It must not know where they are kept.

A query is one range of such bytes, a scan goes by the hash, and a segment of a scan is a range of hashes. Each part ends itself,
so that several attributes may follow one another, and entries of equal index keys follow the keys of their items.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, NamedTuple

from dynamorm.engine.refusal import wrong_parameter
from dynamorm.engine.sizes import MAX_PARTITION_KEY, MAX_SORT_KEY
from dynamorm.engine.values.measure import decoded
from dynamorm.engine.values.numbers import number_key

SURELY_SHORT: Final = MAX_SORT_KEY // 4
"""Characters of a key that are not too many, whatever they are."""

HASH: Final = 8
"""Bytes of a hash."""


class KeyAttribute(NamedTuple):
    """An attribute of a key, and its type: S, N or B."""

    name: str
    type: str


class KeyNames(NamedTuple):
    """The attributes of a key; those of a table have one of each at most."""

    partition: tuple[KeyAttribute, ...]
    sort: tuple[KeyAttribute, ...] = ()

    @property
    def all(self) -> tuple[KeyAttribute, ...]:
        """Every attribute of the key."""
        return self.partition + self.sort


@lru_cache(1024)
def hashed(partition: bytes) -> bytes:
    """The hash of a partition's bytes, with them behind it."""
    return blake2b(partition, digest_size=HASH).digest() + partition


def ended(raw: bytes) -> bytes:
    """Bytes that end themselves, and keep the order of what they are made of."""
    return raw.replace(b"\0", b"\0\1") + b"\0\0" if b"\0" in raw else raw + b"\0\0"


def open_ended(tag: str, text: str) -> bytes:
    """The bytes that all keys with this beginning have."""
    raw = text.encode() if tag == "S" else decoded(text)
    return raw.replace(b"\0", b"\0\1") if b"\0" in raw else raw


def after(prefix: bytes) -> bytes:
    """The least bytes above all that begin with these."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes((kept[-1] + 1,)) if kept else b"\xff" * (len(prefix) + 1)


def part(tag: str, text: str) -> bytes:
    """One attribute of a key, from its normalised text."""
    if tag == "S":
        raw = text.encode()
    elif tag == "N":
        return number_key(text)
    else:
        raw = decoded(text)
    return raw.replace(b"\0", b"\0\1") + b"\0\0" if b"\0" in raw else raw + b"\0\0"


def parts(attributes: tuple[KeyAttribute, ...], item: dict[str, Any]) -> bytes:
    """Several attributes of an item that has them all."""
    return b"".join([part(tag, item[name][tag]) for name, tag in attributes])


def checked(attribute: KeyAttribute, value: dict[str, Any] | None, limit: int) -> bytes:
    """One attribute of a table's key, as an item has it. Raises: Refusal."""
    name, tag = attribute
    if value is None:
        raise wrong_parameter(f"Missing the key {name} in the item")
    text = value.get(tag)
    if text is None:
        raise wrong_parameter(f"Type mismatch for key {name} expected: {tag} actual: {next(iter(value))}")
    if tag == "N":
        return number_key(text)
    raw = text.encode() if tag == "S" else decoded(text)
    if not raw:
        raise invalid_empty(name)
    if len(raw) > limit:
        kind = "hashkey" if limit == MAX_PARTITION_KEY else "rangekey"
        raise wrong_parameter(f"Size of {kind} has exceeded the maximum size limit of {limit} bytes")
    return raw.replace(b"\0", b"\0\1") + b"\0\0" if b"\0" in raw else raw + b"\0\0"


def invalid_empty(name: str) -> Exception:
    """A key that is empty."""
    return wrong_parameter(
        f"The AttributeValue for a key attribute cannot contain an empty string or binary value. Key: {name}"
    )


def key_maker(names: KeyNames) -> Callable[[dict[str, Any]], bytes]:
    """The function that makes a table's key of an item, and checks it. It raises: Refusal."""
    (partition,) = names.partition
    if not names.sort:

        def simple(item: dict[str, Any]) -> bytes:
            raw = checked(partition, item.get(partition.name), MAX_PARTITION_KEY)
            return hashed(raw)

        return simple
    (sort,) = names.sort
    first, first_tag = partition
    second, second_tag = sort

    def composite(item: dict[str, Any]) -> bytes:
        raw: bytes
        value = item.get(first)
        text: str | None = value.get("S") if first_tag == "S" and value is not None else None
        if text and len(text) <= SURELY_SHORT and "\0" not in text:  # the usual kind, without a call
            raw = text.encode() + b"\0\0"
        else:
            raw = checked(partition, value, MAX_PARTITION_KEY)
        value = item.get(second)
        text = value.get("S") if second_tag == "S" and value is not None else None
        if text and len(text) <= SURELY_SHORT and "\0" not in text:
            return b"%b%b\0\0" % (hashed(raw), text.encode())
        return hashed(raw) + checked(sort, value, MAX_SORT_KEY)

    return composite
