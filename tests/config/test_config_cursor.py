"""The setting `cursor_key`: what counts as a secret, and that it is never shown."""

import base64
import pickle

import pytest

from dynamorm import Config
from dynamorm.config.cursor_keys import CursorKeys
from dynamorm.errors import ConfigError

SECRET = bytes(range(1, 33))
TEXT = base64.b64encode(SECRET).decode()


def config(key):
    return Config(region="eu-west-1", cursor_key=key)


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
def test_every_form_of_a_secret(given):
    assert config(given).cursor_key == CursorKeys((SECRET,))


def test_several_secrets_keep_their_order():
    assert config([b"n" * 32, TEXT]).cursor_key == CursorKeys((b"n" * 32, SECRET))


def test_the_environment_holds_one_or_several():
    found = Config.from_env({"AWS_REGION": "eu-west-1", "DYNAMORM_CURSOR_KEY": TEXT})
    assert found.cursor_key == CursorKeys((SECRET,))
    two = base64.b64encode(b"n" * 32).decode()
    found = Config.from_env({"AWS_REGION": "eu-west-1", "DYNAMORM_CURSOR_KEY": f"{two}, {TEXT}"})
    assert found.cursor_key == CursorKeys((b"n" * 32, SECRET))


@pytest.mark.parametrize(
    "wrong", [b"", b"short", "c2hvcnQ=", "secret-that-is-no-base64!", 5, [], [5], {"a": 1}, "ä" * 40]
)
def test_what_is_no_secret_is_refused_and_not_shown(wrong):
    with pytest.raises(ConfigError, match="cursor_key") as caught:
        config(wrong)
    assert "secret-that" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_wrong_secret_in_the_environment_names_the_variable():
    with pytest.raises(ConfigError, match="DYNAMORM_CURSOR_KEY"):
        Config.from_env({"AWS_REGION": "eu-west-1", "DYNAMORM_CURSOR_KEY": "c2hvcnQ="})


def test_the_secret_is_never_shown_and_travels():
    made = config(TEXT)
    for shown in (repr(made), str(made), repr(made.cursor_key), str(list(made.__rich_repr__()))):
        assert TEXT not in shown
        assert repr(SECRET) not in shown
    assert made.replace(max_attempts=2).cursor_key == made.cursor_key
    assert pickle.loads(pickle.dumps(made)) == made
