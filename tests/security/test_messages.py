"""What a service says of a request stands in errors on one line, and acts on no terminal: it may repeat what users have given."""

from __future__ import annotations

import json

import pytest

from dynamorm import DB, Attr, Model, Presets, partition_key
from dynamorm.errors import DynamORMError
from dynamorm.testing import FaultServer, answers
from dynamorm.wire.http1 import Exchange
from dynamorm.wire.reply import MAX_TEXT, parse_error

HOSTILE = "Invalid value \x1b[2J\x1b]0;title\x07\r\n2026-11-01 INFO paid\u202e\u2028\u0085\u200b\x7f"


def body(**members):
    return json.dumps(members).encode()


@pytest.mark.parametrize("name", ["message", "Message"])
def test_a_message_is_one_line(name):
    fault = parse_error(400, body(__type="x#ValidationException", **{name: HOSTILE}))
    assert fault.message.isprintable()
    assert fault.message.startswith(r"Invalid value \x1b[2J")
    assert r"\r\n2026-11-01 INFO paid\u202e" in fault.message
    assert fault.code == "ValidationException"


def test_reasons_are_one_line_each():
    reasons = [{"Code": "ConditionalCheckFailed", "Message": HOSTILE}, {"Code": "None"}]
    throttling = [{"reason": HOSTILE, "resource": HOSTILE}]
    fault = parse_error(
        400, body(__type="TransactionCanceledException", CancellationReasons=reasons, ThrottlingReasons=throttling)
    )
    texts = [fault.cancellation[0].message, fault.throttling[0].reason, fault.throttling[0].resource]
    assert all(text.isprintable() for text in texts)


@pytest.mark.parametrize("text", ["Ein Schlüssel fehlt", "キーがありません", "no such key: é€🙂", "a" * 10])
def test_a_message_of_letters_is_as_it_was(text):
    assert parse_error(400, body(__type="ValidationException", message=text)).message == text


def test_a_message_is_bounded():
    assert len(parse_error(400, body(__type="E", message="\x1b" * 100_000)).message) == MAX_TEXT


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (b"4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG", "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQNSO5AEMVJF66Q9ASUAAJG"),
        (b"a" * 5_000, "a" * 200), (b"\x9b31m", "\ufffd31m"), (b"a\tb", "a?b"), (b"\xe2\x80\xae", "\ufffd" * 3),
    ],
)  # fmt: skip
def test_the_id_of_a_request_is_letters_on_one_line(sent, kept):
    exchange = Exchange()
    answer = b"HTTP/1.1 200 OK\r\nServer: x\r\nx-amzn-RequestId: " + sent + b"\r\nContent-Length: 2\r\n\r\n{}"
    assert exchange.feed(answer)
    assert exchange.request_id == kept
    assert exchange.request_id.isprintable()


class Item(Model, table="security-messages"):
    id: Attr[str] = partition_key()


def test_an_error_to_the_program_is_one_line():
    message = {"__type": "x#ValidationException", "message": HOSTILE}
    with (
        FaultServer([answers.json(message, status=400)]) as server,
        DB(Presets.local_development(endpoint=server.endpoint)) as db,
        pytest.raises(DynamORMError) as caught,
    ):
        db.get(Item, "1")
    for text in (str(caught.value), caught.value.message, caught.value.safe):
        assert text.isprintable()
    assert "Invalid value" in str(caught.value)
