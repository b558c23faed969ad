"""Validators, derived fields and hooks of models whose fields plugins store: encrypted, compressed, of a tenant."""

import pytest

from dynamorm import (
    Attr,
    Compressed,
    Config,
    Encrypted,
    Ephemeral,
    LocalKeyProvider,
    Model,
    Secret,
    Tenant,
    after_load,
    after_save,
    attr,
    before_save,
    composite,
    derived,
    model_validator,
    partition_key,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import ModelError, ValidationError
from tests.support.faces import Face

pytestmark = pytest.mark.engine

CALLS = []


class Card(Model, table="method-cards", validate="always"):
    id: Attr[str] = partition_key()
    number: Attr[str] = attr(Encrypted("pci"), min_length=4)
    last4: Attr[str] = attr(default="")
    cvv: Attr[Secret | None] = attr(Encrypted("pci"), Ephemeral(), default=None)
    page: Attr[str] = attr(Compressed("gzip", above=10), default="")
    length: Attr[int] = attr(derived("page", by=len), init=False)
    version: Attr[int] = version()

    @model_validator("number", "last4")
    def ends_so(self) -> None:
        if self.last4 and not self.number.endswith(self.last4):
            raise ValueError(self.number)

    @before_save
    def shorten(self) -> None:
        self.last4 = self.number[-4:]

    @after_load
    def read(self) -> None:
        CALLS.append(self.number)

    @after_save
    def stored(self) -> None:
        CALLS.append("after_save")


class Document(Model, table="method-documents"):
    pk: Attr[str] = partition_key(composite("tenant_id", "id"))
    tenant_id: Attr[str] = attr(Tenant())
    id: Attr[str]
    low: Attr[int] = attr(default=1)
    high: Attr[int] = attr(default=2)
    span: Attr[int] = attr(derived("low", "high", by=lambda low, high: high - low), init=False)
    version: Attr[int] = version()

    @model_validator("low", "high")
    def rising(self) -> None:
        if self.low > self.high:
            raise ValueError

    @before_save
    def widen(self) -> None:
        CALLS.append(self.tenant_id)
        self.high = max(self.low, self.high)


@pytest.fixture
def db(face_kind, tmp_path):
    CALLS.clear()
    face = Face(face_kind, Config(engine=Engine()))
    face.inner.set_encryption_provider(LocalKeyProvider(tmp_path / "keys"))
    face.inner.enable_multi_tenancy()
    face.tables.ensure(Card)
    face.tables.ensure(Document)
    yield face
    face.close()


def test_encrypted_and_compressed_fields(db):
    with pytest.raises(ValidationError, match="number must have a length of at least 4"):
        Card(id="c", number="777")
    card = Card(id="c", number="41111234", cvv="123")
    db.create(card)
    assert (card.last4, card.length, CALLS) == ("1234", 0, ["after_save"])
    found = db.require(Card, "c")
    assert (found.number, found.last4, CALLS[-1]) == ("41111234", "1234", "41111234")
    with pytest.raises(
        ValidationError, match="number is stored in a form of its own: load the object, change it and save it"
    ):
        db.update(found, Card.last4.set("9999"))
    with pytest.raises(ValidationError, match="number and last4 do not fit together") as refused:
        db.update(found, Card.number.set("77777777"), Card.last4.set("9999"))
    assert "77777777" not in str(refused.value)
    db.update(found, Card.number.set("77779999"), Card.last4.set("9999"), Card.page.set("x" * 40))
    assert (found.number, found.length) == ("77779999", 40)
    found.page = "y" * 50
    with db.transaction() as tx:
        tx.save(found)
    again = db.require(Card, "c")
    assert (again.number, again.page, again.length) == ("77779999", "y" * 50, 50)
    assert db.batch_write(puts=[Card(id="d", number="41115555")]).ok
    assert db.require(Card, "d").last4 == "5555"


def test_what_is_secret_is_derived_of_by_nothing(db):
    class Telling(Model, table="method-cards"):
        id: Attr[str] = partition_key()
        number: Attr[str] = attr(Encrypted("pci"))
        shown: Attr[str] = attr(derived("number", by=str), init=False)

    with pytest.raises(ModelError, match="is derived of number, which is secret"):
        db.get(Telling, "c")


def test_a_model_of_tenants(db):
    for tenant in ("t1", "t2"):
        CALLS.clear()
        view = db.with_tenant(tenant)
        made = view.create(Document(id="1", low=3))
        assert (made.high, made.span, made.tenant_id) == (3, 0, tenant)
        with pytest.raises(ValidationError, match="low and high do not fit"):
            view.update(made, Document.low.set(4))
        view.update(made, Document.high.add(4))
        assert (made.high, made.span) == (7, 4)
        with view.transaction() as tx:
            tx.update(made, Document.low.set(7))
            tx.create(Document(id="3", low=5))
        assert (made.span, made.low) == (0, 7)
        assert view.batch_write(puts=[Document(id="2", low=9)]).ok
        assert len(CALLS) == 3
