"""Bad input to validators, derived fields and hooks: one typed error before the wire, which names the field and the remedy."""

import attrs
import pytest

from dynamorm import (
    Attr,
    Model,
    after_load,
    attr,
    before_delete,
    before_save,
    derived,
    field_validator,
    model_validator,
    partition_key,
    version,
)
from dynamorm.adapters import register
from dynamorm.errors import InvalidUse, ModelError, ValidationError

pytestmark = pytest.mark.engine


class Odd(Model, table="odd-methods"):
    id: Attr[str] = partition_key()
    low: Attr[int] = attr(default=0)
    high: Attr[int] = attr(default=0)
    span: Attr[int] = attr(derived("low", "high", by=lambda low, high: high / low), init=False)
    how: Attr[str] = attr(default="")
    version: Attr[int] = version()

    @field_validator("how")
    @staticmethod
    def short(value: str) -> str:
        raise ValueError(value)

    @model_validator("low", "high")
    def rising(self) -> None:
        if self.low > self.high:
            raise ValueError(f"{self.low} {self.how}")

    @before_save
    def answers(self):
        return self.high == 13

    @before_delete
    def never(self) -> None:
        """There is one."""


BAD = [
    (lambda db: db.put(Odd(id="x", low=77777)), InvalidUse, "the hook answers of a Odd gave a bool before the put"),
    (lambda db: db.update(Odd, "x", Odd.low.set(77777)), ValidationError, "high is not known here: load the object"),
    (
        lambda db: db.update(Odd, "x", Odd.low.set(77777), Odd.high.set(1)),
        ValidationError,
        "Odd.span must be int, got float",
    ),
    (
        lambda db: db.update(Odd, "x", Odd.low.set(0), Odd.high.set(1)),
        ValidationError,
        "span cannot be derived of low and high (ZeroDivisionError)",
    ),
    (lambda db: db.update(Odd, "x", Odd.low.set(2), Odd.high.set(77777)), ValidationError, "Odd.span"),
    (
        lambda db: db.update(Odd, "x", Odd.span.set(77777)),
        ValidationError,
        "span is derived of low and high: update those",
    ),
    (lambda db: db.update(Odd, "x", Odd.how.set("77777")), ValidationError, "how was refused by its validator short"),
    (lambda db: db.upsert(Odd, "x", Odd.high.add(77777)), ValidationError, "high"),
    (lambda db: db.delete(Odd, "x"), ValidationError, "load the object and delete that, not its key"),
    (lambda db: db.batch_write(deletes=[(Odd, "77777")]), ValidationError, "load the object and delete that"),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_of_a_verb(db, refused, number):
    call, kind, message = BAD[number]
    error = refused(kind, lambda: call(db), message)
    assert "77777" not in str(error)
    assert error.outcome.name == "NOT_APPLIED"


DECLARED = [
    (field_validator, "takes the names of its fields"),
    (lambda: model_validator(5), "takes the names of its fields"),
    (lambda: field_validator("a")(5), "stands over a static method"),
    (lambda: derived(by=len), "takes the names of its fields, each once"),
    (lambda: derived("a", by="len"), "by of derived is a function"),
    (lambda: before_save("clean"), "stands over a method"),
    (lambda: after_load(property(len)), "stands over a method"),
    (lambda: type(Model)("Wrong", (Model,), {}, table="wrong", validate=True), 'validate is "always"'),
    (
        lambda: register(attrs.define(type("Wrong", (), {})), table="wrong", composites=["pk"]),
        "composites is a dict by name",
    ),
]


@pytest.mark.parametrize("number", range(len(DECLARED)))
def test_of_a_declaration(number):
    call, message = DECLARED[number]
    with pytest.raises(ModelError, match=message):
        call()
