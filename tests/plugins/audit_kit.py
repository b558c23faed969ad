"""What the tests of the audit trail share: a database with tracked models, and a look at what is stored."""

import secrets
from datetime import UTC, datetime

from dynamorm import DB, Presets, actor
from dynamorm.plugins.audit import ChangeTrackingConfig

KEY = b"k" * 32
EVERYBODY = actor("user:42", ip="203.0.113.7", user_agent="curl/8", request_id="r-1")


def tracking(fields=("amount", "status"), store="audit-log", **more):
    return ChangeTrackingConfig(fields=list(fields), store=store, **{"audit_key": KEY, **more})


def rows(face, model=None):
    """The records of a store, in their order, by a database of its own that keeps no rules."""
    (tracked,) = [one for one in _log(face).tracked if model is None or one.model is model]
    with DB(face.inner.config) as plain:
        return sorted(plain.model(tracked.row).allow_scan().all(), key=lambda row: (row.pk, row.sk))


def _log(face):
    return next(plugin for plugin in face.inner.plugins if plugin.name == "audit")


def stored(face, model, key):
    """An item as it is stored."""
    with DB(face.inner.config) as plain:
        (found,) = plain.partiql(f'SELECT * FROM "{plain.tables.name_of(model)}" WHERE "id" = ?', [key])
        return found


def now():
    return datetime.now(UTC)


def endless_key():
    return secrets.token_hex(8)


def config_of(endpoint, prefix, **settings):
    return Presets.local_development(endpoint=endpoint, table_prefix=prefix, **settings)


def acting(request, who):
    """Let a test run as somebody: entered by no generator, which could be left to go on later."""
    who.__enter__()
    request.addfinalizer(lambda: who.__exit__(None, None, None))
