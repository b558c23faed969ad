"""The settings `cursor_key` and `idempotency_key`: what counts as a secret, and that it is never shown."""

import base64
import pickle

import pytest

from dynamorm import Config
from dynamorm.config.secret_keys import SecretKeys
from dynamorm.errors import ConfigError

# Its base64 text has the signs in which the two alphabets differ.
SECRET = bytes(range(1, 28)) + b"\xfb\xef\xbe\xff\xff"
TEXT = base64.b64encode(SECRET).decode()


@pytest.fixture(params=["cursor_key", "idempotency_key"])
def setting(request):
    return request.param


def config(setting, key):
    return Config(region="eu-west-1", **{setting: key})


@pytest.mark.parametrize(
    "given",
    [
        SECRET,
        bytearray(SECRET),
        TEXT,
        TEXT.rstrip("="),
        base64.urlsafe_b64encode(SECRET).decode(),
        f" {TEXT}\n",
        [SECRET],
    ],
)
def test_every_form_of_a_secret(setting, given):
    assert getattr(config(setting, given), setting) == SecretKeys((SECRET,))


def test_several_secrets_keep_their_order(setting):
    assert getattr(config(setting, [b"n" * 32, TEXT]), setting) == SecretKeys((b"n" * 32, SECRET))


def test_the_environment_holds_one_or_several(setting):
    variable = f"DYNAMORM_{setting.upper()}"
    found = Config.from_env({"AWS_REGION": "eu-west-1", variable: TEXT})
    assert getattr(found, setting) == SecretKeys((SECRET,))
    two = base64.b64encode(b"n" * 32).decode()
    found = Config.from_env({"AWS_REGION": "eu-west-1", variable: f"{two}, {TEXT}"})
    assert getattr(found, setting) == SecretKeys((b"n" * 32, SECRET))


@pytest.mark.parametrize(
    "wrong", [b"", b"short", "c2hvcnQ=", "secret-that-is-no-base64!", 5, [], [5], {"a": 1}, "ä" * 40]
)
def test_what_is_no_secret_is_refused_and_not_shown(setting, wrong):
    with pytest.raises(ConfigError, match=setting) as caught:
        config(setting, wrong)
    assert "secret-that" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_wrong_secret_in_the_environment_names_the_variable(setting):
    variable = f"DYNAMORM_{setting.upper()}"
    with pytest.raises(ConfigError, match=variable):
        Config.from_env({"AWS_REGION": "eu-west-1", variable: "c2hvcnQ="})


def test_the_secret_is_never_shown_and_travels(setting):
    made = config(setting, TEXT)
    for shown in (repr(made), str(made), repr(getattr(made, setting)), str(list(made.__rich_repr__()))):
        assert TEXT not in shown
        assert repr(SECRET) not in shown
    assert getattr(made.replace(max_attempts=2), setting) == getattr(made, setting)
    assert pickle.loads(pickle.dumps(made)) == made
