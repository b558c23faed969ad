"""The tables of the held-network suite, a client of its own for the engine, and what others write meanwhile.

The foreign writes go straight to the engine, past the proxy: some as a program without the library would send them,
some by the library itself.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from dynamorm import DB, Attr, Model, Presets, Unique, attr, partition_key, version
from dynamorm.leases import LeaseRecord

PREFIX: Final = "held-"
_IDLE: Final = 5.0  # seconds; the engine closes idle connections after 30


class Payment(Model, table="payments"):
    """Versioned. A condition on ``state`` holds while it is ``open``."""

    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="open")
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)
    version: Attr[int] = version()


class Tally(Model, table="tallies"):
    """Without a version."""

    id: Attr[str] = partition_key()
    state: Attr[str] = attr(default="open")
    amount: Attr[int] = attr(default=0)
    note: Attr[str | None] = attr(default=None)


class Charge(Model, table="charges"):
    """With a unique attribute, and so with guards."""

    id: Attr[str] = partition_key()
    order: Attr[str] = attr(Unique())
    amount: Attr[int] = attr(default=0)
    version: Attr[int] = version()


class Lock(Model, LeaseRecord, table="locks"):
    """Leases."""


MODELS: Final = (Payment, Tally, Charge, Lock)


class Engine:
    """Requests to the engine without the library. One connection; not for several threads."""

    def __init__(self, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self._connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        self._used = 0.0

    def ask(self, operation: str, **body: Any) -> tuple[int, dict[str, Any]]:
        """Send one request: the status and the body of the answer."""
        scope = "local/20200101/us-east-1/dynamodb/aws4_request"
        headers = {
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Date": "20200101T000000Z",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        }
        if time.monotonic() - self._used > _IDLE:
            self._connection.close()  # it opens itself again
        self._connection.request("POST", "/", json.dumps(body), headers)
        reply = self._connection.getresponse()
        self._used = time.monotonic()
        return reply.status, json.loads(reply.read() or b"{}")

    def item(self, table: str, **key: str) -> dict[str, Any] | None:
        """What is stored, as wire values."""
        status, found = self.ask("GetItem", TableName=PREFIX + table, Key=_key(key), ConsistentRead=True)
        assert status == 200, found
        return found.get("Item")

    def change(self, table: str, update: str, /, *, key: dict[str, str], **values: Any) -> None:
        """Update an item, whatever it is."""
        wires = {f":{name}": {"S": one} if isinstance(one, str) else {"N": str(one)} for name, one in values.items()}
        status, found = self.ask(
            "UpdateItem", TableName=PREFIX + table, Key=_key(key), UpdateExpression=update,
            **({"ExpressionAttributeValues": wires} if wires else {}),
        )  # fmt: skip
        assert status == 200, found

    def delete(self, table: str, **key: str) -> None:
        """Remove an item, if there is one."""
        status, found = self.ask("DeleteItem", TableName=PREFIX + table, Key=_key(key))
        assert status == 200, found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _key(parts: dict[str, str]) -> dict[str, Any]:
    return {name: {"S": value} for name, value in parts.items()}


class Outside:
    """Everybody but the caller under test: the engine, and a database of the library that nothing is lost of."""

    def __init__(self, endpoint: str) -> None:
        self.engine = Engine(endpoint)
        self.db = DB(Presets.local_development(endpoint=endpoint, table_prefix=PREFIX))
        for model in MODELS:
            self.db.tables.ensure(model)

    def close(self) -> None:
        """Close the connections."""
        self.db.close()
        self.engine.close()


def table_of(model: type[Any]) -> str:
    """The name in the class statement."""
    return {Payment: "payments", Tally: "tallies", Charge: "charges", Lock: "locks"}[model]


# ------------------------------------------------------------------------------------------- one write by somebody else

Foreign = Callable[[Outside, type[Any], str], None]


def _set(field: str, value: Any) -> Foreign:
    def change(out: Outside, model: type[Any], key: str) -> None:
        status, found = out.engine.ask(
            "UpdateItem", TableName=PREFIX + table_of(model), Key=_key({"id": key}), UpdateExpression="SET #f = :v",
            ExpressionAttributeNames={"#f": field},
            ExpressionAttributeValues={":v": {"S": value} if isinstance(value, str) else {"N": str(value)}},
        )  # fmt: skip
        assert status == 200, found

    return change


def _go(out: Outside, model: type[Any], key: str) -> None:
    """As the Go library writes: the version is raised, the tokens stay as they are."""
    out.engine.change(
        table_of(model), "SET note = :n, version = if_not_exists(version, :z) + :one",
        key={"id": key}, n="go", z=0, one=1,
    )  # fmt: skip


def _put(out: Outside, model: type[Any], key: str) -> None:
    """An unconditional put of the library: the version is 0 again."""
    out.db.put(model(id=key, note="put"))


def _delete(out: Outside, model: type[Any], key: str) -> None:
    out.engine.delete(table_of(model), id=key)


def _anew(out: Outside, model: type[Any], key: str) -> None:
    """Removed and made anew by the library: the version is 0 again."""
    out.engine.delete(table_of(model), id=key)
    out.db.create(model(id=key, note="anew"))


def _save(out: Outside, model: type[Any], key: str) -> None:
    """A change by the library, under the version where there is one; makes the item when there is none."""
    found = out.db.get(model, key, consistent=True)
    if found is None:
        out.db.create(model(id=key, note="save"))
        return
    found.note = f"{time.monotonic_ns()}"
    found.state = "open"
    out.db.save(found)


def _nothing(out: Outside, model: type[Any], key: str) -> None:
    """Nobody writes."""


ITEM: Final[dict[str, Foreign]] = {
    "none": _nothing,
    "opens": _set("state", "open"),
    "shuts": _set("state", "shut"),
    "raw": _set("note", "raw"),
    "counts": _set("amount", 100),
    "zero": _set("amount", 0),
    "go": _go,
    "put": _put,
    "delete": _delete,
    "anew": _anew,
    "save": _save,
}
"""Foreign writes to the item of a verb, by kind."""


def _frees(out: Outside, _: type[Any], key: str) -> None:
    """The other item that has the unique value goes, and its guard with it."""
    found = out.db.get(Charge, f"other-{key}", consistent=True)
    if found is not None:
        out.db.delete(found)


def _takes(out: Outside, _: type[Any], key: str) -> None:
    """Another item takes the unique value, if it is free."""
    if out.db.find_by_unique(Charge, order=f"new-{key}") is None:
        out.db.create(Charge(id=f"other-{key}", order=f"new-{key}"))


def _charge_goes(out: Outside, _: type[Any], key: str) -> None:
    found = out.db.get(Charge, key, consistent=True)
    if found is not None:
        out.db.delete(found)


def _charge_anew(out: Outside, _: type[Any], key: str) -> None:
    """Removed with its guard, and made anew with the value it had at first."""
    _charge_goes(out, Charge, key)
    out.db.create(Charge(id=key, order=f"old-{key}"))


def _charge_saved(out: Outside, _: type[Any], key: str) -> None:
    found = out.db.get(Charge, key, consistent=True)
    if found is None:
        out.db.create(Charge(id=key, order=f"old-{key}"))
        return
    found.amount += 1
    out.db.save(found)


UNIQUE: Final[dict[str, Foreign]] = {
    "none": _nothing,
    "frees": _frees,
    "takes": _takes,
    "delete": _charge_goes,
    "anew": _charge_anew,
    "save": _charge_saved,
}
"""Foreign writes around an item with a unique attribute."""


def _lock(key: str) -> dict[str, str]:
    return {"pk": key, "sk": "LOCK"}


def _other_takes(out: Outside, _: type[Any], key: str) -> None:
    """Somebody else has the lease, whoever had it: as after a long pause."""
    out.engine.change(
        "locks", "SET lease_token = :t, lease_expires_at = :e, lease_fence = :f",
        key=_lock(key), t="somebody", e=int(time.time()) + 600, f=int(time.time() * 1000) + 5,
    )  # fmt: skip


def _gives_back(out: Outside, _: type[Any], key: str) -> None:
    """Whoever has the lease gives it back."""
    out.engine.change("locks", "SET lease_expires_at = :z REMOVE lease_token", key=_lock(key), z=0)


def _runs_out(out: Outside, _: type[Any], key: str) -> None:
    out.engine.change("locks", "SET lease_expires_at = :e", key=_lock(key), e=int(time.time()) - 60)


def _longer(out: Outside, _: type[Any], key: str) -> None:
    """A later refresh of the same holder has been applied."""
    out.engine.change("locks", "SET lease_expires_at = :e", key=_lock(key), e=int(time.time()) + 500)


def _lock_goes(out: Outside, _: type[Any], key: str) -> None:
    out.engine.delete("locks", **_lock(key))


LEASE: Final[dict[str, Foreign]] = {
    "none": _nothing,
    "takes": _other_takes,
    "gives back": _gives_back,
    "runs out": _runs_out,
    "longer": _longer,
    "delete": _lock_goes,
}
"""Foreign writes to a lease."""
