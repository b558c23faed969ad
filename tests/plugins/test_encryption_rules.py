"""Rules of encrypted fields that stand by themselves: the name of a normalizer, what lies inside others, and searches for all tenants."""

import dataclasses

import pytest

from dynamorm import DB, Attr, Config, Model, Tenant, attr, composite, gsi, partition_key
from dynamorm.engine import Engine
from dynamorm.errors import ModelError, TenantRequired
from dynamorm.plugins import Encrypted, EncryptionPlugin
from dynamorm.plugins.tenancy import Tenancy


def folded(text):
    return text.casefold().strip()


def stripped(text):
    return text.casefold().strip()


class Person(Model, table="rules-people"):
    id: Attr[str] = partition_key()
    name: Attr[str] = attr(Encrypted("pii", searchable=True, normalize=folded))
    by_name = gsi("gsi-name", partition="name")


class Renamed(Model, table="rules-people"):
    """The same attribute, made normal by a function that does the same and is called otherwise."""

    id: Attr[str] = partition_key()
    name: Attr[str] = attr(Encrypted("pii", searchable=True, normalize=stripped))
    by_name = gsi("gsi-name", partition="name")


class Raw(Model, table="rules-people"):
    id: Attr[str] = partition_key()
    index: Attr[bytes | None] = attr(name="_bi_name", default=None)


@pytest.fixture
def db(keys):
    with DB(Config(engine=Engine(), region="eu-west-1"), extensions=(EncryptionPlugin(keys),)) as made:
        made.tables.ensure(Person)
        yield made


# --------------------------------------------------------------------------------------------- rule 24: a normalizer's name


def test_another_name_of_the_normalizer_is_another_index(db):
    """The name is a part of what is hashed: what is stored under the old one is not found under the new one."""
    db.create(Person(id="1", name=" Ada "))
    assert [one.id for one in db.model(Person).where(Person.name.equals("ADA")).all()] == ["1"]
    assert db.model(Renamed).where(Renamed.name.equals("ADA")).all() == []
    db.create(Renamed(id="2", name="ada"))
    assert [one.id for one in db.model(Renamed).where(Renamed.name.equals("ADA")).all()] == ["2"]
    assert [one.id for one in db.model(Person).where(Person.name.equals("ADA")).all()] == ["1"]
    assert db.get(Raw, "1").index != db.get(Raw, "2").index


def test_the_same_name_is_the_same_index_whatever_the_function_is(db):
    def made(text):
        return text.casefold().strip()

    made.__name__ = made.__qualname__ = "folded"

    class Again(Model, table="rules-people"):
        id: Attr[str] = partition_key()
        name: Attr[str] = attr(Encrypted("pii", searchable=True, normalize=made))
        by_name = gsi("gsi-name", partition="name")

    db.create(Person(id="1", name="Ada"))
    db.create(Again(id="2", name="Ada"))
    assert db.get(Raw, "1").index == db.get(Raw, "2").index
    assert len(db.model(Again).where(Again.name.equals("ada")).all()) == 2


def test_an_item_that_is_saved_again_gets_the_index_of_today(db):
    """A new index is filled by writing the values anew, as after any change of it (rule 6)."""
    db.create(Person(id="1", name="Ada"))
    one = db.require(Renamed, "1")
    db.put(one)
    assert [found.id for found in db.model(Renamed).where(Renamed.name.equals("ADA")).all()] == ["1"]
    assert db.model(Person).where(Person.name.equals("ADA")).all() == []


# ------------------------------------------------------------------------------------------- rule 29: only at the top


class Inner(Model):
    number: Attr[str] = attr(Encrypted("pci"))


class Middle(Model):
    inner: Attr[Inner | None] = attr(default=None)


@dataclasses.dataclass
class Plain:
    inner: Inner


@pytest.mark.parametrize(
    "kind",
    [Inner, Inner | None, list[Inner], dict[str, Inner], Middle, list[Middle], Plain, tuple[Inner, ...]],
    ids=str,
)
def test_an_encrypted_field_inside_another_one_is_refused(keys, kind):
    class Outer(Model, table="rules-outer"):
        id: Attr[str] = partition_key()
        held: Attr[kind]

    with DB(Config(engine=Engine(), region="eu-west-1"), extensions=(EncryptionPlugin(keys),)) as made:
        with pytest.raises(ModelError) as refused:
            made.get(Outer, "1")
        assert "Inner.number" in str(refused.value)
        with pytest.raises(ModelError):
            made.tables.ensure(Outer)


# --------------------------------------------------------------------------------------------- searches for all tenants


class Card(Model, table="rules-cards"):
    pk: Attr[str] = partition_key(composite("tenant_id", "token"))
    tenant_id: Attr[str] = attr(Tenant(), default="")
    token: Attr[str]
    number: Attr[str] = attr(Encrypted("pci", searchable=True))
    lookup: Attr[str] = attr(composite("tenant_id", "token"), init=False)


@pytest.fixture
def cards(keys):
    with DB(Config(engine=Engine(), region="eu-west-1")) as made:
        made.use(Tenancy(), EncryptionPlugin(keys))
        made.tables.ensure(Card)
        for tenant in ("a", "b"):
            made.with_tenant(tenant).create(Card(token="1", number="4111"))
        yield made


def test_a_search_for_all_tenants_is_refused_before_anything_is_sent(cards):
    """Each tenant has a key of its own for its index: a search with one of them, or with none, would find too little in silence."""
    every = cards.all_tenants(reason="test")
    query = every.model(Card).allow_scan()
    for search in (
        lambda: query.where(Card.number.equals("4111")).all(),
        lambda: query.where(Card.number.equals("4111")).count(),
        lambda: query.where(Card.number.equals("4111"), Card.token == "1").first(),
        lambda: query.where(Card.number.equals("4111") | (Card.token == "2")).all(),
    ):
        with pytest.raises(TenantRequired, match=r"db\.with_tenant") as refused:
            search()
        assert "Card.number" in str(refused.value)
        assert "4111" not in str(refused.value)
    assert sorted(one.tenant_id for one in query.all()) == ["a", "b"]


def test_a_search_for_one_tenant_finds_its_own(cards):
    for tenant in ("a", "b"):
        view = cards.with_tenant(tenant)
        found = view.model(Card).where(Card.token == "1", Card.number.equals("4111")).all()
        assert [(one.tenant_id, one.number) for one in found] == [(tenant, "4111")]
        assert view.model(Card).where(Card.token == "1", Card.number.equals("4222")).all() == []


def test_a_condition_for_all_tenants_is_refused_too(cards):
    every = cards.all_tenants(reason="test")
    with pytest.raises(TenantRequired, match=r"db\.with_tenant"):
        every.delete(Card, "a#1", condition=Card.number.equals("4111"))
    assert cards.with_tenant("a").get(Card, token="1") is not None
