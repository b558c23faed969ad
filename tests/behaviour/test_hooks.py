"""Hooks of models: once for each verb, before and after it, alone, in transactions and batches, on both faces."""

import asyncio
import logging

import pytest

from dynamorm import (
    DB,
    Attr,
    Mixin,
    Model,
    Unique,
    after_create,
    after_delete,
    after_load,
    after_save,
    attr,
    before_create,
    before_delete,
    before_save,
    model_validator,
    partition_key,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import (
    AlreadyExists,
    InvalidUse,
    ModelError,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)
from dynamorm.plugin import WriteRule

from .kit import ask, stored, table_of

pytestmark = pytest.mark.engine

CALLS = []


class Clean(Mixin):
    title: Attr[str]
    slug: Attr[str] = attr(default="")

    @before_save
    def slugify(self) -> None:
        CALLS.append("before_save")
        self.slug = self.title.strip().lower().replace(" ", "-")


class Post(Model, Clean, table="hooked-posts"):
    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="draft")
    seen: Attr[int] = attr(default=0)
    version: Attr[int] = version()

    @before_create
    def begin(self) -> None:
        CALLS.append("before_create")
        self.state = "new" if self.state == "draft" else self.state

    @after_create
    def told(self) -> None:
        CALLS.append("after_create")

    @after_save
    async def saved(self) -> None:
        await asyncio.sleep(0)
        CALLS.append("after_save")

    @before_delete
    async def allowed(self) -> None:
        await asyncio.sleep(0)
        CALLS.append("before_delete")
        if self.state == "kept":
            raise PermissionError("it is kept")

    @after_delete
    def gone(self) -> None:
        CALLS.append("after_delete")


class Bare(Model, Clean, table="hooked-bare"):
    id: Attr[str] = partition_key()


class Named(Post, table="hooked-named"):
    name: Attr[str] = attr(Unique())


class Read(Model, table="hooked-read"):
    id: Attr[str] = partition_key()
    old: Attr[str | None] = attr(default=None)
    new: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()

    @after_load
    def moved(self) -> None:
        CALLS.append("after_load")
        if self.old is not None:
            self.old, self.new = None, self.old


class Failing(Model, table="hooked-failing"):
    id: Attr[str] = partition_key()
    how: Attr[str] = attr(default="")

    @before_save
    def before(self):
        if self.how == "answers":
            return False
        if self.how == "raises":
            raise LookupError("before")
        return None

    @after_save
    def after(self) -> None:
        raise LookupError("after")


class Seat(Model, table="hooked-seats", validate="always"):
    id: Attr[str] = partition_key()
    price: Attr[int]
    reduced: Attr[int] = attr(default=0)

    @model_validator("price", "reduced")
    def cheaper(self) -> None:
        assert self.reduced <= self.price

    @before_save
    def looked_at(self) -> None:
        CALLS.append("before_save")


MODELS = (Post, Bare, Named, Read, Failing, Seat)
CREATED = ["before_create", "before_save", "after_create", "after_save"]


@pytest.fixture(autouse=True)
def calls():
    CALLS.clear()
    return CALLS


def took():
    found = CALLS[:]
    CALLS.clear()
    return found


@pytest.fixture(params=[Post, Named], ids=["plain", "unique"])
def make(request, key):
    def made(title="A b", number=0, **values):
        more = {"name": f"{key}-{number}"} if request.param is Named else {}
        return request.param(id=f"{key}-{number}", title=title, **more, **values)

    return made


class TestVerbs:
    def test_each_verb_has_its_hooks_once_and_writes_what_they_change(self, db, make):
        post = db.create(make())
        assert took() == CREATED
        assert (post.slug, post.state) == ("a-b", "new")
        assert db.require(type(post), post.id) == post
        post.title = "C d"
        db.save(post)
        assert took() == ["before_save", "after_save"]
        assert stored(db, type(post), post.id)["slug"] == {"S": "c-d"}
        db.save(post)
        assert took() == []  # nothing was changed, so nothing is written
        post.title = "E"
        db.put(post)
        assert took() == ["before_save", "after_save"]
        assert db.require(type(post), post.id).slug == "e"
        db.delete(post)
        assert took() == ["before_delete", "after_delete"]
        assert not db.exists(type(post), post.id)

    def test_save_of_a_new_object_creates_it(self, db, make):
        db.save(make())
        assert took() == CREATED

    def test_a_strict_create(self, db, key, wire):
        db.create(Post(id=key, title="t"), strict=True)
        assert (wire.names, took()) == (["TransactWriteItems"], CREATED)

    def test_no_call_more_than_without(self, db, key, wire):
        post = db.create(Post(id=key, title="t"))
        post.title = "u"
        db.save(post)
        db.put(post, returning="old")
        db.delete(post)
        assert wire.names == ["PutItem", "UpdateItem", "PutItem", "DeleteItem"]

    def test_an_update_passes_them_by(self, db, make):
        post = db.create(make())
        took()
        db.update(post, type(post).title.set("X y"))
        db.increment(post, type(post).seen)
        if type(post) is Post:
            db.upsert(Post, post.id, Post.seen.add(1), Post.title.set("Y"))
        assert took() == []
        assert db.require(type(post), post.id).slug == "a-b"

    def test_a_condition_and_a_conflict_are_as_without(self, db, make):
        post = db.create(make())
        took()
        with pytest.raises(AlreadyExists):
            db.create(make())
        assert took() == ["before_create", "before_save"]
        other = db.require(type(post), post.id)
        post.title = "mine"
        db.save(post)
        took()
        other.title = "other"
        with pytest.raises(VersionConflict):
            db.save(other)
        with pytest.raises(VersionConflict):
            db.delete(other)
        assert took() == ["before_save", "before_delete"]

    def test_what_a_hook_raises_refuses_and_nothing_is_sent(self, db, key, wire):
        post = db.create(Post(id=key, title="t", state="kept"))
        wire.clear()
        with pytest.raises(PermissionError, match="it is kept"):
            db.delete(post)
        with pytest.raises(LookupError, match="before"):
            db.create(Failing(id=key, how="raises"))
        with pytest.raises(InvalidUse, match="the hook before of a Failing gave a bool before the create"):
            db.create(Failing(id=key, how="answers"))
        assert wire.calls == []

    def test_a_failure_behind_a_write_changes_nothing(self, db, key, caplog):
        with caplog.at_level(logging.WARNING, "dynamorm"):
            assert db.create(Failing(id=key)).id == key
            assert db.batch_write(puts=[Failing(id=key + "2")]).ok
        assert db.exists(Failing, key)
        assert "the hook after of a Failing failed behind its write" in caplog.text

    def test_a_delete_by_key_is_refused(self, db, key, wire):
        for call in (
            lambda: db.delete(Post, key),
            lambda: db.batch_write(deletes=[(Post, key)]),
        ):
            with pytest.raises(ValidationError, match="load the object and delete that, not its key"):
                call()
        with db.transaction() as tx, pytest.raises(ValidationError, match="load the object"):
            tx.delete(Post, key)
        assert wire.calls == []
        db.create(Bare(id=key, title="t"))
        db.delete(Bare, key)  # it has none for deletes


def created(db, *objects):
    with db.transaction() as tx:
        for one in objects:
            tx.create(one)


class TestTogether:
    def test_a_transaction(self, db, make, wire):
        first, second, third = (make(f"T {number}", number) for number in range(3))
        db.create(second)
        db.create(third)
        took()
        wire.clear()
        second.title = "Second"
        with db.transaction() as tx:
            tx.create(first)
            tx.save(second)
            tx.delete(third)
            second.title = "too late"
            assert took() == []
        assert took() == [
            "before_create", "before_save", "before_save", "before_delete",
            "after_create", "after_save", "after_save", "after_delete",
        ]  # fmt: skip
        assert wire.names.count("TransactWriteItems") == 1
        found = db.require(type(first), second.id)
        assert (found.title, found.slug) == ("Second", "second")
        assert second.title == "too late"
        assert (first.slug, first.state, first.version) == ("t-0", "new", 0)
        assert db.require(type(first), first.id) == first
        assert not db.exists(type(first), third.id)

    def test_a_transaction_writes_what_was_there_where_each_assignment_is_looked_at(self, db, key):
        seat = Seat(id=key, price=700, reduced=600)
        with db.transaction() as tx:
            tx.create(seat)
            seat.reduced = 0  # neither of the two values fits to the former other one
            seat.price = 10
        assert (seat.price, seat.reduced) == (10, 0)
        stored = db.require(Seat, key)
        assert (stored.price, stored.reduced) == (700, 600)

    def test_a_transaction_that_is_cancelled_has_none_behind_it(self, db, make):
        db.create(make())
        took()
        with pytest.raises(TransactionCancelled):
            created(db, make(), make("other", 1))
        assert took() == ["before_create", "before_save"] * 2
        with pytest.raises(ValidationError):
            created(db, make("other", 2), 5)
        assert took() == []

    def test_a_batch(self, db, key):
        gone = db.create(Post(id=key + "gone", title="t"))
        took()
        posts = [Post(id=f"{key}{number}", title=f"P {number}") for number in range(3)]
        bare = Bare(id=key, title="Q r")
        result = db.batch_write(puts=[*posts, bare], deletes=[gone])
        assert (result.count, len(result.written)) == (5, 5)
        assert took() == ["before_save"] * 4 + ["before_delete"] + ["after_save"] * 3 + ["after_delete"]
        assert [db.require(Post, post.id).slug for post in posts] == ["p-0", "p-1", "p-2"]
        assert db.require(Bare, key).slug == "q-r"
        assert db.batch_write(puts=posts, keep=False).written == []
        result = db.batch_write(puts=iter(posts))
        assert (result.count, len(result.failed)) == (0, 3)
        assert "give batch_write lists of objects" in str(result.failed[0].error)

    def test_a_query_that_deletes_is_refused(self, db, key):
        db.create(Post(id=key, title="t"))
        with pytest.raises(ValidationError, match="load the object and delete that"):
            db.model(Post).where(Post.id == key).delete_all(confirm=True)


class TestLoaded:
    def test_each_read_calls_it_once_and_a_save_writes_what_it_changes(self, db, key):
        item = {"id": {"S": key}, "old": {"S": "x"}, "version": {"N": "3"}}
        ask(db, "PutItem", {"TableName": table_of(db, Read), "Item": item})
        reads = (
            lambda: db.get(Read, key),
            lambda: db.model(Read).where(Read.id == key).one(),
            lambda: db.model(Read).where(Read.id == key).all()[0],
            lambda: db.batch_get(Read, [key])[0],
            lambda: db.transact_get([(Read, key)])[0],
        )
        for read in reads:
            found = read()
            assert (found.old, found.new, took()) == (None, "x", ["after_load"])
        db.save(found)
        assert took() == []
        after = stored(db, Read, key)
        assert ("old" in after, after["new"], after["version"]) == (False, {"S": "x"}, {"N": "4"})
        db.save(db.require(Read, key))
        assert stored(db, Read, key)["version"] == {"N": "4"}

    def test_what_it_raises_is_the_error_of_the_read(self, db, key):
        class Bad(Model, table="hooked-read"):
            id: Attr[str] = partition_key()

            @after_load
            def fails(self) -> None:
                raise LookupError("77777")

        db.create(Read(id=key))
        with pytest.raises(
            ValidationError, match=r"a Bad was read, and its hook fails failed \(LookupError\)"
        ) as error:
            db.get(Bad, key)
        assert "77777" not in str(error.value)


class TestLies:
    """What the network loses: the hooks are asked once, whatever is sent again."""

    def made(self, engine):
        with DB(engine) as db:
            db.tables.ensure(Post)
            db.tables.ensure(Named)

    @pytest.mark.parametrize("kind", [Post, Named])
    @pytest.mark.parametrize("fault", ["lost_reply", "error", "conflict"])
    def test_a_lost_answer(self, kind, fault):
        engine = Engine()
        self.made(engine)
        more = {"name": "n"} if kind is Named else {}
        with DB(engine) as db:
            if fault == "lost_reply":
                engine.faults.lose_reply(op=["PutItem", "TransactWriteItems"], times=2)
            elif fault == "conflict":
                engine.faults.conflict(op=["PutItem", "TransactWriteItems"], times=2)
            else:
                engine.faults.error("InternalServerError", times=2)
            db.create(kind(id="p", title="T u", **more))
            assert took() == CREATED
            assert db.require(kind, "p").slug == "t-u"

    def test_a_coroutine_in_a_running_loop_of_the_blocking_face(self):
        engine = Engine()
        self.made(engine)

        async def inside():
            with DB(engine) as db:
                post = db.create(Post(id="p", title="t"))  # its hook behind the write fails, and is logged
                with pytest.raises(InvalidUse, match="use AsyncDB"):
                    db.delete(post)

        asyncio.run(inside())


class Seen(Model, table="hooked-seen"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Reading(WriteRule):
    """Reads an item beside each new post, and writes one that has hooks of its own."""

    verbs = ("create",)

    def contribute(self, draft):
        seen = draft.read(Seen, "all") or Seen(id="all")
        seen.count += 1
        draft.add("save", seen)
        draft.add("create", Bare(id=draft.obj.id, title="Of a rule"))


class Plugged:
    name = "plugged"

    def write_rule(self, schema):
        return Reading() if schema.model is Post else None


class TestWithPlugins:
    """Rules that read build a write several times; what they write themselves has no hooks."""

    @pytest.fixture
    def plugged(self):
        with DB(Engine(), extensions=(Plugged(),)) as db:
            for model in (Post, Bare, Seen):
                db.tables.ensure(model)
            yield db

    def test_alone_and_in_a_transaction(self, plugged):
        plugged.create(Post(id="a", title="A b"))
        assert took() == CREATED
        with plugged.transaction() as tx:
            tx.create(Post(id="b", title="B c"))
        assert took() == CREATED
        assert plugged.require(Seen, "all").count == 2
        assert [plugged.require(Post, one).slug for one in "ab"] == ["a-b", "b-c"]
        assert plugged.require(Bare, "a").slug == ""
        assert took() == []

    def test_a_batcher(self):
        with DB(Engine()) as db:
            db.tables.ensure(Post)
            with db.new_batcher() as batcher:
                made = batcher.add(Post(id="a", title="A b")).result()
            assert took() == CREATED
            assert (made.slug, db.require(Post, "a").slug) == ("a-b", "a-b")

    def test_a_view(self):
        with DB(Engine()) as db:
            db.tables.ensure(Post)
            view = db.view(shop="s1")
            view.create(Post(id="a", title="A b"))
            assert took() == CREATED
            assert view.require(Post, "a").slug == "a-b"


class TestDeclarations:
    def test_a_subclass_overrides_one_by_its_name(self, db):
        class Below(Post, table="hooked-below"):
            def slugify(self) -> None:
                """It is no hook any more."""

            @before_save
            def more(self) -> None: ...

        from dynamorm import schema_of

        hooks = schema_of(Below).hooks
        assert [function.__name__ for function in hooks["before_save"]] == ["more"]
        assert [function.__name__ for function in hooks["before_create"]] == ["begin"]

    def test_what_is_no_method(self):
        for decorator in (
            before_create,
            before_save,
            before_delete,
            after_create,
            after_save,
            after_delete,
            after_load,
        ):
            with pytest.raises(ModelError, match="stands over a method"):
                decorator(property(lambda self: None))
        with pytest.raises(ModelError, match="waits for none"):

            @after_load
            async def read(self): ...


class Both(Model, table="hooked-both", validate="always"):
    id: Attr[str] = partition_key()
    low: Attr[int] = attr(default=0)
    high: Attr[int] = attr(default=1)

    @before_save
    def raise_it(self) -> None:
        self.high = max(self.high, self.low)

    @model_validator("low", "high")
    def rising(self) -> None:
        if self.low > self.high + 10:
            raise ValueError


def test_validators_come_behind_the_hooks(db):
    db.tables.ensure(Both)
    both = Both(id="b", low=5)
    db.put(both)
    assert db.require(Both, "b").high == 5
