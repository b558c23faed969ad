"""A write while it is put together: by its verb, and by the rules of its model.

The verb says what is written and under which key, the rules add attributes, conditions and other writes, and the verb
makes a `Write` of it. It must not know which rules there are, nor how a write is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dynamorm.codec.keys import StoredKey
from dynamorm.codec.placing import place_values
from dynamorm.codec.strict import read_object
from dynamorm.errors import ConfigError, DynamORMError, ValidationError
from dynamorm.models.expressions.compile import Placeholders, check_paths, condition_text
from dynamorm.ops.calls.op import Safety
from dynamorm.ops.reads.items import key_from_parts
from dynamorm.ops.reads.last import last_key

from .handed import LateStamp, Prepared, built, check_pins, settable, stamped
from .rules import gave
from .version_check import OLD_ON_FAILURE, VersionCheck, how_to_send
from .write import NOT_READ, MustRead, Tell, Write, explain_refusal

if TYPE_CHECKING:
    from dynamorm.effects import Flow
    from dynamorm.models.expressions.tree import Condition
    from dynamorm.models.schema.schema import Field
    from dynamorm.ops.context import Context
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.plugin import WriteRule

Wires = dict[str, dict[str, Any] | None]
"""Wire values by stored name; None is an attribute that is not there."""


_NULL: Final = {"S": "NULL"}
M = TypeVar("M")


class WriteDraft:
    """One write of one item, before it is a `Write`.

    What the verb says: ``verb`` is its name, ``kind`` the kind of the `Write`, ``obj`` the object (None: by key), ``loaded``
    its state as it was loaded (None: it was not), ``key`` the JSON of its key, ``key_parts`` what the caller gave of it by
    name, ``condition`` the caller's, ``stored`` the JSON of what is there now (None: nothing; `NOT_READ`: nobody has
    looked), ``returning`` what the caller wants back, ``gives_result``: the verb gives what its write does.
    What is written is one of: ``item`` (create, put), ``changes`` beside ``before``, what the changed attributes were (save),
    ``updates`` and ``upsert`` (update), or nothing, with ``must_exist`` (delete). Wire values are by stored name; in ``changes`` None removes.

    What rules add: `require` conditions; ``more`` updates that go along with the caller's; ``together_with``, other writes
    that are applied with this one or not at all; ``explain``, functions that let the error of the refused write say why.
    ``if_unchanged``: the write relies on what is stored, is refused when that has changed, and may be built again.
    ``proof`` is the token of a put that stores one only where it has got a condition.
    ``values`` are those that `set` was given. ``repeatable``: sent twice, it has the effect of once. ``checked``: there is a condition beside the version's.
    """

    key: bytes = b""
    key_parts: Mapping[str, Any] = {}
    condition: Condition | None = None
    stored: bytes | None = NOT_READ
    returning: str | None = None
    gives_result: bool = True
    item: dict[str, Any] | None = None
    before: Mapping[str, Any] = {}
    upsert: bool = False
    must_exist: bool = False
    values: Mapping[str, Any] = {}
    together_with: tuple[Write, ...] = ()
    if_unchanged: bool = False
    repeatable: bool = True
    version_check: VersionCheck | None = None
    proof: bytes = b""
    late: tuple[LateStamp, ...] = ()
    known: Mapping[str, Any] | None = None
    rule: WriteRule | None = None
    """The rule that the draft passes by now."""
    _replaced: bool = False
    _demanded: tuple[str, ...] = ()
    _unprotected: tuple[Any, ...] = ()

    def __init__(
        self, context: Context, plan: ModelRequests, verb: str, kind: str, obj: Any, loaded: bytes | None
    ) -> None:
        self.context: Context = context
        self.plan: ModelRequests = plan
        self.verb: str = verb
        self.kind: str = kind
        self.obj: Any = obj
        self.loaded: bytes | None = loaded
        self.places: Placeholders = Placeholders()
        self.terms: list[str] = []
        self.explain: list[Callable[[Write], None]] = []

    def passed(self, rules: Iterable[WriteRule] | None = None) -> Write | None:
        """Let each rule transform the draft. What one of them puts in its place, with the result that the verb gives; or None.

        ``rules`` are those of the verb, unless they are given. Raises: ConfigError for a rule that gives what is no write.
        """
        for rule in self.plan.transforms[self.verb] if rules is None else rules:
            self.rule = rule
            if (instead := rule.transform(self)) is not None:
                if not isinstance(instead, Write):
                    raise gave(rule, "transform", instead)
                return self._replaced_by(instead)
        return None

    def _replaced_by(self, write: Write) -> Write:
        """The write that a rule has put in the place of this one. Raises: ValidationError, ConfigError."""
        if write.late is not None:  # it is this very write, later
            return write
        name = self.plan.codec.schema.name
        if self.kind == "ConditionCheck":
            raise ConfigError(
                f"{type(self.rule).__name__} puts a write in the place of a check of {name}, which writes nothing"
            )
        if self.returning is not None:
            raise ValidationError(
                f"returning= is not to be had of a {self.verb} of {name}: a rule puts another write in its place; read the"
                " item first",
                field="returning",
            )
        return write if self.gives_result else write.without_result()

    def contributed(self, rules: Iterable[WriteRule] | None = None) -> None:
        """Let each rule add to the draft, and then the caller's condition. ``rules`` and Raises: as in `passed`."""
        for rule in self.plan.contributes[self.verb] if rules is None else rules:
            self.rule = rule
            if (unasked := rule.contribute(self)) is not None:
                raise gave(rule, "contribute", unasked)
        if self.condition is not None:
            check_paths(self.plan.codec.schema, self.condition)
            self.require(self.condition)

    def said(self) -> dict[str, Any]:
        """What the request says of its conditions, and of the names and values that it uses."""
        said: dict[str, Any] = {}
        if self.terms:
            said = {"ConditionExpression": " AND ".join(self.terms), **OLD_ON_FAILURE}
        if self.places.names:
            said["ExpressionAttributeNames"] = self.places.names
        if self.places.values:
            if self.plan.codec.placed:
                place_values(self.plan.codec, self.places.values, self.key, self.context.scope, self.known)
            said["ExpressionAttributeValues"] = self.places.values
        return said

    def require(self, condition: Condition | Prepared, *, lasting: bool = False) -> None:
        """Let the write happen only where the condition holds. ``lasting``: it still holds when this write was applied."""
        if isinstance(condition, Prepared):
            self.terms.append(condition.text(self.places))
        else:
            self.terms.append(f"({condition_text(condition, self.places, self.plan.operand)})")
        if not lasting:
            self.repeatable = False
        if condition is not self.condition:
            rule = type(self.rule)
            ours = self.rule is None or rule.__module__.partition(".")[0] == "dynamorm"
            self._demanded = (*self._demanded, "" if ours else rule.__name__)

    def refused_by(self, tell: Callable[[dict[str, Any], dict[str, Any]], DynamORMError | None]) -> None:
        """Let a rule make the error of the write where it is refused by what is stored.

        ``tell(stored, info)`` is given the wire values of the item, and the keyword arguments that an error takes; None leaves
        the error to who else knows one.

        Example: ``draft.refused_by(lambda stored, info: Closed("it is closed", **info) if "closed_at" in stored else None)``
        """

        def told(raw: bytes | None, info: dict[str, Any], before: Callable[[], DynamORMError]) -> DynamORMError:
            old = {} if raw is None else {"old": lambda: self.plan.codec.decode_shown(raw)}
            found = None if raw is None else tell(read_object(raw), {**info, **old})
            return before() if found is None else found

        self.say_why(told)

    def say_why(self, tell: Tell) -> None:
        """Let ``tell(raw, info, earlier)`` make the error of the write where its conditions are refused.

        ``raw`` is the JSON of what is stored, or None; ``info`` are arguments of the error, and ``earlier()`` makes the one that it
        would be otherwise.

        Example: ``draft.say_why(lambda raw, info, earlier: ConditionFailed("the month is closed", **info))``
        """
        self.explain.append(partial(explain_refusal, tell=tell))

    def prepared(self, condition: Condition) -> Prepared:
        """A condition whose text is made once, for a rule that requires the same one of every write of the model.

        Example: ``self.open = self.open or draft.prepared(Payment.closed == False)``
        """
        places = Placeholders()
        return Prepared(condition_text(condition, places, self.plan.operand), places)

    def set(self, name: str, value: Any) -> None:
        """Store this value of a field (by its name in the class), and give it to the object once it is stored.

        Raises: ValidationError for a value that cannot be stored, in a delete or a check, which store nothing, and for
        what is more than a value: a part of a key, the version, a time of the library's, a unique attribute.
        """
        field = settable(self.plan, name)
        wire = self.plan.codec.encode_field(name, value)
        self._store(field, wire)
        self.values = {**self.values, name: value}

    def _store(self, field: Field, wire: dict[str, Any] | None) -> None:
        if self.item is None:
            when = ": set it in contribute" if self.kind == "Put" else ", which stores nothing"
            raise ValidationError(
                f"{field.owner}.{field.name} cannot be set here in a {self.verb}{when}", field=field.name
            )
        if wire is None:
            self.item.pop(field.stored, None)
        else:
            self.item[field.stored] = wire

    def stamp(self, name: str, value: bytes | int | str | None) -> None:
        """Store an attribute that is no field of the model, in `contribute`; None removes it. Its name begins with ``_``.

        It is the plugin's own: no object has it, and every write keeps it that does not say otherwise, but for a put of an
        object that was not loaded. A delete has none.

        Raises: InvalidUse for another name, a name of the library's or of a field, and another value; ValidationError in a
        delete or a check.

        Example: ``draft.stamp("_seal", seal_of(draft.item))``
        """
        wire = stamped(self.plan, name, value)
        if self.kind in {"Delete", "ConditionCheck"}:
            raise ValidationError(f"{name} cannot be stored in a {self.verb}, which stores nothing", field=name)
        self._stamp(name, wire)

    def stamp_placed(
        self, name: str, fields: Iterable[str], make: Callable[[Mapping[str, dict[str, Any] | None]], bytes]
    ) -> None:
        """As `stamp`, of bytes that are made of the stored form of fields, where that depends on the place of the item.

        ``make`` is given the attributes of these fields (by their names in the class), by stored name, as they will be stored.

        Raises: as `stamp`.

        Example: ``draft.stamp_placed("_digest", ["number"], lambda stored: digest_of(stored))``
        """
        stamped(self.plan, name, b"")
        if self.kind in {"Delete", "ConditionCheck"}:
            raise ValidationError(f"{name} cannot be stored in a {self.verb}, which stores nothing", field=name)
        self.late = (*self.late, LateStamp(name, tuple(self._stored_names(fields)), make))

    def _stamp(self, name: str, wire: dict[str, Any] | None) -> None:
        if self.item is None:
            raise ValidationError(f"{name} cannot be stored here in a {self.verb}: do it in contribute", field=name)
        if wire is None:
            self.item.pop(name, None)
        else:
            self.item[name] = wire

    def after(self, *names: str) -> dict[str, dict[str, Any] | None]:
        """The stored values that fields will have once the write is applied, by stored name: what rules before have set is in it.

        For `contribute`. Of an update it is computed from `stored_item`, and right while that is stored: see `pin`. After a
        delete there is nothing.

        Raises: as `stored_item`; ValidationError for an update whose result cannot be told.

        Example: ``draft.after("amount") == {"amount": {"N": "5"}}``
        """
        stored = self._stored_names(names)
        if self.kind == "ConditionCheck":
            return {name: (self.stored_item() or {}).get(name) for name in stored}
        item = self.item or {}
        return {name: item.get(name) for name in stored}

    def _stored_names(self, names: Iterable[str]) -> list[str]:
        return [self.plan.codec.field(name).stored for name in names]

    def pin(self, stored: Mapping[str, dict[str, Any] | None]) -> None:
        """Let the write happen only while these attributes are stored so (None: are not there); else it is built again.

        Names and values are those of `stored_item`. Raises: InvalidUse for a value that is no stored form, ValidationError for
        a name that is no attribute's.
        """
        check_pins(self, stored)
        places = self.places
        for name, wire in stored.items():
            place = places.name(name)
            if wire is None:
                self.terms.append(f"(attribute_not_exists({place}) OR attribute_type({place}, {places.value(_NULL)}))")
            else:
                self.terms.append(f"{place} = {places.value(wire)}")
        self.repeatable = False
        self.if_unchanged = True

    @property
    def target(self) -> tuple[Any, ...]:
        """What the write is about, as the first arguments of a verb: the object, or the model and the key."""
        if self.obj is not None:
            return (self.obj,)
        return self.plan.model, StoredKey(self.key, self.plan.codec.key_names)

    def stored_item(self) -> dict[str, Any] | None:
        """The wire values of what is stored now, or was when the object was loaded; None when there is nothing.

        For rules with ``needs_stored``, and drafts of loaded objects. What is relied on should be pinned: see `pin`.

        Raises: MustRead (a ValidationError) where that is not known, which reads it, and builds the write again.
        """
        raw = self.loaded if self.stored is NOT_READ else self.stored
        if raw is None and self.stored is NOT_READ and self.verb != "create":
            key = self.key or self.plan.codec.key_of(self.obj)
            if self.context.reads is None or not self.context.reads.late:
                raise MustRead(self.plan, key)
            raw = self.context.reads.of(self.plan, key)
        return None if raw is None else read_object(raw)

    def read(self, model: type[M], /, *key: Any, **parts: Any) -> M | None:
        """The object of another item, as it is stored now, or None. What the write relies on goes along with it.

        It is read once for each verb, and the write is built again; so a rule is asked more than once. When the write is refused
        for an item that was read and has changed since, it is built anew of what is there then. To be sure of that, write the
        object that was read (``draft.add("save", head)``), or check it (``draft.add("check", head)``).

        Raises: ValidationError for a key that is none, and in a batch, which reads nothing.

        Example: ``head = draft.read(Head, draft.plan.table)``
        """
        plan = self.context.plan(model)
        if parts:
            key = key_from_parts(plan, key, parts)
        key_json = plan.codec.key_json(key)
        if self.context.reads is None:
            raise ValidationError(
                f"a rule of {self.plan.codec.schema.name} reads other items, which nobody can do here"
            )
        raw = self.context.reads.of(plan, key_json)
        obj: M | None = None if raw is None else plan.codec.decode_shown(raw)
        if self.context.reads.pending is not None:
            obj = self.context.reads.pending.as_will_be(self.context, plan, key_json, obj)
        if obj is not None and plan.version is None:
            self._unprotected = (*self._unprotected, obj)
        return obj

    def last(self, model: type[M], partition: Any, /) -> M | None:
        """The last object of a partition, in the order of its sort key, as it is stored now; None where there is none.

        It is read consistently, once for each verb, and the write is built again. When that is refused, and another item has
        become the last one, it is built anew. The partition key is given as `DB.get` takes it.

        Raises: as `read`.

        Example: ``number = 1 + (last.number if (last := draft.last(Event, "payments")) else 0)``
        """
        plan = self.context.plan(model)
        if self.context.reads is None:
            raise ValidationError(
                f"a rule of {self.plan.codec.schema.name} reads other items, which nobody can do here"
            )
        raw = self.context.reads.of(plan, last_key(plan, partition))
        return None if raw is None else plan.codec.decode_shown(raw)

    def fetch(self, name: str, flow: Callable[[], Flow[Any]]) -> Any:
        """The result of a flow that a rule needs: it is run once for each verb, and the write is built again.

        ``name`` tells it from other flows, those of other rules too. Raises: ValidationError in a batch; and what the flow raises,
        which is the error of the verb: nothing was sent.

        Example: ``key = draft.fetch("data key", lambda: self.data_key())``
        """
        if self.context.reads is None:
            raise ValidationError(
                f"a rule of {self.plan.codec.schema.name} waits for {name}, which nobody fetches here"
            )
        return self.context.reads.result(name, flow)

    def instead(self, verb: str, *args: Any, **options: Any) -> Write:
        """The write of another verb (``"create"``, ``"put"``, ``"save"``, ``"update"``, ``"delete"``, ``"check"``), with its rules.

        The arguments are those of the method of that name of a transaction. The caller's condition goes with it, unless
        ``condition`` is given.

        Raises: ValidationError, also where the other verb takes no condition and the caller gave one.

        Example: ``return draft.instead("update", *draft.target, Payment.deleted.set(True))``
        """
        self._replaced = True
        if self.condition is not None and "condition" not in options:
            if verb in {"create", "save"}:
                raise ValidationError(
                    f"the {self.verb} has a condition, and a {verb} takes none, so that it would be lost: let the rule"
                    " refuse such a write, or put another verb in its place",
                    field="condition",
                )
            options["condition"] = self.condition
        if verb == "update" and self.stored is not NOT_READ and self._is_own(args):
            options["_stored"] = self.stored
        write = self._other(verb, args, options, f"the {verb} in the place of the {self.verb}, by {self._who}")
        if write.kind == "ConditionCheck":  # which no single verb sends
            write.as_transaction()
        return write.also(partial(_is_instead, self.verb))

    def _is_own(self, args: tuple[Any, ...]) -> bool:
        """Whether arguments of a write begin with the item of this one, as `target` gives it."""
        subject, key = (*args, None, None)[:2]
        if self.obj is not None:
            return subject is self.obj
        return subject is self.plan.model and isinstance(key, StoredKey) and key.raw == self.key

    @property
    def _who(self) -> str:
        """The rule that adds to the draft, as it is called in messages."""
        name = self.plan.codec.schema.name
        return f"a rule of {name}" if self.rule is None else f"the rule {type(self.rule).__name__} of {name}"

    def _other(self, verb: str, args: tuple[Any, ...], options: dict[str, Any], what: str) -> Write:
        try:
            return built(self.context, verb, args, options, what)
        except RecursionError:
            raise ValidationError(
                f"the rules of {self.plan.codec.schema.name} make other writes without end: a rule is asked about the writes"
                " that it makes, too, and must leave those alone"
            ) from None

    def add(self, verb: str, *args: Any, **options: Any) -> None:
        """Let another write be applied together with this one, or neither. The arguments are those of `instead`.

        Example: ``draft.add("create", Event(id=..., payment=...))``
        """
        if any(arg is obj for arg in args for obj in self._unprotected):
            raise ConfigError(
                f"a rule of {self.plan.codec.schema.name} writes a {type(args[0]).__name__} that it has read, and which has no"
                " version, so that it would undo what others write meanwhile: declare version: Attr[int] = version()"
            )
        write = self._other(verb, args, options, f"the {verb} added to the {self.verb} by {self._who}")
        if verb == "put" and write.plan.codec.loaded(args[0]) is not None:
            raise ConfigError(
                f"a rule of {self.plan.codec.schema.name} puts a {type(args[0]).__name__} that was loaded, whatever is stored by"
                ' then: say draft.add("save", ...), which checks its version'
            )
        write.without_result().also(partial(_is_added, self._who))
        pending = None if self.context.reads is None else self.context.reads.pending
        if pending is None or len(args) != 1 or options or pending.takes(self.context, verb, args[0], write):
            self.together_with += (write,)

    def check_version(self) -> None:
        """Let the write happen only to the item as it was loaded."""
        assert self.loaded is not None  # asked for loaded objects only
        self.version_check = check = VersionCheck(self.context, self.plan, self.loaded)
        self.terms += (check.condition(self.places),)

    def write(
        self,
        body: bytes,
        done: Callable[[bytes | None], Any],
        *,
        settled: bool,
        expects: str = "",
        returns: str = "",
    ) -> Write:
        """The finished write. ``settled``: what is stored tells what became of it, or it may be sent twice."""
        if self._replaced:
            raise self._not_returned()
        plan, check, transact, safety = self.plan, self.version_check, False, Safety.RESEND
        if settled and check is not None:
            token = check.token
        else:
            token = self.context.random_bytes(16)
            transact, safety = how_to_send(
                self.context, plan, conditional=not self.repeatable, returning=self.returning
            )
        write = Write(
            plan, self.kind, self.key, body, done,
            token=token,
            returns=self.returning or returns,
            safety=safety,
            transact=transact,
            expects=expects,
            checked=len(self.terms) > 1,
        )  # fmt: skip
        if plan.foresee is not None:
            write.seen = self.loaded if self.stored is NOT_READ else self.stored
        if expects == "version" and check is not None:
            write.known_version, write.known_ring = check.version, check.ring
        if self.explain or self.together_with or self.if_unchanged or self.values or self._demanded:
            self.completed(write)
        return write

    def _not_returned(self) -> ConfigError:
        """The error for a rule that has put another write in the place of this one, and kept it."""
        return ConfigError(
            f"a rule of {self.plan.codec.schema.name} made a write by draft.instead(...) and did not return it: write"
            " `return draft.instead(...)` in transform, or draft.add(...) for a write besides"
        )

    def completed(self, write: Write) -> Write:
        """The write with what the rules have added."""
        if self._replaced:
            raise self._not_returned()
        write.together_with, write.if_unchanged = self.together_with, self.if_unchanged
        write.ruled, write.demanded = self.values or None, self._demanded
        for explain in self.explain:
            explain(write)
        return write


def _is_instead(verb: str, write: Write) -> None:
    write.instead_of = verb


def _is_added(who: str, write: Write) -> None:
    write.added_by = who


Draft = TypeVar("Draft", bound=WriteDraft)


def addressed(
    draft_class: type[Draft],
    context: Context,
    verb: str,
    kind: str,
    subject: Any,
    key: tuple[Any, ...],
    parts: dict[str, Any],
    *,
    takes: str = "an object, or a model and a key, not both",
) -> Draft:
    """The draft of a write of an object, or of a model and a key. Raises: ValidationError for a key that does not fit.

    ``takes`` is what the verb takes, for who gave it something else.
    """
    if isinstance(subject, type):
        plan = context.plan(subject)
        draft = draft_class(context, plan, verb, kind, None, None)
        draft.key = plan.codec.key_json(key_from_parts(plan, key, parts) if parts else key)
        draft.key_parts = parts
        return draft
    plan = context.plan(type(subject))  # first, for it says of what is no model that it is none
    if key or parts:
        raise ValidationError(f"{verb} takes {takes}")
    draft = draft_class(context, plan, verb, kind, subject, plan.codec.loaded(subject))
    draft.key = plan.codec.key_of(subject)
    return draft
