"""The recipes of the guide for Flask and Django, as they stand there, where these are installed."""

import re
import sys
import types

import pytest

from dynamorm.adapters.web import Answer, answer_of
from dynamorm.errors import (
    AccessDenied,
    AlreadyExists,
    InvalidUse,
    NotFound,
    OutcomeUnknown,
    Throttled,
    ValidationError,
)
from dynamorm.testing import TestDB
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "guide" / "recipes.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def recipe(title, monkeypatch):
    """A module with the models of the page, and the recipe behind a heading."""
    module = types.ModuleType("dynamorm_recipe")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    first = BLOCK.search(PAGE)
    own = BLOCK.search(PAGE, PAGE.index(f"\n## {title}\n"))
    for block in (first, own):
        models = block[1].split("db.tables")[0] if block is first else block[1]
        exec(compile(models, "recipes.md", "exec"), vars(module))
    return module


@pytest.fixture
def db():
    with TestDB() as made:
        yield made


@pytest.mark.engine
def test_flask(db, monkeypatch):
    pytest.importorskip("flask")
    module = recipe("Flask", monkeypatch)
    db.tables.ensure(module.Payment)
    client = module.flask_app(db).test_client()

    assert client.post("/payments", json={"id": "p1", "amount": 500, "note": "gift"}).status_code == 201
    assert client.post("/payments", json={"id": "p1", "amount": 500}).status_code == 409
    assert client.get("/payments/p1").get_json()["note"] == "gift"
    assert client.patch("/payments/p1", json={"note": None}).get_json()["note"] is None
    assert client.patch("/payments/p1", json={"nte": "secret-value"}).status_code == 422
    missing = client.get("/payments/p2")
    assert (missing.status_code, missing.get_json()["code"]) == (404, "ErrItemNotFound")


@pytest.mark.engine
def test_django(db, monkeypatch):
    django = pytest.importorskip("django")
    module = recipe("Django", monkeypatch)
    from django.conf import settings
    from django.urls import path

    if not settings.configured:
        settings.configure(
            ALLOWED_HOSTS=["testserver"],
            ROOT_URLCONF=module.__name__,
            MIDDLEWARE=[f"{module.__name__}.DynamORMErrors"],
            SECRET_KEY="x" * 50,
        )
        django.setup()
    module.urlpatterns = [path("payments/<id>", module.payment)]
    monkeypatch.setattr(module, "database", lambda: db)
    db.tables.ensure(module.Payment)
    db.create(module.Payment(id="p1", amount=500, note="gift"))
    from django.test import Client

    client = Client()
    assert client.get("/payments/p1").json()["note"] == "gift"
    assert client.patch("/payments/p1", {"note": None}, content_type="application/json").json()["note"] is None
    assert client.patch("/payments/p1", {"nte": "x"}, content_type="application/json").status_code == 422
    missing = client.get("/payments/p2")
    assert (missing.status_code, missing.json()["code"]) == (404, "ErrItemNotFound")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (NotFound("4711"), Answer(404, {"detail": "not found", "code": "ErrItemNotFound"}, {})),
        (
            AlreadyExists("4711"),
            Answer(409, {"detail": "what is stored refuses the request", "code": "ErrConditionFailed"}, {}),
        ),
        (
            ValidationError("amount: at least 1", field="amount"),
            Answer(422, {"detail": "amount: at least 1", "code": "ErrValidation", "field": "amount"}, {}),
        ),
        (
            Throttled("4711"),
            Answer(503, {"detail": "it cannot be served now: try again", "code": "ErrThrottled"}, {"Retry-After": "1"}),
        ),
        (InvalidUse("4711"), None),
        (AccessDenied("4711"), None),
    ],
)
def test_an_error_has_its_answer(error, answer):
    assert answer_of(error) == answer


def test_what_is_not_known_is_answered_with_504_and_its_token():
    found = answer_of(OutcomeUnknown("4711"))
    assert found is not None
    assert found.status == 504
