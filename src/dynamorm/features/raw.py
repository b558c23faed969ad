"""Tables without models: items are read and written as they are stored, in DynamoDB's JSON. Returns flows.

No version, no rule and no plugin's form is looked after: what is stored is what was given. For tools that move whole tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from msgspec import MsgspecError, Struct
from msgspec.json import Decoder

from dynamorm.codec.replies.batches import Asked, read_unprocessed
from dynamorm.codec.replies.table_description import TableDescription, read_table
from dynamorm.codec.strict import PageJson, dumps, expect_empty, raw_item, raw_page, read_object
from dynamorm.effects import Flow, Sleep
from dynamorm.errors import ClientError, ConditionFailed, DynamORMError, Throttled, ValidationError
from dynamorm.models.schema.overriding import override
from dynamorm.ops.calls.backoff import Pace
from dynamorm.ops.calls.op import Op, Safety

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.wire.reply import ServiceFault

Refusal = tuple[int, DynamORMError]
"""The place of an item in what was to be written, and why it was refused."""

MAX_WATCHED: Final = 100
"""Attributes of an item that are all compared when it is changed: an expression has 4 KB, and 300 operators."""
MAX_PUTS: Final = 25
"""Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""


class RawTable:
    """One table of a database. ``name`` is its whole name, with the ``table_prefix``.

    ``spent`` is told the units that each page, and each batch of puts, has consumed.
    """

    __slots__ = ("_context", "_head", "_spent", "name")

    def __init__(self, context: Context, name: str, spent: Callable[[float], object] | None = None) -> None:
        self._context = context
        self._head = b'{"TableName":' + dumps(name)
        self._spent = spent
        self.name: str = name

    @override
    def __repr__(self) -> str:
        return f"<RawTable {self.name}>"

    def describe(self) -> Flow[TableDescription]:
        """The live table, as far as DescribeTable tells. Raises: TableNotFound."""
        return self._context.call(Op("DescribeTable", self.name, self._head + b"}", read_table))

    def get(self, key: bytes, *, consistent: bool = False) -> Flow[bytes | None]:
        """The JSON of an item, or None."""
        body = self._head + b',"Key":' + key + (b',"ConsistentRead":true}' if consistent else b"}")
        return self._context.call(Op("GetItem", self.name, body, lambda reply: raw_item(reply, "Item")))

    def put(self, item: bytes) -> Flow[None]:
        """Store an item, in place of what is there."""
        body = self._head + b',"Item":' + item + b"}"
        yield from self._context.call(Op("PutItem", self.name, body, expect_empty, Safety.RESEND))

    def put_absent(self, item: bytes, partition: str) -> Flow[bytes | None]:
        """Store an item unless there is one; None where it was stored, else the JSON of the one that is there."""
        said = _if("attribute_not_exists(#k)", partition)
        body = self._head + b',"Item":' + item + b"," + dumps(said)[1:]
        return self._context.call(Op("PutItem", self.name, body, _nothing, Safety.RESEND, _found))

    def delete(self, key: bytes, partition: str) -> Flow[bool]:
        """Delete an item; whether there was one."""
        body = self._head + b',"Key":' + key + b"," + dumps(_if("attribute_exists(#k)", partition))[1:]
        return self._context.call(Op("DeleteItem", self.name, body, _applied, Safety.RESEND, _was_there))

    def replace(self, key: bytes, before: Mapping[str, Any], after: Mapping[str, Any]) -> Flow[bool]:
        """Change the attributes in which these two items differ, while the item is as before. False where it is not.

        Of an item of very many attributes those that are changed are looked at alone: conditions have their limits.

        An answer that was lost is settled by what is stored: it is the change where the attributes are as they should be.
        """
        said = _change(next(iter(read_object(key))), before, after)
        if said is None:
            return True

        def refused(fault: ServiceFault, ambiguous: bool, _: dict[str, Any]) -> bool:
            return ambiguous and fault.item is not None and _has(fault.item, before, after)

        body = self._head + b',"Key":' + key + b"," + dumps(said)[1:]
        changed: bool = yield from self._context.call(
            Op("UpdateItem", self.name, body, _applied, Safety.RESEND, refused)
        )
        return changed

    def page(self, operation: str, said: Mapping[str, Any], start: bytes | None = None) -> Flow[PageJson]:
        """One page of a Query or a Scan: what came, and the key to go on after, None at the end."""
        asked = {} if self._spent is None else _COUNTED
        body = dumps({"TableName": self.name, **said, **asked})
        if start is not None:
            body = body[:-1] + b',"ExclusiveStartKey":' + start + b"}"

        def read(reply: bytes) -> PageJson:
            found = raw_page(reply)
            self._count(reply)
            return found

        return self._context.call(Op(operation, self.name, body, read))

    def write(self, items: Sequence[bytes], keys: tuple[str, ...]) -> Flow[list[Refusal]]:
        """Put up to 25 items of different keys. Returns those that DynamoDB refuses for what they are, and why.

        ``keys`` are the stored names of the table's key. Raises: what says nothing of one item; some may then be written.
        """
        places = list(range(len(items)))
        refused: list[Refusal] = []
        yield from self._write(items, keys, places, refused)
        return sorted(refused, key=lambda refusal: refusal[0])

    def _write(
        self, items: Sequence[bytes], keys: tuple[str, ...], places: list[int], refused: list[Refusal]
    ) -> Flow[None]:
        pace = Pace(self._context)
        while places:
            op = self._puts([items[place] for place in places], keys, pace.left())
            try:
                again = yield from self._context.call(op)
            except (ValidationError, ClientError) as error:
                if len(places) == 1:
                    refused.append((places[0], error))
                    return
                half = len(places) // 2
                yield from self._write(items, keys, places[:half], refused)
                yield from self._write(items, keys, places[half:], refused)
                return
            if not again:
                return
            delay = pace.unprocessed(progress=len(again) < len(places))
            places = [places[at] for at in again]
            if delay is None:
                raise Throttled(
                    f"DynamoDB left {len(places)} items undone in {pace.requests} requests; {pace.why}",
                    operation=op.name,
                    table=op.table,
                    attempts=pace.requests,
                )
            yield Sleep(delay)

    def _puts(self, items: list[bytes], keys: tuple[str, ...], timeout: float) -> Op:
        name = self.name
        body = b'{"RequestItems":{' + dumps(name) + b':[{"PutRequest":{"Item":'
        body += b'}},{"PutRequest":{"Item":'.join(items) + b"}}]}"
        body += b"}" if self._spent is None else b"," + dumps(_COUNTED)[1:]

        def undone(reply: bytes) -> list[int]:
            self._count(reply)
            return [at for _, _, at in read_unprocessed(reply, {name: {"Put": Asked(keys, items)}})]

        return Op("BatchWriteItem", name, body, undone, Safety.RESEND, timeout=timeout)

    def _count(self, reply: bytes) -> None:
        if self._spent is not None:
            with suppress(MsgspecError):
                consumed = _consumed(reply).ConsumedCapacity
                some = consumed if isinstance(consumed, list) else [consumed]
                self._spent(sum(one.CapacityUnits for one in some if one is not None))


class _Units(Struct, gc=False):
    CapacityUnits: float = 0.0


class _Consumed(Struct, gc=False):
    ConsumedCapacity: _Units | list[_Units] | None = None


_consumed: Final = Decoder(_Consumed).decode
_COUNTED: Final = {"ReturnConsumedCapacity": "TOTAL"}


def _if(condition: str, partition: str) -> dict[str, Any]:
    return {
        "ConditionExpression": condition,
        "ExpressionAttributeNames": {"#k": partition},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _change(partition: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any] | None:
    """The parts of an UpdateItem that make one item of another; None where there is nothing to change."""
    names: dict[str, str] = {"#k": partition}
    values: dict[str, Any] = {}
    sets, removes, terms = [], [], ["attribute_exists(#k)"]
    every = sorted({*before, *after})
    for at, name in enumerate(every):
        old, new = before.get(name), after.get(name)
        if old == new and (name == partition or len(every) > MAX_WATCHED):
            continue
        names[f"#a{at}"] = name
        if old is None:
            terms.append(f"attribute_not_exists(#a{at})")
        else:
            values[f":o{at}"] = old
            terms.append(f"#a{at} = :o{at}")
        if new is None:
            removes.append(f"#a{at}")
        elif old != new:
            values[f":n{at}"] = new
            sets.append(f"#a{at} = :n{at}")
    if not sets and not removes:
        return None
    update = (["SET " + ", ".join(sets)] if sets else []) + (["REMOVE " + ", ".join(removes)] if removes else [])
    return {
        "UpdateExpression": " ".join(update),
        "ConditionExpression": " AND ".join(terms),
        "ExpressionAttributeNames": names,
        **({"ExpressionAttributeValues": values} if values else {}),
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


def _has(stored: bytes, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether what is stored has the attributes of ``after``, of those that were to be changed."""
    found = read_object(stored)
    return all(found.get(name) == after.get(name) for name in {*before, *after} if before.get(name) != after.get(name))


def _nothing(reply: bytes) -> None:
    expect_empty(reply)


def _applied(reply: bytes) -> bool:
    expect_empty(reply)
    return True


def _found(fault: ServiceFault, _: bool, info: dict[str, Any]) -> bytes:
    if fault.item is None:
        raise ConditionFailed("there is an item with this key", **info)
    return fault.item


def _was_there(_: ServiceFault, ambiguous: bool, __: dict[str, Any]) -> bool:
    return ambiguous  # an earlier attempt may have deleted it, and nothing is there now
