"""The functions of examples/lambda: a webhook and a record of a stream count once, whatever is lost and repeated."""

import json
import sys
import time
from importlib import import_module

import pytest

from dynamorm import DB, Presets
from dynamorm.engine import Engine

play = import_module("examples.lambda.play")

pytestmark = [pytest.mark.engine, pytest.mark.whole]

SECRET = "whsec_" + "ab" * 24


@pytest.fixture
def engine():
    with Engine() as engine:
        yield engine


@pytest.fixture
def functions(engine, monkeypatch):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", engine.address)
    monkeypatch.setenv("WEBHOOK_SECRETS", SECRET)
    monkeypatch.delitem(sys.modules, "examples.lambda.functions", raising=False)
    functions = import_module("examples.lambda.functions")
    import_module("examples.lambda.tables").make_tables(functions.db)
    yield functions
    functions.db.close()


@pytest.fixture
def db(engine):
    with DB(Presets.local_development(endpoint=engine.address)) as db:
        yield db


def paid(payment="p1", cents=500, day="2024-01-01"):
    return {"type": "payment.paid", "payment": payment, "cents": cents, "day": day}


def send(functions, id, told, **settings):
    answer = functions.webhook(play.webhook_event(SECRET, id, told, **settings), play.Context())
    return answer["statusCode"], json.loads(answer["body"])


def count(functions, db, times=1):
    for event in play.stream_events(db, size=3):
        for _ in range(times):
            assert functions.totals(event, play.Context()) == {"batchItemFailures": []}


def total(functions, db, day="2024-01-01"):
    found = db.get(functions.DayTotal, day, consistent=True)
    return found and (found.payments, found.cents)


@pytest.mark.parametrize("is_base64", [False, True])
def test_a_webhook_is_done_once(functions, db, is_base64):
    assert send(functions, "msg_1", paid(), is_base64=is_base64) == (200, {"payment": "p1", "type": "payment.paid"})
    assert send(functions, "msg_2", {"type": "payment.refunded", "payment": "p1"})[0] == 200
    assert send(functions, "msg_1", paid(), is_base64=is_base64)[0] == 200  # late, and again
    assert db.require(functions.Payment, "p1").status == "refunded"


def test_a_refunded_payment_is_never_paid_again(functions, db):
    send(functions, "msg_1", paid())
    send(functions, "msg_2", {"type": "payment.refunded", "payment": "p1"})
    assert send(functions, "msg_3", paid()) == (200, {"payment": "p1", "type": "payment.paid"})
    assert db.require(functions.Payment, "p1").status == "refunded"
    count(functions, db)
    assert total(functions, db) == (0, 0)


@pytest.mark.parametrize("other", [{"cents": 900}, {"day": "2024-01-02"}])
def test_a_payment_that_is_told_otherwise_is_refused_and_stays(functions, db, other):
    send(functions, "msg_1", paid())
    for _ in range(2):
        code, body = send(functions, "msg_2", paid(**other))
        assert (code, body["error"]) == (409, "this payment was told before, with another amount or day")
    count(functions, db)
    assert total(functions, db) == (1, 500)
    assert total(functions, db, "2024-01-02") is None


def test_totals_follow_the_stream_once(functions, db):
    for number in range(7):
        send(functions, f"msg_{number}", paid(f"p{number}", 100 + number))
    send(functions, "msg_7", {"type": "payment.refunded", "payment": "p3"})
    count(functions, db, times=3)
    count(functions, db)
    assert total(functions, db) == (6, 721 - 103)


def test_replies_that_are_lost_change_nothing(functions, db, engine):
    with engine.faults.lose_reply(share=0.25, seed=5):
        for number in range(20):
            while send(functions, f"msg_{number}", paid(f"p{number}", 100))[0] == 503:
                continue
        for event in play.stream_events(db, size=3):
            while functions.totals(event, play.Context())["batchItemFailures"]:
                continue
    assert total(functions, db) == (20, 2_000)


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ([], 422, "type is one of payment.paid, payment.refunded"),
        ({"type": []}, 422, "type is one of"),
        ({"type": "payment.paid", "payment": "p1"}, 422, "cents, day must be there"),
        (paid(cents=-1), 422, "cents is not as it should be"),
        (paid(cents="x"), 422, "cents is not as it should be"),
        (paid(payment=""), 422, "is not as it should be"),
        (paid(payment="p" * 3_000), 422, "is not as it should be"),
        (paid(cents=10**30), 422, "cents is not as it should be"),
        (paid(day=""), 422, "day is not as it should be"),
        (paid(day="2" * 3_000), 422, "day is not as it should be"),
        (paid(day="2024-01-01 "), 422, "day is not as it should be"),
        (paid(day=5), 422, "day is not as it should be"),
        ({"type": "payment.refunded", "payment": "gone"}, 409, "no such payment"),
    ],
)
def test_what_is_no_webhook_of_ours_is_told_and_writes_nothing(functions, db, told, status, words):
    code, body = send(functions, "msg_1", told)
    assert (code, words in body["error"]) == (status, True), body
    assert db.model(functions.Payment).allow_scan().count() == 0


def test_who_has_not_the_secret_is_refused(functions):
    event = play.webhook_event("whsec_" + "cd" * 24, "msg_1", paid())
    assert functions.webhook(event, play.Context())["statusCode"] == 400
    event = play.webhook_event(SECRET, "msg_1", paid(), at=time.time() - 3_600)
    assert functions.webhook(event, play.Context())["statusCode"] == 400
    event = play.webhook_event(SECRET, "msg_1", paid())
    assert (
        functions.webhook({**event, "body": event["body"].replace("500", "501")}, play.Context())["statusCode"] == 400
    )
    assert functions.webhook({}, play.Context())["statusCode"] == 400


def test_an_invocation_without_time_asks_for_another_one(functions, db):
    event = play.webhook_event(SECRET, "msg_1", paid())
    assert functions.webhook(event, play.Context(seconds=0.2))["statusCode"] == 503
    assert functions.webhook(event, play.Context())["statusCode"] == 200


def test_a_record_that_fails_is_told_and_comes_again(functions, db, engine):
    send(functions, "msg_1", paid())
    (event,) = play.stream_events(db)
    with engine.faults.throttle(op="TransactWriteItems"):
        failed = functions.totals(event, play.Context(seconds=1.5))["batchItemFailures"]
    assert failed == [{"itemIdentifier": event["Records"][0]["dynamodb"]["SequenceNumber"]}]
    count(functions, db)
    assert total(functions, db) == (1, 500)


def test_a_table_that_is_not_there_is_for_whoever_runs_it(functions, db):
    db.tables.delete(functions.Payment)
    with pytest.raises(Exception, match="does not exist"):
        send(functions, "msg_1", paid())


def test_the_play_adds_up(monkeypatch, capsys):
    for name in ("DYNAMODB_ENDPOINT", "WEBHOOK_SECRETS"):
        monkeypatch.setenv(name, "")  # it sets them
    monkeypatch.delitem(sys.modules, "examples.lambda.functions", raising=False)
    assert import_module("examples.lambda.__main__").main(["--webhooks", "15"]) == 0
    assert "15 payments" in capsys.readouterr().out


def test_no_webhooks_are_told_on_one_line(capsys):
    with pytest.raises(SystemExit, match="2"):
        import_module("examples.lambda.__main__").main(["--webhooks", "0"])
    assert "error: --webhooks is 1 or more" in capsys.readouterr().err
