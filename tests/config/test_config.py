import os
import pickle
import ssl
import subprocess
import sys
from datetime import timedelta
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynamorm.config import endpoint as config_endpoint
from dynamorm.config.endpoint import (
    EndpointURL,
    forbidden_address,
    host_allowed,
    ipv4_octets,
    is_aws_host,
    parse_endpoint,
    region_of,
)
from dynamorm.config.settings import Config, Credentials, HighThroughput, Presets, config_from_env, env_or_default
from dynamorm.errors import ConfigError
from dynamorm.wire.endpoint import Endpoint

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
LOCAL: dict[str, Any] = {"endpoint": "http://localhost:8000", "allow_insecure_local": True}


METADATA = ("100.100.100.200", "168.63.129.16", "192.0.0.192")


def _address_in(network):
    return st.ip_addresses(network=network)


def _parsed(url):
    """What becomes of an endpoint's URL: its parts, or the error's text."""
    try:
        return parse_endpoint(url)
    except ConfigError as error:
        return error.message


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("AWS_", "DYNAMODB_", "DYNAMORM_")):
            monkeypatch.delenv(name)


# ---------------------------------------------------------------------------------------------------- values and types


def test_the_defaults_are_those_that_are_promised():
    config = Config()
    assert (config.operation_timeout, config.max_attempts, config.conflict_tries) == (8.0, 4, 8)
    assert (config.retry_base, config.throttle_base, config.retry_cap) == (0.025, 1.0, 20.0)
    assert (config.crc, config.on_ambiguous, config.min_tls_version) == ("auto", "transact", "TLSv1.2")
    assert config.require_https is config.verify_tls is config.sign_requests is config.write_tokens is True
    assert config.allow_insecure_local is config.trust_env is config.embedded is False
    pool = config.performance
    assert (pool.max_connections, pool.max_idle_connections) == (100, 20)
    assert (pool.connection_timeout, pool.request_timeout, pool.idle_timeout, pool.max_age) == (5.0, 2.0, 55.0, 300.0)


def test_times_are_seconds_or_timedeltas():
    config = Config(operation_timeout=timedelta(minutes=1), retry_base=timedelta(milliseconds=50))
    assert (config.operation_timeout, config.retry_base) == (60.0, 0.05)
    assert HighThroughput(request_timeout=timedelta(seconds=3)).request_timeout == 3.0
    assert isinstance(Config(operation_timeout=5).operation_timeout, float)


@pytest.mark.parametrize("name", ["operation_timeout", "retry_base", "throttle_base", "retry_cap"])
@pytest.mark.parametrize("bad", ["8", None, True, -1, float("nan"), float("inf"), 1e9, timedelta(days=9), [1]])
def test_a_bad_time_names_the_setting(name, bad):
    with pytest.raises(ConfigError, match=name):
        Config(**{name: bad})


@pytest.mark.parametrize("name", ["connection_timeout", "request_timeout", "idle_timeout", "max_age"])
@pytest.mark.parametrize("bad", ["8", None, True, 0, -1, float("nan"), 1e9])
def test_a_bad_time_of_the_pool_names_the_setting(name, bad):
    with pytest.raises(ConfigError, match=name):
        HighThroughput(**{name: bad})


@pytest.mark.parametrize(
    ("name", "bad"),
    [("max_connections", 0), ("max_connections", 10_001), ("max_idle_connections", -1)]
    + [(name, bad) for name in ("max_connections", "max_idle_connections") for bad in (1.0, "5", None, True)],
)
def test_a_bad_count_of_connections_names_the_setting(name, bad):
    with pytest.raises(ConfigError, match=name):
        HighThroughput(**{name: bad})


def test_a_small_pool_keeps_no_more_idle_than_it_has():
    assert HighThroughput(max_connections=5).max_idle_connections == 5


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("max_attempts", 0),
        ("max_attempts", 21),
        ("max_attempts", 1.0),
        ("conflict_tries", 0),
        ("conflict_tries", True),
        ("region", 5),
        ("region", "eu west"),
        ("region", "eu-west-1/x"),
        ("region", "eu-west-1\r\n"),
        ("endpoint", 5),
        ("profile", 5),
        ("table_prefix", None),
        ("table_prefix", "a/b"),
        ("idempotency_table", None),
        ("idempotency_table", ""),
        ("idempotency_table", "a b"),
        ("idempotency_table", "a/b/c"),
        ("idempotency_table", "a" * 256),
        ("table_prefix", "é"),
        ("table_prefix", "a" * 201),
        ("performance", {"max_connections": 5}),
        ("performance", None),
        ("crc", "maybe"),
        ("crc", None),
        ("min_tls_version", "TLSv1.1"),
        ("min_tls_version", "TLSv1"),
        ("min_tls_version", "SSLv3"),
        ("min_tls_version", 1.2),
        ("on_ambiguous", "retry"),
        ("preset", "prod"),
        ("require_https", 1),
        ("write_tokens", "yes"),
        ("trust_env", None),
        ("sign_requests", 0),
        ("ca_bundle", 5),
        ("credentials", "AKID"),
        ("credentials", ("AKID", "secret")),
        ("endpoint_allow_list", "db.example.com"),
        ("endpoint_allow_list", 5),
        ("endpoint_allow_list", ("https://db.example.com",)),
        ("endpoint_allow_list", ("db.example.com:443",)),
        ("endpoint_allow_list", ("*",)),
        ("endpoint_allow_list", ("*.com",)),
        ("endpoint_allow_list", ("*.",)),
        ("endpoint_allow_list", ("a.*.com",)),
        ("endpoint_allow_list", (5,)),
        ("endpoint_allow_list", ("",)),
    ],
)
def test_a_bad_value_names_the_setting(name, bad):
    with pytest.raises(ConfigError, match=name):
        Config(**{name: bad})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Config(regoin="eu-west-1"), "regoin is not a setting of Config: did you mean region?"),
        (lambda: Config(max_conections=5), "max_conections is not a setting of Config: known are region, endpoint"),
        (lambda: HighThroughput(max_conections=5), "did you mean max_connections?"),
        (lambda: Credentials(key="AKID", secret=SECRET), "key is not a setting of Credentials: did you mean key_id?"),
        (lambda: Config("eu-west-1"), "Config: "),
        (lambda: Credentials("AKID"), "secret"),
    ],
)
def test_an_unknown_argument_is_an_error_that_names_the_nearest_setting(make, said):
    with pytest.raises(ConfigError) as caught:
        make()
    assert isinstance(caught.value, TypeError)
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("given", ["TLSv1.3", "1.3", ssl.TLSVersion.TLSv1_3])
def test_a_version_of_tls_may_be_written_as_pythons_own(given):
    assert Config(min_tls_version=given).min_tls_version == "TLSv1.3"
    assert Config.from_env({"DYNAMORM_MIN_TLS_VERSION": "1.3"}).min_tls_version == "TLSv1.3"


@pytest.mark.parametrize("given", ["1.1", "", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.MINIMUM_SUPPORTED, 771, [], None])
def test_an_older_version_of_tls_is_refused_however_it_is_written(given):
    with pytest.raises(ConfigError, match=r"min_tls_version=.*'TLSv1\.2', 'TLSv1\.3'"):
        Config(min_tls_version=given)


def test_a_config_is_frozen_and_compares_by_value():
    config = Config(region="eu-west-1")
    with pytest.raises(AttributeError):
        config.region = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        config.performance.max_connections = 5  # type: ignore[misc]
    assert config == Config(region="eu-west-1")
    assert pickle.loads(pickle.dumps(config)) == config


def test_replace_changes_and_checks_again():
    config = Config(region="eu-west-1")
    changed = config.replace(operation_timeout=timedelta(seconds=15))
    assert (changed.region, changed.operation_timeout, config.operation_timeout) == ("eu-west-1", 15.0, 8.0)
    with pytest.raises(ConfigError, match="crc"):
        config.replace(crc="x")
    with pytest.raises(ConfigError, match="did you mean operation_timeout"):
        config.replace(operation_timout=5)
    with pytest.raises(ConfigError, match="production requires"):
        Presets.production().replace(crc="off")


def test_an_empty_text_means_not_set():
    config = Config(region="", endpoint="", profile="")
    assert config.region is config.endpoint is config.profile is None
    assert Config(region="eu-west-1", endpoint=env_or_default("DYNAMODB_ENDPOINT", "")).endpoint is None


def test_paths_and_lists_are_brought_into_one_form():
    config = Config(ca_bundle=Path("a") / "b.pem", endpoint_allow_list=["DB.example.com", "*.Example.org", "[fd12::1]"])
    assert config.ca_bundle == str(Path("a") / "b.pem")
    assert config.endpoint_allow_list == ("db.example.com", "*.example.org", "fd12::1")


def test_the_repr_masks_secrets_and_leaves_out_defaults():
    keys = Credentials("AKIDEXAMPLE", SECRET, "very-secret-token")
    config = Config(region="eu-west-1", credentials=keys, crc="require")
    provider = Config(credentials=partial(Credentials, "AKID", SECRET))
    for text in (repr(config), str(config), repr(list(config.__rich_repr__())), repr(provider)):
        assert SECRET not in text
        assert "very-secret-token" not in text
    assert SECRET not in repr(list(provider.__rich_repr__()))
    assert repr(Config(region="eu-west-1", crc="require")) == "Config(region='eu-west-1', crc='require')"


def test_credentials_and_profile_exclude_each_other():
    with pytest.raises(ConfigError, match="leave one out"):
        Config(credentials=Credentials("a", "b"), profile="p")


# ------------------------------------------------------------------------------------------------ Region and endpoint


def test_the_default_endpoint_is_dynamodbs_own():
    assert Config(region="eu-west-1").resolve_endpoint() == "https://dynamodb.eu-west-1.amazonaws.com"
    assert Config(region="cn-north-1").resolve_endpoint() == "https://dynamodb.cn-north-1.amazonaws.com.cn"
    assert Config(**LOCAL).resolve_endpoint() == "http://localhost:8000"


def test_a_missing_region_says_how_to_set_it():
    for call in (Config().resolve_region, Config().resolve_endpoint, Config(**LOCAL).resolve_region):
        with pytest.raises(ConfigError, match="AWS_REGION"):
            call()


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("dynamodb.eu-west-1.amazonaws.com", "eu-west-1"),
        ("dynamodb-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
        ("dynamodb.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("dynamodb.us-east-1.api.aws", "us-east-1"),
        ("123456789012.ddb.us-east-1.amazonaws.com", "us-east-1"),
        ("vpce-0123-abc.dynamodb.eu-west-1.vpce.amazonaws.com", "eu-west-1"),
        ("streams.dynamodb.eu-west-1.amazonaws.com", "eu-west-1"),
    ],
)
def test_the_region_is_read_out_of_awss_own_names(host, region):
    assert region_of(host) == region
    assert Config(endpoint=f"https://{host}").resolve_region() == region
    with pytest.raises(ConfigError, match="is in Region"):
        Config(endpoint=f"https://{host}", region="ap-south-1")


@pytest.mark.parametrize(
    "host", ["localhost", "dynamodb.eu-west-1.example.com", "sts.amazonaws.com", "dynamodb.amazonaws.com"]
)
def test_other_names_say_no_region(host):
    assert region_of(host) is None


@pytest.mark.parametrize(
    ("url", "parsed"),
    [
        (
            "https://dynamodb.eu-west-1.amazonaws.com",
            EndpointURL("https", "dynamodb.eu-west-1.amazonaws.com", 443, False),
        ),
        ("https://db.example.com:8443/", EndpointURL("https", "db.example.com", 8443, False)),
        ("http://localhost", EndpointURL("http", "localhost", 80, True)),
        ("http://LOCALHOST:8000", EndpointURL("http", "localhost", 8000, True)),
        ("http://127.0.0.1:8000", EndpointURL("http", "127.0.0.1", 8000, True)),
        ("http://127.8.9.1", EndpointURL("http", "127.8.9.1", 80, True)),
        ("http://[::1]:8000", EndpointURL("http", "::1", 8000, True)),
        ("https://[::ffff:127.0.0.1]", EndpointURL("https", "::ffff:127.0.0.1", 443, True)),
        ("https://10.1.2.3", EndpointURL("https", "10.1.2.3", 443, False)),
        ("HTTPS://db_1.example.com", EndpointURL("https", "db_1.example.com", 443, False)),
    ],
)
def test_an_endpoint_is_taken_apart(url, parsed):
    assert parse_endpoint(url) == parsed
    assert parse_endpoint(parsed.url) == parsed


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "dynamodb.eu-west-1.amazonaws.com",
        "ftp://localhost",
        "http:/localhost",
        "http:localhost",
        "//localhost",
        "https://",
        "https://:443",
        "https://host:",
        "https://host:0",
        "https://host:65536",
        "https://host:x",
        "https://host:-1",
        "https://user@host",
        "https://user:pass@host",
        "https://host/path",
        "https://host/?q",
        "https://host?",
        "https://host#",
        "https://host#f",
        "https://ho st",
        "https://host\r\nX: y",
        "https://host\t",
        "https://host\\@evil",
        "https://hóst",
        "https://ho*st",
        "https://-",
        "https://host..com",
        "https://host.",
        "https://.host",
        "https://" + "a" * 64,
        "https://" + "a." * 130 + "a",
        "https://[::1",
        "https://[zz]",
        "https://[fe80::1%25eth0]",
        "http://2130706433",
        "http://0x7f000001",
        "http://0x7f.1",
        "http://127.1",
        "http://0177.0.0.1",
        "http://1.2.3.4.5",
    ],
)
def test_an_endpoint_that_may_mean_something_else_is_refused(url):
    if url == "https://-":
        return  # odd, but only a name: it cannot mean anything else
    with pytest.raises(ConfigError, match="endpoint"):
        parse_endpoint(url)
    with pytest.raises(ConfigError, match="endpoint"):
        Config(endpoint=url, allow_insecure_local=True)


def test_a_password_in_an_endpoint_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        Config(endpoint="https://user:hunter2@host")
    assert "hunter2" not in str(caught.value)


FORBIDDEN = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "fe80::1",
    "fd00:ec2::254",
    "::",
    "ff02::1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_metadata_and_other_special_addresses_are_always_refused(address):
    assert forbidden_address(address, loopback_ok=True)
    host = f"[{address}]" if ":" in address else address
    for scheme in ("http", "https"):
        with pytest.raises(ConfigError, match="never contacted"):
            Config(endpoint=f"{scheme}://{host}", endpoint_allow_list=(host,), allow_insecure_local=True)


@pytest.mark.parametrize("name", ["metadata.google.internal", "metadata", "instance-data", "METADATA.google.internal"])
def test_the_names_of_metadata_services_are_refused(name):
    with pytest.raises(ConfigError, match="never contacted"):
        Config(endpoint=f"https://{name}", endpoint_allow_list=(name,))


def test_this_machine_is_refused_where_it_was_not_asked_for():
    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"):
        assert forbidden_address(address, loopback_ok=False)
        assert forbidden_address(address, loopback_ok=True) is None
    for address in ("10.0.0.1", "192.168.1.1", "52.94.0.1", "2600::1", "fd12::1"):
        assert forbidden_address(address, loopback_ok=False) is None
    assert forbidden_address("fe80::1%eth0", loopback_ok=True)
    assert forbidden_address("nonsense", loopback_ok=True)


@given(
    st.ip_addresses(v=4).map(str)
    | st.from_regex(r"[0-9]{1,4}(\.[0-9]{1,4}){2,4}", fullmatch=True)
    | st.text(max_size=16)
)
def test_an_ipv4_address_is_what_the_standard_library_says(text):
    try:
        known = list(IPv4Address(text).packed)
    except ValueError:
        known = None
    assert ipv4_octets(text) == known


@given(
    st.ip_addresses(v=4)
    | st.sampled_from(["127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "0.0.0.0/8"]).flatmap(_address_in)
)
def test_the_ranges_of_ipv4_are_those_of_the_standard_library(ip):
    refused = ip.is_link_local or ip.is_multicast or ip.is_reserved or int(ip) >> 24 == 0 or str(ip) in METADATA
    assert (forbidden_address(str(ip), loopback_ok=True) is not None) == refused
    assert (forbidden_address(str(ip), loopback_ok=False) is not None) == (refused or ip.is_loopback)


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP", "ftp", ""])
@pytest.mark.parametrize("host", ["localhost", "db.example.com", "127.0.0.1", "a_b", "a..b", ".", "", "Db.Example"])
def test_the_short_way_through_a_url_says_what_the_parser_says(monkeypatch, scheme, host):
    ports = ["", ":", ":0", ":1", ":080", ":65535", ":65536", ":00001", ":000001", ":8000"]
    urls = [f"{scheme}://{host}{port}{rest}" for port in ports for rest in ("", "/", "//", "/x", "?", "#")]
    found = [_parsed(url) for url in urls]
    monkeypatch.setattr(config_endpoint, "_usual", lambda _: None)
    assert found == [_parsed(url) for url in urls]


@given(st.text("htps:/[]@.%0123456789abcdefx-_#?\\", max_size=40).map("http".__add__))
def test_any_text_is_a_plain_endpoint_or_a_clear_error(text):
    try:
        parsed = parse_endpoint(text)
    except ConfigError:
        return
    assert parse_endpoint(parsed.url) == parsed
    assert 0 < parsed.port < 65_536


@pytest.mark.parametrize(
    ("host", "aws"),
    [
        ("dynamodb.eu-west-1.amazonaws.com", True),
        ("vpce-1.dynamodb.eu-west-1.vpce.amazonaws.com", True),
        ("dynamodb.cn-north-1.amazonaws.com.cn", True),
        ("dynamodb.us-east-1.api.aws", True),
        ("amazonaws.com.evil.io", False),
        ("evilamazonaws.com", False),
        ("dynamodb.api.aws.evil.io", False),
        ("localhost", False),
    ],
)
def test_awss_own_hosts_are_known(host, aws):
    assert is_aws_host(host) is aws
    if aws:
        Config(endpoint=f"https://{host}")
    elif host != "localhost":
        with pytest.raises(ConfigError, match="endpoint_allow_list"):
            Config(endpoint=f"https://{host}")


def test_the_allow_list_names_hosts_exactly_or_by_suffix():
    assert host_allowed("db.example.com", ("db.example.com",))
    assert host_allowed("db.example.com", ("*.example.com",))
    assert host_allowed("a.b.example.com", ("*.EXAMPLE.com",))
    assert not host_allowed("example.com", ("*.example.com",))
    assert not host_allowed("evilexample.com", ("*.example.com",))
    assert not host_allowed("db.example.com.evil.io", ("*.example.com", "db.example.com"))
    assert Config(endpoint="https://db.example.com", endpoint_allow_list=("*.example.com",)).endpoint
    with pytest.raises(ConfigError, match=r"endpoint_allow_list=\('db.example.org',\)"):
        Config(endpoint="https://db.example.org", endpoint_allow_list=("*.example.com",))


@pytest.mark.parametrize("url", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_plain_http_reaches_this_machine_only_and_only_when_allowed(url):
    with pytest.raises(ConfigError, match="allow_insecure_local=True"):
        Config(endpoint=url)
    assert Config(endpoint=url, allow_insecure_local=True).endpoint == url
    assert Config(endpoint=url, require_https=False).endpoint == url


@pytest.mark.parametrize("host", ["dynamodb.eu-west-1.amazonaws.com", "db.example.com", "10.0.0.1"])
def test_plain_http_reaches_nobody_else(host):
    for settings in ({}, {"allow_insecure_local": True}, {"require_https": False}, {"endpoint_allow_list": (host,)}):
        with pytest.raises(ConfigError, match=r"http|require_https"):
            Config(endpoint=f"http://{host}", **settings)


@pytest.mark.parametrize("setting", ["verify_tls", "sign_requests", "require_https"])
def test_safety_is_switched_off_for_this_machine_only(setting):
    places: list[dict[str, Any]] = [
        {},
        {"region": "eu-west-1"},
        {"endpoint": "https://dynamodb.eu-west-1.amazonaws.com"},
    ]
    off: dict[str, Any] = {setting: False}
    for place in places:
        with pytest.raises(ConfigError, match=f"{setting}=False"):
            Config(**place, allow_insecure_local=True, **off)
    assert getattr(Config(endpoint="https://localhost", allow_insecure_local=True, **off), setting) is False


def test_unverified_tls_to_this_machine_must_be_allowed():
    with pytest.raises(ConfigError, match="verify_tls=False"):
        Config(endpoint="https://localhost", verify_tls=False)


EMULATOR = "http://dynamodb-local:8000"


@pytest.mark.parametrize("make", [Config, Presets.local_development, Config.from_env, Presets.high_throughput])
def test_plain_http_reaches_a_host_that_was_named_for_it(make):
    config = make(endpoint=EMULATOR, allow_insecure_hosts=["DynamoDB-Local"], region="us-east-1")
    assert (config.endpoint, config.allow_insecure_hosts) == (EMULATOR, ("dynamodb-local",))
    assert config.resolve() == config
    for other in ("http://dynamodb-local.evil.io:8000", "http://x-dynamodb-local", "http://db.example.com"):
        with pytest.raises(ConfigError, match="plain http"):
            make(endpoint=other, allow_insecure_hosts=("dynamodb-local",))


def test_the_remedy_for_plain_http_names_the_setting():
    for make in (Config, Presets.local_development):
        with pytest.raises(ConfigError, match=r"allow_insecure_hosts=\('dynamodb-local',\)"):
            make(endpoint=EMULATOR)
    with pytest.raises(ConfigError) as caught:
        Config(endpoint="http://dynamodb.eu-west-1.amazonaws.com")
    assert "allow_insecure_hosts" not in str(caught.value)


def test_an_emulator_in_a_container_is_named_by_the_environment(monkeypatch):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", EMULATOR)
    monkeypatch.setenv("DYNAMORM_ALLOW_INSECURE_HOSTS", "dynamodb-local, other")
    config = Presets.local_development()
    assert (config.endpoint, config.embedded) == (EMULATOR, False)
    assert isinstance(config.credentials, Credentials)
    with pytest.raises(ConfigError, match="DYNAMORM_ALLOW_INSECURE_HOSTS: production requires allow_insecure_hosts"):
        Presets.production()


def test_production_has_no_insecure_hosts():
    with pytest.raises(ConfigError, match="production requires allow_insecure_hosts"):
        Presets.production(allow_insecure_hosts=("dynamodb-local",))


@pytest.mark.parametrize(
    "bad",
    [
        "dynamodb-local",
        5,
        (5,),
        ("",),
        ("*",),
        ("*.local",),
        ("http://dynamodb-local",),
        ("dynamodb-local:8000",),
        ("dynamodb-local:80",),
        ("dynamodb.eu-west-1.amazonaws.com",),
        ("169.254.169.254",),
        ("metadata.google.internal",),
        ("a/b",),
    ],
)
def test_an_entry_that_is_no_emulators_host_is_refused(bad):
    with pytest.raises(ConfigError, match="allow_insecure_hosts"):
        Config(allow_insecure_hosts=bad)


def test_there_is_one_parser_of_endpoints():
    for url in ("https://db.example.com.", "http://db.localhost:1", "https://[::1]", "http://127.9.9.9:80"):
        parts, endpoint = parse_endpoint(url), Endpoint.parse(url)
        assert (endpoint.scheme, endpoint.host, endpoint.port) == (parts.scheme, parts.host, parts.port)
        assert endpoint.is_loopback is parts.loopback
    for url in ("https://a.b:0", "https://host.", "http://-a", "http://a-", "http://250.1.1.1", "http://127.1"):
        for parse in (parse_endpoint, Endpoint.parse, lambda text: Config(endpoint=text, allow_insecure_local=True)):
            with pytest.raises(ConfigError, match="endpoint"):
                parse(url)


# -------------------------------------------------------------------------------------------------------- environment


@pytest.mark.parametrize(
    ("variable", "url", "remedy"),
    [
        (
            "DYNAMODB_ENDPOINT",
            "localhost:8000",
            "Example: DYNAMODB_ENDPOINT='https://dynamodb.eu-west-1.amazonaws.com'",
        ),
        ("AWS_ENDPOINT_URL", "https://db.example.com/x", "Example: AWS_ENDPOINT_URL='https://"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "https://db.example.com", "correct or unset AWS_ENDPOINT_URL_DYNAMODB"),
        ("DYNAMODB_ENDPOINT", EMULATOR, "correct or unset DYNAMODB_ENDPOINT"),
        ("DYNAMORM_ENDPOINT", "http://0.0.0.0:8000", "correct or unset DYNAMORM_ENDPOINT"),
    ],
)
def test_the_remedy_for_a_bad_endpoint_names_the_variable(monkeypatch, variable, url, remedy):
    monkeypatch.setenv(variable, url)
    for make in (Config.from_env, Presets.production):
        with pytest.raises(ConfigError) as caught:
            make()
        assert remedy in str(caught.value)
        assert str(caught.value).startswith(variable)


def test_every_scalar_setting_is_read_from_the_environment():
    config = Config.from_env(
        {
            "DYNAMORM_REGION": "eu-west-1",
            "DYNAMORM_ENDPOINT": "https://db.example.com",
            "DYNAMORM_ENDPOINT_ALLOW_LIST": "db.example.com, *.example.org,",
            "DYNAMORM_PROFILE": "team",
            "DYNAMORM_TABLE_PREFIX": "staging-",
            "DYNAMORM_OPERATION_TIMEOUT": "10",
            "DYNAMORM_MAX_ATTEMPTS": "3",
            "DYNAMORM_RETRY_BASE": "50ms",
            "DYNAMORM_THROTTLE_BASE": "0.1",
            "DYNAMORM_RETRY_CAP": "1s",
            "DYNAMORM_CONFLICT_TRIES": "5",
            "DYNAMORM_REQUIRE_HTTPS": "yes",
            "DYNAMORM_MIN_TLS_VERSION": "TLSv1.3",
            "DYNAMORM_CA_BUNDLE": "/etc/ca.pem",
            "DYNAMORM_VERIFY_TLS": "on",
            "DYNAMORM_SIGN_REQUESTS": "1",
            "DYNAMORM_ALLOW_INSECURE_LOCAL": "False",
            "DYNAMORM_CRC": "require",
            "DYNAMORM_WRITE_TOKENS": "off",
            "DYNAMORM_ON_AMBIGUOUS": "raise",
            "DYNAMORM_TRUST_ENV": "TRUE",
            "DYNAMORM_MAX_CONNECTIONS": "50",
            "DYNAMORM_MAX_IDLE_CONNECTIONS": "5",
            "DYNAMORM_CONNECTION_TIMEOUT": "3",
            "DYNAMORM_REQUEST_TIMEOUT": "1.5",
            "DYNAMORM_IDLE_TIMEOUT": "30 s",
            "DYNAMORM_MAX_AGE": "2m",
            "PATH": "x",
        }
    )
    assert config == Config(
        region="eu-west-1",
        endpoint="https://db.example.com",
        endpoint_allow_list=("db.example.com", "*.example.org"),
        profile="team",
        table_prefix="staging-",
        operation_timeout=10,
        max_attempts=3,
        retry_base=0.05,
        throttle_base=0.1,
        retry_cap=1,
        conflict_tries=5,
        min_tls_version="TLSv1.3",
        ca_bundle="/etc/ca.pem",
        crc="require",
        write_tokens=False,
        on_ambiguous="raise",
        trust_env=True,
        performance=HighThroughput(
            max_connections=50,
            max_idle_connections=5,
            connection_timeout=3,
            request_timeout=1.5,
            idle_timeout=30,
            max_age=120,
        ),
    )


def test_every_field_has_a_variable_or_is_no_scalar():
    from dynamorm.config.environment import FORMS, POOL_FORMS

    no_scalars = {"circuit_breaker", "credentials", "performance", "embedded", "engine"}
    assert set(Config.__struct_fields__) - no_scalars == FORMS.keys() - POOL_FORMS.keys()
    assert set(HighThroughput.__struct_fields__) == POOL_FORMS.keys()


def test_an_empty_environment_gives_the_defaults():
    assert Config.from_env({}) == Config() == config_from_env({})
    assert Config.from_env({"DYNAMORM_CRC": "", "AWS_REGION": " ", "AWS_PROFILE": ""}) == Config()
    assert Config.from_env() == Config()


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("DYNAMORM_REGOIN", "DYNAMORM_REGION"),
        ("DYNAMORM_TIMEOUT", "TIMEOUT"),
        ("DYNAMORM_MAX_CONNECTION", "DYNAMORM_MAX_CONNECTIONS"),
        ("DYNAMORM_region", "DYNAMORM_REGION"),
        ("DYNAMORM_", "known are"),
        ("DYNAMORM_XYZZY_QQQQ", "known are"),
        ("DYNAMORM_TESTING", "not a setting"),
    ],
)
def test_an_unknown_variable_is_an_error_with_a_suggestion(variable, near):
    with pytest.raises(ConfigError, match=near) as caught:
        Config.from_env({variable: "x"})
    assert variable in str(caught.value)


def test_variables_of_the_test_tools_are_left_alone():
    assert Config.from_env({"DYNAMORM_TEST_ENGINE": "local"}) == Config()


@pytest.mark.parametrize(
    ("variable", "value", "form"),
    [
        ("DYNAMORM_MAX_CONNECTIONS", "many", "whole number"),
        ("DYNAMORM_MAX_CONNECTIONS", "1.5", "whole number"),
        ("DYNAMORM_MAX_CONNECTIONS", "-1", "whole number"),
        ("DYNAMORM_MAX_CONNECTIONS", "1_0", "whole number"),
        ("DYNAMORM_OPERATION_TIMEOUT", "soon", "seconds"),
        ("DYNAMORM_OPERATION_TIMEOUT", "1e3", "seconds"),
        ("DYNAMORM_OPERATION_TIMEOUT", "nan", "seconds"),
        ("DYNAMORM_OPERATION_TIMEOUT", "5h", "seconds"),
        ("DYNAMORM_OPERATION_TIMEOUT", "-5", "seconds"),
        ("DYNAMORM_OPERATION_TIMEOUT", ".", "seconds"),
        ("DYNAMORM_WRITE_TOKENS", "maybe", "true or false"),
        ("DYNAMORM_PRESET", "prod", "production"),
        ("DYNAMORM_CRC", "maybe", "require"),
        ("DYNAMORM_MAX_CONNECTIONS", "0", r"1 \.\.\. 10000"),
        ("DYNAMORM_OPERATION_TIMEOUT", "2000s", r"0.001 \.\.\. 900 seconds"),
        ("DYNAMORM_ENDPOINT", "http://db.example.com", "https://"),
        ("DYNAMODB_ENDPOINT", "localhost:8000", "must begin with https://"),
        ("AWS_ENDPOINT_URL", "https://db.example.com", "endpoint_allow_list"),
        ("AWS_REGION", "eu west", "region holds a space"),
        ("DYNAMORM_VERIFY_TLS", "false", "verify_tls=False is for"),
    ],
)
def test_a_bad_variable_names_itself_and_the_accepted_form(variable, value, form):
    with pytest.raises(ConfigError, match=form) as caught:
        Config.from_env({variable: value})
    assert str(caught.value).startswith(variable)


def test_the_usual_aws_variables_are_read():
    assert Config.from_env({"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "us-east-1"}).region == "eu-west-1"
    assert Config.from_env({"AWS_DEFAULT_REGION": "us-east-1"}).region == "us-east-1"
    assert Config.from_env({"AWS_REGION": "eu-west-1", "DYNAMORM_REGION": "eu-west-2"}).region == "eu-west-2"
    assert Config.from_env({"AWS_PROFILE": "team"}).profile == "team"
    assert Config.from_env({"AWS_PROFILE": "team", "AWS_ACCESS_KEY_ID": "AKID"}).profile is None
    assert Config.from_env({"AWS_PROFILE": "team", "DYNAMORM_PROFILE": "own"}).profile == "own"


def test_the_most_specific_endpoint_goes_first():
    environ = {}
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "DYNAMODB_ENDPOINT", "DYNAMORM_ENDPOINT"):
        environ[variable] = f"https://{variable.lower()}.dynamodb.eu-west-1.api.aws"
        assert Config.from_env(environ).endpoint == environ[variable]
    assert (
        Config.from_env(
            {"AWS_ENDPOINT_URL": "https://a.dynamodb.eu-west-1.api.aws", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
        ).endpoint
        is None
    )


def test_arguments_go_before_the_environment():
    environ = {"DYNAMORM_OPERATION_TIMEOUT": "10", "DYNAMORM_MAX_CONNECTIONS": "50", "AWS_PROFILE": "team"}
    config = Config.from_env(environ, operation_timeout=12, max_connections=60)
    assert (config.operation_timeout, config.performance.max_connections) == (12.0, 60)
    assert Config.from_env(environ, performance=HighThroughput()).performance == HighThroughput()
    keys = Credentials("a", "b")
    assert Config.from_env(environ, credentials=keys).profile is None
    with pytest.raises(ConfigError, match="not both"):
        Config.from_env(environ, performance=HighThroughput(), max_connections=5)
    with pytest.raises(ConfigError, match="did you mean max_connections"):
        Config.from_env(environ, max_connection=5)
    with pytest.raises(ConfigError, match="preset"):
        Config.from_env(environ, preset="production")


def test_a_preset_can_be_chosen_by_the_environment():
    config = Config.from_env({"DYNAMORM_PRESET": "aws_lambda", "DYNAMORM_MAX_CONNECTIONS": "7"})
    assert (config.preset, config.performance.max_connections, config.performance.max_idle_connections) == (
        "aws_lambda",
        7,
        4,
    )


def test_env_or_default(monkeypatch):
    monkeypatch.setenv("SOME_NAME", "value")
    assert env_or_default("SOME_NAME", "x") == "value"
    monkeypatch.setenv("SOME_NAME", "")
    assert env_or_default("SOME_NAME", "x") == "x"
    assert env_or_default("SOME_OTHER_NAME", "x") == "x"


# ------------------------------------------------------------------------------------------------------------ presets


def test_local_development_asks_for_the_shared_engine():
    config = Presets.local_development()
    assert config.embedded
    assert config.endpoint is None
    assert config.region == "us-east-1"
    assert config.allow_insecure_local
    assert isinstance(config.credentials, Credentials)


def test_local_development_uses_the_engine_that_runs(monkeypatch):
    monkeypatch.setenv("DYNAMODB_ENDPOINT", "http://localhost:8000")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_PROFILE", "team")
    config = Presets.local_development()
    assert (config.endpoint, config.region, config.embedded, config.profile) == (
        "http://localhost:8000",
        "eu-west-1",
        False,
        None,
    )
    assert Presets.local_development(endpoint="http://127.0.0.1:9").endpoint == "http://127.0.0.1:9"


def test_local_development_never_leaves_this_machine(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://dynamodb.eu-west-1.amazonaws.com")
    assert Presets.local_development().embedded
    with pytest.raises(ConfigError, match="this machine only"):
        Presets.local_development(endpoint="https://dynamodb.us-east-1.amazonaws.com")
    monkeypatch.setenv("DYNAMODB_ENDPOINT", "https://dynamodb.us-east-1.amazonaws.com")
    with pytest.raises(ConfigError, match="this machine only"):
        Presets.local_development()


def test_the_shared_engine_has_no_endpoint_until_a_database_is_opened():
    with pytest.raises(ConfigError, match="embedded"):
        Config(embedded=True, **LOCAL)
    config = Presets.local_development()
    with pytest.raises(ConfigError, match=r"not started.*open a database.*name an endpoint"):
        config.resolve_endpoint()
    started = config.replace(embedded=False, endpoint="http://127.0.0.1:4566")
    assert started.resolve_endpoint() == "http://127.0.0.1:4566"


def test_production_demands_checksums_and_the_rest_of_safety():
    config = Presets.production(region="eu-west-1")
    assert (config.crc, config.preset, config.on_ambiguous) == ("require", "production", "transact")
    assert config.resolve_endpoint() == "https://dynamodb.eu-west-1.amazonaws.com"


@pytest.mark.parametrize(
    "settings",
    [
        {"crc": "auto"},
        {"crc": "off"},
        {"require_https": False},
        {"verify_tls": False},
        {"sign_requests": False},
        {"allow_insecure_local": True},
        {"embedded": True},
        {"endpoint": "http://localhost:8000"},
        {"endpoint": "https://localhost:8000"},
        {"endpoint": "https://db.example.com"},
        {"preset": "default"},
    ],
)
def test_production_refuses_what_loosens_safety(settings):
    with pytest.raises(ConfigError):
        Presets.production(**settings)


@pytest.mark.parametrize(
    "variable", ["DYNAMODB_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "DYNAMORM_ENDPOINT"]
)
@pytest.mark.parametrize("url", ["https://db.example.com", "https://localhost", "https://10.0.0.1"])
def test_production_refuses_endpoints_of_the_environment_that_the_code_does_not_allow(monkeypatch, variable, url):
    monkeypatch.setenv(variable, url)
    monkeypatch.setenv("DYNAMORM_ENDPOINT_ALLOW_LIST", "db.example.com,localhost,10.0.0.1")
    with pytest.raises(ConfigError, match=r"not allowed in production|not AWS's"):
        Presets.production()
    allowed = Presets.production(endpoint_allow_list=("db.example.com", "localhost", "10.0.0.1"))
    assert allowed.endpoint == url


def test_production_cannot_be_loosened_by_the_environment(monkeypatch):
    for variable, value in (("CRC", "off"), ("VERIFY_TLS", "false"), ("SIGN_REQUESTS", "0"), ("REQUIRE_HTTPS", "no")):
        with monkeypatch.context() as patch:
            patch.setenv(f"DYNAMORM_{variable}", value)
            with pytest.raises(ConfigError):
                Presets.production()
    monkeypatch.setenv("DYNAMORM_PRESET", "local_development")
    assert Presets.production().preset == "production"


def test_high_throughput_keeps_every_connection():
    pool = Presets.high_throughput().performance
    assert (pool.max_connections, pool.max_idle_connections) == (256, 256)


def test_lambda_has_a_small_pool_and_forgets_idle_connections_early():
    config = Presets.aws_lambda(region="eu-west-1")
    pool = config.performance
    assert (pool.max_connections, pool.max_idle_connections, pool.idle_timeout) == (10, 4, 20.0)
    assert config.operation_timeout >= 7.5  # lets DynamoDB finish a transaction in progress


def test_presets_take_settings_of_config_and_pool(monkeypatch):
    monkeypatch.setenv("DYNAMORM_REQUEST_TIMEOUT", "1")
    config = Presets.high_throughput(operation_timeout=9, idle_timeout=15)
    assert (config.operation_timeout, config.performance.idle_timeout, config.performance.request_timeout) == (9, 15, 1)


# ------------------------------------------------------------------------------------------------------------- import


def test_importing_the_settings_does_not_import_heavy_modules():
    # The package itself imports the faces; here it is an empty one, so that only what the settings need is loaded.
    folder = Path(parse_endpoint.__code__.co_filename).parent.parent
    code = (
        "import sys, types; package = types.ModuleType('dynamorm'); package.__path__ = [sys.argv[1]];"
        "sys.modules['dynamorm'] = package; import dynamorm.config.settings; print(*sys.modules)"
    )
    path = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path})
    loaded = done.stdout.split()
    assert not {"ipaddress", "urllib.parse", "difflib", "botocore", "dataclasses", "asyncio", "ssl", "socket"} & set(
        loaded
    )
