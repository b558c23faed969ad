"""What newcomers write: each mistake is answered by an error that names the remedy. Nothing is sent."""

import asyncio
import copy
import operator
import pickle
import warnings
from typing import Any

import pytest

from dynamorm import DB, AsyncDB, Attr, Config, Credentials, Model, Presets, attr, partition_key, sort_key, version
from dynamorm.effects import TransportError
from dynamorm.errors import (
    AlreadyExists,
    ConfigError,
    ConnectFailed,
    DuplicateKey,
    DynamORMError,
    InvalidAttribute,
    InvalidUse,
    MissingArgument,
    ModelError,
    UnknownArgument,
    ValidationError,
)
from dynamorm.models.expressions.mistakes import INSTEAD
from dynamorm.ops.calls.errors_of import exhausted

from .conftest import SECRET


class P(Model, table="payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    at: Attr[str | None] = attr(default=None)
    tags: Attr[list[str]] = attr(default_factory=list)
    flags: Attr[set[str]] = attr(default_factory=set)
    labels: Attr[dict[str, Any]] = attr(default_factory=dict)
    any: Attr[Any] = attr(default=None)
    version: Attr[int] = version()


class Two(Model, table="twos"):
    order: Attr[str] = partition_key()
    number: Attr[int] = sort_key()


# ------------------------------------------------------------------------------------------------------------ expressions


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: P.id == "a" & P.amount > 1,
        lambda: P.id == "a" | P.amount > 1,
        lambda: P.amount > 1 & P.amount < 5,
        lambda: P.amount & P.note,
    ],
    ids=range(4),
)
def test_a_comparison_without_parentheses_is_told_to_have_some(refused, wrong):
    refused(InvalidUse, wrong, "parentheses", "P.")


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (lambda: P.amount + None, "P.amount.add(n)"),
        (lambda: P.amount - True, "P.amount.add(n)"),
        (lambda: True + P.amount, "P.amount.add(n)"),
        (lambda: P.amount * 2, "P.amount.add(n)"),
        (lambda: P.amount / 2, "P.amount.add(n)"),
        (lambda: operator.iadd(P.amount, 1), "P.amount.add(n)"),
        (lambda: P.tags + ["a"], "P.tags.extend([...])"),  # noqa: RUF005 - the mistake itself
        (lambda: P.flags - {"a"}, "P.flags.delete({...})"),
        (lambda: P.flags | {"a"}, "P.flags"),
        (lambda: P.note + "more", "P.note.set(text)"),
        (lambda: ~P.amount, "P.amount == False"),
        (lambda: -P.amount, '.order_by(P.amount, "desc")'),
    ],
    ids=range(12),
)
def test_a_computation_with_an_attribute_names_the_update_that_does_it(refused, wrong, remedy):
    refused(InvalidUse, wrong, remedy)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: P.amount + 1 + 1, "one + or - for each attribute"),
        (lambda: 2 * (P.amount - P.amount), "one + or - for each attribute"),
        (lambda: P.amount + 1 > 1, "as in amount > value"),
        (lambda: P.amount + 1 == P.amount, "computed in updates only"),
        (lambda: bool(P.amount + 1), "its value is not known here"),
    ],
    ids=range(5),
)
def test_what_is_computed_goes_into_an_update(refused, wrong, said):
    refused(InvalidUse, wrong, said, "amount")


def test_a_condition_compares_with_nothing_that_is_computed(refused):
    db = DB(Presets.local_development(endpoint="http://localhost:1"))
    query = db.model(P).where(P.id == "a").filter(P.amount == P.amount + 1)
    refused(ValidationError, query.explain, "computed in updates only")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("startswith", ".begins_with("),
        ("is_null", "== None"),
        ("insert", ".append(x)"),
        ("isin", ".in_([...])"),
        ("eq", "== value"),
        ("increment", ".add(n)"),
        ("does_not_exist", ".not_exists()"),
        ("desc", ".order_by("),
        ("lower", "read the object"),
    ],
)
def test_a_method_of_another_name_is_named(refused, name, remedy):
    error = refused(InvalidAttribute, lambda: getattr(P.note, name), f".{name}", remedy)
    assert error.field == "note"
    assert not hasattr(P.note, name)


def test_no_remedy_hides_a_method_that_there_is():
    for name in INSTEAD:
        assert not hasattr(P.note, name), name


@pytest.mark.parametrize(
    "condition", [lambda: P.at is None, lambda: P.at is not None, lambda: P(id="a").amount > 5], ids=range(3)
)
def test_a_comparison_that_python_made_names_the_one_to_write(db, refused, condition):
    refused(ValidationError, lambda: db.model(P).where(condition()).allow_scan().all(), "== None", ".in_([...])")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: P.amount > 1 and P.amount < 5,
        lambda: not (P.amount > 1),
        lambda: 1 < P.amount < 5,
        lambda: P.id in ["a", "b"],
    ],
    ids=range(4),
)
def test_and_or_not_and_in_name_the_operators_to_write(refused, wrong):
    refused(InvalidUse, wrong, "&", "~")


# --------------------------------------------------------------------------------------------------------------- queries


@pytest.mark.parametrize("method", ["where", "filter"])
def test_a_condition_as_a_keyword_is_shown_as_a_condition(db, refused, method):
    refused(InvalidUse, lambda: getattr(db.model(P), method)(id=SECRET), "P.id == value", '"id", "=", value')
    refused(InvalidUse, lambda: getattr(db.model(P), method)(amount__gt=5), "P.amount == value")
    refused(ValidationError, lambda: getattr(db.model(P), method)(amuont=5), "amuont", "did you mean 'amount'")


def test_a_query_is_neither_true_nor_false(db, refused):
    query = db.model(P).where(P.id == "a")
    refused(InvalidUse, lambda: bool(query._subject if hasattr(query, "_subject") else query), ".exists()", ".first()")


@pytest.mark.parametrize("wrong", [None, 5, P.amount == 1, P], ids=range(4))
def test_what_is_no_attribute_is_refused_as_an_order_or_an_index(db, refused, wrong):
    refused(ValidationError, lambda: db.model(P).order_by(wrong), "order_by")
    refused(ValidationError, lambda: db.model(P).index(wrong), "index")


# --------------------------------------------------------------------------------------------------------------- updates


@pytest.mark.parametrize("verb", ["update", "upsert"])
def test_a_change_as_a_keyword_or_a_dict_is_shown_as_an_update(db, refused, verb):
    call = getattr(db, verb)
    refused(ValidationError, lambda: call(P, "a", amount=5), "amount=", "P.amount.set(value)")
    refused(ValidationError, lambda: call(P, "a", {"amount": 5}), "dict", "P.amount.set(value)")
    refused(ValidationError, lambda: call(P, "a", ["amount"]), "list", "P.amount.set(value)")
    refused(ValidationError, lambda: call(P, id="a", amount=5), "amount=", "P.amount.set(value)")
    refused(ValidationError, lambda: call(P, "a", amuont=5), "amuont", "did you mean 'amount'")
    refused(ValidationError, lambda: call(P(id="a"), amount=5), "amount=", "P.amount.set(value)")
    refused(ValidationError, lambda: call(P(id="a"), {"amount": 5}), "dict", ".set(")
    refused(ValidationError, lambda: call(P, "a", P.amount == 5), "condition=", ".set(value)")
    refused(ValidationError, lambda: call(P, "a"), "nothing to do", ".set(value)")


def test_a_change_as_a_keyword_is_shown_as_an_update_in_a_transaction_too(db, refused):
    def tried(*args, **parts):
        with db.transaction() as tx:
            tx.update(*args, **parts)

    refused(ValidationError, lambda: tried(P, "a", amount=5), "P.amount.set(value)")
    refused(ValidationError, lambda: tried(P, "a", {"amount": 5}), "P.amount.set(value)")


def test_a_key_with_another_attribute_names_the_query(db, refused):
    refused(ValidationError, lambda: db.get(P, id="a", amount=5), "give id", "db.model(P).where(")


# --------------------------------------------------------------------------------------------------------------- objects


@pytest.mark.parametrize("verb", ["save", "put", "create"])
def test_a_deleted_field_is_refused_with_what_takes_an_attribute_away(db, refused, verb):
    payment = P(id="a")
    del payment.amount
    refused(ValidationError, lambda: getattr(db, verb)(payment), "P.amount", "P.amount.remove()")


@pytest.mark.parametrize("verb", ["save", "delete", "update"])
def test_an_object_without_its_key_is_refused(db, refused, verb):
    payment = P(id="a")
    del payment.id
    more = (P.amount.set(1),) if verb == "update" else ()
    refused(ValidationError, lambda: getattr(db, verb)(payment, *more), "P")


def test_a_missing_argument_is_named_as_python_does():
    with pytest.raises(MissingArgument, match=r"__init__\(\) missing 1 required keyword-only argument: 'id'") as caught:
        P(amount=5)
    assert isinstance(caught.value, TypeError)
    assert caught.value.field == "id"


def test_an_unknown_argument_names_the_nearest_field():
    with pytest.raises(UnknownArgument, match="did you mean 'amount'"):
        P(id="a", amout=5)


# ---------------------------------------------------------------------------------------------------------- declarations


def test_none_as_the_default_of_a_key_is_refused_at_the_class():
    for make in (partition_key, sort_key):
        for kind in (str, str | None):
            with pytest.raises(ModelError, match=r"K\.k: .*None"):
                type(Model)("K", (Model,), {"__annotations__": {"k": Attr[kind]}, "k": make(default=None)})


@pytest.mark.parametrize("kind", [str, int, list[str], dict, str | int], ids=str)
def test_none_as_a_default_that_the_type_has_no_place_for_is_refused_at_the_class(kind):
    with pytest.raises(ModelError, match=r"K\.k: the default is None.*\| None\]"):
        type(Model)("K", (Model,), {"__annotations__": {"k": Attr[kind]}, "k": attr(default=None)})


@pytest.mark.parametrize(
    "kind", ["str | None", "None", "Any", "object", "Literal['a', None]", "Annotated[str | None, 1]"]
)
def test_none_is_a_default_where_the_type_has_a_place_for_it(kind):
    namespace = {}
    exec(
        "from typing import *\nfrom dynamorm import *\n"
        f"class K(Model):\n id: Attr[str]\n k: Attr[{kind}] = attr(default=None)\n",
        namespace,
    )
    assert namespace["K"](id="a").k is None


def test_none_as_a_default_is_refused_on_first_use_where_the_type_is_not_known_before(db, refused, monkeypatch):
    namespace = {"__name__": __name__}
    exec(
        "from dynamorm import *\n"
        "class K(Model, table='late'):\n id: Attr[str] = partition_key()\n k: Attr['Later'] = attr(default=None)\n"
        "class Later(Model):\n x: Attr[int]\n",
        namespace,
    )
    monkeypatch.setitem(globals(), "Later", namespace["Later"])
    refused(ModelError, lambda: db.get(namespace["K"], "a"), "K.k", "Later | None")


@pytest.mark.parametrize(
    "kind", [bool, list[str], dict[str, int], set[str], frozenset[str], tuple[int, ...], P], ids=str
)
@pytest.mark.parametrize("verb", ["get", "create", "query", "ensure", "delete"])
def test_a_key_of_a_type_that_no_key_has_is_refused_before_the_wire(db, refused, kind, verb):
    model = type(Model)(
        "K",
        (Model,),
        {"__annotations__": {"k": Attr[kind]}, "k": partition_key(), "__module__": __name__},
        table="keys",
    )
    calls = {
        "get": lambda: db.get(model, True),
        "create": lambda: db.create(model(k=True)),
        "query": lambda: db.model(model).where(model.k == True).all(),  # noqa: E712 - a condition
        "ensure": lambda: db.tables.ensure(model),
        "delete": lambda: db.delete(model, True),
    }
    refused(ModelError, calls[verb], "K.k", "key")


def test_omit_empty_of_a_key_is_refused_and_that_of_the_class_passes_it_by(db, refused):
    with pytest.raises(ModelError, match=r"K\.k: .*omit_empty"):
        type(Model)("K", (Model,), {"__annotations__": {"k": Attr[str]}, "k": partition_key(omit_empty=True)})

    class Sparse(Model, table="sparse", omit_empty=True):
        id: Attr[str] = partition_key()
        at: Attr[int] = sort_key(default=0)

    refused(ValidationError, lambda: db.create(Sparse(id="")), "Sparse.id", "empty")
    (request,) = db.explain(lambda db: db.create(Sparse(id="a")), values=True).requests
    assert request.body["Item"]["at"] == {"N": "0"}


# ----------------------------------------------------------------------------------------------------------------- paths


@pytest.mark.parametrize(
    "select",
    [(P.any["a"], P.any[1]), (P.any[0]["b"], P.any[0][1]), (P.labels["a"]["b"], P.labels["a"][0])],
    ids=range(3),
)
def test_a_selection_of_one_place_as_list_and_map_is_refused(db, refused, select):
    refused(ValidationError, lambda: db.get(P, "a", select=select), "list", "map")
    refused(ValidationError, lambda: db.model(P).where(P.id == "a").select(*select).all(), "list", "map")


def test_updates_of_one_place_as_list_and_map_are_refused(db, refused):
    updates = P.labels["a"]["x"].set(1), P.labels["a"][1].set(2)
    refused(ValidationError, lambda: db.update(P, "a", *updates), "labels.a[1]", "labels.a.x", "list", "map")


def test_a_path_has_at_most_32_levels(refused):
    path = P.labels
    for _ in range(31):
        path = path["a"]
    assert len(path.parts) == 32
    refused(ValidationError, lambda: path["a"], "32 levels")
    refused(ValidationError, lambda: path[0], "32 levels")


@pytest.mark.parametrize("index", [2**31, 2**63, 10**30])
def test_an_index_that_no_list_has_is_refused(refused, index):
    assert P.tags[2**31 - 1].name == "tags[2147483647]"
    refused(ValidationError, lambda: P.tags[index], "2147483647")


def test_text_that_is_not_unicode_names_no_place(refused):
    refused(ValidationError, lambda: P.labels["\ud800"], "Unicode")


# ----------------------------------------------------------------------------------------------------------------- faces


def closed(face_kind):
    config = Presets.local_development(endpoint="http://127.0.0.1:9")
    return DB(config) if face_kind == "blocking" else AsyncDB(config)


def test_with_and_async_with_name_the_one_that_fits():
    with pytest.raises(InvalidUse, match="`async with AsyncDB"), closed("asyncio"):
        pass

    async def wrong():
        async with closed("blocking"):
            pass

    with pytest.raises(InvalidUse, match="`with DB"):
        asyncio.run(wrong())


def test_blocks_and_loops_of_the_other_kind_name_the_one_that_fits():
    async def block():
        async with closed("blocking").transaction():
            pass

    async def loop():
        async for _ in closed("blocking").model(P):
            pass

    for wrong in (block, loop):
        with pytest.raises(InvalidUse, match="blocking DB"):
            asyncio.run(wrong())
    with pytest.raises(InvalidUse, match="AsyncDB"), closed("asyncio").transaction():
        pass
    with pytest.raises(InvalidUse, match="AsyncDB"):
        list(closed("asyncio").model(P))


def test_an_awaited_operation_of_a_transaction_is_told_to_be_none():
    async def wrong():
        async with closed("asyncio").transaction() as tx:
            await tx.create(P(id="a"))

    with pytest.raises(InvalidUse, match="without await"):
        asyncio.run(wrong())


def test_other_failures_of_a_transaction_block_leave_it_as_they_are():
    async def wrong(error):
        async with closed("asyncio").transaction() as tx:
            tx.create(P(id="a"))
            raise error

    for error in (TypeError("another"), ZeroDivisionError()):
        with pytest.raises(type(error)) as caught:
            asyncio.run(wrong(error))
        assert caught.value is error


@pytest.mark.parametrize("spread", [pickle.dumps, copy.deepcopy], ids=["pickle", "deepcopy"])
def test_a_database_that_is_pickled_says_what_to_send(face_kind, spread):
    face = closed(face_kind)
    with pytest.raises(InvalidUse, match=r"db\.config"):
        spread(face)
    with pytest.raises(InvalidUse, match="pickled"):
        spread(face.model(P))
    assert pickle.loads(pickle.dumps(face.config)) == face.config


def test_a_copy_of_a_database_is_one_on_the_same_connections(db):
    other = copy.copy(db.inner)
    assert type(other) is type(db.inner)
    assert other._io is db.inner._io


def test_a_blocking_database_in_an_event_loop_warns_once(server):
    server.clear()
    with DB(Presets.local_development(endpoint=server.endpoint)) as db:
        assert db.get(P, "a") is None  # no loop is running

        async def handler():
            assert db.get(P, "a") is None
            assert db.get(P, "a") is None

        with pytest.warns(UserWarning, match="AsyncDB") as caught:
            asyncio.run(handler())
        (told,) = [one for one in caught if one.category is UserWarning]  # others may be of what is freed meanwhile
        assert told.filename == __file__
    server.clear()


def test_a_blocking_database_in_a_thread_of_a_program_with_a_loop_does_not_warn(server):
    async def handler(db):
        await asyncio.to_thread(db.get, P, "a")

    with DB(Presets.local_development(endpoint=server.endpoint)) as db, warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(handler(db))
    server.clear()


def test_it_warns_in_development_only(server):
    config = Config(
        endpoint=server.endpoint, region="us-east-1", allow_insecure_local=True, credentials=Credentials("id", "secret")
    )
    with DB(config) as db:

        async def handler():
            db.get(P, "a")

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asyncio.run(handler())
    server.clear()


@pytest.mark.parametrize("region", ["us-east1", "eu-west", "us-esat-1"])
def test_a_region_that_does_not_exist_is_asked_about(region):
    detail = f"dynamodb.{region}.amazonaws.com: [Errno -2] Name or service not known"
    error = exhausted([TransportError("dns", detail, sent=False)], "4 attempts were made", {})
    assert isinstance(error, ConnectFailed)
    assert f"is there a Region {region!r}?" in str(error)
    other = exhausted([TransportError("dns", "dynamodb: [Errno -2] Name not known", sent=False)], "4 attempts", {})
    assert "Region" not in str(other)


@pytest.mark.parametrize("extensions", [None, 5, "x"])
def test_extensions_are_a_tuple(extensions):
    with pytest.raises(ConfigError, match="extensions"):
        DB(Presets.local_development(endpoint="http://127.0.0.1:9"), extensions=extensions)


@pytest.mark.parametrize("wrong", [5, "x", [1]], ids=range(3))
def test_a_progress_that_cannot_be_called_is_refused_before_anything_is_done(db, refused, wrong):
    refused(ValidationError, lambda: db.batch_write([P(id="a")], progress=wrong), "progress")
    refused(ValidationError, lambda: db.model(P).allow_scan().delete_all(confirm=True, progress=wrong), "progress")
    refused(ValidationError, lambda: db.tables.apply(None, progress=wrong), "plan")


@pytest.mark.parametrize("timeout", [None, "5", -1, float("nan"), True], ids=str)
def test_a_timeout_is_a_number(db, refused, timeout):
    refused(ValidationError, lambda: db.tables.ensure(P, timeout=timeout), "timeout")


# ---------------------------------------------------------------------------------------------------------------- errors


def test_unpickled_errors_keep_the_item():
    stored = P(id="a", amount=5)
    for kind in (AlreadyExists, DuplicateKey):
        error = pickle.loads(pickle.dumps(kind("no", old=lambda: stored)))
        assert error.item == stored
        again = pickle.loads(pickle.dumps(error))
        assert again.item == stored
    error = pickle.loads(pickle.dumps(DuplicateKey("no", field="id", existing=("a",))))
    assert (error.field, error.existing, error.item) == ("id", ("a",), None)


def test_an_error_travels_without_an_item_that_cannot():
    class Local(Model, table="locals"):
        id: Attr[str] = partition_key()

    def broken():
        raise ValidationError("the item does not fit")

    for old in (lambda: Local(id="a"), broken):
        error = pickle.loads(pickle.dumps(AlreadyExists("no", old=old)))
        assert error.item is None
        assert isinstance(error, DynamORMError)
