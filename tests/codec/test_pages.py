"""Large pages: equal texts are held once, and nothing else is different from small ones."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dynamorm.codec import ModelCodec, Registry, read_object
from dynamorm.codec.replies import reading
from dynamorm.models.declare import Attr, attr, partition_key
from dynamorm.models.model import Model
from tests.codec.values import documents, text

NAMES = ("a", "b", "")


class Entry(Model, table="entries"):
    id: Attr[str] = partition_key()
    status: Attr[str | None] = attr(default=None)
    count: Attr[int] = attr(default=0)
    tags: Attr[list[str]] = attr(default_factory=list)
    maybe: Attr[list[str] | None] = attr(default=None)
    sizes: Attr[list[int]] = attr(default_factory=list)
    labels: Attr[dict[str, str]] = attr(default_factory=dict)
    perhaps: Attr[dict[str, str] | None] = attr(default=None)
    extra: Attr[dict[str, Any]] = attr(default_factory=dict)


few = st.sampled_from(NAMES)
entries = st.builds(
    Entry,
    id=text.filter(bool),
    status=st.none() | few | text,
    count=st.integers(0, 3),
    tags=st.lists(few, max_size=3),
    maybe=st.none() | st.lists(few, max_size=2),
    sizes=st.lists(st.integers(0, 3), max_size=2),
    labels=st.dictionaries(st.sampled_from("kl"), few | text),
    perhaps=st.none() | st.dictionaries(st.sampled_from("kl"), few),
    extra=st.dictionaries(st.sampled_from("kl"), documents),
)
ITEM = (
    b'{"id":{"S":"p-%d"},"status":{"S":"done"},"tags":{"L":[{"S":"card"},{"S":"3ds"}]},'
    b'"labels":{"M":{"channel":{"S":"shop"},"order":{"S":"o-%d"}}}}'
)


def body(items: list[bytes]) -> bytes:
    """A reply to Query."""
    return b'{"Items":[%s],"Count":%d}' % (b",".join(items), len(items))


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> ModelCodec:
    """Takes pages of two items for large ones."""
    monkeypatch.setattr(reading, "MANY", 2)
    return Registry().codec(Entry)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(entries, min_size=2, max_size=5))
def test_a_large_page_holds_what_its_items_hold_alone(codec: ModelCodec, objects: list[Entry]) -> None:
    """The values and the loaded states."""
    raws = [codec.item_bytes(codec.encode(one)) for one in objects]
    found = codec.read_page(body(raws)).items
    assert found == objects
    assert [read_object(codec.loaded(one) or b"") for one in found] == [read_object(raw) for raw in raws]
    assert [codec.changes(one) for one in found] == [{}] * len(found)


def test_equal_texts_of_neighbours_are_one_object(codec: ModelCodec) -> None:
    """Also those in lists and maps; the lists and maps themselves belong to one item each."""
    one, other = codec.read_page(body([ITEM % (1, 1), ITEM % (2, 2)])).items
    assert one.status is other.status
    assert all(mine is theirs for mine, theirs in zip(one.tags, other.tags, strict=True))
    assert one.labels["channel"] is other.labels["channel"]
    assert (one.labels["order"], other.labels["order"]) == ("o-1", "o-2")
    one.tags.append("new")
    one.labels["channel"] = "web"
    assert (other.tags, other.labels["channel"]) == (["card", "3ds"], "shop")
    assert codec.changes(one).keys() == {"tags", "labels"}
    assert codec.changes(other) == {}


def test_a_change_within_the_page_is_not_carried_on(codec: ModelCodec) -> None:
    """A text that is there again after another one, and an attribute that is missing in between."""
    items = [ITEM % (1, 1), b'{"id":{"S":"p-2"},"tags":{"L":[]}}', ITEM % (3, 3)]
    first, second, third = codec.read_page(body(items)).items
    assert (second.status, second.tags, second.labels) == (None, [], {})
    assert (third.status, third.tags) == (first.status, first.tags)


def test_an_item_of_a_large_page_that_does_not_fit_is_read_with_care(codec: ModelCodec) -> None:
    """What the fast way cannot read, an attribute that the model does not know, goes the careful way with its page."""
    other = b'{"id":{"S":"p-2"},"other":{"S":"kept"},"count":{"N":"1E+1"}}'
    first, second = codec.read_page(body([ITEM % (1, 1), other])).items
    assert (first.status, second.count) == ("done", 10)
    assert codec.unknown(second) == {"other": {"S": "kept"}}


def test_small_pages_are_made_item_by_item() -> None:
    """There is nothing to be saved."""
    codec = Registry().codec(Entry)
    one, other = codec.read_page(body([ITEM % (1, 1), ITEM % (2, 2)])).items
    assert one.status == other.status
    assert one.status is not other.status


@pytest.mark.parametrize("name", ["w", "o", "x", "y", "k", "raw", "v0"])
def test_a_model_may_be_called_as_a_variable_of_the_generated_code(name):
    model = type(Model)(
        name, (Model,), {"__annotations__": {"id": Attr[str], "n": Attr[int]}, "id": partition_key(), "__module__": __name__},
        table="short",
    )  # fmt: skip
    codec = Registry().codec(model)
    codec.encode.__globals__["explain"] = lambda _: pytest.fail("it took the slow path")
    wire = codec.encode(model(id="one", n=2))
    obj = codec.reading._make(codec.reading._item(codec.item_bytes(wire)), None)
    assert (type(obj), obj.id, obj.n) == (model, "one", 2)
