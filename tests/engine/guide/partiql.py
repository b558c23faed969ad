"""Behaviours of PartiQL for DynamoDB."""

from __future__ import annotations

from typing import Any

from .kit import ABSENT, CANCELLED, NOT_FOUND, C, Row, V, av, w
from .tables import ITEMS

SELECT = "dg:ql-reference.select"
INSERT = "dg:ql-reference.insert"
UPDATE = "dg:ql-reference.update"
DELETE = "dg:ql-reference.delete"
FUNCTIONS = "dg:ql-functions"
OPERATORS = "dg:ql-operators"
TYPES = "dg:ql-reference.data-types"
BATCH = "dg:ql-reference.multiplestatements.batching"
TRANSACTION = "dg:ql-reference.multiplestatements.transactions"
ACME = "Artist='Acme Band' AND SongTitle='PartiQL Rocks'"
SONG = {"TableName": "Music", "Key": w(Artist="Acme Band", SongTitle="PartiQL Rocks")}
THERE = ITEMS["Music"][3]


def runs(page: str, statement: str, expected: Any = {}, *parameters: Any, after: Any = None, **more: Any) -> Row:  # noqa: B006 - it is read
    """A statement by itself."""
    given = {"Parameters": [av(one) for one in parameters]} if parameters else {}
    return Row(page, "execute_statement", {"Statement": statement, **given, **more}, expected, after=after)


def found(count: int) -> Any:
    return {"Items": lambda items: len(items) == count}


def song(expected: Any) -> Any:
    return "get_item", SONG, {"Item": expected}


SELECTS = [
    runs(SELECT, 'SELECT * FROM "Music"', found(4)),
    runs(SELECT, "SELECT * FROM Music WHERE Artist = 'Acme Band'", found(2)),
    runs(SELECT, 'SELECT * FROM "Music" WHERE Artist=? AND SongTitle=?', {"Items": [THERE]}, "Acme Band", "PartiQL Rocks"),
    runs(SELECT, "SELECT Awards FROM \"Music\" WHERE Artist IN ['Acme Band', 'No One You Know']", found(4)),
    runs(SELECT, "SELECT Awards FROM \"Music\" WHERE Artist = 'Acme Band' ORDER BY SongTitle DESC", {"Items": [w(Awards=8), w(Awards=10)]}),
    runs(SELECT, 'SELECT * FROM "Music" WHERE Awards > 5 AND Awards < 10', found(1)),
    runs(SELECT, 'SELECT * FROM "Music" WHERE Awards BETWEEN 2 AND 8', found(2)),
    runs(SELECT, 'SELECT UserId FROM "GameScores"."GameTitleIndex" WHERE GameTitle = \'Galaxy Invaders\'', found(2)),
    runs(SELECT, "SELECT * FROM \"Music\" WHERE Artist = 'Acme Band'", {"NextToken": bool, "Items": [{}]}, Limit=1),
    runs(SELECT, 'SELECT * FROM "Nothing"', NOT_FOUND),
    runs(SELECT, 'SELECT * FROM "Music"."Nothing"', V),
    runs(SELECT, "SELECT * FROM", V),
    runs(SELECT, "SELECT * FROM Music WHERE Artist = ?", V),
    runs(SELECT, "SELECT * FROM Music", V, "one too many"),
    runs(SELECT, "SELECT * FROM Music", V, NextToken="no token"),
    runs(OPERATORS, "SELECT * FROM Music WHERE Artist = 'Acme Band' AND (Awards = 8 OR NOT Awards = 8)", found(2)),
    runs(OPERATORS, "SELECT * FROM Music WHERE Artist = 'Acme Band' AND Awards <> 8", found(1)),
    runs(OPERATORS, "SELECT * FROM Music WHERE Awards IN [1, 2]", found(2)),
    runs(FUNCTIONS, "SELECT * FROM Music WHERE begins_with(\"SongTitle\", 'H')", found(2)),
    runs(FUNCTIONS, "SELECT * FROM Music WHERE contains(\"SongTitle\", 'Rock')", found(1)),
    runs(FUNCTIONS, "SELECT * FROM Music WHERE attribute_type(\"Awards\", 'N')", found(4)),
    runs(FUNCTIONS, 'SELECT * FROM Music WHERE size("SongTitle") > 9', found(2)),
    runs(FUNCTIONS, "SELECT * FROM Thread WHERE ForumName = 'S3' AND Message IS MISSING", found(3)),
    runs(FUNCTIONS, "SELECT * FROM Thread WHERE ForumName = 'S3' AND Message IS NOT MISSING", found(1)),
    runs(SELECT, "SELECT * FROM Music WHERE Artist = 'Acme Band'", {"ConsumedCapacity": {"CapacityUnits": 0.5}}, ReturnConsumedCapacity="TOTAL"),
    runs(SELECT, "SELECT * FROM Music WHERE Artist = 'Acme Band'", {"ConsumedCapacity": {"CapacityUnits": 1.0}}, ReturnConsumedCapacity="TOTAL", ConsistentRead=True),
]  # fmt: skip

WRITES = [
    runs(INSERT, "INSERT INTO Music VALUE {'Artist': 'New', 'SongTitle': ?, 'Awards': 1}", {"Items": []}, "Song", after=("get_item", {"TableName": "Music", "Key": w(Artist="New", SongTitle="Song")}, {"Item": w(Awards=1)})),
    runs(INSERT, "INSERT INTO Music VALUE {'Artist': 'Acme Band', 'SongTitle': 'PartiQL Rocks'}", "DuplicateItemException", after=song(THERE)),
    runs(INSERT, "INSERT INTO Music VALUE {'Artist': 'New'}", V),
    runs(TYPES, "INSERT INTO ProductCatalog VALUE {'Id': 9, 'l': [1, 'a', null], 'm': {'k': true}, 's': <<'a', 'b'>>, 'n': <<1, 2>>, 't': 'it''s'}", {}, after=("get_item", {"TableName": "ProductCatalog", "Key": w(Id=9)}, {"Item": w(l=[1, "a", None], m={"k": True}, s={"a", "b"}, n={1, 2}, t="it's")})),
    runs(UPDATE, f"UPDATE Music SET AwardsWon=1 SET AwardDetail={{'Grammys':[2020, 2018]}} WHERE {ACME}", {}, after=song(w(AwardsWon=1, AwardDetail={"Grammys": [2020, 2018]}))),
    runs(UPDATE, f"UPDATE Music REMOVE Awards WHERE {ACME}", {}, after=song({"Awards": ABSENT})),
    runs(UPDATE, f"UPDATE Music SET Awards = Awards + 1 WHERE {ACME} RETURNING ALL OLD *", {"Items": [THERE]}, after=song(w(Awards=9))),
    runs(UPDATE, f"UPDATE Music SET Awards = 1 WHERE {ACME} RETURNING MODIFIED NEW *", {"Items": lambda one: one == [w(Awards=1)]}),
    runs(UPDATE, f"UPDATE Music SET Band = list_append(?, ?) WHERE {ACME}", {}, ["a"], ["b"], after=song(w(Band=["a", "b"]))),
    runs(UPDATE, f"UPDATE Music SET Members = set_add(Members, <<'a'>>) WHERE {ACME}", {}, after=song(w(Members={"a"}))),
    runs(UPDATE, f"UPDATE Music SET Awards = 1 WHERE {ACME} AND Awards = 7", C, after=song(THERE)),
    runs(UPDATE, "UPDATE Music SET Awards = 1 WHERE Artist='No' AND SongTitle='No'", C),
    runs(UPDATE, "UPDATE Music SET Awards = 1 WHERE Artist='Acme Band'", V),
    runs(UPDATE, "UPDATE Music SET Awards = 1", V),
    runs(UPDATE, f"UPDATE Music SET SongTitle = 'x' WHERE {ACME}", V),
    runs(DELETE, f"DELETE FROM Music WHERE {ACME} RETURNING ALL OLD *", {"Items": [THERE]}, after=song(ABSENT)),
    runs(DELETE, "DELETE FROM Music WHERE Artist='No' AND SongTitle='No'", {"Items": []}),
    runs(DELETE, f"DELETE FROM Music WHERE {ACME} AND Awards = 7", C, after=song(THERE)),
    runs(DELETE, f"DELETE FROM Music WHERE {ACME} AND Awards = 7", (C, {"Item": THERE}), ReturnValuesOnConditionCheckFailure="ALL_OLD"),
    runs(DELETE, "DELETE FROM Music WHERE Artist='Acme Band'", V),
]  # fmt: skip


def batch(*statements: str, expected: Any, page: str = BATCH) -> Row:
    return Row(page, "batch_execute_statement", {"Statements": [{"Statement": one} for one in statements]}, expected)


def together(*statements: str, expected: Any = {}, after: Any = None, **more: Any) -> Row:  # noqa: B006 - it is read
    request = {"TransactStatements": [{"Statement": one} for one in statements], **more}
    return Row(TRANSACTION, "execute_transaction", request, expected, after=after)


READ = f"SELECT * FROM Music WHERE {ACME}"
CHANGE = f"UPDATE Music SET Awards = 1 WHERE {ACME}"
GONE = "DELETE FROM Music WHERE Artist='Acme Band' AND SongTitle='Happy Day'"

MANY = [
    batch(READ, READ.replace("Rocks", "Nothing"), expected={"Responses": [{"Item": THERE, "TableName": "Music"}, {"Item": ABSENT}]}),
    batch(CHANGE, f"{GONE} AND Awards = 7", expected={"Responses": [{"Error": ABSENT}, {"Error": {"Code": "ConditionalCheckFailed"}}]}),
    batch("SELECT * FROM Music WHERE Artist='Acme Band'", expected={"Responses": [{"Error": {"Code": "ValidationError"}}]}),
    batch("INSERT INTO Music VALUE {'Artist': 'Acme Band', 'SongTitle': 'Happy Day'}", expected={"Responses": [{"Error": {"Code": "DuplicateItem"}}]}),
    batch(READ, CHANGE, expected=V),
    batch(*[READ] * 26, expected=V),
    together(CHANGE, GONE, after=song(w(Awards=1))),
    together(CHANGE, f"{GONE} AND Awards = 7", expected=(CANCELLED, {"CancellationReasons": [{"Code": "None"}, {"Code": "ConditionalCheckFailed"}]}), after=song(THERE)),
    together(CHANGE, "EXISTS(SELECT * FROM Music WHERE Artist='Acme Band' AND SongTitle='Happy Day' AND Awards > 1)", after=song(w(Awards=1))),
    together(CHANGE, "EXISTS(SELECT * FROM Music WHERE Artist='No' AND SongTitle='No' AND Awards > 1)", expected=CANCELLED, after=song(THERE)),
    together(READ, READ.replace("PartiQL Rocks", "Happy Day"), expected={"Responses": [{"Item": THERE}, {"Item": w(Awards=10)}]}),
    together(READ, CHANGE, expected=V),
    together(CHANGE, CHANGE, expected=V),
    together(*[READ] * 101, expected=V),
]  # fmt: skip

ROWS = [*SELECTS, *WRITES, *MANY]
