"""Destroying keys: what was encrypted with them opens nowhere any more, and the data itself may stay where it is.

A key that another process holds opened is used for its ttl and its grace. So the record says ``disabled`` first, and the key in
it is destroyed when nobody can have it any more; what stays is a tombstone, so that the ring is never made anew.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dynamorm.effects import Flow
from dynamorm.errors import ConfigError

from ..keyring import DISABLED, ENABLED, LATEST, SHREDDED, Keyring
from ..records import ACTIVE, Ring
from ..values import to_bytes

if TYPE_CHECKING:
    from ..fields import EncryptedField
    from ..plugin import EncryptionPlugin

BACKUPS: Final = timedelta(days=35)
"""For how long a table can be restored to a former moment.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Point-in-time-recovery.html
"""
PENDING: Final = timedelta(days=30)
"""The longest time for which the deletion of a key of KMS is pending.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/API_ScheduleKeyDeletion.html
"""


class ShredReport(NamedTuple):
    """What `KeyActions.shred` has done.

    ``done_at``: when the keys are destroyed, in the future after the first call. ``recoverable_until``: until when a restored
    table could bring them back; backups of your own last longer. ``left_over``: what is stored that was made of the values.
    """

    done_at: datetime
    recoverable_until: datetime
    left_over: tuple[str, ...]


def shredded(plugin: EncryptionPlugin, *, tenant: str | None, subject: Any, ring: str | None) -> Flow[ShredReport]:
    """Disable keys, or destroy those that were disabled long enough. Raises: ConfigError."""
    if tenant is None and subject is None:
        raise ConfigError("shred takes a tenant or a subject: db.keys.shred(subject=...)")
    if tenant == "":
        raise ConfigError("the tenant of shred is empty: what belongs to no tenant is shredded by its subject")
    fields = [
        field
        for model in tuple(plugin.fields)
        for field in plugin.fields_of(model)
        if (ring is None or field.option.ring == ring) and (subject is None or field.subject is not None)
    ]
    if not fields:
        raise ConfigError(
            "no model with such an encrypted field was used by this process so far, so nobody knows where its keys are: read one"
            " of its items first"
        )
    if tenant:
        tenant = yield from plugin.keys.keyring.spelled(
            tenant, dict.fromkeys((field.home(), field.option.ring) for field in fields)
        )
    if subject is None:
        ends = yield from _tenant(plugin, fields, tenant or "")
    else:
        ends = yield from _subject(plugin, fields, tenant or "", subject)
    if not ends:
        raise ConfigError(
            f"nothing was shredded: {_named(tenant, subject, ring)} has no key in the tables of the models that this process has"
            " used; is it written so, and of this tenant?"
        )
    done_at = max(ends)
    per_tenant = subject is None and bool(getattr(plugin.provider, "has_keys_of_tenants", False))
    return ShredReport(done_at, done_at + (PENDING if per_tenant else BACKUPS), _left_over(fields))


def _named(tenant: str | None, subject: Any, ring: str | None) -> str:
    """What was to be shredded, without a value."""
    where = "" if ring is None else f" in the ring {ring}"
    if subject is None:
        return f"this tenant{where}"
    return f"this subject of {'the tenant' if tenant else 'no tenant'}{where}"


def _left_over(fields: list[EncryptedField]) -> tuple[str, ...]:
    indexed = dict.fromkeys(field.where for field in fields if field.blind is not None)
    return tuple(
        f"{where}: its blind index, and its guards where it is unique; they go with the items" for where in indexed
    )


def _tenant(plugin: EncryptionPlugin, fields: list[EncryptedField], tenant: str) -> Flow[list[datetime]]:
    keyring, ends = plugin.keys.keyring, []
    rings = dict.fromkeys(Ring(field.home(), field.option.ring, tenant) for field in fields)
    for ring in rings:
        for one in (ring, ring.blind, ring.subjects):
            for pointer in (yield from keyring.each(one, ACTIVE)):
                over = yield from _disabled(keyring, pointer)
                if over is not None:
                    for record in (yield from _versions(keyring, one, pointer)):
                        yield from _destroyed(keyring, record)
                    yield from _destroyed(keyring, pointer)
                ends.append(_end(keyring, pointer))
            plugin.keys.forget(one)
    return ends


def _versions(keyring: Keyring, ring: Ring, pointer: Any) -> Flow[list[Any]]:
    """The records of all versions of a ring's key: where they have a partition of their own, also those that nothing names."""
    found: dict[str, Any] = {}
    if ring.home.sort is not None and ring.home.sort[1] != "N":
        for record in (yield from keyring.records(ring)):
            found[record.sk if isinstance(record.sk, str) else record.sk.decode()] = record
    for version in pointer.versions:
        if f"V#{version}" not in found:
            found[f"V#{version}"] = yield from keyring.get(ring, f"V#{version}")
    return [record for name, record in found.items() if name.startswith("V#")]


def _subject(plugin: EncryptionPlugin, fields: list[EncryptedField], tenant: str, subject: Any) -> Flow[list[datetime]]:
    keyring, keys, ends = plugin.keys.keyring, plugin.keys, []
    rings = dict.fromkeys(Ring(field.home(), field.option.ring, tenant) for field in fields)
    for ring in rings:
        if (yield from keyring.get(ring.subjects, ACTIVE)) is None:
            continue  # asked for a key, it would be made
        yield from keys.fetch_active(ring.subjects)
        name = keys.name_of_subject(ring, _bytes_of(subject))
        record = yield from keyring.get(ring, f"S#{name}")
        if record is None:
            continue
        over = yield from _disabled(keyring, record)
        if over is not None:
            yield from _destroyed(keyring, record)
        ends.append(_end(keyring, record))
        keys.forget(ring)
    return ends


def _bytes_of(subject: Any) -> bytes:
    """A subject as it is stored. Raises: ConfigError for what is no text, number or bytes."""
    if isinstance(subject, str):
        return to_bytes({"S": subject})
    if isinstance(subject, int) and not isinstance(subject, bool):
        return to_bytes({"N": str(subject)})
    if isinstance(subject, bytes):
        return to_bytes({"B": subject})
    raise ConfigError(
        f"a subject is a text, a whole number or bytes, as its field stores it, not {type(subject).__name__}"
    )


def _disabled(keyring: Keyring, record: Any) -> Flow[bool | None]:
    """Disable a record; True where it was, long enough for nobody to have the key any more, else None."""
    if record.state == ENABLED:
        record.state, record.since = DISABLED, keyring.seconds()
        yield from keyring.save(record)
    if record.state == DISABLED and keyring.seconds() >= (record.since or 0) + LATEST:
        return True
    return None


def _destroyed(keyring: Keyring, record: Any) -> Flow[None]:
    """Destroy the key in a record, and leave a tombstone."""
    if record is not None and record.state != SHREDDED:
        record.state, record.wrapped, record.since = SHREDDED, None, keyring.seconds()
        yield from keyring.save(record)


def _end(keyring: Keyring, record: Any) -> datetime:
    """When the key of a record is destroyed, or was."""
    left = (record.since or 0) - keyring.seconds() + (0 if record.state == SHREDDED else LATEST)
    return keyring.now() + timedelta(seconds=left)
