"""The moments of scopes: what plugins say of views, of the keys and objects in them, and of the scope of a verb."""

from contextvars import ContextVar

import pytest

from dynamorm import DB, Attr, Model, Presets, attr, gsi, partition_key, schema_of, sort_key
from dynamorm.errors import AlreadyExists, ConditionFailed, ConfigError, MissingItem, Rejected, ValidationError
from dynamorm.plugin import ReadRule, ScopeRule, WriteRule

pytestmark = pytest.mark.engine


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()
    shelf: Attr[str] = attr(default="")
    text: Attr[str] = attr(default="-")
    by_shelf = gsi("by-shelf", partition="shelf", sort="text")
    by_text = gsi("by-text", partition="text")


class Page(Model, table="pages"):
    book: Attr[str] = partition_key()
    number: Attr[str] = sort_key()


MODELS = (Note, Page)


class Refused(Rejected):
    pass


class Shelf(ScopeRule):
    """Keys begin with the shelf of the view, objects get it."""

    def __init__(self, shelf):
        self.values = {"book": shelf}
        self.shelf = shelf

    def check_key(self, key):
        if b'"%s-' % self.shelf.encode() not in key and b'"%s"' % self.shelf.encode() not in key:
            raise Refused("a key of another shelf")

    def complete(self, obj):
        if isinstance(obj, Note):
            obj.shelf = self.shelf

    def check_answer(self, obj):
        if getattr(obj, "shelf", self.shelf) != self.shelf:
            raise Refused("an answer of another shelf")


class Shelves:
    name = "shelves"

    def scope_rule(self, schema, scope):
        if schema.model not in MODELS:
            return None
        if "shelf" not in scope:
            raise Refused(f"{schema.name} needs a shelf")
        return Shelf(scope["shelf"])


def test_a_rule_of_the_scope_sees_every_key_and_object(plugged, key):
    face = plugged(Shelves())
    for verb in (
        lambda: face.get(Note, "a-1"),
        lambda: face.create(Note(id="a-1")),
        lambda: face.model(Note).order_by("id"),
    ):
        with pytest.raises(Refused, match="needs a shelf"):
            verb()
    a = face.scoped(shelf="a")
    made = a.create(Note(id=f"a-{key}"))
    assert made.shelf == "a"
    for verb in (
        lambda: a.get(Note, "b-1"),
        lambda: a.exists(Note, "b-1"),
        lambda: a.delete(Note(id="b-1")),
        lambda: a.update(Note, "b-1", Note.text.set("x")),
        lambda: a.delete(Note, "b-1"),
        lambda: a.batch_get(Note, ["b-1"]),
        lambda: a.transact_get([(Note, "b-1")]),
        lambda: a.batch_write(deletes=[(Note, "b-1")]),
    ):
        with pytest.raises(Refused):
            verb()
    assert a.update(Note, f"a-{key}", Note.text.set("x")).text == "x"


def test_a_value_of_the_view_may_be_left_out_of_a_key(plugged):
    view = plugged(Shelves()).scoped(shelf="b")
    view.put(Page(book="b", number="1"))
    assert (
        view.get(Page, "1")
        == view.get(Page, "b", "1")
        == view.get(Page, number="1")
        == view.get(Page, book="b", number="1")
    )
    with pytest.raises(ValidationError):
        view.get(Page)


def test_tables_are_made_without_a_scope(plugged):
    face = plugged(Shelves())
    face.tables.ensure(Note)
    with pytest.raises(Refused):
        face.get(Note, "a-1")


def test_two_rules_for_one_model_are_refused(plugged):
    class Others(Shelves):
        name = "others"

    class Wrong(Shelves):
        name = "wrong"

        def scope_rule(self, schema, scope):
            return "a rule"

    with pytest.raises(ConfigError, match="shelves and others"):
        plugged(Shelves(), Others()).scoped(shelf="a").get(Note, "a-1")
    with pytest.raises(ConfigError, match="gave str"):
        plugged(Wrong()).scoped(shelf="a").get(Note, "a-1")


class Prefixing(ScopeRule):
    def partition(self, text, obj):
        return f"p!{text}"


class PutBefore:
    name = "put before"

    def scope_rule(self, schema, scope):
        return Prefixing() if schema.model is Note else None

    def field(self, schema, field):
        if schema.model is not Note or field.role != "partition":
            return None
        return (lambda wire: wire), (lambda wire: {"S": wire["S"].removeprefix("p!")})


def test_a_partition_key_may_be_stored_in_another_form(plugged, key):
    face = plugged(PutBefore())
    made = face.create(Note(id=key, text="t"))
    assert face.get(Note, key) == made
    assert face.batch_get(Note, [key, "none"]) == [made, None]
    assert [one.id for one in face.model(Note).where(Note.id == key).all()] == [key]
    made.text = "u"
    assert face.save(made).text == "u"
    assert face.update(Note, key, Note.text.set("v"), condition=Note.id == key).text == "v"
    plain = plugged()
    assert plain.get(Note, key) is None
    assert plain.get(Note, f"p!{key}").text == "v"
    face.delete(Note, key)
    assert plain.get(Note, f"p!{key}") is None


class Views:
    """Takes down the views that are made, refuses some, and names others."""

    name = "views"

    def __init__(self):
        self.seen = []

    def viewed(self, before, scope):
        self.seen.append((dict(before), dict(scope)))
        if scope.get("shelf") == "none":
            raise Refused("no such shelf")
        return {"shelf": scope["shelf"].upper()} if "shelf" in scope else None


def test_a_view_that_is_made_is_shown_to_plugins(plugged):
    views = Views()
    face = plugged(views)
    view = face.scoped(shelf="a")
    assert dict(view.inner._session.scope) == {"shelf": "A"}
    assert dict(view.scoped(region="eu").inner._session.scope) == {"shelf": "A", "region": "eu"}
    with pytest.raises(Refused):
        face.scoped(shelf="none")
    assert views.seen == [({}, {"shelf": "a"}), ({"shelf": "A"}, {"region": "eu"}), ({}, {"shelf": "none"})]


HERE = ContextVar("here", default=None)


class Around:
    """Gives the scope of a verb by a context variable, and keeps views from tables."""

    name = "around"

    def __init__(self):
        self.scopes = []

    def scope_of(self, scope):
        here = HERE.get()
        return None if here is None or scope else {"shelf": here}

    def administered(self, what, scope):
        if scope:
            raise Refused(f"{what} is not for views")

    def operation(self, next):
        def noted(operation):
            self.scopes.append(dict(operation.scope))
            return (yield from next(operation))

        return noted


def test_a_plugin_gives_the_scope_of_a_verb_when_it_is_called(plugged):
    around = Around()
    face = plugged(around)
    face.get(Note, "1")
    token = HERE.set("s")
    try:
        face.get(Note, "1")
        query = face.model(Note).where(Note.id == "1")
        transaction = face.transaction()
        face.scoped(region="eu").get(Note, "1")
        with pytest.raises(Refused, match="tables"):
            face.tables.ensure(Note)
    finally:
        HERE.reset(token)
    query.all()
    with transaction as tx:
        tx.put(Note(id="1"))
    face.get(Note, "1")
    assert around.scopes == [{}, {"shelf": "s"}, {"shelf": "s", "region": "eu"}, {"shelf": "s"}, {"shelf": "s"}, {}]
    assert type(face.inner).__name__ in {"DB", "AsyncDB"}
    assert face.inner._own.scope == {}


def test_a_database_is_closed_whatever_scope_it_is_closed_in(engine):
    token = HERE.set("s")
    try:
        with DB(Presets.local_development(endpoint=engine.endpoint), extensions=(Around(),)) as db:
            assert db.config.embedded is False
        with pytest.raises(Exception, match="closed"):
            db.get(Note, "1")
    finally:
        HERE.reset(token)


def test_administration_may_be_kept_from_views(plugged):
    face = plugged(Around())
    face.tables.ensure(Note)
    view = face.scoped(shelf="a")
    for verb in (
        lambda: view.tables.describe(Note),
        lambda: view.repair_unique(Note),
        lambda: view.stream(Note),
        lambda: view.partiql("SELECT * FROM {table}", model=Note),
        lambda: view.partiql_transaction([]),
    ):
        with pytest.raises(Refused):
            verb()


class Hidden(ReadRule):
    attributes = ("shelf",)
    filters_all = True

    def __init__(self, *, hides):
        self.hides = hides

    def contribute(self, draft):
        own = draft.model.shelf == draft.scope["shelf"]
        draft.where(own)
        draft.in_partition(own, lambda: Refused("not within the shelf"))

    def check(self, item, scope):
        return item.get("shelf") == {"S": scope["shelf"]}


class Hiding:
    name = "hiding"

    def __init__(self, *, hides=True):
        self.rule = Hidden(hides=hides)

    def read_rule(self, schema):
        return self.rule if schema.model is Note else None


def test_what_a_rule_hides_is_told_as_absent(plugged, key):
    mine = plugged().create(Note(id=key, shelf="a", text="secret"))
    view = plugged(Hiding()).scoped(shelf="b")
    for verb, error in (
        (lambda: view.create(Note(id=key)), AlreadyExists),
        (lambda: view.put(Note(id=key), condition=Note.text == "x"), AlreadyExists),
        (lambda: view.update(Note, key, Note.text.set("x"), condition=Note.text == "x"), MissingItem),
        (lambda: view.delete(Note, key, condition=Note.text == "x"), ConditionFailed),  # as of one that is not there
    ):
        with pytest.raises(error) as caught:
            verb()
        assert type(caught.value) is error
        assert caught.value.item is None
    assert plugged().get(Note, key) == mine


def test_a_query_must_be_within_a_partition(plugged, key):
    view = plugged(Hiding()).scoped(shelf=key)
    plugged().create(Note(id=key, shelf=key, text="t"))
    assert [one.id for one in view.model(Note).all()] == [key]
    assert [one.id for one in view.model(Note).where(Note.text == "t").all()] == [key]  # by-shelf goes before by-text
    assert [one.id for one in view.model(Note).where(Note.id == key).all()] == [key]
    for query in (
        view.model(Note).index("by-text").where(Note.text == "t"),
        view.model(Note).allow_scan().segments(2),
    ):
        with pytest.raises(Refused, match="not within"):
            query.all()


class Marked:
    filled_in = True


class Filling:
    name = "filling"
    options = (Marked,)

    def scope_rule(self, schema, scope):
        return Filled() if any(field.option(Marked) for field in schema.fields.values()) else None


class Filled(ScopeRule):
    def complete(self, obj):
        obj.owner = "filled"


def test_an_option_may_spare_the_constructor_its_field(plugged, key):
    class Owned(Model, table="notes"):
        id: Attr[str] = partition_key()
        owner: Attr[str] = attr(Marked())

    assert schema_of(Owned).fields["owner"].filled_in
    assert not schema_of(Owned).fields["owner"].required
    obj = Owned(id=key)
    assert obj.owner is None
    face = plugged(Filling())
    assert face.create(obj).owner == "filled"
    assert face.get(Owned, key).owner == "filled"


class Requiring(WriteRule):
    """Requires one condition, whose text is made once, beside another one of the caller's."""

    verbs = ("update",)

    def __init__(self):
        self.prepared = None
        self.may_read = None

    def contribute(self, draft):
        self.may_read = draft.context.reads is not None
        open_here = (Note.text != "closed") & (Note.shelf == "a") & ~(Note.text == "x")
        self.prepared = self.prepared or draft.prepared(open_here)
        draft.require(self.prepared, lasting=True)


class Required:
    name = "required"

    def __init__(self, *, reads_nothing):
        self.rule = Requiring()
        self.reads_nothing = reads_nothing

    def write_rule(self, schema):
        return self.rule if schema.model is Note else None


@pytest.mark.parametrize("reads_nothing", [True, False])
def test_a_condition_is_prepared_once(plugged, key, reads_nothing):
    plugin = Required(reads_nothing=reads_nothing)
    face = plugged(plugin)
    face.create(Note(id=key, shelf="a", text="t"))
    for text in ("u", "v"):
        assert face.update(Note, key, Note.text.set(text), condition=Note.text != "z").text == text
    first = plugin.rule.prepared
    with pytest.raises(ConditionFailed):
        face.update(Note, key, Note.text.set("w"), condition=Note.text == "z")
    face.update(Note, key, Note.text.set("closed"))
    with pytest.raises(ConditionFailed):
        face.update(Note, key, Note.text.set("w"))
    assert plugin.rule.prepared is first
    assert plugin.rule.may_read is not reads_nothing
