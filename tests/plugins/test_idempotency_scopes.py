"""Whose an idempotent operation is: objects that are made once, at import, serve many tenants, and none of them is shown another's answer. On both faces."""

import asyncio
import uuid
from datetime import timedelta
from functools import wraps
from inspect import iscoroutinefunction

import pytest

from dynamorm import Attr, Model, Tenant, attr, partition_key, tenant_scope
from dynamorm.errors import TenantMismatch, TenantRequired, ValidationError
from dynamorm.payments import Ledger, Money, Posting, ensure_tables, lambda_handler, sqs_handler, webhook_handler
from dynamorm.plugins.idempotency.options import webhook_retention

pytestmark = pytest.mark.engine


class Owned(Model, table="owned-in-scopes"):
    id: Attr[str] = partition_key()
    tenant_id: Attr[str] = attr(Tenant(prefix=True), init=False)


@pytest.fixture(scope="module")
def table_prefix():
    return f"scopes-{uuid.uuid4().hex[:8]}-"


@pytest.fixture
def db(open_db, engine, table_prefix):
    """A database of tenants, with the tables of payments."""
    face = open_db(engine.endpoint, table_prefix=table_prefix)
    face.enable_multi_tenancy()
    face.tables.ensure(Owned)
    made = ensure_tables(face.inner)
    if asyncio.iscoroutine(made):
        face._loop.run(made)
    return face


@pytest.fixture
def key():
    return uuid.uuid4().hex


def fitting(db, plain):
    """The function of the face: on that of asyncio a coroutine function."""
    if db.kind == "blocking":
        return plain

    @wraps(plain)
    async def function(*given):
        await asyncio.sleep(0)
        found = plain(*given)
        return await found if asyncio.iscoroutine(found) else found

    return function


def ran(db, result):
    return db._loop.run(result) if asyncio.iscoroutine(result) else result


def whose(db):
    return db.inner.scope.get("tenant")


def functions(db, view=None):
    """What a program makes once, at import, and calls in the scopes of its tenants: each gives whose call it is."""
    of = db.inner if view is None else view

    def whose(_):
        return of.scope.get("tenant")

    inner = db.inner if view is None else getattr(view, "_subject", view)

    @inner.idempotent(lambda key: key, payload=None, scope="decorated")
    @lambda function: fitting(db, function)
    def decorated(op, key):
        return whose(db)

    made = {"decorated": decorated}
    for make in (lambda_handler, webhook_handler):
        made[make.__name__] = make(inner, key=lambda event: event, scope="made-once")(
            fitting(db, lambda op, event, context=None: whose(db))
        )
    return made


@pytest.mark.parametrize("name", ["decorated", "lambda_handler", "webhook_handler"])
def test_what_is_made_once_gives_each_tenant_its_own_answer(db, key, name):
    function = functions(db)[name]
    assert iscoroutinefunction(function) is (db.kind == "asyncio")
    for _ in range(2):  # the second time they are replays
        for tenant in ("acme", "globex"):
            with tenant_scope(tenant):
                assert ran(db, function(key)) == tenant
        assert ran(db, function(key)) is None


def test_what_a_decorated_function_writes_is_the_tenants_of_the_call(db, key):
    @db.inner.idempotent(lambda key: key, payload=None, scope="writing")
    @lambda function: fitting(db, function)
    def write(op, key):
        with op.transaction() as tx:
            tx.create(Owned(id=key))

    for tenant in ("acme", "globex"):
        with tenant_scope(tenant):
            ran(db, write(key))
    for tenant in ("acme", "globex"):
        assert db.with_tenant(tenant).require(Owned, key).tenant_id == tenant
    with pytest.raises(TenantRequired):
        ran(db, write(key))


def test_a_function_that_was_decorated_within_a_scope_is_of_its_call(db, key):
    """As of a module that is imported while the first tenant is served."""
    with tenant_scope("acme"):
        made = functions(db)["decorated"]
        assert ran(db, made(key)) == "acme"
    with tenant_scope("globex"):
        assert ran(db, made(key)) == "globex"


@pytest.mark.parametrize("name", ["decorated", "lambda_handler", "webhook_handler"])
def test_a_function_of_a_view_is_refused_in_the_scope_of_another_tenant(db, key, name):
    function = functions(db, db.with_tenant("acme"))[name]
    with tenant_scope("globex"), pytest.raises(TenantMismatch):
        ran(db, function(key))
    assert ran(db, function(key)) == "acme"
    with tenant_scope("acme"):
        assert ran(db, function(key)) == "acme"


def test_messages_of_a_batch_are_of_the_tenant_of_the_call(db, key):
    seen = []
    handler = sqs_handler(db.inner, scope="made-once")(fitting(db, lambda op, record: seen.append(whose(db))))
    for tenant in ("acme", "globex", "acme"):
        with tenant_scope(tenant):
            assert ran(db, handler({"Records": [{"messageId": key, "body": ""}]})) == {"batchItemFailures": []}
    assert seen == ["acme", "globex"]


# ------------------------------------------------------------------------------------------------------------------ blocks


def of_block(db, asked):
    """Enter a block that was made, and leave it; its answer is whose it is."""
    operation = ran(db, asked.__enter__() if db.kind == "blocking" else asked.__aenter__())
    before = operation.response
    operation.respond(whose(db))
    ran(db, asked.__exit__(None, None, None) if db.kind == "blocking" else asked.__aexit__(None, None, None))
    return before


def test_a_block_that_was_made_in_a_scope_is_refused_in_another_one(db, key):
    def made():
        return db.inner.idempotent(key, payload=None, scope="blocks")

    with tenant_scope("acme"):
        first, second = made(), made()
    with tenant_scope("globex"):
        with pytest.raises(TenantMismatch):
            of_block(db, first)
        assert of_block(db, made()) is None
    assert of_block(db, first) is None  # outside of any it is whose it was made for
    with tenant_scope("acme"):
        assert of_block(db, second) is None
        assert of_block(db, made()) is None
    with tenant_scope("globex"):
        assert of_block(db, made()) == "globex"


def test_a_block_that_was_made_in_no_scope_is_of_that_in_which_it_begins(db, key):
    blocks = [db.inner.idempotent(key, payload=None, scope="blocks") for _ in range(5)]
    found = []
    for tenant, block in zip(("acme", "globex", "acme", "globex"), blocks, strict=False):
        with tenant_scope(tenant):
            found.append(of_block(db, block))
    assert found == [None, None, "acme", "globex"]
    assert of_block(db, blocks[4]) is None


def test_an_operation_writes_nothing_in_the_scope_of_another_tenant(db, key):
    asked = db.with_tenant("acme").idempotent(key, payload=None, scope="blocks")
    with asked as op:
        with tenant_scope("globex"), pytest.raises(TenantMismatch):
            op.transaction()
        with op.transaction() as tx:
            tx.create(Owned(id=key))
    assert db.with_tenant("acme").get(Owned, key) is not None
    assert db.with_tenant("globex").get(Owned, key) is None


# -------------------------------------------------------------------------------------------------------------- coroutines


@pytest.mark.parametrize("name", ["decorated", "lambda_handler", "webhook_handler"])
@pytest.mark.parametrize("elsewhere", ["globex", None])
@pytest.mark.parametrize("called_in", ["acme", None])
def test_a_coroutine_is_of_the_scope_in_which_it_was_called(db, key, name, called_in, elsewhere):
    if db.kind != "asyncio":
        pytest.skip("a blocking call ends where it begins")
    function = functions(db)[name]

    async def apart():
        if called_in is None:
            coroutine = function(key)
        else:
            with tenant_scope(called_in):
                coroutine = function(key)
        if elsewhere is None:
            return await coroutine
        with tenant_scope(elsewhere):
            return await coroutine

    assert db._loop.run(apart()) == called_in
    for tenant in {"acme", "globex"} - {called_in}:
        with tenant_scope(tenant):
            assert ran(db, function(key)) == tenant


def test_a_coroutine_of_payments_is_of_the_scope_in_which_it_was_called(db, key):
    if db.kind != "asyncio":
        pytest.skip("a blocking call ends where it begins")
    ledger, one = Ledger(db.inner), Money("1", "EUR")

    async def apart():
        with tenant_scope(f"a-{key}"):
            posting = ledger.post([Posting("cash", one), Posting("sales", -one)], id="o1")
        with tenant_scope(f"b-{key}"):
            await posting
            assert (await ledger.trial_balance()).postings == 0
        with tenant_scope(f"a-{key}"):
            return await ledger.balance("cash")

    assert db._loop.run(apart()) == one


def test_a_coroutine_that_is_awaited_elsewhere_can_be_cancelled(db, key):
    if db.kind != "asyncio":
        pytest.skip("a blocking call ends where it begins")
    ends, entered = [], asyncio.Event()

    @webhook_handler(db.inner, key=lambda event: event, scope="made-once")
    async def slow(op, event):
        entered.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ends.append(whose(db))
            raise

    async def elsewhere(coroutine):
        with tenant_scope("globex"):
            await coroutine

    async def apart():
        with tenant_scope("acme"):
            coroutine = slow(key)
        task = asyncio.create_task(elsewhere(coroutine))
        await asyncio.wait_for(entered.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    db._loop.run(apart())
    assert ends == ["acme"]


def test_a_decorated_coroutine_function_is_a_method_and_is_pickled_by_name(db, key):
    if db.kind != "asyncio":
        pytest.skip("of plain functions Python sees to it")

    class Shop:
        @db.inner.idempotent(lambda shop, key: key, payload=None, scope="decorated")
        async def pay(op, shop, key):
            return type(shop).__name__

    assert iscoroutinefunction(Shop().pay)
    assert ran(db, Shop().pay(key)) == "Shop"
    assert Shop.pay.__reduce__() == Shop.pay.__qualname__


def test_a_webhook_is_remembered_for_four_days_at_least_and_for_thirty_where_nothing_is_said():
    day = 86_400.0
    assert (webhook_retention(), webhook_retention(timedelta(days=4)), webhook_retention(5 * day)) == (
        30 * day,
        4 * day,
        5 * day,
    )
    for wrong in (4 * day - 1, 0.5):
        with pytest.raises(ValidationError) as caught:
            webhook_retention(wrong)
        assert caught.value.field == "retention"
