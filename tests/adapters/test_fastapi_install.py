"""`dynamorm.adapters.fastapi`: the database of an application, and its answers to errors."""

from __future__ import annotations

import asyncio
import gc
import warnings

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.responses import JSONResponse

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the test client of this release has to say about its own parts
    from fastapi.testclient import TestClient

from dynamorm import AsyncDB, Attr, Model, Presets, Unique, attr, partition_key, version
from dynamorm.adapters.fastapi import Database, database, install, lifespan
from dynamorm.errors import (
    AccessDenied,
    AlreadyExists,
    CancellationReason,
    ChecksumMismatch,
    CircuitOpen,
    ConditionFailed,
    ConfigError,
    DeadlineExceeded,
    ExecutionLost,
    InProgress,
    InvalidUse,
    ItemTooLarge,
    KeyReused,
    KeyUnavailable,
    LeaseHeld,
    MissingArgument,
    NotFound,
    Outcome,
    OutcomeUnknown,
    PartialItem,
    StepUnknown,
    TamperedCiphertext,
    TamperedCursor,
    TenantMismatch,
    Throttled,
    TransactionCancelled,
    TransactionConflict,
    UnknownArgument,
    ValidationError,
)

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("ignore:no cursor_key")]


class Payment(Model, table="fastapi-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(ge=1, default=1)
    reference: Attr[str | None] = attr(Unique(), default=None)
    version: Attr[int] = version()


def application(config, **more):
    app = FastAPI(lifespan=lifespan(config), **more)
    install(app)

    @app.get("/payments/{key}")
    async def read(key: str, db: Database) -> Payment:
        return await db.require(Payment, key)

    @app.post("/payments")
    async def create(db: Database, key: str, amount: int = 1, reference: str | None = None) -> Payment:
        return await db.create(Payment(id=key, amount=amount, reference=reference))

    @app.get("/pages")
    async def page(db: Database, cursor: str) -> int:
        return len((await db.model(Payment).allow_scan().cursor(cursor).page()).items)

    @app.websocket("/amounts")
    async def amounts(socket: WebSocket, db: Database):
        await socket.accept()
        payment = await db.require(Payment, await socket.receive_text())
        await socket.send_text(str(payment.amount))
        await socket.close()

    return app


@pytest.fixture
def config(engine):
    return Presets.local_development(endpoint=engine.endpoint)


@pytest.fixture
def client(config):
    async def ensure():
        async with AsyncDB(config) as db:
            await db.tables.ensure(Payment)

    async def delete():
        async with AsyncDB(config) as db:
            await db.tables.delete(Payment)

    asyncio.run(ensure())
    with TestClient(application(config), raise_server_exceptions=False) as opened:
        yield opened
    asyncio.run(delete())


def test_a_payment_is_made_and_read(client):
    made = client.post("/payments?key=p1&amount=5")
    assert made.status_code == 200, made.text
    assert client.get("/payments/p1").json() == made.json()
    with client.websocket_connect("/amounts") as socket:
        socket.send_text("p1")
        assert socket.receive_text() == "5"


def test_what_is_not_there_and_what_is_there_already(client):
    answer = client.get("/payments/secret-key")
    assert (answer.status_code, answer.json()["code"]) == (404, "ErrItemNotFound")
    assert "secret-key" not in answer.text
    client.post("/payments?key=p1&reference=r-4711")
    assert client.post("/payments?key=p1").status_code == 409
    answer = client.post("/payments?key=p2&reference=r-4711")
    assert answer.status_code == 409
    assert answer.json()["field"] == "reference"
    assert "r-4711" not in answer.text


def test_what_is_refused_before_the_wire(client):
    answer = client.post("/payments?key=p1&amount=-4711")
    assert answer.status_code == 422
    assert "amount" in answer.json()["detail"]
    assert "4711" not in answer.text
    assert client.post("/payments?key=").status_code == 422
    answer = client.get("/pages?cursor=nonsense")
    assert (answer.status_code, answer.json()["code"]) == (400, "ErrTamperedCursor")


@pytest.mark.whole
@pytest.mark.parametrize(
    ("error", "status", "more"),
    [
        (NotFound("Payment 4711"), 404, {}),
        (AlreadyExists("4711"), 409, {}),
        (ConditionFailed("4711"), 409, {}),
        (AlreadyExists("4711", outcome=Outcome.UNKNOWN), 504, {}),
        (TransactionCancelled("4711", reasons=[]), 409, {}),
        (TransactionCancelled("4711", reasons=[None, CancellationReason("ConditionalCheckFailed")]), 409, {}),
        (TransactionCancelled("4711", reasons=[None, CancellationReason("ValidationError")]), 500, {}),
        (TransactionCancelled("4711", reasons=[CancellationReason("TransactionConflict")]), 503, {"Retry-After": "1"}),
        (ExecutionLost("lost"), 409, {}),
        (ExecutionLost("lost", outcome=Outcome.UNKNOWN), 504, {}),
        (LeaseHeld("4711", retry_after=2.2), 409, {"Retry-After": "3"}),
        (InProgress("runs", retry_after=1.5), 409, {"Retry-After": "2"}),
        (KeyReused("another payload"), 422, {}),
        (ValidationError("amount: at least 1", field="amount"), 422, {}),
        (ItemTooLarge("too large"), 422, {}),
        (ValidationError("no key is given"), 500, {}),
        (ChecksumMismatch("4711", outcome=Outcome.NOT_APPLIED), 503, {"Retry-After": "1"}),
        (ChecksumMismatch("4711"), 504, {}),
        (KeyUnavailable("4711"), 503, {"Retry-After": "1"}),
        (TamperedCiphertext("4711"), 500, {}),
        (TamperedCursor("4711"), 400, {}),
        (TenantMismatch("4711"), 403, {}),
        (Throttled("4711"), 503, {"Retry-After": "1"}),
        (CircuitOpen("4711", retry_after=7), 503, {"Retry-After": "7"}),
        (TransactionConflict("4711"), 503, {"Retry-After": "1"}),
        (DeadlineExceeded("4711"), 503, {"Retry-After": "1"}),
        (OutcomeUnknown("4711", token="ab"), 504, {}),
        (StepUnknown("begun before"), 504, {}),
        (ValidationError("cannot be read", table="payments"), 500, {}),
        (InvalidUse("no such use"), 500, {}),
        (PartialItem("4711"), 500, {}),
        (UnknownArgument("4711"), 500, {}),
        (MissingArgument("4711"), 500, {}),
        (AccessDenied("4711"), 500, {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_has_its_answer(config, error, status, more):
    app = application(config)

    @app.get("/")
    async def fail():
        raise error

    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.get("/")
    assert answer.status_code == status, answer.text
    assert {name: answer.headers[name] for name in more} == more
    assert ("Retry-After" in answer.headers) == ("Retry-After" in more)
    assert "4711" not in answer.text
    if status != 500:
        assert answer.json()["code"] == error.code
    if isinstance(error, OutcomeUnknown):
        assert answer.json()["token"] == "ab"


def test_a_handler_of_the_application_wins_before_and_behind(config):
    async def own(*_):
        return JSONResponse({"own": True}, 418)

    before = FastAPI(exception_handlers={NotFound: own})
    install(before)
    behind = FastAPI()
    install(behind)
    behind.add_exception_handler(AlreadyExists, own)
    for app, error in ((before, NotFound("x")), (behind, AlreadyExists("x"))):

        @app.get("/")
        async def fail(error=error):
            raise error

        with TestClient(app) as client:
            assert client.get("/").json() == {"own": True}


def test_an_application_without_a_database_says_what_to_do(config):
    app = application(config)
    client = TestClient(app)  # its lifespan is not entered
    with pytest.raises(InvalidUse, match="lifespan"):
        client.get("/payments/p1")


def test_a_test_puts_its_own_database_in_the_place(config, client):
    app = application(None)

    async def own():
        async with AsyncDB(config) as db:
            yield db

    app.dependency_overrides[database] = own
    assert TestClient(app).get("/payments/p1").status_code == 404


def test_the_database_is_opened_by_a_function_and_closed_behind_the_last_request(config, client):
    opened = []

    def open_db():
        opened.append(AsyncDB(config))
        return opened[-1]

    app = application(open_db)
    for _ in range(2):
        with TestClient(app) as other:
            assert other.get("/payments/p1").status_code == 404
    assert len(opened) == 2

    async def used():
        with pytest.raises(ConfigError, match="closed"):
            await opened[0].get(Payment, "p1")

    asyncio.run(used())


def test_a_lifespan_that_is_not_called_and_one_that_opens_something_else(config):
    async def opens():
        return AsyncDB(config)

    def none():
        return None

    for wrong, says in (
        (lifespan, "lifespan is to be called"),
        (lifespan(opens), "coroutine"),
        (lifespan(none), "NoneType"),
    ):
        app = FastAPI(lifespan=wrong)
        with pytest.raises(InvalidUse, match=says), TestClient(app):
            pass
    gc.collect()  # a coroutine that nobody awaits would complain


def test_a_mounted_application_says_where_to_open_the_database(config):
    outer = FastAPI()
    outer.mount("/inner", application(config))
    with TestClient(outer) as client, pytest.raises(InvalidUse, match="outer one"):
        client.get("/inner/payments/p1")
