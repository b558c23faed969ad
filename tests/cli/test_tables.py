"""Tables from the command line."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.engine

HERE = "tests.cli.conftest"


def test_tables_are_planned_made_checked_and_described(run, refused, db, prefix):
    ran = run("tables", "plan", f"{HERE}:Order")
    assert ran.code == 0
    assert f"create table {prefix}orders with the key customer, number" in ran.out
    told = run("tables", "apply", f"{HERE}:Order")
    assert told.code == 2
    assert "--yes" in told.err
    assert db.tables.names() == []

    ran = run("tables", "apply", f"{HERE}:Order", "--yes", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["table"] == f"{prefix}orders"
    assert "done" in ran.err
    assert run("tables", "apply", f"{HERE}:Order", "--yes").err.strip() == "nothing to do"
    assert run("tables", "check", f"{HERE}:Order").code == 0
    assert f"'{prefix}payments' does not exist" in refused(1, "tables", "check", HERE)
    assert run("tables", "list").lines == ["orders"]
    assert json.loads(run("tables", "list", "--json").out) == {"table": "orders"}

    told = run("tables", "describe", "orders").out
    assert "customer (S), number (N)" in told
    assert "by-status (GSI) on status, number" in told
    assert json.loads(run("tables", "describe", "orders", "--json").out)["partition"] == "customer"


def test_a_plan_tells_its_steps_as_json(run, db):
    (step,) = map(json.loads, run("tables", "plan", f"{HERE}:Payment", "--json").lines)
    assert (step["call"], step["step"]) == ("CreateTable", "create table")


def test_tables_are_exported(run, refused):
    assert "AWS::DynamoDB::Table" in run("tables", "export", f"{HERE}:Order").out
    assert "aws_dynamodb_table" in run("tables", "export", HERE, "--format", "terraform").out
    assert "neither" in refused(2, "tables", "export", HERE, "--format", "json-schema")


def test_what_is_not_there_is_told(refused, db):
    assert "does not exist" in refused(3, "tables", "describe", "nowhere")
    assert "no module 'nowhere'" in refused(2, "tables", "plan", "nowhere")
    assert "no model 'Nothing'" in refused(2, "tables", "plan", f"{HERE}:Nothing")
    assert "no model with a table" in refused(2, "tables", "plan", "json")
    assert "see `dynamorm tables --help`" in refused(2, "tables")


def test_a_module_that_cannot_be_imported_is_named_without_its_text(refused, tmp_path):
    (tmp_path / "broken_models.py").write_text("raise RuntimeError('the secret')")
    told = refused(2, "tables", "plan", "broken_models")
    assert "importing 'broken_models' raised RuntimeError" in told
    (tmp_path / "needy_models.py").write_text("import a_module_that_nobody_has")
    assert "needs 'a_module_that_nobody_has'" in refused(2, "tables", "plan", "needy_models")
