"""scripts/mutation makes faults that behave as faults, and none where no behaviour is."""

from __future__ import annotations

import pytest

from dynamorm.ops.writes import token_ring
from scripts.mutation import mutants
from scripts.mutation.living import put_into
from scripts.mutation.mutants import compiled, mutants_of

pytestmark = pytest.mark.once

SOURCE = '''"""A docstring."""

from __future__ import annotations

import logging

logger = logging.getLogger("some")


class Account:
    __slots__ = ("money",)

    def __init__(self, money: int = 0) -> None:
        """Set it."""
        self.money = money

    def take(self, much: int) -> int:
        if much > self.money and not self.trusted():
            logger.warning("refused %s", much)
            raise ValueError("there is not so much")
        for _ in range(0, much):
            if self.money == 0:
                break
            self.money -= 1
        return self.money

    def trusted(self) -> bool:
        return False


def later(account):
    def inner(much):
        return account.take(much) + 1

    return inner
'''


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "account.py").write_text(SOURCE)
    monkeypatch.setattr(mutants, "PACKAGE", tmp_path)
    return "account.py"


def test_each_kind_of_fault_is_made(module):
    kinds = {(one.kind, one.after) for one in mutants_of(module)[0]}
    assert {
        ("comparison negated", "much <= self.money"),
        ("comparison moved", "much >= self.money"),
        ("boolean operator", "much > self.money or not self.trusted()"),
        ("not removed", "self.trusted()"),
        ("raise removed", "pass"),
        ("arguments swapped", "range(much, 0)"),
        ("break or continue", "continue"),
        ("arithmetic", "self.money += 1"),
        ("constant", "True"),
        ("default", "1"),
        ("return value", "return None"),
        ("assignment removed", "pass"),
    } <= kinds


def test_nothing_is_made_of_what_only_people_and_checkers_read(module):
    made, left = mutants_of(module)
    texts = " ".join(one.before for one in made if one.kind in {"constant", "call removed"})
    for words in ("docstring", "refused", "there is not so much", "slots", "warning"):
        assert words not in texts, words
    assert left["docstring"] == 2
    assert left["log"] == 1
    assert left["list of names"] == 1
    assert left["annotation"] > 3


def test_each_fault_is_one_change_of_the_module(module):
    made, _ = mutants_of(module)
    plain = compiled(module, len(made))
    assert len({one.key for one in made}) == len(made)
    assert all(compiled(module, one.place) != plain for one in made)


def test_a_name_of_a_fault_stays_when_its_line_moves(module, tmp_path):
    before = {one.key for one in mutants_of(module)[0]}
    (tmp_path / "account.py").write_text(SOURCE.replace("class Account", "\n\n\nclass Account"))
    assert {one.key for one in mutants_of(module)[0]} == before


def test_a_fault_is_put_into_functions_that_are_alive_and_into_those_they_make(module, tmp_path):
    space: dict[str, object] = {"__name__": "account"}
    exec(compile(SOURCE, str(tmp_path / "account.py"), "exec"), space)
    later, account = space["later"], space["Account"](5)
    wrong = next(one for one in mutants_of(module)[0] if one.before == "account.take(much) + 1")
    code = later.__code__
    assert later(account)(2) == 4
    assert put_into(wrong, {(code.co_filename, code.co_qualname, code.co_firstlineno): [later]})
    assert later(account)(1) == 1  # two are left, and one is taken away from that


def test_a_fault_in_the_library_is_met_by_whoever_has_the_function():
    wrong = next(one for one in mutants_of("ops/writes/token_ring.py")[0] if one.after == "token - ring")
    prepend, code = token_ring.prepend, token_ring.prepend.__code__
    try:
        assert put_into(wrong, {(code.co_filename, code.co_qualname, code.co_firstlineno): [prepend]})
        with pytest.raises(TypeError):
            token_ring.prepend(b"12345678", b"")
    finally:
        prepend.__code__ = code
    assert token_ring.prepend(b"12345678", b"") == b"12345678"
