"""Random histories: whatever is written by this program and by others, the records hold and tell what is stored."""

import random
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from dynamorm import DB, Attr, Model, actor, attr, partition_key, version
from dynamorm.errors import ConditionFailed, MissingItem, TransactionCancelled, ValidationError
from dynamorm.plugins.audit import AuditLog

from .audit_kit import tracking

pytestmark = pytest.mark.engine

STEPS = 60


class Item(Model, table="random-items"):
    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    text: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    lines: Attr[list[int]] = attr(default_factory=list)
    extra: Attr[dict[str, int]] = attr(default_factory=dict)
    secret: Attr[str | None] = attr(default=None, secret=True)
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Loose(Model, table="random-loose"):
    """Without a version."""

    id: Attr[str] = partition_key()
    count: Attr[int] = attr(default=0)
    text: Attr[str | None] = attr(default=None)
    tags: Attr[set[str]] = attr(default_factory=set)
    lines: Attr[list[int]] = attr(default_factory=list)
    extra: Attr[dict[str, int]] = attr(default_factory=dict)
    secret: Attr[str | None] = attr(default=None, secret=True)
    note: Attr[str | None] = attr(default=None)


MODELS = (Item, Loose)
FIELDS = ("count", "text", "tags", "lines", "extra", "secret")


def made_with(db):
    for model in MODELS:
        db.enable_change_tracking(model, tracking(FIELDS, store="random-log"))
    row = next(one for one in db.plugins if isinstance(one, AuditLog)).of(Item).row
    db.tables.create(row, skip_unavailable=True)


def values(dice):
    return {
        "count": dice.randrange(5),
        "text": dice.choice([None, "", "a", "b", "é" * 9000]),
        "tags": dice.choice([set(), {"a"}, {"a", "b"}]),
        "lines": dice.choice([[], [1], [1, 2]]),
        "extra": dice.choice([{}, {"k": 1}]),
        "secret": dice.choice([None, "s", "t"]),
        "note": dice.choice([None, "n"]),
    }


def updates(dice, model):
    every = [
        model.count.add(dice.randrange(-2, 3)), model.count.set(dice.randrange(5)), model.text.set(dice.choice(["a", None])),
        model.text.remove(), model.text.if_not_exists("c"), model.tags.add({"c"}), model.tags.delete({"a", "c"}),
        model.lines.append(dice.randrange(9)), model.lines.prepend(0), model.lines.append_or_create(4), model.lines[0].set(7),
        model.extra["k"].set(dice.randrange(3)), model.extra["k"].remove(), model.secret.set(dice.choice("uv")), model.note.set("m"),
    ]  # fmt: skip
    chosen = dice.sample(every, dice.choice([1, 1, 2, 3]))
    fields = Counter(one.path.field.name for one in chosen)
    return [one for one in chosen if fields[one.path.field.name] == 1] or chosen[:1]


def step(dice, db, model, key):
    """One random write."""
    kind = dice.choice(
        [
            "create",
            "put",
            "save",
            "save",
            "update",
            "update",
            "update",
            "object",
            "upsert",
            "increment",
            "delete",
            "replace",
            "transaction",
        ]
    )
    obj = db.get(model, key, consistent=True)
    if kind == "create":
        db.create(model(id=key, **values(dice)))
    elif kind == "put":
        db.put(model(id=key, **values(dice)))
    elif kind == "upsert":
        db.upsert(model, key, *updates(dice, model))
    elif kind == "update":
        db.update(model, key, *updates(dice, model))
    elif kind == "increment":
        db.increment(model, key, model.count, upsert=dice.random() < 0.5)
    elif kind == "delete":
        db.delete(model, key)
    elif kind == "transaction":
        with db.transaction() as tx:
            tx.update(model, key, *updates(dice, model), upsert=dice.random() < 0.5)
    elif obj is not None:
        if kind == "object":
            db.update(obj, *updates(dice, model))
            return
        for name, value in dice.sample(list(values(dice).items()), 3):
            setattr(obj, name, value)
        (db.put if kind == "replace" else db.save)(obj)


REFUSED = (ConditionFailed, MissingItem, TransactionCancelled, ValidationError)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("model", MODELS)
def test_the_records_hold_and_tell_what_is_stored(plugged, key, model, seed):
    dice = random.Random(f"{model.__name__} {seed}")
    db = plugged()
    for one in MODELS:
        db.enable_change_tracking(one, tracking(FIELDS, store="random-log"))
    done = Counter()
    with actor("writer"), DB(db.inner.config) as other:
        for _ in range(STEPS):
            ours = dice.random() < 0.8
            before = len(db.audit.history(model, key, verify=False))
            try:
                step(dice, db if ours else other, model, key)
            except REFUSED:
                done["refused"] += 1
                continue
            done[ours] += 1
            if not ours:
                assert len(db.audit.history(model, key, verify=False)) == before
                with suppress(*REFUSED):  # one of ours, which tells of it
                    db.put(model(id=key, **values(dice)))
            _check(db, model, key)
    assert done[True] > STEPS / 3
    assert done[False] > 1


def _check(db, model, key):
    obj = db.get(model, key, consistent=True)
    verdict = db.audit.verify(model, key)
    if not verdict.ok:  # only where our own write has touched nothing that is tracked, and others had
        assert verdict.reason in {"external", "missing", "unrecorded"}
        return
    snapshot = db.audit.as_of(model, key, datetime.now(UTC) + timedelta(hours=1))
    if obj is None or snapshot is None:
        assert obj is None or verdict.checked == 0
        return
    for name in FIELDS:
        value = snapshot.values.get(name, () if name in {"tags", "lines", "extra"} else None)
        if name != "secret" and type(value).__name__ != "Digest":
            assert (value or None) == (getattr(obj, name) or None), name
