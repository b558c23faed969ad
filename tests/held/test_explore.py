from __future__ import annotations

from tests.held.explore import every


def test_every_combination_of_choices_is_run_once():
    def run(choices):
        first = choices.pick("ab")
        return first + (choices.pick("cd") if first == "a" else "") + choices.pick("e") + choices.pick("fgh")

    assert list(every(run)) == ["acef", "aceg", "aceh", "adef", "adeg", "adeh", "bef", "beg", "beh"]


def test_a_program_without_choices_is_run_once():
    assert list(every(lambda choices: choices.pick("x"))) == ["x"]


def test_a_run_that_meets_other_choices_than_before_goes_on():
    offered = iter(["abc", "ab", "abc"])
    assert list(every(lambda choices: choices.pick(next(offered)))) == ["a", "b"]
