"""An update that meets a NULL set: it is sent in its other form, which sets the whole, once what is stored is known."""

from __future__ import annotations

import pytest

from dynamorm import DB, Attr, Model, Presets, ValidationError, attr, partition_key
from dynamorm.ops.verbs.update import update
from dynamorm.testing.driver import ScriptedDriver
from dynamorm.testing.replies import failure, reply


class Flagged(Model, table="flagged"):
    id: Attr[str] = partition_key()
    flags: Attr[set[str]] = attr(default_factory=set)


MISTYPED = failure("ValidationException", message="An operand in the update expression has an incorrect data type")
NULL = reply({"Item": {"id": {"S": "f1"}, "flags": {"NULL": True}}})


def run(*outcomes):
    driver = ScriptedDriver(list(outcomes))
    with DB(Presets.local_development(endpoint="http://127.0.0.1:1")) as db:
        flow = update(db._session, Flagged, ("f1", Flagged.flags.add({"a"})), {}, condition=None, upsert=False)
        try:
            return driver.run(flow), driver.requests
        except ValidationError as error:
            return error, driver.requests


def test_the_other_form_sets_the_set_on_condition_that_it_is_null():
    found, requests = run(MISTYPED, NULL, reply({}), reply({"Item": {"id": {"S": "f1"}, "flags": {"SS": ["a"]}}}))
    assert found.flags == {"a"}
    assert [one.operation for one in requests] == ["TransactWriteItems", "GetItem", "TransactWriteItems", "GetItem"]
    (write,) = requests[2].json["TransactItems"]
    assert write["Update"]["UpdateExpression"].split()[0] == "SET"
    assert "attribute_type" in write["Update"]["ConditionExpression"]


@pytest.mark.parametrize(
    "look", [failure("AccessDeniedException"), reply({}), reply({"Item": {"id": {"S": "f1"}, "flags": {"SS": ["a"]}}})]
)
def test_what_the_other_form_would_not_mend_is_told_as_it_was(look):
    found, requests = run(MISTYPED, look)
    assert "incorrect data type" in str(found)
    assert [one.operation for one in requests] == ["TransactWriteItems", "GetItem"]
