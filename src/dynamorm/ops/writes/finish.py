"""What plugins add to a transaction as a whole, once, after the rules of all its writes: a record that goes with it.

With such a plugin each write is a transaction. Used only where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dynamorm.errors import ConfigError

from .handed import built

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

    from .write import Write


class TransactionDraft:
    """One TransactWriteItems before it is sent, as ``finish(transaction)`` of a plugin sees it.

    ``writes`` are those of the caller and of the rules, in order. ``context`` tells the scope and the time.
    """

    __slots__ = ("_added", "_by", "context", "writes")

    def __init__(self, context: Context, writes: tuple[Write, ...]) -> None:
        self.context: Context = context
        self.writes: tuple[Write, ...] = writes
        self._added: list[Write] = []
        self._by = ""

    def add(self, verb: str, *args: Any, **options: Any) -> None:
        """Let another write be applied with these, or none of them.

        ``verb`` and the arguments are those of a transaction's methods. Raises: ValidationError.

        Example: ``transaction.add("create", Receipt(id=..., writes=len(transaction.writes)))``
        """
        self._added.append(
            built(self.context, verb, args, options, f"the {verb} added to a transaction by the plugin {self._by}")
        )

    def asked(self, name: str, finish: Callable[[TransactionDraft], Any]) -> list[Write]:
        """What a plugin adds."""
        self._by = name
        if finish(self) is not None:
            raise ConfigError(
                f"finish of the plugin {name} returns nothing: what it adds is given to transaction.add(verb, ...)"
            )
        return self.taken()

    def taken(self) -> list[Write]:
        """What was added since this was asked for the last time."""
        added, self._added = self._added, []
        return added


def finished(context: Context, writes: Iterable[Write]) -> list[Write]:
    """What the plugins add to these writes, each marked with the plugin's name."""
    transaction = TransactionDraft(context, tuple(writes))
    every: list[Write] = []
    for name, finish in context.finishers:
        for write in transaction.asked(name, finish):
            write.added_by = name
            every += (write, *others(write))
    return every


def others(write: Write) -> Iterable[Write]:
    """All that must be applied with a write."""
    for companion in write.together_with:
        yield companion
        yield from others(companion)
