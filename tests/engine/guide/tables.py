"""The guide's example tables: ProductCatalog, Music, Thread, GameScores."""

from __future__ import annotations

from typing import Any

from .kit import w


def schema(*names: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": kind} for name, kind in zip(names, ("HASH", "RANGE"), strict=False)]


def attributes(**types: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": tag} for name, tag in types.items()]


def table(name: str, keys: tuple[str, ...], types: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "TableName": name,
        "KeySchema": schema(*keys),
        "AttributeDefinitions": attributes(**types),
        "BillingMode": "PAY_PER_REQUEST",
        **more,
    }


def index(name: str, *keys: str, kind: str = "ALL", kept: list[str] | None = None) -> dict[str, Any]:
    projection = {"ProjectionType": kind} | ({"NonKeyAttributes": kept} if kept else {})
    return {"IndexName": name, "KeySchema": schema(*keys), "Projection": projection}


TABLES = (
    table("ProductCatalog", ("Id",), {"Id": "N"}),
    table("Music", ("Artist", "SongTitle"), {"Artist": "S", "SongTitle": "S"}),
    table(
        "Thread",
        ("ForumName", "Subject"),
        {"ForumName": "S", "Subject": "S", "LastPostDateTime": "S"},
        LocalSecondaryIndexes=[index("LastPostIndex", "ForumName", "LastPostDateTime", kind="KEYS_ONLY")],
    ),
    table(
        "GameScores",
        ("UserId", "GameTitle"),
        {"UserId": "S", "GameTitle": "S", "TopScore": "N"},
        GlobalSecondaryIndexes=[
            index("GameTitleIndex", "GameTitle", "TopScore", kind="INCLUDE", kept=["Wins"]),
            index("ByGame", "GameTitle", kind="ALL"),
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    ),
)

BICYCLE = w(
    Id=123,
    Title="Bicycle 123",
    Description="123 description",
    BicycleType="Hybrid",
    Brand="Brand-Company C",
    Price=500,
    Color={"Red", "Black"},
    ProductCategory="Bicycle",
    InStock=True,
    QuantityOnHand=None,
    RelatedItems=[341, 472, 649],
    Pictures={"FrontView": "f.jpg", "RearView": "r.jpg", "SideView": "s.jpg"},
    ProductReviews={"FiveStar": ["Excellent!", "Do yourself a favor."], "OneStar": ["Terrible product!"]},
    Comment="This product sells out quickly during the summer",
    **{"Safety.Warning": "Always wear a helmet"},
)

ITEMS: dict[str, list[dict[str, Any]]] = {
    "ProductCatalog": [BICYCLE, w(Id=456, Title="Book", Price=2, ProductCategory="Book", InPublication=True)],
    "Music": [
        w(Artist="No One You Know", SongTitle="Call Me Today", AlbumTitle="Somewhat Famous", Awards=1),
        w(Artist="No One You Know", SongTitle="Howdy", AlbumTitle="Somewhat Famous", Awards=2),
        w(Artist="Acme Band", SongTitle="Happy Day", AlbumTitle="Songs About Life", Awards=10),
        w(Artist="Acme Band", SongTitle="PartiQL Rocks", AlbumTitle="Another Album Title", Awards=8),
    ],
    "Thread": [
        w(ForumName="S3", Subject="aaa", LastPostDateTime="2015-03-15:17:24:31", Replies=12, Message="one"),
        w(ForumName="S3", Subject="bbb", LastPostDateTime="2015-01-22:23:18:01", Replies=3),
        w(ForumName="S3", Subject="ccc", LastPostDateTime="2015-02-31:13:14:21", Replies=4),
        w(ForumName="S3", Subject="ddd", Replies=9),
        w(ForumName="EC2", Subject="yyy", LastPostDateTime="2015-02-12:11:07:56", Replies=18),
    ],
    "GameScores": [
        w(UserId="101", GameTitle="Galaxy Invaders", TopScore=5842, Wins=21, Losses=72),
        w(UserId="101", GameTitle="Meteor Blasters", TopScore=1000, Wins=12, Losses=3),
        w(UserId="102", GameTitle="Alien Adventure", TopScore=192, Wins=32, Losses=192),
        w(UserId="102", GameTitle="Galaxy Invaders", TopScore=0, Wins=0, Losses=5),
        w(UserId="103", GameTitle="Galaxy Invaders", Wins=40, Losses=12),
    ],
}


def fill(client: Any) -> None:
    """Make the tables, and put the items in."""
    for one in TABLES:
        client.create_table(**one)
    for name, items in ITEMS.items():
        for item in items:
            client.put_item(TableName=name, Item=item)
