"""DMS documents, by which libraries of several languages share tables: models of them, and documents of models."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import yaml

from dynamorm import (
    Attr,
    Codec,
    Encrypted,
    Json,
    Model,
    attr,
    composite,
    created_at,
    gsi,
    lsi,
    partition_key,
    sort_key,
    ttl,
    updated_at,
    version,
)  # fmt: skip
from dynamorm.errors import ConditionFailed, DynamORMError
from dynamorm.features.raw import RawTable
from dynamorm.models.schema.schema import schema_of

from .test_generated import module_of

pytestmark = pytest.mark.engine

DOCUMENT = """\
dms_version: "0.2"
namespace: "acme.payments"
models:
  - name: "User"
    table: { name: "users" }
    naming: { convention: "camelCase" }
    keys:
      partition: { attribute: "PK", type: "S" }
      sort: { attribute: "SK", type: "S" }
    write_policy: { mode: "mutable", protected_attributes: ["title"] }
    attributes:
      - { attribute: "PK", type: "S", required: true, roles: ["pk"] }
      - { attribute: "SK", type: "S", required: true, roles: ["sk"] }
      - { attribute: "title", type: "S", optional: true, omit_empty: true }
      - { attribute: "emailHash", type: "S", optional: true, omit_empty: true, roles: ["index_pk:gsi-email"] }
      - { attribute: "count", type: "N", optional: true }
      - { attribute: "total", type: "N", format: "int", optional: true, omit_empty: true }
      - { attribute: "tags", type: "SS", optional: true, omit_empty: true }
      - { attribute: "ids", type: "NS", optional: true }
      - { attribute: "flag", type: "BOOL", optional: true, omit_empty: true }
      - { attribute: "items", type: "L", optional: true }
      - { attribute: "payload", type: "M", json: true, optional: true, omit_empty: true }
      - { attribute: "text", type: "S", json: true, optional: true }
      - { attribute: "blob", type: "B", binary: true, optional: true }
      - { attribute: "seenAt", type: "S", format: "rfc3339nano", optional: true }
      # Of the library.
      - { attribute: "createdAt", type: "S", format: "rfc3339nano", roles: ["created_at", "index_sk:lsi-created"] }
      - { attribute: "updatedAt", type: "S", format: "rfc3339nano", roles: ["updated_at"] }
      - { attribute: "version", type: "N", format: "int", roles: ["version"] }
      - { attribute: "ttl", type: "N", format: "unix_seconds", roles: ["ttl"], optional: true }
    indexes:
      - name: "gsi-email"
        type: "GSI"
        partition: { attribute: "emailHash", type: "S" }
        projection: { type: "KEYS_ONLY" }
      - name: "lsi-created"
        type: "LSI"
        partition: { attribute: "PK", type: "S" }
        sort: { attribute: "createdAt", type: "S" }
        projection: { type: "INCLUDE", fields: ["payload", "count"] }
  - name: "Event"
    table: { name: "users" }
    keys:
      partition: { attribute: "PK", type: "S" }
      sort: { attribute: "SK", type: "S" }
    write_policy: { mode: "write_once" }
    attributes:
      - { attribute: "PK", type: "S", required: true }
      - { attribute: "SK", type: "S", required: true }
      - { attribute: "releaseId", type: "S", optional: true, omit_empty: true }
      - { attribute: "class", type: "S", optional: true }
"""


@pytest.fixture
def generate(run, tmp_path):
    """Runs ``models generate --from-dms`` for a document. Returns the module, and its text."""

    def generate(text, name="pay.yml"):
        (tmp_path / name).write_text(text)
        ran = run("models", "generate", "--from-dms", name)
        assert ran.code == 0, ran
        return module_of(ran.out), ran.out

    yield generate
    sys.modules.pop("written_by_the_generator", None)


@pytest.fixture
def users(generate, db):
    module, _ = generate(DOCUMENT)
    db.tables.ensure(module.User, module.Event)
    yield module
    db.tables.delete(module.User)


def wire(db, **item):
    key = {"PK": {"S": "u"}, "SK": {"S": "1"}}
    db._io.run(RawTable(db._session, f"{db.config.table_prefix}users").put(json.dumps({**key, **item}).encode()))


def only(stored):
    (item,) = stored("users")
    return json.loads(item)


def test_what_is_stored_is_what_the_document_says(users, db, stored):
    db.create(users.User(pk="u", sk="1"))
    item = only(stored)
    times = {name: item.pop(name)["S"] for name in ("createdAt", "updatedAt")}
    assert all(len(text) == len("2024-01-01T00:00:00.123000000Z") and text.endswith("Z") for text in times.values())
    assert item.pop("ids") == item.pop("text") == {"NULL": True}, "an empty set is NULL, and so is JSON's null"
    assert item == {"PK": {"S": "u"}, "SK": {"S": "1"}, "version": {"N": "0"}}, "no _wt, and what is empty is left out"

    user = db.require(users.User, "u", "1", consistent=True)
    user.tags, user.total, user.flag, user.payload = {"a"}, 3, True, {"a": [1, None]}
    user.text, user.blob, user.count = {"b": 1, "a": None}, b"\x00", Decimal("1.5")
    user.ttl, user.email_hash = datetime(2100, 1, 1, tzinfo=UTC), "h"
    db.save(user)
    item = only(stored)
    assert item["version"] == {"N": "1"}
    assert item["payload"] == {"M": {"a": {"L": [{"N": "1"}, {"NULL": True}]}}}
    assert item["text"] == {"S": '{"a":null,"b":1}'}
    assert (item["ttl"], item["tags"], item["flag"]) == ({"N": "4102444800"}, {"SS": ["a"]}, {"BOOL": True})
    assert db.model(users.User).where("email_hash", "=", "h").index("gsi-email").select("pk").all()[0].pk == "u"

    user.tags, user.total, user.flag, user.payload = set(), 0, False, {}
    db.save(user)
    assert only(stored).keys().isdisjoint({"tags", "total", "flag", "payload"})


def test_what_other_libraries_store_is_read_and_kept(users, db, stored):
    """Go's lists for sets, NULL for what is unset, local times, and JSON as text."""
    wire(
        db, tags={"L": [{"S": "x"}]}, ids={"NULL": True}, items={"NULL": True}, payload={"S": '{"a":1.50}'}, text={"M": {"a": {"N": "1"}}},
        blob={"L": [{"N": "255"}]}, createdAt={"S": "2024-05-06T14:00:00.12+02:00"}, version={"N": "7"}, other={"SS": ["b", "a"]},
    )  # fmt: skip
    before = stored("users")
    user = db.require(users.User, "u", "1", consistent=True)
    assert (user.tags, user.ids, user.items, user.payload, user.text) == (
        {"x"},
        set(),
        None,
        {"a": Decimal("1.50")},
        {"a": 1},
    )
    assert (user.blob, user.created_at, user.version) == (b"\xff", datetime(2024, 5, 6, 12, 0, 0, 120_000, UTC), 7)
    db.save(user)
    assert stored("users") == before
    user.total = 5
    db.save(user)
    old, new = json.loads(before[0]), only(stored)
    changed = {name for name in old | new if old.get(name) != new.get(name)}
    assert changed == {"total", "version", "updatedAt"}


def test_protected_and_written_once(users, db):
    db.create(users.User(pk="u", sk="1", title="a"))
    with pytest.raises(DynamORMError):
        db.update(users.User, "u", "1", users.User.title.set("b"))
    db.update(users.User, "u", "1", users.User.title.set("b"), allow=("title",))
    event = db.create(users.Event(pk="e", sk="1", release_id="r"))
    event.class_ = "changed"
    with pytest.raises(DynamORMError):
        db.save(event)
    with pytest.raises(ConditionFailed):
        db.create(users.Event(pk="e", sk="1"))


def test_there_and_back(run, generate, tmp_path, monkeypatch):
    """The document of the models of a document says the same."""
    _, text = generate(DOCUMENT)
    (tmp_path / "of_dms.py").write_text(text)
    monkeypatch.delitem(sys.modules, "of_dms", raising=False)
    ran = run("models", "export", "of_dms", "--format", "dms")
    assert ran.code == 0, ran
    back, first = yaml.safe_load(ran.out), yaml.safe_load(DOCUMENT)
    sys.modules.pop("of_dms")
    for one, other in zip(back["models"], first["models"], strict=True):
        assert one["table"] == other["table"]
        assert one["keys"] == other["keys"]
        assert one.get("indexes") == other.get("indexes")
        mine = {attribute.pop("attribute"): attribute for attribute in one["attributes"]}
        theirs = {attribute.pop("attribute"): attribute for attribute in other["attributes"]}
        assert list(mine) == list(theirs)
        for name, attribute in theirs.items():
            assert {key: value for key, value in mine[name].items() if key != "roles"} == {
                key: value for key, value in attribute.items() if key != "roles"
            }, name
    assert back["models"][0]["write_policy"] == first["models"][0]["write_policy"]
    assert back["models"][1]["write_policy"]["mode"] == "write_once"
    (again,) = [line for line in generate(ran.out, "back.yaml")[1].splitlines() if line.startswith("# Of")]
    assert again == "# Of the DMS document 'back.yaml', version 0.2"
    assert generate(ran.out, "back.yaml")[1].partition("\n")[2] == text.partition("\n")[2]
    as_json = json.dumps(yaml.safe_load(DOCUMENT))
    assert generate(as_json, "pay.json")[1].partition("\n")[2] == text.partition("\n")[2], "JSON is the same document"


def test_names_of_a_document_never_become_code(generate):
    document = yaml.safe_load(DOCUMENT)
    model = document["models"][1]
    model["name"] = 'X(Model): pass\nraise SystemExit("executed")\n#'
    document["namespace"] = 'x"""\nraise SystemExit\n'
    names = [
        "import os",
        "'); raise SystemExit #",
        "self",
        "Model",
        "version",
        "ttl",
        "created_at",
        "é",
        "__init__",
        "datetime",
    ]
    model["attributes"] += [{"attribute": name, "type": "S", "optional": True} for name in names]
    module, text = generate(json.dumps(document), "x.json")
    assert "class XModelPassRaiseSystemExitExecuted(Model" in text
    stored = {field.stored for field in schema_of(module.XModelPassRaiseSystemExitExecuted).fields.values()}
    assert stored == {"PK", "SK", "releaseId", "class", *names}


BAD = {
    'dms_version: "0.2"': ("dms_version: 0.2", ":1: expected `str`, got `float`: write the version in quotes"),
    'naming: { convention: "camelCase" }': ('naming: { convention: "pascalCase" }', ":6: invalid enum value 'pascalCase'"),
    '"title", type: "S"': ('"Title", type: "S"', "'Title' is not in camelCase"),
    'attribute: "count", type: "N"': ('attribute: "title", type: "N"', "'title' stands twice among the attributes"),
    'attribute: "emailHash", type: "S" }': ('attribute: "mailHash", type: "S" }', ":34: 'mailHash' is no attribute of the model"),
    'roles: ["version"]': ('roles: ["verison"]', "there is no role 'verison'"),
    '"blob", type: "B", binary': ('"blob", type: "S", binary', "'blob' is binary: its type is B"),
    "optional: true, omit_empty: true, roles": ("optional: true, required: true, roles", "both required and optional"),
    'roles: ["index_pk:gsi-email"]': ('roles: ["index_pk:gsi-mail"]', "the keys and indexes say otherwise"),
    'type: "N", format: "unix_seconds"': ('type: "S", format: "unix_seconds"', "of the format unix_seconds is of type N"),
    'protected_attributes: ["title"]': ('protected_attributes: ["titel"]', "'titel' is no attribute of the model"),
    'name: "users" }\n    naming': ('name: "u" }\n    naming', "the name of a table has 3 to 255"),
    'name: "Event"': ('name: "User"', "two models are called 'User'"),
    'namespace: "acme.payments"': ("namespace: &a x", "no anchors"),
    'mode: "write_once"': ('mode: "write_once", extra: 1', "unknown field `extra`"),
    "models:": ("models: [", ": this is not YAML"),
    'type: "KEYS_ONLY"': ('type: "INCLUDE"', "a projection names fields where its type is INCLUDE"),
}  # fmt: skip


@pytest.mark.parametrize("good", BAD)
def test_what_is_wrong_in_a_document_is_told_with_its_line(refused, tmp_path, good):
    bad, told = BAD[good]
    assert good in DOCUMENT
    (tmp_path / "bad.yml").write_text(DOCUMENT.replace(good, bad, 1))
    said = refused(1, "models", "generate", "--from-dms", "bad.yml")
    assert told in said
    assert "bad.yml:" in said


def test_files_that_are_no_documents(refused, tmp_path):
    refused(1, "models", "generate", "--from-dms", "nowhere.yml")
    for name, text in {"a.yml": b"", "b.yml": b"[]", "c.json": b"{", "d.yml": b"\xff\xfe\x00", "e.yml": b"a: b\n---\nc: d",
                       "f.json": b'{"dms_version": "0.1", "dms_version": "0.1", "models": []}', "g.yml": b"[" * 5000,
                       "h.yml": b'dms_version: "0.1"\nmodels: []', "i.json": b"[" * 100_000}.items():  # fmt: skip
        (tmp_path / name).write_bytes(text)
        assert name in refused(1, "models", "generate", "--from-dms", name)
    refused(2, "models", "generate")
    refused(2, "models", "generate", "users", "--from-dms", "a.yml")


class Card(Model, table="cards", naming="camelCase"):
    id: Attr[str] = partition_key()
    number: Attr[str] = attr(Encrypted("pci", envelope="v1"))
    meta: Attr[dict[str, int]] = attr(Json(), default_factory=dict)
    owner_id: Attr[str | None] = attr(default=None)
    at: Attr[datetime | None] = attr(default=None)
    expires: Attr[datetime | None] = ttl(default=None)
    made: Attr[datetime] = created_at()
    changed: Attr[datetime] = updated_at()
    version: Attr[int] = version()
    by_owner = gsi("by-owner", partition="owner_id", sort="at")


class Anything(Model, table="cards"):
    id: Attr[str] = partition_key()
    any: Attr[str | int] = attr(default=1)


class Own(Model, table="cards"):
    id: Attr[str] = partition_key()
    secret: Attr[str] = attr(Encrypted("pci"))


class Part(Model, table="parts"):
    tenant: Attr[str]
    number: Attr[int]
    pk: Attr[str] = partition_key(composite("tenant"))
    sk: Attr[str] = sort_key(composite("number"))
    color: Attr[str] = attr(Codec(str, str), default="red")
    by_number = lsi("by-number", sort="number")


class Whole(Model, table="parts"):
    tenant: Attr[str]
    pk: Attr[str] = partition_key(composite("tenant"))
    sk: Attr[int] = sort_key()
    by_number = lsi("by-tenant", sort="tenant")


def test_the_document_of_models_of_ones_own(run, refused, generate):
    ran = run("models", "export", "tests.cli.test_dms:Card", "tests.cli.test_dms:Whole", "--format", "dms")
    assert ran.code == 0, ran
    card, whole = yaml.safe_load(ran.out)["models"]
    attributes = {one.pop("attribute"): one for one in card["attributes"]}
    assert attributes["number"] == {"type": "S", "required": True, "encryption": {"v": 1}}
    assert attributes["meta"] == {"type": "S", "optional": True, "json": True}
    assert attributes["ownerId"] == {"type": "S", "optional": True, "roles": ["index_pk:by-owner"]}
    assert attributes["expires"] == {"type": "N", "optional": True, "format": "unix_seconds", "roles": ["ttl"]}
    assert card["naming"] == {"convention": "camelCase"}
    assert {one["attribute"]: one["type"] for one in whole["attributes"]} == {"tenant": "S", "pk": "S", "sk": "N"}
    module, text = generate(ran.out)
    assert "attr(Encrypted('shared', envelope='v1'))" in text
    assert schema_of(module.Card).fields["owner_id"].stored == "ownerId"
    for name, told in {"Anything": "Anything.any may be stored as several types", "Own": "write Encrypted(..., envelope='v1')",
                       "Part": "Part.color may be stored as several types"}.items():  # fmt: skip
        assert told in refused(1, "models", "export", f"tests.cli.test_dms:{name}", "--format", "dms")
