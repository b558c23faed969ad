"""Plugins that are registered at once, inside one another, too late, or in vain: what was accepted is asked, nothing else is."""

import asyncio
import threading
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm import Attr, Model, Presets, attr, partition_key
from dynamorm.errors import ConfigError, PluginRefused
from dynamorm.faces import registration
from dynamorm.plugin import Plugin, WriteRule
from tests.support.faces import Face

pytestmark = pytest.mark.engine


class Payment(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)


MODELS = [Payment]


class Guard(Plugin):
    name = "guard"

    def pre_query(self, ctx, query):
        raise PermissionError


class Told:
    """Notes what it is told; ``joining`` is done while it joins."""

    def __init__(self, name, log, joining=None):
        self.name, self.log, self.joining = name, log, joining

    def joined(self, db):
        self.log.append(f"{self.name} joined")
        if self.joining is not None:
            self.joining(db)

    def closed(self, db):
        self.log.append(f"{self.name} closed")


class Later(Told):
    async def closed(self, db):
        await asyncio.sleep(0)
        self.log.append(f"{self.name} closed")


def fail(_):
    raise ConfigError("not with this one")


def names(db):
    return [plugin.name for plugin in db.plugins]


def at_once(*work):
    """Do it all in threads of their own, from one moment on; what each raised."""
    barrier, errors = threading.Barrier(len(work)), [None] * len(work)

    def run(index, one):
        barrier.wait()
        try:
            one()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            errors[index] = error

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(work)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


# ------------------------------------------------------------------------------------------------- several, and at once


class Slow:
    """A plugin whose `joined` lets other threads go first, and may register another one or fail."""

    def __init__(self, name, gate, kind, asked):
        self.name, self.gate, self.kind, self.asked = name, gate, kind, asked
        self.ended_at = []

    def joined(self, db):
        self.gate.wait(0.001)
        if self.kind == "nests":
            db.use(Slow(f"{self.name}-inner", self.gate, "plain", self.asked))
        if self.kind == "fails":
            raise RuntimeError
        if self.kind == "measures":
            db.metrics()

    def operation(self, next):
        def verb(operation):
            self.asked.append(self.name)
            return next(operation)

        return verb

    def closed(self, db):
        self.ended_at.append(1)


@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("abcde"), st.sampled_from(["plain", "nests", "fails", "measures"])),
            min_size=1,
            max_size=2,
        ),
        min_size=2,
        max_size=4,
    )
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_registered_at_once_what_was_accepted_is_asked_once(engine, made, face_kind, calls):
    gate, asked = threading.Event(), []
    face = Face(face_kind, Presets.local_development(endpoint=engine.endpoint, table_prefix=made))
    try:
        added = [[Slow(name, gate, kind, asked) for name, kind in call] for call in calls]
        errors = at_once(*(lambda plugins=plugins: face.inner.use(*plugins) for plugins in added))
        accepted = [plugin for plugins, error in zip(added, errors, strict=True) if error is None for plugin in plugins]
        refused = [
            plugin for plugins, error in zip(added, errors, strict=True) if error is not None for plugin in plugins
        ]
        registered = names(face)
        assert len(set(registered)) == len(registered)
        assert all(plugin in face.plugins for plugin in accepted)
        assert not any(plugin in face.plugins for plugin in refused)
        assert all(f"{plugin.name}-inner" in registered for plugin in accepted if plugin.kind == "nests")
        assert face.get(Payment, "p") is None
        assert asked == [name for name in registered if name != "metrics"]
        if any(plugin.kind == "measures" for plugin in accepted):
            assert face.metrics().window().count == 1
        assert not any(plugin.ended_at for plugin in accepted)
    finally:
        face.close()
    assert all(plugin.ended_at == [1] for plugin in accepted)


def test_two_of_one_name_at_once_are_one_and_a_refusal(plugged):
    for _ in range(30):
        db, log = plugged(), []
        errors = at_once(*(lambda db=db, log=log: db.inner.use(Told("told", log)) for _ in range(2)))
        (error,) = [error for error in errors if error is not None]
        assert "two plugins are called told" in str(error)
        assert names(db) == ["told"]
        assert log == ["told joined"]


def test_a_guard_beside_a_plugin_that_joins_slowly_is_asked(plugged, key):
    for _ in range(20):
        db = plugged()
        slow = Told("slow", [], lambda _: threading.Event().wait(0.002))
        assert at_once(partial(db.inner.use, slow), partial(db.inner.use, Guard())) == [None, None]
        with pytest.raises(PluginRefused):
            db.get(Payment, key)


def test_metrics_beside_a_plugin_that_joins_slowly_count(plugged, key):
    db = plugged()
    slow = Told("slow", [], lambda _: threading.Event().wait(0.05))
    assert at_once(lambda: db.inner.use(slow), db.inner.metrics) == [None, None]
    db.get(Payment, key)
    assert db.metrics().window().count == 1
    assert sorted(names(db)) == ["metrics", "slow"]


# ------------------------------------------------------------------------------------------------------ while it joins


@pytest.mark.parametrize("early", [True, False])
def test_a_plugin_may_register_another_one_while_it_joins(plugged, key, early):
    outer = Told("outer", [], lambda db: db.use(Guard()))
    db = plugged(*([outer] if early else []))
    if not early:
        db.use(outer)
    assert names(db) == ["guard", "outer"]
    with pytest.raises(PluginRefused):
        db.get(Payment, key)


@pytest.mark.parametrize("early", [True, False])
def test_a_plugin_may_ask_for_metrics_and_costs_while_it_joins(plugged, key, early):
    found = []
    outer = Told("outer", [], lambda db: found.extend([db.metrics(), db.costs()]))
    db = plugged(*([outer] if early else []))
    if not early:
        db.use(outer)
    db.get(Payment, key)
    assert found[0] is db.metrics()
    assert found[0].window().count == 1
    assert names(db) == ["metrics", "cost", "outer"]


def test_what_a_plugin_registers_while_it_joins_counts_for_the_names(plugged):
    log = []
    db = plugged()
    with pytest.raises(ConfigError, match="two plugins are called second"):
        db.use(Told("first", log, lambda db: db.use(Told("second", log))), Told("second", log))
    assert names(db) == ["second"]  # which was accepted while the other one joined
    assert log == ["first joined", "second joined", "first closed"]


def test_a_plugin_is_registered_nowhere_while_others_are_put_together(plugged):
    class Nesting:
        name = "nesting"

        def operation(self, next):
            db.inner.use(Told("inner", []))
            return next

    db = plugged()
    with pytest.raises(ConfigError, match=r"while the plugins of this database are put together.*joined\(db\)"):
        db.use(Nesting())
    assert names(db) == []


def test_who_waits_for_its_own_turn_is_told_so(plugged, monkeypatch):
    monkeypatch.setattr(registration, "LONGEST_TURN", 0.05)
    errors = []

    def joining(db):
        errors.extend(at_once(lambda: db.use(Guard())))

    db = plugged()
    db.use(Told("waiting", [], joining))
    assert "another thread has been registering plugins" in str(errors[0])
    assert names(db) == ["waiting"]


# ----------------------------------------------------------------------------------------------------------- too late


class Settling:
    name = "settling"

    def __init__(self, joining, rules):
        self.joining, self.rules = joining, rules

    def joined(self, db):
        self.joining(db)

    def write_rule(self, schema):
        self.rules.append(schema.name)
        return WriteRule()


def test_a_model_that_is_used_while_a_plugin_joins_is_too_late(plugged, key):
    rules = []
    db = plugged()

    def joining(_):
        db.get(Payment, key)

    if db.kind == "asyncio":
        joining = lambda _: db.inner._session.plan(Payment)  # noqa: E731 - joined is no coroutine
    with pytest.raises(ConfigError, match="registered before the first call"):
        db.use(Settling(joining, rules))
    assert names(db) == []
    db.put(Payment(id=key))
    assert rules == []


def test_a_view_that_is_made_while_plugins_are_put_together_has_none_of_them(plugged, key):
    views, rules = [], []

    class Viewing:
        name = "viewing"

        def operation(self, next):
            views.append(db.scoped(tenant="t"))
            return next

        def write_rule(self, schema):
            rules.append(schema.name)
            return WriteRule()

        def around(self, call):
            views.append(db.scoped(tenant="t"))
            return call

    db = plugged()
    with pytest.raises(ConfigError, match="first view"):
        db.use(Viewing())
    for view in views:
        view.put(Payment(id=key))
        assert view.plugins == ()
    assert rules == []


def test_a_plan_that_is_made_while_a_plugin_is_registered_is_of_no_later_verb(plugged, key):
    """A verb begins before the registration, and makes the plan of its model behind it."""
    asked = []

    class Rules:
        name = "rules"

        def write_rule(self, schema):
            asked.append(schema.name)
            return WriteRule()

    db = plugged()
    session = db.inner._session
    make, done = session.registry.codec, []

    def slow(model):
        if not done:
            done.append(1)
            db.inner.use(Rules())
        return make(model)

    session.registry.codec = slow
    session.plan(Payment)
    before = len(asked)
    db.put(Payment(id=key))
    assert len(asked) == before + 1  # a new plan, whose rules were asked for


# ------------------------------------------------------------------------------------------------------------- in vain


@pytest.mark.parametrize("kind", [Told, Later])
@pytest.mark.parametrize("running", [True, False])
def test_those_that_had_joined_are_told_when_another_one_is_refused(plugged, kind, running):
    log = []
    db = plugged()

    def use():
        with pytest.raises(ConfigError, match="not with this one"):
            db.inner.use(kind("one", log), kind("two", log), Told("bad", log, fail), kind("never", log))

    async def inside():
        use()

    if running and db.kind == "asyncio":
        asyncio.run(inside())
    else:
        use()
    assert names(db) == []
    assert log == ["one joined", "two joined", "bad joined", "two closed", "one closed"]
    log.clear()
    db.use(kind("one", log))
    assert log == ["one joined"]


@pytest.mark.parametrize("reason", ["joined", "metrics", "no plugin"])
def test_those_that_had_joined_a_database_that_is_not_made_are_told(engine, face_kind, reason):
    log, settings = [], {}
    inner = Told("inner", log)
    plugins = [Told("one", log, lambda db: db.use(inner))]
    if reason == "joined":
        plugins.append(Told("bad", log, fail))
    elif reason == "metrics":  # there is one of this name already
        settings["metrics"] = True
        plugins.append(Told("metrics", log))
    else:
        plugins.append(5)
    with pytest.raises(ConfigError):
        Face(face_kind, Presets.local_development(endpoint=engine.endpoint, **settings), extensions=tuple(plugins))
    began = sorted(line.partition(" ")[0] for line in log if line.endswith("joined") and not line.startswith("bad"))
    assert sorted(line.partition(" ")[0] for line in log if line.endswith("closed")) == began


def test_what_fails_at_the_end_of_one_is_logged_and_the_others_are_told(plugged, caplog):
    log = []

    class Failing(Told):
        def closed(self, db):
            raise LookupError

    db = plugged()
    with pytest.raises(ConfigError, match="not with this one"):
        db.use(Told("one", log), Failing("two", log), Told("bad", log, fail))
    assert log == ["one joined", "two joined", "bad joined", "one closed"]
    assert "closed" in caplog.text
    assert "LookupError" in caplog.text


def test_after_an_interrupt_the_one_that_was_joining_is_told_too(plugged):
    log = []

    def interrupt(_):
        raise KeyboardInterrupt

    db = plugged()
    with pytest.raises(KeyboardInterrupt):
        db.inner.use(Told("one", log), Told("two", log, interrupt))
    assert log == ["one joined", "two joined", "two closed", "one closed"]
    assert names(db) == []


def test_a_layer_that_is_none_leaves_the_guards_that_were_there(plugged, key):
    class NoLayer:
        name = "no layer"

        def operation(self, next):
            return 5

    db = plugged(Guard())
    with pytest.raises(ConfigError):
        db.use(NoLayer())
    with pytest.raises(PluginRefused):
        db.get(Payment, key)


# ---------------------------------------------------------------------------------------------------------- the closed


def test_a_closed_database_takes_no_plugins(plugged):
    log = []
    db = plugged()
    db._db.close()
    with pytest.raises(ConfigError, match="this database is closed"):
        db.use(Told("late", log))
    with pytest.raises(ConfigError, match="this database is closed"):
        db.metrics()
    assert log == []


def test_a_database_that_is_closed_while_a_plugin_joins_refuses_it(plugged):
    log = []
    db = plugged()
    with pytest.raises(ConfigError, match="this database is closed"):
        db.inner.use(Told("late", log, lambda _: at_once(db._db.close)))
    assert log == ["late joined", "late closed"]
    assert names(db) == []


def test_a_plugin_that_is_registered_beside_a_close_is_told_of_the_end_once(plugged):
    for _ in range(40):
        log = []
        db = plugged()
        (error, _) = at_once(partial(db.inner.use, Told("late", log)), db._db.close)
        assert log in ([], ["late joined", "late closed"])
        if error is None:
            assert log
        else:
            assert "this database is closed" in str(error)
