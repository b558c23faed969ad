"""What makes an object of wrong data tells none of it: neither the error, nor pydantic's, nor the variables of our frames."""

from __future__ import annotations

import copy
import dataclasses
import json
import traceback

import pytest
from pydantic import BaseModel, TypeAdapter
from pydantic import ValidationError as Invalid

from dynamorm import Attr, Encrypted, Ephemeral, Model, Secret, attr, partition_key
from dynamorm.errors import DynamORMError, EphemeralGone

PAN, PIN, CVV = "4929000000000006", "pin-8841-canary", "97531"


class Card(Model, table="security-cards"):
    token: Attr[str] = partition_key()
    last4: Attr[str]
    number: Attr[str] = attr(Encrypted("pci"))
    pin: Attr[str | None] = attr(default=None, secret=True)
    cvv: Attr[Secret | None] = attr(Ephemeral(), default=None)


class Open(Model, table="security-open"):
    id: Attr[str] = partition_key()
    note: Attr[str]


def told(error):
    """All that can be read of an error: its texts, and the variables of our frames."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in shown.stack if "dynamorm" in frame.filename and "/tests/" not in frame.filename]
    texts = [str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", "")), str(error.__cause__)]
    return " ".join([*texts, *(f"{name}={value}" for frame in ours for name, value in (frame.locals or {}).items())])


VALUES = {"token": "t", "last4": "0006", "number": PAN, "pin": PIN, "cvv": CVV}
WRONG = {
    "missing": {name: value for name, value in VALUES.items() if name != "last4"},
    "typo": VALUES | {"nubmer": PAN},
    "a typo alone": {"nubmer": PAN, "pim": PIN, "cvw": CVV},
    "a number": VALUES | {"cvv": int(CVV)},
    "a list": VALUES | {"cvv": [CVV]},
    "no unicode": VALUES | {"cvv": CVV + "\ud800"},
}


@pytest.mark.parametrize("values", WRONG.values(), ids=WRONG)
def test_a_constructor_tells_nothing(values):
    with pytest.raises(DynamORMError) as caught:
        Card(**values)
    text = told(caught.value)
    assert not [one for one in (PAN, PIN, CVV) if one in text]


@pytest.mark.parametrize("value", [int(CVV), [CVV], CVV + "\ud800", {"a": CVV}])
def test_an_assignment_tells_nothing(value):
    card = Card(**VALUES)
    for work in (
        lambda: setattr(card, "cvv", value),
        lambda: Secret(value),
        lambda: dataclasses.replace(card, cvv=value),
    ):
        with pytest.raises(DynamORMError) as caught:
            work()
        assert CVV not in told(caught.value)


def test_the_values_themselves_are_taken_as_ever():
    card = Card(**VALUES)
    with card.cvv.reveal() as shown:
        assert bytes(shown) == CVV.encode()
    assert (card.number, card.pin) == (PAN, PIN)
    other = dataclasses.replace(card, last4="0007")
    assert (other.number, other.last4) == (PAN, "0007")
    with pytest.raises(EphemeralGone):
        copy.copy(card).cvv.reveal().__enter__()


class Body(BaseModel):
    card: Card
    count: int


def texts_of(error):
    """All that an error of pydantic's tells, FastAPI's answer included."""
    return " ".join([str(error), repr(error), error.json(), json.dumps(error.errors(), default=str), repr(error.args)])


BAD = {
    "missing": {"token": "t", "number": PAN, "pin": PIN, "cvv": CVV},
    "extra": VALUES | {"nubmer": PAN},
    "types": {"token": 5, "last4": [PAN], "number": [PAN], "pin": {"a": PIN}, "cvv": [CVV]},
    "no object": [PAN, PIN, CVV],
    "a text": f"{PAN} {PIN} {CVV}",
}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_errors_of_pydantic_repeat_nothing(value):
    adapter = TypeAdapter(Card)
    for work in (
        lambda: adapter.validate_python(value),
        lambda: adapter.validate_json(json.dumps(value)),
        lambda: Body(card=value, count=1),
        lambda: TypeAdapter(list[Card]).validate_python([value]),
        lambda: TypeAdapter(Card | None).validate_python(value),
    ):
        with pytest.raises(Invalid) as caught:
            work()
        text = texts_of(caught.value) + told(caught.value)
        assert not [one for one in (PAN, PIN, CVV, PAN[:6]) if one in text]


class Holder(Model):
    pin: Attr[str] = attr(secret=True)
    count: Attr[int] = attr(default=0)
    more: Attr[list[Holder]] = attr(default_factory=list)


class Outer(Model, table="security-outer"):
    id: Attr[str] = partition_key()
    need: Attr[int]
    inner: Attr[Holder | None] = attr(default=None)
    many: Attr[dict[str, list[Holder]]] = attr(default_factory=dict)


@pytest.mark.parametrize(
    "value",
    [
        {"id": "1", "inner": {"pin": PIN}},
        {"id": "1", "need": "x", "many": {"a": [{"pin": PIN, "more": [{"pin": PIN, "count": "y"}]}]}},
        {"need": 1, "many": {"a": [{"pin": [PIN]}]}},
    ],
)
def test_what_lies_in_a_model_is_not_repeated_by_its_errors(value):
    with pytest.raises(Invalid) as caught:
        TypeAdapter(Outer).validate_python(value)
    assert PIN not in texts_of(caught.value)


def test_errors_of_pydantic_say_what_is_wrong_and_where():
    with pytest.raises(Invalid) as caught:
        Body(card=BAD["missing"], count="x")
    assert [(one["loc"], one["type"]) for one in caught.value.errors()] == [
        (("card", "last4"), "missing"), (("count",), "int_parsing"),
    ]  # fmt: skip


def test_a_model_that_hides_nothing_is_told_in_full():
    with pytest.raises(Invalid) as caught:
        TypeAdapter(Open).validate_python({"id": "1", "note": 7})
    assert caught.value.errors()[0]["input"] == 7
