"""What identifies a database: endpoint, Region, prefix, and the account as far as it is known."""

import os
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


# -------------------------------------------------------------------------------- what a profile and the chain are relative to


def _files(folder):
    folder.mkdir()
    (folder / "credentials").write_text("[p]\naws_access_key_id = AKIAFILE\naws_secret_access_key = s\n")
    (folder / "config").write_text("[profile p]\nregion = eu-west-1\n")
    return folder


@pytest.fixture(params=["profile", "chain"])
def of_files(request, tmp_path, monkeypatch):
    """Settings whose credentials come from AWS's files, which are in the folder ``one``; ``two`` has others."""
    for name in ("one", "two"):
        _files(tmp_path / name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "one/credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "one/config"))
    monkeypatch.setenv("HOME", str(tmp_path / "one"))
    profile = "p" if request.param == "profile" else None
    return Config(endpoint=LOCAL, allow_insecure_local=True, region="eu-west-1", profile=profile)


LEADING = [
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT", "AWS_EC2_METADATA_DISABLED", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_FILE",
    "AWS_ENDPOINT_URL_STS", "AWS_LOGIN_CACHE_DIRECTORY", "BOTO_CONFIG", "HOME", "AWS_OF_LATER_YEARS",
]  # fmt: skip


@pytest.mark.parametrize("name", LEADING)
def test_a_variable_that_may_lead_to_other_credentials_tells_databases_apart(of_files, monkeypatch, name):
    before = of_files.identity()
    assert of_files.identity() == before
    monkeypatch.setenv(name, "p")
    one = of_files.identity()
    monkeypatch.setenv(name, " p ")
    assert of_files.identity() == one
    monkeypatch.setenv(name, "another")
    assert len({before, one, of_files.identity()}) == 3


@pytest.mark.parametrize("name", ["AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"])
def test_the_files_of_aws_tell_databases_apart(of_files, monkeypatch, name):
    before = of_files.identity()
    other = os.environ[name].replace("/one/", "/two/")
    monkeypatch.setenv(name, other)
    there = of_files.identity()
    assert there != before
    assert other in there.source
    monkeypatch.setenv(name, os.path.relpath(other))
    assert of_files.identity() == there


def test_one_relative_path_in_two_folders_is_two_files(of_files, monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "credentials")
    found = set()
    for name in ("one", "two"):
        monkeypatch.chdir(tmp_path / name)
        found.add(of_files.identity())
    assert len(found) == 2


def test_the_home_folder_is_where_files_without_a_variable_are(of_files, monkeypatch, tmp_path):
    found = set()
    for variable in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(variable)
    for name in ("one", "two"):
        (tmp_path / name / ".aws").mkdir()
        for file in ("credentials", "config"):
            (tmp_path / name / file).rename(tmp_path / name / ".aws" / file)
        monkeypatch.setenv("HOME", str(tmp_path / name))
        found.add(of_files.identity())
    assert len(found) == 2


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_MAX_ATTEMPTS", "AWS_ROLE_SESSION_NAME", "PATH", "LANG"])
def test_what_leads_to_no_other_credentials_tells_nothing_apart(of_files, monkeypatch, name):
    before = of_files.identity()
    monkeypatch.setenv(name, "5")
    assert of_files.identity() == before


def test_no_secret_of_the_environment_is_in_the_repr_of_an_identity(of_files, monkeypatch):
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN"):
        monkeypatch.setenv(name, "hidden-secret")
    assert "hidden" not in repr(of_files.identity())


def test_keys_that_are_given_are_relative_to_nothing(monkeypatch):
    before = local().identity()
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/elsewhere")
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/r")
    assert local().identity() == before
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAENV")
    keys = local(credentials=None).identity()
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::2:role/r")
    assert local(credentials=None).identity() == keys
