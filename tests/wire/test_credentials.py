import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from dynamorm.config.settings import Config, Credentials
from dynamorm.errors import ConfigError, CredentialsError
from dynamorm.wire import credentials as module
from dynamorm.wire.credentials import CredentialSource

NOW = 1_700_000_000.0
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
STATIC = Credentials("AKIDEXAMPLE", SECRET)
ENVIRON = {"AWS_ACCESS_KEY_ID": "AKIDENV", "AWS_SECRET_ACCESS_KEY": SECRET}


class Provider:
    """A provider whose answers are listed: credentials are returned, exceptions raised."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def temporary(n, expires_at):
    return Credentials(f"ASIA{n}", SECRET, "token", expires_at)


@pytest.fixture
def no_botocore_config(monkeypatch, tmp_path):
    """botocore sees no files, no variables and no metadata service."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


# ------------------------------------------------------------------------------------------------------- Credentials


def test_the_repr_shows_neither_secret_nor_token():
    keys = Credentials("AKIDEXAMPLE", SECRET, "very-secret-token", 5.0)
    for text in (repr(keys), str(keys), f"{keys}", repr(list(keys.__rich_repr__())), repr([keys])):
        assert SECRET not in text
        assert "very-secret-token" not in text
    assert "AKIDEXAMPLE" in repr(keys)


@pytest.mark.parametrize("bad", ["", " ", "a b", "a\n", "a\r\nX-Evil: 1", "a\t", "a\x00", "é", None, 5, b"x"])
@pytest.mark.parametrize("name", ["key_id", "secret", "token"])
def test_text_that_cannot_be_a_key_is_refused_without_showing_it(name, bad):
    if (name, bad) == ("token", None):
        return
    with pytest.raises(ConfigError, match=name) as caught:
        Credentials(**({"key_id": "AKID", "secret": SECRET} | {name: bad}))
    assert SECRET not in str(caught.value)


def test_a_secret_given_as_key_id_is_noticed():
    with pytest.raises(ConfigError, match="mixed up"):
        Credentials(SECRET, "AKIDEXAMPLE")
    with pytest.raises(ConfigError, match="expires_at"):
        Credentials("a", "b", None, "tomorrow")  # type: ignore[arg-type]


def test_credentials_are_frozen():
    with pytest.raises(AttributeError):
        STATIC.secret = "x"  # type: ignore[misc]


# ------------------------------------------------------------------------------------------------------------ static


def test_static_credentials_are_loaded_once_and_kept():
    source = CredentialSource(STATIC)
    assert source.current(NOW) is None
    assert source.load() is STATIC
    assert source.current(NOW + 1e9) is STATIC


def test_static_credentials_that_are_refused_give_a_clear_error_and_are_tried_again_later():
    source = CredentialSource(STATIC)
    source.current(NOW)
    source.load()
    for _ in range(2):
        source.invalidate(STATIC)
        assert source.current(NOW) is None
        with pytest.raises(CredentialsError, match="does not accept") as caught:
            source.load()
        assert SECRET not in str(caught.value)
        assert "AKIDEXAMPLE" in str(caught.value)
        assert source.current(NOW) is None
        assert source.load() is STATIC


def test_static_credentials_past_their_expiry_are_not_used():
    source = CredentialSource(temporary(1, NOW - 1))
    assert source.current(NOW) is None
    with pytest.raises(CredentialsError, match="expired"):
        source.load()


def test_refusing_credentials_that_are_no_longer_used_changes_nothing():
    source = CredentialSource(STATIC)
    source.load(NOW)
    source.invalidate(temporary(9, None))
    assert source.current(NOW) is STATIC


# ------------------------------------------------------------------------------------------------------- environment


def test_the_environment_is_read_without_botocore():
    source = CredentialSource(environ=ENVIRON | {"AWS_SESSION_TOKEN": "token"})
    assert source.load(NOW) == Credentials("AKIDENV", SECRET, "token")
    assert CredentialSource(environ=ENVIRON | {"AWS_SESSION_TOKEN": " "}).load(NOW).token is None
    code = (
        "import sys; from dynamorm.wire.credentials import CredentialSource as S;"
        f"S(environ={ENVIRON!r}).load(1.0); assert 'botocore' not in sys.modules"
    )
    path = os.pathsep.join(filter(None, sys.path))
    subprocess.run([sys.executable, "-c", code], check=True, env=os.environ | {"PYTHONPATH": path})


def test_the_environment_is_read_again_after_a_refusal():
    environ = dict(ENVIRON)
    source = CredentialSource(environ=environ)
    first = source.load(NOW)
    environ["AWS_ACCESS_KEY_ID"] = "AKIDNEW"
    assert source.current(NOW) is first
    source.invalidate(first)
    assert source.current(NOW) is None
    assert source.load(NOW).key_id == "AKIDNEW"


@pytest.mark.parametrize("missing", ENVIRON)
def test_half_a_key_in_the_environment_names_the_missing_half(missing):
    source = CredentialSource(environ={name: value for name, value in ENVIRON.items() if name != missing})
    with pytest.raises(CredentialsError, match=f"{missing} is not set") as caught:
        source.load(NOW)
    assert SECRET not in str(caught.value)


def test_a_malformed_environment_is_an_error_without_the_secret():
    with pytest.raises(CredentialsError, match="environment variables: credentials: secret holds") as caught:
        CredentialSource(environ=ENVIRON | {"AWS_SECRET_ACCESS_KEY": "abc def"}).load(NOW)
    assert "abc def" not in str(caught.value)
    with pytest.raises(CredentialsError, match="AWS_CREDENTIAL_EXPIRATION"):
        CredentialSource(environ=ENVIRON | {"AWS_CREDENTIAL_EXPIRATION": "soon"}).load(NOW)


@pytest.mark.parametrize("text", ["2023-11-15T00:00:00Z", "2023-11-15T00:00:00", "2023-11-15T01:00:00+01:00"])
def test_the_expiry_in_the_environment_is_respected(text):
    source = CredentialSource(environ=ENVIRON | {"AWS_CREDENTIAL_EXPIRATION": text})
    assert source.load(NOW).expires_at == 1_700_006_400.0


# ---------------------------------------------------------------------------------------------------------- provider


def test_credentials_are_fetched_anew_two_minutes_before_they_expire():
    old, new = temporary(1, NOW + 3600), temporary(2, NOW + 7200)
    provider = Provider(old, new)
    source = CredentialSource(provider)
    assert source.load(NOW) is old
    assert source.current(NOW + 3479) is old
    assert source.current(NOW + 3480) is None
    assert source.load() is new
    assert source.current(NOW + 3600) is new
    assert provider.calls == 2


def test_one_refresh_then_success_after_a_refusal():
    old, new = temporary(1, NOW + 3600), temporary(2, NOW + 7200)
    source = CredentialSource(Provider(old, new))
    source.load(NOW)
    source.invalidate(old)
    assert source.current(NOW) is None
    assert source.load() is new
    assert source.current(NOW) is new


def test_the_old_credentials_serve_while_a_refresh_fails():
    old = temporary(1, NOW + 3600)
    provider = Provider(old, RuntimeError("down"))
    source = CredentialSource(provider)
    source.load(NOW)
    assert source.current(NOW + 3500) is None
    assert source.load() is old
    assert source.current(NOW + 3510) is old  # the next attempt is half a minute away
    assert provider.calls == 2
    assert source.current(NOW + 3531) is None
    assert source.load() is old
    assert source.current(NOW + 3600) is None
    with pytest.raises(CredentialsError, match="RuntimeError"):
        source.load()


def test_a_refused_key_is_not_kept_when_the_provider_is_down():
    old = temporary(1, NOW + 3600)
    source = CredentialSource(Provider(old, RuntimeError("down")))
    source.load(NOW)
    source.invalidate(old)
    with pytest.raises(CredentialsError, match="raised RuntimeError"):
        source.load(NOW)


def test_a_provider_that_returns_something_else_or_quotes_a_secret_gives_a_clean_error():
    with pytest.raises(CredentialsError, match="returned tuple, not Credentials"):
        CredentialSource(lambda: ("id", SECRET)).load(NOW)  # type: ignore[arg-type,return-value]
    with pytest.raises(CredentialsError, match="raised ValueError") as caught:
        CredentialSource(Provider(ValueError(SECRET))).load(NOW)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_credentials_that_live_only_a_minute_are_used_while_they_last():
    source = CredentialSource(Provider(temporary(1, NOW + 60)))
    first = source.load(NOW)
    assert source.current(NOW + 29) is first
    assert source.current(NOW + 31) is None


def test_the_same_credentials_keep_the_same_object():
    source = CredentialSource(lambda: temporary(1, NOW + 3600))
    first = source.load(NOW)
    assert source.current(NOW + 3500) is None
    assert source.load() is first


def test_however_many_threads_ask_one_fetches():
    started, release, calls = threading.Event(), threading.Event(), []

    def slow():
        calls.append(1)
        started.set()
        release.wait(30)
        return STATIC

    source = CredentialSource(slow)
    got = []
    threads = [threading.Thread(target=lambda: got.append(source.load(NOW))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert started.wait(30)
    release.set()
    for thread in threads:
        thread.join()
    assert got == [STATIC] * 8
    assert len(calls) == 1


def test_while_one_thread_refreshes_the_others_go_on_with_the_old_ones():
    old, new = temporary(1, NOW + 3600), temporary(2, NOW + 7200)
    started, release = threading.Event(), threading.Event()

    def slow():
        if not started.is_set() and source.current(NOW) is not None:
            started.set()
            release.wait(30)
            return new
        return old

    source = CredentialSource(slow)
    source.load(NOW)
    assert source.current(NOW + 3500) is None
    thread = threading.Thread(target=source.load)
    thread.start()
    assert started.wait(30)
    assert source.current(NOW + 3501) is old
    assert source.current(NOW + 3601) is None  # expired: there is nothing to go on with
    source.invalidate(temporary(9, None))  # never waits for the fetch
    release.set()
    thread.join()
    assert source.current(NOW + 3601) is new


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_during_a_fetch_does_not_block_the_child():
    source = CredentialSource(STATIC)
    with source._lock:
        child = os.fork()
        if child == 0:
            os._exit(0 if source.load(NOW) == STATIC else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# ---------------------------------------------------------------------------------------------------------- botocore


def test_nothing_found_fails_at_once_and_says_what_to_do(no_botocore_config, monkeypatch):
    asked = []
    monkeypatch.setattr(socket, "create_connection", lambda *_, **__: asked.append(1) or 1 / 0)
    monkeypatch.setattr("botocore.httpsession.URLLib3Session.send", lambda *_: asked.append(1) or 1 / 0)
    source = CredentialSource()
    with pytest.raises(CredentialsError) as caught:
        source.load(NOW)
    assert not asked  # without the network
    for word in ("AWS_ACCESS_KEY_ID", "profile", "local_development"):
        assert word in str(caught.value)


def test_no_metadata_look_up_when_it_is_disabled(no_botocore_config, monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    monkeypatch.setattr("botocore.utils.InstanceMetadataFetcher.retrieve_iam_role_credentials", lambda _: 1 / 0)
    with pytest.raises(CredentialsError, match="none found"):
        CredentialSource(environ={"AWS_EC2_METADATA_DISABLED": "true"}).load(NOW)
    with pytest.raises(CredentialsError, match="ZeroDivisionError"):
        CredentialSource(environ={}).load(NOW)


def test_a_metadata_service_that_does_not_answer_costs_about_a_second(no_botocore_config, monkeypatch):
    class Silent(BaseHTTPRequestHandler):
        def do_PUT(self):
            done.wait(60)

        do_GET = do_PUT

        def log_message(self, *_):
            pass

    done = threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
        monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_port}/")
        source = CredentialSource()
        began = time.monotonic()
        with pytest.raises(CredentialsError):
            source.load(NOW)
        assert time.monotonic() - began < 30  # and not for as long as that is silent
    finally:
        done.set()
        server.shutdown()
        server.server_close()


def test_a_profile_goes_before_the_environment(no_botocore_config, monkeypatch):
    (no_botocore_config / "credentials").write_text(
        f"[team]\naws_access_key_id = AKIDTEAM\naws_secret_access_key = {SECRET}\n"
    )
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    assert CredentialSource(profile="team").load(NOW) == Credentials("AKIDTEAM", SECRET)
    assert CredentialSource.from_config(Config(profile="team", region="eu-west-1")).load(NOW).key_id == "AKIDTEAM"
    assert CredentialSource().load(NOW).key_id == "AKIDENV"


def test_the_default_profile_is_found(no_botocore_config):
    (no_botocore_config / "credentials").write_text(
        f"[default]\naws_access_key_id = AKIDDEF\naws_secret_access_key = {SECRET}\n"
    )
    source = CredentialSource()
    assert source.load(NOW).key_id == "AKIDDEF"
    assert source.current(NOW + 1e9) is source.load(NOW)


def test_a_missing_profile_is_named(no_botocore_config):
    with pytest.raises(CredentialsError, match=r"profile 'nobody': ProfileNotFound \(see ~/.aws/config\)"):
        CredentialSource(profile="nobody").load(NOW)


def test_a_credential_process_is_run_and_its_expiry_respected(no_botocore_config):
    script = no_botocore_config / "keys.py"
    answer = {
        "Version": 1,
        "AccessKeyId": "ASIAPROC",
        "SecretAccessKey": SECRET,
        "SessionToken": "token",
        "Expiration": "2999-01-01T00:00:00Z",
    }
    script.write_text(f"print('''{json.dumps(answer)}''')")
    (no_botocore_config / "config").write_text(f"[profile proc]\ncredential_process = {sys.executable} {script}\n")
    source = CredentialSource(profile="proc")
    found = source.load(NOW)
    assert found == Credentials("ASIAPROC", SECRET, "token", 32_472_144_000.0)
    assert source.current(32_472_144_000.0 - 121) is found
    assert source.current(32_472_144_000.0 - 120) is None


def test_a_failing_credential_process_does_not_put_its_output_into_the_error(no_botocore_config):
    script = no_botocore_config / "keys.py"
    script.write_text(f"import sys; sys.exit('{SECRET}')")
    (no_botocore_config / "config").write_text(f"[profile proc]\ncredential_process = {sys.executable} {script}\n")
    with pytest.raises(CredentialsError, match="CredentialRetrievalError") as caught:
        CredentialSource(profile="proc").load(NOW)
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None


class Chain:
    """What botocore hands out for a role: an object that refreshes itself."""

    def __init__(self, *keys, expiry=None):
        self.keys = list(keys)
        self._expiry_time = expiry

    def get_frozen_credentials(self):
        key = self.keys.pop(0) if len(self.keys) > 1 else self.keys[0]
        if isinstance(key, Exception):
            raise key
        return SimpleNamespace(access_key=key, secret_key=SECRET, token="token")


def test_temporary_credentials_that_hide_their_expiry_are_asked_for_again(monkeypatch):
    monkeypatch.setattr(module, "_botocore_chain", lambda *_: Chain("ASIA1", "ASIA2"))
    source = CredentialSource(environ={})
    assert source.load(NOW).key_id == "ASIA1"
    assert source.current(NOW + 299) == Credentials("ASIA1", SECRET, "token")
    assert source.current(NOW + 301) is None
    assert source.load().key_id == "ASIA2"


def test_a_refusal_starts_botocores_chain_anew(monkeypatch):
    chains = [Chain("ASIA1"), Chain("ASIA2")]
    monkeypatch.setattr(module, "_botocore_chain", lambda *_: chains.pop(0))
    source = CredentialSource(environ={})
    first = source.load(NOW)
    source.invalidate(first)
    assert source.load(NOW).key_id == "ASIA2"
    assert chains == []


def test_awss_refusal_to_assume_a_role_is_told_by_its_code(monkeypatch):
    from botocore.exceptions import ClientError

    error = ClientError({"Error": {"Code": "AccessDenied", "Message": SECRET}}, "AssumeRole")
    monkeypatch.setattr(module, "_botocore_chain", lambda *_: Chain(error))
    with pytest.raises(CredentialsError, match=r"ClientError \(AccessDenied\)") as caught:
        CredentialSource(environ={}).load(NOW)
    assert SECRET not in str(caught.value)


def test_an_expired_sso_login_says_how_to_log_in(monkeypatch):
    from botocore.exceptions import UnauthorizedSSOTokenError

    monkeypatch.setattr(module, "_botocore_chain", lambda *_: Chain(UnauthorizedSSOTokenError()))
    with pytest.raises(CredentialsError, match="aws sso login"):
        CredentialSource(environ={}).load(NOW)


def test_unusable_text_from_a_chain_is_an_error(monkeypatch):
    monkeypatch.setattr(module, "_botocore_chain", lambda *_: Chain("A KEY"))
    with pytest.raises(CredentialsError, match="key_id holds a space"):
        CredentialSource(environ={}).load(NOW)


def test_without_botocore_the_error_says_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.session", None)
    with pytest.raises(CredentialsError, match="install botocore"):
        CredentialSource(environ={}).load(NOW)


def test_the_repr_of_a_source_shows_no_secret():
    assert SECRET not in repr(CredentialSource(STATIC))
    assert "given" in repr(CredentialSource(STATIC))


@pytest.mark.parametrize("wrong", [SystemExit, GeneratorExit, RuntimeError])
def test_a_function_that_ends_the_program_has_failed_like_any_other(wrong):
    def provider():
        raise wrong("of the program")

    with pytest.raises(CredentialsError, match=f"raised {wrong.__name__}"):
        CredentialSource(provider).load(NOW)


def test_an_interrupt_in_a_function_goes_on_and_leaves_no_lock():
    def provider():
        raise KeyboardInterrupt

    source = CredentialSource(provider)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            source.load(NOW, timeout=1)


def test_a_coroutine_is_no_credentials(recwarn):
    async def late():
        pass

    with pytest.raises(CredentialsError, match="returned coroutine"):
        CredentialSource(lambda: late()).load(NOW)  # noqa: PLW0108 - what hides a coroutine function
    assert not recwarn.list
