"""What stands where a model, an object or a setting belongs: one typed error that names it and the fix."""

from dataclasses import dataclass

import pytest

from dynamorm import DB, AsyncDB, Attr, Config, Model, Presets, attr, partition_key
from dynamorm.errors import DynamORMError, ModelError

from .conftest import SECRET


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()
    text: Attr[str] = attr(default="")


class Other(Model, table="others"):
    id: Attr[str] = partition_key()


@dataclass
class Unregistered:
    id: str


class Tableless(Model):
    id: Attr[str]


T = Thing
REFUSED = (DynamORMError, TypeError)


@pytest.mark.parametrize("verb", ["create", "put", "save"])
def test_a_class_where_an_object_belongs_is_named_with_the_fix(db, refused, verb):
    refused(REFUSED, lambda: getattr(db, verb)(Thing), "Thing(")


@pytest.mark.parametrize("verb", ["create", "put", "save", "delete"])
@pytest.mark.parametrize(
    ("subject", "name"),
    [(Unregistered(SECRET), "Unregistered"), ({"id": SECRET}, "dict"), (SECRET, "str"), (None, "NoneType"), (5, "int")],
    ids=["dataclass", "dict", "str", "none", "int"],
)
def test_an_object_that_is_no_model_is_refused_with_its_class(db, refused, verb, subject, name):
    refused(REFUSED, lambda: getattr(db, verb)(subject), f"{name} ", "Model", "register")


@pytest.mark.parametrize("model", [Unregistered, dict, str, Model], ids=lambda model: model.__name__)
@pytest.mark.parametrize("verb", ["get", "require", "exists", "delete", "update", "query", "ensure"])
def test_a_class_that_is_no_model_is_refused(db, refused, verb, model):
    calls = {
        "update": lambda: db.update(model, "x", T.text.set("y")),
        "query": lambda: db.model(model).where(T.id == "x").all(),
        "ensure": lambda: db.tables.ensure(model),
    }
    call = calls.get(verb, lambda: getattr(db, verb)(model, "x"))
    refused(REFUSED, call, model.__name__)


@pytest.mark.parametrize("verb", ["get", "require", "exists"])
def test_an_object_where_a_class_belongs_is_refused(db, refused, verb):
    refused(REFUSED, lambda: getattr(db, verb)(Thing(id=SECRET), "x"), "Thing")
    refused(REFUSED, lambda: getattr(db, verb)("Thing", "x"), "str")


def test_an_object_where_a_class_belongs_is_refused_by_the_query_and_the_tables(db, refused):
    refused(REFUSED, lambda: db.model(Thing(id=SECRET)).where(T.id == "x").all(), "Thing")
    for verb in ("create", "ensure", "describe", "delete"):
        refused(REFUSED, lambda verb=verb: getattr(db.tables, verb)(Thing(id=SECRET)), "Thing")


@pytest.mark.parametrize("verb", ["create", "put", "save", "delete"])
def test_a_nested_model_is_no_subject(db, refused, verb):
    refused(ModelError, lambda: getattr(db, verb)(Tableless(id=SECRET)), "Tableless", "table=")


@pytest.mark.parametrize(
    "call",
    [
        lambda db: db.get(Thing, "x", consistant=True),
        lambda db: db.exists(Thing, "x", consistant=True),
        lambda db: db.delete(Thing, "x", must_exists=True),
        lambda db: db.update(Thing, "x", T.text.set("y"), upsrt=True),
    ],
    ids=["get", "exists", "delete", "update"],
)
def test_a_misspelt_option_of_a_verb_is_named(db, refused, call):
    refused(REFUSED, lambda: call(db), "Thing")


@pytest.mark.parametrize(
    "call",
    [
        lambda db: db.create(Thing(id="x"), condition=T.id == "x"),
        lambda db: db.put(Thing(id="x"), upsert=True),
        lambda db: db.save(Thing(id="x"), T.text.set("x")),
        lambda db: db.create(),
        lambda db: db.put(Thing(id="x"), T.text == "x"),
    ],
    ids=range(5),
)
def test_an_argument_that_a_verb_does_not_have_is_a_type_error(db, call):
    with pytest.raises(TypeError):
        call(db)


@pytest.mark.parametrize("face", [DB, AsyncDB])
@pytest.mark.parametrize(
    "config", ["http://localhost:8000", {"region": "eu-west-1"}, Config], ids=["url", "dict", "class"]
)
def test_a_config_is_a_config(face, config):
    with pytest.raises((DynamORMError, TypeError), match="Config"):
        face(config)


@pytest.mark.parametrize("face", [DB, AsyncDB])
def test_extensions_are_a_tuple_of_named_extensions(face, server):
    class Twin:
        name = "twin"

    config = Presets.local_development(endpoint=server.endpoint)
    with pytest.raises(DynamORMError, match="twin"):
        face(config, extensions=(Twin(), Twin()))


def test_an_asyncio_verb_that_is_not_awaited_does_nothing(server):
    server.clear()
    coroutine = AsyncDB(Presets.local_development(endpoint=server.endpoint)).create(Thing(id="x"))
    coroutine.close()
    assert server.requests == []
