"""Names and values are always bound: whatever they look like, they mean only themselves."""

import pytest

from dynamorm import Attr, ConditionFailed, Model, attr, partition_key, sort_key

from .kit import stored

pytestmark = pytest.mark.engine

WILD = [
    "--",
    "'; DROP TABLE payments; --",
    "<script>alert(1)</script",
    ":v1",
    ":v0",
    "#n0",
    "#n0 = :v0 OR attribute_exists(#n0)",
    "${jndi:ldap://x}",
    'quote " and \\ backslash',
    "new\nline\ttab\0nul",
    "ünï¢ødé 💶 \u2028",
    "../../etc/passwd",
    " leading and trailing ",
    "x" * 1000,
]


class Reserved(Model, table="reserved"):
    key: Attr[str] = partition_key()
    order: Attr[str] = sort_key()
    name: Attr[str] = attr(default="")
    status: Attr[str] = attr(default="")
    size: Attr[int] = attr(default=0)
    data: Attr[dict[str, str]] = attr(default_factory=dict)
    type: Attr[str] = attr(default="")
    values: Attr[list[str]] = attr(default_factory=list)
    count: Attr[int] = attr(default=0)
    date: Attr[str | None] = attr(default=None)
    Name: Attr[str] = attr(default="")
    n0: Attr[str] = attr(default="", name="#n0")
    v0: Attr[str] = attr(default="", name=":v0")
    dotted: Attr[str] = attr(default="", name="a.b[0]")
    spaced: Attr[str] = attr(default="", name="with space")


MODELS = [Reserved]
R = Reserved


def test_reserved_words_are_fields_like_any_other(db, key):
    first = Reserved(key=key, order="AND", name="n", status="s", size=1, data={"set": "x"}, type="t", values=["v"])
    db.create(first)
    fresh = db.get(Reserved, key=key, order="AND", consistent=True)
    assert fresh == first
    fresh.status, fresh.date = "changed", "today"
    db.save(fresh)
    db.update(
        Reserved, key, "AND",
        R.name.set("m"), R.size.add(4), R.type.remove(), R.data["add"].set("y"), R.values.append("w"),
        condition=(R.size == 1) & (R.status == "changed") & R.name.begins_with("n") & (R.values.size() > 0),
    )  # fmt: skip
    fresh = db.get(Reserved, key, "AND", consistent=True)
    assert (fresh.name, fresh.size, fresh.type, fresh.data, fresh.values, fresh.date) == (
        "m", 5, "", {"set": "x", "add": "y"}, ["v", "w"], "today",
    )  # fmt: skip
    assert db.model(Reserved).where(R.key == key, R.order.begins_with("A")).all() == [fresh]
    db.delete(fresh, condition=R.count == 0)


def test_stored_names_may_look_like_placeholders_and_paths(db, key):
    db.create(Reserved(key=key, order="1", n0="a", v0="b", dotted="c", spaced="d"))
    db.update(
        Reserved, key, "1", R.n0.set("A"), R.v0.set(R.dotted), R.dotted.set("C"), R.spaced.remove(),
        condition=(R.n0 == "a") & (R.v0 == "b") & (R.dotted == "c") & (R.spaced == "d"),
    )  # fmt: skip
    found = stored(db, Reserved, key, "1")
    assert (found["#n0"], found[":v0"], found["a.b[0]"]) == ({"S": "A"}, {"S": "c"}, {"S": "C"})
    assert "with space" not in found


def test_names_that_differ_only_in_case_are_two_names(db, key):
    db.create(Reserved(key=key, order="1", name="small", Name="large"))
    db.update(Reserved, key, "1", R.name.set("s"), condition=(R.Name == "large") & (R.name == "small"))
    with pytest.raises(ConditionFailed):
        db.update(Reserved, key, "1", R.name.set("s"), condition=(R.name == "large") | (R.Name == "small"))
    fresh = db.update(Reserved, key, "1", R.Name.set("l"))
    assert (fresh.name, fresh.Name) == ("s", "l")


@pytest.mark.parametrize("text", WILD, ids=range(len(WILD)))
def test_any_text_is_a_value_like_any_other(db, key, text):
    made = db.create(Reserved(key=key, order=text, name=text, data={text: text}, values=[text]))
    assert db.get(Reserved, key, text, consistent=True) == made
    condition = (R.name == text) & R.values.contains(text) & (R.data[text] == text)
    fresh = db.update(Reserved, key, text, R.status.set(text), R.data[text].set("new"), condition=condition)
    assert (fresh.status, fresh.data) == (text, {text: "new"})
    assert db.model(Reserved).where(R.key == key, R.order == text).all() == [fresh]
    with pytest.raises(ConditionFailed):
        db.update(Reserved, key, text, R.status.set("x"), condition=R.name != text)


def test_conditions_and_updates_of_one_request_never_share_a_placeholder(db, key, wire):
    db.create(Reserved(key=key, order="1", name="a", status="b", type="tenant-1"))
    same_tenant = (R.type == "tenant-1") & ((R.name == "x") | (R.name == "a"))
    db.update(Reserved, key, "1", R.name.set("new"), R.status.set("new"), condition=same_tenant & (R.status == "b"))
    request = next(body for name, body in reversed(wire.calls) if name != "GetItem")
    request = request.get("TransactItems", [{"Update": request}])[0]["Update"]
    names, values = request["ExpressionAttributeNames"], request["ExpressionAttributeValues"]
    assert len(set(names.values())) == len(names)
    used = request["UpdateExpression"] + " " + request["ConditionExpression"]
    words = used.replace("(", " ").replace(")", " ").replace(",", " ").split()
    assert sorted(word for word in words if word.startswith(":")) == sorted(values)
    with pytest.raises(ConditionFailed):
        db.update(
            Reserved,
            key,
            "1",
            R.name.set("q"),
            condition=(R.type == "tenant-2") & ((R.name == "new") | (R.name == "a")),
        )


def test_the_text_of_a_request_is_the_same_each_time(db, key, wire):
    db.create(Reserved(key=key, order="1"))
    seen = set()
    for _ in range(5):
        db.update(Reserved, key, "1", R.status.set("s"), R.date.remove(), R.name.set("n"), R.size.set(3))
        request = wire.last
        seen.add((request["UpdateExpression"], str(request["ExpressionAttributeNames"])))
    assert len(seen) == 1
