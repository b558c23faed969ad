"""What DynamoDB may answer with is read, however much JSON it takes."""

import pytest

from dynamorm import Attr, Model, partition_key


class Blob(Model, table="large-blobs"):
    id: Attr[str] = partition_key()
    data: Attr[bytes]


class Flags(Model, table="large-flags"):
    id: Attr[str] = partition_key()
    flags: Attr[list[bool]]


class Texts(Model, table="large-texts"):
    id: Attr[str] = partition_key()
    texts: Attr[list[str]]


PATIENT = {"request_timeout": 60, "operation_timeout": 90}


@pytest.fixture
def patient(open_db, engine):
    """A database that waits for an emulator to write 20 MB."""
    db = open_db(engine.endpoint, table_prefix="large-", **PATIENT)
    db.tables.ensure(Blob, Flags, Texts)
    yield db
    for model in (Blob, Flags, Texts):
        db.tables.delete(model)


@pytest.mark.engine
def test_a_batch_of_35_blobs_of_390_kb_is_read(patient):
    data = bytes(range(256)) * (390_000 // 256)
    ids = [f"b{number:02}" for number in range(35)]
    for each in ids:
        patient.put(Blob(id=each, data=data))
    found = patient.batch_get(Blob, ids)
    assert [one.id for one in found] == ids
    assert all(one.data == data for one in found)


@pytest.mark.local  # ministack takes a second for each item, on each face
def test_seven_items_of_190_000_booleans_are_read_at_one_moment(patient):
    flags = [number % 3 == 0 for number in range(190_000)]
    for number in range(7):
        patient.put(Flags(id=f"f{number}", flags=flags))
    found = patient.transact_get([(Flags, f"f{number}") for number in range(7)])
    assert [one.flags == flags for one in found] == [True] * 7


@pytest.mark.engine
def test_an_item_of_empty_texts_is_read(patient):
    texts = [""] * 390_000
    patient.put(Texts(id="t", texts=texts))
    assert patient.require(Texts, "t").texts == texts
