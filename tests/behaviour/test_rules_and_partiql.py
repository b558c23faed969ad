"""PartiQL statements pass by no rule of writes, so they write no table whose models have one."""

from contextlib import suppress

import pytest
from msgspec.structs import replace

from dynamorm import Attr, Model, attr, partition_key
from dynamorm.errors import ConditionFailed, Outcome, ValidationError
from dynamorm.plugin import WriteRule

from .kit import Recorder, stored, table_of

pytestmark = pytest.mark.engine


class Ledger(Model, table="ruled-ledgers"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")


class Neighbour(Model, table="ruled-ledgers"):
    """On the same table, without a rule."""

    id: Attr[str] = partition_key()


class Free(Model, table="free-ledgers"):
    id: Attr[str] = partition_key()
    note: Attr[str] = attr(default="")


MODELS = [Ledger, Free]


class Locked(WriteRule):
    def transform(self, draft):
        raise PermissionError("nobody writes here")


class Lock:
    name = "lock"

    def write_rule(self, schema):
        return Locked() if schema.model is Ledger else None


STATEMENTS = {
    "INSERT": "INSERT INTO {table} VALUE {{'id': ?}}",
    "UPDATE": "UPDATE {table} SET note = 'changed' WHERE id = ?",
    "DELETE": "DELETE FROM {table} WHERE id = ?",
}


@pytest.mark.parametrize("verb", STATEMENTS)
@pytest.mark.parametrize("way", ["model", "neighbour", "no model", "transaction"])
def test_a_statement_writes_no_table_whose_models_have_a_rule(plugged, key, verb, way):
    if verb != "INSERT":
        plugged().create(Ledger(id=key))
    wire = Recorder()
    db = plugged(Lock(), wire)  # on which no model has been used yet
    table = f'"{table_of(plugged(), Ledger)}"'
    statement = STATEMENTS[verb].format(table="{table}" if way in {"model", "neighbour"} else table)

    def write():
        if way == "transaction":
            return db.partiql_transaction([(statement, key)])
        return db.partiql(statement, key, model={"model": Ledger, "neighbour": Neighbour}.get(way))

    with pytest.raises(ValidationError, match="the plugin lock has a rule for the writes of Ledger") as refused:
        write()
    assert refused.value.outcome is Outcome.NOT_APPLIED
    assert wire.names == []
    assert (stored(db, Free, key), stored(plugged(), Ledger, key)) == (
        None,
        None if verb == "INSERT" else {"id": {"S": key}, "note": {"S": ""}} | rest(plugged(), key),
    )


def rest(db, key):
    """What the library stores besides."""
    return {name: wire for name, wire in stored(db, Ledger, key).items() if name not in {"id", "note"}}


def test_other_tables_are_written_and_all_are_read(plugged, key):
    plugged().create(Ledger(id=key))
    db = plugged(Lock())
    assert [one.id for one in db.partiql("SELECT * FROM {table} WHERE id = ?", key, model=Ledger)] == [key]
    db.partiql("INSERT INTO {table} VALUE {'id': ?}", key, model=Free)
    db.partiql_transaction([(STATEMENTS["UPDATE"].format(table=f'"{table_of(db, Free)}"'), key)])
    assert db.get(Free, key).note == "changed"


@pytest.mark.parametrize(
    "statement",
    [
        """INSERT INTO"{table}" VALUE {{'id': ?, 'note': 'from other'}}""",
        """UPDATE"{table}" SET note = 'changed' WHERE id = ?""",
        """DELETE FROM"{table}" WHERE id = ? AND note <> 'from other'""",
        """DELETE /* FROM other */ FROM "{table}" WHERE id = ?""",
        """DELETE -- it's FROM other?\n FROM "{table}" WHERE id = ?""",
        """delete\nfrom "{table}" where id = ? and note <> 'into other'""",
    ],
)
def test_the_table_of_a_statement_is_not_mistaken(plugged, key, statement):
    plugged().create(Ledger(id=key))
    wire = Recorder()
    db = plugged(Lock(), wire)
    with pytest.raises(ValidationError, match="the plugin lock has a rule") as refused:
        db.partiql(statement.format(table=table_of(plugged(), Ledger)), key)
    assert refused.value.table == table_of(plugged(), Ledger)
    assert wire.names == []
    free = statement.format(table=table_of(db, Free))
    with suppress(ConditionFailed):  # an update of what is not there
        db.partiql(free, f"{key}-free")
    assert wire.names == ["ExecuteTransaction"]


def test_a_table_that_a_plugin_renames_is_known_by_both_names(plugged, key):
    class Renamed(Lock):
        def model(self, schema):
            return replace(schema, table="free-ledgers") if schema.model is Ledger else schema

    wire = Recorder()
    db = plugged(Renamed(), wire)
    for table in (table_of(plugged(), Free), table_of(plugged(), Ledger)):
        with pytest.raises(ValidationError, match="the plugin lock has a rule"):
            db.partiql(STATEMENTS["UPDATE"].format(table=f'"{table}"'), key)
    with pytest.raises(ValidationError, match="the plugin lock has a rule"):
        db.partiql(STATEMENTS["UPDATE"].format(table="{table}"), key, model=Ledger)
    assert wire.names == []


class Guard:
    name = "guard"

    def __init__(self):
        self.seen = []

    def statement(self, table, text, values):
        self.seen.append((table, text, list(values)))
        if {"S": "secret"} in values:
            raise PermissionError("nobody writes there")


@pytest.mark.parametrize("together", [True, False])
def test_a_plugin_is_shown_each_statement_that_writes_and_may_refuse_it(plugged, key, together):
    guard, wire = Guard(), Recorder()
    db = plugged(guard, wire)
    table = table_of(plugged(), Free)

    def run(text, *values):
        return db.partiql_transaction([(text, *values)]) if together else db.partiql(text, *values)

    insert = f"INSERT INTO \"{table}\" VALUE {{'id': ?}}"
    run(insert, key)
    run(f'SELECT * FROM "{table}" WHERE id = ?', key)
    for other in (insert, f'DELETE FROM "{table}" WHERE id = ?', 'DELETE FROM "no-class-names-it" WHERE id = ?'):
        sent = len(wire.names)
        with pytest.raises(PermissionError):
            run(other, "secret")
        assert len(wire.names) == sent
    assert guard.seen[0] == (table, insert, [{"S": key}])
    assert [table for table, _, _ in guard.seen] == [table, table, table, "no-class-names-it"]
    assert stored(plugged(), Free, key) is not None
