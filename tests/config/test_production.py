"""What the production preset demands of the models it is used with."""

from __future__ import annotations

from decimal import Decimal

import pytest

from dynamorm import DB, Attr, Credentials, Model, Presets, partition_key, version
from dynamorm.errors import ModelError


class Paid(Model, table="paid"):
    id: Attr[str] = partition_key()
    refund_total: Attr[Decimal]


class Guarded(Model, table="guarded"):
    id: Attr[str] = partition_key()
    amount: Attr[int]
    version: Attr[int] = version()


class Note(Model, table="notes"):
    id: Attr[str] = partition_key()
    amount_in_words: Attr[str]


@pytest.fixture
def session():
    db = DB(Presets.production(region="eu-west-1", credentials=Credentials("A" * 20, "s" * 40)))
    yield db._session
    db.close()


def test_a_model_that_holds_money_needs_a_version(session):
    for _ in range(2):  # not only the first time
        with pytest.raises(ModelError, match=r"Paid\.refund_total is money: declare version"):
            session.plan(Paid)


def test_a_versioned_model_is_taken_without_a_word(session):
    assert session.plan(Guarded) is session.plan(Guarded)


def test_any_other_model_without_a_version_is_warned_of_once(session):
    with pytest.warns(UserWarning, match="Note has no version"):
        plan = session.plan(Note)
    assert session.plan(Note) is plan


def test_other_presets_take_them_all():
    with DB(Presets.local_development(endpoint="http://127.0.0.1:1")) as db:
        assert db._session.plan(Paid).version is None
