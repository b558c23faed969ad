"""Keys from KMS: the embedded engine's, and scripted answers for what that does not do."""

import json
import threading
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dynamorm import DB, KMSProvider, Presets
from dynamorm.errors import ConfigError, CredentialsError, KeyDisabled, KeyUnavailable
from dynamorm.plugins import EncryptionPlugin

from .encryption_kit import PAN, Card, Line, Plain, RawCard

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def kms_engine(engine):
    if type(engine).__name__ == "DynamoDBLocal":
        pytest.skip("DynamoDB Local has no KMS")
    return engine


@pytest.fixture(scope="module")
def asked(kms_engine, prefix):
    """Asks the KMS of the engine."""
    with DB(Presets.local_development(endpoint=kms_engine.endpoint, table_prefix=prefix)) as db:
        db.tables.create(RawCard)
        db.tables.create(Plain)
        service = db.service("kms", target="TrentService")
        yield lambda operation, **request: db._io.run(service.call(operation, request))
        service.close()


@pytest.fixture(scope="module")
def made(asked, prefix):
    return prefix


@pytest.fixture
def kms_key(asked, key):
    made = asked("CreateKey", Description="test")["KeyMetadata"]
    asked("CreateAlias", AliasName=f"alias/{key}", TargetKeyId=made["KeyId"])
    return made


def test_an_alias_an_id_and_an_arn(plugged, kms_key, key):
    for at, name in enumerate((f"alias/{key}", kms_key["KeyId"], kms_key["Arn"])):
        db = plugged()
        db.set_encryption_provider(KMSProvider(key_id=name, cache=True))
        db = db.view(tenant=f"{key}{at}")
        db.create(Card(token=f"{key}{at}", number=PAN))
        assert db.get(Card, f"{key}{at}").number == PAN
        other = plugged(EncryptionPlugin(KMSProvider(name))).view(tenant=f"{key}{at}")
        assert other.get(Card, f"{key}{at}").number == PAN


def test_the_context_of_another_tenant_opens_nothing(plugged, kms_key, key):
    provider = KMSProvider(kms_key["Arn"])
    db = plugged(EncryptionPlugin(provider))
    mine, yours = db.view(tenant=f"{key}-mine"), db.view(tenant=f"{key}-yours")
    mine.create(Line(order=key, number=1, secret=b"1"))
    yours.create(Line(order=key, number=2, secret=b"2"))
    with pytest.raises(KeyUnavailable):
        yours.get(Line, key, 1)


def test_a_disabled_key(plugged, kms_key, asked, key):
    db = plugged(EncryptionPlugin(KMSProvider(kms_key["Arn"]))).view(tenant=key)
    db.create(Line(order=key, number=1, secret=b"1"))
    asked("DisableKey", KeyId=kms_key["KeyId"])
    assert db.get(Line, key, 1).secret == b"1"  # opened before
    other = plugged(EncryptionPlugin(KMSProvider(kms_key["Arn"]))).view(tenant=key)
    with pytest.raises(KeyDisabled) as refused:
        other.get(Line, key, 1)
    assert not refused.value.retryable
    with pytest.raises(KeyDisabled):
        other.create(Line(order=key, number=2, secret=b"2"))
    asked("EnableKey", KeyId=kms_key["KeyId"])
    again = plugged(EncryptionPlugin(KMSProvider(kms_key["Arn"]))).view(tenant=key)
    assert again.get(Line, key, 1).secret == b"1"


def test_a_key_that_is_not_there(plugged, asked, key):
    db = plugged(EncryptionPlugin(KMSProvider("alias/none"))).view(tenant=key)
    with pytest.raises(KeyDisabled, match="NotFoundException"):
        db.create(Line(order=key, number=1, secret=b"1"))
    assert plugged().get(Plain, key, 1) is None


@contextmanager
def answering(answer):
    """A server whose answers a function gives: ``answer(operation, request) -> (status, JSON)``."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].partition(".")[2]
            seen.append((operation, json.loads(body), dict(self.headers)))
            status, given = answer(operation, json.loads(body))
            data = given if isinstance(given, bytes) else json.dumps(given).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def text(data):
    return b64encode(data).decode()


GOOD = {"KeyId": "arn:aws:kms:us-east-1:1:key/1", "Plaintext": text(bytes(32)), "CiphertextBlob": text(b"wrapped")}


@pytest.mark.parametrize(
    ("status", "answer", "kind", "requests"),
    [
        (500, {"__type": "KMSInternalException"}, KeyUnavailable, 3),
        (503, b"<html>", KeyUnavailable, 3),
        (400, {"__type": "ThrottlingException"}, KeyUnavailable, 3),
        (200, b"{", KeyUnavailable, 3),
        (200, b"[]", KeyUnavailable, 3),
        (400, {"__type": "AccessDeniedException", "message": "not authorized"}, KeyUnavailable, 1),
        (400, {"__type": "UnrecognizedClientException"}, KeyUnavailable, None),
        (403, {"__type": "InvalidSignatureException"}, KeyUnavailable, None),
        (400, {"__type": "KeyUnavailableException"}, KeyUnavailable, None),
        (400, {"__type": "LimitExceededException"}, KeyUnavailable, None),
        (400, {"__type": "ValidationException"}, KeyUnavailable, 1),
        (400, {"__type": "SomethingNewException"}, KeyUnavailable, 1),
        (400, {"__type": "NotFoundException"}, KeyDisabled, 1),
        (400, {"__type": "InvalidCiphertextException"}, KeyDisabled, 1),
        (200, {name: GOOD[name] for name in ("Plaintext", "CiphertextBlob")}, KeyUnavailable, 1),
        (200, {**GOOD, "KeyId": "alias/a"}, KeyUnavailable, 1),
        (400, {"__type": "DisabledException"}, KeyDisabled, 1),
        (400, {"__type": "KMSInvalidStateException"}, KeyDisabled, 1),
        (200, {**GOOD, "Plaintext": text(bytes(31))}, KeyUnavailable, 1),
        (200, {**GOOD, "Plaintext": "%%%"}, KeyUnavailable, 1),
        (200, {"KeyId": GOOD["KeyId"]}, KeyUnavailable, 1),
    ],
)
def test_what_goes_wrong_writes_nothing(plugged, key, status, answer, kind, requests):
    with answering(lambda operation, request: (status, answer)) as (endpoint, seen):
        db = plugged(EncryptionPlugin(KMSProvider("alias/a", endpoint=endpoint))).view(tenant=key)
        with pytest.raises(kind) as refused:
            db.create(Line(order=key, number=1, secret=b"1"))
        assert refused.value.outcome == "NOT_APPLIED"
        assert refused.value.retryable is (kind is KeyUnavailable)
    assert requests is None or len(seen) == requests
    assert plugged().get(Plain, key, 1) is None


def test_nobody_there(plugged, key):
    db = plugged(EncryptionPlugin(KMSProvider("alias/a", endpoint="http://127.0.0.1:9"))).view(tenant=key)
    with pytest.raises(KeyUnavailable, match="connect"):
        db.create(Line(order=key, number=1, secret=b"1"))


def test_another_key_that_answers_is_refused(plugged, key):
    answers = iter([GOOD, {**GOOD, "KeyId": "arn:aws:kms:us-east-1:1:key/2"}])
    with answering(lambda operation, request: (200, next(answers))) as (endpoint, _):
        db = plugged(EncryptionPlugin(KMSProvider("alias/a", endpoint=endpoint))).view(tenant=key)
        with pytest.raises(KeyDisabled, match="another key"):
            db.create(Line(order=key, number=1, secret=b"1"))


@pytest.mark.parametrize("at", [0, 1])
def test_an_answer_that_names_no_key_is_refused_also_behind_others(plugged, key, at):
    nameless = {name: GOOD[name] for name in ("Plaintext", "CiphertextBlob")}
    answers = iter([GOOD] * at + [nameless] * 3)
    with answering(lambda operation, request: (200, next(answers))) as (endpoint, _):
        db = plugged(EncryptionPlugin(KMSProvider("alias/a", endpoint=endpoint))).view(tenant=key)
        with pytest.raises(KeyUnavailable, match="KeyId"):
            db.create(Line(order=key, number=1, secret=b"1"))
    assert plugged().get(Plain, key, 1) is None


@pytest.mark.parametrize(
    ("key_id", "answers"),
    [
        ("arn:aws:kms:us-east-1:1:key/1", True),
        ("arn:aws:kms:us-east-1:1:key/2", False),
        ("1", True),
        ("2", False),
        ("alias/a", True),
        ("arn:aws:kms:us-east-1:1:alias/a", True),
        ("arn:aws:kms:us-east-1:2:alias/a", False),
        ("arn:aws:kms:eu-west-1:1:alias/a", False),
    ],
)
def test_the_key_that_answers_is_the_one_that_is_meant(plugged, key, key_id, answers):
    with answering(lambda operation, request: (200, GOOD)) as (endpoint, _):
        db = plugged(EncryptionPlugin(KMSProvider(key_id, endpoint=endpoint, region="us-east-1"))).view(tenant=key)
        if answers:
            assert db.create(Line(order=key, number=1, secret=b"1")).secret == b"1"
        else:
            with pytest.raises(KeyDisabled, match="another key"):
                db.create(Line(order=key, number=1, secret=b"1"))


def test_missing_credentials_are_no_disabled_key(plugged, key, monkeypatch):
    def nobody(*_, **__):
        raise CredentialsError("no credentials were found")

    with answering(lambda operation, request: (200, GOOD)) as (endpoint, seen):
        provider = KMSProvider("alias/a", endpoint=endpoint)
        db = plugged(EncryptionPlugin(provider)).view(tenant=key)
        monkeypatch.setattr(provider._service, "call", nobody)
        with pytest.raises(KeyUnavailable, match="no credentials"):
            db.create(Line(order=key, number=1, secret=b"1"))
    assert not seen


def test_a_policy_that_is_mended_lets_the_key_be_used_again(plugged, key):
    refused = [(400, {"__type": "AccessDeniedException"})]
    with answering(lambda operation, request: refused.pop() if refused else (200, GOOD)) as (endpoint, _):
        db = plugged(EncryptionPlugin(KMSProvider("alias/a", endpoint=endpoint))).view(tenant=key)
        with pytest.raises(KeyUnavailable):
            db.create(Line(order=key, number=1, secret=b"1"))
        db.create(Line(order=key, number=1, secret=b"1"))


def test_what_is_asked(plugged, key):
    with answering(lambda operation, request: (200, GOOD)) as (endpoint, seen):
        provider = KMSProvider("alias/a", endpoint=endpoint, region="eu-west-1", context_tenant="hash")
        db = plugged(EncryptionPlugin(provider)).view(tenant=key)
        db.create(Line(order=key, number=1, secret=b"1"))
        assert db.get(Line, key, 1).secret == b"1"
    (first, request, head), (second, other, _) = seen
    assert (first, second) == ("GenerateDataKey", "Decrypt")
    assert request["KeyId"] == "alias/a"
    assert other["KeyId"] == GOOD["KeyId"]
    assert request["EncryptionContext"] == other["EncryptionContext"]
    assert set(request["EncryptionContext"]) == {"dynamorm-ring", "dynamorm-tenant", "dynamorm-crypto"}
    assert len(request["EncryptionContext"]["dynamorm-tenant"]) == 64
    assert head["Content-Type"] == "application/x-amz-json-1.1"
    assert "/eu-west-1/kms/aws4_request" in head["Authorization"]


@pytest.mark.parametrize(
    "settings",
    [{"key_id": ""}, {"key_id": None}, {"key_id": "a", "ttl": 0}, {"key_id": "a", "ttl": 3601}, {"key_id": "a", "grace": 901},
     {"key_id": "a", "max_keys": 0}, {"key_id": "a", "context_tenant": "clear"}],
)  # fmt: skip
def test_settings_that_are_refused(settings):
    with pytest.raises(ConfigError):
        KMSProvider(**settings)


@pytest.mark.parametrize("endpoint", ["http://kms.example.com", "https://kms.example.com", "https://169.254.169.254"])
def test_endpoints_that_are_refused(engine, endpoint):
    with DB(Presets.local_development(endpoint=engine.endpoint)) as db, pytest.raises(ConfigError):
        db.set_encryption_provider(KMSProvider("alias/a", endpoint=endpoint))


def test_an_endpoint_of_the_environment(engine, monkeypatch, plugged, key):
    with answering(lambda operation, request: (200, GOOD)) as (endpoint, seen):
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", endpoint)
        db = plugged(EncryptionPlugin(KMSProvider("alias/a"))).view(tenant=key)
        db.create(Line(order=key, number=1, secret=b"1"))
    assert len(seen) == 2


def test_a_key_of_each_tenant(plugged, asked, kms_key, key):
    other = asked("CreateKey", Description="test")["KeyMetadata"]
    of_tenant = {f"{key}-mine": kms_key["Arn"], f"{key}-yours": other["KeyId"]}
    provider = KMSProvider(lambda tenant: of_tenant[tenant])
    db = plugged(EncryptionPlugin(provider))
    for name in of_tenant:
        db.view(tenant=name).create(Line(order=name, number=1, secret=b"1"))
    again = plugged(EncryptionPlugin(KMSProvider(lambda tenant: of_tenant[tenant])))
    for name in of_tenant:
        assert again.view(tenant=name).get(Line, name, 1).secret == b"1"
    asked("DisableKey", KeyId=other["KeyId"])
    cold = plugged(EncryptionPlugin(KMSProvider(lambda tenant: of_tenant[tenant])))
    with pytest.raises(KeyDisabled):
        cold.view(tenant=f"{key}-yours").get(Line, f"{key}-yours", 1)
    assert cold.view(tenant=f"{key}-mine").get(Line, f"{key}-mine", 1).secret == b"1"
    assert provider.has_keys_of_tenants


def test_no_key_is_made_where_that_was_said(plugged, kms_key, key):
    db = plugged(EncryptionPlugin(KMSProvider(kms_key["Arn"], create=False))).view(tenant=key)
    with pytest.raises(KeyUnavailable, match="create=False"):
        db.create(Line(order=key, number=1, secret=b"1"))
    plugged(EncryptionPlugin(KMSProvider(kms_key["Arn"]))).view(tenant=key).create(
        Line(order=key, number=1, secret=b"1")
    )
    other = plugged(EncryptionPlugin(KMSProvider(kms_key["Arn"], create=False))).view(tenant=key)
    other.update(Line, key, 1, Line.secret.set(b"2"))
    assert other.get(Line, key, 1).secret == b"2"


def test_without_a_cache_a_key_is_held_for_a_second():
    name = "arn:aws:kms:eu-west-1:111122223333:alias/some"
    assert KMSProvider(key_id=name).ttl == 300.0
    assert KMSProvider(key_id=name, ttl=60.0).ttl == 60.0
    assert KMSProvider(key_id=name, ttl=60.0, cache=False).ttl == 1.0
