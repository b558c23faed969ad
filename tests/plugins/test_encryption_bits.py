"""A blind index that several values share finds too much: what is left out is left out before it is counted, added up, limited or cut."""

from decimal import Decimal

import pytest

from dynamorm import Attr, Bits, Encrypted, Model, Unique, attr, gsi, partition_key, sort_key
from dynamorm.errors import ModelError
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import Provider

COUNT = 60


pytestmark = pytest.mark.filterwarnings("ignore:no cursor_key is set")


@pytest.fixture(scope="module")
def made(prefix):
    return prefix


@pytest.fixture
def rows(plugged, key, face_kind):
    """A table in which every value of the indexed field shares its index with others, and how many have each of them."""

    class Row(Model, table=f"bits-{key[:12]}-{face_kind}"):
        owner: Attr[str] = partition_key()
        number: Attr[int] = sort_key()
        amount: Attr[int] = attr(default=0)
        zip: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(8)), default=None)
        by_zip = gsi("gsi-zip", partition="zip", sort="number")

    plugin = EncryptionPlugin(Provider())
    plugin_fields = plugin.fields
    db = plugged(plugin)
    db.tables.create(Row)
    db.create(Row(owner="x", number=0, zip="seed"))
    blind = plugin_fields[Row]["zip"].blind
    cut = blind._cut
    blind._cut = lambda digest: cut(bytes(32))  # all values share one index
    values = {}
    for at in range(COUNT):
        value = f"z{at % 7}"
        db.create(Row(owner="o" if at % 2 else "p", number=at, amount=at, zip=value))
        values[at] = value
    return Row, db, values


def expected(values, value, owner=None):
    return [at for at, one in values.items() if one == value and (owner is None or ("o" if at % 2 else "p") == owner)]


def query(db, Row, value, how):
    builder = db.model(Row)
    if how == "scan":
        return builder.allow_scan().where(Row.zip.equals(value))
    if how == "index":
        return builder.where(Row.zip.equals(value)).order_by("number")
    return builder.where(Row.owner == "o").where(Row.zip.equals(value)).order_by("number")


@pytest.mark.parametrize("how", ["scan", "index", "partition"])
@pytest.mark.parametrize("value", ["z0", "z3", "none"])
def test_every_end_of_a_query_tells_of_the_same_items(rows, how, value):
    Row, db, values = rows
    wanted = expected(values, value, "o" if how == "partition" else None)
    find = lambda: query(db, Row, value, how)  # noqa: E731 - a query is for one end
    assert sorted(one.number for one in find().all()) == wanted
    assert find().count() == len(wanted)
    assert (find().first() is None) is (not wanted)
    assert find().exists() is bool(wanted)
    assert find().sum("amount") == sum(wanted)
    assert find().average("amount") == (Decimal(sum(wanted)) / len(wanted) if wanted else None)
    assert find().min("amount") == (min(wanted) if wanted else None)
    assert find().max("amount") == (max(wanted) if wanted else None)
    assert sorted(one.number for one in find()) == wanted
    shown = find().select("number", "zip").all()
    assert sorted((one.number, one.zip) for one in shown) == [(at, value) for at in wanted]


@pytest.mark.parametrize("how", ["scan", "index", "partition"])
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_limits_and_pages_count_what_is_found(rows, how, limit):
    Row, db, values = rows
    wanted = expected(values, "z3", "o" if how == "partition" else None)
    limited = query(db, Row, "z3", how).limit(limit).all()
    assert len(limited) == min(limit, len(wanted))
    assert {one.zip for one in limited} <= {"z3"}
    assert query(db, Row, "z3", how).limit(limit).count() == min(limit, len(wanted))
    seen, cursor = [], None
    for _ in range(200):
        find = query(db, Row, "z3", how).page_size(limit)
        page = (find.cursor(cursor) if cursor else find).page()
        assert {one.zip for one in page.items} <= {"z3"}
        seen += [one.number for one in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert sorted(seen) == wanted


def test_what_is_selected_need_not_name_the_field(rows):
    Row, db, values = rows
    wanted = expected(values, "z3")
    found = db.model(Row).where(Row.zip.equals("z3")).select("number").all()
    assert sorted(one.number for one in found) == wanted


def test_segments_and_deletes(rows):
    Row, db, values = rows
    wanted = expected(values, "z3")
    found = db.model(Row).allow_scan().segments(3).where(Row.zip.equals("z3")).all()
    assert sorted(one.number for one in found) == wanted
    assert db.model(Row).allow_scan().where(Row.zip.equals("z3")).delete_all(confirm=True) == len(wanted)
    left = sorted(one.number for one in db.model(Row).allow_scan().where(Row.owner != "x").all())
    assert left == [at for at in values if values[at] != "z3"]


def test_it_is_refused_where_a_value_is_unique(plugged, key):
    class Row(Model, table=f"bits-unique-{key[:12]}"):
        id: Attr[str] = partition_key()
        zip: Attr[str | None] = attr(Encrypted("pii", searchable=Bits(16)), Unique(), default=None)

    with pytest.raises(ModelError, match=r"(?i)unique"):
        plugged(EncryptionPlugin(Provider())).create(Row(id="a", zip="1"))
