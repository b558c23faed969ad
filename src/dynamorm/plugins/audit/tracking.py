"""The rule of a tracked model: each write of it that touches a tracked field adds a record to the chain, in one transaction.

The item carries the number (``_an``) and the HMAC (``_ah``) of its last record, and ``_as``, which holds while its tracked fields
are as that record left them. So a write knows without another read what it follows, and whether somebody else has been there.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from contextvars import ContextVar
from hmac import compare_digest
from typing import TYPE_CHECKING, Any, Final

from msgspec.json import decode

from dynamorm.errors import AuditChainBroken
from dynamorm.plugin import Actor, WriteRule

from .acting import LOOKED, actor_of, explain_race, no_batch
from .chain import Tip, believed, known
from .protected.writing import Values
from .records import LATEST, Record, day_of, fingerprint, seal_of, sealed, state_mac
from .values import bytes_differ, state_bytes

if TYPE_CHECKING:
    from dynamorm.ops.writes.draft import WriteDraft

    from .config import Keys
    from .model import Place, Tracked

RESTORING: Final[ContextVar[int | None]] = ContextVar("dynamorm audit restoring", default=None)
"""The number of the record to which a write goes back."""


class Tracking(WriteRule):
    """Adds the record of each change. It comes last, so that it sees what other rules have set."""

    verbs: tuple[str, ...] = ("create", "put", "save", "update", "delete")
    needs_stored = True
    last = True
    stamps: tuple[str, ...] = ("_as",)

    def __init__(self, tracked: Tracked, *, require_actor: bool) -> None:
        self._tracked = tracked
        self._require_actor = require_actor

    def check_batch(self, plan: Any) -> None:
        """Refuse a batch. Raises: ValidationError."""
        raise no_batch(plan.codec.schema.name)

    def contribute(self, draft: WriteDraft) -> None:
        """Add to one write."""
        tracked = self._tracked
        who = actor_of(tracked.label, required=self._require_actor)
        if not self._touches(draft):
            return
        item = None if draft.verb == "create" else draft.stored_item()
        after = draft.after(*tracked.names)
        values = Values(tracked.by_stored, tracked.redacted, draft, item)
        if draft.verb != "create":
            draft.pin(_pins(draft, item, after, tracked, values))
            explain_race(draft, tracked.label)
        if draft.verb == "delete":
            if item is None:
                return
            after = {}
        elif item is None and draft.verb == "update" and not getattr(draft, "upsert", False):
            return  # there is nothing to change: DynamoDB refuses it
        self._record(draft, item, after, who, values)

    def rewritten(self, plan: Any, before: Mapping[str, Any], after: Mapping[str, Any]) -> Mapping[str, Any]:
        """What an item says of its tracked fields, where these are stored in another form and it held before."""
        said = known(dict(before))
        if said is None or said[3] != self._tracked.fingerprint:
            return {}
        n, h, at, _, state = said
        listed, owner = self._tracked.listed, self._tracked.owner
        tenant = (before.get(plan.codec.field(owner).stored) or {}).get("S") if owner else None
        key = _holder(self._tracked.keys(tenant), h, n, at, state_bytes(listed, before), state)
        return {} if key is None else {"_as": {"B": seal_of(key, h, n, at, listed, after)}}

    def _touches(self, draft: WriteDraft) -> bool:
        """Whether a write may change a tracked field."""
        tracked: Any = self._tracked.by_stored
        if draft.verb in {"create", "put", "delete"}:
            return True
        some: Any = draft
        if draft.verb == "save":
            return any(name in tracked for name in some.changes)
        return some.upsert or any(update.path.field.stored in tracked for update in (*some.updates, *some.more))

    def _record(
        self, draft: WriteDraft, item: dict[str, Any] | None, after: dict[str, Any], who: Actor, values: Values
    ) -> None:
        tracked = self._tracked
        codec = draft.plan.codec
        tenant = tracked.tenant(draft.context.scope, scoped=codec.is_scoped, named=lambda: self._named(draft, item))
        keys = tracked.keys(tenant)
        place = tracked.chain(tenant, decode(draft.key))
        before = {} if item is None else {name: item.get(name) for name in tracked.listed}
        tip = self._tip(draft, place, keys, item, before)
        now = int(draft.context.now().timestamp() * 1_000_000)
        writer = _Writer(tracked, place, keys, who, now, draft, values)
        if tip.first:
            if tip.first == "X" and tracked.config.on_external == "refuse":
                raise AuditChainBroken(
                    f"this {tracked.label} was changed by somebody who keeps no records:"
                    f" db.audit.verify({tracked.label}, ...) tells where, and on_external='record' records it",
                    reason="external",
                )
            tip = writer.add(tip, tip.first, {}, before, whole=True)
        op = "C" if item is None else "D" if draft.verb == "delete" else "U"
        if op == "U" and not tip.first and _is_left(tracked, values, before, after):
            if draft.verb == "put":  # it would store an item without them
                _keep(draft, item or {})
            if any(bytes_differ(before.get(name), after.get(name)) for name in values.names):
                _stamp(draft, tracked, values, tip, tip.key, after)
            return
        tip = writer.add(tip, op, before, after, whole=op == "C")
        if op != "D":
            draft.stamp("_an", tip.n)
            draft.stamp("_ah", tip.h)
            _stamp(draft, tracked, values, tip, keys.key, after)

    def _named(self, draft: WriteDraft, item: dict[str, Any] | None) -> str | None:
        """Whose an item is, where the view is of all tenants: by its object or key, else by what is, or will be, stored."""
        tracked = self._tracked
        codec, owner = draft.plan.codec, tracked.owner
        if not owner:
            return None
        named = tracked.named(codec, decode(draft.key), draft.obj, draft.key_parts)
        if named is None:
            stored = codec.field(owner).stored
            wires = ((item or {}).get(stored), draft.after(owner)[stored])
            named = next((wire["S"] for wire in wires if wire and "S" in wire), None)
        return named

    def _tip(
        self, draft: WriteDraft, place: Place, keys: Keys, item: dict[str, Any] | None, before: dict[str, Any]
    ) -> Tip:
        """What the write follows: what the item says of that, where it can be believed, else what the store says."""
        said = None if item is None or RESTORING.get() is not None else known(item)
        if said is not None:
            n, h, at, fingerprint, state = said
            found = state_bytes(self._tracked.listed, before)
            if fingerprint == self._tracked.fingerprint and (key := _holder(keys, h, n, at, found, state)):
                return Tip(n, h, at, key=key)
        row = draft.last(self._tracked.stored_row, place.pk)
        if row is None:
            return Tip(0, place.genesis, 0, "" if item is None else "X" if _is_stamped(item) else "B", looked=True)
        record = believed(draft.context.plan(self._tracked.stored_row).codec.loaded(row), keys, self._tracked.label)
        first, key = self._first(keys, record, item), keys.of(record.body.kid)
        return Tip(record.body.n, record.h, record.body.at, first, looked=True, key=key)

    def _first(self, keys: Keys, record: Record, item: dict[str, Any] | None) -> str:
        """What has to be recorded before a write behind this record, for what the item is now."""
        if item is None:
            return "" if record.body.op == "D" else "X"
        said, names = known(item), record.body.fs or record.body.tn
        if said is None or names is None or said[1] != record.h:
            return "X"
        state = state_bytes(names, {name: item.get(name) for name in names})
        if said[3] != fingerprint(names) or not _holder(keys, record.h, record.body.n, record.body.at, state, said[4]):
            return "X"
        return "" if names == self._tracked.listed else "B"  # others were tracked then, and they are as they were left


def _holder(keys: Keys, h: bytes, n: int, at: int, state: bytes, said: bytes) -> bytes | None:
    """The key with which was made what an item says of its tracked fields; None where nobody who has one has made it."""
    return next((key for key in keys.every if compare_digest(state_mac(key, h, n, at, state), said)), None)


def _is_left(tracked: Tracked, values: Values, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether a write leaves all tracked fields as they are."""
    return all(values.same(name, before.get(name), after.get(name)) for name in tracked.listed)


def _stamp(draft: WriteDraft, tracked: Tracked, values: Values, tip: Tip, key: bytes, after: Mapping[str, Any]) -> None:
    """Let the item say what its tracked fields are, those that wait for their place as they will be stored."""
    protected = values.fields()
    if not protected:
        draft.stamp("_as", seal_of(key, tip.h, tip.n, tip.at, tracked.listed, after))
        return
    left = {name: wire for name, wire in after.items() if name not in values.names}
    h, n, at, listed = tip.h, tip.n, tip.at, tracked.listed
    draft.stamp_placed("_as", protected, lambda stored: seal_of(key, h, n, at, listed, {**left, **stored}))


def _is_stamped(item: dict[str, Any]) -> bool:
    """Whether an item says of itself that there are records."""
    return any(name in item for name in ("_an", "_ah", "_as"))


def _keep(draft: WriteDraft, item: dict[str, Any]) -> None:
    """Let a put leave what the item says of its chain."""
    draft.stamp("_an", int(item["_an"]["N"]))
    for name in ("_ah", "_as"):
        draft.stamp(name, b64decode(item[name]["B"]))


class _Writer:
    """Makes the records of one write."""

    def __init__(
        self, tracked: Tracked, place: Place, keys: Keys, who: Actor, now: int, draft: WriteDraft, values: Values
    ) -> None:
        self._tracked, self._place, self._keys = tracked, place, keys
        self._who, self._now, self._draft, self._values = who, now, draft, values

    def add(self, tip: Tip, op: str, before: dict[str, Any], after: dict[str, Any], *, whole: bool) -> Tip:
        """Add one record behind the tip. Returns the new tip. ``whole``: it tells all tracked fields, and not their changes."""
        tracked, place, who = self._tracked, self._place, self._who
        n, at = tip.n + 1, min(max(self._now, tip.at + 1), LATEST)
        body: dict[str, Any] = {
            "v": 1, "t": place.tenant, "m": place.table, "k": place.entity, "n": n, "op": op, "at": at,
            "by": who.by, "ip": who.ip, "ua": who.user_agent, "rq": who.request_id, "ver": _version(self._draft, op),
            "ph": tip.h.hex(), "kid": self._keys.kid,
            "ch": tracked.changes(self._keys.key, place.pk, n, before, after, self._values),
        }  # fmt: skip
        if tracked.config.checkpoints is not None:
            body["dy"] = True
        if whole:
            body["fs"] = tracked.listed
        elif op == "U":
            body["tn"] = tracked.listed
        restored = RESTORING.get()
        if restored is not None and op in {"U", "C"}:
            body["rs"] = restored
        sk, raw, h = sealed(place.pk, body, self._keys.key)
        row = tracked.row(pk=place.pk, sk=sk, body=raw, mac=h)
        if tracked.config.checkpoints is not None:
            row.day = day_of(place.tenant, at, h)
        mark = LOOKED.set(tip.looked)
        try:
            self._draft.add("create", row)
        finally:
            LOOKED.reset(mark)
        return Tip(n, h, at, looked=tip.looked)


ROOM: Final = 2500
"""Characters that pins may take of the 4 KB of a condition, of which the version and the caller need some, too."""

SMALL: Final = 1024
"""Characters of a value that is pinned where the write leaves it alone."""


def _pins(
    draft: WriteDraft, item: dict[str, Any] | None, after: dict[str, Any], tracked: Tracked, values: Values
) -> dict[str, Any]:
    """What must still be stored for the record to be true: who keeps no records changes no version.

    First what the write would take away, of any size; of the rest, which verify and the next write look at, what is small.
    """
    if item is None:
        return {draft.plan.partition.stored: None}
    replaces = draft.verb in {"put", "delete"}
    first, rest = [], []
    for name in tracked.listed:
        if replaces or name in values.names or bytes_differ(item.get(name), after.get(name)):
            first.append(name)
        elif len(repr(item.get(name))) <= SMALL:
            rest.append(name)
    last = item.get("_ah")
    if last is not None and draft.verb == "save" and draft.plan.version is None:
        last = decode(draft.loaded or b"{}").get("_ah")  # what others record meanwhile is as with a version: load again
    pins, left = {"_ah": last}, ROOM
    for name in (*first, *rest):
        left -= 20 if name in item else 66  # of what is not there it takes two terms
        if left >= 0:
            pins[name] = item.get(name)
    return pins


def _version(draft: WriteDraft, op: str) -> int | None:
    """The version of the item that the write leaves, where it is known."""
    field, check = draft.plan.version, draft.version_check
    if field is None or op in {"D", "X", "B"}:
        return None
    if draft.item is not None:
        wire = draft.item.get(field.stored)
        return None if wire is None else int(wire["N"])
    return None if check is None else check.next_version
