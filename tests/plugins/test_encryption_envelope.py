"""The envelope of an encrypted value: known answers, and that nothing but the envelope of its place opens."""

import base64
import hashlib
import hmac
import itertools
import json
import sys

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st

from dynamorm.codec.placing import Place
from dynamorm.errors import ConfigError, TamperedCiphertext, ValidationError
from dynamorm.plugin import framed_key, key_part
from dynamorm.plugins.encryption.ciphers import Envelopes
from dynamorm.plugins.encryption.envelope import (
    OVERHEAD,
    expand,
    framed,
    place_bytes,
    version_of,
    with_key,
)
from dynamorm.plugins.encryption.values import Read, from_bytes, to_bytes

BRANCH, VERSION = bytes(range(32)), bytes(range(16))
SALT, NONCE = bytes(range(32, 48)), bytes(range(64, 76))
KEY = (("token", "S", b"tok_1"),)
PLACE = with_key(place_bytes("pci", "cards", "t1"), KEY, "number")
PLAIN = to_bytes({"S": "4111111111111111"})
KNOWN = "d7010100000102030405060708090a0b0c0d0e0f202122232425262728292a2b2c2d2e2f404142434445464748494a4b"


@pytest.fixture(scope="module")
def envelopes():
    return Envelopes()


@pytest.fixture(scope="module")
def sealed(envelopes):
    return envelopes.seal(BRANCH, VERSION, PLACE, PLAIN, salt=SALT, nonce=NONCE)


def test_known_answers(sealed):
    assert (
        PLACE.hex()
        == "0000000e64796e616d6f726d2f656e632f310000000370636900000005636172647300000002743100000005746f6b656e000000015300000005746f6b5f31000000000000000000000000000000066e756d626572"
    )
    assert (
        sealed.hex()
        == "d7010100000102030405060708090a0b0c0d0e0f202122232425262728292a2b2c2d2e2f404142434445464748494a4b6b4ef18de9d054994dda07d0442cd303d8897c2ed48b03a4fa1b3ec65227c814183928b068c4b3a31265384e00666bfa7845cb857eba1a4af38293d915839d5b77"
    )
    assert (
        expand(BRANCH, b"dynamorm/key/1" + SALT).hex()
        == "d145d0ecc84e7161ce46bcd9240e77c5dd28674462cf36964be5e6d9e002f135"
    )
    assert sealed.hex().startswith(KNOWN)


def test_the_expansion_is_that_of_rfc_5869():
    prk = bytes.fromhex("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5")
    okm = expand(prk, bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"))
    assert okm.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


def test_it_has_96_bytes_more_than_the_value(sealed):
    assert len(sealed) == OVERHEAD + len(PLAIN)
    assert version_of(sealed) == VERSION


def test_it_opens(envelopes, sealed):
    assert from_bytes(envelopes.open(BRANCH, PLACE, sealed)) == {"S": "4111111111111111"}


def test_no_two_envelopes_of_a_value_are_alike(envelopes):
    many = {envelopes.seal(BRANCH, VERSION, PLACE, PLAIN) for _ in range(1000)}
    assert len({envelope[20:48] for envelope in many}) == 1000
    assert len({envelope[48:] for envelope in many}) == 1000


def refused(envelopes, envelope, place=PLACE, branch=BRANCH):
    with pytest.raises(TamperedCiphertext) as error:
        envelopes.open(branch, place, envelope)
    assert error.value.__cause__ is None
    assert not error.value.retryable
    return str(error.value)


def test_every_flipped_bit_is_found_and_all_say_the_same(envelopes, sealed):
    said = set()
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        said.add(refused(envelopes, bytes(flipped)))
    assert len(said) == 1


def test_whatever_is_cut_or_added_is_found(envelopes, sealed):
    for length in range(len(sealed)):
        refused(envelopes, sealed[:length])
    refused(envelopes, sealed + b"\0")
    refused(envelopes, b"\0" + sealed)


def test_it_opens_in_its_own_place_alone(envelopes, sealed):
    others = [
        with_key(place_bytes(*named), key, attribute)
        for named, key, attribute in (
            (("pii", "cards", "t1"), KEY, "number"),
            (("pci", "card", "t1"), KEY, "number"),
            (("pci", "cards", "t2"), KEY, "number"),
            (("pci", "cards", ""), KEY, "number"),
            (("pci", "cards", "t1"), (("token", "S", b"tok_2"),), "number"),
            (("pci", "cards", "t1"), (("toke", "S", b"ntok_1"),), "number"),
            (("pci", "cards", "t1"), (("token", "B", b"tok_1"),), "number"),
            (("pci", "cards", "t1"), (*KEY, ("n", "N", b"1")), "number"),
            (("pci", "cards", "t1"), KEY, "cvv"),
        )
    ]
    for place in others:
        refused(envelopes, sealed, place)


def test_another_key_opens_nothing(envelopes, sealed):
    refused(envelopes, sealed, branch=bytes(32))
    refused(envelopes, sealed, branch=expand(BRANCH, b""))


def test_a_value_in_the_clear_is_no_envelope():
    for value in (b"", b"4111111111111111", b"\xd7\x01\x01\x00", b"\xd7\x02" + bytes(200), "text", None, {"v": 1}):
        with pytest.raises(TamperedCiphertext):
            version_of(value)


@given(st.lists(st.binary(max_size=6), max_size=5), st.lists(st.binary(max_size=6), max_size=5))
def test_two_lists_of_parts_are_never_one_text(first, second):
    assert (framed(*first) == framed(*second)) == (first == second)


WIRES = st.recursive(
    st.one_of(
        st.text(max_size=8).map(lambda value: {"S": value}),
        st.integers(-(10**37), 10**37).map(lambda value: {"N": str(value)}),
        st.binary(max_size=8).map(lambda value: {"B": value}),
        st.booleans().map(lambda value: {"BOOL": value}),
        st.just({"NULL": True}),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda value: {"L": value}),
        st.dictionaries(st.text(max_size=4), inner, max_size=4).map(lambda value: {"M": value}),
    ),
    max_leaves=8,
)


@settings(max_examples=300)
@given(WIRES)
def test_values_come_back_as_they_were(wire):
    found = from_bytes(to_bytes(wire))
    assert to_bytes(found) == to_bytes(wire)
    if "B" not in str(wire):
        assert found == wire


def test_no_two_values_have_the_same_bytes():
    wires = [
        {"S": "1"}, {"N": "1"}, {"B": b"1"}, {"BOOL": True}, {"NULL": True}, {"S": ""}, {"B": b""}, {"L": []}, {"M": {}},
        {"L": [{"S": "1"}]}, {"SS": ["1"]}, {"NS": ["1"]}, {"BS": [b"1"]}, {"M": {"a": {"S": "1"}}},
    ]  # fmt: skip
    for one, other in itertools.combinations(wires, 2):
        assert to_bytes(one) != to_bytes(other)
    assert to_bytes({"SS": ["b", "a"]}) == to_bytes({"SS": ["a", "b"]})
    assert to_bytes({"M": {"b": {"S": ""}, "a": {"S": ""}}}) == to_bytes({"M": {"a": {"S": ""}, "b": {"S": ""}}})


@pytest.mark.parametrize("data", [b"", b"X1", b"?2", b"L{", b"S\xff", b"B"[:0]])
def test_what_is_no_value_is_refused(data):
    with pytest.raises(TamperedCiphertext):
        from_bytes(data)


def test_noise_opens_as_nothing(envelopes):
    for number in range(2000):
        noise = hashlib.sha512(b"%d" % number).digest() * 3
        refused(envelopes, b"\xd7\x01\x01\x00" + noise)


KEYS = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=40).map(lambda text: {"S": text}),
        st.binary(min_size=1, max_size=40).map(lambda data: {"B": base64.b64encode(data).decode()}),
        st.integers(-(10**37), 10**37).map(lambda number: {"N": str(number)}),
        st.sampled_from([{"N": "1E+2"}, {"N": "0.10"}, {"N": "-0"}, {"S": "\0"}, {"S": 'a"\\u00e9'}]),
    ),
    min_size=1,
    max_size=2,
)


@given(KEYS, st.lists(st.sampled_from(["pk", "sk", "é", "a-b"]), min_size=2, max_size=2, unique=True))
def test_a_place_frames_its_key_however_it_is_written(wires, names):
    names = tuple(names[: len(wires)])
    item = {"other": {"L": [{"S": "x"}]}, **dict(zip(names, wires, strict=True))}
    expected = [part for name, wire in zip(names, wires, strict=True) for part in key_part(name, wire)]
    expected += ["", "", b""] * (2 - len(wires))
    expected = framed(*(part if isinstance(part, bytes) else part.encode() for part in expected))
    for raw in (json.dumps(item), json.dumps(item, ensure_ascii=False, indent=1)):
        place = Place(raw.encode(), names)
        assert place.framed == expected == place.framed
        assert place.framed == framed_key(place.key)
    assert Read(names, item.get, {}).framed == expected


@pytest.mark.parametrize("raw", [None, b"{}", b'{"pk":{"S":"a"}}'])
def test_a_place_without_its_key_frames_nothing(raw):
    with pytest.raises(ValidationError, match="read without that key"):
        Place(raw, ("pk", "sk")).framed


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300), st.binary(min_size=1, max_size=300))
def test_an_envelope_is_what_the_format_says(branch, place, plain):
    envelope = Envelopes().seal(branch, VERSION, place, plain)
    head, commitment, sealed = envelope[:48], envelope[48:80], envelope[80:]
    salt, nonce = head[20:36], head[36:]
    committing = expand(branch, b"dynamorm/commit/1" + salt)
    assert commitment == hmac.digest(committing, head + place, "sha256")
    cipher = AESGCM(expand(branch, b"dynamorm/key/1" + salt))
    assert sealed == cipher.encrypt(nonce, plain, head + commitment + place)
    assert Envelopes().open(branch, place, envelope) == plain


def test_salt_and_nonce_are_given_both_or_none(envelopes):
    for one in ({"salt": SALT}, {"nonce": NONCE}):
        with pytest.raises(ValueError, match=r"[Nn]once"):
            envelopes.seal(BRANCH, VERSION, PLACE, PLAIN, **one)


def test_without_cryptography_the_error_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "dynamorm.plugins.encryption.branch", raising=False)
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.hmac", None)
    with pytest.raises(ConfigError, match=r"dynamorm-py\[encryption\]"):
        Envelopes()
