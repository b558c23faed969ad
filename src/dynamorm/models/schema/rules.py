"""What a rule of a plugin is: for the writes of a model, for what is read of it, and for what the scope of a view is to it.

The classes do nothing by themselves; `dynamorm.plugin` hands them on. It must not know who asks a rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from dynamorm.errors import ValidationError

if TYPE_CHECKING:
    from dynamorm.codec.replies.checked import StoredItem
    from dynamorm.effects import Flow
    from dynamorm.models.expressions.tree import Condition
    from dynamorm.ops.reads.read_rules import ReadDraft
    from dynamorm.ops.requests import ModelRequests
    from dynamorm.ops.writes.draft import WriteDraft
    from dynamorm.ops.writes.write import Write


class WriteRule:
    """A rule for the writes of one model. Subclass it, and override the moments that matter.

    Each write passes by as a `dynamorm.ops.writes.draft.WriteDraft`, alone, in a transaction, and as a part of an increment:
    more than once where it is built anew, so a rule changes nothing but the draft.
    ``verbs`` are those in which the rule takes part; an upsert is an update, and so is an increment. ``needs_stored``: a write by key, and a put, must know what is stored
    (`WriteDraft.stored_item`): it is read before, and the write is built anew when it has changed meanwhile.
    ``looks_at``: names of fields; `contribute` need not be asked of an update that changes none of them. None: it is asked of all.
    ``last``: it comes behind the rules of all plugins, so that it sees what they have changed.
    ``in_batches``: a batch keeps the rule, which neither has conditions nor writes anything besides; else a batch of the
    model is refused. ``stamps``: attributes that hold only while others are stored as they are, which `rewritten` makes anew. ``passive``: it only looks on, so that deletes in a batch, those of a delete_all, and PartiQL need not
    pass by it. ``absent_is_deleted``: a delete counts as done where the write that the rule puts in its place finds no item.
    """

    stamps: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("create", "put", "save", "update", "delete", "check")
    needs_stored: bool = False
    looks_at: tuple[str, ...] | None = None
    last: bool = False
    in_batches: bool = False
    passive: bool = False
    absent_is_deleted: bool = False

    def transform(self, draft: WriteDraft) -> Write | None:
        """Change what is to be written, or refuse it, before the key and the version are settled.

        A `Write` that it returns is sent instead: see `WriteDraft.instead`.
        """

    def contribute(self, draft: WriteDraft) -> object:
        """Add attributes, conditions or other writes; the key and the version are settled. It returns nothing."""

    def check_batch(self, plan: ModelRequests) -> None:
        """Refuse a batch where it cannot keep the rule. Raises: ValidationError."""
        if not self.in_batches:
            raise ValidationError(
                f"{type(self).__name__} looks at each write of a {plan.codec.schema.name}, and a batch has no conditions and"
                " no other writes: use db.create, db.put and db.delete, or a transaction"
            )

    def rewritten(
        self, plan: ModelRequests, before: Mapping[str, Any], after: Mapping[str, Any]
    ) -> Mapping[str, dict[str, Any] | None]:
        """What is stored along where attributes of an item get another stored form, and nothing else of it changes.

        ``before`` and ``after`` are its wire values by stored name. Of what it gives, None is removed.
        """
        del plan, before, after
        return {}

    def allows_statement(self, text: str, values: Sequence[Mapping[str, Any]]) -> bool:
        """Whether a PartiQL statement may write items of the model, though it passes the rule by; ``values`` are its parameters as they are sent."""
        del text, values
        return self.passive

    def relies_on(self, plan: ModelRequests, raw: bytes | None) -> Any:
        """What the rule takes from a stored item (None: there is none): a write is built anew when that has changed."""
        del plan
        return raw


class KnownText(NamedTuple):
    """What a stored text must be for `ReadRule.known_by`: ``text``, or one that begins with ``start``; or any ``without`` this text in it.

    ``name`` is the stored name of the attribute. With ``may_be_missing`` an item without it will do, too.

    Example: ``KnownText("tenant_id", "t1")``
    """

    name: str
    text: str = ""
    start: str | None = None
    may_be_missing: bool = False
    without: str | None = None


class KnownQuery(NamedTuple):
    """What a query must say for `ReadRule.known_query`: ``condition``, an attribute ``==`` a text, and nothing of ``others`` by ``==``.

    ``others`` are names of fields. Where a query says nothing of the attribute, the condition is added.

    Example: ``KnownQuery(Order.tenant_id == "t1", ("pk",))``
    """

    condition: Condition
    others: tuple[str, ...] = ()


class ReadRule:
    """A rule for what is read of one model. Subclass it, and override the moments that matter.

    ``scope`` is that of the view, empty on a database itself. What a write gives back of its own item is the caller's,
    and passes by; the item in the error of a refused write does not.

    ``attributes`` are the stored names that `check` looks at besides the key: they are fetched with each read of a part
    of an item. None: it looks at whole items, and a read of parts is refused.
    ``filters_all``: what `contribute` adds keeps away, in the service, all that `check` leaves out; then the service may
    count. Else a count reads the items.
    ``hides``: what `check` leaves out counts as not there for writes, too. One that is refused for such an item is told as
    if there were none: `AlreadyExists` of a create or put, else `MissingItem`.

    Example::

        class NotDeleted(ReadRule):
            attributes = ("deleted_at",)
            filters_all = True

            def contribute(self, draft):
                draft.filter(draft.model.deleted_at.not_exists())

            def check(self, item, scope):
                return item.get("deleted_at") is None
    """

    attributes: tuple[str, ...] | None = None
    filters_all: bool = False
    hides: bool = False

    def contribute(self, draft: ReadDraft) -> object:
        """Add to a query, a scan or a count, before it is planned. What reads by key is not asked. It returns nothing."""

    def prepare(self, items: Sequence[StoredItem], scope: Mapping[str, str]) -> Flow[None]:
        """Fetch what decoding these items needs: a flow, run once for each reply that holds items, before they are decoded.

        What it raises is the verb's error. What it fetched must be kept as long as objects of these items are in use, for
        a save reads again what they were loaded from.
        """
        del items, scope
        yield from ()

    def foresee(self, item: StoredItem, changed: Collection[str], scope: Mapping[str, str]) -> Flow[bool]:
        """Fetch what decoding the answer to a write will need: a flow, run before a write is sent whose answer shows its item.

        ``item`` is what is known of that: as it was read or loaded before, or its key alone (then it is not ``is_decoded``). What the
        write stores anew are the attributes ``changed``. What it raises refuses the write: nothing was sent. It returns whether the
        item has to be read before that can be said; then it is asked once more.
        """
        del item, changed, scope
        yield from ()
        return False

    def check(self, item: StoredItem, scope: Mapping[str, str]) -> bool:
        """Whether the item is given to the caller; raise to refuse the whole read."""
        del item, scope
        return True

    def known_by(self, scope: Mapping[str, str]) -> tuple[KnownText, ...] | None:
        """The texts by which it is known, without a call for each item, that `check` keeps it; None where none tell that.

        An item with all of them is kept; of any other one `check` is asked. Without any, every item is kept. It is asked once for
        each model of a view.
        """
        del scope
        return None

    def keeps_all(self, names: Sequence[str], request: bytes, scope: Mapping[str, str]) -> bool:
        """Whether it is known that `check` keeps all items of a query, which the service may count then.

        ``names`` are the stored names of the partition key that it asks for, of the table or an index, and ``request`` is its JSON.
        """
        del names, request, scope
        return False

    def check_start(self, key: bytes, scope: Mapping[str, str]) -> object:
        """Look at the JSON of the key behind which the next page of a query or scan is asked for; raise to refuse the read.

        An answer has named it, or a cursor: of items that a filter leaves out nothing else is seen.
        """

    def known_query(self, scope: Mapping[str, str]) -> KnownQuery | None:
        """The condition by which it is known, without a call for each query, what `contribute` would add: that condition, in the partition key.

        It is as `ReadDraft.where` with `ReadDraft.in_partition`, where the query does not say the same. One that compares that attribute
        with another value, or one of the ``others``, by ``==``, joins conditions by ``&``, or says ``in_``, is for `contribute`. It is asked once for each
        model of a view.
        """
        del scope
        return None

    def check_record(self, item: StoredItem, scope: Mapping[str, str]) -> object:
        """Look at an image of a record that ``streams.decode`` is given; raise to refuse it."""


class ScopeRule:
    """What the scope of a view is to the keys and objects of one model. Subclass it, and override the moments that matter.

    ``values`` are those of fields, by name, that the view gives: a key that is given by its parts need not name them, nor the
    search for a unique value; and where such a field is the whole partition key, nor a key that is given in order.

    ``key_starts`` are beginnings of the JSON of keys that `check_key` lets pass, ``complete_by`` is a field and the text in it by which
    an object is known to be complete, and to be no other one's: the methods are not asked of these.
    """

    values: Mapping[str, Any] = {}
    key_starts: tuple[bytes, ...] = ()
    complete_by: tuple[str, str] | None = None

    def check_key(self, key: bytes) -> object:
        """Look at the JSON of each key that is given, or asked of an object, such as ``{"id":{"S":"p1"}}``; raise to refuse it.

        The key of an object that is created or put is made of what `complete` has seen.
        """

    def partition(self, text: str, obj: Any) -> str:
        """The text that is stored as partition key, for that of the model; ``obj`` is None for a key that is given.

        What is decoded must give the model's text back: see `FieldHook`.
        """
        del obj
        return text

    def complete(self, obj: Any) -> object:
        """Look at an object before it is encoded and before its key is made, give it what it lacks, or raise to refuse it."""

    def check_answer(self, obj: Any) -> object:
        """Look at an object that was made of the answer to a write; raise where it cannot be the one that was written."""
