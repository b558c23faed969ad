"""Plugins that look at each attempt of a call: `dynamorm.plugin.AttemptHook`. Used only where a plugin has such a hook.

The call asks `Watch` before an attempt, tells it what the attempt came to, and that there will be another one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from dynamorm.errors import DynamORMError, PluginRefused
from dynamorm.log import FailureLog, shielded

if TYPE_CHECKING:
    from .attempts import Attempts
    from .op import Op

HOOKS: Final = ("admit", "observed", "retried")
"""The hooks of attempts: before one, after one, and where another one is to follow."""


class Watch:
    """The hooks of all plugins, outermost first: of each plugin its name and its `HOOKS`, or None."""

    __slots__ = ("_admitting", "_asked", "_observing", "_retried")

    def __init__(self, hooks: Sequence[tuple[Any, ...]]) -> None:
        self._asked = tuple((name, admit, _told(observed, name)) for name, admit, observed, _ in hooks)
        self._admitting = any(admit is not None for _, admit, _, _ in hooks)
        self._observing = tuple(
            (observed, FailureLog(name, "observed")) for name, _, observed, _ in reversed(hooks) if observed is not None
        )
        self._retried = tuple(
            shielded(retried, name, "retried") for name, _, _, retried in hooks if retried is not None
        )

    def admitted(self, op: Op, run: Attempts | None) -> bool:
        """Ask whether an attempt may be sent. True: its end is to be told. ``run`` is what went before.

        Raises: the refusal; OutcomeUnknown behind an attempt that may have been applied.
        """
        if self._admitting:
            refusal = self._refusal(op)
            if refusal is not None:
                if run is not None and run.ambiguous:
                    run.errors.append(refusal)
                    run.unknown(refusal, "then a plugin refused to ask again")
                if run is not None:
                    refusal.attempts, refusal.earlier = run.attempts, tuple(run.errors)
                raise refusal from refusal.__cause__
        return True

    def _refusal(self, op: Op) -> DynamORMError | None:
        """Why one of them refuses, after those that had admitted it were told that nothing came of it."""
        refusal: DynamORMError
        asked = 0
        try:
            for _, admit, _ in self._asked:
                if admit is not None:
                    admit(op)
                asked += 1
        except DynamORMError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing of this attempt is sent
            refusal = PluginRefused(
                f"the plugin {self._asked[asked][0]} refused an attempt of {op.name} ({type(error).__name__}): it was not"
                " sent"
            )
            refusal.__cause__ = error
        except BaseException:
            self._left(op, asked)
            raise
        else:
            return None
        self._left(op, asked)
        return refusal

    def _left(self, op: Op, asked: int) -> None:
        """Tell those that had admitted an attempt that nothing came of it."""
        for _, _, tell in reversed(self._asked[:asked]):
            if tell is not None:
                tell(op, None, None)

    def told(self, op: Op, reply: Any, error: BaseException | None) -> None:
        """Tell the end of an attempt: a reply that can be believed, or what went wrong, or neither: it was abandoned."""
        for observed, failed in self._observing:
            try:  # in this frame, and not `shielded`: it is done for each attempt
                observed(op, reply, error)
            except Exception as fault:  # noqa: BLE001 - the attempt has ended
                failed(fault)

    def again(self, op: Op, error: BaseException) -> None:
        """Tell that an attempt has failed and another one begins now."""
        for retried in self._retried:
            retried(op, error)


def _told(observed: Callable[..., Any] | None, name: str) -> Callable[..., None] | None:
    return None if observed is None else shielded(observed, name, "observed")
