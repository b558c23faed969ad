"""``audit`` and ``keys`` on the database of a program."""

from __future__ import annotations

import json

import pytest

from dynamorm.features.raw import RawTable

from . import vault

pytestmark = pytest.mark.engine

DB = ("--db", "tests.cli.vault:open_db")
PAYMENT = "tests.cli.vault:Payment"
CARD = "tests.cli.vault:Card"


@pytest.fixture
def program(prefix, tmp_path, monkeypatch):
    monkeypatch.setenv("VAULT_KEYS", str(tmp_path / "keys"))
    with vault.open_db() as db:
        vault.fill(db)
        yield db
        db.tables.delete(vault.Payment, vault.Card, force=True)


def test_the_history_of_an_item(run, refused, program):
    ran = run("audit", "history", PAYMENT, "p1", *DB, "--json")
    assert ran.code == 0, ran
    one, other = map(json.loads, ran.lines)
    assert (one["op"], one["by"], one["changes"]) == ("create", "user:42", [{"field": "amount", "old": None, "new": 5}])
    assert (other["op"], other["changes"]) == ("update", [{"field": "amount", "old": 5, "new": 6}])
    assert "nothing is recorded" in refused(3, "audit", "history", PAYMENT, "nobody", *DB)


def test_records_that_were_forged_are_found(run, program, prefix):
    assert run("audit", "verify", PAYMENT, "p1", *DB).code == 0
    assert run("audit", "verify", PAYMENT, *DB).code == 0
    raw = RawTable(program._session, prefix + "audited")
    item = json.loads(program._io.run(raw.get(b'{"id":{"S":"p1"}}')))
    program._io.run(raw.put(json.dumps(item | {"amount": {"N": "500"}}).encode()))
    ran = run("audit", "verify", PAYMENT, *DB, "--json")
    assert ran.code == 1
    (bad,) = map(json.loads, ran.lines)
    assert (bad["key"], bad["ok"], bad["reason"]) == (["p1"], False, "external")


def test_records_are_exported_to_a_new_file(run, refused, program, tmp_path):
    ran = run("audit", "export", PAYMENT, "records.jsonl", *DB, "--json")
    assert (ran.code, json.loads(ran.out)["records"]) == (0, 6)
    assert "there already" in refused(2, "audit", "export", PAYMENT, "records.jsonl", *DB)


def test_keys_are_rotated_and_items_written_anew(run, refused, program):
    assert "--yes" in refused(2, "keys", "rotate", "pci", CARD, *DB)
    ran = run("keys", "rotate", "pci", CARD, *DB, "--yes", "--json")
    assert ran.code == 0, ran
    told = json.loads(ran.out)
    assert told["version"] != told["former"]
    assert "--yes" in refused(2, "keys", "reencrypt", CARD, *DB)
    ran = run("keys", "reencrypt", CARD, *DB, "--yes", "--json")
    report = json.loads(ran.out)
    assert (report["items"], report["rewritten"], report["failed"]) == (1, 1, 0)
    assert ran.code == (0 if report["complete"] else 5)
    assert "4111111111111111" not in ran.out + ran.err  # four digits may stand in any id or time
    assert program.require(vault.Card, "c1").number == "4111111111111111"
    assert run("keys", "rotate", "nothing", CARD, *DB, "--yes").code == 2


def test_what_the_program_has_not_enabled_is_wrong_usage(refused, program):
    bare = ("--db", "tests.cli.vault:open_bare")
    for command in (
        ("history", PAYMENT, "p1"),
        ("verify", PAYMENT),
        ("verify", PAYMENT, "p1"),
        ("export", PAYMENT, "r.jsonl"),
    ):
        assert "enable_change_tracking" in refused(2, "audit", *command, *bare)
    assert "set_encryption_provider" in refused(2, "keys", "rotate", "pci", CARD, *bare, "--yes")
    assert "set_encryption_provider" in refused(2, "keys", "reencrypt", CARD, *bare, "--yes")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("tests.cli.vault", "write module:name"),
        ("tests.cli.vault:missing", "is no DB"),
        ("tests.cli.vault:nothing", "is no DB"),
        ("tests.cli.vault:Payment", "is no DB"),
        ("nowhere:db", "no module 'nowhere'"),
    ],
)
def test_what_is_no_database(refused, name, says):
    assert says in refused(2, "audit", "verify", PAYMENT, "--db", name)


def test_a_program_that_does_not_open_is_told_without_its_words(refused):
    told = refused(1, "audit", "verify", PAYMENT, "--db", "tests.cli.vault:failing")
    assert "raised RuntimeError: mend it" in told
    assert "secret" not in told
    assert "name one" in refused(2, "audit", "verify", "tests.cli.vault", *DB)
    assert "--db" in refused(2, "audit", "verify", PAYMENT)
