"""An update that frees a NULL set first: what is unknown of that step says nothing of the update itself."""

from __future__ import annotations

from dynamorm import DB, Attr, Model, Presets, attr, partition_key
from dynamorm.effects import TransportError
from dynamorm.ops.update import update
from dynamorm.testing.driver import ScriptedDriver
from dynamorm.testing.replies import failure, reply


class Flagged(Model, table="flagged"):
    id: Attr[str] = partition_key()
    flags: Attr[set[str]] = attr(default_factory=set)


def test_a_lost_reply_to_the_removal_is_not_the_outcome_of_the_update():
    stored = {"Attributes": {"id": {"S": "f1"}, "flags": {"SS": ["a"]}}}
    driver = ScriptedDriver(
        [
            failure("ValidationException", message="An operand in the update expression has an incorrect data type"),
            TransportError("receive", "reset", sent=True),
            failure("ConditionalCheckFailedException"),
            reply(stored),
        ]
    )
    with DB(Presets.local_development(endpoint="http://127.0.0.1:1")) as db:
        flow = update(db._session, Flagged, ("f1", Flagged.flags.add({"a"})), {}, condition=None, upsert=False)
        assert driver.run(flow).flags == {"a"}
    assert [one.json["UpdateExpression"].split()[0] for one in driver.requests] == ["ADD", "REMOVE", "REMOVE", "ADD"]
