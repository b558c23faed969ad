import json
import re
import time
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.wire.clock import SKEW_CODES
from dynamorm.wire.reply import (
    CancellationReason,
    Kind,
    ServiceFault,
    ThrottlingReason,
    cancellation_kind,
    classify,
    parse_error,
    verify_crc,
)

SPACE = "com.amazonaws.dynamodb.v20120810#"


def body(name, **fields):
    return json.dumps({"__type": SPACE + name, **fields}).encode()


@pytest.mark.parametrize(
    "name",
    [
        "ValidationException",
        "com.amazonaws.dynamodb.v20120810#ValidationException",
        "com.amazon.coral.validate#ValidationException",
        "ValidationException:http://internal.amazon.com/coral/com.amazon.coral.validate/",
        "com.amazon.coral.validate#ValidationException:http://internal.amazon.com/x#y".replace("#y", ""),
    ],
)
@pytest.mark.parametrize("key", ["message", "Message"])
def test_the_bare_name_is_taken_out_of_every_form_of_type(name, key):
    fault = parse_error(400, json.dumps({"__type": name, key: "why"}).encode())
    assert (fault.code, fault.message, fault.status) == ("ValidationException", "why", 400)
    assert fault.kind is Kind.VALIDATION


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("ConditionalCheckFailedException", 400, Kind.CONDITION),
        ("ProvisionedThroughputExceededException", 400, Kind.THROTTLE),
        ("ThrottlingException", 400, Kind.THROTTLE),
        ("RequestLimitExceeded", 400, Kind.THROTTLE),
        ("TransactionCanceledException", 400, Kind.CANCELLED),
        ("TransactionConflictException", 400, Kind.CONFLICT),
        ("TransactionInProgressException", 400, Kind.IN_PROGRESS),
        ("IdempotentParameterMismatchException", 400, Kind.MISMATCH),
        ("ReplicatedWriteConflictException", 409, Kind.CONFLICT),
        ("ItemCollectionSizeLimitExceededException", 400, Kind.OTHER),
        ("ValidationException", 400, Kind.VALIDATION),
        ("ResourceNotFoundException", 400, Kind.NOT_FOUND_TABLE),
        ("AccessDeniedException", 400, Kind.ACCESS),
        ("UnrecognizedClientException", 400, Kind.EXPIRED_CREDENTIALS),
        ("ExpiredTokenException", 400, Kind.EXPIRED_CREDENTIALS),
        ("ExpiredToken", 403, Kind.EXPIRED_CREDENTIALS),
        ("InvalidSignatureException", 400, Kind.SKEW),
        ("LimitExceededException", 400, Kind.RESOURCE_IN_USE),
        ("ResourceInUseException", 400, Kind.RESOURCE_IN_USE),
        ("InternalServerError", 500, Kind.TRANSIENT),
        ("InternalServerError", 400, Kind.TRANSIENT),
        ("Anything", 503, Kind.TRANSIENT),
        ("ThrottlingException", 503, Kind.TRANSIENT),
        ("ConditionalCheckFailedException", 500, Kind.TRANSIENT),
        ("", 502, Kind.TRANSIENT),
        ("", 400, Kind.MALFORMED),
        ("", 301, Kind.MALFORMED),
        ("ValidationException", 302, Kind.MALFORMED),
        ("BrandNewException", 400, Kind.OTHER),
    ],
)
def test_the_kind_follows_the_truth_table(code, status, kind):
    assert classify(code, status) is kind


def test_the_skew_codes_of_the_clock_are_the_skew_kind():
    assert all(classify(code, 400) is Kind.SKEW for code in SKEW_CODES)


@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"]
)
@pytest.mark.parametrize("field", ["throttlingReasons", "ThrottlingReasons"])
@pytest.mark.parametrize(
    "limit",
    [
        "ProvisionedThroughputExceeded",
        "AccountLimitExceeded",
        "KeyRangeThroughputExceeded",
        "MaxOnDemandThroughputExceeded",
    ],
)
@pytest.mark.parametrize(("what", "tail"), [("Table", ""), ("Index", "/index/by-status")])
def test_throttling_reasons_are_typed(code, field, limit, what, tail):
    reason, arn = f"{what}Write{limit}", f"arn:aws:dynamodb:eu-west-1:123456789012:table/payments{tail}"
    fault = parse_error(400, body(code, message="slow", **{field: [{"reason": reason, "resource": arn}]}))
    assert fault.kind is Kind.THROTTLE
    assert fault.throttling == (ThrottlingReason(reason, arn),)


def test_the_stored_item_stays_undecoded():
    fault = parse_error(
        400, b'{"__type":"x#ConditionalCheckFailedException","Item": {"n" : {"N":"1.50"}} ,"message":"m"}'
    )
    assert fault.kind is Kind.CONDITION
    assert json.loads(fault.item or b"") == {"n": {"N": "1.50"}}
    assert isinstance(fault.item, bytes)
    assert parse_error(400, body("ConditionalCheckFailedException", Item=None)).item is None
    assert parse_error(400, body("ConditionalCheckFailedException")).item is None


def test_cancellation_reasons_keep_their_places():
    reasons = [
        {"Code": "None"},
        {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed", "Item": {"pk": {"S": "a"}}},
        {"Code": "TransactionConflict", "Message": "busy", "Item": None},
    ]
    fault = parse_error(400, body("TransactionCanceledException", CancellationReasons=reasons))
    assert fault.cancellation[0] == CancellationReason(None, "", None)
    assert fault.cancellation[1][:2] == ("ConditionalCheckFailed", "The conditional request failed")
    assert json.loads(fault.cancellation[1].item or b"") == {"pk": {"S": "a"}}
    assert fault.cancellation[2] == CancellationReason("TransactionConflict", "busy", None)


def test_a_hundred_reasons_are_read():
    reasons = [{"Code": "None"}] * 99 + [{"Code": "ValidationError", "Message": "m"}]
    fault = parse_error(400, body("TransactionCanceledException", CancellationReasons=reasons))
    assert [n for n, reason in enumerate(fault.cancellation) if reason.code] == [99]


@pytest.mark.parametrize("reason", [None, 7, "x", [], {}, {"Code": None}, {"Code": 5}, {"Message": "m"}])
def test_an_unreadable_reason_never_passes_for_an_innocent_or_moves_the_others(reason):
    reasons = [{"Code": "None"}, reason, {"Code": "TransactionConflict"}]
    fault = parse_error(400, body("TransactionCanceledException", CancellationReasons=reasons))
    assert [entry.code for entry in fault.cancellation] == [None, "Unreadable", "TransactionConflict"]
    assert cancellation_kind(fault.cancellation) is Kind.CANCELLED


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (["TransactionConflict"], Kind.CONFLICT),
        ([None, "TransactionConflict", None], Kind.CONFLICT),
        (["ThrottlingError"], Kind.THROTTLE),
        (["ProvisionedThroughputExceeded", "TransactionConflict"], Kind.THROTTLE),
        (["ConditionalCheckFailed"], Kind.CANCELLED),
        (["TransactionConflict", "ConditionalCheckFailed"], Kind.CANCELLED),
        (["ItemCollectionSizeLimitExceeded"], Kind.CANCELLED),
        (["ValidationError"], Kind.CANCELLED),
        ([None, None], Kind.CANCELLED),
        ([], Kind.CANCELLED),
    ],
)
def test_a_cancelled_transaction_may_be_repeated_only_when_nothing_lasting_is_to_blame(codes, kind):
    assert cancellation_kind(tuple(CancellationReason(code, "", None) for code in codes)) is kind


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"<html><body>403 Forbidden</body></html>",
        b"null",
        b"[]",
        b'"text"',
        b"7",
        b'{"__type"',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b"{}",
        b'{"__type":7}',
        b'{"__type":"\\u0000\\n"}',
        b'{"__type":"caf\\u00e9"}',
        b"{" * 100_000,
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"__type":"' + b"A" * 17_000_000 + b'"',
    ],
    ids=lambda page: repr(page[:24]),
)
@pytest.mark.parametrize("status", [302, 400, 403, 500])
def test_a_body_that_is_not_an_error_of_dynamodb_promises_nothing(page, status):
    began = time.thread_time()
    fault = parse_error(status, page)
    assert time.thread_time() - began < 1
    assert fault.code == ""
    assert fault.message
    assert fault.kind is (Kind.TRANSIENT if status == 500 else Kind.MALFORMED)


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_bytes_give_a_fault(status, data):
    assert isinstance(parse_error(status, data), ServiceFault)


texts = st.text('ab#:{"\u00e9\U0001f600\x00', max_size=8)
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = ["__type", "message", "Message", "Item", "ThrottlingReasons", "throttlingReasons", "CancellationReasons"]


@given(st.dictionaries(st.sampled_from(names), trees))
def test_any_json_in_the_known_fields_gives_a_fault(fields):
    fault = parse_error(400, json.dumps(fields).encode())
    assert isinstance(fault.code, str)
    assert isinstance(fault.message, str)
    assert all(isinstance(reason, CancellationReason) for reason in fault.cancellation)
    assert all(isinstance(reason, ThrottlingReason) for reason in fault.throttling)


def test_a_giant_message_is_cut():
    fault = parse_error(400, body("X" * 5_000, message="m" * 5_000_000))
    assert len(fault.message) == len(fault.code) == 1_000


def test_the_repr_of_a_fault_shows_no_item_and_no_message():
    fault = parse_error(400, body("ConditionalCheckFailedException", message="pan 4111", Item={"pan": {"S": "4111"}}))
    assert "4111" not in repr(fault)
    assert "4111" not in repr(list(fault.__rich_repr__()))
    assert "ConditionalCheckFailedException" in repr(fault)


@given(st.binary(max_size=300), st.sampled_from(["auto", "require"]), st.booleans())
def test_the_right_checksum_is_believed(data, policy, aws):
    header = str(crc32(data)).encode()
    assert verify_crc(data, header, policy, aws) is None
    assert verify_crc(data, header.zfill(10), policy, aws) is None


def test_one_flipped_bit_anywhere_is_seen():
    data = bytes(range(256)) * 4
    header = str(crc32(data)).encode()
    for at in range(len(data)):
        for bit in range(8):
            altered = bytearray(data)
            altered[at] ^= 1 << bit
            assert verify_crc(bytes(altered), header, "auto", False) is not None


def test_a_missing_checksum_is_accepted_only_where_the_policy_says_so():
    assert verify_crc(b"{}", None, "auto", False) is None
    assert verify_crc(b"{}", None, "auto", True)
    assert verify_crc(b"{}", None, "require", False)
    assert verify_crc(b"{}", None, "require", True)
    assert verify_crc(b"{}", None, "off", True) is None
    assert verify_crc(b"{}", b"1", "off", True) is None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"x",
        b"-1",
        b"+1",
        b"0x10",
        b"1.0",
        b"4294967296",
        b"9" * 30,
        b"9" * 5_000,
        b"2745614147,2745614147",
        b" 2745614147",
    ],
)
def test_a_checksum_header_that_is_no_32_bit_number_gives_a_reason(header):
    for policy in ("auto", "require"):
        assert re.search("not a 32-bit number", verify_crc(b"{}", header, policy, False) or "")


def test_the_reason_names_both_checksums():
    assert verify_crc(b"{}", b"5", "auto", False) == "its checksum is 5, that of the 2 bytes received 2745614147"
