"""Behaviours of expressions: conditions, projections, names, updates."""

from __future__ import annotations

from typing import Any

from .kit import ABSENT, C, Row, V, av, w
from .tables import BICYCLE

OPERATORS = "dg:Expressions.OperatorsAndFunctions"
CONDITION = "dg:Expressions.ConditionExpressions"
NAMES = "dg:Expressions.ExpressionAttributeNames"
VALUES = "dg:Expressions.ExpressionAttributeValues"
PATHS = "dg:Expressions.Attributes"
PROJECTION = "dg:Expressions.ProjectionExpressions"
UPDATE = "dg:Expressions.UpdateExpressions"
KEY = w(Id=123)
WHOLE = {"TableName": "ProductCatalog", "Key": KEY}


def holds(text: str, expected: Any = {}, page: str = OPERATORS, names: Any = None, **values: Any) -> Row:  # noqa: B006 - it is read
    """A delete under a condition."""
    request: dict[str, Any] = {**WHOLE, "ConditionExpression": text}
    if values:
        request["ExpressionAttributeValues"] = w(**{f"v_{name}": one for name, one in values.items()})
    if names:
        request["ExpressionAttributeNames"] = names
    there = {"Item": BICYCLE} if expected else {"Item": ABSENT}
    return Row(page, "delete_item", request, expected, after=("get_item", WHOLE, there))


CONDITIONS = [
    holds("attribute_exists(Price)"),
    holds("attribute_not_exists(Price)", C),
    holds("attribute_not_exists(Pictures.TopView)"),
    holds("attribute_exists(ProductReviews.OneStar)", page=CONDITION),
    holds("attribute_exists(RelatedItems[3])", C),
    holds("attribute_type(ProductReviews.FiveStar, :v)", v="L"),
    holds("attribute_type(Color, :v)", v="SS"),
    holds("attribute_type(QuantityOnHand, :v)", v="NULL"),
    holds("attribute_type(Price, :v)", C, v="S"),
    holds("attribute_type(Price, :v)", V, v="STRING"),
    holds("begins_with(Pictures.FrontView, :v)", v="f."),
    holds("begins_with(Title, :v)", C, v="bicycle"),
    holds("begins_with(Price, :v)", C, v="5"),
    holds("begins_with(Title, :v)", V, v=5),
    holds("contains(Color, :v)", v="Red"),
    holds("contains(Color, :v)", C, v="Re"),
    holds("contains(Title, :v)", v="cycle"),
    holds("contains(RelatedItems, :v)", v=341),
    holds("contains(RelatedItems, :v)", C, v="341"),
    holds("size(Title) = :v", v=11),
    holds("size(Color) = :v", v=2),
    holds("size(RelatedItems) = :v", v=3),
    holds("size(Pictures) = :v", v=3),
    holds("size(Price) >= :v", C, v=0),
    holds("size(VideoHtml) >= :v", C, v=0),
    holds("Price BETWEEN :lo AND :hi", lo=500, hi=600),
    holds("Price BETWEEN :lo AND :hi", C, lo=501, hi=600),
    holds("Price BETWEEN :lo AND :hi", V, lo=600, hi=500),
    holds("ProductCategory IN (:a, :b)", a="Bicycle", b="Book"),
    holds("(ProductCategory IN (:a, :b)) AND (Price BETWEEN :lo AND :hi)", a="Bicycle", b="Book", lo=500, hi=600),
    holds("Price <= :v", v=500),
    holds("Price < :v", C, v=500),
    holds("Price > :v", v=-1),
    holds("Price >= :v", v=500),
    holds("Price <> :v", C, v=500),
    holds("Price = :v", C, v="500"),
    holds("Nothing <> :v", v=1),
    holds("Nothing = :v", C, v=1),
    holds("Nothing < :v", C, v=1),
    holds("InStock = :v", v=True),
    holds("InStock < :v", V, v=True),
    holds("Color = :v", v={"Black", "Red"}),
    holds("RelatedItems = :v", v=[341, 472, 649]),
    holds("Pictures = :v", v={"SideView": "s.jpg", "RearView": "r.jpg", "FrontView": "f.jpg"}),
    holds("QuantityOnHand = :v", v=None),
    holds("NOT Price = :v", C, v=500),
    holds("NOT (Price = :v AND attribute_exists(Id)) OR Brand = :b", v=500, b="Brand-Company C"),
    holds("Price = :v OR Price = :w AND attribute_not_exists(Id)", v=500, w=1),
    holds("(Price = :v OR Price = :w) AND attribute_not_exists(Id)", C, v=500, w=1),
    holds("price = :v", C, v=500, page="dg:HowItWorks.NamingRulesDataTypes"),
    holds("Comment = :v", V, v="x", page="dg:ReservedWords"),
    holds("#c = :v", v=BICYCLE["Comment"]["S"], page=NAMES, names={"#c": "Comment"}),
    holds("#sw = :v", v="Always wear a helmet", page=NAMES, names={"#sw": "Safety.Warning"}),
    holds("Safety.Warning = :v", C, v="Always wear a helmet", page=NAMES),
    holds("#pr.#five[1] = :v", v="Do yourself a favor.", page=NAMES, names={"#pr": "ProductReviews", "#five": "FiveStar"}),
    holds("#p = :v", V, v=1, page=NAMES),
    holds("Price = :v", V, v=500, page=NAMES, names={"#unused": "Title"}),
    holds("Price = :v", V, v=500, w=1, page=VALUES),
    holds("Price = :w", V, v=500, page=VALUES),
    holds("Price = :v AND", V, v=500, page=CONDITION),
    holds("Price == :v", V, v=500, page=CONDITION),
    holds("Price = 500", V, page=CONDITION),
    holds("", V, page=CONDITION),
    holds("unknown(Price)", V),
    holds("RelatedItems[1] = :v", v=472, page=PATHS),
    holds("ProductReviews.FiveStar[0] = :v", v="Excellent!", page=PATHS),
    holds("Id = :v", v=123, page=CONDITION),
    Row(CONDITION, "put_item", {"TableName": "ProductCatalog", "Item": w(Id=123), "ConditionExpression": "attribute_not_exists(Id)"}, C),
    Row(CONDITION, "put_item", {"TableName": "ProductCatalog", "Item": w(Id=1), "ConditionExpression": "attribute_not_exists(Id)"}),
    Row(
        "dg:WorkingWithItems",
        "put_item",
        {
            "TableName": "ProductCatalog", "Item": w(Id=123), "ConditionExpression": "attribute_not_exists(Id)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        },
        (C, {"Item": BICYCLE}),
    ),
]  # fmt: skip


def projected(text: str, expected: Any, names: Any = None, page: str = PROJECTION) -> Row:
    """A read of parts."""
    request: dict[str, Any] = {**WHOLE, "ProjectionExpression": text}
    if names:
        request["ExpressionAttributeNames"] = names
    return Row(
        page, "get_item", request, expected if isinstance(expected, str) else {"Item": lambda item: item == expected}
    )


PROJECTIONS = [
    projected("Description", {"Description": BICYCLE["Description"]}),
    projected("Description, RelatedItems[0], ProductReviews.FiveStar", {
        "Description": BICYCLE["Description"],
        "RelatedItems": {"L": [{"N": "341"}]},
        "ProductReviews": {"M": {"FiveStar": BICYCLE["ProductReviews"]["M"]["FiveStar"]}},
    }),
    projected("RelatedItems[2], RelatedItems[0]", {"RelatedItems": {"L": [{"N": "341"}, {"N": "649"}]}}),
    projected("Nothing", {}),
    projected("Nothing, Price", {"Price": {"N": "500"}}),
    projected("Pictures.FrontView, Pictures.Nothing", {"Pictures": {"M": {"FrontView": {"S": "f.jpg"}}}}),
    projected("#c", {"Comment": BICYCLE["Comment"]}, names={"#c": "Comment"}, page=NAMES),
    projected("Comment", V, page="dg:ReservedWords"),
    projected("Price, Price", V),
    projected("Pictures, Pictures.FrontView", V),
    projected("Price,", V),
    projected("Price Title", V),
    projected("#x", V, page=NAMES),
    projected("RelatedItems[a]", V, page=PATHS),
]  # fmt: skip


def updated(text: str, expected: Any, page: str = UPDATE, names: Any = None, **values: Any) -> Row:
    """An update, and the item after it: the bicycle with these changes, None for what is gone."""
    request: dict[str, Any] = {**WHOLE, "UpdateExpression": text, "ReturnValues": "ALL_NEW"}
    if values:
        request["ExpressionAttributeValues"] = w(**{f"v_{name}": one for name, one in values.items()})
    if names:
        request["ExpressionAttributeNames"] = names
    if isinstance(expected, str):
        return Row(page, "update_item", request, expected, after=("get_item", WHOLE, {"Item": BICYCLE}))
    item = {name: one for name, one in (BICYCLE | expected).items() if one is not None}
    return Row(page, "update_item", request, {"Attributes": lambda found: _same(found, item)})


def _same(found: dict[str, Any], item: dict[str, Any]) -> bool:
    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: sorted(one) if name in ("SS", "NS") else plain(one) for name, one in value.items()}
        return [plain(one) for one in value] if isinstance(value, list) else value

    return bool(plain(found) == plain(item))


def pictures(**changes: Any) -> dict[str, Any]:
    """The pictures with some changed, None for those that are gone."""
    found = BICYCLE["Pictures"]["M"] | {name: None if one is None else av(one) for name, one in changes.items()}
    return {"Pictures": {"M": {name: one for name, one in found.items() if one is not None}}}


UPDATES = [
    updated("SET ProductCategory = :c, Price = :p", w(ProductCategory="Hardware", Price=60), c="Hardware", p=60),
    updated("SET RelatedItems = :ri, ProductReviews = :pr", w(RelatedItems=["Hammer"], ProductReviews={"FiveStar": []}), ri=["Hammer"], pr={"FiveStar": []}),
    updated("SET RelatedItems[1] = :ri", w(RelatedItems=[341, "Hammer", 649]), ri="Hammer"),
    updated("SET RelatedItems[9] = :ri", w(RelatedItems=[341, 472, 649, "Nails"]), ri="Nails"),
    updated("SET Pictures.TopView = :v", pictures(TopView="t"), v="t"),
    updated("SET Pictures.FrontView = :v", pictures(FrontView="t"), v="t"),
    updated("SET Nothing.TopView = :v", V, v="t"),
    updated("SET Price = Price - :p", w(Price=485), p=15),
    updated("SET Price = Price + :p", w(Price=515), p=15),
    updated("SET Price = :p - Price", w(Price=-485), p=15),
    updated("SET Price = Price + :p", V, p="15"),
    updated("SET Title = Title + :p", V, p=1),
    updated("SET Nothing = Nothing + :p", V, p=1),
    updated("SET RelatedItems = list_append(RelatedItems, :v)", w(RelatedItems=[341, 472, 649, 1]), v=[1]),
    updated("SET RelatedItems = list_append(:v, RelatedItems)", w(RelatedItems=[1, 341, 472, 649]), v=[1]),
    updated("SET RelatedItems = list_append(RelatedItems, :v)", V, v=1),
    updated("SET Nothing = list_append(Nothing, :v)", V, v=[1]),
    updated("SET Nothing = list_append(if_not_exists(Nothing, :e), :v)", w(Nothing=[1]), v=[1], e=[]),
    updated("SET Price = if_not_exists(Price, :p)", {}, p=15),
    updated("SET Discount = if_not_exists(Discount, :p)", w(Discount=15), p=15),
    updated("SET Price = if_not_exists(:p, Price)", V, p=15),
    updated("SET Title = Brand, Brand = Title", w(Title="Brand-Company C", Brand="Bicycle 123")),
    updated("REMOVE Brand, InStock, QuantityOnHand", {"Brand": None, "InStock": None, "QuantityOnHand": None}),
    updated("REMOVE RelatedItems[1], RelatedItems[2]", w(RelatedItems=[341])),
    updated("REMOVE RelatedItems[0]", w(RelatedItems=[472, 649])),
    updated("REMOVE Pictures.RearView", pictures(RearView=None)),
    updated("REMOVE Nothing", {}),
    updated("ADD Price :v", w(Price=505), v=5),
    updated("ADD Price :v", w(Price=495), v=-5),
    updated("ADD QuantitySold :v", w(QuantitySold=1), v=1),
    updated("ADD Color :v", w(Color={"Black", "Red", "Purple"}), v={"Red", "Purple"}),
    updated("ADD Color :v", V, v={1}),
    updated("ADD Color :v", V, v="Purple"),
    updated("ADD Title :v", V, v=1),
    updated("DELETE Color :v", w(Color={"Black"}), v={"Red"}),
    updated("DELETE Color :v", {"Color": None}, v={"Red", "Black"}),
    updated("DELETE Color :v", {}, v={"Green"}),
    updated("DELETE Price :v", V, v=500),
    updated("DELETE Nothing :v", {}, v={"x"}),
    updated("SET Price = :v REMOVE InStock ADD QuantitySold :o DELETE Color :r", w(Price=1, QuantitySold=2, Color={"Black"}) | {"InStock": None}, v=1, o=2, r={"Red"}),
    updated("SET Price = :v SET Brand = :v", V, v=1),
    updated("SET Price = :v, Price = :v", V, v=1),
    updated("SET Pictures = :v, Pictures.FrontView = :v", V, v=1),
    updated("SET Id = :v", V, v=1),
    updated("REMOVE Id", V),
    updated("SET #c = :v", w(Comment="x"), v="x", names={"#c": "Comment"}, page=NAMES),
    updated("SET Comment = :v", V, v="x", page="dg:ReservedWords"),
    updated("SET Price = :v + Price + :v", V, v=1),
    updated("set Price = :v", w(Price=1), v=1),
]  # fmt: skip

ROWS = [*CONDITIONS, *PROJECTIONS, *UPDATES]
