"""PartiQL's answers: pages, lies, and writes whose answers are lost."""

import pytest

from dynamorm import AlreadyExists, Attr, Model, Outcome, OutcomeUnknown, ValidationError, partition_key, sort_key
from dynamorm.effects import TransportError
from dynamorm.errors import ConditionFailed, MalformedResponse
from dynamorm.testing import failure, reply


class Payment(Model, table="payments"):
    """What is selected."""

    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


SELECT = "SELECT * FROM {table} WHERE id = ?"


ITEM = {"id": {"S": "p1"}, "number": {"N": "1"}}
WRITE = ('DELETE FROM "payments" WHERE id = ?', "p1")


def test_pages_are_followed_to_the_end(scripted):
    here = scripted(
        [
            reply({"Items": [ITEM], "NextToken": "a"}),
            reply({"Items": [], "NextToken": "b", "LastEvaluatedKey": ITEM}),
            reply({"Items": [ITEM]}),
        ],
    )
    assert len(here.db.partiql(SELECT, "p1", model=Payment)) == 2
    assert [request.json.get("NextToken") for request in here.driver.requests] == [None, "a", "b"]


def test_pages_that_go_in_a_circle_are_not_followed(scripted):
    here = scripted(lambda _: reply({"Items": [ITEM], "NextToken": "a"}))
    with pytest.raises(MalformedResponse, match="twice") as caught:
        here.db.partiql(SELECT, "p1", model=Payment)
    assert caught.value.outcome is Outcome.NOT_APPLIED


@pytest.mark.parametrize(
    "lie",
    [
        {},
        {"Items": {}},
        {"Items": ["x"]},
        {"Items": [], "NextToken": 5},
        {"Items": [{"id": {"S": 5}}]},
        {"Responses": []},
        b"x",
    ],
)
def test_a_page_that_cannot_be_believed_is_no_answer(scripted, lie):
    here = scripted([reply(lie), reply({"Items": [ITEM]})])
    assert here.db.partiql('SELECT * FROM "payments"') == [{"id": "p1", "number": 1}]


@pytest.mark.parametrize(
    "lie", [{}, {"Responses": {}}, {"Responses": [{}, {}]}, {"Responses": [{"Item": ITEM}]}, {"Items": []}, b"x"]
)
def test_a_write_whose_answer_cannot_be_believed_is_sent_again_with_its_token(scripted, lie):
    here = scripted([reply(lie), TransportError("receive", "reset", sent=True), reply({"Responses": [{}]})])
    assert here.db.partiql(*WRITE) == []
    assert len({request.body for request in here.driver.requests}) == 1
    assert len(here.driver.requests[0].json["ClientRequestToken"]) == 32


def test_a_write_that_is_never_answered_is_unknown_and_can_be_settled(scripted):
    cancelled = failure("TransactionCanceledException", CancellationReasons=[{"Code": "ConditionalCheckFailed"}])
    table = {"TableName": "payments", "TableStatus": "ACTIVE"}
    table["KeySchema"] = [{"AttributeName": "id", "KeyType": "HASH"}]
    table["AttributeDefinitions"] = [{"AttributeName": "id", "AttributeType": "S"}]
    for answers, outcome in (
        ({"ExecuteTransaction": reply({"Responses": []})}, Outcome.APPLIED),
        ({"ExecuteTransaction": cancelled}, Outcome.NOT_APPLIED),  # and the token is spent
    ):
        later = {"DescribeTable": reply({"Table": table}), "TransactWriteItems": reply(), **answers}
        down = [True]

        def service(request, down=down, later=later):
            return TransportError("receive", "reset", sent=True) if down[0] else later[request.operation]

        here = scripted(service)
        with pytest.raises(OutcomeUnknown) as caught:
            here.db.partiql(*WRITE)
        down[0] = False
        assert caught.value.resolve(5) is outcome


def test_the_services_own_reasons_are_told(scripted):
    for code, kind in (
        ("DuplicateItem", AlreadyExists),
        ("ConditionalCheckFailed", ConditionFailed),
        ("ValidationError", ValidationError),
    ):
        refusal = failure("TransactionCanceledException", CancellationReasons=[{"Code": code, "Message": "no"}])
        with pytest.raises(kind) as caught:
            scripted([refusal]).db.partiql(*WRITE)
        assert type(caught.value) is kind
