"""Requests go to hosts that only AWS can have, and never to an address of a metadata service, in whatever form it is written."""

from __future__ import annotations

import pytest

from dynamorm import Config
from dynamorm.config.endpoint import forbidden_address
from dynamorm.config.partitions import PARTITIONS, dynamodb_host, streams_host
from dynamorm.errors import ConfigError

REGIONS = ("eu-west-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1", "us-iso-east-1", "us-isob-east-1")


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("fips", [False, True])
@pytest.mark.parametrize("dual_stack", [False, True])
def test_each_host_of_the_services_is_allowed(region, fips, dual_stack):
    for make in (dynamodb_host, streams_host):
        Config(region=region, endpoint=f"https://{make(region, fips=fips, dual_stack=dual_stack)}")


@pytest.mark.parametrize(
    "host",
    [
        "123456789012.ddb.eu-west-1.amazonaws.com",
        "vpce-0a-1b-eu-west-1a.dynamodb.eu-west-1.vpce.amazonaws.com",
        "vpce-0a-1b.kms.eu-west-1.vpce.amazonaws.com",
        "kms.eu-west-1.amazonaws.com",
        "kms-fips.eu-west-1.api.aws",
        "sts.amazonaws.com",
        "sts.eu-west-1.amazonaws.com",
    ],
)
def test_other_hosts_of_the_services_are_allowed(host):
    assert Config(region="eu-west-1", endpoint=f"https://{host}").endpoint == f"https://{host}"


@pytest.mark.parametrize("end", sorted({end for one in PARTITIONS for end in (one.suffix, one.dual_stack)}))
@pytest.mark.parametrize(
    "name",
    [
        "abc123.execute-api.eu-west-1",
        "bucket.s3",
        "bucket.s3.eu-west-1",
        "dynamodb.eu-west-1.s3",
        "ec2-203-0-113-7.eu-west-1.compute",
        "ec2-203-0-113-7.compute-1",
        "dynamodb-0123456789abcdef.elb.eu-west-1",
        "dynamodb.eu-west-1.elb",
        "vpce-0a-1b.vpce-svc-0c.eu-west-1.vpce",
        "dynamodb",
        "eu-west-1",
        "evil",
        "dynamodb.evil",
        "sts.evil",
    ],
)
def test_a_name_that_anybody_can_have_with_aws_is_not_allowed(name, end):
    for scheme in ("https", "http"):
        with pytest.raises(ConfigError):
            Config(region="eu-west-1", endpoint=f"{scheme}://{name}.{end}")
    with pytest.raises(ConfigError, match="endpoint_allow_list"):
        Config(region="eu-west-1", endpoint=f"https://{name}.{end}")
    with pytest.raises(ConfigError, match="endpoint_allow_list"):
        Config(region="eu-west-1", streams_endpoint=f"https://{name}.{end}")
    Config(region="eu-west-1", endpoint=f"https://{name}.{end}", endpoint_allow_list=(f"{name}.{end}",))


def test_a_variable_leads_to_no_name_that_anybody_can_have(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", "https://abc123.execute-api.eu-west-1.amazonaws.com")
    with pytest.raises(ConfigError, match="endpoint_allow_list"):
        Config.from_env(region="eu-west-1")


def forms(ipv4):
    """The addresses of IPv6 that an address of IPv4 is reached through."""
    a, b, c, d = map(int, ipv4.split("."))
    high, low = f"{a * 256 + b:x}", f"{c * 256 + d:x}"
    yield from (f"::ffff:{ipv4}", f"::ffff:{high}:{low}", f"::{ipv4}", f"::{high}:{low}", f"::ffff:0:{high}:{low}")
    yield from (f"64:ff9b::{high}:{low}", f"64:ff9b:1::{ipv4}", f"64:ff9b:1:fffe::{high}:{low}")
    yield from (f"2002:{high}:{low}::1", f"2001:db8::5efe:{ipv4}", f"2001:db8::200:5efe:{high}:{low}")


@pytest.mark.parametrize(
    "ipv4",
    ["169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "224.0.0.1"],
)
def test_no_form_of_ipv6_leads_to_an_address_that_is_never_contacted(ipv4):
    for form in forms(ipv4):
        if form in {"::0:0", "::0.0.0.0"}:
            continue  # the address that is none, which is refused as that
        assert forbidden_address(form, loopback_ok=True) is not None, form


def test_no_form_of_ipv6_is_this_machine_where_that_is_not_meant():
    for form in forms("127.0.0.1"):
        assert forbidden_address(form, loopback_ok=False) is not None, form
    for form in forms("10.1.2.3"):
        assert forbidden_address(form, loopback_ok=False) is None, form
    assert forbidden_address("::1", loopback_ok=True) is None
    assert forbidden_address("::1", loopback_ok=False) is not None
    assert forbidden_address("::", loopback_ok=True) is not None


@pytest.mark.parametrize(
    "address", ["fd00:ec2::254", "fd20:ce::254", "fd00:c1::a9fe:a9fe", "fd00:42::42", "fe80::a9fe:a9fe"]
)
def test_metadata_services_over_ipv6_are_never_contacted(address):
    assert forbidden_address(address, loopback_ok=True) is not None
    with pytest.raises(ConfigError, match="never contacted"):
        Config(region="eu-west-1", endpoint=f"https://[{address}]", endpoint_allow_list=("db.example.com",))


@pytest.mark.parametrize("name", ["metadata.goog", "metadata.google.internal", "metadata", "instance-data"])
def test_names_of_metadata_services_are_never_contacted(name):
    for spelled in (name, name.upper(), f"{name}."):
        with pytest.raises(ConfigError, match=r"never contacted|does not name a host"):
            Config(region="eu-west-1", endpoint=f"https://{spelled}", endpoint_allow_list=(name,))
