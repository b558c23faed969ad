"""Cursors: sealed, bound to their query, and one error for whatever is no cursor of this query."""

import base64
import json
import os
import subprocess
import sys

import pytest

from dynamorm import DB, Attr, Model, Presets, attr, gsi, lsi, partition_key, sort_key
from dynamorm.errors import ConfigError, IntegrityError, Outcome, TamperedCursor, ValidationError
from dynamorm.ops.queries import cursor as cursors

pytestmark = pytest.mark.engine

KEY = b"k" * 32
SETTINGS = {"cursor_key": KEY}


class Order(Model, table="orders"):
    customer: Attr[str] = partition_key(name="PK")
    number: Attr[str] = sort_key(name="SK")
    email: Attr[str] = attr(default="e@x")
    blob: Attr[bytes] = attr(default=b"\x01\x02\x03")
    total: Attr[int] = attr(default=0)
    by_email = gsi("gsi-email", partition="email", sort="number")
    by_blob = gsi("gsi-blob", partition="customer", sort="blob")
    by_total = lsi("lsi-total", sort="total")


class Twin(Model, table="orders"):
    """The same table by another name."""

    customer: Attr[str] = partition_key(name="PK")
    number: Attr[str] = sort_key(name="SK")


MODELS = [Order]


@pytest.fixture(scope="module")
def orders(engine, made):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=made)) as db:
        for number in range(9):
            db.put(Order(customer="c1", number=f"n{number}", total=number))


@pytest.fixture
def query(db, orders):
    return db.model(Order).where(Order.customer == "c1").limit(3)


@pytest.fixture
def cursor(query):
    return query.page().cursor


@pytest.fixture
def opening(engine, made, orders, face_kind):
    """Another database on the same tables, as another process would open it."""
    from tests.support.faces import Face

    faces = []

    def opener(**settings):
        config = Presets.local_development(endpoint=engine.endpoint, table_prefix=made, **settings)
        faces.append(Face(face_kind, config))
        return faces[-1].model(Order).where(Order.customer == "c1").limit(3)

    yield opener
    for face in faces:
        face.close()


def numbers(found):
    return [int(one.number[1:]) for one in found]


def refused(query, cursor):
    """The one error, as far as anybody can see of it."""
    with pytest.raises(TamperedCursor) as caught:
        query.cursor(cursor).page()
    error = caught.value
    return type(error), str(error), error.code, error.__cause__, error.__context__


def test_a_cursor_goes_on_behind_its_page_in_any_process(query, cursor, opening):
    assert cursor.startswith("c1.")
    assert numbers(query.cursor(cursor).page()) == [3, 4, 5]
    other = opening(cursor_key=base64.b64encode(KEY).decode())
    assert numbers(other.limit(5).cursor(cursor).page()) == [3, 4, 5, 6, 7]
    assert numbers(other.limit(2).page_size(1).cursor(cursor).all()) == [3, 4]
    assert other.cursor(cursor).limit(100).count() == 6
    assert numbers([other.cursor(cursor).first()]) == [3]
    assert numbers([one for page in other.cursor(cursor).limit(100).page_size(4).pages() for one in page]) == [
        3, 4, 5, 6, 7, 8,
    ]  # fmt: skip


def test_a_cursor_shows_nothing_of_the_key(query):
    """Two letters stand in a sealed text by chance now and then, but hardly in each of five."""
    sealed = [base64.urlsafe_b64decode(query.page().cursor[3:] + "==") for _ in range(5)]
    assert len(set(sealed)) == 5
    for part in (b"c1", b"n2"):
        assert not all(part in raw for raw in sealed)


def test_no_cursor_is_the_beginning(query):
    assert numbers(query.cursor(None).page()) == [0, 1, 2]


def test_the_order_of_terms_and_the_way_they_are_written_do_not_matter(db, orders):
    one = db.model(Order).where(Order.customer == "c1", Order.total > 1).filter(Order.email == "e@x").limit(2)
    two = db.model(Order).filter("email", "=", "e@x").where("total", ">", 1).where("PK", "=", "c1").limit(3)
    assert numbers(two.cursor(one.page().cursor).page()) == [4, 5, 6]


def test_whatever_is_no_cursor_of_this_query_is_one_and_the_same_error(db, query, cursor, wire, monkeypatch):
    wire.clear()
    at = len(cursor) // 2
    flipped = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
    spare = cursor[:-1] + chr(ord(cursor[-1]) + 1)
    attempts = {
        "another customer": (db.model(Order).where(Order.customer == "c2"), cursor),
        "another condition": (query.filter(Order.total > 5), cursor),
        "another index": (query.index("lsi-total"), cursor),
        "another direction": (query.order_by("number", "desc"), cursor),
        "another selection": (query.select("email"), cursor),
        "another model": (db.model(Twin).where(Twin.customer == "c1"), cursor),
        "a flipped bit": (query, flipped),
        "a cut end": (query, cursor[:-4]),
        "cut to nothing": (query, ""),
        "cut to its prefix": (query, "c1."),
        "another prefix": (query, "c2." + cursor[3:]),
        "more behind it": (query, cursor + "AAAA"),
        "spare bits": (query, spare),
        "white space": (query, cursor[:10] + "\n" + cursor[10:]),
        "not base64": (query, "c1.ä" * 20),
        "random": (query, "c1." + base64.urlsafe_b64encode(os.urandom(200)).decode().rstrip("=")),
        "far too long": (query, "c1." + "A" * 1_000_000),
        "of the Go library": (query, base64.urlsafe_b64encode(b'{"lastKey":{"PK":{"S":"c1"}}}').decode()),
    }
    errors = {refused(*attempt) for attempt in attempts.values()}
    assert len(errors) == 1
    assert wire.names == []
    now = db.inner._session.now()
    with monkeypatch.context() as patch:
        patch.setattr(type(db.inner._session), "now", lambda self: now.replace(year=now.year + 1))
        assert refused(query, cursor) in errors
    assert numbers(query.cursor(cursor).page()) == [3, 4, 5]


def test_every_single_changed_character_is_found_out(query, cursor):
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for at in range(0, len(cursor), 7):
        changed = cursor[:at] + alphabet[(alphabet.find(cursor[at]) + 1) % 64] + cursor[at + 1 :]
        refused(query, changed)


def test_a_cursor_may_be_used_for_a_day(query, monkeypatch):
    clock = [1_800_000_000]
    monkeypatch.setattr(cursors, "_now", lambda context: clock[0])
    cursor = query.page().cursor
    clock[0] += 86_399
    assert len(query.cursor(cursor).page().items) == 3
    clock[0] += 1
    refused(query, cursor)


def test_a_foreign_key_is_the_same_error(query, cursor, opening):
    assert refused(opening(cursor_key=b"z" * 32), cursor) == refused(query, cursor[:-4])


def test_the_first_key_seals_and_all_open(cursor, opening):
    both = opening(cursor_key=[b"n" * 32, KEY])
    assert numbers(both.cursor(cursor).page()) == [3, 4, 5]
    newer = both.page().cursor
    assert numbers(opening(cursor_key=b"n" * 32).cursor(newer).page()) == [3, 4, 5]
    refused(opening(cursor_key=KEY), newer)


def test_a_refusal_says_that_nothing_happened_and_that_trying_again_is_useless(query):
    with pytest.raises(IntegrityError) as caught:
        query.cursor("c1.AAAA").page()
    assert (caught.value.outcome, caught.value.retryable, caught.value.code) == (
        Outcome.NOT_APPLIED, False, "ErrTamperedCursor",
    )  # fmt: skip


def test_without_a_key_the_process_has_one_and_warns_once(opening, monkeypatch):
    monkeypatch.setattr(cursors, "_process", [])
    one, two = opening(), opening()
    page = one.page()
    with pytest.warns(UserWarning, match="cursor_key"):
        cursor = page.cursor
    # A second warning would be an error here.
    assert numbers(two.cursor(cursor).page()) == [3, 4, 5]
    assert two.page().cursor is not None


def test_who_asks_for_no_cursor_needs_no_key(opening, monkeypatch):
    monkeypatch.setattr(cursors, "_process", [])
    assert numbers(opening().page()) == [0, 1, 2]
    assert [len(page) for page in opening().page_size(2).pages()] == [2, 1]


def test_without_cryptography_the_error_names_the_extra(query, monkeypatch):
    page = query.page()
    cursors._sealers.cache_clear()
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(ConfigError, match=r"dynamorm-py\[secure\]"):
        page.cursor


def test_production_needs_a_key_only_where_a_cursor_is_used():
    program = """
from dynamorm import DB, Presets, Credentials, Model, Attr, partition_key
from dynamorm.errors import ConfigError
class Order(Model, table="orders", write_tokens=False):
    id: Attr[str] = partition_key()
    version: Attr[int] = __import__("dynamorm").version()
with DB(Presets.production(region="eu-west-1", credentials=Credentials("AKIAEXAMPLE", "secret"))) as db:
    try:
        db.model(Order).where(Order.id == "o1").cursor("c1.AAAA").page()
    except ConfigError as error:
        print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "production requires cursor_key" in done.stdout


def test_a_key_too_long_for_a_cursor_is_said_so(db, orders):
    for number in "ab":
        db.put(Order(customer="long", number=number + "y" * 1000, email="z" * 2000))
    page = db.model(Order).where(Order.email == "z" * 2000).limit(1).page()
    with pytest.raises(ValidationError, match="too long for a cursor"):
        page.cursor


@pytest.mark.parametrize("wrong", [5, b"c1.AAAA", ["c1.AAAA"]])
def test_a_cursor_is_a_text(query, wrong):
    with pytest.raises(ValidationError, match="a cursor is a text"):
        query.cursor(wrong)


# ------------------------------------------------------------------------------------------- cursors of the Go library


GOLDEN = {
    "an index, ascending": (
        lambda db: db.model(Order).where(Order.email == "e").order_by("number", "asc"),
        {"SK": {"S": "PROFILE"}, "email": {"S": "e"}, "PK": {"S": "USER#1"}},
        b'{"lastKey":{"PK":{"S":"USER#1"},"SK":{"S":"PROFILE"},"email":{"S":"e"}},"index":"gsi-email","sort":"ASC"}',
    ),
    "the table, descending": (
        lambda db: db.model(Order).where(Order.customer == "USER#PAGE").order_by("number", "desc"),
        {"PK": {"S": "USER#PAGE"}, "SK": {"S": "ITEM#002"}},
        b'{"lastKey":{"PK":{"S":"USER#PAGE"},"SK":{"S":"ITEM#002"}},"sort":"DESC"}',
    ),
    "bytes, no order": (
        lambda db: db.model(Order).index("gsi-blob").where(Order.customer == "BIN#1"),
        {"PK": {"S": "BIN#1"}, "SK": {"S": "x"}, "blob": {"B": "AQID"}},
        b'{"lastKey":{"PK":{"S":"BIN#1"},"SK":{"S":"x"},"blob":{"B":"AQID"}},"index":"gsi-blob"}',
    ),
    "signs that Go escapes": (
        lambda db: db.model(Order).where(Order.customer == "a&b<c>\u2028\u2029ä"),
        {"PK": {"S": "a&b<c>\u2028\u2029ä"}, "SK": {"S": '"\\\n'}},
        '{"lastKey":{"PK":{"S":"a\\u0026b\\u003cc\\u003e\\u2028\\u2029ä"},"SK":{"S":"\\"\\\\\\n"}}}'.encode(),
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_go_cursor_has_these_very_bytes(db, name):
    build, key, text = GOLDEN[name]
    session = db.inner._session
    ready = cursors_ready(session, build(db).cursor_format("v0.1"))
    made = cursors.seal(session, ready, json.dumps(key).encode())
    assert made == base64.urlsafe_b64encode(text).decode()
    assert json.loads(cursors.open_cursor(session, ready, made)[0]) == key


def test_a_cursor_that_the_go_library_made_is_opened(db):
    """The published example of its contract, as it stands there."""
    golden = "eyJsYXN0S2V5Ijp7IlBLIjp7IlMiOiJVU0VSI1BBR0UifSwiU0siOnsiUyI6IklURU0jMDAyIn19LCJzb3J0IjoiREVTQyJ9"
    session = db.inner._session
    ready = cursors_ready(session, GOLDEN["the table, descending"][0](db).cursor_format("v0.1"))
    assert json.loads(cursors.open_cursor(session, ready, golden)[0]) == {
        "PK": {"S": "USER#PAGE"}, "SK": {"S": "ITEM#002"},
    }  # fmt: skip
    assert cursors.seal(session, ready, b'{"PK":{"S":"USER#PAGE"},"SK":{"S":"ITEM#002"}}') == golden


@pytest.mark.parametrize("sort", ["desc", "Desc", "DESC"])
def test_the_direction_of_a_go_cursor_has_no_case(db, sort):
    session = db.inner._session
    key = {"PK": {"S": "USER#PAGE"}, "SK": {"S": "ITEM#002"}}
    ready = cursors_ready(session, GOLDEN["the table, descending"][0](db).cursor_format("v0.1"))
    assert json.loads(cursors.open_cursor(session, ready, plain({"lastKey": key, "sort": sort}))[0]) == key


@pytest.mark.parametrize("sort", ["asc", "Asc", "ASC"])
def test_a_go_cursor_of_the_other_direction_is_refused_in_any_case(db, sort):
    session = db.inner._session
    key = {"PK": {"S": "USER#PAGE"}, "SK": {"S": "ITEM#002"}}
    ready = cursors_ready(session, GOLDEN["the table, descending"][0](db).cursor_format("v0.1"))
    with pytest.raises(TamperedCursor):
        cursors.open_cursor(session, ready, plain({"lastKey": key, "sort": sort}))


@pytest.mark.parametrize("sort", ["asc", "ASC", ""])
def test_a_go_cursor_in_order_goes_on_behind_its_page(query, sort):
    query = query.cursor_format("v0.1")
    text = query.page().cursor
    found = json.loads(base64.urlsafe_b64decode(text)) | {"sort": sort}
    assert numbers(query.cursor(plain(found)).page()) == numbers(query.cursor(text).page())


def cursors_ready(session, query):
    from dynamorm.ops.queries.planner import choose
    from dynamorm.ops.queries.prepared_query import PreparedQuery

    request = getattr(query, "_subject", query)._request
    plan = session.plan(request.model)
    return PreparedQuery(plan, request, choose(plan, request))


def test_a_go_cursor_goes_on_behind_its_page(query):
    query = query.cursor_format("v0.1")
    found, cursor = [], None
    while True:
        page = query.cursor(cursor).page()
        found += numbers(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert found == list(range(9))


def plain(found):
    return base64.urlsafe_b64encode(json.dumps(found).encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "%%%",
        plain([]),
        plain({}),
        plain({"lastKey": {}}),
        plain({"lastKey": {"PK": {"S": "c1"}}}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"N": "1"}}}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": 1}}}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": "n1"}, "more": {"S": "x"}}}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": "n1"}}, "index": "gsi-email"}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": "n1"}}, "sort": "DESC"}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": "n1"}}, "sort": "desc"}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": "n1"}}, "sort": ["asc"]}),
        plain({"lastKey": {"PK": {"S": "c1"}, "SK": {"S": "n1"}}, "extra": 1}),
        "c1.AAAA",
    ],
)
def test_what_is_no_go_cursor_of_this_query_is_refused(query, wire, text):
    query = query.cursor_format("v0.1")
    wire.clear()
    refused(query, text)
    assert wire.names == []


def test_a_view_neither_makes_nor_takes_a_go_cursor(db, orders, query):
    """Anybody can read and make them, and they are bound to no view."""
    made = query.cursor_format("v0.1").page().cursor
    seen = db.view(region="eu").model(Order).where(Order.customer == "c1").limit(3).cursor_format("v0.1")
    for ask in (lambda: seen.page().cursor, lambda: seen.cursor(made).page()):
        with pytest.raises(ValidationError) as caught:
            ask()
        assert caught.value.field == "cursor_format"


def test_go_cursors_are_taken_on_request_only(query):
    text = query.cursor_format("v0.1").page().cursor
    refused(query, text)
    with pytest.raises(ValidationError, match="cursor format"):
        query.cursor_format("v2")
