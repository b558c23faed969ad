"""Seconds, counts, words and texts: one function each, whose error names the argument, its limits and what was given."""

from datetime import timedelta
from math import inf, nan
from types import SimpleNamespace

import pytest

from dynamorm import Attr, Model, partition_key
from dynamorm.arguments import check_choice, check_count, check_seconds, check_secret, check_share, check_text
from dynamorm.errors import ConfigError, DeadlineExceeded, DynamORMError, ModelError, ValidationError
from dynamorm.features.tables.look import Patience
from dynamorm.wire.deadlines import deadline

from .conftest import SECRET
from .conftest import check_text as check_message

HUGE = 10**5000
"""Python refuses to write it, and no float holds it."""


class Thing(Model, table="things"):
    id: Attr[str] = partition_key()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (timedelta(minutes=2), 120.0),
        (timedelta(milliseconds=1), 0.001),
        (inf, inf),
        pytest.param(HUGE, inf, id="huge"),
    ],
)
def test_seconds_are_a_number_or_a_timedelta(given, seconds):
    found = check_seconds("timeout", given)
    assert (found, type(found)) == (seconds, float)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (0.5, "not 0.5"),
        (timedelta(0), "not 0.0"),
        (61, "not 61"),
        pytest.param(-HUGE, "not a number far beyond that", id="huge"),
        (inf, "not a number far beyond that"),
        (nan, "not NaN"),
        (True, "not True"),
        (None, "not None"),
        (SECRET, "not str"),
        ([1], "not list"),
    ],
)
def test_other_seconds_are_refused(given, words):
    with pytest.raises(ValidationError) as caught:
        check_seconds("lease", given, 1.0, 60.0)
    check_message(caught.value, "lease is 1 ... 60 seconds, or a timedelta of that", words)
    assert caught.value.field == "lease"


@pytest.mark.parametrize("given", [0, -1, True, "5", nan])
def test_a_deadline_is_above_0(given):
    with pytest.raises(ValidationError) as caught:
        deadline(given)
    check_message(caught.value, "a deadline is a positive number of seconds up to 1000000000, or a timedelta")
    assert caught.value.field == "seconds"


@pytest.mark.parametrize("given", [-1, None, "5", nan])
def test_the_margin_of_a_deadline_is_0_or_more(given):
    with pytest.raises(ValidationError, match="margin is 0 or more seconds"):
        deadline.from_lambda(_Context(), given)


class _Context:
    def get_remaining_time_in_millis(self):
        return 3000


def test_the_margin_of_a_deadline_may_be_a_timedelta():
    with deadline.from_lambda(_Context(), timedelta(seconds=1)) as limit:
        assert limit._seconds == pytest.approx(2.0)


@pytest.mark.parametrize("given", [0, 51, True, 1.0, "5", None, pytest.param(HUGE, id="huge"), SECRET])
@pytest.mark.parametrize("error", [ValidationError, ConfigError, ModelError])
def test_a_count_is_whole_and_within_its_limits(given, error):
    with pytest.raises(DynamORMError) as caught:
        check_count("shards", given, 1, 50, subject="composite(): shards", error=error)
    assert type(caught.value) is error
    check_message(caught.value, "composite(): shards is a whole number in 1 ... 50, not ")
    assert getattr(caught.value, "field", "shards") == "shards"


@pytest.mark.parametrize("given", ["Skip", "", SECRET, True, None, 0, ["skip"], {}])
def test_a_word_is_one_of_those_that_are_known(given):
    with pytest.raises(ValidationError) as caught:
        check_choice("on_unknown", given, ("raise", "skip"))
    check_message(caught.value, "on_unknown is 'raise' or 'skip', not ")


def test_1_is_not_true_among_words():
    assert check_choice("stream", False, (None, False, "KEYS_ONLY")) is False
    with pytest.raises(ValidationError, match="stream is False or 'KEYS_ONLY', not 0"):
        check_choice("stream", 0, (None, False, "KEYS_ONLY"))


@pytest.mark.parametrize(
    ("given", "words"), [("", "0 characters"), ("x" * 257, "257 characters"), (5, "not 5"), (None, "")]
)
def test_a_text_has_a_length(given, words):
    with pytest.raises(ValidationError) as caught:
        check_text("consumer", given, 256)
    check_message(caught.value, "consumer is a text of 1 to 256 characters", words)


@pytest.mark.parametrize("name", ["start", "on_data_loss", "on_unknown"])
@pytest.mark.parametrize("given", [["latest"], {}, 5, "sometimes"])
def test_a_word_of_a_stream_that_cannot_be_hashed_is_refused_as_any_other(db, refused, name, given):
    refused(ValidationError, lambda: db.stream(Thing, **{name: given}), name, "or")


@pytest.mark.parametrize("given", [-1, timedelta(seconds=-1), nan, True, "5", None])
def test_the_timeout_of_tables_is_0_seconds_or_more(db, refused, given):
    refused(
        ValidationError, lambda: db.tables.wait(Thing, timeout=given), "timeout is 0 or more seconds, or a timedelta"
    )


def test_the_timeout_of_tables_may_be_a_timedelta():
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    patience = Patience(SimpleNamespace(channel=SimpleNamespace(clock=clock)), timedelta(seconds=2))
    next(patience.pause(2.0, "the table is not ready"))
    with pytest.raises(DeadlineExceeded):
        next(patience.pause(2.1, "the table is not ready"))


def test_a_share_is_a_part_of_all():
    assert check_share("share", 0.05) == 0.05
    found = check_share("share", 1, may_be_all=True)
    assert (found, type(found)) == (1.0, float)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (0, "not 0"),
        (1, "not 1"),
        (-0.1, "not -0.1"),
        (5, "not 5"),
        (nan, "not NaN"),
        (True, "not True"),
        (SECRET, "not str"),
    ],
)
def test_another_share_is_refused(given, words):
    with pytest.raises(ConfigError) as caught:
        check_share("share", given, subject="share of a Thing", error=ConfigError)
    check_message(caught.value, "share of a Thing is a share above 0 and below 1, such as 0.05 for 5 of 100", words)
    if given != 1:
        with pytest.raises(ValidationError, match="above 0 and up to 1"):
            check_share("share", given, may_be_all=True)


def test_a_secret_is_so_many_bytes():
    assert check_secret("secret", b"x" * 16, 16, 64) == b"x" * 16


@pytest.mark.parametrize(
    ("given", "words"),
    [(b"x" * 15, "not 15 bytes"), (b"x" * 65, "not 65 bytes"), (SECRET, "not str"), (None, "not None")],
)
def test_another_secret_is_refused_and_not_shown(given, words):
    with pytest.raises(ConfigError) as caught:
        check_secret("secret", given, 16, 64, error=ConfigError)
    check_message(caught.value, "secret is 16 to 64 random bytes", words)
