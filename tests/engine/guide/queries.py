"""Behaviours of Query and Scan, of global and local indexes."""

from __future__ import annotations

from typing import Any

from .kit import ABSENT, NOT_FOUND, Row, V, w

KEYS = "dg:Query.KeyConditionExpressions"
FILTER = "dg:Query.FilterExpression"
PAGES = "dg:Query.Pagination"
COUNT = "dg:Query.Other"
SCAN = "dg:Scan"
GSI = "dg:GSI"
LSI = "dg:LSI"


def titles(*names: str) -> Any:
    """These songs, in this order."""
    return {"Items": lambda items: [one["SongTitle"]["S"] for one in items] == list(names), "Count": len(names)}


def songs(text: str, expected: Any, page: str = KEYS, values: dict[str, Any] | None = None, **more: Any) -> Row:
    """A query of Music."""
    given = {"v_a": "Acme Band"} | {f"v_{name}": one for name, one in (values or {}).items()}
    return Row(
        page,
        "query",
        {"TableName": "Music", "KeyConditionExpression": text, "ExpressionAttributeValues": w(**given), **more},
        expected,
    )


QUERIES = [
    songs("Artist = :a", titles("Happy Day", "PartiQL Rocks")),
    songs("Artist = :a", titles("PartiQL Rocks", "Happy Day"), ScanIndexForward=False),
    songs("Artist = :a AND SongTitle = :s", titles("Happy Day"), values={"s": "Happy Day"}),
    songs("Artist = :a AND SongTitle = :s", titles(), values={"s": "happy day"}),
    songs("Artist = :a AND SongTitle < :s", titles("Happy Day"), values={"s": "I"}),
    songs("Artist = :a AND SongTitle <= :s", titles("Happy Day"), values={"s": "Happy Day"}),
    songs("Artist = :a AND SongTitle > :s", titles("PartiQL Rocks"), values={"s": "Happy Day"}),
    songs("Artist = :a AND SongTitle >= :s", titles("Happy Day", "PartiQL Rocks"), values={"s": "Happy Day"}),
    songs("Artist = :a AND SongTitle BETWEEN :s AND :t", titles("Happy Day"), values={"s": "A", "t": "I"}),
    songs("Artist = :a AND begins_with(SongTitle, :s)", titles("PartiQL Rocks"), values={"s": "Parti"}),
    songs("#artist = :a", titles("Happy Day", "PartiQL Rocks"), ExpressionAttributeNames={"#artist": "Artist"}),
    songs("Artist > :a", V),
    songs("begins_with(Artist, :a)", V),
    songs("Artist = :a AND Awards = :n", V, values={"n": 1}),
    songs("Artist = :a AND SongTitle <> :s", V, values={"s": "x"}),
    songs("Artist = :a AND contains(SongTitle, :s)", V, values={"s": "x"}),
    songs("Artist = :a OR SongTitle = :s", V, values={"s": "x"}),
    songs("NOT Artist = :a", V),
    songs("SongTitle = :a", V),
    songs("Artist = :a AND SongTitle = :s", V, values={"s": 1}),
    songs("Artist = :a AND SongTitle BETWEEN :t AND :s", V, values={"s": "A", "t": "I"}),
    songs("Artist = :a", titles("Happy Day"), FILTER, FilterExpression="Awards > :n", values={"n": 8}),
    songs("Artist = :a", {"Count": 0, "ScannedCount": 2}, FILTER, FilterExpression="Awards > :n", values={"n": 80}),
    songs("Artist = :a", V, FILTER, FilterExpression="SongTitle = :n", values={"n": "x"}),
    songs("Artist = :a", {"Count": 0, "ScannedCount": 1, "LastEvaluatedKey": w(Artist="Acme Band", SongTitle="Happy Day")}, PAGES, FilterExpression="Awards < :n", Limit=1, values={"n": 9}),
    songs("Artist = :a", {"Count": 1, "LastEvaluatedKey": w(Artist="Acme Band", SongTitle="Happy Day")}, PAGES, Limit=1),
    songs("Artist = :a", {"LastEvaluatedKey": ABSENT}, PAGES, Limit=3),
    songs("Artist = :a", titles("PartiQL Rocks"), PAGES, ExclusiveStartKey=w(Artist="Acme Band", SongTitle="Happy Day")),
    songs("Artist = :a", titles("Happy Day"), PAGES, ExclusiveStartKey=w(Artist="Acme Band", SongTitle="PartiQL Rocks"), ScanIndexForward=False),
    songs("Artist = :a", V, PAGES, ExclusiveStartKey=w(Artist="Other", SongTitle="Happy Day")),
    songs("Artist = :a", V, PAGES, ExclusiveStartKey=w(Artist="Acme Band")),
    songs("Artist = :a", {"Count": 2, "ScannedCount": 2, "Items": ABSENT}, COUNT, Select="COUNT"),
    songs("Artist = :a", {"Items": [w(Awards=10), w(Awards=8)]}, "api:Query", ProjectionExpression="Awards"),
    songs("Artist = :a", V, "api:Query", Select="ALL_PROJECTED_ATTRIBUTES"),
    songs("Artist = :a", V, "api:Query", Select="SPECIFIC_ATTRIBUTES"),
    songs("Artist = :a", V, "api:Query", Select="ALL_ATTRIBUTES", ProjectionExpression="Awards"),
    songs("Artist = :a", V, "api:Query", IndexName="Nothing"),
    songs("Artist = :a", {"ConsumedCapacity": {"CapacityUnits": 0.5}}, COUNT, ReturnConsumedCapacity="TOTAL"),
    songs("Artist = :a", {"ConsumedCapacity": {"CapacityUnits": 1.0}}, COUNT, ReturnConsumedCapacity="TOTAL", ConsistentRead=True),
    songs("Artist = :a", titles("Happy Day", "PartiQL Rocks"), "dg:HowItWorks.ReadConsistency", ConsistentRead=True),
    Row(KEYS, "query", {"TableName": "Music"}, V),
    Row(KEYS, "query", {"TableName": "Nothing", "KeyConditionExpression": "a = :a", "ExpressionAttributeValues": w(v_a=1)}, NOT_FOUND),
    Row("dg:LegacyConditionalParameters.KeyConditions", "query", {"TableName": "Music", "KeyConditions": {"Artist": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "Acme Band"}]}, "SongTitle": {"ComparisonOperator": "BEGINS_WITH", "AttributeValueList": [{"S": "P"}]}}}, titles("PartiQL Rocks")),
    Row("dg:LegacyConditionalParameters.QueryFilter", "query", {"TableName": "Music", "KeyConditions": {"Artist": {"ComparisonOperator": "EQ", "AttributeValueList": [{"S": "Acme Band"}]}}, "QueryFilter": {"Awards": {"ComparisonOperator": "LT", "AttributeValueList": [{"N": "9"}]}}}, titles("PartiQL Rocks")),
]  # fmt: skip

SCANS = [
    Row(SCAN, "scan", {"TableName": "Music"}, {"Count": 4, "ScannedCount": 4, "LastEvaluatedKey": ABSENT}),
    Row(SCAN, "scan", {"TableName": "Music", "FilterExpression": "Awards >= :n", "ExpressionAttributeValues": w(v_n=8)}, {"Count": 2, "ScannedCount": 4}),
    Row(SCAN, "scan", {"TableName": "Music", "FilterExpression": "Artist = :n", "ExpressionAttributeValues": w(v_n="Acme Band")}, {"Count": 2}),
    Row(SCAN, "scan", {"TableName": "Music", "Limit": 3}, {"Count": 3, "LastEvaluatedKey": lambda key: set(key) == {"Artist", "SongTitle"}}),
    Row(SCAN, "scan", {"TableName": "Music", "Select": "COUNT"}, {"Count": 4, "Items": ABSENT}),
    Row(SCAN, "scan", {"TableName": "Music", "Segment": 0, "TotalSegments": 1}, {"Count": 4}),
    Row(SCAN, "scan", {"TableName": "Music", "Segment": 4, "TotalSegments": 4}, V),
    Row(SCAN, "scan", {"TableName": "Music", "Segment": 0}, V),
    Row(SCAN, "scan", {"TableName": "Music", "TotalSegments": 2}, V),
    Row(SCAN, "scan", {"TableName": "Music", "ProjectionExpression": "Awards"}, {"Items": lambda items: all(set(one) == {"Awards"} for one in items)}),
    Row(SCAN, "scan", {"TableName": "Music", "ReturnConsumedCapacity": "TOTAL"}, {"ConsumedCapacity": {"CapacityUnits": 0.5}}),
    Row(SCAN, "scan", {"TableName": "GameScores", "IndexName": "GameTitleIndex"}, {"Count": 4}),
    Row("dg:LegacyConditionalParameters.ScanFilter", "scan", {"TableName": "Music", "ScanFilter": {"Awards": {"ComparisonOperator": "GT", "AttributeValueList": [{"N": "8"}]}}}, {"Count": 1}),
    Row("dg:LegacyConditionalParameters.AttributesToGet", "scan", {"TableName": "Music", "AttributesToGet": ["Awards"]}, {"Items": lambda items: all(set(one) == {"Awards"} for one in items)}),
]  # fmt: skip


def games(index: str, expected: Any, page: str = GSI, text: str = "GameTitle = :g", **more: Any) -> Row:
    """A query of an index of GameScores."""
    values = {"v_g": "Galaxy Invaders", **more.pop("values", {})}
    return Row(
        page,
        "query",
        {
            "TableName": "GameScores",
            "IndexName": index,
            "KeyConditionExpression": text,
            "ExpressionAttributeValues": w(**values),
            **more,
        },
        expected,
    )


def posts(expected: Any, text: str = "ForumName = :f", **more: Any) -> Row:
    """A query of LastPostIndex."""
    values = {"v_f": "S3", **more.pop("values", {})}
    return Row(
        LSI,
        "query",
        {
            "TableName": "Thread",
            "IndexName": "LastPostIndex",
            "KeyConditionExpression": text,
            "ExpressionAttributeValues": w(**values),
            **more,
        },
        expected,
    )


def users(*ids: str) -> Any:
    return {"Items": lambda items: [one["UserId"]["S"] for one in items] == list(ids)}


def subjects(*names: str) -> Any:
    return {"Items": lambda items: [one["Subject"]["S"] for one in items] == list(names)}


INDEXES = [
    games("GameTitleIndex", users("102", "101")),
    games("GameTitleIndex", users("101", "102"), ScanIndexForward=False),
    games("GameTitleIndex", users("101"), text="GameTitle = :g AND TopScore > :n", values={"v_n": 0}),
    games("GameTitleIndex", {"Items": lambda items: all(set(one) == {"UserId", "GameTitle", "TopScore", "Wins"} for one in items)}),
    games("GameTitleIndex", V, Select="ALL_ATTRIBUTES"),
    games("GameTitleIndex", V, ProjectionExpression="Losses"),
    games("GameTitleIndex", V, ConsistentRead=True),
    games("GameTitleIndex", V, text="UserId = :g"),
    games("GameTitleIndex", {"LastEvaluatedKey": w(UserId="102", GameTitle="Galaxy Invaders", TopScore=0)}, Limit=1),
    games("GameTitleIndex", users("101"), ExclusiveStartKey=w(UserId="102", GameTitle="Galaxy Invaders", TopScore=0)),
    games("ByGame", {"Count": 3}),
    games("ByGame", {"Items": lambda items: all("Losses" in one for one in items)}, Select="ALL_ATTRIBUTES"),
    games("ByGame", {"Count": 1}, FILTER, FilterExpression="attribute_not_exists(TopScore)"),
    Row(GSI, "put_item", {"TableName": "GameScores", "Item": w(UserId="9", GameTitle="x", TopScore="no number")}, V),
    Row(GSI, "update_item", {"TableName": "GameScores", "Key": w(UserId="101", GameTitle="Galaxy Invaders"), "UpdateExpression": "REMOVE TopScore"}, {}, after=("query", {"TableName": "GameScores", "IndexName": "GameTitleIndex", "KeyConditionExpression": "GameTitle = :g", "ExpressionAttributeValues": w(v_g="Galaxy Invaders")}, {"Count": 1})),
    Row(GSI, "update_item", {"TableName": "GameScores", "Key": w(UserId="103", GameTitle="Galaxy Invaders"), "UpdateExpression": "SET TopScore = :n", "ExpressionAttributeValues": w(v_n=1)}, {}, after=("query", {"TableName": "GameScores", "IndexName": "GameTitleIndex", "KeyConditionExpression": "GameTitle = :g", "ExpressionAttributeValues": w(v_g="Galaxy Invaders")}, {"Count": 3})),
    posts(subjects("bbb", "ccc", "aaa")),
    posts(subjects("ccc", "aaa"), "ForumName = :f AND LastPostDateTime > :d", values={"v_d": "2015-02"}),
    posts(subjects("bbb"), "ForumName = :f AND LastPostDateTime BETWEEN :d AND :e", values={"v_d": "2015-01", "v_e": "2015-02"}),
    posts({"Items": lambda items: all(set(one) == {"ForumName", "Subject", "LastPostDateTime"} for one in items)}),
    posts({"Items": lambda items: [one["Replies"]["N"] for one in items] == ["3", "4", "12"]}, ProjectionExpression="Replies"),
    posts({"Items": lambda items: "Message" in items[2]}, Select="ALL_ATTRIBUTES"),
    posts(subjects("bbb", "ccc", "aaa"), ConsistentRead=True),
    posts(V, FilterExpression="Replies > :r", values={"v_r": 3}),
    posts(V, "Subject = :f"),
]  # fmt: skip

ROWS = [*QUERIES, *SCANS, *INDEXES]
