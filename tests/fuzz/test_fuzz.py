"""Each target of fuzzing: its seeds, what has been found once, and some changed inputs. `make fuzz` looks for more."""

from __future__ import annotations

import json
import pathlib
import random
import signal

import pytest

from dynamorm.errors import ValidationError
from tests.fuzz import child, mutate
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


def _hangs(data):
    while True:
        pass


def _grows(data):
    """Take more than this process has ever had: tests that ran before may have taken much, and given it back."""
    before, taken = child._grown(), []
    while child._grown() <= before + child.MEMORY:
        taken.append(bytearray(16 << 20))
        taken[-1][::4096] = b"x" * (16 << 8)


def _fails(data):
    raise KeyError(data)


@pytest.mark.parametrize(("run_", "kind"), [(_hangs, "Hang"), (_grows, "Breach took more than"), (_fails, "KeyError")])
def test_what_breaks_the_rule_is_kept_the_smallest_of_each_kind(tmp_path, monkeypatch, run_, kind):
    monkeypatch.setattr(child, "PATIENCE", 2.0 if run_ is _grows else 0.1)
    monkeypatch.setattr(child, "MEMORY", 50)
    before = signal.getsignal(signal.SIGVTALRM)
    try:
        fuzzer = child.Fuzzer(Target("t", lambda: [b"x"], run_), tmp_path, 5, 1)
        for data in (b"abc", b"a", b"ab"):
            fuzzer.try_(data)
        fuzzer.write()
    finally:
        signal.signal(signal.SIGVTALRM, before)
    told = json.loads((tmp_path / "state.json").read_text())
    assert told["executions"] == 3
    ((found, path),) = told["findings"].items()
    assert found.startswith(kind)
    kept = pathlib.Path(path).read_bytes()
    assert kept == b"a"
