"""The settings of AWS's SDKs that choose the host: each is honoured, or refused with its name and place."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import botocore
import pytest

from dynamorm import DB, Attr, Config, Credentials, Model, Presets, partition_key
from dynamorm.config.endpoint import default_endpoint, is_aws_host, region_of, streams_endpoint
from dynamorm.config.partitions import PARTITIONS, dynamodb_host, partition_of, streams_host
from dynamorm.config.profile import parse
from dynamorm.errors import ConfigError
from dynamorm.testing import FaultServer, answers
from tests.support.faces import Face

DATA = Path(botocore.__file__).parent / "data"
ACCOUNT = "123456789012"


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Writes AWS's two files; returns an environment that names them, which is the process's own too."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DYNAMODB_", "DYNAMORM_")):
            monkeypatch.delenv(name)
    paths = {"AWS_CONFIG_FILE": tmp_path / "config", "AWS_SHARED_CREDENTIALS_FILE": tmp_path / "credentials"}
    for name, path in paths.items():
        monkeypatch.setenv(name, str(path))

    def write(config="", credentials="", **environ):
        paths["AWS_CONFIG_FILE"].write_text(config)
        paths["AWS_SHARED_CREDENTIALS_FILE"].write_text(credentials)
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        return os.environ

    return write


def resolved(**settings):
    return Config.from_env(**settings).resolve()


SERVICES = """
[profile dev]
region = eu-west-1
services = local   # where the emulators are
endpoint_url = https://all.dynamodb.eu-west-1.api.aws

[services local]
s3 =
  endpoint_url = https://s3.dynamodb.eu-west-1.api.aws
dynamodb =
    endpoint_url = https://dev.dynamodb.eu-west-1.api.aws
    unknown = 1

[services empty]

[default]
region = eu-central-1
"""


# ----------------------------------------------------------------------------------------------------------- endpoints


def test_the_most_specific_endpoint_goes_first_and_the_environment_before_the_profile(files):
    files(SERVICES, AWS_PROFILE="dev")
    assert resolved().endpoint == "https://dev.dynamodb.eu-west-1.api.aws"
    files(SERVICES.replace("services = local", "services = empty"))
    assert resolved().endpoint == "https://all.dynamodb.eu-west-1.api.aws"
    for variable in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "DYNAMODB_ENDPOINT", "DYNAMORM_ENDPOINT"):
        url = f"https://{variable.lower()}.dynamodb.eu-west-1.api.aws"
        files(SERVICES, **{variable: url})
        assert resolved().endpoint == url
    assert (
        resolved(endpoint="https://given.dynamodb.eu-west-1.api.aws").endpoint
        == "https://given.dynamodb.eu-west-1.api.aws"
    )


@pytest.mark.parametrize("where", ["variable", "file"])
def test_ignored_endpoints_are_ignored_wherever_they_stand(files, where):
    line = "\nignore_configured_endpoint_urls = true" if where == "file" else ""
    environ = {} if where == "file" else {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    text = SERVICES.replace("[profile dev]", f"[profile dev]{line}")
    files(text, AWS_PROFILE="dev", AWS_ENDPOINT_URL="https://a.dynamodb.eu-west-1.api.aws", **environ)
    assert resolved().endpoint == Config().resolve_endpoint() == "https://dynamodb.eu-west-1.amazonaws.com"


@pytest.mark.parametrize("config", [Config(profile="dev"), Config(profile="dev", region="eu-west-1")])
def test_the_profiles_endpoint_counts_for_settings_made_in_code(files, config):
    files(SERVICES)
    assert config.resolve_endpoint() == "https://dev.dynamodb.eu-west-1.api.aws"
    assert config.resolve_region() == "eu-west-1"


def test_the_default_profile_counts_where_none_is_named(files):
    files("[default]\nregion = eu-west-1\nendpoint_url = https://dev.dynamodb.eu-west-1.api.aws\n")
    assert Config().resolve_endpoint() == "https://dev.dynamodb.eu-west-1.api.aws"
    assert Config.from_env().endpoint == "https://dev.dynamodb.eu-west-1.api.aws"
    assert Config(credentials=Credentials("a", "b")).resolve_endpoint() == "https://dev.dynamodb.eu-west-1.api.aws"


@pytest.mark.parametrize("named", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "DYNAMORM_PROFILE"])
def test_the_settings_are_those_of_the_profile_whose_keys_are_not_used(files, named):
    files(SERVICES, **{named: "dev", "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"})
    assert resolved().endpoint == "https://dev.dynamodb.eu-west-1.api.aws"


def test_the_credentials_file_may_hold_settings_and_goes_before_the_config_file(files):
    keys = "[dev]\naws_access_key_id = AKID\naws_secret_access_key = s\nendpoint_url = https://keys.dynamodb.eu-west-1.api.aws\n"
    files(SERVICES.replace("services = local", ""), keys, AWS_PROFILE="dev")
    assert resolved().endpoint == "https://keys.dynamodb.eu-west-1.api.aws"


@pytest.mark.parametrize("make", [Config.from_env, Presets.production, Presets.high_throughput, Presets.aws_lambda])
def test_a_foreign_endpoint_of_a_profile_is_refused_with_its_place(files, make, tmp_path):
    files("[profile dev]\nregion=eu-west-1\nendpoint_url=https://db.example.com\n", AWS_PROFILE="dev")
    with pytest.raises(ConfigError) as caught:
        make()
    message = str(caught.value)
    assert message.startswith("endpoint_url of profile 'dev' in " + str(tmp_path))
    assert "db.example.com" in message
    assert "correct or remove endpoint_url of profile 'dev'" in message


def test_production_refuses_the_profiles_endpoint_unless_the_code_allows_it(files):
    files(
        SERVICES.replace("dev.dynamodb.eu-west-1.api.aws", "db.example.com"),
        AWS_PROFILE="dev",
        DYNAMORM_ENDPOINT_ALLOW_LIST="db.example.com",
    )
    with pytest.raises(ConfigError, match=r"dynamodb in .services local.*db.example.com"):
        Presets.production()
    allowed = Presets.production(endpoint_allow_list=("db.example.com",))
    assert allowed.endpoint == "https://db.example.com"
    bare = Config(preset="production", crc="require", profile="dev")
    with pytest.raises(ConfigError, match=r"db\.example\.com"):
        bare.resolve()
    local = SERVICES.replace("https://dev.dynamodb.eu-west-1.api.aws", "http://localhost:8000")
    files(local)
    with pytest.raises(ConfigError, match="localhost"):
        Presets.production()


def test_plain_http_of_a_profile_is_refused_with_the_fix(files):
    files(SERVICES.replace("https://dev.dynamodb.eu-west-1.api.aws", "http://localhost:8000"), AWS_PROFILE="dev")
    for make in (Config.from_env, lambda: Config(profile="dev").resolve(), lambda: DB(Config(profile="dev"))):
        with pytest.raises(
            ConfigError, match=r"endpoint_url of dynamodb in \[services local\].*allow_insecure_local=True"
        ):
            make()


@pytest.mark.parametrize("named", ["profile", "default"])
def test_writes_go_to_the_profiles_emulator_and_nowhere_else(files, face_kind, named):
    with FaultServer(lambda _: answers.json({})) as server:
        files(
            f"[{'profile dev' if named == 'profile' else 'default'}]\nregion = eu-west-1\nendpoint_url = {server.endpoint}\n",
            f"[{'dev' if named == 'profile' else 'default'}]\naws_access_key_id = AKID\naws_secret_access_key = secret\n",
        )
        face = Face(face_kind, Config(profile="dev" if named == "profile" else None, allow_insecure_local=True))
        face.put(Thing(id="x"))
        assert [request.operation for request in server.requests] == ["PutItem"]
        face.close()


def test_a_profile_that_is_not_there_is_refused_before_anything_is_sent(files):
    files("[default]\nregion = eu-west-1\n", AWS_PROFILE="typo", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b")
    with pytest.raises(ConfigError, match="AWS_PROFILE: no profile 'typo' is in"):
        Config.from_env()
    with pytest.raises(ConfigError, match="no profile 'other'"):
        Config(profile="other").resolve()
    with pytest.raises(ConfigError, match="no profile 'other'"):
        Presets.production(profile="other")


def test_a_services_section_that_is_not_there_is_refused(files):
    files("[default]\nregion = eu-west-1\nservices = gone\n")
    with pytest.raises(ConfigError, match=r"\[services gone\]"):
        Config.from_env()


def test_a_line_that_is_no_setting_is_refused_without_its_text(files):
    files("[default]\nregion = eu-west-1\nsecret-password\n")
    with pytest.raises(ConfigError, match="line 3 of") as caught:
        Config.from_env()
    assert "secret-password" not in str(caught.value)


def test_the_files_are_read_as_aws_writes_them():
    text = (
        "# a comment\n"
        '[profile "my dev"] # more\nRegion=eu-west-1\nkey : value\nempty =\n\n  ; nested comment\n  a = 1\n'
        "[default]\naws_secret_access_key = x\n  y\n"
    )
    assert parse(text, "f") == {
        "profile my dev": {"region": "eu-west-1", "key": "value", "empty": {"a": "1"}},
        "default": {},
    }


def test_a_file_that_cannot_be_read_is_refused_and_one_that_is_not_there_is_none(files, tmp_path, monkeypatch):
    files("", AWS_REGION="eu-west-1")
    (tmp_path / "config").write_bytes(b"[default]\nregion = \xff\n")
    with pytest.raises(ConfigError, match=r"config cannot be read \(UnicodeDecodeError\)"):
        Config.from_env()
    for missing in (tmp_path / "none", tmp_path, tmp_path / "config" / "below"):
        monkeypatch.setenv("AWS_CONFIG_FILE", str(missing))
        assert resolved().region == "eu-west-1"


def test_the_home_folder_is_that_of_the_environment(tmp_path):
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = eu-west-1\n")
    assert Config.from_env({"HOME": str(tmp_path)}).region == "eu-west-1"
    assert Config.from_env({}).region is None


def test_the_local_preset_takes_an_emulator_from_awss_settings_and_nothing_else(files):
    files(SERVICES, AWS_PROFILE="dev")
    assert Presets.local_development().embedded
    files(SERVICES.replace("https://dev.dynamodb.eu-west-1.api.aws", "http://localhost:8000"))
    assert Presets.local_development().endpoint == "http://localhost:8000"
    files(AWS_ENDPOINT_URL="http://localhost:4566")
    assert Presets.local_development().endpoint == "http://localhost:4566"
    files(AWS_ENDPOINT_URL="https://dynamodb.eu-west-1.amazonaws.com", AWS_PROFILE="gone")
    assert Presets.local_development().embedded


def test_streams_have_an_endpoint_of_their_own(files):
    files(AWS_REGION="eu-west-1", AWS_ENDPOINT_URL_DYNAMODB_STREAMS="https://streams.dynamodb.eu-west-1.api.aws")
    assert resolved().streams_endpoint == "https://streams.dynamodb.eu-west-1.api.aws"
    assert resolved(endpoint="https://given.dynamodb.eu-west-1.api.aws").streams_endpoint is None
    with pytest.raises(ConfigError, match=r"streams_endpoint http://db.example.com is plain http"):
        Config(streams_endpoint="http://db.example.com")
    with pytest.raises(ConfigError, match=r"db\.example\.com"):
        Config(streams_endpoint="https://db.example.com")
    with DB(Config(region="eu-west-1", streams_endpoint="https://streams.dynamodb.eu-west-1.api.aws")) as db:
        assert db._session.streams().endpoint.host == "streams.dynamodb.eu-west-1.api.aws"


# -------------------------------------------------------------------------------------------------- Region, variants


def test_the_profiles_region_is_the_last_resort(files):
    services = SERVICES.replace("services = local", "services = empty").replace(
        "endpoint_url = https://all", "# https://all"
    )
    files(services)
    assert resolved().region == "eu-central-1"
    assert resolved(profile="dev").region == "eu-west-1"
    files(services, AWS_DEFAULT_REGION="ap-south-1")
    assert resolved(profile="dev").region == "ap-south-1"
    assert resolved(region="us-east-1", profile="dev").region == "us-east-1"


def test_the_region_in_an_endpoints_name_goes_before_the_profiles(files):
    files("[default]\nregion = eu-central-1\n")
    url = "https://dynamodb.us-east-1.amazonaws.com"
    for config in (Config.from_env(endpoint=url), Config(endpoint=url)):
        assert config.resolve_region() == config.resolve().resolve_region() == "us-east-1"


VARIANTS = [
    ({"AWS_USE_FIPS_ENDPOINT": "true"}, "use_fips_endpoint = true", "dynamodb-fips.us-east-1.amazonaws.com"),
    ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "use_dualstack_endpoint = true", "dynamodb.us-east-1.api.aws"),
    (
        {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"},
        "use_fips_endpoint = true\nuse_dualstack_endpoint = true",
        "dynamodb-fips.us-east-1.api.aws",
    ),
]


@pytest.mark.parametrize(("environ", "lines", "host"), VARIANTS)
def test_fips_and_dual_stack_choose_the_host(files, environ, lines, host):
    files(f"[default]\nregion = us-east-1\n{lines}\n")
    assert resolved().endpoint == Config().resolve_endpoint() == f"https://{host}"
    assert Presets.production().resolve_endpoint() == f"https://{host}"
    files("", AWS_REGION="us-east-1", **environ)
    assert resolved().endpoint == Config().resolve_endpoint() == f"https://{host}"
    assert Config(use_fips_endpoint=False, use_dualstack_endpoint=False).resolve_endpoint() == (
        "https://dynamodb.us-east-1.amazonaws.com"
    )


@pytest.mark.parametrize("variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"])
@pytest.mark.parametrize("url", ["https://dynamodb.us-east-1.amazonaws.com", "https://db.example.com"])
def test_a_variant_that_the_endpoint_is_not_is_refused(files, variable, url):
    files(AWS_REGION="us-east-1", **{variable: "true"})
    for make in (
        lambda: Config.from_env(endpoint=url, endpoint_allow_list=("db.example.com",)),
        lambda: Config(endpoint=url, endpoint_allow_list=("db.example.com",)).resolve(),
    ):
        with pytest.raises(ConfigError, match=rf"^{variable}: use_") as caught:
            make()
        assert url in str(caught.value)
    files(AWS_REGION="us-east-1")
    assert Config.from_env(endpoint="http://localhost:8000", allow_insecure_local=True).resolve()


def test_an_account_has_a_host_of_its_own(files):
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "us-east-1"}
    host = f"https://{ACCOUNT}.ddb.us-east-1.amazonaws.com"
    plain = "https://dynamodb.us-east-1.amazonaws.com"
    files(AWS_ACCOUNT_ID=ACCOUNT, **keys)
    assert resolved().endpoint == host
    assert resolved(credentials=Credentials("other", "key")).endpoint == plain
    assert resolved(account_id_endpoint_mode="disabled").endpoint == plain
    assert resolved(use_fips_endpoint=True).endpoint == "https://dynamodb-fips.us-east-1.amazonaws.com"
    assert resolved(region="cn-north-1").endpoint == "https://dynamodb.cn-north-1.amazonaws.com.cn"
    files(AWS_ACCOUNT_ID=ACCOUNT, AWS_ACCOUNT_ID_ENDPOINT_MODE="disabled", **keys)
    assert resolved().endpoint == plain
    assert streams_endpoint(host) == "https://streams.dynamodb.us-east-1.amazonaws.com"


def test_the_profiles_account_goes_with_the_profiles_keys(files):
    text = f"[profile dev]\nregion = us-east-1\naws_account_id = {ACCOUNT}\naccount_id_endpoint_mode = required\n"
    files(text)
    assert Config(profile="dev").resolve_endpoint() == f"https://{ACCOUNT}.ddb.us-east-1.amazonaws.com"


def test_a_required_account_that_is_not_known_is_refused(files):
    files(AWS_REGION="us-east-1", AWS_ACCOUNT_ID_ENDPOINT_MODE="required")
    with pytest.raises(ConfigError, match="AWS_ACCOUNT_ID"):
        resolved()
    with pytest.raises(ConfigError, match="AWS_ACCOUNT_ID_ENDPOINT_MODE: account_id_endpoint_mode='required'"):
        resolved(use_fips_endpoint=True)
    with pytest.raises(ConfigError, match="account_id_endpoint_mode"):
        resolved(account_id=ACCOUNT, region="cn-north-1")
    with pytest.raises(ConfigError, match="account_id_endpoint_mode"):
        resolved(endpoint="https://dynamodb.us-east-1.amazonaws.com")
    with pytest.raises(ConfigError, match="account_id must be the 12 digits"):
        Config(account_id="12")


# ---------------------------------------------------------------------------------------------- authorities, retries


def test_authorities_come_from_awss_setting(files, tmp_path):
    files(f"[default]\nregion = eu-west-1\nca_bundle = {tmp_path}/file.pem\n")
    assert resolved().ca_bundle == Config().resolve().ca_bundle == f"{tmp_path}/file.pem"
    files(AWS_REGION="eu-west-1", AWS_CA_BUNDLE="/etc/variable.pem")
    assert resolved().ca_bundle == "/etc/variable.pem"
    assert resolved(ca_bundle="/etc/own.pem").ca_bundle == "/etc/own.pem"


def test_attempts_come_from_awss_setting(files):
    files("[default]\nregion = eu-west-1\nmax_attempts = 7\nretry_mode = standard\n")
    assert resolved().max_attempts == 7
    files(AWS_MAX_ATTEMPTS="2", AWS_REGION="eu-west-1")
    assert resolved().max_attempts == 2
    assert resolved(max_attempts=5).max_attempts == 5
    for bad in ("0", "99", "many"):
        files(AWS_MAX_ATTEMPTS=bad)
        with pytest.raises(ConfigError, match=r"^AWS_MAX_ATTEMPTS"):
            resolved()


@pytest.mark.parametrize("mode", ["legacy", "adaptive", "x"])
def test_another_mode_of_retries_is_refused(files, mode):
    files(AWS_REGION="eu-west-1", AWS_RETRY_MODE=mode)
    for make in (Config.from_env, Presets.production, Config().resolve):
        with pytest.raises(ConfigError, match=r"^AWS_RETRY_MODE: retry_mode=.*standard"):
            make()
    assert resolved(retry_mode="standard").endpoint == "https://dynamodb.eu-west-1.amazonaws.com"
    files(f"[default]\nregion = eu-west-1\nretry_mode = {mode}\n", AWS_RETRY_MODE="")
    with pytest.raises(ConfigError, match=r"^retry_mode of profile 'default'"):
        Config.from_env()


def test_endpoint_discovery_is_refused(files):
    files(AWS_REGION="eu-west-1", AWS_ENABLE_ENDPOINT_DISCOVERY="true")
    with pytest.raises(ConfigError, match=r"^AWS_ENABLE_ENDPOINT_DISCOVERY: "):
        Config.from_env()
    files(AWS_ENABLE_ENDPOINT_DISCOVERY="auto")
    assert Config.from_env()


@pytest.mark.parametrize(
    "variable", ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"]
)
def test_a_flag_that_is_neither_true_nor_false_is_refused(files, variable):
    files(AWS_REGION="eu-west-1", **{variable: "maybe"})
    with pytest.raises(ConfigError, match=rf"^{variable}='maybe' is not understood"):
        Config.from_env()


# ----------------------------------------------------------------------------------------------------------- partitions


def regions():
    for partition in json.loads((DATA / "partitions.json").read_text())["partitions"]:
        for region in partition["regions"]:
            if "global" not in region:
                yield pytest.param(region, partition["id"], id=region)


@pytest.fixture(scope="module")
def botocores():
    """What botocore would send requests to."""
    from botocore.endpoint_provider import EndpointProvider

    partitions = json.loads((DATA / "partitions.json").read_text())
    found = {}
    for service in ("dynamodb", "dynamodbstreams"):
        rules = json.loads(
            gzip.decompress((DATA / service / "2012-08-10" / "endpoint-rule-set-1.json.gz").read_bytes())
        )
        found[service] = EndpointProvider(rules, partitions)
    return found


@pytest.mark.parametrize(("region", "partition"), list(regions()))
def test_hosts_are_those_of_botocore(botocores, region, partition):
    assert partition_of(region).name == partition
    for fips in (False, True):
        for dual in (False, True):
            asked = {"Region": region, "UseFIPS": fips, "UseDualStack": dual}
            host = dynamodb_host(region, fips=fips, dual_stack=dual)
            assert f"https://{host}" == botocores["dynamodb"].resolve_endpoint(**asked).url
            streams = streams_host(region, fips=fips, dual_stack=dual)
            assert f"https://{streams}" == botocores["dynamodbstreams"].resolve_endpoint(**asked).url
            own = dynamodb_host(region, fips=fips, dual_stack=dual, account_id=ACCOUNT)
            asked |= {"AccountId": ACCOUNT, "AccountIdEndpointMode": "preferred"}
            assert f"https://{own}" == botocores["dynamodb"].resolve_endpoint(**asked).url
            for one in (host, streams, own):
                assert is_aws_host(one)
                assert region_of(one) == region
                assert Presets.production(endpoint=f"https://{one}").resolve_region() == region
            assert streams_endpoint(f"https://{host}") == f"https://{streams}" or fips


def test_the_table_has_every_partition_of_botocore():
    known = {one["id"]: one for one in json.loads((DATA / "partitions.json").read_text())["partitions"]}
    assert {one.name for one in PARTITIONS} == known.keys()
    for one in PARTITIONS:
        outputs = known[one.name]["outputs"]
        assert (one.suffix, one.dual_stack) == (outputs["dnsSuffix"], outputs["dualStackDnsSuffix"])
        assert (one.has_fips, one.has_dual_stack) == (outputs["supportsFIPS"], outputs["supportsDualStack"])
        assert f"^{one.regions}$".replace("-", r"\-").replace(r"\-\-", "-") == known[one.name]["regionRegex"]


def test_a_region_of_a_newer_botocore_is_looked_up_there(monkeypatch):
    from dynamorm.config import partitions as config_partitions

    newer = config_partitions.Partition("aws-new", r"new-\w+-\d+", "new.example", "dual.new.example")
    monkeypatch.setattr(config_partitions, "_newer", lambda: (newer,))
    monkeypatch.setattr(config_partitions, "_newer_suffixes", lambda: (".new.example",))
    assert default_endpoint("new-east-1") == "https://dynamodb.new-east-1.new.example"
    assert is_aws_host("dynamodb.new-east-1.new.example")
    assert not is_aws_host("dynamodb.new-east-1.example")
    assert default_endpoint("zz-east-1") == "https://dynamodb.zz-east-1.amazonaws.com"  # opened after this release


@pytest.mark.parametrize(
    ("region", "fix"),
    [
        ("us-east-1-fips", "use_fips_endpoint=True"),
        ("fips-us-east-1", "region='us-east-1'"),
        ("local", "endpoint='http://localhost:8000'"),
        ("aws-global", "correct it"),
        ("eu-west", "correct it"),
    ],
)
def test_a_region_without_a_known_host_is_refused_with_the_fix(region, fix):
    with pytest.raises(ConfigError, match=rf"region='{region}'.*{fix}"):
        Config(region=region).resolve_endpoint()


@pytest.mark.parametrize(
    "host",
    [
        "dynamodb.eu-west-1.amazonaws.eu.evil.io",
        "amazonaws.eu",
        "c2s.ic.gov.example",
        "xamazonaws.eu",
        "api.aws.example",
    ],
)
def test_a_lookalike_of_a_partition_is_foreign(host):
    assert not is_aws_host(host)
    with pytest.raises(ConfigError, match="endpoint_allow_list"):
        Config(endpoint=f"https://{host}")


def test_botocore_is_not_imported_to_work_out_a_host(tmp_path):
    import subprocess
    import sys

    program = (
        "import sys; from dynamorm import DB, Config\n"
        "with DB(Config(region='eusc-de-east-1', endpoint_allow_list=('db.example.com',))) as db: pass\n"
        "Config(endpoint='https://db.example.com', endpoint_allow_list=('db.example.com',))\n"
        "assert db._session.endpoint.host == 'dynamodb.eusc-de-east-1.amazonaws.eu'\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] == 'botocore']"
    )
    path = os.pathsep.join(filter(None, sys.path))
    environ = {**os.environ, "PYTHONPATH": path, "HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environ)
