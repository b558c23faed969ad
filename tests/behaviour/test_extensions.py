"""Extensions: around and observe composed in order, field options that nobody claims, and the life of a database."""

import logging

import pytest

from dynamorm import DB, AsyncDB, Attr, Model, NotFound, Presets, attr, partition_key
from dynamorm.errors import DynamORMError, ModelError, ValidationError

pytestmark = pytest.mark.engine


class Sealed:
    """A field option."""


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


class Secret(Model, table="secrets"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(Sealed(), default="")


MODELS = [Note]


class Tracer:
    """Notes when a call begins and ends, and every reply."""

    def __init__(self, name, log):
        self.name = name
        self.log = log

    def around(self, call):
        """Wrap the call."""

        def traced(op):
            self.log.append(f"{self.name}>{op.name}")
            result = yield from call(op)
            self.log.append(f"{self.name}<{op.name}")
            return result

        return traced

    def observe(self, operation, reply):
        """Look at a reply."""
        self.log.append(f"{self.name}={operation.name}/{reply.status}")


def test_extensions_are_composed_in_their_order(open_db, engine, made, key):
    log = []
    db = open_db(engine.endpoint, table_prefix=made, extensions=(Tracer("a", log), Tracer("b", log)))
    db.create(Note(id=key))
    assert log == ["a>PutItem", "b>PutItem", "a=PutItem/200", "b=PutItem/200", "b<PutItem", "a<PutItem"]


def test_an_extension_may_answer_in_place_of_the_table(open_db, engine, made, key, wire):
    class Answering:
        name = "answering"

        def around(self, call):
            def answered(op):
                if op.name == "GetItem":
                    return op.decode(b'{"Item":{"id":{"S":"%b"},"text":{"S":"hello"}}}' % key.encode())
                return (yield from call(op))

            return answered

    db = open_db(engine.endpoint, table_prefix=made, extensions=(Answering(), wire))
    assert db.get(Note, key).text == "hello"
    assert wire.names == []


def test_an_extension_may_refuse(open_db, engine, made, key, wire):
    class Refusing:
        name = "refusing"

        def around(self, call):
            def refused(op):
                if op.name == "PutItem":
                    raise NotFound("not today")
                return (yield from call(op))

            return refused

    db = open_db(engine.endpoint, table_prefix=made, extensions=(Refusing(), wire))
    note = Note(id=key, text="x")
    with pytest.raises(NotFound, match="not today"):
        db.create(note)
    assert wire.names == []
    assert db.get(Note, key, consistent=True) is None


def test_a_failing_observer_changes_nothing(open_db, engine, made, key, caplog):
    class Failing:
        name = "failing"

        def observe(self, operation, reply):
            raise RuntimeError("its own trouble")

    db = open_db(engine.endpoint, table_prefix=made, extensions=(Failing(),))
    with caplog.at_level(logging.WARNING, "dynamorm"):
        db.create(Note(id=key, text="secret-value"))
    assert db.get(Note, key, consistent=True).text == "secret-value"
    assert "observe of the plugin failing failed" in caplog.text
    assert "secret-value" not in caplog.text


def test_an_option_that_no_extension_claims_refuses_the_model(db, wire):
    for call in (lambda: db.create(Secret(id="1")), lambda: db.get(Secret, "1"), lambda: db.tables.ensure(Secret)):
        with pytest.raises(ModelError, match=r"no installed plugin handles Sealed on Secret\.text"):
            call()
    assert wire.names == []


def test_a_claimed_option_wraps_its_field(open_db, engine, made, key):
    class Sealing:
        name = "sealing"
        options = (Sealed,)

        def field(self, schema, field):
            if field.option(Sealed) is None:
                return None
            return (lambda wire: {"S": wire["S"][::-1]}), (lambda wire: {"S": wire["S"][::-1]})

    db = open_db(engine.endpoint, table_prefix=f"{made}{key[:8]}-", extensions=(Sealing(),))
    db.tables.create(Secret)
    made_one = db.create(Secret(id=key, text="abc"))
    assert db.get(Secret, key, consistent=True) == made_one
    plain = open_db(engine.endpoint, table_prefix=f"{made}{key[:8]}-", extensions=(Claiming(),))
    assert plain.get(Secret, key, consistent=True).text == "cba"
    db.tables.delete(Secret)


def test_what_a_plugin_wraps_is_neither_taken_over_as_it_is_nor_takes_over(open_db, engine, made, key):
    class Two(Model, table="secrets"):
        id: Attr[str] = partition_key()
        text: Attr[str] = attr(Sealed(), default="")
        plain: Attr[str] = attr(default="")

    class Sealing:
        name = "sealing"
        options = (Sealed,)

        def field(self, schema, field):
            turned = lambda wire: {"S": wire["S"][::-1]}  # noqa: E731 - one for each field, as of a key of its own
            return None if field.option(Sealed) is None else (turned, turned)

    db = open_db(engine.endpoint, table_prefix=f"{made}{key[:8]}-", extensions=(Sealing(),))
    for update in (Two.text.set(Two.plain), Two.plain.set(Two.text)):
        with pytest.raises(ValidationError, match="cannot take over"):
            db.update(Two, key, update)


class Claiming:
    """Claims the option and does nothing with it."""

    name = "claiming"
    options = (Sealed,)


def test_nothing_is_printed_or_logged_at_debug_level(db, key, caplog, capsys):
    with caplog.at_level(logging.DEBUG):
        db.create(Note(id=key, text="secret-value"))
        db.get(Note, key)
        db.update(Note, key, Note.text.set("secret-value-2"), condition=Note.text == "secret-value")
    assert "secret-value" not in caplog.text
    assert capsys.readouterr().out == ""


def test_a_database_is_a_context_manager_and_refuses_use_after_close(engine, made, key):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        db.create(Note(id=key))
    with pytest.raises(DynamORMError, match="closed"):
        db.get(Note, key)
    db.close()  # again is no error


def test_an_asyncio_database_is_a_context_manager_and_refuses_use_after_close(engine, made, key):
    import asyncio

    async def program():
        async with AsyncDB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
            await db.create(Note(id=key))
            found = [note async for note in db.model(Note).where(Note.id == key)]
        with pytest.raises(DynamORMError, match="closed"):
            await db.get(Note, key)
        await db.close()
        return found

    assert [note.id for note in asyncio.run(program())] == [key]
