"""The rules for what is read of a model: conditions that each read of it gets, what is prepared, and what is left out.

It must not know which rules there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from dynamorm.codec.composites import in_scope_of
from dynamorm.codec.replies.checked import StoredItem, with_rules
from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.expressions.tree import Condition
from dynamorm.overriding import override
from dynamorm.plugin import ReadRule

if TYPE_CHECKING:
    from dynamorm.codec.codec import ModelCodec


class ReadDraft:
    """A query, scan or count before it is planned, for rules to add to. ``scope`` is that of the view.

    Example: ``draft.filter(Payment.deleted_at.not_exists())``
    """

    __slots__ = ("filters", "model", "scope", "terms")

    def __init__(self, model: type[Any], scope: Mapping[str, str]) -> None:
        self.model: type[Any] = model
        self.scope: Mapping[str, str] = scope
        self.terms: tuple[Condition, ...] = ()
        self.filters: tuple[Condition, ...] = ()

    def where(self, condition: Condition) -> None:
        """Read only what this is true of; it may become a part of the key condition."""
        self.terms += (_condition(condition),)

    def filter(self, condition: Condition) -> None:
        """Leave out, in the service, what this is not true of."""
        self.filters += (_condition(condition),)


def _condition(condition: Any) -> Condition:
    if not isinstance(condition, Condition):
        raise ValidationError(
            f"a rule adds a condition such as Payment.status == 'open', not {type(condition).__name__}",
            field="condition",
        )
    return condition


class ReadRules:
    """The rules of one model in one view. ``rules_of`` finds those of a class, for an item may be of a subclass.

    ``counts_by_reading``: the service cannot count what is kept.
    """

    def __init__(
        self, model: type[Any], rules_of: Callable[[type[Any]], tuple[ReadRule, ...]], scope: Mapping[str, str]
    ) -> None:
        self._model = model
        self._scope = scope
        self._rules_of = rules_of
        self._checks: dict[type[Any], tuple[Callable[..., Any], ...]] = {}
        rules = rules_of(model)
        self._contributing = tuple(rule for rule in rules if overrides(rule, "contribute"))
        self._preparing = tuple(rule for rule in rules if overrides(rule, "prepare"))
        checking = [rule for rule in rules if overrides(rule, "check")]
        self.counts_by_reading: bool = any(not rule.filters_all for rule in checking)
        whole = any(rule.attributes is None for rule in checking)
        self._needs: tuple[str, ...] | None = (
            None if whole else tuple(dict.fromkeys(name for rule in checking for name in rule.attributes or ()))
        )
        self.is_checking: bool = bool(checking)
        self.is_preparing: bool = bool(self._preparing)

    def codec(self, codec: ModelCodec) -> ModelCodec:
        """The codec whose readers keep the rules."""
        return with_rules(codec, self._keeps, self._needs) if self.is_checking else codec

    def contributed(self) -> ReadDraft:
        """What the rules add to a read."""
        draft = ReadDraft(self._model, self._scope)
        for rule in self._contributing:
            rule.contribute(draft)
        return draft

    def _keeps(self, item: StoredItem) -> bool:
        checks = self._checks.get(item.model)
        if checks is None:
            checks = self._checks[item.model] = tuple(
                rule.check for rule in self._rules_of(item.model) if overrides(rule, "check")
            )
        for check in checks:
            verdict = check(item, self._scope)
            if verdict.__class__ is not bool:
                raise ConfigError(
                    f"check() says True to keep an item and False to leave it out, and raises to refuse it; it gave"
                    f" {type(verdict).__name__}"
                )
            if not verdict:
                return False
        return True

    def prepare(self, body: bytes) -> Flow[None]:
        """Let the rules prepare for the items of a reply, before any of them is decoded."""
        items = [StoredItem(self._model, dumps(wire)) for wire in items_in(read_object(body))]
        if items:
            for rule in self._preparing:
                yield from rule.prepare(items, self._scope)


def items_in(reply: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
    """The items in the plain value of any reply."""
    for name in ("Item", "Attributes"):
        if isinstance(reply.get(name), dict) and reply[name]:
            yield reply[name]
    yield from (item for item in reply.get("Items") or () if isinstance(item, dict))
    for record in reply.get("Records") or ():
        change = record.get("dynamodb") if isinstance(record, dict) else None
        images = (change.get(name) for name in ("NewImage", "OldImage")) if isinstance(change, dict) else ()
        yield from (image for image in images if isinstance(image, dict))
    responses = reply.get("Responses") or ()
    if isinstance(responses, dict):
        for items in responses.values():
            yield from (item for item in items if isinstance(item, dict))
    else:
        for response in responses:
            if isinstance(response, dict) and isinstance(response.get("Item"), dict):
                yield response["Item"]


def overrides(rule: Any, moment: str) -> bool:
    """Whether a rule has a moment of its own: those of `dynamorm.plugin.ReadRule` do nothing."""
    return getattr(type(rule), moment, None) is not getattr(ReadRule, moment)


def check_read_rules(rules: Iterable[Any]) -> None:
    """Refuse what a plugin gave as a rule and would never be asked. Raises: ConfigError."""
    from inspect import isgeneratorfunction  # only where plugins have rules

    for rule in rules:
        if not isinstance(rule, ReadRule):
            what = f"the class {rule.__name__}" if isinstance(rule, type) else type(rule).__name__
            raise ConfigError(f"read_rule gave {what}: give an object of a subclass of dynamorm.plugin.ReadRule")
        name = type(rule).__name__
        names: Any = rule.attributes
        if isinstance(names, str) or not all(isinstance(name, str) for name in names or ()):
            raise ConfigError(f"attributes of {name} are the stored names that check() looks at: a tuple of texts")
        for moment, generator in (("contribute", False), ("check", False), ("prepare", True)):
            if not overrides(rule, moment):
                continue
            function = getattr(rule, moment)
            if isgeneratorfunction(function) is not generator or _is_coroutine(function):
                kind = "a flow, with yield" if generator else "a plain function"
                raise ConfigError(f"{moment} of {name} is {kind}: a rule waits for nothing but in prepare")


def _is_coroutine(function: Any) -> bool:
    from inspect import iscoroutinefunction  # only where plugins have rules

    return iscoroutinefunction(function)


class InScope(ReadRule):
    """The rule of the library's own for a model whose keys hold the scope of a view: it gives what is of that scope."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, codec: ModelCodec) -> None:
        self._keeps = in_scope_of(codec)

    @override
    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        return self._keeps(item)
