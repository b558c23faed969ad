"""A plugin that raises, at each of the moments that there are: no write is lost, and what is said of one is true; on both faces."""

import logging
import uuid
from contextlib import suppress

import pytest

from dynamorm import Attr, Model, attr, partition_key, version
from dynamorm.errors import DynamORMError, Outcome, PluginRefused
from dynamorm.ops.moments import ARGUMENTS, HOOKS, LOOKING
from dynamorm.plugin import ReadRule, WriteRule

pytestmark = pytest.mark.engine


class Payment(Model, table="raising-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Event(Model, table="raising-events"):
    id: Attr[str] = partition_key()


MODELS = [Payment, Event]


class OwnError(Exception):
    """What the plugin raises."""


def fail(*_):
    raise OwnError("out of order")


class Bad:
    """A plugin with one member."""

    name = "bad"

    def __init__(self, moment, member=fail):
        setattr(self, moment, member)


def layer(*, behind):
    """A layer that raises before or behind what it stands around."""

    def around(inner):
        def raising(given):
            if not behind:
                fail()
            yield from inner(given)
            fail()

        return raising

    return around


def rule(base, moment):
    """Gives a rule that raises at a moment of rules."""
    made = type("Raising", (base,), {moment: fail} | ({"in_batches": True} if moment != "check_batch" else {}))
    return lambda schema: made()


def writes(db, key):
    """A write of each kind, and whether it is stored: (what it does, its model, the key)."""

    def transaction():
        with db.transaction() as tx:
            tx.put(Event(id=f"{key}-t"))

    def batch():
        result = db.batch_write(puts=[Event(id=f"{key}-b")])
        for part in (*result.failed, *result.unknown):
            raise part.error

    return {
        "create": (lambda: db.create(Payment(id=key)), Payment, key),
        "put": (lambda: db.put(Event(id=key)), Event, key),
        "transaction": (transaction, Event, f"{key}-t"),
        "batch": (batch, Event, f"{key}-b"),
    }


def reads(db, key):
    return [
        lambda: db.get(Payment, key),
        lambda: db.model(Payment).where("id", "=", key).all(),
        lambda: db.model(Payment).where("id", "=", key).explain(),
        db.gauges,
    ]


@pytest.fixture
def ended(plugged):
    """Does every write and read with a plugin, and says how each write has ended; what is said is held against the table."""

    def run(plugin, **options):
        db, plain, key = plugged(), plugged(), uuid.uuid4().hex
        db.inner.use(plugin, **options)
        found = {}
        for name, (work, model, where) in writes(db, key).items():
            try:
                work()
                told = None
            except Exception as error:  # noqa: BLE001 - it is what the tests ask for
                told = error
            is_stored = plain.get(model, where, consistent=True) is not None
            if told is None:
                assert is_stored, f"{name} was lost"
            elif isinstance(told, DynamORMError):
                assert told.outcome is not (Outcome.NOT_APPLIED if is_stored else Outcome.APPLIED), name
            found[name] = type(told).__name__, is_stored
        for read in reads(db, key):
            with suppress(OwnError, DynamORMError):
                read()
        db._db.close()
        return found

    return run


WELL = dict.fromkeys(("create", "put", "transaction", "batch"), ("NoneType", True))


def test_every_moment_is_here():
    assert {*LAYERS, *OF_MODELS, *OF_SCOPES, *LOOKING, *HOOKS, "admit", "finish", "companions"} == {*ARGUMENTS}


LAYERS = ("operation", "around")
OF_MODELS = ("write_rule", "read_rule", "field", "model")
OF_SCOPES = (
    "scope_rule",
    "viewed",
    "scope_of",
    "credentials_of",
    "administered",
    "statement",
)  # what they raise refuses: test_scope_moments.py


def test_what_only_looks_changes_nothing(ended, caplog):
    with caplog.at_level(logging.WARNING, logger="dynamorm"):
        for moment in sorted(({*LOOKING} - {"joined", "opened"}) | {"post_query", "on_error"}):
            caplog.clear()
            assert ended(Bad(moment)) == WELL, moment
            if moment not in {"forked", "retried", "on_error"}:  # which nothing here asks for
                assert "bad" in caplog.text, moment
                assert "failed" in caplog.text, moment


def test_what_fails_behind_a_verb_is_told_as_applied_where_that_is_asked_for(ended):
    assert ended(Bad("post_query"), on_error="raise_after") == dict.fromkeys(WELL, ("PluginError", True))


def test_what_refuses_has_sent_nothing(ended, plugged):
    for moment in ("pre_query", "admit"):
        assert ended(Bad(moment)) == dict.fromkeys(WELL, ("PluginRefused", False)), moment
        db = plugged(Bad(moment))
        with pytest.raises(PluginRefused, match="plugin bad refused") as caught:
            db.create(Payment(id="p1"))
        assert isinstance(caught.value.__cause__, OwnError)
        assert caught.value.outcome is Outcome.NOT_APPLIED


def test_at_use_the_plugin_is_refused_and_the_database_goes_on(plugged):
    for moment in (*LAYERS, "joined"):
        db, key = plugged(), uuid.uuid4().hex
        with pytest.raises(OwnError):
            db.inner.use(Bad(moment))
        assert db.create(Payment(id=key)) == db.get(Payment, key), moment


def test_an_opening_that_fails_refuses_every_verb(ended):
    assert ended(Bad("opened")) == dict.fromkeys(WELL, ("OwnError", False))


def test_what_belongs_to_a_model_refuses_the_model(ended):
    """What it raises is raised, for the mistake is the program's own: nothing is sent."""
    for moment in OF_MODELS:
        assert ended(Bad(moment)) == dict.fromkeys(WELL, ("OwnError", False)), moment


def test_a_layer_raises_what_it_raises(ended):
    for moment in LAYERS:
        assert ended(Bad(moment, layer(behind=False))) == dict.fromkeys(WELL, ("OwnError", False)), moment
        assert ended(Bad(moment, layer(behind=True))) == dict.fromkeys(WELL, ("OwnError", True)), moment


def test_rules_of_writes_refuse_their_writes(ended):
    for moment in ("transform", "contribute"):
        assert ended(Bad("write_rule", rule(WriteRule, moment))) == dict.fromkeys(WELL, ("OwnError", False)), moment
    found = ended(Bad("write_rule", rule(WriteRule, "check_batch")))
    assert found == WELL | {"batch": ("OwnError", False)}
    found = ended(Bad("finish"))
    assert {name: is_stored for name, (_, is_stored) in found.items()} == dict.fromkeys(WELL, False)


def test_rules_of_reads_leave_writes_alone(ended):
    for moment in ("check", "contribute"):
        assert ended(Bad("read_rule", rule(ReadRule, moment))) == WELL, moment
