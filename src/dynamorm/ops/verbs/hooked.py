"""Writes of objects whose model has hooks: what comes before is done once, then the verb is begun without them, then what comes after.

So a write that is sent again, built again, or settled later asks no hook twice. Loaded with the first such write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any

from dynamorm.effects import Call, Flow
from dynamorm.errors import InvalidUse
from dynamorm.errors.log import close_coroutine, interrupts, is_cancellation, logger
from dynamorm.ops.calls.in_time import in_time
from dynamorm.ops.writes.reading import reading
from dynamorm.ops.writes.transaction import commit as send
from dynamorm.ops.writes.write import MustRead, Write

from . import batch_write, delete, put, save
from .batch_send import Entry

if TYPE_CHECKING:
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft

    from .batch_result import BatchResult
    from .open_transaction import OpenTransaction


class _Bare(dict[Any, "ModelRequests"]):
    """The requests of models without their hooks, by model, as they are asked for."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context

    def __missing__(self, model: Any) -> ModelRequests:
        plan = self._context.plan(model)
        rule = rule_of(plan)
        found = self[model] = plan if rule is None else rule.without(plan)
        return found


def rule_of(plan: ModelRequests) -> Any:
    """The rule of a model's hooks (see `dynamorm.ops.rules.hooks`); None where it has none that are asked of writes."""
    first = (rules[0] for rules in plan.transforms.values() if rules)
    return next((rule for rule in first if hasattr(rule, "asks_hooks")), None)


def without_hooks(context: Context) -> Context:
    """The same context, in which no hooks are asked: they were, or are not to be."""
    bare = context.view(context.call)
    bare._plans = _Bare(context)  # noqa: SLF001 - another context
    return bare


def late(draft: WriteDraft, rule: Any) -> Write:
    """The write that stands for that of a draft: when it is sent, it asks the hooks and begins the verb again."""
    plan, verb = draft.plan, draft.verb
    shown = rule.late_plan(plan)
    write = Write(shown, draft.kind, b"", b"", _nothing, b"", returns="later", verb=verb)
    write.late = partial(_begun, write, draft, rule)
    write.hooked = rule
    return write


def _nothing(_: bytes | None) -> None:
    """What a write gives that is never sent itself."""


def _begun(write: Write, draft: WriteDraft, rule: Any, context: Context) -> Flow[Any]:
    obj, verb, codec = draft.obj, draft.verb, draft.plan.codec
    yield from asked(rule.of(verb, "before"), obj, verb)
    begin = getattr(context.random_bytes, "begin", None)  # of a write whose token was drawn before
    if begin is not None:
        begin()
    state = codec.loaded(obj)
    absent: list[None] = []  # grows where it becomes known that there was nothing to delete
    flow = partial(_verb, draft, strict=write.transact or None, when_absent=partial(absent.append, None))
    bare = without_hooks(context)
    result = yield from reading(bare, flow) if context.rules_may_read else flow(bare)
    if not absent and (verb != "save" or codec.loaded(obj) is not state):  # else the hooks left nothing to write
        yield from told(rule.of(verb, "after"), obj)
    return result


def _verb(draft: WriteDraft, context: Context, *, strict: bool | None, when_absent: Callable[[], None]) -> Flow[Any]:
    """The flow of the verb of a draft, from its beginning."""
    obj, verb = draft.obj, draft.verb
    if verb == "create":
        return put.create(context, obj, strict=strict)
    if verb == "put":
        return put.put(context, obj, condition=draft.condition, returning=draft.returning)
    if verb == "save":
        return save.save(context, obj)
    return delete.delete(
        context, obj, (), {}, condition=draft.condition, must_exist=draft.must_exist, returning=draft.returning,
        when_absent=when_absent,
    )  # fmt: skip


def asked(functions: Iterable[Callable[[Any], Any]], obj: Any, verb: str) -> Flow[None]:
    """Call the hooks before a verb. What they raise refuses it. Raises: InvalidUse for one that gives something back."""
    for function in functions:
        answer = yield from in_time(_called(function, obj), f"the hook {function.__name__}")
        if answer is not None:
            raise InvalidUse(
                f"the hook {function.__name__} of a {type(obj).__name__} gave a {type(answer).__name__} before the {verb}: it"
                " changes the object, or raises to refuse, and returns nothing"
            )


def told(functions: Iterable[Callable[[Any], Any]], obj: Any) -> Flow[None]:
    """Call the hooks after a write, which has happened: their failures are logged."""
    for function in functions:
        try:
            yield from _called(function, obj)
        except BaseException as error:
            if isinstance(error, GeneratorExit) or is_cancellation(error) or interrupts(error):
                raise
            logger.warning(
                "the hook %s of a %s failed behind its write", function.__name__, type(obj).__name__, exc_info=error
            )


def _called(function: Callable[[Any], Any], obj: Any) -> Flow[Any]:
    """One hook: a coroutine runs on the loop of the asyncio face, or on one of its own in the calling thread."""
    if iscoroutinefunction(function):
        # By name: loops are a part of the drivers, which stand below.
        own_loop = import_module("dynamorm.io.own_loop")
        return (yield Call(lambda: own_loop.on_a_loop(function, (obj,)), lambda: function(obj)))
    answer = function(obj)
    if close_coroutine(answer):
        raise InvalidUse(
            f"the hook {function.__name__} gave a coroutine, and is no coroutine function, so that nobody awaits it: `async def` it"
        )
    return answer


# --------------------------------------------------------------------------------------------------------- transactions


def commit(context: Context, transaction: OpenTransaction) -> Flow[Any]:
    """As `dynamorm.ops.verbs.open_transaction.commit`, of a transaction in which there are such writes."""
    for one in transaction.hooked:
        yield from one.begin(asked)
    bare = without_hooks(context)
    bare.reads = context.reads
    operations, token = transaction.end(bare)
    given: list[Any] = list(operations)  # some may still have to be built
    try:
        writes = [one if one is None or isinstance(one, Write) else one.build(bare) for one in given]
    except MustRead as unread:
        if context.reads is not None or unread.other:
            raise
        raise unread.told() from None
    result = yield from send(bare, writes, token=token)
    for one in transaction.hooked:
        yield from told(one.rule.of(one.verb, "after"), one.obj)
    return result


# -------------------------------------------------------------------------------------------------------------- batches


def _rule(context: Context, model: Any, verb: str) -> Any:
    if not isinstance(model, type):
        return None
    try:
        rule = rule_of(context.plan(model))
    except Exception:  # noqa: BLE001 - what is no model is told by the batch itself, with its place
        return None
    return rule if rule is not None and verb in rule.verbs else None


def _hooked(context: Context, verb: str, objects: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    for obj in objects:
        rule = _rule(context, type(obj), verb)
        if rule is not None:
            yield rule, obj


def batch(
    context: Context, puts: Any, deletes: Any, write: Callable[..., Flow[BatchResult]], *, keep: bool
) -> Flow[BatchResult]:
    """A batch in which there are such objects: hooks before all of it, and after it those of what was written.

    ``write(context, keep=True)`` is the flow of the batch without them.
    """
    several = (("put", list(puts)), ("delete", list(deletes)))
    for model in [given[0] for given in several[1][1] if isinstance(given, tuple) and given]:
        if (rule := _rule(context, model, "delete")) is not None:
            rule.refuse_key(model.__name__)
    bare = without_hooks(context)
    for place, obj in enumerate(several[1][1]):  # what is refused asks no hook
        if _rule(context, type(obj), "delete") is not None:
            batch_write.removal(bare, obj, f"deletes[{place}]", Entry)
    for verb, objects in several:
        for rule, obj in _hooked(context, verb, objects):
            yield from asked(rule.of(verb, "before"), obj, verb)
    result = yield from write(bare, keep=True)
    written = {id(obj) for obj in result.written}
    for verb, objects in several:
        for rule, obj in _hooked(context, verb, objects):
            if id(obj) in written:
                yield from told(rule.of(verb, "after"), obj)
    if not keep:
        result.written = []
    return result
