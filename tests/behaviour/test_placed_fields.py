"""Fields whose stored form depends on the place of their item: a toy plugin that stores key, scope and value with a random part."""

import json
import os
from typing import Any

import pytest

from dynamorm import DB, Attr, BatchConfig, Model, Presets, attr, gsi, partition_key, raw, sort_key, version
from dynamorm.effects import Call
from dynamorm.errors import ConditionFailed, ConfigError, ModelError, ValidationError
from dynamorm.plugin import NotReady, PlacedField


class Bound:
    """The option: the field is stored in a form that holds its place. ``side`` is an attribute that is stored beside it."""

    def __init__(self, side=None):
        self.side = side


class Form(PlacedField):
    def __init__(self, plugin, option):
        self.plugin = plugin
        self.beside_names = () if option.side is None else (option.side,)

    def encode(self, wire, place):
        self.plugin.wait()
        shown = [[name, kind, value.decode()] for name, kind, value in place.key], dict(place.scope), wire
        return {"B": os.urandom(4) + json.dumps(shown).encode()}

    def decode(self, wire, place):
        key, scope, value = json.loads(wire["B"][4:])
        assert key == [[name, kind, value.decode()] for name, kind, value in place.key], "of another item"
        assert scope == dict(place.scope), "of another scope"
        return value

    def operand(self, kind):
        return None

    def beside(self, wire, place):
        return {} if wire is None else {self.beside_names[0]: {"B": wire["S"][-1:].encode()}}


class Binding:
    name = "binding"
    options = (Bound,)

    def __init__(self, *, waits=0):
        self.waits, self.fetched = waits, 0

    def wait(self):
        if self.fetched < self.waits:
            raise NotReady("a test's key", self.fetch)

    def fetch(self):
        def blocking():
            self.fetched += 1

        async def waiting():
            self.fetched += 1

        yield Call(blocking, waiting)

    def field(self, schema, field):
        option = field.option(Bound)
        return None if option is None else Form(self, option)


class Box(Model, table="placed-boxes"):
    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[str | None] = attr(Bound("_side"), default=None)
    plain: Attr[str] = attr(default="plain")
    version: Attr[int] = version()


class Crate(Model, table="placed-crates"):
    id: Attr[str] = partition_key()
    words: Attr[list[str]] = attr(Bound(), default_factory=list)
    plain: Attr[list[str]] = attr(default_factory=list)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.use(Binding())
        db.tables.create(Box)
        db.tables.create(Crate)
    return prefix


@pytest.fixture
def db(plugged):
    return plugged(Binding())


class Raw(Model, table="placed-boxes"):
    """The same items, as they are stored."""

    id: Attr[str] = partition_key()
    number: Attr[int] = sort_key()
    text: Attr[Any] = attr(default=None)
    side: Attr[Any] = attr(name="_side", default=None)
    version: Attr[int] = version()


def stored(db, key, number=1):
    return db.get(Raw, key, number)


def test_it_is_stored_with_its_place_and_read_back(db, key):
    db.create(Box(id=key, number=1, text="word"))
    assert b'"word"' in stored(db, key).text
    assert key.encode() in stored(db, key).text
    assert stored(db, key).side == b"d"
    found = db.get(Box, key, 1)
    assert (found.text, found.plain, found.version) == ("word", "plain", 0)


def test_none_and_absence_stay_so(db, key):
    db.create(Box(id=key, number=1))
    assert stored(db, key).side is None
    assert db.get(Box, key, 1).text is None


def test_a_save_writes_it_only_where_it_changed(db, key):
    box = db.create(Box(id=key, number=1, text="word"))
    before = stored(db, key).text
    box.plain = "other"
    db.save(box)
    assert stored(db, key).text == before
    box = db.get(Box, key, 1)
    db.save(box)
    assert stored(db, key).version == 1
    box.text = "sword"
    db.save(box)
    assert stored(db, key).text != before
    assert db.get(Box, key, 1).text == "sword"
    box.text = None
    db.save(box)
    assert stored(db, key).text is None
    assert stored(db, key).side is None


def test_a_put_keeps_nothing_beside_it_that_is_old(db, key):
    box = db.create(Box(id=key, number=1, text="word"))
    box.text = None
    db.put(box)
    assert stored(db, key).side is None
    box.text = "more"
    db.put(box)
    assert stored(db, key).side == b"e"
    assert db.put(Box(id=key, number=1, text="x"), returning="old").text == "more"


def test_updates_set_and_remove_it(db, key):
    db.create(Box(id=key, number=1, text="word"))
    found = db.update(Box, key, 1, Box.text.set("more"))
    assert found.text == "more"
    assert stored(db, key).side == b"e"
    db.update(found, Box.text.remove())
    assert found.text is None
    assert stored(db, key).side is None
    db.update(found, Box.text.set(None))
    db.update(found, Box.text.set("y"), Box.plain.set("z"), condition=Box.text.not_exists() | (Box.plain == "plain"))
    assert db.get(Box, key, 1).text == "y"


def test_an_upsert_makes_it(db, key):
    made = db.update(Box, key, 1, Box.text.set("made"), upsert=True)
    assert made.text == "made"
    other = db.update(Box(id=key, number=2, text="held"), Box.plain.set("p"), upsert=True)
    assert (other.text, other.plain) == ("held", "p")
    assert db.get(Box, key, 2).text == "held"


def test_transactions_and_batches(db, key):
    with db.transaction() as tx:
        tx.create(Box(id=key, number=1, text="one"))
        tx.put(Box(id=key, number=2, text="two"))
        tx.update(Box, key, 3, Box.text.set("three"), upsert=True)
    result = db.batch_write(puts=[Box(id=key, number=number, text=f"n{number}") for number in range(4, 40)])
    assert result.count == 36
    assert db.batch_write(puts=iter([Box(id=key, number=40, text="n40")])).count == 1
    rows = db.model(Box).where(Box.id == key).all()
    assert [row.text for row in rows] == ["one", "two", "three", *(f"n{number}" for number in range(4, 41))]
    assert [row.text for row in db.batch_get(Box, [(key, 1), (key, 2)])] == ["one", "two"]
    assert [row.text for row in db.transact_get([(Box, key, 2), (Box, key, 1)])] == ["two", "one"]


def test_pages_of_many_items(db, key):
    db.batch_write(puts=[Box(id=key, number=number, text=f"n{number}") for number in range(300)])
    assert [box.text for box in db.model(Box).where(Box.id == key).all()] == [f"n{number}" for number in range(300)]


def test_parts_of_items(db, key):
    db.create(Box(id=key, number=1, text="word"))
    assert db.get(Box, key, 1, select=["text"]).text == "word"
    assert db.model(Box).where(Box.id == key).select(Box.text).one().text == "word"


def test_a_value_of_another_item_is_refused(db, key):
    db.create(Box(id=key, number=1, text="word"))
    db.create(Box(id=key, number=2, text="word"))
    db.update(Raw, key, 2, Raw.text.set(stored(db, key).text))
    with pytest.raises(ValidationError, match=r"Box\.text"):
        db.get(Box, key, 2)


def test_a_view_has_its_scope(db, plugged, key):
    mine, yours = db.view(tenant="mine"), db.view(tenant="yours")
    mine.create(Box(id=key, number=1, text="word"))
    assert mine.get(Box, key, 1).text == "word"
    assert mine.model(Box).where(Box.id == key).one().text == "word"
    assert mine.get(Box, key, 1, select=["text"]).text == "word"
    assert mine.update(Box, key, 1, Box.text.set("more")).text == "more"
    box = mine.get(Box, key, 1)
    box.text = "again"
    mine.save(box)
    mine.batch_write(puts=[Box(id=key, number=number, text="n") for number in range(2, 400)])
    assert {box.text for box in mine.model(Box).where(Box.id == key).all()} == {"again", "n"}
    for other in (yours, db):
        with pytest.raises(ValidationError):
            other.get(Box, key, 1)


@pytest.mark.parametrize(
    "change",
    [
        Box.text.if_not_exists("x"),
        Box.plain.set(Box.text),
        Box.text.set(Box.plain),
        Crate.words.append("x"),
        Crate.words.extend(["x"]),
        Crate.words.set(Crate.plain.concat(["x"])),
        Crate.plain.set(Crate.words.concat(["x"])),
        Crate.plain.set(Crate.plain.concat(Crate.words)),
        raw("SET plain = list_append(words, :l)", values={":l": ["x"]}, model=Crate),
        Crate.words[0].set("x"),
        Crate.words[0].remove(),
    ],
)
def test_what_no_expression_can_change(db, key, change):
    model, rest = (Crate, (key,)) if change.path.field.owner == "Crate" else (Box, (key, 1))
    with pytest.raises(ModelError, match="depends on its item"):
        db.update(model, *rest, change, upsert=True)


@pytest.mark.parametrize(
    "condition",
    [
        Box.text == "x",
        Box.text != "x",
        Box.text > "x",
        Box.text.begins_with("x"),
        Box.text.contains("x"),
        Box.text.between("a", "b"),
        Box.text.in_(["a", "b"]),
        Box.text.size() > 3,
        Box.plain == Box.text,
    ],
)
def test_what_no_expression_can_compare(db, key, condition):
    with pytest.raises(ModelError, match="depends on its item"):
        db.put(Box(id=key, number=1), condition=condition)
    with pytest.raises(ModelError, match="depends on its item"):
        db.model(Box).where(Box.id == key).where(condition).all()


def test_whether_it_is_there_can_be_asked(db, key):
    db.create(Box(id=key, number=1, text="word"))
    assert db.model(Box).where(Box.id == key).where(Box.text.exists()).count() == 1
    assert db.model(Box).where(Box.id == key).where(Box.text == None).count() == 0  # noqa: E711
    with pytest.raises(ConditionFailed) as refused:
        db.update(Box, key, 1, Box.plain.set("x"), condition=Box.text.not_exists())
    assert refused.value.item.text == "word"


def test_what_it_waits_for_is_fetched_once(plugged, key):
    for number, write in enumerate(
        (
            lambda db, box: db.create(box),
            lambda db, box: db.put(box),
            lambda db, box: db.save(box),
            lambda db, box: db.batch_write(puts=[box]),
            lambda db, box: db.batch_write(puts=iter([box])),
            lambda db, box: db.update(box, Box.plain.set("plain"), upsert=True),
            written,
        )
    ):
        binding = Binding(waits=1)
        db = plugged(binding)
        write(db, Box(id=key, number=number, text="word"))
        assert db.get(Box, key, number).text == "word"
        assert binding.fetched == 1


def written(db, box):
    with db.transaction() as tx:
        tx.create(box)
        tx.create(Box(id=box.id, number=box.number + 100, text="beside"))


def test_what_never_comes_is_refused(plugged, key):
    binding = Binding(waits=10**9)
    db = plugged(binding)
    with pytest.raises(ValidationError, match="a test's key"):
        db.create(Box(id=key, number=1, text="word"))
    result = db.batch_write(puts=iter([Box(id=key, number=1, text="word"), Box(id=key, number=2)]))
    assert (result.count, len(result.failed)) == (1, 1)


@pytest.mark.parametrize("how", ["partition", "index", "also_read", "immutable", "write_once"])
def test_fields_that_cannot_be_stored_so(plugged, how):
    spaces = {
        "partition": {"id": partition_key(Bound())},
        "index": {"mine": attr(Bound()), "by_mine": gsi("by-mine", partition="mine")},
        "also_read": {"mine": attr(Bound(), also_read=("other",))},
        "immutable": {"mine": attr(Bound(), immutable=True)},
        "write_once": {"mine": attr(Bound(), write_once=True)},
    }[how]
    body = {"id": partition_key(), **spaces}
    annotations = {name: Attr[str] for name in body if name != "by_mine"}
    wrong = type(Model)(
        "Wrong", (Model,), {**body, "__annotations__": annotations, "__module__": __name__}, table="wrong"
    )
    with pytest.raises(ModelError, match=r"Wrong\.(id|mine)"):
        plugged(Binding()).get(wrong, "x")


def test_it_lies_inside_nothing(plugged, key):
    class Inner(Model):
        text: Attr[str] = attr(Bound())

    class Outer(Model, table="outer"):
        id: Attr[str] = partition_key()
        inner: Attr[Inner]

    with pytest.raises(ModelError, match="inside another item"):
        plugged(Binding()).get(Outer, key)


def test_a_slip_in_the_form_is_refused(plugged, key):
    class Wrong(PlacedField):
        def encode(self, wire):
            return wire

    class Plugin:
        def field(self, schema, field):
            return None if field.option(Bound) is None else Wrong()

        options = (Bound,)

    with pytest.raises(ConfigError, match="encode"):
        plugged(Plugin()).get(Box, key, 1)


@pytest.mark.parametrize("spooled", [False, True])
def test_a_batcher_waits_too(plugged, key, tmp_path, spooled):
    db = plugged(binding := Binding(waits=1))
    spool = {"spool_dir": tmp_path, "spool_key": os.urandom(32)} if spooled else {}
    with db.new_batcher(BatchConfig(max_wait=0.01, **spool)) as batcher:
        batcher.add(Box(id=key, number=1, text="word"))
    assert db.get(Box, key, 1).text == "word"
    assert binding.fetched == 1
