"""Forms of fields in keys that cannot be: refused where they are declared."""

from datetime import datetime
from decimal import Decimal
from uuid import UUID

import pytest

from dynamorm import Attr, Model, composite, partition_key
from dynamorm.codec.registry import Registry
from dynamorm.errors import ModelError


@pytest.mark.parametrize("form", ["Lower", "casefold", "5d", "number:", "", "d"])
def test_an_unknown_form_is_told_with_those_that_there_are(form):
    with pytest.raises(ModelError, match=":number, :lower and :upper"):
        composite(f"{{email:{form}}}")


@pytest.mark.parametrize("template", ["{a:lower}{b}", "{a:number}-{b}", "{a:upper}x"])
def test_what_follows_a_form_must_be_told_from_it(template):
    with pytest.raises(ModelError, match="end or go on with #"):
        composite(template)


@pytest.mark.parametrize(
    ("kind", "form", "words"),
    [
        (str, "number", "is text, so it cannot be padded, nor written, as a number"),
        (datetime, "number", "stored as text"),
        (UUID, "lower", "has no case"),
        (int, "upper", "has no case"),
        (Decimal, "lower", "has no case"),
        (float, "number", "cannot be in a key"),
    ],
)
def test_a_form_is_of_a_type(kind, form, words):
    body = {
        "__annotations__": {"pk": Attr[str], "part": Attr[kind]},
        "__module__": __name__,
        "pk": partition_key(composite(f"{{part:{form}}}")),
    }
    with pytest.raises(ModelError, match=words) as caught:
        Registry().codec(type(Model)("M", (Model,), body, table="some-table"))
    assert "M.pk" in str(caught.value)
