"""Signed webhooks, and where they may be sent."""

import json
import math
from base64 import b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.errors import InvalidSignature, Outcome, ValidationError
from dynamorm.payments import check_target, sign_webhook, verify_webhook

SECRET = "whsec_" + b64encode(b"a" * 32).decode()
OTHER = "whsec_" + b64encode(b"b" * 32).decode()
NOW = 1_700_000_000
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
WHSK = "whsk_" + b64encode(b"k" * 32).decode()
WHPK = "whpk_" + b64encode(PRIVATE.public_key().public_bytes_raw()).decode()


def signed(secret=SECRET, id="msg_1", body=b'{"a":1}', timestamp=NOW):
    return sign_webhook(secret, id=id, body=body, timestamp=timestamp)


def verify(headers, body=b'{"a":1}', secrets=SECRET, **named):
    return verify_webhook(secrets, headers, body, **{"now": NOW, **named})


def test_the_example_of_the_specification_is_signed_alike():
    headers = sign_webhook(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        body='{"test": 2432232314}',
        timestamp=1614265330,
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(max_size=200), st.integers(0, 10**10))
def test_what_was_signed_is_believed_and_gives_its_id(body, timestamp):
    assert verify(signed(body=body, timestamp=timestamp), body, now=timestamp) == "msg_1"


@given(st.binary(min_size=1, max_size=60), st.data())
def test_an_altered_byte_is_not(body, data):
    at = data.draw(st.integers(0, len(body) - 1))
    altered = body[:at] + bytes([body[at] ^ data.draw(st.integers(1, 255))]) + body[at + 1 :]
    with pytest.raises(InvalidSignature):
        verify(signed(body=body), altered)


def test_headers_are_found_in_any_case_and_as_bytes():
    headers = {name.title(): value.encode() for name, value in signed().items()}
    assert verify(headers) == "msg_1"


def test_while_secrets_are_rotated_both_are_signed_with_and_both_are_tried():
    both = signed([OTHER, SECRET])
    assert len(both["webhook-signature"].split(" ")) == 2
    assert verify(both) == verify(both, secrets=[OTHER]) == verify(signed(), secrets=[OTHER, SECRET]) == "msg_1"
    with pytest.raises(InvalidSignature) as caught:
        verify(signed(OTHER))
    assert (caught.value.retryable, caught.value.outcome) == (False, Outcome.NOT_APPLIED)


def test_ed25519_is_v1a():
    headers = signed(WHSK)
    assert headers["webhook-signature"].startswith("v1a,")
    assert verify(headers, secrets=WHPK) == verify(headers, secrets=[SECRET, WHSK]) == "msg_1"
    assert verify(signed([SECRET, WHSK]), secrets=WHPK) == "msg_1"
    with pytest.raises(InvalidSignature):
        verify(headers, b"{}", secrets=WHPK)
    with pytest.raises(InvalidSignature):
        verify(headers)
    with pytest.raises(ValidationError, match="private"):
        signed(WHPK)


@pytest.mark.parametrize(
    ("age", "tolerance", "fine"),
    [
        (300, 300, True),
        (301, 300, False),
        (-300, 300, True),
        (-301, 300, False),
        (0, 0, True),
        (1, 0, False),
        (-1, 0, False),
        (10**9, 1e300, True),
    ],
)
def test_the_tolerance_counts_both_ways_and_zero_switches_nothing_off(age, tolerance, fine):
    headers = signed(timestamp=NOW - age)
    if fine:
        assert verify(headers, tolerance=tolerance) == "msg_1"
    else:
        with pytest.raises(InvalidSignature, match="old" if age > 0 else "new"):
            verify(headers, tolerance=tolerance)


@pytest.mark.parametrize(
    "stamp",
    [
        "",
        "NaN",
        "nan",
        "inf",
        "1e9",
        "-1",
        "+1700000000",
        "1700000000.0",
        " 1700000000",
        "1_700_000_000",
        "\u0661",
        "9" * 30,
        "0x1",
    ],
)
def test_a_timestamp_is_digits_alone(stamp):
    with pytest.raises(InvalidSignature):
        verify({**signed(), "webhook-timestamp": stamp})


@pytest.mark.parametrize(
    "signature", ["", "v1", "v1,", "v2,AAAA", "v1,!!!!", "V1,x", "v1a,AAAA", "v1,\u00e9", " ".join(["v1,x"] * 50)]
)
def test_what_is_no_signature_is_none(signature):
    with pytest.raises(InvalidSignature):
        verify({**signed(), "webhook-signature": signature})


def test_other_signatures_beside_the_right_one_do_no_harm():
    headers = signed()
    assert verify({**headers, "webhook-signature": f"v2,x v1,AAAA {headers['webhook-signature']}"}) == "msg_1"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_no_header_may_be_missing_or_twice(name):
    headers = signed()
    with pytest.raises(InvalidSignature, match=name):
        verify({key: value for key, value in headers.items() if key != name})
    with pytest.raises(InvalidSignature, match=name):
        verify({**headers, name.upper(): headers[name]})


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_AAAA",
        "whsec_" + b64encode(b"a" * 65).decode(),
        SECRET[:-1],
        SECRET + "=",
        SECRET.removeprefix("whsec_"),
        "whsec_!!!!",
        None,
        5,
        [],
        [SECRET, None],
        b"whsec_",
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(secret):
    for act in (lambda: signed(secret), lambda: verify(signed(), secrets=secret)):
        with pytest.raises(ValidationError) as caught:
            act()
        assert "AAAA" not in str(caught.value)


@pytest.mark.parametrize(
    "act",
    [
        lambda: verify(signed(), tolerance=math.nan), lambda: verify(signed(), tolerance=-1), lambda: verify(signed(), tolerance=None), lambda: verify(signed(), tolerance=True),
        lambda: verify(signed(), now=math.inf), lambda: verify(signed(), {"a": 1}), lambda: signed(id="a.b"), lambda: signed(id=""), lambda: signed(timestamp=math.nan), lambda: signed(body={"a": 1}),
    ],
)  # fmt: skip
def test_arguments_that_are_none_are_refused(act):
    with pytest.raises(ValidationError):
        act()


def test_a_body_that_was_read_and_written_again_is_another():
    body = b'{"b": 1,  "a": 2}'
    with pytest.raises(InvalidSignature):
        verify(signed(body=body), json.dumps(json.loads(body)).encode())


def resolving(*addresses):
    return lambda host, port, **_: [(None, None, None, "", (address, port)) for address in addresses]


def test_a_public_https_target_gives_its_addresses():
    assert check_target("https://example.com/hook", resolve=resolving("93.184.215.14", "2606:2800:21f:cb07::1")) == (
        "93.184.215.14",
        "2606:2800:21f:cb07::1",
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "ftp://example.com",
        "https://",
        "example.com",
        "https://a:b@example.com",
        "https://user@example.com",
        "https://[::1",
        "https://example.com:99999",
        "https://example.com:0/",
        "https://example.com/\n",
        "https://example.com/\x01",
        "https://example.com/\x7f",
        "https://example.com/a b",
        "https://example.com/\u2003",
        "https://exa\tmple.com/",
        " https://example.com/",
        "https://\uff18.8.8.8/",
        "",
    ],
)
def test_what_is_no_https_url_is_refused(url):
    with pytest.raises(ValidationError):
        check_target(url, resolve=resolving("93.184.215.14"))


def test_a_name_that_cannot_be_one_has_no_address():
    for name in ("xn--", "a" * 64 + ".example", "a..example"):
        with pytest.raises(ValidationError):
            check_target(f"https://{name}/")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "100.64.0.1",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "224.0.0.1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:10.0.0.1",
        "::ffff:0:127.0.0.1",
        "2001:0:7f00:1::",
        "fec0::1",
        "192.88.99.1",
        "2606:2800::5efe:7f00:1",
        "2606:2800::200:5efe:a00:1",
        "ff0e::1",
    ],
)
def test_a_name_that_leads_inside_is_refused(address):
    with pytest.raises(ValidationError):
        check_target("https://example.com", resolve=resolving("93.184.215.14", address))


def test_a_gateway_to_a_public_address_is_a_target():
    """A network without IPv4 reaches it so."""
    assert check_target("https://example.com", resolve=resolving("64:ff9b::808:808")) == ("64:ff9b::808:808",)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-signature", "webhook-timestamp"])
def test_a_header_that_is_no_text_of_ascii_is_refused(name):
    with pytest.raises(InvalidSignature):
        verify({**signed(), name: "\udc80"})


def test_a_body_that_is_no_unicode_is_refused():
    with pytest.raises(ValidationError, match="body"):
        verify(signed(), body="\udc80")


def test_a_name_without_an_address_is_refused():
    def fails(*_, **__):
        raise OSError

    for resolve in (fails, resolving()):
        with pytest.raises(ValidationError, match="no address"):
            check_target("https://example.com", resolve=resolve)


def test_what_is_signed_is_split_in_one_way_only():
    """A signature says nothing of where the id ends: so an id has no point."""
    secret = "whsec_" + b64encode(b"s" * 32).decode()
    headers = sign_webhook(secret, id="evt_1", body=b"1700000800.refund p1", timestamp=1_700_000_000)
    split = {**headers, "webhook-id": "evt_1.1700000000", "webhook-timestamp": "1700000800"}
    with pytest.raises(InvalidSignature, match="point"):
        verify_webhook([secret], split, b"refund p1", now=1_700_000_800)
