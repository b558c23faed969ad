"""Records of streams in views of tenants: those of another tenant are refused, and the library's own items are passed over (rule 34)."""

import json
import warnings

import pytest

from dynamorm import Attr, Model, Tenant, attr, partition_key, sort_key
from dynamorm.errors import ModelError, TenantError, TenantMismatch, TenantRequired
from dynamorm.streams import decode, decode_event, process

from .tenancy_kit import Order, Put, Shared, Txn
from .tenancy_world import World, database


class Mixed(Model, table="tenancy-mixed"):
    """A table of everything, whose keys are those of single-table designs."""

    pk: Attr[str] = partition_key()
    sk: Attr[str] = sort_key()
    tenant_id: Attr[str] = attr(Tenant())


ITEMS = {
    Txn: lambda tenant: {"pk": f"{tenant}#n", "sk": "0", "tenant_id": tenant, "number": "n", "at": "0"},
    Order: lambda tenant: {"tenant_id": tenant, "number": "n"},
    Put: lambda tenant: {"id": f"T#{tenant}#n", "tenant_id": tenant},
    Shared: lambda tenant: {"id": "n", "tenant_id": tenant},
    Mixed: lambda tenant: {"pk": "n", "sk": "0", "tenant_id": tenant},
}
KEYS = {Txn: ("pk", "sk"), Order: ("tenant_id", "number"), Put: ("id",), Shared: ("id",), Mixed: ("pk", "sk")}
models = pytest.mark.parametrize("model", ITEMS, ids=lambda model: model.__name__)


@pytest.fixture(scope="module")
def db():
    made = database("blocking", World())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of keys that are shared
        made.inner.view(tenant="any")._session.plan(Mixed)
    yield made.inner
    made.close()


def image(model, tenant, **more):
    return {name: {"S": text} for name, text in {**ITEMS[model](tenant), **more}.items()} | {
        "amount": {"N": "1"},
        "version": {"N": "0"},
    }


def record(model, new=None, old=None, number=1):
    shown = new or old
    change = {"Keys": {name: shown[name] for name in KEYS[model]}, "SequenceNumber": str(number), "StreamViewType": "X"}
    if new is not None:
        change["NewImage"] = new
    if old is not None:
        change["OldImage"] = old
    kind = "REMOVE" if new is None else "INSERT" if old is None else "MODIFY"
    return {"eventID": str(number), "eventName": kind, "dynamodb": change}


@models
def test_a_record_of_ones_own_is_given(db, model):
    a = db.view(tenant="a")
    given = record(model, image(model, "a"), image(model, "a"))
    kind, old, new = decode(given, model, db=a)
    assert (kind, old.tenant_id, new.tenant_id) == ("modify", "a", "a")
    assert [one.new.tenant_id for one in decode_event({"Records": [given]}, model, db=a)] == ["a"]
    seen = []
    assert process({"Records": [given]}, model, seen.append, db=a) == {"batchItemFailures": []}
    assert len(seen) == 1


@models
@pytest.mark.parametrize("shown", ["new", "old", "both"])
def test_a_record_of_another_tenant_is_refused_and_never_passed_over(db, model, shown, caplog):
    a, foreign = db.view(tenant="a"), image(model, "b")
    images = {"new": (foreign, None), "old": (None, foreign), "both": (foreign, foreign)}[shown]
    given = record(model, *images, number=2)
    with pytest.raises(TenantMismatch) as refused:
        decode(given, model, db=a)
    assert getattr(refused.value, "item", None) is None
    event = {"Records": [record(model, image(model, "a"), number=1), given, record(model, image(model, "a"), number=3)]}
    seen = []
    with pytest.raises(TenantMismatch):
        seen += decode_event(event, model, db=a)
    seen, failed = [], []
    answer = process(event, model, seen.append, db=a, on_error=lambda one, error: failed.append(type(error)))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert (len(seen), failed) == (1, [TenantMismatch])
    assert '"b"' not in caplog.text


@models
def test_one_image_of_another_tenant_is_enough(db, model):
    """As where an item of a shared key was deleted and made anew by somebody else."""
    if model is not Shared and model is not Mixed:
        pytest.skip("tenants share no key")
    a = db.view(tenant="a")
    for new, old in (("a", "b"), ("b", "a")):
        given = record(model, image(model, new), image(model, old))
        with pytest.raises(TenantMismatch):
            decode(given, model, db=a)
        with pytest.raises(TenantMismatch):
            list(decode_event({"Records": [given]}, model, db=a))


@models
def test_a_view_of_all_tenants_is_given_them_all(db, model):
    every = db.all_tenants(reason="stream")
    event = {"Records": [record(model, image(model, tenant), number=at) for at, tenant in enumerate("ab", 1)]}
    assert [one.new.tenant_id for one in decode_event(event, model, db=every)] == ["a", "b"]
    assert decode(event["Records"][1], model, db=every).new.tenant_id == "b"


@models
def test_without_a_tenant_nothing_is_decoded(db, model):
    given = record(model, image(model, "a"))
    with pytest.raises(ModelError):
        decode(given, model)
    with pytest.raises(ModelError):
        list(decode_event({"Records": [given]}, model))
    with pytest.raises(TenantRequired):
        decode(given, model, db=db)
    with pytest.raises(TenantRequired):
        list(decode_event({"Records": [given]}, model, db=db))
    answer = process({"Records": [given]}, model, print, db=db, on_error=lambda *_: None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "1"}]}


@pytest.mark.parametrize("tenant", [None, "a", "b"])
@pytest.mark.parametrize("key", ["~A#Payment#Sp1", "~C#20000", "~I#charge#x", "~K#pci", "~U#Payment#mail#x"])
def test_the_librarys_own_items_are_passed_over_whosever_they_are(db, key, tenant):
    own = f"T#{tenant}#{key}" if tenant else key
    found = {"pk": {"S": own}, "sk": {"S": "0"}, "body": {"B": "eA=="}}
    event = {"Records": [record(Mixed, found), record(Mixed, image(Mixed, "a"), number=2), record(Mixed, old=found)]}
    for view in (db.view(tenant="a"), db.all_tenants(reason="stream")):
        assert decode(record(Mixed, found), Mixed, db=view).is_system
        assert [one.sequence_number for one in decode_event(event, Mixed, db=view)] == ["2"]
        seen = []
        assert process(event, Mixed, seen.append, db=view) == {"batchItemFailures": []}
        assert len(seen) == 1


@pytest.mark.parametrize("key", ["A#x", "~", "~a#x", "~Z", "T#a", "T#a#x", "T#~A#x", "x~A#y"])
def test_other_keys_are_items(db, key):
    given = record(Mixed, image(Mixed, "a", pk=key))
    found = decode(given, Mixed, db=db.view(tenant="a"))
    assert not found.is_system
    assert [one.keys for one in decode_event({"Records": [given]}, Mixed, db=db.view(tenant="a"))] == [(key, "0")]


def test_a_stream_itself_is_of_all_tenants(db):
    with pytest.raises(TenantError):
        db.view(tenant="a").stream(Shared)


def test_an_event_as_lambda_has_it(db):
    """As JSON, by its table, with records of two tables."""
    arn = "arn:aws:dynamodb:eu-west-1:1:table/{}/stream/2026-01-01T00:00:00.000"
    records = [
        {**record(Shared, image(Shared, "a")), "eventSourceARN": arn.format("tenancy-shared")},
        {**record(Order, image(Order, "a"), number=2), "eventSourceARN": arn.format("tenancy-orders")},
        {**record(Shared, image(Shared, "b"), number=3), "eventSourceARN": arn.format("tenancy-shared")},
    ]
    event = json.loads(json.dumps({"Records": records}))
    tables = {"tenancy-shared": Shared, "tenancy-orders": Order}
    seen = []
    answer = process(event, tables, seen.append, db=db.view(tenant="a"), on_error=lambda *_: None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "3"}]}
    assert [type(one.new).__name__ for one in seen] == ["Shared", "Order"]
