"""Mistakes in a class body: refused when the class is made, with the class, the field and the fix in the message."""

import re
from typing import Any

import pytest

from dynamorm import (
    DB,
    Attr,
    Compressed,
    Json,
    Model,
    Unique,
    ValidationError,
    access_pattern,
    attr,
    gsi,
    lsi,
    partition_key,
    sort_key,
    version,
)
from dynamorm.engine import Engine
from dynamorm.errors import ModelError


def unknown_setting():
    class M(Model, tabel="x"):
        id: Attr[str] = partition_key()


def unknown_field_setting():
    class M(Model):
        id: Attr[str] = attr(max_lenght=5)


def unknown_convention():
    class M(Model, naming="camel"):
        id: Attr[str]


def no_key():
    class M(Model, table="some-table"):
        id: Attr[str]


def only_a_sort_key():
    class M(Model, table="some-table"):
        id: Attr[str] = sort_key()


def two_keys():
    class M(Model, table="some-table"):
        a: Attr[str] = partition_key()
        b: Attr[str] = partition_key()


def two_versions():
    class M(Model):
        a: Attr[int] = version()
        b: Attr[int] = version()


def bad_table_name():
    class M(Model, table="a b"):
        id: Attr[str] = partition_key()


def short_table_name():
    class M(Model, table="ab"):
        id: Attr[str] = partition_key()


def no_attr():
    class M(Model):
        id: str


def bare_spec():
    class M(Model):
        id = attr()


def bare_default():
    class M(Model):
        tag: Attr[str] = "x"


def mutable_default():
    class M(Model):
        tags: Attr[list[str]] = attr(default=[])


def both_defaults():
    class M(Model):
        tags: Attr[list[str]] = attr(default=None, default_factory=list)


def option_class():
    class M(Model):
        data: Attr[dict[str, Any]] = attr(Json)


def positional_default():
    class M(Model):
        text: Attr[str] = attr("x")


def same_stored_name():
    class M(Model):
        a: Attr[str] = attr(name="x")
        b: Attr[str] = attr(name="x")


def token_name():
    class M(Model):
        a: Attr[str] = attr(name="_wt")


def quoted_name():
    class M(Model):
        a: Attr[str] = attr(name='say "x"')


def broken_name():
    class M(Model):
        a: Attr[str] = attr(name="x\ny")


def half_a_character():
    class M(Model):
        a: Attr[str] = attr(name="\ud800")


def index_of_no_field():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        by = gsi("by-status", partition="stauts")
        status: Attr[str]


def local_index_without_sort_key():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        total: Attr[int]
        by = lsi("by-total", sort="total")


def same_index_name():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        a = gsi("same", partition="id")
        b = gsi("same", partition="id")


def bad_projection():
    class M(Model, table="some-table"):
        id: Attr[str] = partition_key()
        a = gsi("by-id", partition="id", projection="SOME")


def tag_without_discriminator():
    class M(Model, tag="x"):
        id: Attr[str]


DECLARATIONS = {
    unknown_setting: ("class M", "'tabel'", "did you mean 'table'"),
    unknown_field_setting: ("'max_lenght'", "did you mean 'max_length'"),
    unknown_convention: ("class M", "'camel'", "'camelCase'"),
    no_key: ("M", "partition_key()"),
    only_a_sort_key: ("M", "partition_key()"),
    two_keys: ("M", "a and b", "partition"),
    two_versions: ("M", "a and b", "version"),
    bad_table_name: ("M", "3 to 255"),
    short_table_name: ("M", "3 to 255"),
    no_attr: ("M.id", "Attr[str]"),
    bare_spec: ("M.id", "Attr["),
    bare_default: ("M.tag", "attr(default="),
    mutable_default: ("list", "default_factory=list"),
    both_defaults: ("default_factory",),
    option_class: ("Json(...)",),
    positional_default: ("default=",),
    same_stored_name: ("M", "a and b", "'x'"),
    token_name: ("M.a", "_wt"),
    quoted_name: ("M.a", "quotes"),
    broken_name: ("M.a", "control characters"),
    half_a_character: ("M.a", "Unicode"),
    index_of_no_field: ("M", "by-status", "'stauts'", "did you mean 'status'"),
    local_index_without_sort_key: ("M", "by-total", "sort key"),
    same_index_name: ("M", "'same'", "a and b"),
    bad_projection: ("M", "by-id", "KEYS_ONLY"),
    tag_without_discriminator: ("M", "discriminator="),
}

CODES = {
    no_key: "ErrMissingPrimaryKey",
    only_a_sort_key: "ErrMissingPrimaryKey",
    two_keys: "ErrDuplicatePrimaryKey",
    unknown_field_setting: "ErrInvalidTag",
}
"""Where the Go library has a name of its own."""


@pytest.mark.parametrize("declare", DECLARATIONS, ids=lambda declare: declare.__name__)
def test_a_wrong_declaration_is_refused_at_once(declare):
    with pytest.raises(ModelError) as caught:
        declare()
    for word in DECLARATIONS[declare]:
        assert word in str(caught.value)
    assert caught.value.code == CODES.get(declare, "ErrInvalidModel")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"validators": str.strip}, "validators=(strip,)"),
        ({"validators": ("strip",)}, "validators is a tuple of functions"),
        ({"pattern": 5}, "pattern is the text of a regular expression, not a int"),
        ({"pattern": "("}, "pattern is no regular expression"),
        ({"max_length": "5"}, "max_length is a whole number"),
        ({"min_length": 5, "max_length": 4}, "min_length is above max_length"),
        ({"ge": 5}, "ge must be str, as the values are, not int"),
        ({"default": lambda: "x"}, "default_factory="),
    ],
    ids=range(8),
)
@pytest.mark.parametrize("kind", [str, str | None], ids=["str", "or None"])
def test_a_setting_that_no_value_can_meet_is_refused_with_the_class(kind, settings, words):
    with pytest.raises(ModelError) as caught:
        type("M", (Model,), {"__annotations__": {"text": Attr[kind]}, "text": attr(**settings), "__module__": __name__})
    assert "M.text" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_length": 3}, "max_length is not for int: ge= and le= are its bounds"),
        ({"pattern": "[0-9]+"}, "pattern is not for int"),
        ({"ge": "0"}, "ge must be int"),
        ({"le": True}, "le must be int"),
        ({"ge": 5, "le": 1}, "the lower bound is above the upper one"),
    ],
    ids=range(5),
)
def test_so_is_one_that_numbers_do_not_have(settings, words):
    with pytest.raises(ModelError) as caught:
        type("M", (Model,), {"__annotations__": {"n": Attr[int]}, "n": attr(**settings), "__module__": __name__})
    assert "M.n" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "remedy"),
    [("unique", "Unique()"), ("nullable", "| None"), ("alias", "name="), ("hash_key", "partition_key()")],
)
def test_a_setting_of_another_library_is_told_what_it_is_here(setting, remedy):
    with pytest.raises(ModelError) as caught:
        attr(**{setting: True})
    assert f"no setting '{setting}'; write " in str(caught.value)
    assert remedy in str(caught.value)


@pytest.mark.parametrize("name", ["self", "mro", "MISSING", "_unknown", "__len__"])
def test_a_name_that_a_class_needs_itself_is_no_field(name):
    with pytest.raises(ModelError, match=rf"M\.{name}: Python needs this name; choose another"):
        type(Model)("M", (Model,), {"__annotations__": {name: Attr[str]}})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: Compressed("lz4"), 'the algorithm of Compressed is "gzip" or "zstd", not \'lz4\''),
        (lambda: Compressed(above="1 KB"), "above of Compressed is a number of bytes, 0 or more, not '1 KB'"),
        (lambda: Compressed(above=True), "above of Compressed is a number of bytes, 0 or more, not bool"),
        (lambda: Compressed(limit=0), "limit of Compressed is a number of bytes, 1 or more, not 0"),
        (lambda: Compressed(above=10, limit=5), "limit of Compressed is at least what above is, 10 bytes, not 5"),
    ],
    ids=range(5),
)
def test_what_no_value_can_be_compressed_by_is_refused(given, words):
    with pytest.raises(ModelError, match=re.escape(words)):
        given()


@pytest.mark.parametrize(
    "fields",
    [
        {"id": partition_key(Compressed())},
        {"id": partition_key(), "x": attr(Compressed(), immutable=True)},
        {"id": partition_key(), "x": attr(Compressed(), also_read=("y",))},
        {"id": partition_key(), "x": attr(Compressed(), Unique())},
    ],
    ids=range(4),
)
def test_a_key_and_what_must_be_compared_is_not_compressed(fields):
    names = {"__annotations__": dict.fromkeys(fields, Attr[str]), "__module__": __name__, **fields}
    model = type(Model)("M", (Model,), names, table="some-table")
    with pytest.raises(
        ModelError, match=r"M\.(id|x) is .*compressed|M\.x is compressed|M\.x is stored in a form .* Unique needs"
    ):
        DB(Engine()).get(model, "1")


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: access_pattern("status"), "takes a function of the parameters"),
        (lambda: access_pattern(lambda: None, index=5), "index is a name or a declared index, not int"),
        (lambda: access_pattern(lambda: None, order_by=5), "order_by is the name of a field, not int"),
    ],
    ids=range(3),
)
def test_what_is_no_access_pattern_is_refused_in_the_class_body(declare, words):
    with pytest.raises(ModelError, match=re.escape(words)):
        declare()


def test_the_settings_of_an_access_pattern_are_those_of_queries():
    with pytest.raises(ValidationError, match="direction"):
        access_pattern(lambda: None, direction="down")
    with pytest.raises(ValidationError, match="limit"):
        access_pattern(lambda: None, limit=0)


def test_an_access_pattern_gives_conditions():
    class Order(Model, table="orders"):
        id: Attr[str] = partition_key()
        wrong = access_pattern(lambda: True)

    with pytest.raises(ValidationError, match=r"gives conditions such as Order\.<field> == value, not bool") as caught:
        Order.wrong()
    assert caught.value.field == "wrong"


@pytest.mark.parametrize("setting", ["consistent_reads", "hide_expired"])
def test_a_class_setting_that_is_true_or_false(setting):
    with pytest.raises(ModelError, match=f"M: {setting} is True or False, not str"):
        type(Model)("M", (Model,), {"__module__": __name__}, **{setting: "yes"})


def test_what_expires_has_a_time_to_live():
    with pytest.raises(ModelError, match=r"M: hide_expired=True asks for a time to live: declare .*ttl\("):
        type(Model)("M", (Model,), {"__module__": __name__}, hide_expired=True)
