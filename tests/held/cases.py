"""Every verb that writes: what it starts from, what it does, and which foreign writes matter to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dynamorm import Outcome
from tests.held.world import ITEM, LEASE, UNIQUE, Charge, Foreign, Lock, Outside, Payment, Tally

Start = Callable[[Outside, Any, str, str], Any]
"""Makes what the verb works on: given the outside, the database under test, the key and the name of the start."""

Act = Callable[[Any, Any, str], Any]
"""The verb: given the database under test, what it works on, and the key. An `Outcome` it returns is the verb's own."""


class Case(NamedTuple):
    """One verb.

    ``starts`` names the states it starts from, each with the kinds of foreign writes that are tried.
    ``safety``: ``N`` (made one write by a token), ``C`` (guarded by a version or absence), ``I`` (twice is the same as
    once), ``L`` (lease). ``adds``: how much one application adds to ``amount``, 0 where it does not count.
    ``after`` names starts and foreign writes that make sense only after the verb has returned: nobody but the holder gives
    a lease back.
    """

    name: str
    model: type[Any]
    safety: str
    act: Act
    starts: Mapping[str, tuple[str, ...]]
    start: Start
    foreign: Mapping[str, Foreign] = ITEM
    adds: int = 0
    check: Callable[[Outside, str, str], str | None] = lambda *_: None
    after: tuple[tuple[str, str], ...] = ()


def knowable(case: Case, start: str, kind: str) -> bool:
    """Whether the library can always find out what became of the write, so that UNKNOWN would say too little."""
    if case.safety == "N" or case.name in {"put", "delete_key", "batch_put", "batch_delete"}:
        return True
    if kind == "none":  # it fails only where the condition does not hold, and may hold when a late copy arrives
        refused = "open" if case.name.startswith("create") else "absent"
        return start not in {"shut", "held", refused} or (case.name.startswith("create") and start == "absent")
    return kind == "save" and case.name in {"save", "update", "increment_loaded"}


def _item(out: Outside, model: type[Any], key: str, name: str) -> Any:
    """The item in its first state, as an object; None for no item."""
    if name == "absent":
        return None
    if name == "five":
        return out.db.create(model(id=key, amount=5))
    return out.db.create(model(id=key, state=name))


def _payment(out: Outside, _: Any, key: str, name: str) -> Any:
    return _item(out, Payment, key, name)


def _tally(out: Outside, _: Any, key: str, name: str) -> Any:
    return _item(out, Tally, key, name)


def _noted(obj: Any) -> Any:
    obj.note = "mine"
    return obj


OPEN = Payment.state == "open"
TALLY_OPEN = Tally.state == "open"
VERSIONED = ("none", "raw", "go", "put", "delete", "anew", "save")
TOKENED = ("none", "go", "put", "delete", "anew")
SHUT = ("none", "opens", "go", "put", "anew", "save")
ADD = Payment.amount.add(5)


def _several(db: Any, _: Any, key: str) -> None:
    with db.transaction() as tx:
        tx.update(Payment, key, ADD, condition=OPEN)
        tx.create(Payment(id=f"second-{key}", state="shut"))


def _several_loaded(db: Any, obj: Any, key: str) -> None:
    with db.transaction() as tx:
        tx.update(obj, ADD)
        tx.create(Payment(id=f"second-{key}", state="shut"))


def _batch(db: Any, _: Any, key: str) -> Outcome:
    result = db.batch_write(puts=[Tally(id=key, note="mine")])
    return Outcome.APPLIED if result.written else Outcome.UNKNOWN if result.unknown else Outcome.NOT_APPLIED


def _batch_delete(db: Any, _: Any, key: str) -> Outcome:
    result = db.batch_write(deletes=[(Tally, key)])
    return Outcome.APPLIED if result.written else Outcome.UNKNOWN if result.unknown else Outcome.NOT_APPLIED


PARTIQL_ADD = "UPDATE {table} SET amount = amount + 5 WHERE id = ? AND state = 'open'"
PARTIQL_INSERT = "INSERT INTO {table} VALUE {'id': ?, 'state': 'open', 'amount': 5}"
PARTIQL_DELETE = "DELETE FROM {table} WHERE id = ? AND state = 'open'"


def _two_statements(db: Any, _: Any, key: str) -> None:
    table = '"held-tallies"'
    db.partiql_transaction(
        [
            (PARTIQL_ADD.replace("{table}", table), key),
            (PARTIQL_INSERT.replace("{table}", table), f"second-{key}"),
        ]
    )


def _order(order: str) -> Act:
    def change(db: Any, obj: Any, key: str) -> None:
        obj.order = f"{order}-{key}"
        db.save(obj)

    return change


def _charge(out: Outside, _: Any, key: str, name: str) -> Any:
    """An item with the value ``old``, and another one with the value ``new`` where that is taken."""
    if name.endswith("taken"):
        out.db.create(Charge(id=f"other-{key}", order=f"new-{key}"))
    return None if name.startswith("absent") else out.db.create(Charge(id=key, order=f"old-{key}"))


def _vacant(out: Outside, db: Any, key: str, name: str) -> Any:
    if name == "held":
        _somebody(out, key)
    if name == "run out":
        _somebody(out, key, -600)
    return db.lease(Lock, key, duration=60)


def _somebody(out: Outside, key: str, seconds: int = 600) -> None:
    out.engine.change(
        "locks", "SET lease_token = :t, lease_expires_at = :e, lease_fence = :f",
        key={"pk": key, "sk": "LOCK"}, t="somebody", e=int(time.time()) + seconds, f=int(time.time() * 1000),
    )  # fmt: skip


def _ours(_: Outside, db: Any, key: str, __: str) -> Any:
    lease = db.lease(Lock, key, duration=60)
    lease.acquire()
    return lease


def _released(_: Any, lease: Any, __: str) -> Outcome:
    return Outcome.APPLIED if lease.release() else Outcome.NOT_APPLIED


def _not_shorter(out: Outside, key: str, kind: str) -> str | None:
    """A late refresh must not take back what a later one has given."""
    if kind != "longer":
        return None
    found = out.engine.item("locks", pk=key, sk="LOCK")
    end = 0 if found is None else int(found["lease_expires_at"]["N"])
    return None if end >= time.time() + 200 else "the lease was shortened"


CASES: tuple[Case, ...] = (
    Case("create", Payment, "C", lambda db, _, key: db.create(Payment(id=key, note="mine")),
         {"absent": ("none", "put", "save", "delete"), "open": ("none", "delete")}, _payment),
    Case("create_strict", Payment, "N", lambda db, _, key: db.create(Payment(id=key, note="mine"), strict=True),
         {"absent": ("none", "put", "save", "delete"), "open": ("none", "delete")}, _payment),
    Case("create_by_save", Payment, "C", lambda db, _, key: db.save(Payment(id=key, note="mine")),
         {"absent": ("none", "save"), "open": ("none", "delete")}, _payment),
    Case("put", Payment, "I", lambda db, _, key: db.put(Payment(id=key, note="mine")),
         {"open": ("none", "raw", "delete", "save"), "absent": ("none",)}, _payment),
    Case("put_if", Payment, "N", lambda db, _, key: db.put(Payment(id=key, note="mine"), condition=OPEN),
         {"open": ("none", "shuts", "delete", "anew", "save"), "shut": ("none", "opens", "put", "anew", "save"),
          "absent": ("none", "put")}, _payment),
    Case("save", Payment, "C", lambda db, obj, _: db.save(_noted(obj)), {"open": VERSIONED}, _payment),
    Case("save_unversioned", Tally, "I", lambda db, obj, _: db.save(_noted(obj)),
         {"open": ("none", "raw", "delete")}, _tally),
    Case("update", Payment, "C", lambda db, obj, _: db.update(obj, ADD), {"open": VERSIONED}, _payment, adds=5),
    Case("update_if", Payment, "C", lambda db, obj, _: db.update(obj, ADD, condition=OPEN),
         {"open": (*VERSIONED, "shuts"), "shut": SHUT}, _payment, adds=5),
    Case("update_key", Payment, "N", lambda db, _, key: db.update(Payment, key, ADD),
         {"open": ("none", "raw", "put", "delete", "anew", "save"), "absent": ("none", "put", "save")}, _payment,
         adds=5),
    Case("update_key_if", Payment, "N", lambda db, _, key: db.update(Payment, key, ADD, condition=OPEN),
         {"open": ("none", "shuts", "delete", "anew"), "shut": ("none", "opens", "put", "anew", "save"),
          "absent": ("none", "put")}, _payment, adds=5),
    Case("update_key_unversioned", Tally, "N", lambda db, _, key: db.update(Tally, key, Tally.amount.add(5)),
         {"open": ("none", "delete", "put"), "absent": ("none", "put")}, _tally, adds=5),
    Case("update_key_set", Tally, "I", lambda db, _, key: db.update(Tally, key, Tally.note.set("mine")),
         {"open": ("none", "raw", "delete"), "absent": ("none", "put")}, _tally),
    Case("delete", Payment, "C", lambda db, obj, _: db.delete(obj), {"open": VERSIONED}, _payment),
    Case("delete_if", Payment, "N", lambda db, obj, _: db.delete(obj, condition=OPEN),
         {"open": (*TOKENED, "shuts"), "shut": SHUT}, _payment),
    Case("delete_strict", Payment, "N", lambda db, obj, _: db.delete(obj, must_exist=True),
         {"open": TOKENED}, _payment),
    Case("delete_key", Payment, "I", lambda db, _, key: db.delete(Payment, key),
         {"open": ("none", "delete", "anew"), "absent": ("none", "put")}, _payment),
    Case("delete_key_if", Payment, "N", lambda db, _, key: db.delete(Payment, key, condition=OPEN),
         {"open": ("none", "shuts", "delete", "anew"), "shut": ("none", "opens", "anew")}, _payment),
    Case("delete_key_strict", Payment, "N", lambda db, _, key: db.delete(Payment, key, must_exist=True),
         {"open": ("none", "delete", "anew"), "absent": ("none", "put", "save")}, _payment),
    Case("upsert", Payment, "N", lambda db, _, key: db.upsert(Payment, key, ADD),
         {"open": ("none", "delete", "save"), "absent": ("none", "put", "delete")}, _payment, adds=5),
    Case("upsert_if", Payment, "N", lambda db, _, key: db.upsert(Payment, key, ADD, condition=OPEN),
         {"open": ("none", "shuts", "delete"), "shut": ("none", "opens", "anew"), "absent": ("none", "put")}, _payment,
         adds=5),
    Case("increment", Payment, "N", lambda db, _, key: db.increment(Payment, key, Payment.amount, by=5),
         {"five": ("none", "counts", "zero", "raw", "put", "delete", "anew"), "absent": ("none", "put")}, _payment, adds=5),
    Case("increment_upsert", Tally, "N",
         lambda db, _, key: db.increment(Tally, key, Tally.amount, by=5, upsert=True),
         {"five": ("none", "counts", "zero", "delete"), "absent": ("none", "put", "delete")}, _tally, adds=5),
    Case("increment_loaded", Payment, "C", lambda db, obj, _: db.increment(obj, Payment.amount, by=5),
         {"five": (*VERSIONED, "zero")}, _payment, adds=5),
    Case("transaction", Payment, "N", _several,
         {"open": ("none", "shuts", "delete", "anew"), "shut": ("none", "opens", "put", "anew", "save"),
          "absent": ("none", "put")}, _payment, adds=5),
    Case("transaction_loaded", Payment, "N", _several_loaded, {"open": TOKENED}, _payment, adds=5),
    Case("unique_create", Charge, "N", lambda db, _, key: db.create(Charge(id=key, order=f"new-{key}")),
         {"absent, free": ("none", "takes", "delete", "save"), "absent, taken": ("none", "frees"),
          "free": ("none", "delete")}, _charge, UNIQUE),
    Case("unique_change", Charge, "N", _order("new"),
         {"free": ("none", "takes", "delete", "anew", "save"), "taken": ("none", "frees")}, _charge, UNIQUE),
    Case("unique_change_key", Charge, "N",
         lambda db, _, key: db.update(Charge, key, Charge.order.set(f"new-{key}")),
         {"free": ("none", "takes", "delete", "anew"), "taken": ("none", "frees"), "absent, free": ("none", "save")},
         _charge, UNIQUE),
    Case("unique_put", Charge, "N", lambda db, _, key: db.put(Charge(id=key, order=f"new-{key}")),
         {"free": ("none", "takes", "delete", "anew"), "taken": ("none", "frees")}, _charge, UNIQUE),
    Case("unique_delete", Charge, "N", lambda db, obj, _: db.delete(obj),
         {"free": ("none", "delete", "anew", "save")}, _charge, UNIQUE),
    Case("unique_delete_key", Charge, "N", lambda db, _, key: db.delete(Charge, key),
         {"free": ("none", "delete", "anew", "save")}, _charge, UNIQUE),
    Case("partiql_update", Tally, "N", lambda db, _, key: db.partiql(PARTIQL_ADD, key, model=Tally),
         {"open": ("none", "shuts", "delete"), "shut": ("none", "opens", "put"), "absent": ("none", "put")}, _tally,
         adds=5),
    Case("partiql_insert", Tally, "N", lambda db, _, key: db.partiql(PARTIQL_INSERT, key, model=Tally),
         {"absent": ("none", "put", "delete"), "open": ("none", "delete")}, _tally),
    Case("partiql_delete", Tally, "N", lambda db, _, key: db.partiql(PARTIQL_DELETE, key, model=Tally),
         {"open": ("none", "shuts", "delete"), "shut": ("none", "opens")}, _tally),
    Case("partiql_transaction", Tally, "N", _two_statements,
         {"open": ("none", "shuts", "delete"), "shut": ("none", "opens", "put")}, _tally, adds=5),
    Case("batch_put", Tally, "I", _batch, {"open": ("none", "raw", "delete"), "absent": ("none",)}, _tally),
    Case("batch_delete", Tally, "I", _batch_delete, {"open": ("none", "put", "delete")}, _tally),
    Case("lease_acquire", Lock, "L", lambda _, lease, __: lease.acquire() and None,
         {"vacant": ("none", "takes", "gives back"), "run out": ("none", "takes", "gives back"),
          "held": ("none", "gives back", "runs out", "delete")}, _vacant, LEASE, after=(("vacant", "gives back"), ("run out", "gives back"))),
    Case("lease_refresh", Lock, "I", lambda _, lease, __: lease.refresh() and None,
         {"ours": ("none", "takes", "runs out", "longer")}, _ours, LEASE, check=_not_shorter),
    Case("lease_release", Lock, "L", _released,
         {"ours": ("none", "takes", "runs out", "delete")}, _ours, LEASE),
)  # fmt: skip
