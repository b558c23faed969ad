"""Each target of fuzzing: its seeds, what has been found once, and some changed inputs. `make fuzz` looks for more."""

from __future__ import annotations

import pathlib
import random

import pytest

from dynamorm.errors import ValidationError
from tests.fuzz import mutate
from tests.fuzz.kit import SECRET, Breach, Ended, Target, documented, kind_of, run
from tests.fuzz.targets import NAMES, load

CORPUS = pathlib.Path(__file__).parent / "corpus"
MANY = 25

pytestmark = [pytest.mark.once, pytest.mark.whole]


@pytest.mark.parametrize("name", NAMES)
def test_whatever_comes_ends_in_a_documented_error_or_in_a_value(name):
    target = load(name)
    seeds = target.seeds()
    taken = sum(not run(target, seed) for seed in seeds)
    assert taken, "not one seed is taken: they reach nothing"
    for path in sorted(CORPUS.glob(f"{name}.*")):
        run(target, path.read_bytes())
    dice = random.Random(name)
    for _ in range(MANY):
        data = mutate.changed(dice.choice(seeds), seeds, target.words, dice)
        try:
            run(target, data)
        except BaseException as error:
            raise AssertionError(f"{kind_of(error)}: {data[:300]!r}") from error


def _target(found):
    def raising(data):
        if found is not None:
            raise found

    return Target("none", lambda: [b"x"], raising)


def test_a_documented_error_passes_and_any_other_one_does_not():
    def refuse(data):
        with documented():
            raise ValidationError("no")

    assert run(Target("t", lambda: [b""], refuse), b"") is True
    assert run(_target(None), b"") is False
    assert run(_target(Ended()), b"") is True
    with pytest.raises(KeyError):
        run(_target(KeyError("x")), b"")


def test_a_message_with_a_value_of_an_item_is_a_breach():
    for told in (ValidationError(f"got {SECRET}"), ValidationError("got it")):
        told.__cause__ = KeyError(SECRET)

        def refuse(data, told=told):
            with documented():
                raise told

        with pytest.raises(Breach):
            run(Target("t", lambda: [b""], refuse), b"")


def test_changed_inputs_are_the_same_for_the_same_seed():
    made = [mutate.changed(b'{"a":{"S":"x"}}', [b"abc"], (b"word",), random.Random(seed)) for seed in range(50)]
    again = [mutate.changed(b'{"a":{"S":"x"}}', [b"abc"], (b"word",), random.Random(seed)) for seed in range(50)]
    assert made == again
    assert len(set(made)) > 30
