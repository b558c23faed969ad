"""Every way through a program that asks what shall happen next: a depth-first walk over its choices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


class Choices:
    """Answers each question of one run; `every` makes the runs, until every combination of answers was given.

    The first option is taken where no earlier run has left another to take, so the first run takes all first options.
    """

    def __init__(self) -> None:
        self._taken: list[int] = []
        self._offered: list[int] = []
        self._at = 0

    def pick(self, options: Sequence[T]) -> T:
        """One of the options. A single one is no question."""
        if len(options) == 1:
            return options[0]
        if self._at == len(self._taken):
            self._taken.append(0)
            self._offered.append(len(options))
        # A run that met other questions than before goes on from where it is.
        self._offered[self._at] = len(options)
        found = options[min(self._taken[self._at], len(options) - 1)]
        self._at += 1
        return found

    def onward(self) -> bool:
        """Prepare the next run; False when there is none."""
        del self._taken[self._at :], self._offered[self._at :]
        self._at = 0
        while self._taken:
            if self._taken[-1] + 1 < self._offered[-1]:
                self._taken[-1] += 1
                return True
            del self._taken[-1], self._offered[-1]
        return False


def every(run: Callable[[Choices], T]) -> Iterator[T]:
    """Run the program once for every combination of choices.

    Example: ``list(every(lambda choices: choices.pick("ab") + choices.pick("cd"))) == ["ac", "ad", "bc", "bd"]``
    """
    choices = Choices()
    while True:
        yield run(choices)
        if not choices.onward():
            return
