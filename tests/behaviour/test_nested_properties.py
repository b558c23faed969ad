"""A save changes only what the user changed: the stored difference is that change, the version and the token.

``make test`` runs some examples on ministack and ``make test-local`` more on DynamoDB Local.
"""

import dataclasses
import uuid
from typing import NamedTuple

import msgspec
import pydantic
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st
from typing_extensions import TypedDict

from dynamorm import Attr, Mixin, Model, attr, partition_key, version
from tests.conftest import ENGINE

from .kit import store, stored

pytestmark = pytest.mark.engine
EXAMPLES = 30 if ENGINE == "local" else 6


class Geo(Model):
    n: Attr[int]
    s: Attr[str | None] = attr(default=None)


class Inner(Model):
    n: Attr[int]
    s: Attr[str | None] = attr(default=None, name="text")
    geo: Attr[Geo | None] = attr(default=None)
    more: Attr[list[Geo]] = attr(default_factory=list)


@dataclasses.dataclass
class Data:
    n: int
    s: str | None = None
    geo: Geo | None = None
    more: list[Geo] = dataclasses.field(default_factory=list)


class Loose(pydantic.BaseModel):
    n: int
    s: str | None = None


class Open(pydantic.BaseModel, extra="allow"):
    n: int
    s: str | None = None
    geo: Geo | None = None


class Struct(msgspec.Struct):
    n: int
    s: str | None = None
    geo: Geo | None = None


class Typed(TypedDict):
    n: int


class Named(NamedTuple):
    n: int
    s: str | None = None


@dataclasses.dataclass(frozen=True)
class Frozen:
    n: int
    s: str | None = None


class Fields(Mixin):
    id: Attr[str] = partition_key()
    inner: Attr[Inner]
    data: Attr[Data]
    loose: Attr[Loose]
    open: Attr[Open]
    struct: Attr[Struct]
    typed: Attr[Typed]
    named: Attr[Named]
    frozen: Attr[Frozen]
    inners: Attr[list[Inner]]
    datas: Attr[list[Data]]
    structs: Attr[list[Struct]]
    nameds: Attr[list[Named]]
    by_inner: Attr[dict[str, Inner]]
    by_data: Attr[dict[str, Data]]
    eithers: Attr[list[Inner | Struct | int]]
    words: Attr[list[str]]
    counts: Attr[dict[str, int]]


class Plain(Model, Fields, table="props-plain"):
    """Without a version."""


class Versioned(Model, Fields, table="props-versioned"):
    version: Attr[int] = version()


MODELS = [Plain, Versioned]
ONES = {
    "inner": Inner, "data": Data, "loose": Loose, "open": Open, "struct": Struct, "typed": Typed, "named": Named,
    "frozen": Frozen,
}  # fmt: skip
LISTS = {"inners": Inner, "datas": Data, "structs": Struct, "nameds": Named, "eithers": Inner}
DICTS = {"by_inner": Inner, "by_data": Data}

# -------------------------------------------------------------------------------------------------- what is stored

numbers = st.integers(-3, 3)
texts = st.sampled_from(["x", "y", "ü", "a.b", "#"])


def N(value):
    return {"N": f"{value}"}


leaves = numbers.map(N) | texts.map(lambda value: {"S": value}) | st.just({"BOOL": True}) | st.just({"B": "Af8="})
anything = st.recursive(
    leaves | st.just({"SS": ["a", "b"]}),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda value: {"L": value})
        | st.dictionaries(texts, inner, max_size=2).map(lambda value: {"M": value})
    ),
    max_leaves=4,
)
unknown = st.dictionaries(st.sampled_from(["u1", "u.2", "Ü"]), anything, max_size=2)


def text_of(cls):
    """The stored name of the member ``s``."""
    return "text" if cls is Inner else "s"


@st.composite
def maps(draw, cls):
    """A stored object, as another program may have written it."""
    members = {"n": N(draw(numbers)), **draw(unknown)}
    if cls is not Typed and draw(st.booleans()):
        members[text_of(cls)] = {"S": draw(texts)}
    if cls in (Inner, Data, Open, Struct) and draw(st.booleans()):
        members["geo"] = draw(maps(Geo))
    if cls in (Inner, Data):
        members["more"] = {"L": draw(st.lists(maps(Geo), max_size=2))}
    return {"M": members}


@st.composite
def items(draw):
    """A stored item."""
    found = {name: draw(maps(cls)) for name, cls in ONES.items()}
    found |= {name: {"L": draw(st.lists(maps(cls), max_size=3))} for name, cls in LISTS.items()}
    found |= {name: {"M": draw(st.dictionaries(texts, maps(cls), max_size=3))} for name, cls in DICTS.items()}
    found["eithers"]["L"].append(N(1))
    found["words"] = {"L": [{"S": one} for one in draw(st.lists(texts, max_size=3))]}
    found["counts"] = {"M": {name: N(draw(numbers)) for name in draw(st.lists(texts, max_size=3))}}
    return {**found, "foreign": draw(anything), "version": N(0)}


# ------------------------------------------------------------------------------------------------ what is changed


def new(cls, n):
    """A new object and its wire value."""
    more = {"more": {"L": []}} if cls in (Inner, Data) else {}
    return cls(n=n), {"M": {"n": N(n), **more}}


def change_one(draw, obj, members):
    """Change one object, and its stored members likewise. Returns it, or the one that takes its place."""
    cls = dict if isinstance(obj, dict) else type(obj)
    can = ["n", *(["s"] if cls is not dict else [])]
    can += ["geo"] if hasattr(obj, "geo") else []
    can += ["more"] if hasattr(obj, "more") else []
    what = draw(st.sampled_from(can))
    if what == "geo":
        if obj.geo is not None and draw(st.booleans()):
            change_one(draw, obj.geo, members["geo"]["M"])
        elif obj.geo is not None and draw(st.booleans()):
            obj.geo = None
            del members["geo"]
        else:
            obj.geo, members["geo"] = new(Geo, draw(numbers))
        return obj
    if what == "more":
        change_list(draw, obj.more, members["more"]["L"], Geo)
        return obj
    value = draw(numbers) if what == "n" else draw(st.none() | texts)
    name = what if what == "n" else text_of(cls)
    if value is None:
        members.pop(name, None)
    else:
        members[name] = N(value) if what == "n" else {"S": value}
    if cls is dict:
        return {**obj, what: value} if draw(st.booleans()) else obj | {what: value}
    if cls is Named:
        return obj._replace(**{what: value})
    if cls is Frozen:
        return dataclasses.replace(obj, **{what: value})
    setattr(obj, what, value)
    return obj


def change_list(draw, values, wires, cls):
    """Change a list of objects."""
    how = draw(st.sampled_from(["append", "insert", "pop", "swap", "reverse", "new", "change", "change"]))
    at = draw(st.integers(0, len(values) - 1)) if values else 0
    if how in ("append", "insert"):
        one, wire = new(cls, draw(numbers))
        at = len(values) if how == "append" else 0
        values.insert(at, one)
        wires.insert(at, wire)
    elif not values:
        return
    elif how == "pop":
        values.pop(at)
        wires.pop(at)
    elif how == "swap":
        values[0], values[at] = values[at], values[0]
        wires[0], wires[at] = wires[at], wires[0]
    elif how == "reverse":
        values.reverse()
        wires.reverse()
    elif isinstance(values[at], int):
        values[at] += 1
        wires[at] = N(values[at])
    elif how == "new" and cls is not Named:
        values[at], wires[at] = new(cls, draw(numbers))
    else:
        values[at] = change_one(draw, values[at], wires[at]["M"])


def change_item(draw, obj, item):
    """Change something in an object, and its stored item likewise."""
    name = draw(st.sampled_from([*ONES, *LISTS, *DICTS, "words", "counts"]))
    value = getattr(obj, name)
    if name in ONES:
        if name == "inner" and draw(st.integers(0, 4)) == 0:
            obj.inner, item["inner"] = new(Inner, draw(numbers))
        else:
            setattr(obj, name, change_one(draw, value, item[name]["M"]))
    elif name in LISTS:
        change_list(draw, value, item[name]["L"], LISTS[name])
    elif name == "words":
        words = draw(st.lists(texts, max_size=3))
        obj.words, item["words"] = words, {"L": [{"S": one} for one in words]}
    else:
        key = draw(texts)
        members = item[name]["M"]
        if key in value and draw(st.booleans()):
            del value[key], members[key]
        elif name == "counts":
            value[key] = draw(numbers)
            members[key] = N(value[key])
        elif key in value:
            value[key] = change_one(draw, value[key], members[key]["M"])
        else:
            value[key], members[key] = new(DICTS[name], draw(numbers))


# -------------------------------------------------------------------------------------------------------- properties


def rest(item):
    """An item without what every write changes."""
    return {name: wire for name, wire in item.items() if name not in ("version", "_wt")}


def saved(db, obj):
    db.save(obj)


def saved_in_transaction(db, obj):
    with db.transaction() as tx:
        tx.save(obj)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("save", [saved, saved_in_transaction])
def test_a_save_changes_only_what_the_user_changed(db, model, save):
    @settings(
        max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )  # fmt: skip
    @hypothesis_given(items(), st.data())
    def check(item, data):
        item = {**item, "id": {"S": uuid.uuid4().hex}}
        store(db, model, item)
        obj = db.get(model, item["id"]["S"], consistent=True)
        for _ in range(2):  # the second save knows of the first one only what it wrote
            for _ in range(data.draw(st.integers(0, 3))):
                change_item(data.draw, obj, item)
            save(db, obj)
            after = stored(db, model, obj.id)
            assert rest(after) == rest(item)
        assert model is Plain or after["version"] == N(obj.version)
        assert db.get(model, obj.id, consistent=True) == obj
        db.put(obj)
        assert rest(stored(db, model, obj.id)) == rest(item)

    check()
