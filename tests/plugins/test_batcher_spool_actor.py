"""A spool keeps who added an item: whoever opens it after a crash, the item is written by that one."""

from base64 import b64decode

import msgspec
import pytest

from dynamorm import Attr, BatchConfig, Model, actor, attr, partition_key, version
from dynamorm.errors import ActorRequired
from dynamorm.faces.batch_items import BatchItems
from dynamorm.plugin import current_actor
from dynamorm.plugins.batcher.spool import Spool
from tests.behaviour.kit import store, stored

from .audit_kit import tracking

pytestmark = pytest.mark.engine


class Spooled(Model, table="spooled-payments"):
    id: Attr[str] = partition_key()
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


MODELS = (Spooled,)


def made_with(db):
    db.enable_change_tracking(Spooled, tracking(["amount"]))
    db.tables.create(
        next(plugin for plugin in db.plugins if plugin.name == "audit").of(Spooled).row, skip_unavailable=True
    )


@pytest.fixture
def db(plugged):
    face = plugged()
    face.enable_audit_log(audit_key=b"k" * 32)
    face.enable_change_tracking(Spooled, tracking(["amount"]))
    return face


def crashed(db, directory, added, *, older=False):
    """A spool as a process leaves it that was killed. ``older``: its items were written down without who added them."""
    items = BatchItems(db.inner._session)
    items.spooled(())
    spool = Spool(directory, None)
    items.proven, items.secret = True, spool.secret
    for who, obj in added:
        with who:
            data = items.record(items.put(obj))
        seq = spool.add(msgspec.msgpack.encode(msgspec.msgpack.decode(data)[:-1]) if older else data)
    spool.sync(seq)
    spool.abandon()


def replayed(db, directory):
    return db.new_batcher(BatchConfig(spool_dir=directory)).close()


def by(db, key):
    return [(one.by, one.ip, one.user_agent, one.request_id) for one in db.audit.history(Spooled, key)]


@pytest.mark.parametrize("restarts", [True, False])
def test_an_item_is_written_by_who_added_it(db, key, tmp_path, restarts):
    one, two = actor("user:1", ip="203.0.113.7", user_agent="curl/8", request_id="r-1"), actor("user:2")
    crashed(db, tmp_path, [(one, Spooled(id=key + "1")), (two, Spooled(id=key + "2"))])
    if restarts:
        with actor("system:restart", ip="203.0.113.9"):
            result = replayed(db, tmp_path)
            assert current_actor().by == "system:restart"
    else:
        result = replayed(db, tmp_path)
        assert current_actor() is None
    assert result.count == 2
    assert by(db, key + "1") == [("user:1", "203.0.113.7", "curl/8", "r-1")]
    assert by(db, key + "2") == [("user:2", None, None, None)]
    assert replayed(db, tmp_path).count == 0


def test_an_item_of_an_earlier_version_is_written_by_who_opens_the_spool(db, key, tmp_path):
    crashed(db, tmp_path, [(actor("user:1"), Spooled(id=key))], older=True)
    result = replayed(db, tmp_path)  # by nobody
    assert (result.count, len(result.kept)) == (0, 1)
    assert isinstance(result.kept[0].error.__cause__, ActorRequired)
    with actor("system:restart"):
        assert replayed(db, tmp_path).count == 1
    assert by(db, key) == [("system:restart", None, None, None)]


@pytest.mark.parametrize("verb", ["create", "save", "save over a change by others"])
def test_what_is_written_carries_the_token_that_the_spool_knows(db, key, verb):
    """Rules read other items, so that a write is built more than once; after a crash it is known by this token alone."""
    items = BatchItems(db.inner._session)
    items.spooled(())
    items.secret = bytes(32)
    with actor("user:1"):
        obj = Spooled(id=key) if verb == "create" else db.create(Spooled(id=key, amount=1))
        if "others" in verb:
            store(db, Spooled, {**stored(db, Spooled, key), "amount": {"N": "9"}})
        obj.amount = 2
        item = items.put(obj)
    item.variables.run(db.run, items.send([item]))
    assert item.error is None
    assert b64decode(stored(db, Spooled, key)["_wt"]["B"])[:8] == item.token[:8]
    assert db.audit.verify(Spooled, key).ok
