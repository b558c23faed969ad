"""The encoder of a view: each object passes by the rule of the view before it is encoded, but those that are known to have passed."""

import pytest

from dynamorm import Attr, Model, attr, partition_key
from dynamorm.codec.in_view import in_view
from dynamorm.codec.registry import Registry
from dynamorm.errors import ValidationError
from dynamorm.models.schema.rules import ScopeRule


class Note(Model, table="in-view-notes"):
    id: Attr[str] = partition_key()
    own_text: Attr[str] = attr(default="")
    complete: Attr[int] = attr(default=0)


class Evil(str):
    """A text that is equal to all."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other):
        return True

    def __ne__(self, other):
        return False


class Rule(ScopeRule):
    def __init__(self, text, by=True):
        self.seen = []
        self.text = text
        self.complete_by = ("own_text", text) if by else None

    def complete(self, obj):
        self.seen.append(obj)
        if type(obj) is Note:
            obj.own_text = self.text


@pytest.fixture(params=[True, False], ids=["by a text", "asked of each"])
def known(request):
    return request.param


def test_an_object_is_completed_before_it_is_encoded(known):
    rule = Rule("a", known)
    encode = in_view(Registry().codec(Note), rule).encode
    for text in ("", "b", Evil("b"), None):
        obj = Note(id="1")
        obj.own_text = text
        assert encode(obj)["own_text"] == {"S": "a"}
        assert rule.seen.pop() is obj
    lacking = Note(id="1")
    del lacking.own_text
    assert encode(lacking)["own_text"] == {"S": "a"}
    assert rule.seen.pop() is lacking
    same = Note(id="1", own_text=b"a".decode())
    assert encode(same) == {"id": {"S": "1"}, "own_text": {"S": "a"}, "complete": {"N": "0"}}
    assert rule.seen == ([] if known else [same])


def test_what_is_no_object_of_the_model_is_seen_and_refused(known):
    rule = Rule("a", known)
    encode = in_view(Registry().codec(Note), rule).encode
    for other in (object(), {"id": "1"}, None):
        with pytest.raises((ValidationError, TypeError)):
            encode(other)
        assert rule.seen.pop() is other
    broken = Note(id="1", own_text="a", complete="x")
    with pytest.raises(ValidationError, match="complete"):
        encode(broken)


def test_views_of_one_model_do_not_mix():
    codec = Registry().codec(Note)
    rules = [Rule("a"), Rule("b")]
    first, second = (in_view(codec, rule).encode for rule in rules)
    assert first(Note(id="1"))["own_text"] == {"S": "a"}
    assert second(Note(id="1", own_text="a"))["own_text"] == {"S": "b"}
    assert [len(rule.seen) for rule in rules] == [1, 1]
    assert codec.encode(Note(id="1", own_text="c"))["own_text"] == {"S": "c"}


def test_two_rules_are_both_asked():
    inner, outer = Rule("a", by=False), Rule("b")
    inner.complete_by = ("id", "never")
    encode = in_view(in_view(Registry().codec(Note), inner), outer).encode
    encode(Note(id="1", own_text="b"))
    assert (len(inner.seen), len(outer.seen)) == (1, 0)
    encode(Note(id="1", own_text="c"))
    assert len(inner.seen) == 2
    assert len(outer.seen) == 1
