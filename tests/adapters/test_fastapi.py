"""A Model as a FastAPI request body and response, and inside pydantic models."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pydantic
import pytest
from fastapi import Body, FastAPI

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what the test client of this release has to say about its own parts
    from fastapi.testclient import TestClient

from dynamorm import Attr, Codec, Model, attr, created_at, partition_key, updated_at, version
from dynamorm.errors import AlreadyExists
from dynamorm.testing import TestDB


class Status(Enum):
    PENDING = "pending"
    PAID = "paid"


class Color:
    def __init__(self, name):
        self.name = name

    def __eq__(self, other):
        return self.name == other.name


class Address(Model):
    city: Attr[str] = attr(min_length=2)
    zip: Attr[str | None] = attr(default=None)


def no_spaces(value):
    if " " in value:
        raise ValueError("no spaces, please")
    return value.lower()


class Payment(Model, table="payments"):
    """A payment to a shop."""

    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(ge=1, le=1_000_000)
    fee: Attr[Decimal] = attr(default=Decimal("0.30"))
    currency: Attr[str] = attr(pattern="[A-Z]{3}")
    status: Attr[Status] = attr(default=Status.PENDING)
    method: Attr[Literal["card", "wallet"]] = attr(default="card")
    address: Attr[Address | None] = attr(default=None)
    due: Attr[datetime | None] = attr(default=None)
    dates: Attr[list[datetime]] = attr(default_factory=list)
    tags: Attr[set[str]] = attr(default_factory=set)
    label: Attr[str | None] = attr(default=None, validators=(no_spaces,), name="l")
    seal: Attr[bytes] = attr(default=b"\xff\x00")
    color: Attr[Any] = attr(Codec(lambda color: color.name, Color), default=None)
    card_number: Attr[str | None] = attr(default=None, secret=True)
    created_at: Attr[datetime] = created_at()
    updated_at: Attr[datetime] = updated_at()
    version: Attr[int] = version()


class Tree(Model):
    name: Attr[str]
    children: Attr[list[Tree]] = attr(default_factory=list)
    parent: Attr[Tree | None] = attr(default=None)


adapter = pydantic.TypeAdapter(Payment)
GOOD: dict[str, Any] = {"id": "p1", "amount": 500, "currency": "EUR"}


@pytest.fixture(scope="module")
def db():
    with TestDB(models=[Payment]) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(db):
    app = FastAPI()

    @app.post("/payments", status_code=201, response_model=Payment)
    def create(payment: Annotated[Payment, Body()]):
        return db.create(payment)

    @app.get("/payments/{key}", response_model=Payment | None)
    def read(key: str):
        return db.get(Payment, key)

    @app.get("/payments", response_model=list[Payment])
    async def several():
        return [db.require(Payment, "p1")]

    @app.put("/payments/{key}")
    def put(key: str, payment: Annotated[Payment, Body()]) -> Payment:
        stored = db.require(Payment, key)
        stored.amount = payment.amount
        return db.save(stored)

    @app.exception_handler(AlreadyExists)
    def conflict(*_):
        from fastapi.responses import JSONResponse

        return JSONResponse({"detail": "exists"}, 409)

    with TestClient(app) as opened:
        yield opened


@pytest.mark.engine
class TestFastAPI:
    def test_a_body_is_a_model_and_a_model_a_response(self, client, db):
        body = {
            **GOOD,
            "fee": "1.25",
            "status": "paid",
            "address": {"city": "Riga"},
            "due": "2030-01-01T00:00:00Z",
            "tags": ["a"],
            "label": "Blue",
            "card_number": "4111111111111111",
        }
        answer = client.post("/payments", json=body)
        assert answer.status_code == 201, answer.text
        found = answer.json()
        assert found["amount"] == 500
        assert found["fee"] == "1.25"
        assert found["status"] == "paid"
        assert found["address"] == {"city": "Riga", "zip": None}
        assert found["due"] == "2030-01-01T00:00:00Z"
        assert found["label"] == "blue"  # as the validator returned it
        assert found["version"] == 0
        assert found["created_at"].startswith("20")
        assert found["seal"] == "/wA="
        stored = db.require(Payment, "p1")
        assert (stored.status, stored.address, stored.tags) == (Status.PAID, Address(city="Riga"), {"a"})
        assert stored.card_number == "4111111111111111"
        assert client.get("/payments/p1").json() == found
        assert client.get("/payments").json() == [found]
        assert client.get("/payments/none").json() is None
        assert client.post("/payments", json=body).status_code == 409
        changed = client.put("/payments/p1", json={**found, "amount": 7})
        assert changed.status_code == 200, changed.text
        assert (changed.json()["amount"], changed.json()["version"]) == (7, 1)

    def test_secrets_are_not_given_out(self, client, db):
        if db.get(Payment, "p1") is None:  # where the tests before it run in another process
            db.create(Payment(**GOOD, card_number="4111111111111111"))
        for answer in (client.get("/payments/p1"), client.get("/payments")):
            assert answer.status_code == 200
            assert "4111111111111111" not in answer.text  # four digits may stand in any time
            assert "card_number" not in answer.text

    def test_what_the_library_owns_is_not_taken_from_the_body(self, client, db):
        body = {**GOOD, "id": "p2", "version": 99, "created_at": "2001-01-01T00:00:00Z"}
        found = client.post("/payments", json=body).json()
        assert found["version"] == 0
        assert not found["created_at"].startswith("2001")
        assert db.require(Payment, "p2").version == 0

    @pytest.mark.parametrize(
        ("wrong", "where"),
        [
            ({"amount": 0}, "amount"),
            ({"amount": "many"}, "amount"),
            ({"amount": 1.5}, "amount"),
            ({"amount": None}, "amount"),
            ({"currency": "euro"}, "currency"),
            ({"status": "lost"}, "status"),
            ({"method": "cash"}, "method"),
            ({"address": {"city": "x"}}, "address"),
            ({"address": {"town": "Riga"}}, "address"),
            ({"due": "2030-01-01T00:00:00"}, "due"),
            ({"dates": ["2030-01-01T00:00:00"]}, "dates"),
            ({"label": "two words"}, "label"),
            ({"amuont": 5}, "amuont"),
            ({"version": "x"}, "version"),
            ({"seal": "no base64!"}, "seal"),
        ],
    )
    def test_bad_input_is_422_and_names_the_field(self, client, wrong, where):
        answer = client.post("/payments", json={**GOOD, "id": "bad", **wrong})
        assert answer.status_code == 422, answer.text
        assert where in answer.json()["detail"][0]["loc"]

    @pytest.mark.parametrize("missing", ["id", "amount", "currency"])
    def test_a_missing_field_is_422(self, client, missing):
        body = {name: value for name, value in GOOD.items() if name != missing}
        answer = client.post("/payments", json=body)
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["body", missing]

    def test_the_openapi_schema_shows_the_model(self, client):
        schemas = client.get("/openapi.json").json()["components"]["schemas"]
        sent, shown = schemas["Payment-Input"], schemas["Payment-Output"]
        assert sent["description"] == "A payment to a shop."
        assert sorted(sent["required"]) == ["amount", "currency", "id"]
        assert sent["properties"]["amount"] == {"type": "integer", "minimum": 1, "maximum": 1000000, "title": "Amount"}
        assert sent["properties"]["currency"]["pattern"] == "^(?:[A-Z]{3})$"
        assert sent["properties"]["version"]["readOnly"] is True
        assert sent["properties"]["card_number"]["writeOnly"] is True
        assert sent["additionalProperties"] is False
        assert "card_number" not in shown["properties"]
        assert schemas["Status"]["enum"] == ["pending", "paid"]
        assert "Address" in str(sent["properties"]["address"])


class TestPydantic:
    def test_an_object_passes_with_its_state(self):
        payment = Payment(**GOOD)
        assert adapter.validate_python(payment) is payment

    def test_a_dict_becomes_a_new_object(self):
        payment = adapter.validate_python(GOOD)
        assert payment == Payment(**GOOD)
        assert payment.__loaded__ is None

    def test_json_round_trip(self):
        payment = Payment(
            **GOOD, due=datetime(2030, 1, 1, tzinfo=UTC), tags={"x"}, seal=b"\x00\xfe", address=Address(city="Riga")
        )
        assert adapter.validate_json(adapter.dump_json(payment)) == payment

    def test_a_class_that_only_a_codec_knows(self):
        payment = adapter.validate_python({**GOOD, "color": "red"})
        assert adapter.dump_python(payment, mode="python")["color"] is payment.color

    def test_a_field_of_a_pydantic_model(self):
        class Basket(pydantic.BaseModel):
            payments: list[Payment]

        basket = Basket(payments=[GOOD, Payment(**GOOD)])
        assert basket.payments[0] == basket.payments[1]
        assert Basket.model_validate_json(basket.model_dump_json()) == basket
        with pytest.raises(pydantic.ValidationError):
            Basket(payments=[{}])

    def test_a_model_that_holds_itself(self):
        trees = pydantic.TypeAdapter(Tree)
        tree = Tree(name="a", children=[Tree(name="b", children=[Tree(name="c")])])
        assert trees.validate_json(trees.dump_json(tree)) == tree
        assert "Tree" in trees.json_schema()["$defs"]

    def test_dump_leaves_out_what_it_is_told_to(self):
        assert adapter.dump_python(Payment(**GOOD), include={"id", "status"}, mode="json") == {
            "id": "p1",
            "status": "pending",
        }
        assert "due" not in adapter.dump_python(Payment(**GOOD), exclude_none=True)

    def test_an_unknown_type_without_a_codec_is_pydantics_own_error(self):
        class Odd(Model):
            color: Attr[Color]

        with pytest.raises(
            pydantic.PydanticSchemaGenerationError if hasattr(pydantic, "PydanticSchemaGenerationError") else Exception
        ):
            pydantic.TypeAdapter(Odd)
