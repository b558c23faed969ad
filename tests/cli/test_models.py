"""Models of tables that others have written: they read every item, and change nothing that they were not asked to."""

from __future__ import annotations

import ast
import json
import sys

import pytest

from dynamorm import Attr, Model, attr, gsi, partition_key, sort_key
from dynamorm.features.raw import RawTable
from dynamorm.models.schema.schema import schema_of

from .conftest import Order

pytestmark = pytest.mark.engine

HOSTILE = 'x"\nraise SystemExit("executed")\n#'
ITEMS = [
    {
        "id": {"S": "a"},
        "n": {"N": "1"},
        "amount": {"N": "5"},
        "price": {"N": "12345678901234567890.5"},
        "mixed": {"S": "x"},
        "class": {"S": "keyword"},
        "str": {"S": "builtin"},
        "2nd": {"BOOL": True},
        "a-b": {"S": "dash"},
        "a.b": {"S": "dot"},
        "ﬁ": {"S": "a ligature, which Python would spell fi"},
        "save": {"S": "a name of the library's"},
        HOSTILE: {"S": "evil"},
        "'''": {"S": "quotes"},
        "tags": {"SS": ["b", "a"]},
        "numbers": {"NS": ["2", "1.5"]},
        "raw": {"B": "AAE="},
        "blobs": {"BS": ["AAE="]},
        "list": {"L": [{"S": "x"}, {"S": "y"}]},
        "deep": {"L": [{"M": {"$x": {"NULL": True}}}, {"NS": ["3", "1"]}]},
        "doc": {"M": {"k": {"L": []}, "s": {"SS": ["z", "a"]}}},
        "nothing": {"NULL": True},
        "status": {"S": "new"},
        "_private": {"S": "p"},
    },
    {"id": {"S": "b"}, "n": {"N": "2"}, "amount": {"N": "7"}, "mixed": {"N": "1.10"}, "nothing": {"NULL": True}},
    {
        "id": {"S": "c"},
        "n": {"N": "3"},
        "amount": {"N": "-1"},
        "mixed": {"L": [{"BOOL": False}]},
        "raw": {"NULL": True},
    },
]


class Shape(Model, table="foreign-items"):
    id: Attr[str] = partition_key()
    n: Attr[int] = sort_key()
    status: Attr[str | None] = attr(default=None)
    at: Attr[str | None] = attr(default=None)
    by_status = gsi("by-status", partition="status", sort="at", projection="KEYS_ONLY")


@pytest.fixture
def foreign(db):
    """A table that others have written, with an index whose sort key no item has."""
    name = db.config.table_prefix + "foreign-items"
    db.tables.ensure(Shape)
    raw = RawTable(db._session, name)
    for item in ITEMS:
        db._io.run(raw.put(json.dumps(item).encode()))
    yield db
    db.tables.delete(Shape)


@pytest.fixture
def module(run, tmp_path, monkeypatch, foreign):
    ran = run("models", "generate", "foreign-items")
    assert ran.code == 0, ran
    (tmp_path / "generated_items.py").write_text(ran.out)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "generated_items", raising=False)
    import generated_items

    yield generated_items
    sys.modules.pop("generated_items", None)


def test_it_reads_every_item_and_saving_changes_nothing(module, foreign, stored):
    before = stored("foreign-items")
    model = module.ForeignItems
    objects = foreign.model(model).allow_scan().all()
    assert len(objects) == len(ITEMS)
    for obj in objects:
        foreign.save(obj)
    assert stored("foreign-items") == before
    foreign.tables.check(model)


def test_saving_a_change_changes_only_that(module, foreign, stored):
    before = {item["id"]["S"]: item for item in map(json.loads, stored("foreign-items"))}
    for obj in foreign.model(module.ForeignItems).allow_scan().all():
        obj.amount += 1
        foreign.save(obj)
    for item in map(json.loads, stored("foreign-items")):
        old = before[item["id"]["S"]]
        assert int(item.pop("amount")["N"]) == int(old.pop("amount")["N"]) + 1
        assert {k: in_order(v) for k, v in item.items() if k != "_wt"} == {k: in_order(v) for k, v in old.items()}


def in_order(wire):
    ((tag, value),) = wire.items()
    return {tag: sorted(value)} if tag in {"SS", "NS", "BS"} else wire


def test_names_of_others_never_become_code(module, run, foreign):
    text = run("models", "generate", "foreign-items").out
    tree = ast.parse(text)
    (body,) = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert all(isinstance(node, (ast.AnnAssign, ast.Assign)) for node in body.body)
    names = {field.stored for field in schema_of(module.ForeignItems).fields.values()}
    assert names == {*ITEMS[0], "at"} - {HOSTILE}, "a name with quotes is no field, and stays in the items"
    assert "class_: Attr[str | None] = attr(default=None, name='class')" in text


def test_what_was_seen_is_said(run, foreign):
    text = run("models", "generate", "foreign-items").out
    assert "amount: Attr[int]  # seen in 3 of 3\n" in text
    assert "price: Attr[Decimal | None] = attr(default=None)  # seen in 1 of 3\n" in text
    assert "mixed: Attr[Any]  # seen in 3 of 3, L 1, N 1, S 1\n" in text
    assert "by_by_status = gsi('by-status', partition='status', sort='at', projection='KEYS_ONLY')" in text
    assert "at: Attr[str | None] = attr(default=None)  # seen in 0 of 3" in text
    assert "of 1" in run("models", "generate", "foreign-items", "--sample", 1).out
    assert "class Mine(Model" in run("models", "generate", "foreign-items", "--name", "Mine").out


def test_what_cannot_be_generated(refused, run, db):
    refused(3, "models", "generate", "nowhere")
    refused(2, "models", "generate", "nowhere", "--name", "no name")
    db.tables.ensure(Order)
    text = run("models", "generate", "orders").out
    assert "customer: Attr[str] = partition_key()  # seen in 0 of 0" in text
    compile(text, "orders", "exec")


def test_models_are_exported(run, refused):
    here = "tests.cli.conftest:Order"
    assert "AWS::DynamoDB::Table" in run("models", "export", here).out
    assert (
        'resource "aws_dynamodb_table"' in run("models", "export", here, "--format", "terraform", "--prefix", "x-").out
    )
    schema = json.loads(run("models", "export", here, "--format", "json-schema").out)
    assert schema["properties"] == {
        "customer": {"type": "string"},
        "number": {"type": "integer"},
        "status": {"type": "string", "default": "new"},
    }
    assert schema["required"] == ["customer", "number"]
    assert json.loads(run("models", "export", here, "--json").out)["format"] == "cloudformation"
    assert "none of cloudformation" in refused(2, "models", "export", here, "--format", "xml")
    assert "no module" in refused(2, "models", "export", "nowhere")
