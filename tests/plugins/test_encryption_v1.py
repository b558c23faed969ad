"""The envelopes of the Go library: their text byte for byte, what is refused, and the verbs."""

import json
import os
from base64 import b64encode
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dynamorm import DB, Attr, Encrypted, Model, Presets, attr, partition_key
from dynamorm.errors import ModelError, TamperedCiphertext
from dynamorm.plugins import EncryptionPlugin
from dynamorm.plugins.encryption.v1 import from_json, parts_of, to_json

from .encryption_kit import Provider

NESTED = {"M": {"b": {"L": [{"N": "1.50"}, {"NULL": True}]}, "a&": {"S": '<é\u2028>"\\\n\x08'}}}
NESTED_TEXT = '{"t":"M","m":{"a\\u0026":{"t":"S","s":"\\u003cé\\u2028\\u003e\\"\\\\\\n\\u0008"},"b":{"t":"L","l":[{"t":"N","n":"1.50"},{"t":"NULL","null":true}]}}}'


class Written(Model, table="v1-items"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(Encrypted("pii", envelope="v1"), default=None)
    data: Attr[bytes | None] = attr(Encrypted("pii", envelope="v1", aad_prefix="dynamorm"), default=None)
    words: Attr[set[str]] = attr(Encrypted("pii", envelope="v1"), default_factory=set)


class Accepting(Model, table="v1-items"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(Encrypted("pii", accept_v1=True), default=None)


class Strict(Model, table="v1-items"):
    id: Attr[str] = partition_key()
    text: Attr[str | None] = attr(Encrypted("pii"), default=None)


class Raw(Model, table="v1-items"):
    id: Attr[str] = partition_key()
    text: Attr[Any] = attr(default=None)
    data: Attr[Any] = attr(default=None)


@pytest.fixture(scope="module")
def made(engine, prefix):
    with DB(Presets.local_development(endpoint=engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(Raw)
    return prefix


@pytest.fixture
def provider():
    return Provider()


@pytest.fixture
def db(plugged, provider, key):
    return plugged(EncryptionPlugin(provider)).view(tenant=key)


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        ({"S": "a"}, '{"t":"S","s":"a"}'),
        ({"S": ""}, '{"t":"S","s":""}'),
        ({"N": "1"}, '{"t":"N","n":"1"}'),
        ({"B": b"\0\xff"}, '{"t":"B","b":"AP8="}'),
        ({"BOOL": False}, '{"t":"BOOL","bool":false}'),
        ({"NULL": True}, '{"t":"NULL","null":true}'),
        ({"L": []}, '{"t":"L"}'),
        ({"M": {}}, '{"t":"M"}'),
        ({"SS": ["b", "a"]}, '{"t":"SS","ss":["b","a"]}'),
        ({"NS": ["2", "1"]}, '{"t":"NS","ns":["2","1"]}'),
        ({"BS": [b"a"]}, '{"t":"BS","bs":["YQ=="]}'),
        (NESTED, NESTED_TEXT),
    ],
)
def test_the_text_is_that_of_go(wire, text):
    assert to_json(wire) == text
    assert from_json(text.encode()) == wire


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"t":"S","s":1}', '{"t":"X"}', '{"t":"S","s":"a","s":"b"}', '{"t":"S","n":"1"}', '{"t":"B","b":"%"}',
     '{"t":"S","s":"a"} ,', '{"t":"BOOL"}', '{"t":"L","l":{}}', '{"t":"BOOL","bool":1}',
     '{"t":"L","l":[' * 33 + '{"t":"S","s":""}' + "]}" * 33, '{"t":"L","l":[' * 2000 + "]}" * 2000],
)  # fmt: skip
def test_what_is_no_value(text):
    with pytest.raises(TamperedCiphertext):
        from_json(text.encode())


def test_what_lies_deep_enough_is_one():
    text = '{"t":"L","l":[' * 32 + '{"t":"S","s":""}' + "]}" * 32
    assert "L" in from_json(text.encode())


GOOD = {"v": {"N": "1"}, "edk": {"B": b"k"}, "nonce": {"B": bytes(12)}, "ct": {"B": bytes(16)}}


@pytest.mark.parametrize(
    "change",
    [{"v": {"N": "2"}}, {"v": {"S": "1"}}, {"nonce": {"B": bytes(11)}}, {"nonce": {"B": bytes(13)}}, {"ct": {"B": bytes(15)}},
     {"edk": {"B": b""}}, {"edk": {"S": "k"}}, {"more": {"N": "1"}}, {"ct": None}, {"ct": {"B": b"", "S": ""}}, {"nonce": {"B": "%"}}],
)  # fmt: skip
def test_what_is_no_envelope(change):
    assert parts_of(GOOD) == (b"k", bytes(12), bytes(16))
    with pytest.raises(TamperedCiphertext):
        parts_of({**GOOD, **change})
    with pytest.raises(TamperedCiphertext):
        parts_of({name: value for name, value in GOOD.items() if name != "edk"})


def of_go(provider, attribute, text, prefix="theorydb", edk=None):
    """An envelope as the Go library makes it, by nothing of ours."""
    key, edk, nonce = os.urandom(32), edk or os.urandom(184), os.urandom(12)
    provider.made[edk] = key, b""
    sealed = AESGCM(key).encrypt(nonce, text.encode(), f"{prefix}:encrypted:v1|attr={attribute}".encode())
    return {"v": 1, "edk": edk, "nonce": nonce, "ct": sealed}


@pytest.mark.parametrize("named", ["theorydb", "dynamorm"])
def test_what_go_has_written_is_read(db, plugged, provider, key, named):
    plugged().put(Raw(id=key, text=of_go(provider, "text", '{"t":"S","s":"h\\u0026"}', named)))
    assert db.get(Written, key).text == "h&"
    assert db.get(Accepting, key).text == "h&"
    assert db.model(Accepting).where(Accepting.id == key).one().text == "h&"
    with pytest.raises(TamperedCiphertext):
        db.get(Strict, key)


def test_bytes_of_go_are_a_list_of_numbers(db, plugged, provider, key):
    numbers = ",".join(f'{{"t":"N","n":"{one}"}}' for one in b"\0\x7f\xff")
    plugged().put(Raw(id=key, data=of_go(provider, "data", f'{{"t":"L","l":[{numbers}]}}')))
    assert db.get(Written, key).data == b"\0\x7f\xff"


def test_what_is_written_is_what_go_reads(db, plugged, provider, key):
    db.put(Written(id=key, text="h&", data=b"\0", words={"b", "a"}))
    raw = plugged().get(Raw, key)
    for stored, attribute, prefix, text in (
        (raw.text, "text", "theorydb", '{"t":"S","s":"h\\u0026"}'),
        (raw.data, "data", "dynamorm", '{"t":"B","b":"AA=="}'),
    ):
        assert stored.keys() == {"v", "edk", "nonce", "ct"}
        assert stored["v"] == 1
        assert len(stored["nonce"]) == 12
        key_bytes, context = provider.made[stored["edk"]]
        assert context == b""
        aad = f"{prefix}:encrypted:v1|attr={attribute}".encode()
        assert AESGCM(key_bytes).decrypt(stored["nonce"], stored["ct"], aad) == text.encode()
    found = db.get(Written, key)
    assert (found.text, found.data, found.words) == ("h&", b"\0", {"a", "b"})
    assert provider.contexts == [{}]
    assert b64encode(b"h&") not in json.dumps(str(raw)).encode()


def test_reading_v1_writes_the_bound_form(db, plugged, provider, key):
    plugged().put(Raw(id=key, text=of_go(provider, "text", '{"t":"S","s":"old"}')))
    item = db.get(Accepting, key)
    item.text = "new"
    db.save(item)
    assert plugged().get(Raw, key).text[:2] == b"\xd7\x01"
    assert db.get(Strict, key).text == "new"


def test_every_flipped_bit_is_found(db, plugged, provider, key):
    envelope = of_go(provider, "text", '{"t":"S","s":"a"}')
    plugged().put(Raw(id=key, text=envelope))
    assert db.get(Accepting, key).text == "a"
    for member in ("nonce", "ct"):
        for bit in range(0, len(envelope[member]) * 8, 7):
            flipped = bytearray(envelope[member])
            flipped[bit // 8] ^= 1 << bit % 8
            plugged().put(Raw(id=key, text={**envelope, member: bytes(flipped)}))
            with pytest.raises(TamperedCiphertext):
                db.get(Accepting, key)
    plugged().put(Raw(id=key, text=of_go(provider, "other", '{"t":"S","s":"a"}')))
    with pytest.raises(TamperedCiphertext):
        db.get(Accepting, key)


@pytest.mark.parametrize("wrong", [{"envelope": "v2"}, {"aad_prefix": "go"}, {"accept_v1": "yes"}])
def test_options_that_are_refused(wrong):
    with pytest.raises(ModelError):
        Encrypted("pii", **wrong)
