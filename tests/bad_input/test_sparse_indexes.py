"""Conditions of sparse indexes that cannot be kept: refused where they are declared."""

import pytest

from dynamorm import DB, Attr, Model, ValidationError, attr, composite, gsi, partition_key, version
from dynamorm.engine import Engine
from dynamorm.errors import ModelError


def _model(index, **more):
    body = {
        "__annotations__": {"id": Attr[str], "state": Attr[str], "pk": Attr[str | None], "version": Attr[int]},
        "__module__": __name__,
        "id": partition_key(),
        "pk": attr(composite("A#{id}"), init=False),
        "version": version(),
        "by": index,
        **more,
    }
    return type(Model)("M", (Model,), body, table="some-table")


@pytest.mark.parametrize("only_if", ["state", {}, {5: "x"}, [("state", "x")], lambda order: True])
def test_a_condition_names_fields(only_if):
    with pytest.raises(ModelError, match=r"only_if of index 'by-x' names fields, each with what it must be"):
        gsi("by-x", partition="pk", only_if=only_if)


@pytest.mark.parametrize(
    ("index", "more", "words"),
    [
        (gsi("by-x", partition="state", only_if={"state": "x"}), {}, "a field that is left out would be lost"),
        (gsi("by-x", partition="pk", only_if={"stat": "x"}), {}, "did you mean 'state'"),
        (gsi("by-x", partition="pk", only_if={"version": 1}), {}, "which every write makes anew"),
        (gsi("by-x", partition="pk", only_if={"pk": "x"}), {}, "which every write makes anew"),
        (
            gsi("by-x", partition="pk", only_if={"state": "x"}),
            {"other": gsi("by-y", partition="pk")},
            "another condition",
        ),
    ],
)
def test_a_condition_that_cannot_be_kept(index, more, words):
    with pytest.raises(ModelError, match=words) as caught:
        _model(index, **more)
    assert "'by-x'" in str(caught.value)


def test_a_function_that_fails_names_the_field_alone():
    def broken(state):
        raise RuntimeError(f"secret {state}")

    model = _model(gsi("by-x", partition="pk", only_if={"state": broken}))
    with DB(Engine()) as db:
        db.tables.create(model)
        with pytest.raises(
            ValidationError, match=r"M\.pk: the function for 'state' in only_if .* raised RuntimeError"
        ) as caught:
            db.create(model(id="1", state="hidden"))
    assert "hidden" not in str(caught.value) + repr(caught.value.__context__)
