"""The layers around each verb that tell plugins of it: the hooks of `dynamorm.plugin.Plugin`, and `dynamorm.plugin.EndHook`.

Hooks may be plain functions or coroutines. A plain one runs where the flow runs; a coroutine on the loop of the asyncio
face, or, on the blocking face, on a loop of its own in the calling thread.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import force_setattr

from dynamorm.effects import Call, Flow
from dynamorm.errors import DynamORMError, InvalidUse, PluginError, PluginRefused
from dynamorm.errors.log import FailureLog, interrupts, is_cancellation
from dynamorm.io.own_loop import on_a_loop
from dynamorm.models.schema.overriding import own
from dynamorm.ops.calls.attempt_hooks import gave_answer
from dynamorm.ops.calls.in_time import in_time
from dynamorm.plugin import HOOKS, Plugin, PluginContext

if TYPE_CHECKING:
    from dynamorm.plugin import Operation, VerbFlow
    from dynamorm.wire.channel import Clock

Named: TypeAlias = "tuple[tuple[str, Callable[..., Any]], ...]"
"""The plugins' names and their members, in the order in which they are told."""


class Ends:
    """The outermost layer around the verbs: ``began`` and ``ended`` in the order in which they are told."""

    def __init__(self, began: Named, ended: Named, clock: Clock) -> None:
        self._began = tuple((hook, FailureLog(name, "began")) for name, hook in began)
        self._ended = tuple((hook, FailureLog(name, "ended")) for name, hook in ended)
        self._clock = clock

    def __call__(self, verb: VerbFlow) -> VerbFlow:
        """The verb, whose beginning and end are told."""
        beginnings, hooks, clock = self._began, self._ended, self._clock.monotonic

        def ending(operation: Operation) -> Flow[Any]:
            error: BaseException | None = None
            try:
                for began, failed in beginnings:
                    try:  # in this frame, and not `shielded`: it is done for each verb
                        began(operation)
                    except BaseException as fault:
                        if interrupts(fault):
                            raise
                        failed(fault)
                return (yield from verb(operation))
            except BaseException as failure:  # cancelled, interrupted and closed, too
                error = failure
                raise
            finally:
                force_setattr(operation, "took", clock() - operation.started)
                for ended, failed in hooks:
                    try:  # as above
                        ended(operation, error)
                    except BaseException as fault:  # the verb has ended
                        if interrupts(fault):
                            raise
                        failed(fault)
                error = None  # else it would hold this frame, which holds it

        return ending


class Hooks:
    """The layer of one plugin. ``raise_after``: a failure behind a verb is raised, as `PluginError` with its result."""

    def __init__(self, plugin: Any, name: str, *, raise_after: bool) -> None:
        self._name = name
        self._raise_after = raise_after
        self._before, self._after, self._failed = (
            None if (hook := own(plugin, member, Plugin)) is None else _flow_of(hook, f"{member} of the plugin {name}")
            for member in HOOKS
        )
        self._log = FailureLog(name, "a hook")

    def __call__(self, verb: VerbFlow) -> VerbFlow:
        """The verb with the hooks around it."""

        def hooked(operation: Operation) -> Flow[Any]:
            context = PluginContext(
                operation.verb, operation.model, operation.table, operation.scope, operation.started
            )
            yield from self._begin(context, operation)
            try:
                result = yield from verb(operation)
            except GeneratorExit as error:
                if self._failed is not None:  # nothing can be awaited any more
                    next(self._told(self._failed(context, operation, error), None, error), None)
                raise
            except BaseException as error:  # cancelled and interrupted, too
                if self._failed is not None:
                    yield from self._told(self._failed(context, operation, error), None, error)
                raise
            if self._after is not None:
                yield from self._told(self._after(context, operation, result), result, None)
            return result

        return hooked

    def _begin(self, context: PluginContext, operation: Operation) -> Flow[None]:
        if self._before is None:
            return
        try:
            answer = yield from in_time(self._before(context, operation), f"the plugin {self._name}")
        except DynamORMError:
            raise
        except BaseException as error:
            if _goes_on(error):
                raise
            raise PluginRefused(
                f"the plugin {self._name} refused {operation.verb} ({type(error).__name__}): nothing was sent"
            ) from error
        if answer.__class__ is bool:  # it means to say whether the verb may be done
            raise gave_answer("pre_query", self._name, answer)

    def _told(self, hook: Flow[Any], result: Any, first: BaseException | None) -> Flow[None]:
        """Run a hook behind a verb: its failure is not the verb's."""
        try:
            yield from hook
        except BaseException as error:
            if _goes_on(error):
                raise
            if self._raise_after and first is None:
                raise PluginError(
                    f"the verb ended well, and the plugin {self._name} failed behind it", result=result
                ) from error
            self._log(error)


def _goes_on(error: BaseException) -> bool:
    """Whether it is the verb's own end, and no failure of a hook: a hook may wait where its caller is cancelled."""
    return isinstance(error, GeneratorExit) or is_cancellation(error) or interrupts(error)


def _flow_of(hook: Callable[..., Any], what: str) -> Callable[..., Flow[Any]]:
    """A hook as a flow, whichever kind of function it is."""
    if iscoroutinefunction(hook):

        def awaited(*args: Any) -> Flow[Any]:
            return (yield Call(lambda: on_a_loop(hook, args), lambda: hook(*args)))

        return awaited

    def plain(*args: Any) -> Flow[Any]:
        result = hook(*args)
        if hasattr(result, "cr_code"):  # of a decorator that hides what it wraps
            result.close()
            raise InvalidUse(
                f"{what} gave a coroutine, and is no coroutine function, so that nobody awaits it: `async def` it"
            )
        return result
        yield

    return plain
