"""The secret by which payloads are marked stands in no traceback, and no payload in what is shown of an operation. On both faces."""

import traceback

import pytest

from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.payments import ensure_tables

pytestmark = pytest.mark.engine
SECRET = b"an idempotency key of 32 bytes!!"
PAYLOAD = "4111111111111111"


@pytest.fixture
def db(open_db, engine, key):
    face = open_db(engine.endpoint, table_prefix=f"secret-{key}-", idempotency_key=SECRET)
    made = ensure_tables(face.inner)
    if face.kind == "asyncio":
        face._loop.run(made)
    return face


@pytest.fixture
def key():
    return "k"


def frames_of(error):
    """The variables of every frame of the library."""
    one = traceback.TracebackException.from_exception(error, capture_locals=True)
    while one is not None:
        for frame in one.stack:
            if "/dynamorm/" in frame.filename:
                yield from (frame.locals or {}).items()
        one = one.__cause__ or one.__context__


def run(db, payload=PAYLOAD, **options):
    with db.idempotent("key", **{"payload": payload, "scope": "secret", **options}) as op:
        if not op.replayed:
            op.respond(1)


@pytest.mark.parametrize(
    "wrong",
    [{"scope": ""}, {"lease": -1}, {"final": int}, {"payload": object()}, {"payload": 5}],
    ids=["scope", "lease", "final", "no payload", "another payload"],
)
def test_no_frame_holds_the_secret(db, wrong):
    run(db)
    with pytest.raises(DynamORMError) as refused:
        run(db, **wrong)
    held = [name for name, shown in frames_of(refused.value) if SECRET.decode() in shown or SECRET.hex() in shown]
    assert held == []


def test_what_is_asked_for_shows_no_payload(db):
    asked = db.inner.idempotent("a key", payload=PAYLOAD, scope="secret")
    for shown in (repr(asked), repr(asked._options), str(asked._options)):
        assert PAYLOAD not in shown
        assert "a key" not in shown
        assert SECRET.decode() not in shown


def test_a_decorated_function_whose_payload_is_none_shows_no_secret(db):
    if db.kind == "asyncio":
        pytest.skip("it is the same source")
    function = db.inner.idempotent(lambda key: key, payload=lambda key: object(), scope="secret")(lambda op, key: None)
    with pytest.raises(ValidationError) as refused:
        function("k")
    assert not [name for name, shown in frames_of(refused.value) if SECRET.decode() in shown]
