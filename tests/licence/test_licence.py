"""Licences: what is one, where it is found, where it is asked for, and that nothing stored is ever behind it."""

import json
import os
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

import dynamorm
import dynamorm.__main__
from dynamorm import DB, AsyncDB, Attr, Config, Model, Presets, Tenant, attr, composite, partition_key
from dynamorm.config.licence import gate, keys, token
from dynamorm.config.licence.token import DRIFT, LONGEST, read
from dynamorm.errors import ConfigError, LicenseError
from dynamorm.testing import licence
from dynamorm.testing.kit.licences import signed

ROOT = Path(__file__).resolve().parents[2]
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
DAY = 86400


class Parcel(Model, table="parcels"):
    pk: Attr[str] = partition_key(composite("tenant", "id"))
    tenant: Attr[str] = attr(Tenant())
    id: Attr[str]


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(gate, "_said", set())


@pytest.fixture
def present(monkeypatch):
    """Sets the licence of the environment."""

    def setting(*args, **claims):
        text = args[0] if args and isinstance(args[0], str) else licence(*args, **claims)
        monkeypatch.setenv("DYNAMORM_LICENSE", text)
        return text

    return setting


@pytest.fixture(params=[DB, AsyncDB])
def face(request):
    return request.param


def local(face=DB):
    return face(Presets.local_development(endpoint="http://127.0.0.1:9"))


def of_aws(face=DB):
    return face(Config(region="eu-west-1", credentials=dynamorm.Credentials("id", "secret")))


# ------------------------------------------------------------------------------------------------------------- the token


def test_a_licence_says_what_it_is_for():
    found = read(licence(["encryption"], sub="Acme", lid="l1"), loopback=True)
    assert (found.sub, found.lid, found.feat, found.kid) == ("Acme", "l1", ("encryption",), "testing")


def test_every_altered_character_is_refused():
    text = licence()
    read(text, loopback=True)
    for at, character in enumerate(text):
        other = ALPHABET[(ALPHABET.find(character) + 1) % 64]
        with pytest.raises(LicenseError):
            read(text[:at] + other + text[at + 1 :], loopback=True)


def test_a_signature_has_one_spelling():
    """64 bytes leave four bits of the last character free: the sixteen spellings of them are fifteen refusals."""
    text = licence()
    accepted = []
    for last in ALPHABET:
        try:
            read(text[:-1] + last, loopback=True)
        except LicenseError:
            continue
        accepted.append(last)
    assert accepted == [text[-1]]


@pytest.mark.parametrize("foreign", ["!", " ", "\n", "=", "\u00e9", ".", "\u0661", "\x00"])
def test_foreign_characters_are_refused_wherever_they_stand(foreign):
    text = licence()
    for at in (0, 5, 6, 50, text.rindex("."), len(text) - 1, len(text)):
        with pytest.raises(LicenseError):
            read(text[:at] + foreign + text[at:], loopback=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "DLIC1",
        "DLIC1..",
        "DLIC2.e30." + "A" * 86,
        "DLIC1.e30." + "A" * 85,
        "DLIC1.e30." + "A" * 86,
        "dlic1.e30." + "A" * 86,
        "DLIC1." + "A" * (LONGEST + 1) + "." + "A" * 86,
    ],
)
def test_what_is_no_licence_is_refused(text):
    with pytest.raises(LicenseError):
        read(text, loopback=True)


def test_its_size_is_looked_at_before_anything_is_decoded(monkeypatch):
    monkeypatch.setattr(token, "urlsafe_b64decode", None)
    with pytest.raises(LicenseError, match="8192"):
        read("DLIC1." + "A" * LONGEST + "." + "A" * 86, loopback=True)


def test_the_signature_is_checked_before_the_claims_are_read(monkeypatch):
    monkeypatch.setattr(token, "_claims", None)
    text = signed(b'{"a":1}')
    altered = "DLIC1." + urlsafe_b64encode(b'{"a":2}').rstrip(b"=").decode() + "." + text.rsplit(".", 1)[1]
    with pytest.raises(LicenseError, match="altered"):
        read(altered, loopback=True)


GOOD = {"kid": "testing", "lid": "l", "sub": "s", "feat": ["encryption"], "iat": 1, "nbf": 1, "exp": 2**39, "grace": 0}


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "other"}, {"kid": 5}, {"lid": ""}, {"sub": None}, {"sub": "x" * 201}, {"feat": "encryption"}, {"feat": [1]}, {"feat": ["A B"]},
        {"iat": True}, {"nbf": 1.0}, {"exp": "5"}, {"exp": -1}, {"exp": 2**40}, {"grace": True}, {"grace": 31 * DAY}, {"grace": -1}, {"grace": 1.5},
        {"alg": "none"}, {"alg": "HS256"}, {"ver": 2}, {"ver": True}, {"ver": 1.0}, {"crit": []}, {"nbf": 2**39 + 1},
    ],
)  # fmt: skip
def test_claims_that_are_not_as_they_must_be_are_refused(change):
    read(signed(json.dumps(GOOD).encode()), loopback=True)
    with pytest.raises(LicenseError):
        read(signed(json.dumps(GOOD | change).encode()), loopback=True)


@pytest.mark.parametrize("name", sorted(GOOD.keys() - {"grace"}))
def test_no_claim_may_be_missing(name):
    with pytest.raises(LicenseError):
        read(signed(json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()), loopback=True)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"5",
        b"null",
        b"{",
        b"\xff",
        b'{"exp":NaN}',
        b"[" * 5000,
        json.dumps(GOOD).encode()[:-1] + b',"exp":5}',
        b'{"a":' * 1000,
    ],
)
def test_signed_bytes_that_are_no_claims_are_refused(payload):
    with pytest.raises(LicenseError):
        read(signed(payload), loopback=True)


def test_a_known_version_may_be_named():
    read(signed(json.dumps(GOOD | {"alg": "Ed25519", "ver": 1}).encode()), loopback=True)


def test_licences_and_keys_can_be_revoked(monkeypatch):
    for revoked in ("l1", "testing"):
        monkeypatch.setattr(token, "REVOKED", frozenset({revoked}))
        with pytest.raises(LicenseError, match="revoked"):
            read(licence(lid="l1"), loopback=True)


def test_licences_for_tests_are_for_this_machine_alone():
    assert keys.TESTING_KID not in keys.KEYS
    with pytest.raises(LicenseError, match="no key"):
        read(licence(), loopback=False)


@pytest.mark.parametrize(
    ("offsets", "valid"),
    [
        ({"nbf": 60, "exp": 600}, True), ({"nbf": DRIFT + 60, "exp": 3600}, False), ({"exp": -60}, True), ({"exp": -DRIFT - 60}, False),
        ({"exp": -DAY, "grace": 2 * DAY}, True), ({"exp": -3 * DAY, "grace": 2 * DAY}, False),
    ],
)  # fmt: skip
def test_times_are_judged_with_five_minutes_of_drift(offsets, valid):
    now = int(time.time())
    claims = {
        "nbf": now - 10 * DAY,
        **{name: value if name == "grace" else now + value for name, value in offsets.items()},
    }
    found = read(licence(**claims), loopback=True)
    if valid:
        found.check_time(now)
    else:
        with pytest.raises(LicenseError):
            found.check_time(now)


def test_without_the_package_the_error_names_it(monkeypatch):
    text = licence()
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(LicenseError, match="secure"):
        read(text, loopback=True)


# ------------------------------------------------------------------------------------------------------ where it is asked


def test_local_development_needs_none_and_says_so_once(face, caplog):
    for _ in range(3):
        local(face).enable_multi_tenancy()
    assert [record.message for record in caplog.records].count(
        "db.enable_multi_tenancy() without a licence: that is for local development"
    ) == 1


def test_elsewhere_one_is_needed_and_nothing_changes_without(face):
    db = of_aws(face)
    for method in ("enable_multi_tenancy", "enable_encryption", "enable_audit_log"):
        with pytest.raises(LicenseError, match=method):
            getattr(db, method)()
    assert db.plugins == ()
    assert not dynamorm.is_enterprise()


def test_a_licence_of_a_known_key_counts_elsewhere(face, present, monkeypatch):
    monkeypatch.setitem(keys.KEYS, "testing", keys.TESTING_KEY)
    present(["multi_tenancy"])
    db = of_aws(face)
    db.enable_multi_tenancy()
    assert len(db.plugins) == 1


def test_a_licence_for_tests_does_not_count_elsewhere(face, present):
    present()
    with pytest.raises(LicenseError):
        of_aws(face).enable_multi_tenancy()
    local(face).enable_multi_tenancy()


@pytest.mark.parametrize(
    "make",
    [
        lambda: licence(exp=int(time.time()) - 2 * DAY),
        lambda: licence(["encryption"]),
        lambda: "nonsense",
        lambda: licence()[:-1],
    ],
)
def test_one_that_is_there_and_not_valid_is_refused_in_development_too(face, present, make):
    text = present(make())
    db = local(face)
    with pytest.raises(LicenseError) as caught:
        db.enable_multi_tenancy()
    assert db.plugins == ()
    assert text not in str(caught.value)


def test_in_its_time_of_grace_it_counts_with_a_warning(face, present, caplog):
    now = int(time.time())
    present(nbf=now - 9 * DAY, exp=now - DAY, grace=5 * DAY, lid="l7")
    local(face).enable_multi_tenancy()
    assert "the licence l7 has ended" in caplog.text
    assert dynamorm.is_enterprise()


def test_is_enterprise_never_raises(present, monkeypatch, tmp_path):
    assert dynamorm.is_enterprise() is False
    present()
    assert dynamorm.is_enterprise() is True
    for text in ("nonsense", licence(exp=5, nbf=1), licence() + "!"):
        present(text)
        assert dynamorm.is_enterprise() is False
    monkeypatch.setenv("DYNAMORM_LICENSE_FILE", str(tmp_path / "none"))
    assert dynamorm.is_enterprise() is False


def test_the_seeds_block_runs(present):
    present(["multi_tenancy"])
    db = local()
    if dynamorm.is_enterprise():
        db.enable_multi_tenancy()
    assert [type(plugin).__name__ for plugin in db.plugins] == ["Tenancy"]


@pytest.mark.engine
@pytest.mark.parametrize("text", ["nonsense", licence(exp=int(time.time()) - 90 * DAY), None])
def test_what_is_stored_is_never_behind_it(open_db, engine, monkeypatch, text):
    first = open_db(engine.endpoint, table_prefix="licence-")
    view = first.with_tenant("t1")
    first.tables.ensure(Parcel)
    view.put(Parcel(id="p1", tenant="t1"))
    if text is not None:
        monkeypatch.setenv("DYNAMORM_LICENSE", text)
    again = open_db(engine.endpoint, table_prefix="licence-")
    mine = again.with_tenant("t1")
    assert mine.get(Parcel, id="p1").tenant == "t1"
    assert mine.exists(Parcel, id="p1")
    assert again.all_tenants(reason="export").model(Parcel).allow_scan().count() == 1
    assert view.get(Parcel, id="p1").id == "p1"  # what is running goes on


# -------------------------------------------------------------------------------------------------------- where it is found


def test_it_is_found_in_a_file_of_ones_own(monkeypatch, tmp_path):
    file = tmp_path / "licence"
    file.write_text(licence() + "\n")
    monkeypatch.setenv("DYNAMORM_LICENSE_FILE", str(file))
    file.chmod(0o600)
    assert dynamorm.is_enterprise()
    file.chmod(0o640)
    with pytest.raises(LicenseError, match="chmod 600"):
        local().enable_multi_tenancy()


def test_a_file_that_cannot_be_one_is_refused(monkeypatch, tmp_path):
    for path, raw in (
        (tmp_path / "none", None),
        (tmp_path, None),
        (tmp_path / "bytes", b"\xff\xfe"),
        (tmp_path / "long", b"A" * 20000),
    ):
        if raw is not None:
            path.write_bytes(raw)
            path.chmod(0o600)
        monkeypatch.setenv("DYNAMORM_LICENSE_FILE", str(path))
        with pytest.raises(LicenseError):
            local().enable_multi_tenancy()


def test_two_places_at_once_are_refused(present, monkeypatch):
    present()
    monkeypatch.setenv("DYNAMORM_LICENSE_FILE", "/nowhere")
    with pytest.raises(LicenseError, match="both"):
        local().enable_multi_tenancy()


def test_the_two_variables_are_known_and_a_slip_is_told():
    environ = {"DYNAMORM_LICENSE": "anything", "DYNAMORM_LICENSE_FILE": "/x", "AWS_REGION": "eu-west-1"}
    assert Config.from_env(environ).region == "eu-west-1"
    with pytest.raises(ConfigError, match="did you mean DYNAMORM_LICENSE"):
        Config.from_env({"DYNAMORM_LICENCE": "x"})


# --------------------------------------------------------------------------------------------------------------- commands


def test_the_command_shows_what_a_licence_says(present, capsys):
    text = present(["encryption"], sub="Acme\x1b[31m Ltd", lid="l9")
    assert dynamorm.__main__.main(["license"]) == 0
    shown = capsys.readouterr().out
    assert "l9" in shown and "encryption" in shown and "Acme" in shown and "valid" in shown  # noqa: PT018 - one text
    assert "\x1b" not in shown
    assert text not in shown


def test_the_command_says_why_a_licence_is_none(present, capsys, tmp_path):
    assert dynamorm.__main__.main(["license"]) == 1
    assert "there is no licence" in capsys.readouterr().err
    present("nonsense")
    assert dynamorm.__main__.main(["license"]) == 1
    assert "nonsense" not in capsys.readouterr().err
    file = tmp_path / "l"
    file.write_text(licence(nbf=1, exp=2))
    file.chmod(0o600)
    assert dynamorm.__main__.main(["license", "--file", str(file)]) == 1
    assert "has ended" in capsys.readouterr().err


def test_the_maintainers_tool_issues_what_is_accepted(tmp_path):
    tool, key = ROOT / "scripts" / "issue_license.py", tmp_path / "k1.pem"

    def run(*arguments):
        return subprocess.run(
            [sys.executable, tool, *arguments],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        ).stdout

    line = run("key", "--out", str(key))
    assert key.stat().st_mode & 0o777 == 0o600
    known = eval("{" + line + "}")
    text = run(
        "issue", "--key", str(key), "--kid", "k1", "--sub", "Acme", "--days", "30", "--feature", "encryption"
    ).strip()
    found = read(text, loopback=False, keys=known)
    found.check_time(time.time())
    assert (found.sub, found.feat, found.kid) == ("Acme", ("encryption",), "k1")
    with pytest.raises(LicenseError):
        read(text, loopback=True)
