"""Every item goes through every format and comes back as it was."""

from __future__ import annotations

import json
import pickle
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.adapters.cli.ends import Stop
from dynamorm.adapters.cli.formats import csvs, ion, jsonl, parquet
from dynamorm.adapters.cli.formats.columns import merge, number_type, see
from dynamorm.adapters.cli.formats.known import FORMATS
from dynamorm.adapters.cli.plain import NotAnItem, item_of, text_of
from dynamorm.adapters.cli.transfer.importing import same
from dynamorm.codec.strict import raw_page

NAMES = st.sampled_from(["a", "b", "a:S", "a:N", "$SS", "x,y", 'q"', "é", "=f", "long name"])
TEXTS = st.one_of(
    st.sampled_from(["", "\\N", "=1+1", "'x", '"', "a,b", "a\nb", "\r\n", " ", "true", "12", "007", "☃"]),
    st.text(alphabet=st.characters(codec="utf-8"), max_size=8),
)
NUMBERS = st.one_of(
    st.integers(-(10**17), 10**17).map(str),
    st.sampled_from(
        ["0", "-1", "1.5", "0.1", "9007199254740993", "123456789012345678", "12345678901234567890.5", "1E+100", "-0.25"]
    ),
)
BYTES = st.binary(max_size=6).map(lambda raw: b64encode(raw).decode())


def sets(tag, values):
    return st.lists(values, min_size=1, max_size=3, unique=True).map(lambda some: {tag: some})


SIMPLE = st.one_of(
    TEXTS.map(lambda text: {"S": text}),
    NUMBERS.map(lambda text: {"N": text}),
    BYTES.map(lambda text: {"B": text}),
    st.booleans().map(lambda value: {"BOOL": value}),
    st.just({"NULL": True}),
    sets("SS", TEXTS),
    sets("NS", NUMBERS),
    sets("BS", BYTES),
)
VALUES = st.recursive(
    SIMPLE,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda some: {"L": some}),
        st.dictionaries(st.one_of(NAMES, st.sampled_from(["$B", "$M", "$NS"])), inner, max_size=2).map(
            lambda some: {"M": some}
        ),
    ),
    max_leaves=6,
)
ITEMS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=5)


def with_keys(items):
    return [{"id": {"S": f"k{at}"}, **item} for at, item in enumerate(items)]


class Items:
    """Items as the finished parts of an export of JSON Lines."""

    def __init__(self, items):
        self._items = items

    def items(self):
        return iter(self._items)

    def blocks(self):
        return (text_of(item) + b"\n" for item in self._items)


def facts_of(items, *, safe=False):
    parts = []
    for item in items:  # each a part of its own: what is known of them is put together
        seen = {}
        see(seen, item)
        parts.append(seen)
    return {"table": "t", "items": len(items), "columns": merge(parts), "safe_spreadsheet": safe}


def read(kind, *arguments):
    """The items of a file, made as a worker makes them: of a source, and of what was read, that were sent to it."""
    source = kind(*arguments)
    for count, raw in source.raw():
        there, sent = pickle.loads(pickle.dumps((source, raw)))
        items = list(there.items(sent))
        assert len(items) == count
        yield from items


def assert_same(found, items):
    found = list(found)
    assert len(found) == len(items)
    for one, other in zip(found, items, strict=True):
        assert not isinstance(one, NotAnItem), one
        assert same(one, other), (one, other)


@given(VALUES)
def test_plain_json_holds_every_value(value):
    item = {"id": {"S": "k"}, "v": value}
    text = text_of(item)
    json.loads(text)
    assert item_of(text, ("id",)) == item
    assert item_of(json.dumps(item), ("id",)) == item


@given(ITEMS, st.booleans())
@settings(max_examples=60)
def test_csv_holds_every_item(tmp_path_factory, items, safe):
    path = tmp_path_factory.mktemp("csv") / "items.csv"
    items = with_keys(items)
    manifest = csvs.Csv().write(path, Items(items), facts_of(items, safe=safe))
    assert_same(read(csvs.Records, path, manifest, {}), items)
    assert manifest.items == len(items)


@given(ITEMS)
@settings(max_examples=40)
def test_parquet_holds_every_item(tmp_path_factory, items):
    path = tmp_path_factory.mktemp("parquet") / "items.parquet"
    items = with_keys(items)
    parquet.Parquet().write(path, Items(items), facts_of(items))
    assert_same(read(parquet.Rows, path), items)


@given(ITEMS)
@settings(max_examples=30)
def test_json_lines_hold_every_item(tmp_path_factory, items):
    path = tmp_path_factory.mktemp("jsonl") / "items.jsonl"
    items = with_keys(items)
    jsonl.JsonLines().write(path, Items(items), facts_of(items))
    assert_same(read(jsonl.Lines, path, ("id",)), items)


@given(ITEMS)
@settings(max_examples=60)
def test_ion_holds_every_item(items):
    for item in with_keys(items):
        assert_same([ion.item_of(ion.line_of(item))], [item])


def test_ion_as_s3_writes_it():
    """The line is that of AWS's page on exports."""
    line = (
        '$ion_1_0 {Item:{Authors:$dynamodb_SS::["Author1","Author2"],Dimensions:"8.5 x 11.0 x 1.5",ISBN:"333-3333333333",'
        'Id:103.,InPublication:false,PageCount:6d2,Price:2d3,ProductCategory:"Book",Title:"Book 103 Title"}}\n'
    )
    assert ion.item_of(line.encode()) == {
        "Authors": {"SS": ["Author1", "Author2"]},
        "Dimensions": {"S": "8.5 x 11.0 x 1.5"},
        "ISBN": {"S": "333-3333333333"},
        "Id": {"N": "103"},
        "InPublication": {"BOOL": False},
        "PageCount": {"N": "600"},
        "Price": {"N": "2000"},
        "ProductCategory": {"S": "Book"},
        "Title": {"S": "Book 103 Title"},
    }
    assert ion.item_of(
        b"$ion_1_0 {Item:{n:$dynamodb_NS::[1.,2.5],b:{{aGVsbG8=}},e:null,s:$dynamodb_BS::[{{eA==}}]}}"
    ) == {
        "n": {"NS": ["1", "2.5"]},
        "b": {"B": "aGVsbG8="},
        "e": {"NULL": True},
        "s": {"BS": ["eA=="]},
    }
    for wrong, says in (
        (b"no ion {", "no line of Ion"),
        (b"$ion_1_0 {Other:{}}", "no Item"),
        (b"$ion_1_0 {Item:{a:2024-01-01T}}", "'a' is of a type"),
        (b"$ion_1_0 {Item:{a:$dynamodb_NS::[true]}}", "'a' is a set of something else"),
    ):
        assert says in str(ion.item_of(wrong))


def test_the_columns_of_csv_are_named_as_the_rule_says(tmp_path):
    items = with_keys([{"n": {"N": "1"}, "m": {"N": "1"}}, {"m": {"S": ""}}, {"m": {"NULL": True}, "t": {"S": "\\N"}}])
    csvs.Csv().write(tmp_path / "x.csv", Items(items), facts_of(items))
    assert (tmp_path / "x.csv").read_text() == 'id,m:S,m:N,n,t\nk0,,1,1,\nk1,"",,,\nk2,\\N,,,"\\N"\n'


def test_formulas_are_written_as_they_are_unless_it_shall_be_safe(tmp_path):
    items = with_keys([{"t": {"S": text}} for text in ("=1+1", "+1", "-1", "@x", "'x", "x")])
    csvs.Csv().write(tmp_path / "x.csv", Items(items), facts_of(items))
    assert "k0,=1+1\n" in (tmp_path / "x.csv").read_text()
    manifest = csvs.Csv().write(tmp_path / "y.csv", Items(items), facts_of(items, safe=True))
    cells = [line.split(",", 1)[1] for line in (tmp_path / "y.csv").read_text().splitlines()[1:]]
    assert cells == ["'=1+1", "'+1", "'-1", "'@x", "''x", "x"]
    assert_same(read(csvs.Records, tmp_path / "y.csv", manifest, {}), items)


def test_a_name_that_is_a_formula_is_written_safely_too(tmp_path):
    items = with_keys([{"=1+1": {"S": "x"}, "'": {"N": "1"}, "@": {"BOOL": True}}])
    manifest = csvs.Csv().write(tmp_path / "x.csv", Items(items), facts_of(items, safe=True))
    heads = (tmp_path / "x.csv").read_text().splitlines()[0].split(",")
    assert set(heads) == {"id", "'=1+1", "''", "'@"}
    assert_same(read(csvs.Records, tmp_path / "x.csv", manifest, {}), items)


def test_a_csv_of_others_has_texts_unless_types_are_given(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b'\xef\xbb\xbfid,amount,paid:BOOL,note\r\n7,12.50,true,"a\r\nb"\r\n8,,False,\r\n')
    found = list(read(csvs.Records, path, None, {"id": "N", "amount": "N"}))
    assert found == [
        {"id": {"N": "7"}, "amount": {"N": "12.50"}, "paid": {"BOOL": True}, "note": {"S": "a\r\nb"}},
        {"id": {"N": "8"}, "paid": {"BOOL": False}},
    ]
    assert next(read(csvs.Records, path, None, {}))["amount"] == {"S": "12.50"}


def test_what_does_not_fit_a_csv_is_told_without_its_value(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('id,amount:N\nk1,secret\nk2,1,2\nk3"x",1\nk4,5\n')
    told = [str(one) if isinstance(one, NotAnItem) else one for one in read(csvs.Records, path, None, {})]
    assert "'amount' is no number" in told[0]
    assert "3 cells, and there are 2 columns" in told[1]
    assert not any("secret" in str(one) for one in told)
    for text, says in (("", "is empty"), ("a,a\n1,2\n", "two columns 'a'"), ('id\n"open\n', "not closed")):
        path.write_text(text)
        with pytest.raises(Stop, match=says):
            list(read(csvs.Records, path, None, {}))
    path.write_bytes(b"id\n\xff\n")
    with pytest.raises(Stop, match="UTF-8"):
        list(read(csvs.Records, path, None, {}))
    path.write_text('id,a"b"c\n1,2\n')
    with pytest.raises(Stop, match="names of columns: a quote stands where none may be"):
        list(read(csvs.Records, path, None, {}))
    path.write_text('id,tags:L\nk1,"[1],""w"":[2]"\nk2,"[1]"\n')  # one value, and what would be a second member
    told, item = read(csvs.Records, path, None, {})
    assert isinstance(told, NotAnItem)
    assert item["tags"] == {"L": [{"N": "1"}]}


def test_a_value_in_two_columns_of_one_attribute_is_refused(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,a:S,a:N\nk1,x,\nk2,,1\nk3,x,1\n")
    first, second, third = read(csvs.Records, path, None, {})
    assert (first["a"], second["a"]) == ({"S": "x"}, {"N": "1"})
    assert "'a' has values in two columns" in str(third)


def test_items_that_come_on_several_lines_are_written_on_one():
    raw = b'{\n  "id": {\n    "S": "a b"\n  }\n}'
    page = raw_page(b'{"Items":[' + raw + b'],"Count":1,"ScannedCount":1}')
    assert FORMATS["dynamodb-json"].lines(page) == b'{"Item":{"id":{"S":"a b"}}}\n'
    assert FORMATS["csv"].lines(page) == b'{"id":{"S":"a b"}}\n'


@pytest.mark.parametrize("length", [16_383, 16_384, 390_000])
def test_ion_of_a_long_text(length):
    item = {"id": {"S": "x" * length}}
    assert ion.item_of(ion.line_of(item)) == item


@pytest.mark.timeout(30)
def test_a_quote_that_is_never_closed_is_found_in_one_pass(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('id,note\n1,"open\n' + "2,a line of a file without its quote\n" * 400_000)
    with pytest.raises(Stop, match="not closed"):
        list(read(csvs.Records, path, None, {}))


def test_a_parquet_of_others_is_read_by_the_types_of_its_columns(tmp_path):
    import datetime as dt
    import decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "id": ["a", "b"],
            "n": pa.array([1, None], pa.int32()),
            "f": [1.5, 2.0],
            "d": [decimal.Decimal("1.10"), None],
            "at": [dt.date(2024, 1, 2), None],
            "l": [[1, None], []],
            "m": [{"x": True}, None],
            "raw": [b"\x00", None],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    one, other = read(parquet.Rows, tmp_path / "x.parquet")
    assert one == {
        "id": {"S": "a"},
        "n": {"N": "1"},
        "f": {"N": "1.5"},
        "d": {"N": "1.10"},
        "at": {"S": "2024-01-02"},
        "l": {"L": [{"N": "1"}, {"NULL": True}]},
        "m": {"M": {"x": {"BOOL": True}}},
        "raw": {"B": "AA=="},
    }
    assert other == {"id": {"S": "b"}, "f": {"N": "2"}, "l": {"L": []}}


def test_numbers_are_held_by_the_narrowest_type_that_loses_nothing():
    assert number_type("i") == number_type("il") == "int"
    assert number_type("if") == "float"
    assert number_type("lf") == number_type("it") == "text"
