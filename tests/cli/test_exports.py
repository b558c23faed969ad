"""What others make of models, read by tools of theirs: JSON Schema, and tables for Terraform."""

from __future__ import annotations

import enum
import json
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

import boto3
import pytest

from dynamorm import (
    Attr,
    Encrypted,
    Ephemeral,
    Json,
    Model,
    TableSettings,
    Tenant,
    attr,
    created_at,
    gsi,
    lsi,
    partition_key,
    sort_key,
    ttl,
    updated_at,
    version,
)  # fmt: skip
from dynamorm.adapters.cli.typed import Typed

pytestmark = pytest.mark.engine


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Address(Model):
    street: Attr[str] = attr(min_length=1)
    city: Attr[str | None] = attr(default=None)
    inner: Attr[Address | None] = attr(default=None)


class Everything(Model, table="everything", settings=TableSettings(stream="KEYS_ONLY", tags={"a": 'b ${x} "q"'})):
    id: Attr[str] = partition_key(pattern="[a-z0-9-]+", max_length=40)
    at: Attr[datetime] = sort_key()
    amount: Attr[int] = attr(ge=0, le=10**9)
    price: Attr[Decimal] = attr(default=Decimal("1.5"), gt=Decimal("0.01"))
    rate: Attr[float] = attr(default=0.5, lt=1)
    active: Attr[bool] = attr(default=True)
    blob: Attr[bytes] = attr(default=b"ab", max_length=10)
    tags: Attr[set[str]] = attr(default_factory=set, max_length=3)
    limits: Attr[dict[str, int]] = attr(default_factory=dict)
    color: Attr[Color] = attr(default=Color.RED)
    kind: Attr[Literal["a", "b"]] = attr(default="a")
    uid: Attr[uuid.UUID] = attr(default_factory=uuid.uuid4)
    day: Attr[date | None] = attr(default=None)
    took: Attr[timedelta | None] = attr(default=None)
    address: Attr[Address | None] = attr(default=None)
    lines: Attr[list[Address]] = attr(default_factory=list)
    meta: Attr[dict[str, Any]] = attr(Json(), default_factory=dict)
    any: Attr[Any] = attr(default=None)
    mixed: Attr[int | str] = attr(default=1)
    secret: Attr[str] = attr(default="hidden", secret=True)
    until: Attr[datetime | None] = ttl(default=None)
    created: Attr[datetime] = created_at()
    updated: Attr[datetime] = updated_at()
    version: Attr[int] = version()
    by_amount = lsi("by-amount", sort="amount")
    by_kind = gsi("by-kind", partition="kind", sort="amount", projection=("price", "tags"))


HERE = "tests.cli.test_exports:Everything"


@pytest.fixture
def schema(run):
    return json.loads(run("models", "export", HERE, "--format", "json-schema").out)


def test_limits_and_defaults_are_said(schema):
    found = schema["properties"]
    assert found["id"] == {"type": "string", "maxLength": 40, "pattern": "^(?:[a-z0-9-]+)$"}
    assert found["amount"] == {"type": "integer", "minimum": 0, "maximum": 10**9}
    assert found["price"]["anyOf"][0] == {"type": "number", "exclusiveMinimum": 0.01}
    assert found["rate"] == {"type": "number", "exclusiveMaximum": 1, "default": 0.5}
    assert (found["tags"]["maxItems"], "maxLength" in found["blob"]) == (3, False)
    assert "default" not in found["secret"]
    assert [name for name, one in found.items() if one.get("readOnly")] == ["created", "updated", "version"]
    assert schema["required"] == ["id", "at", "amount"]
    assert found["until"]["anyOf"] == [{"type": "string", "format": "date-time"}, {"type": "null"}]
    assert found["lines"]["items"] == {"$ref": "#/$defs/Address"}
    assert schema["$defs"]["Address"]["properties"]["street"] == {"type": "string", "minLength": 1}


def test_what_the_command_shows_fits_the_schema(schema, db):
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    plain = Everything(id="b", at=datetime.now(UTC), amount=3)
    full = Everything(
        id="a", at=datetime.now(UTC), amount=3, tags={"a"}, limits={"a": 1}, day=date.today(), took=timedelta(seconds=5),
        address=Address(street="x", inner=Address(street="y")), lines=[Address(street="z", city="c")], meta={"a": [1]},
        any=[1], mixed="x", until=datetime(2100, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    db.tables.ensure(Everything, skip_unavailable=True)  # DynamoDB Local has no tags
    try:
        stored = [db.create(plain), db.create(full), db.require(Everything, "a", full.at)]
    finally:
        db.tables.delete(Everything)
    for obj in (Everything(id="c", at=datetime.now(UTC), amount=3), *stored):
        shown = json.loads(Typed(db, Everything).text(obj))
        assert list(validator.iter_errors(shown)) == []
    bad = shown | {"amount": -1, "unknown": 1, "lines": [{}], "id": "A B", "color": "green"}
    assert sorted(error.json_path for error in validator.iter_errors(bad)) == [
        "$",
        "$.amount",
        "$.color",
        "$.id",
        "$.lines[0]",
    ]


def test_terraform_is_its_language(run):
    hcl2 = pytest.importorskip("hcl2")
    text = run("models", "export", HERE, "--format", "terraform", "--prefix", "x-").out
    assert "aws_dynamodb_table" in str(hcl2.loads(text)["resource"])
    assert "$${x}" in text


class Card(Model, table="cards"):
    id: Attr[str] = partition_key()
    tenant: Attr[str] = attr(Tenant())
    number: Attr[str] = attr(Encrypted("pci", searchable=True))
    cvv: Attr[str | None] = attr(Ephemeral(), default=None)
    by_number = gsi("by-number", partition="number")


def test_tables_of_models_with_options_of_plugins(run, refused, db, stored):
    """A table is made, compared and exported without keys of encryption and tenants; an item is not."""
    card = "tests.cli.test_exports:Card"
    assert "AttributeName: _bi_number" in run("models", "export", card).out
    assert 'name = "_bi_number"' in run("models", "export", card, "--format", "terraform").out
    assert run("tables", "plan", card).code == 0
    assert run("tables", "apply", card, "--yes").code == 0
    try:
        assert run("tables", "check", card).code == 0
        assert "the table fits Card" in run("doctor", "cards", "--models", card).out
        refused(1, "put", "Card", '{"id": "a", "tenant": "t", "number": "4242"}', "--models", card)
        assert stored("cards") == []
    finally:
        client = boto3.client(
            "dynamodb", endpoint_url=db.config.endpoint, region_name="us-east-1",
            aws_access_key_id="x", aws_secret_access_key="x",
        )  # fmt: skip
        client.delete_table(TableName=f"{db.config.table_prefix}cards")
