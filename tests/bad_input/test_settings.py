"""Settings that are wrong, unsafe or missing: ConfigError when they are made, with the setting and the fix."""

import pytest

from dynamorm import DB, AsyncDB, Config, Credentials, HighThroughput, Presets
from dynamorm.errors import ConfigError, CredentialsError

from .conftest import SECRET, check_text

ENDPOINTS = {
    "link-local": ("http://169.254.169.254", ("link-local", "metadata")),
    "link-local https": ("https://169.254.170.2", ("link-local",)),
    "metadata over IPv6": ("https://[fd00:ec2::254]", ("metadata",)),
    "mapped link-local": ("https://[::ffff:169.254.169.254]", ("metadata", "link-local")),
    "metadata by name": ("http://metadata.google.internal", ("metadata",)),
    "unspecified": ("http://0.0.0.0:8000", ("127.0.0.1",)),
    "odd spelling": ("http://2852039166", ()),
    "hex": ("http://0xa9fea9fe", ()),
    "user and password": (f"https://user:{SECRET}@db.example.com", ("user name or password",)),
    "path": ("https://dynamodb.eu-west-1.amazonaws.com/prod", ("path",)),
    "query": ("https://dynamodb.eu-west-1.amazonaws.com?x=1", ("query",)),
    "fragment": ("https://dynamodb.eu-west-1.amazonaws.com#x", ("fragment",)),
    "plain http": ("http://dynamodb.eu-west-1.amazonaws.com", ("http", "https://")),
    "plain http to this machine": ("http://localhost:8000", ("http", "allow_insecure_local=True")),
    "not allowed": ("https://db.example.com", ("db.example.com", "endpoint_allow_list")),
    "lookalike": ("https://dynamodb.eu-west-1.amazonaws.com.evil.io", ("endpoint_allow_list",)),
    "other Region": ("https://dynamodb.us-east-1.amazonaws.com", ("us-east-1", "eu-west-1")),
    "no scheme": ("localhost:8000", ("https://",)),
    "other scheme": ("ftp://localhost", ("https://",)),
    "no host": ("https://", ("host",)),
    "bad port": ("https://localhost:99999", ("port",)),
    "port zero": ("https://localhost:0", ("port",)),
    "line end": ("https://localhost\n", ("control character",)),
    "other alphabet": ("https://dynamodb.eu-west-1.\u0430mazonaws.com", ()),
}


@pytest.mark.parametrize("case", ENDPOINTS)
def test_a_bad_endpoint_is_refused(case):
    url, words = ENDPOINTS[case]
    with pytest.raises(ConfigError) as caught:
        Config(region="eu-west-1", endpoint=url)
    assert "endpoint" in str(caught.value)
    assert not words or any(word in str(caught.value) for word in words)
    check_text(caught.value)


@pytest.mark.parametrize("case", ["link-local", "user and password", "path", "not allowed", "no scheme"])
def test_a_bad_endpoint_in_the_environment_is_refused_with_its_variable(monkeypatch, case):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", ENDPOINTS[case][0])
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    for make in (Config.from_env, Presets.production, Presets.local_development):
        with pytest.raises(ConfigError) as caught:
            make()
        assert "DYNAMODB_ENDPOINT" in str(caught.value)
        check_text(caught.value)


SETTINGS = {
    "unknown": (lambda: Presets.local_development(operation_timeuot=5), ("operation_timeuot", "operation_timeout")),
    "text as time": (lambda: Config(operation_timeout="5"), ("operation_timeout",)),
    "negative time": (lambda: Config(operation_timeout=-1), ("operation_timeout",)),
    "milliseconds": (lambda: Config(operation_timeout=8000), ("operation_timeout", "900")),
    "no attempts": (lambda: Config(max_attempts=0), ("max_attempts",)),
    "too many attempts": (lambda: Config(max_attempts=1000), ("max_attempts", "20")),
    "bool as number": (lambda: Config(max_attempts=True), ("max_attempts",)),
    "text as flag": (lambda: Config(write_tokens="no"), ("write_tokens", "True or False")),
    "old tls": (lambda: Config(min_tls_version="TLSv1.1"), ("min_tls_version", "TLSv1.2")),
    "no checks": (lambda: Config(crc="never"), ("crc", "'auto'")),
    "no connections": (lambda: HighThroughput(max_connections=0), ("max_connections",)),
    "bad prefix": (lambda: Config(table_prefix="a/b"), ("table_prefix",)),
    "bad Region": (lambda: Config(region="eu west 1"), ("region",)),
    "performance": (lambda: Config(performance={"max_connections": 5}), ("performance", "HighThroughput")),
    "credentials": (lambda: Config(credentials=("id", SECRET)), ("credentials", "Credentials(")),
    "both": (lambda: Config(credentials=Credentials("id", SECRET), profile="p"), ("credentials", "profile")),
    "line end in the secret": (lambda: Credentials("id", f"{SECRET}\n"), ("secret", "line end")),
    "empty secret": (lambda: Credentials("id", ""), ("secret", "empty")),
    "unsafe production": (lambda: Presets.production(region="eu-west-1", crc="off"), ("production", "crc")),
    "unsigned": (lambda: Config(region="eu-west-1", sign_requests=False), ("sign_requests", "this machine")),
    "unverified": (lambda: Config(region="eu-west-1", verify_tls=False), ("verify_tls", "ca_bundle")),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_a_bad_setting_is_refused(case):
    make, words = SETTINGS[case]
    with pytest.raises(ConfigError) as caught:
        make()
    check_text(caught.value, *words)


def test_an_unknown_variable_is_refused_with_the_nearest_name(monkeypatch):
    monkeypatch.setenv("DYNAMORM_OPERATION_TIMEOUTS", SECRET)
    with pytest.raises(ConfigError, match="did you mean DYNAMORM_OPERATION_TIMEOUT") as caught:
        Config.from_env()
    check_text(caught.value)


@pytest.mark.parametrize("face", [DB, AsyncDB])
def test_without_a_region_no_database_is_made(face, monkeypatch):
    with pytest.raises(ConfigError, match="no AWS Region") as caught:
        face(Config(credentials=Credentials("id", SECRET)))
    check_text(caught.value, "AWS_REGION", "region=")
    with pytest.raises(ConfigError, match="no AWS Region"):
        face()


def test_without_credentials_a_call_fails_within_a_second(face_kind, monkeypatch, tmp_path, server):
    from dynamorm import Attr, Model, partition_key
    from tests.support.faces import Face
    from tests.support.quick import quick

    class Thing(Model, table="things"):
        id: Attr[str] = partition_key()

    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("HOME", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    import botocore.session  # noqa: F401 - its import is not what is measured

    server.clear()
    config = Config(region="eu-west-1", endpoint=server.endpoint, allow_insecure_local=True)
    face = Face(face_kind, config)

    def failed():
        with pytest.raises(CredentialsError) as caught:
            face.get(Thing, "x")
        return caught.value

    try:
        for _ in range(2):
            error = quick(failed, 1)
            check_text(error, "AWS_ACCESS_KEY_ID", "local_development")
            assert error.outcome.value == "NOT_APPLIED"
        with pytest.raises(CredentialsError):
            face.create(Thing(id="x"))
    finally:
        face.close()
    assert server.requests == []


@pytest.mark.parametrize("given", [lambda: "not credentials", lambda: 1 / 0], ids=["type", "raises"])
def test_a_function_that_gives_no_credentials_is_explained(open_db, refused, server, given):
    from dynamorm import Attr, Model, partition_key

    class Thing(Model, table="things"):
        id: Attr[str] = partition_key()

    db = open_db(server.endpoint, credentials=given)
    refused(CredentialsError, lambda: db.get(Thing, "x"), "function given as credentials")
