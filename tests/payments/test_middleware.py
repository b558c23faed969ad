"""The header Idempotency-Key: one effect and one answer for a key, whatever the application and the network do."""

import asyncio
import uuid

import httpx
import pytest

from dynamorm import AsyncDB, Attr, Model, Presets, partition_key
from dynamorm.errors import (
    AlreadyExists,
    CancellationReason,
    ConditionFailed,
    ConfigError,
    OutcomeUnknown,
    Throttled,
    TransactionCancelled,
    ValidationError,
    VersionConflict,
)
from dynamorm.payments import IdempotencyMiddleware, current_operation, ensure_tables
from dynamorm.payments.middleware import _refused, key_of
from dynamorm.plugins import record_model

pytestmark = pytest.mark.engine


class Charge(Model, table="charges"):
    id: Attr[str] = partition_key()
    count: Attr[int]


class Shop:
    """An application: each request writes, and answers as ``status`` and ``headers`` say."""

    def __init__(self):
        self.ran = 0
        self.status = 201
        self.headers = [(b"content-type", b"text/plain"), (b"set-cookie", b"a=b"), (b"x-order", b"7")]
        self.size = 3
        self.writes = True
        self.during = None

    async def __call__(self, scope, receive, send):
        self.ran += 1
        body = (await receive())["body"].decode() or "none"
        op = scope["state"]["idempotency"]
        assert op is current_operation()
        if self.writes:
            async with op.transaction() as tx:
                tx.update(Charge, body, Charge.count.add(1), upsert=True)
        if self.during is not None:
            await self.during(op)
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"x" * (self.size - 1), "more_body": True})
        await send({"type": "http.response.body", "body": b"x"})


@pytest.fixture(scope="module")
def settings(engine):
    return Presets.local_development(endpoint=engine.endpoint, table_prefix=f"{uuid.uuid4().hex}-")


@pytest.fixture(scope="module", autouse=True)
def _tables(settings):
    async def make():
        async with AsyncDB(settings) as db:
            await ensure_tables(db)
            await db.tables.ensure(Charge)

    asyncio.run(make())


@pytest.fixture
def served(settings):
    """Runs ``program(shop, post, db)`` over the middleware; ``post(body, key, ...)`` sends a request."""

    def run(program, **options):
        async def all_of_it():
            async with AsyncDB(settings) as db:
                shop = options.pop("app", None) or Shop()
                app = IdempotencyMiddleware(shop, db=db, **options)
                transport = httpx.ASGITransport(app=app)
                async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:

                    async def post(body, *keys, path="/orders", method="POST", caller="Bearer one", **headers):
                        who = [] if caller is None else [("Authorization", caller)]
                        sent = [("Idempotency-Key", key) for key in keys] + who + list(headers.items())
                        return await client.request(method, path, content=body, headers=sent)

                    await program(shop, post, db)

        asyncio.run(all_of_it())

    return run


@pytest.fixture
def key():
    return uuid.uuid4().hex


async def count(db, key):
    found = await db.get(Charge, key, consistent=True)
    return 0 if found is None else found.count


def test_a_repeated_request_has_one_effect_and_the_same_answer(served, key):
    async def program(shop, post, db):
        first, second = await post(key, key), await post(key, f'"{key}"')

        assert (first.status_code, second.status_code) == (201, 201)
        assert first.content == second.content == b"xxx"
        assert second.headers["idempotency-replayed"] == "true"
        assert second.headers["x-order"] == "7"
        assert "set-cookie" in first.headers
        assert "set-cookie" not in second.headers
        assert "idempotency-replayed" not in first.headers
        assert (shop.ran, await count(db, key)) == (1, 1)

    served(program)


def test_another_request_with_the_key_is_refused(served, key):
    async def program(shop, post, db):
        await post(key, key)
        answer = await post("another", key)
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"].endswith("key-reused")
        assert (await post(key, key, path="/orders?page=2")).status_code == 422

    served(program)


def test_callers_methods_and_paths_have_keys_of_their_own(served, key):
    async def program(shop, post, db):
        await post(key, key)
        await post(key, key, path="/refunds")
        await post(key, key, method="PATCH")
        await post(key, key, caller="Bearer another")
        assert (shop.ran, await count(db, key)) == (4, 4)

    served(program)


def test_while_it_is_served_another_one_is_told_when_to_come(served, key):
    async def program(shop, post, db):
        async def during(op):
            shop.during = None
            answers.append(await post(key, key))

        answers = []
        shop.during = during
        assert (await post(key, key)).status_code == 201
        assert answers[0].status_code == 409
        assert int(answers[0].headers["retry-after"]) >= 1
        assert shop.ran == 1

    served(program)


@pytest.mark.parametrize("given", ["", '""', "a" * 256, '"a", "b"', "a,b", 'a"b', '"a', "a b", "ä"])
def test_what_is_no_key_is_refused(given):
    assert key_of([given.encode("latin-1")]) is None
    assert key_of([]) is None
    assert key_of([b"a", b"a"]) is None


def test_a_key_is_one_with_and_without_quotes():
    assert key_of([b'"a-1"']) == key_of([b"a-1"]) == key_of([b' "a-1" ']) == "a-1"
    assert key_of([rb'"a\"b"']) == 'a"b'
    for parameters in (b";a=1", b"; a", b';a="x;y";b=?1', b";*x=:YQ==:"):
        assert key_of([b'"a-1"' + parameters]) == "a-1"
    for none in (b'"a";', b'"a";A=1', b"a;b=1", b'"a";b="', b'"a";b=c d'):
        assert key_of([none]) is None
    assert key_of([b"a" * 255]) == "a" * 255


def test_a_missing_or_doubled_key_is_a_400_where_one_is_required(served, key):
    async def program(shop, post, db):
        for keys in ((), ("a", "b"), ('""',)):
            answer = await post(key, *keys)
            assert answer.status_code == 400
            assert answer.headers["content-type"] == "application/problem+json"
        assert shop.ran == 0

    served(program, required=True)


@pytest.mark.parametrize(
    ("status", "runs"), [(200, 1), (303, 1), (422, 1), (404, 1), (401, 2), (409, 2), (429, 2), (500, 2), (503, 2)]
)
def test_which_answers_are_kept(served, key, status, runs):
    async def program(shop, post, db):
        shop.status = status
        assert [(await post(key, key)).status_code for _ in range(2)] == [status] * 2
        assert shop.ran == runs
        assert await count(db, key) == (1 if runs == 1 else 0)  # what is not kept is not written either

    served(program)


def test_an_answer_without_a_body_is_replayed_without_a_length(served, key):
    async def program(shop, post, db):
        for shop.status, has_length in ((204, False), (200, True)):
            shop.headers = []
            answers = [await post(key, f"{key}{shop.status}") for _ in range(2)]
            assert ("content-length" in answers[1].headers) is has_length
            assert answers[1].headers["idempotency-replayed"] == "true"

    served(program)


def test_a_handler_that_fails_leaves_nothing_and_is_run_again(served, key):
    async def program(shop, post, db):
        async def during(op):
            raise ZeroDivisionError

        shop.during = during
        with pytest.raises(ZeroDivisionError):
            await post(key, key)
        assert await count(db, key) == 0
        shop.during = None
        assert (await post(key, key)).status_code == 201
        assert await count(db, key) == 1

    served(program)


def test_an_answer_whose_writes_were_not_applied_is_not_sent(served, key):
    async def program(shop, post, db):
        async def refused(op):
            async with op.transaction() as tx:
                tx.create(Charge(id="taken", count=1))

        async def lost(op):
            op._execution.is_lost = True

        await db.put(Charge(id="taken", count=1))
        shop.during = refused
        answer = await post(key, key)
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:dynamorm:idempotency:refused")
        assert "retry-after" not in answer.headers
        assert "send it again" not in answer.json()["detail"]
        shop.during = lost
        assert (await post(key, key)).status_code == 409
        assert await count(db, key) == 0
        shop.during = None
        assert (await post(key, key)).status_code == 201
        assert await count(db, key) == 1

    served(program)


def test_an_answer_that_is_too_large_is_refused_or_passed(served, key):
    async def refused(shop, post, db):
        shop.size = 400_000
        assert (await post(key, key)).status_code == 500
        assert await count(db, key) == 0

    async def passed(shop, post, db):
        large = f"{key}-2"
        assert (await post(large, large)).status_code == 500  # it has recorded writes, which would be lost
        app.writes = False
        answers = [await post(large, large) for _ in range(2)]
        assert [(answer.status_code, len(answer.content)) for answer in answers] == [(201, 400_000)] * 2
        assert all("idempotency-replayed" not in answer.headers for answer in answers)

    served(refused)
    app = Shop()
    app.size = 400_000
    served(passed, on_large="pass", app=app)


@pytest.mark.parametrize("db", [None, 5, "db"])
def test_what_is_no_asyncio_database_is_refused(db):
    with pytest.raises(ConfigError, match="AsyncDB"):
        IdempotencyMiddleware(Shop(), db=db)


@pytest.mark.parametrize("part", [b"", b"100"])
def test_a_request_that_was_cut_off_is_not_run(settings, key, part):
    async def program():
        messages = [{"type": "http.disconnect"}, {"type": "http.request", "body": part, "more_body": True}]
        sent = []

        async def receive():
            return messages.pop()

        async def send(message):
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/", "headers": [(b"idempotency-key", key.encode()), (b"authorization", b"Bearer one")],
            "query_string": b"", "state": {},
        }  # fmt: skip
        async with AsyncDB(settings) as db:
            shop = Shop()
            await IdempotencyMiddleware(shop, db=db)(scope, receive, send)
        assert (shop.ran, sent) == (0, [])

    asyncio.run(program())


def test_nobody_is_given_the_answer_of_somebody_else(served, key):
    """A cookie, or an address, is not looked at: of whom nobody knows who asks, nothing is run and nothing is given."""

    async def program(shop, post, db):
        assert (await post(key, key)).status_code == 201
        for anonymous in ({}, {"Cookie": "session=b"}, {"Authorization": ""}):
            answer = await post(key, key, caller=None, **anonymous)
            assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (400, "caller")
        assert (shop.ran, await count(db, key)) == (1, 1)

    served(program)


def test_the_application_says_who_asks(served, key):
    def principal(scope):
        cookies = [value for name, value in scope["headers"] if name == b"cookie"]
        return cookies[0].decode() if cookies else None

    async def program(shop, post, db):
        shop.headers = []  # a client keeps its cookies
        for cookie in ("session=a", "session=b"):
            for token in ("Bearer of this minute", "Bearer of the next"):
                assert (await post(key, key, caller=token, Cookie=cookie)).status_code == 201
        assert (shop.ran, await count(db, key)) == (2, 2)
        assert (await post(key, key)).status_code == 400

    served(program, principal=principal)


def test_who_asks_is_a_text(served, key):
    async def program(shop, post, db):
        with pytest.raises(ValidationError, match="principal"):
            await post(key, key)
        assert shop.ran == 0

    served(program, principal=lambda scope: 5)


def test_an_outcome_that_nobody_knows_is_said(served, key):
    """The record was forgotten while the request was served: to say "send it again" would have it done twice."""

    async def program(shop, post, db):
        async def during(op):
            shop.during = None
            model = record_model(db.config.idempotency_table)
            for one in await db.model(model).allow_scan().all():
                await db.delete(model, one.pk)

        shop.during = during
        answer = await post(key, key)
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (500, "unknown")
        assert await count(db, key) == 0

    served(program)


def test_an_application_that_breaks_the_protocol_gives_the_key_back(served, key):
    async def wrong(scope, receive, send):
        await send({"type": "http.response.body", "body": b"x"})

    async def program(shop, post, db):
        for _ in range(2):
            with pytest.raises(RuntimeError, match="before its status"):
                await post(key, key)

    served(program, app=wrong)


CONDITION = "ConditionalCheckFailed"


def cancelled(*reasons):
    return TransactionCancelled("refused", reasons=[CancellationReason(code, error=error) for code, error in reasons])


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (AlreadyExists("it is there"), 409),
        (cancelled((CONDITION, AlreadyExists("it is there"))), 409),
        (cancelled((CONDITION, None)), 409),
        (cancelled((CONDITION, VersionConflict("changed")), (CONDITION, ConditionFailed("no"))), 409),
        (VersionConflict("changed"), 503),
        (cancelled((CONDITION, VersionConflict("changed"))), 503),
        (cancelled(("TransactionConflict", None)), 503),
        (Throttled("slowly"), 503),
        (OutcomeUnknown("nobody knows"), 503),
        (cancelled(("ValidationError", None)), 500),
        (ValidationError("no such attribute"), 500),
    ],
)
def test_only_what_may_pass_another_time_is_to_be_sent_again(error, status):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(_refused(send, error))
    start, body = sent
    assert start["status"] == status
    assert (b"send it again" in body["body"]) == (status == 503)
