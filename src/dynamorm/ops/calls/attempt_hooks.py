"""Plugins that look at calls and their attempts: `dynamorm.plugin.AttemptHook`, `CallEndHook`. Used only where one does.

The call asks `Watch` before an attempt, tells it what the attempt came to, and that there will be another one; and that the
first attempt is sent, and that the call has ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from dynamorm.arguments import type_given
from dynamorm.errors import ConfigError, DynamORMError, PluginRefused
from dynamorm.errors.log import FailureLog, interrupts, shielded

if TYPE_CHECKING:
    from .attempts import Attempts
    from .op import Op


class Watch:
    """The hooks of all plugins, outermost first: of each plugin its name and, by their names, its hooks or None."""

    __slots__ = ("_admitting", "_asked", "_began", "_ended", "_observing", "_retried", "sees_calls")

    def __init__(self, inwards: Sequence[tuple[str, dict[str, Any]]]) -> None:
        outwards = inwards[::-1]
        self._asked = tuple((name, of["admit"], _told(of["observed"], name)) for name, of in inwards)
        self._admitting = any(of["admit"] is not None for _, of in inwards)
        self._observing = _hooks("observed", outwards)
        self._retried = _hooks("retried", inwards)
        self._began = _hooks("call_began", inwards)
        self._ended = _hooks("call_ended", outwards)
        self.sees_calls: bool = bool(self._began or self._ended)

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
        refusal: DynamORMError | None = None
        asked = 0
        try:
            for _, admit, _ in self._asked:
                if admit is not None and (answer := admit(op)) is not None:
                    refusal = gave_answer("admit", self._asked[asked][0], answer)
                    break
                asked += 1
        except DynamORMError as error:
            refusal = error
        except BaseException as error:  # whatever it is, nothing of this attempt is sent
            if interrupts(error):
                self._left(op, asked)
                raise
            refusal = PluginRefused(
                f"the plugin {self._asked[asked][0]} refused an attempt of {op.name} ({type(error).__name__}): it was not"
                " sent"
            )
            refusal.__cause__ = error
        if refusal is not None:
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
            except BaseException as fault:  # the attempt has ended
                if interrupts(fault):
                    raise
                failed(fault)

    def again(self, op: Op, error: BaseException) -> None:
        """Tell that an attempt has failed and another one begins now."""
        for retried, failed in self._retried:
            try:
                retried(op, error)
            except BaseException as fault:  # the attempt has ended
                if interrupts(fault):
                    raise
                failed(fault)

    def began(self, op: Op) -> bool:
        """Tell that the first attempt of a call is sent now. True: its end is to be told."""
        for began, failed in self._began:
            try:
                began(op)
            except BaseException as fault:  # it is sent all the same
                if interrupts(fault):
                    raise
                failed(fault)
        return True

    def ended(self, op: Op, error: BaseException | None) -> None:
        """Tell the end of a call."""
        for ended, failed in self._ended:
            try:
                ended(op, error)
            except BaseException as fault:  # the call has ended
                if interrupts(fault):
                    raise
                failed(fault)


def gave_answer(moment: str, name: str, answer: Any) -> ConfigError:
    """The error for a moment that may refuse, and gave an answer in the place of an error."""
    return ConfigError(
        f"{moment} of the plugin {name} gave {type_given(answer)}, which nobody takes: it returns nothing to let this pass,"
        " and raises an error to refuse it"
    )


def _hooks(
    moment: str, plugins: Sequence[tuple[str, dict[str, Any]]]
) -> tuple[tuple[Callable[..., Any], FailureLog], ...]:
    """The hooks of a moment, each with what logs its failures. They are shielded where they are called: it is done for each call."""
    return tuple((of[moment], FailureLog(name, moment)) for name, of in plugins if of[moment] is not None)


def _told(observed: Callable[..., Any] | None, name: str) -> Callable[..., None] | None:
    return None if observed is None else shielded(observed, name, "observed")
