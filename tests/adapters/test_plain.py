"""A Model as the standard library's dataclass tools see it, through the hook ``Model.__dataclass_fields__``."""

from __future__ import annotations

import dataclasses

import msgspec
from fastapi import FastAPI

from dynamorm import Attr, Model, attr, partition_key
from tests.adapters.test_fastapi import TestClient


class Place(Model):
    city: Attr[str]


class Visit(Model, table="visits"):
    id: Attr[str] = partition_key()
    count: Attr[int]
    place: Attr[Place | None] = attr(default=None)
    pin: Attr[str] = attr(default="1234", secret=True)


VISIT = Visit(id="v1", count=2, place=Place(city="Riga"))
PLAIN = {"id": "v1", "count": 2, "place": {"city": "Riga"}}


def test_asdict_shows_all_but_secrets():
    assert dataclasses.asdict(VISIT) == PLAIN
    assert [field.name for field in dataclasses.fields(Visit)] == ["id", "count", "place"]


def test_other_encoders_follow():
    assert msgspec.json.decode(msgspec.json.encode(VISIT)) == PLAIN


def test_fastapi_takes_a_model_for_a_body_and_encodes_it_without_being_told():
    app = FastAPI()

    @app.post("/visits")
    def create(visit: Visit):
        return visit

    @app.post("/two")
    def two(one: Visit, other: Visit | None = None) -> list[Visit]:
        return [one] if other is None else [one, other]

    with TestClient(app) as client:
        assert client.post("/visits", json=PLAIN).json() == PLAIN
        assert client.post("/visits", json={"id": "v1"}).status_code == 422
        assert client.post("/two", json={"one": PLAIN, "other": PLAIN}).json() == [PLAIN, PLAIN]
