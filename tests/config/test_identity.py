"""What identifies a database: endpoint, Region, prefix, and the account as far as it is known."""

from functools import partial

import pytest

from dynamorm import Config, Credentials
from dynamorm.errors import ConfigError

LOCAL = "http://127.0.0.1:8000"
AWS = "https://dynamodb.eu-west-1.amazonaws.com"


def local(**settings):
    settings = {"credentials": Credentials("one", "secret"), "region": "eu-west-1", **settings}
    return Config(endpoint=LOCAL, allow_insecure_local=True, **settings)


def aws(**settings):
    return Config(**{"credentials": Credentials("AKIAONE", "secret"), "region": "eu-west-1", **settings})


def fetched():
    return Credentials("AKIATWO", "secret")


@pytest.mark.parametrize(
    "changes",
    [
        {"credentials": Credentials("other", "secret")},
        {"region": "eu-west-2"},
        {"table_prefix": "dev-"},
        {"endpoint": "http://127.0.0.1:8001"},
        {"account_id": "123456789012"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_emulator_has_a_database_for_each_key_region_prefix_and_port(changes):
    config = local()
    other = config.replace(**changes)
    assert other.identity() != config.identity()
    assert other.identity().lasting("x") != config.identity().lasting("x")


def test_what_only_signs_or_times_otherwise_is_the_same_database():
    config = local()
    assert config.replace(credentials=Credentials("one", "another")).identity() == config.identity()
    assert config.replace(operation_timeout=3).identity() == config.identity()


def test_an_account_that_is_named_outlives_its_keys():
    config = aws(account_id="123456789012")
    rotated = config.replace(credentials=Credentials("AKIAOTHER", "secret", "token"))
    assert rotated.identity() == config.identity()
    assert config.identity().lasting("x") == "aws eu-west-1, account 123456789012"


@pytest.mark.parametrize(
    "endpoint",
    [
        AWS,
        "https://dynamodb-fips.eu-west-1.amazonaws.com",
        "https://dynamodb.eu-west-1.api.aws",
        "https://123456789012.ddb.eu-west-1.amazonaws.com",
        "https://vpce-1-2.dynamodb.eu-west-1.vpce.amazonaws.com",
    ],
)
def test_the_hosts_of_a_region_of_aws_lead_to_one_database(endpoint):
    named = aws(account_id="123456789012", account_id_endpoint_mode="disabled")
    assert aws(endpoint=endpoint, account_id="123456789012").identity() == named.identity()


def test_an_accounts_own_host_names_it():
    identity = aws(endpoint="https://123456789012.ddb.eu-west-1.amazonaws.com").identity()
    assert identity == aws(account_id="123456789012").identity()


def test_partitions_are_not_one():
    china = Config(region="cn-north-1", credentials=fetched, account_id="123456789012").identity()
    assert china.place == "aws-cn"


def test_without_an_account_aws_is_told_apart_within_the_process_only(monkeypatch):
    config = aws()
    assert config.identity().owner is None
    assert config.identity() == aws().identity()
    assert config.identity() != aws(credentials=Credentials("AKIAOTHER", "secret")).identity()
    assert aws(credentials=fetched).identity() == aws(credentials=fetched).identity() != config.identity()
    assert aws(credentials=partial(fetched)).identity() != aws(credentials=fetched).identity()
    assert aws(credentials=None).identity() == aws(credentials=None).identity()
    before = aws(credentials=None).identity()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    assert aws(credentials=None).identity() != before
    monkeypatch.setenv("AWS_ACCOUNT_ID", "123456789012")
    assert aws(credentials=None).identity() == aws(account_id="123456789012").identity()


@pytest.mark.parametrize("config", [aws(), aws(credentials=fetched), local(credentials=fetched)])
def test_what_outlives_the_process_needs_an_account(config):
    with pytest.raises(ConfigError, match=r"a spool outlives this process.*Config\(account_id='123456789012'\)"):
        config.identity().lasting("a spool")
    assert "not named" in config.identity().lasting("a cache", named=True)


def test_a_host_that_is_not_aws_without_signatures_has_no_accounts():
    assert local(sign_requests=False).identity().lasting("x") == "127.0.0.1:8000 eu-west-1, anybody"
