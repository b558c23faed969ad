"""The rules for what is read of a model: conditions that each read of it gets, what is prepared, and what is left out.

It must not know which rules there are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from dynamorm.codec.composites import in_scope_of
from dynamorm.codec.replies.checked import Looks, StoredItem, with_rules
from dynamorm.codec.strict import dumps, read_object
from dynamorm.effects import Flow
from dynamorm.errors import (
    ConfigError,
    DynamORMError,
    MalformedResponse,
    Outcome,
    PluginError,
    TenantMismatch,
    ValidationError,
)
from dynamorm.models.expressions.tree import Comparison, Condition
from dynamorm.models.schema.overriding import override, own
from dynamorm.models.schema.schema import LIBRARY_NAMES
from dynamorm.ops.calls.in_time import in_time
from dynamorm.ops.moment_checks import check_moment, check_names, given
from dynamorm.plugin import KnownQuery, KnownText, ReadRule

from .expiry import Unexpired, field_of

if TYPE_CHECKING:
    from datetime import datetime

    from dynamorm.codec.codec import ModelCodec
    from dynamorm.models.schema.schema import Schema


class ReadDraft:
    """A query, scan or count before it is planned, for rules to add to. ``scope`` is that of the view.

    ``conditions`` are the caller's own.

    Example: ``draft.filter(Payment.deleted_at.not_exists())``
    """

    __slots__ = ("conditions", "filters", "model", "refusal", "scope", "terms", "within")

    def __init__(self, model: type[Any], scope: Mapping[str, str], conditions: tuple[Condition, ...] = ()) -> None:
        self.model: type[Any] = model
        self.scope: Mapping[str, str] = scope
        self.conditions: tuple[Condition, ...] = conditions
        self.terms: tuple[Condition, ...] = ()
        self.filters: tuple[Condition, ...] = ()
        self.within: tuple[Condition, ...] = ()
        self.refusal: Callable[[], DynamORMError] | None = None

    def where(self, condition: Condition) -> None:
        """Read only what this is true of; it may become a part of the key condition."""
        if not isinstance(condition, Condition):
            raise _no_condition(condition)
        self.terms += (condition,)

    def in_partition(self, condition: Condition, refusal: Callable[[], DynamORMError]) -> None:
        """Let one of the ``conditions``, or what `where` was given, be a part of the partition key of what is read.

        Or else the whole key of the table must be given. Otherwise what ``refusal()`` makes is raised; a scan always is refused.
        """
        if not isinstance(condition, Condition):
            raise _no_condition(condition)
        self.within += (condition,)
        self.refusal = refusal

    def filter(self, condition: Condition) -> None:
        """Leave out, in the service, what this is not true of."""
        if not isinstance(condition, Condition):
            raise _no_condition(condition)
        self.filters += (condition,)


def _no_condition(given: Any) -> ValidationError:
    return ValidationError(
        f"a rule adds a condition such as Payment.status == 'open', not {type(given).__name__}", field="condition"
    )


class ReadRules:
    """The rules of one model in one view. ``rules_of`` finds those of a class, for an item may be of a subclass.

    ``counts_by_reading``: the service cannot count what is kept. ``adds``: something may be added to a query; ``known_query``: the condition that all queries have in their
    partition key, where that is all that is added to them; None where the rules are asked of each.
    """

    def __init__(
        self, codec: ModelCodec, rules_of: Callable[[type[Any]], tuple[ReadRule, ...]], scope: Mapping[str, str]
    ) -> None:
        self._model: type[Any] = codec.model
        self._class_of = codec.class_of
        self._key_names = codec.key_names
        self._scope = scope
        self._rules_of = rules_of
        self._of_class: dict[type[Any], tuple[tuple[ReadRule, Looks | None], ...]] = {}
        self._preparing: dict[type[Any], tuple[ReadRule, ...]] = {}  # those of them that prepare for an item
        self._at_once: dict[type[Any], tuple[tuple[ReadRule, Looks | None], ...]] = {}  # and all others
        family = codec.family
        below = [] if family is None else [codec.model for codec in family.below()]
        classes = [self._model, *below]
        rules = {rule: None for cls in classes for rule in rules_of(cls)}
        checking = self._checking = [rule for rule in rules if overrides(rule, "check")]
        self._contributing = tuple(rule for rule in rules_of(self._model) if overrides(rule, "contribute"))
        self._at_starts = tuple(rule for rule in rules_of(self._model) if overrides(rule, "check_start"))
        self.adds: bool = bool(self._contributing)
        # Of the known query the attribute, the text that it equals, and what else is looked at.
        self.known_name: str = ""
        self.known_text: str = ""
        self.known_others: tuple[str, ...] = ()
        self.known_query: Condition | None = self._only_query()
        # Of a class that is not known yet a rule may come.
        self._is_checking = bool(checking) or family is not None
        self._has_family = family is not None
        self.is_preparing: bool = any(overrides(rule, "prepare") for rule in rules) or family is not None
        self.is_foreseeing: bool = any(overrides(rule, "foresee") for rule in rules) or family is not None
        self.counts_by_reading: bool = any(not rule.filters_all for rule in checking) or (
            bool(checking) and any(rules_of(cls) != rules_of(self._model) for cls in classes)
        )
        even = not checking or all(rules_of(cls) == rules_of(self._model) for cls in classes)
        self._counting = tuple(rule for rule in checking if not rule.filters_all) if even else ()
        self._needs: tuple[str, ...] | None = tuple(
            dict.fromkeys(name for rule in checking for name in rule.attributes or ())
        )
        if any(rule.attributes is None for rule in checking):
            self._needs = None
        self._by_key = any(rule.attributes == () for rule in checking)
        # For what streams tell; None where it is as all reads. Set with the codec.
        self.history: ModelCodec | None = None
        self._hides = any(rule.hides for rule in checking) or family is not None

    def codec(self, codec: ModelCodec) -> ModelCodec:
        """The codec whose readers keep the rules."""
        if not self._is_checking:
            return codec
        if any(isinstance(rule, Unexpired) for rule in self._checking):
            self.history = with_rules(codec, self._lasts, self._needs, self._keeps_key if self._by_key else None)
            if self._hides:
                self.history.absent = self._is_absent
        ruled = with_rules(codec, self._keeps, self._needs, self._keeps_key if self._by_key else None, self._known())
        if self._hides:
            ruled.absent = self._is_absent
        return ruled

    def _only_query(self) -> Condition | None:
        if len(self._contributing) != 1:
            return None
        (rule,) = self._contributing
        known: Any = rule.known_query(self._scope)
        if known is None:
            return None
        condition: Any = known.condition if isinstance(known, KnownQuery) else None
        if (
            not isinstance(condition, Comparison)
            or condition.op != "="
            or len(condition.path.parts) > 1
            or condition.operands[0].__class__ is not str
        ):
            raise ConfigError(
                f"known_query of {type(rule).__name__} gives None, or a KnownQuery with a condition such as"
                " Order.owner == 'o1', on a text"
            )
        self.known_name, self.known_text = condition.path.field.name, condition.operands[0]
        self.known_others = tuple(known.others)
        return condition

    def lacking(self, conditions: tuple[Condition, ...]) -> Condition | None:
        """The condition that all queries have, where these say nothing of its attribute, nor of what a rule looks at beside it."""
        looked_at = (self.known_name, *self.known_others)
        for one in conditions:
            if one.op in {"AND", "IN"} or (one.op == "=" and one.path.field.name in looked_at):  # type: ignore[attr-defined] # of a comparison
                return None
        return self.known_query

    def contributed(self, conditions: tuple[Condition, ...]) -> ReadDraft:
        """What the rules add to a read with these conditions of the caller's."""
        draft = ReadDraft(self._model, self._scope, conditions)
        for rule in self._contributing:
            result = rule.contribute(draft)
            if result is not None:
                raise _nobody_takes(rule, result)
        return draft

    def contributed_by_each(self, conditions: tuple[Condition, ...]) -> Iterator[tuple[str, ReadDraft]]:
        """What each rule adds, with its name: to tell which one is to blame."""
        for rule in self._contributing:
            draft = ReadDraft(self._model, self._scope, conditions)
            result = rule.contribute(draft)
            if result is not None:
                raise _nobody_takes(rule, result)
            yield type(rule).__name__, draft

    def _rules(self, cls: type[Any]) -> tuple[tuple[ReadRule, Looks | None], ...]:
        """The rules of a class, each with what it looks at. Raises: ConfigError for a class that came too late."""
        named = self._of_class.get(cls)
        if named is None:
            rules = self._rules_of(cls)
            for rule in rules:
                lacks = overrides(rule, "check") and (
                    self._needs is not None
                    and (rule.attributes is None or not set(self._needs).issuperset(rule.attributes))
                )
                if lacks:
                    raise ConfigError(
                        f"{type(rule).__name__} is a rule of {cls.__name__}, which was defined after {self._model.__name__}"
                        " was read for the first time: import all classes of a table before"
                    )
            # Whose an item is comes first, and what needs something to be fetched last: of what is hidden or refused nobody opens anything.
            ordered = sorted(rules, key=lambda rule: (not rule.hides, overrides(rule, "prepare")))
            named = tuple((rule, self._looks_of(rule)) for rule in ordered)
            self._preparing[cls] = tuple(rule for rule in ordered if overrides(rule, "prepare"))
            self._at_once[cls] = tuple(pair for pair in named if not overrides(pair[0], "prepare"))
            self._of_class[cls] = named  # last: who finds it finds the others too
        return named

    def _looks_of(self, rule: ReadRule) -> Looks | None:
        """What a rule may look at; None: at everything."""
        return None if rule.attributes is None else Looks((*rule.attributes, *self._key_names))

    def _keeps(self, item: StoredItem) -> bool:
        scope = self._scope
        for rule, looks in self._of_class.get(item.model) or self._rules(item.model):
            verdict = rule.check(item.seen_by(looks), scope)
            if verdict is not True:
                return _left_out(rule, verdict)
        return True

    def _lasts(self, item: StoredItem) -> bool:
        """Whether all rules keep an item but the one that leaves it out for its time is over."""
        for rule, looks in self._of_class.get(item.model) or self._rules(item.model):
            if (
                not isinstance(rule, Unexpired)
                and (verdict := rule.check(item.seen_by(looks), self._scope)) is not True
            ):
                return _left_out(rule, verdict)
        return True

    def _known(self) -> list[KnownText] | None:
        """The texts by which it is known that the rules keep an item; None where they can only be asked."""
        found: list[KnownText] = []
        for rule in self._rules_of(self._model):
            if not overrides(rule, "check"):
                continue
            known = None if self._has_family else rule.known_by(self._scope)
            if known is None:
                return None
            found += known
        return found

    def _keeps_key(self, item: StoredItem) -> bool:
        for rule, looks in self._rules(item.model):
            if rule.attributes == () and (verdict := rule.check(item.seen_by(looks), self._scope)) is not True:
                return _left_out(rule, verdict)
        return True

    def keeps_all(self, names: tuple[str, ...], request: bytes) -> bool:
        """Whether it is known of a query that nothing is left out: see `dynamorm.plugin.ReadRule`."""
        rules = self._counting
        return bool(rules) and all(rule.keeps_all(names, request, self._scope) is True for rule in rules)

    def check_start(self, key: bytes) -> None:
        """Let the rules look at the JSON of a key behind which a page is asked for. Raises what refuses it."""
        for rule in self._at_starts:
            rule.check_start(key, self._scope)

    def check_record(self, cls: type[Any], raw: bytes) -> None:
        """Let the rules look at an image of a stream's record, which somebody has given. Raises what refuses it."""
        for rule, looks in self._rules(cls):
            rule.check_record(StoredItem(cls, raw).seen_by(looks), self._scope)

    def _is_absent(self, raw: bytes) -> bool:
        """Whether a rule that hides what it leaves out does so with a stored item."""
        return self._is_hidden(StoredItem(self._class_of(read_object(raw)), raw))

    def _is_hidden(self, item: StoredItem) -> bool:
        return any(
            rule.hides and overrides(rule, "check") and rule.check(item.seen_by(looks), self._scope) is False
            for rule, looks in self._rules(item.model)
        )

    def prepare(self, body: bytes) -> Flow[None]:
        """Let the rules prepare for the items of a reply, before any of them is decoded.

        Nothing is prepared for one that another rule will leave out, or refuse, where it is read.
        """
        by_class: dict[type[Any], list[StoredItem]] = {}
        given_back: list[StoredItem] = []
        for source, wire in items_in(read_object(body)):
            cls = self._class_of(wire)
            if cls not in self._of_class:
                self._rules(cls)
            if not self._preparing[cls]:
                continue
            item = StoredItem(cls, dumps(wire), whole=wire)
            if source == "Attributes" and not self._is_hidden(item):
                given_back.append(item)
            elif source == "Attributes" or not self._is_read(item, source):
                continue
            by_class.setdefault(cls, []).append(item.seen_by(None))
        try:
            for cls, items in by_class.items():
                for rule in self._preparing[cls]:
                    yield from _prepared(rule, items, self._scope)
        except DynamORMError:
            for item in given_back:
                self._check_given_back(item)
            raise

    def foresee(self, key: bytes, raw: bytes | None, changed: Collection[str]) -> Flow[bool]:
        """Let the rules prepare for the answer to a write of the item with this key, of which ``raw`` is known. Raises what refuses it.

        Whether the item has to be read before.
        """
        cls = self._model if raw is None else self._class_of(read_object(raw))
        item = StoredItem(cls, key if raw is None else raw, is_decoded=raw is not None)
        reads = False
        for rule, _ in self._rules(cls):
            if overrides(rule, "foresee"):
                flow = rule.foresee(item.seen_by(None), changed, self._scope)
                reads |= yield from in_time(flow, f"foresee of {type(rule).__name__}")
        return reads

    def _is_read(self, item: StoredItem, source: str) -> bool:
        """Whether the rules that prepare nothing let an item through: what they say of it is told where it is read."""
        with suppress(Exception):
            for rule, looks in self._at_once[item.model]:
                if source == "Records":
                    rule.check_record(item.seen_by(looks), self._scope)
                elif rule.check(item.seen_by(looks), self._scope) is False:
                    return False
            return True
        return False

    def _check_given_back(self, item: StoredItem) -> None:
        """Raise what the rules that prepare nothing refuse an item with that a write has given back: it may not be the one written."""
        for rule, looks in self._at_once[item.model]:
            try:
                rule.check(item.seen_by(looks), self._scope)
            except TenantMismatch as error:
                error.outcome = Outcome.UNKNOWN
                raise error from None


def _left_out(rule: ReadRule, verdict: Any) -> bool:
    """What a rule said that did not say True. Raises: ConfigError for what is no answer."""
    if verdict is not False:
        raise ConfigError(
            f"check() of {type(rule).__name__} says True to keep an item and False to leave it out, and raises to refuse it;"
            f" it gave {type(verdict).__name__}"
        )
    return False


def _nobody_takes(rule: ReadRule, result: Any) -> ConfigError:
    return ConfigError(
        f"contribute of {type(rule).__name__} gave {given(result)}, which nobody takes: it returns nothing, and adds by"
        " draft.filter(condition) or draft.where(condition)"
    )


def _prepared(rule: ReadRule, items: list[StoredItem], scope: Mapping[str, str]) -> Flow[None]:
    try:
        yield from in_time(rule.prepare(items, scope), f"prepare of {type(rule).__name__}")
    except MalformedResponse as error:  # of a request of its own: it says nothing of the answer that is waited for
        raise PluginError(f"{type(rule).__name__} could not prepare for the items of an answer", result=None) from error


def items_in(reply: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The items in the plain value of any reply, each with the name of what they stand in."""
    for name in ("Item", "Attributes"):
        if isinstance(reply.get(name), dict) and reply[name]:
            yield name, reply[name]
    yield from (("Items", item) for item in reply.get("Items") or () if isinstance(item, dict))
    for record in reply.get("Records") or ():
        change = record.get("dynamodb") if isinstance(record, dict) else None
        images = (change.get(name) for name in ("NewImage", "OldImage")) if isinstance(change, dict) else ()
        yield from (("Records", image) for image in images if isinstance(image, dict))
    responses = reply.get("Responses") or ()
    if isinstance(responses, dict):
        for items in responses.values():
            yield from (("Responses", item) for item in items if isinstance(item, dict))
    else:
        for response in responses:
            if isinstance(response, dict) and isinstance(response.get("Item"), dict):
                yield "Responses", response["Item"]


def overrides(rule: Any, moment: str) -> bool:
    """Whether a rule has a moment of its own: those of `dynamorm.plugin.ReadRule` do nothing."""
    return own(rule, moment, ReadRule) is not None


_MOMENTS: Final = {
    "contribute": ("draft",),
    "check": ("item", "scope"),
    "known_by": ("scope",),
    "known_query": ("scope",),
    "keeps_all": ("names", "request", "scope"),
    "prepare": ("items", "scope"),
    "foresee": ("item", "changed", "scope"),
    "check_start": ("key", "scope"),
    "check_record": ("item", "scope"),
}


def check_read_rules(rules: Iterable[Any], codec: ModelCodec) -> None:
    """Refuse what a plugin gave as a rule of a model and would never be asked. Raises: ConfigError."""
    from inspect import iscoroutinefunction, isgeneratorfunction  # only where plugins have rules

    for rule in rules:
        if not isinstance(rule, ReadRule):
            what = f"the class {rule.__name__}" if isinstance(rule, type) else type(rule).__name__
            raise ConfigError(f"read_rule gave {what}: give an object of a subclass of dynamorm.plugin.ReadRule")
        name = type(rule).__name__
        check_names(rule, _MOMENTS, f"the rule {name}")
        names: Any = rule.attributes
        if names is not None and (
            not isinstance(names, (tuple, list, set, frozenset)) or not all(isinstance(text, str) for text in names)
        ):
            raise ConfigError(f"attributes of {name} are the stored names that check() looks at: a tuple of texts")
        _check_stored_names(names or (), codec, name)
        for flag in ("filters_all", "hides"):
            if getattr(rule, flag).__class__ is not bool:
                raise ConfigError(f"{flag} of {name} is True or False, not {given(getattr(rule, flag))}")
        for moment in (
            "contribute",
            "check",
            "known_by",
            "known_query",
            "keeps_all",
            "check_start",
            "prepare",
            "foresee",
        ):
            generator = moment in {"prepare", "foresee"}
            if not overrides(rule, moment):
                continue
            function = getattr(rule, moment)
            if isgeneratorfunction(function) is not generator or iscoroutinefunction(function):
                kind = "a flow, with yield" if generator else "a plain function"
                raise ConfigError(f"{moment} of {name} is {kind}: a rule waits for nothing but in prepare")
            check_moment(function, _MOMENTS[moment], f"{moment} of the rule {name}")


def _check_stored_names(names: Iterable[str], codec: ModelCodec, rule: str) -> None:
    """Refuse a slip for a stored name: the rule would keep, or leave out, all items. Raises: ConfigError.

    What is like none of the model's may be an attribute that another program stores.
    """
    from difflib import get_close_matches  # only where rules name what they look at

    family = [codec] if codec.family is None else [codec, *codec.family.below()]
    known = frozenset[str]().union(*(one.record.names() for one in family)) | LIBRARY_NAMES
    for strange in names:
        if strange in known:
            continue
        meant = dict(zip(known, known, strict=True)) | {
            name: one.field(name).stored for one in family for name in one.plans
        }
        near = get_close_matches(strange, meant, n=1)
        if near:
            raise ConfigError(
                f"attributes of {rule} names {strange!r}, which {codec.schema.name} does not store; did you mean"
                f" {meant[near[0]]!r}?"
                " They are stored names; with attributes = None it looks at whole items"
            )


def expiry_rule(schema: Schema, now: Callable[[], datetime]) -> ReadRule:
    """The rule of a model whose items are left out when their time to live is over."""
    return Unexpired(schema, field_of(schema), now)


class InScope(ReadRule):
    """The rule of the library's own for a model whose keys hold the scope of a view: it gives what is of that scope."""

    attributes: tuple[str, ...] | None = ()

    def __init__(self, codec: ModelCodec) -> None:
        self._keeps = in_scope_of(codec)

    @override
    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        return self._keeps(item)
