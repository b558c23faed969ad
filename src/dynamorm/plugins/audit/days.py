"""The records of a day: their tree, its signed head, and whether a chain is under one. Flows for both faces."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from dynamorm.effects import Call, Flow
from dynamorm.errors import AuditChainBroken, ConfigError, ValidationError

from .chain import AuditVerdict
from .checkpoints import SignedHead, root_of
from .manifests import Key, Manifest, read_manifest, write_manifest
from .records import SHARDS, Unreadable, day_partition, read

if TYPE_CHECKING:
    from .model import Tracked
    from .trail import Chain, Trail

CLOSED: Final = timedelta(days=1, minutes=15)
"""From the beginning of a day until no record of it is written any more."""

AT_ONCE: Final = 100
"""Records that one transaction or batch reads."""

LOOKED_BACK: Final = 3
"""Days before one that is signed whose late records are looked for."""

_FIRST: Final = date(1970, 1, 1)


def checkpoint(
    trail: Trail, tenant: str | None, day: date, model: type[Any] | None, prev: SignedHead | None
) -> Flow[SignedHead]:
    """Sign the records of a day."""
    trail.refuse_view("a checkpoint")
    tracked = _signed(trail, model)
    whose: object = tenant
    if whose is not None and not isinstance(whose, str):
        raise ValidationError(f"a checkpoint is of a tenant, or of None, not a {type(tenant).__name__}", field="tenant")
    given: object = day
    if not isinstance(given, date) or isinstance(given, datetime):
        raise ValidationError(f"a checkpoint is of a date, not a {type(day).__name__}", field="day")
    now = datetime.now(UTC)
    if now - datetime(day.year, day.month, day.day, tzinfo=UTC) < CLOSED:
        raise ValidationError("this day is not closed yet: it is 15 minutes behind midnight, in UTC", field="day")
    number = (day - _FIRST).days
    manifest = yield from _manifest(trail, tracked, tenant, number)
    keys = yield from _keys(trail, tracked, tenant, number)
    leaves = yield from _leaves(trail, tracked, _named(keys, manifest))
    signer = tracked.config.checkpoints
    assert signer is not None  # as `_signed` says
    head = SignedHead(
        tenant=tenant, day=day, size=len(leaves), root=root_of(list(leaves.values())),
        prev=b"" if prev is None else prev.hash, at=now, kid=signer.kid, sig=b"",
    )  # fmt: skip
    signature = yield Call(lambda: signer.sign(head.signed()))
    return replace(head, sig=signature)


def verify_checkpoint(trail: Trail, head: SignedHead, since: SignedHead | None, model: type[Any] | None) -> Flow[bool]:
    """Whether a day is as it was signed."""
    trail.refuse_view("verify_checkpoint")
    _check_head(head, "head")
    if since is not None:
        _check_head(since, "since")
    tracked = _signed(trail, model)
    leaves = yield from _holding(trail, tracked, head)
    return leaves is not None and (since is None or head.prev == since.hash)


def anchored(trail: Trail, chain: Chain, verdict: AuditVerdict, head: SignedHead) -> Flow[AuditVerdict]:
    """The verdict on a chain, with how far it is under a signed head."""
    _check_head(head, "head")
    leaves = yield from _holding(trail, _signed(trail, chain.tracked.model), head)
    if leaves is None or head.tenant != chain.place.tenant:
        return replace(verdict, ok=False, reason=verdict.reason or "head of the day", anchored_to=None)
    last = 0
    for raw in chain.rows:
        try:
            record = read(raw)
        except Unreadable:
            continue
        if leaves.get((record.pk, record.sk)) == record.leaf:
            last = max(last, record.body.n)
    return replace(verdict, anchored_to=last or None)


def _check_head(head: object, name: str) -> None:
    """Refuse what is no head. Raises: ValidationError."""
    if not isinstance(head, SignedHead):
        raise ValidationError(
            f"{name} is a SignedHead, as checkpoint gives it and msgspec.json.decode(data, type=SignedHead) reads it, not a"
            f" {type(head).__name__}",
            field=name,
        )


def _signed(trail: Trail, model: type[Any] | None) -> Tracked:
    """What is signed. Raises: ConfigError."""
    several = trail.log.tracked if model is None else (trail.log.of(model),)
    several = tuple(tracked for tracked in several if tracked.config.checkpoints is not None)
    if not several:
        raise ConfigError("no records are signed here: ChangeTrackingConfig(checkpoints=Signer.ed25519(key))")
    if len({tracked.row for tracked in several}) > 1:
        raise ConfigError("there are several stores: name a model of the one that is meant, model=Payment")
    return several[0]


def _holding(trail: Trail, tracked: Tracked, head: SignedHead) -> Flow[dict[Key, bytes] | None]:
    """The leaves of the day of a head; None where they are not those that were signed, or the signature does not hold."""
    signer = tracked.config.checkpoints
    assert signer is not None  # as `_signed` says
    holds = yield Call(lambda: signer.verify(head.signed(), head.sig, head.kid))
    if not holds:
        return None
    number = (head.day - _FIRST).days
    try:
        manifest = yield from read_manifest(trail, tracked, head.tenant, number, believed=True)
        keys = yield from _keys(trail, tracked, head.tenant, number)
        leaves = yield from _leaves(trail, tracked, keys if manifest is None else _named(keys, manifest))
    except AuditChainBroken:
        return None
    if len(leaves) != head.size or root_of(list(leaves.values())) != head.root:
        return None
    return leaves


def _manifest(trail: Trail, tracked: Tracked, tenant: str | None, day: int) -> Flow[Manifest]:
    """Which records a day has: what was written down when it was signed first, else what is there now."""
    manifest = yield from read_manifest(trail, tracked, tenant, day)
    if manifest is not None:
        return manifest
    late: set[Key] = set()
    taken: set[Key] = set()
    for earlier in range(day - LOOKED_BACK, day):
        signed = yield from read_manifest(trail, tracked, tenant, earlier)
        if signed is None:  # its records are under no tree, and belong into its own
            continue
        taken.update(signed.late)
        late.update(key for key in (yield from _keys(trail, tracked, tenant, earlier)) if not signed.holds(key))
    keys = yield from _keys(trail, tracked, tenant, day)
    return (yield from write_manifest(trail, tracked, tenant, day, keys, sorted(late - taken)))


def _named(keys: list[Key], manifest: Manifest) -> list[Key]:
    """The keys of the records of a tree, in their order."""
    return sorted({*filter(manifest.holds, keys), *manifest.late})


def _keys(trail: Trail, tracked: Tracked, tenant: str | None, number: int) -> Flow[list[Key]]:
    """The keys of the records of a day, in their order."""
    row = tracked.row
    keys: list[Key] = []
    for shard in range(SHARDS):
        query = (
            trail.db.model(row)
            .index("by_day")
            .where(row.day == day_partition(tenant, number, shard))
            .select("pk", "sk")
        )
        found = yield Call(query.all, query.all)
        keys += [(one.pk, one.sk) for one in found]
    return sorted(keys)


def _leaves(trail: Trail, tracked: Tracked, keys: list[Key]) -> Flow[dict[Key, bytes]]:
    """The leaves of records by their keys, in the order of these. Raises: AuditChainBroken."""
    row = tracked.row
    leaves: dict[Key, bytes] = {}
    for at in range(0, len(keys), AT_ONCE):
        some = keys[at : at + AT_ONCE]
        get = _getting(trail.db, row, some)
        rows = yield Call(get, get)
        if any(one is None for one in rows):
            raise AuditChainBroken("a record that the index of the day names is not there", reason="gap")
        for key, raw in zip(some, trail.raw(rows), strict=True):
            try:
                leaves[key] = read(raw).leaf
            except Unreadable:
                raise AuditChainBroken("a record of the day cannot be read", reason="unreadable") from None
    return leaves


def _getting(db: Any, row: type[Any], keys: list[Key]) -> Any:
    return lambda: db.batch_get(row, keys, consistent=True)
