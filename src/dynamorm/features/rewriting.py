"""Attributes of stored items in another form: a plugin reads items as they are stored, and stores some of their attributes anew.

Nothing else of an item changes: no version, no time, no token; guards of unique attributes go along. A write happens only
while what was read of these attributes is as it was. It must not know what the forms mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.codec.library_attributes import STAMPS, is_guard_key
from dynamorm.codec.strict import dumps, raw_page, read_object
from dynamorm.effects import Flow
from dynamorm.errors import ConditionFailed, ConfigError, OutcomeUnknown, TransactionCancelled, TransactionConflict
from dynamorm.models.expressions.compile import Placeholders
from dynamorm.models.schema.schema import tags_of
from dynamorm.ops.calls.op import Op
from dynamorm.ops.requests import check_values, encode, finish
from dynamorm.ops.rules.unique import moves, values_in
from dynamorm.ops.writes.send import perform
from dynamorm.ops.writes.version_check import OLD_ON_FAILURE
from dynamorm.ops.writes.write import Write, read_back

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests

_FEW = 50
"""Items of a page of a segment: who spreads a pass over segments looks at it now and then."""
Wires = Mapping[str, "dict[str, Any] | None"]


class Rewriting:
    """Reads and writes items of whole tables as they are stored. ``context`` is that of the database."""

    def __init__(self, context: Context) -> None:
        self._context = context.meant("internal")

    def use(self, model: type[Any]) -> None:
        """Find what is known of a model. Raises: ModelError."""
        self._context.plan(model)

    def page(
        self,
        model: type[Any],
        start: bytes | None,
        *,
        whole_table: bool = False,
        segment: tuple[int, int] | None = None,
    ) -> Flow[tuple[list[dict[str, Any]], bytes | None]]:
        """The items of one page of a scan, consistently read, and the key to go on after, as JSON; None at the end.

        ``whole_table``: those of other classes of the table, and guards, too. ``segment``: of one of so many segments alone.
        """
        plan = self._context.plan(model)
        said = {} if segment is None else {"Segment": segment[0], "TotalSegments": segment[1], "Limit": _FEW}
        body = encode({"TableName": plan.table, "ConsistentRead": True, **said})
        if start is not None:
            body = body[:-1] + b',"ExclusiveStartKey":' + start + b"}"
        page = yield from self._context.call(Op("Scan", plan.table, body, raw_page))
        return [item for item in page.items if whole_table or _is_of(plan, item)], page.last_key

    def read(self, model: type[Any], item: Mapping[str, Any]) -> Flow[dict[str, Any] | None]:
        """An item as it is stored now; None where it is not there any more."""
        plan = self._context.plan(model)
        raw = yield from self._context.call(read_back(plan, _key(plan, item), purpose="internal"))
        return None if raw is None else read_object(raw)

    def write(self, model: type[Any], item: Mapping[str, Any], changes: Wires) -> Flow[bool]:
        """Store these attributes (None: removed) of an item that was read so. False where it has changed since.

        Raises: ConfigError for an item of which something is recorded that nobody here would record.
        """
        plan = self._context.plan(model)
        rules = {rule: None for some in plan.rules.values() for rule in some}
        if any(name in item and not any(name in rule.stamps for rule in rules) for name in STAMPS):
            raise ConfigError(
                f"an item of {plan.codec.schema.name} has records of an audit trail, and this database does not track the model, so"
                " that each of these items would be taken for changed by others: enable_change_tracking(...) for it before, with"
                " the same fields, store and key"
            )
        left = {**item, **changes}
        changes = {
            **changes,
            **{name: wire for rule in rules for name, wire in rule.rewritten(plan, item, left).items()},
        }
        places = Placeholders()
        sets = [f"{places.name(name)} = {places.value(wire)}" for name, wire in changes.items() if wire is not None]
        removes = [places.name(name) for name, wire in changes.items() if wire is None]
        terms = [f"attribute_exists({places.name(plan.partition.stored)})"]
        watched = dict.fromkeys((*changes, *(() if plan.version is None else (plan.version.stored,))))
        for name in watched:
            before = item.get(name)
            place = places.name(name)
            terms.append(f"attribute_not_exists({place})" if before is None else f"{place} = {places.value(before)}")
        said: dict[str, Any] = {
            "UpdateExpression": " ".join(
                (*(["SET " + ", ".join(sets)] if sets else ()), *(["REMOVE " + ", ".join(removes)] if removes else ()))
            ),
            "ConditionExpression": " AND ".join(terms),
            **OLD_ON_FAILURE,
            "ExpressionAttributeNames": places.names,
        }
        if places.values:
            said["ExpressionAttributeValues"] = places.values
        key = _key(plan, item)
        body = finish(plan.key_head, key, said)
        check_values(body, said)
        write = Write(plan, "Update", key, body, _nothing, token=self._context.random_bytes(16), checked=True)
        if plan.uniques:
            after = dumps({name: wire for name, wire in {**item, **changes}.items() if wire is not None})
            old, new = values_in(plan, dumps(dict(item))), values_in(plan, after)
            write.together_with = moves(self._context, plan, key, old, new)
        try:
            yield from perform(self._context, write)
        except (ConditionFailed, TransactionCancelled, TransactionConflict, OutcomeUnknown):
            return False
        return True


def _nothing(_: bytes | None) -> None:
    """A rewritten item has no object."""


def _key(plan: ModelRequests, item: Mapping[str, Any]) -> bytes:
    return dumps({name: item[name] for name in plan.key_names})


def _is_of(plan: ModelRequests, item: Mapping[str, Any]) -> bool:
    """Whether an item may be one of the model: no guard, and of no class beside it."""
    if is_guard_key(item.get(plan.partition.stored)):
        return False
    schema = plan.codec.schema
    tags = tags_of(schema)
    if not tags:
        return True
    wire = item.get(schema.discriminator or "") or {}
    return wire.get("S") in tags
