"""Finds hot keys: the partitions of a table that get more than their share of its traffic. Keys are kept as hashes alone.

Requests are sampled, and the keys in them counted by a sketch of fixed size for each table and index (Space-Saving, Metwally
and others 2005): a key that has more than 1/size of the traffic is always among those that it holds. Counts are halved once
a minute, so that what was hot yesterday is forgotten.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from difflib import get_close_matches
from hashlib import blake2b
from secrets import token_bytes
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dynamorm.arguments import check_count, check_secret, check_share, type_given
from dynamorm.errors import ConfigError, ValidationError
from dynamorm.plugin import Greatest, OfOneProcess, attempt_class, partitions

if TYPE_CHECKING:
    from dynamorm.effects import Reply
    from dynamorm.models.schema.schema import Schema
    from dynamorm.plugin import Call

__all__ = ["HotKey", "HotKeys"]

HALF_LIFE: Final = 60.0
"""Seconds after which all counts are halved."""
TABLES: Final = 256
"""Tables and indexes of which traffic is counted."""
HOT_WRITES: Final = 1_000
"""Write units in a second that one partition takes, whatever the table's throughput is.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html
"""
HOT_READS: Final = 3_000
"""Read units, likewise."""


Place = tuple[str, str | None]
"""A table, and an index of it or None."""


class HotKey(Struct, frozen=True):
    """A key that has ``share`` (0 to 1) of the traffic of a table, or of one of its indexes, lately.

    ``key`` is a hash of the value of its partition key: `HotKeys.hash_of` tells whether it is the one you think of.
    ``per_second`` are requests, of which the shares ``reads`` and ``throttled`` read and were throttled. ``advice`` is empty for
    a key that is not hot.
    """

    table: str
    index: str | None
    key: str
    share: float
    per_second: float
    reads: float
    throttled: float
    advice: str


class _Count:
    __slots__ = ("all", "over", "reads", "throttled")

    def __init__(self, over: float) -> None:
        self.all: float = over  # as many as the one whose place it has, so that it is not overlooked
        self.over: float = over
        self.reads: float = 0.0
        self.throttled: float = 0.0


class _Sketch:
    """The most frequent keys of a place, within fixed space."""

    def __init__(self, size: int, now: float) -> None:
        self._size = size
        self._halved = now
        self.since: float = now
        self.total: float = 0.0
        self.counts: dict[bytes, _Count] = {}

    def add(self, key: bytes, now: float, *, reads: bool, throttled: bool) -> None:
        """Count one request."""
        if now - self._halved >= HALF_LIFE:
            self._halve(now)
        count = self.counts.get(key)
        if count is None:
            over = 0.0
            if len(self.counts) >= self._size:
                least = min(self.counts, key=lambda one: self.counts[one].all)
                over = self.counts.pop(least).all
            count = self.counts[key] = _Count(over)
        self.total += 1
        count.all += 1
        count.reads += reads
        count.throttled += throttled

    def _halve(self, now: float) -> None:
        times = int((now - self._halved) / HALF_LIFE)
        factor = 0.5 ** min(times, 64)
        self.total *= factor
        for key, count in list(self.counts.items()):
            for name in count.__slots__:
                setattr(count, name, getattr(count, name) * factor)
            if count.all < 0.5:
                del self.counts[key]
        self._halved += times * HALF_LIFE
        # The sum of what is left of each half-life: as if all of it had come in twice that time.
        self.since = max(self.since, now - 2 * HALF_LIFE)


class HotKeys(OfOneProcess):
    """Counts which partition keys the requests of each table are for: `top` tells the hottest, with advice.

    ``size`` (128) keys are kept of each table and index; of ``every`` (10) attempts one is looked at. A key is hot from a
    ``share`` (0.1) of the traffic of its place on. ``secret`` makes hashes the same in several processes: 16 or more random
    bytes; else each process has its own. Keys are in no place but these hashes.

    Raises: ConfigError for numbers below 1, a share that is none, and a secret that is too short.

    Example::

        db.use(hot := HotKeys())
        ...
        for key in hot.top(5):
            print(f"{key.table} {key.key} {key.share:.0%} {key.advice}")
    """

    name = "hot keys"

    def __init__(
        self,
        *,
        size: int = 128,
        every: int = 10,
        share: float = 0.1,
        secret: bytes | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._size = check_count("size", size, 1, 100_000, subject="size of HotKeys", error=ConfigError)
        self._every = check_count("every", every, subject="every of HotKeys", error=ConfigError)
        self._share = check_share("share", share, may_be_all=True, subject="share of HotKeys", error=ConfigError)
        given = token_bytes(16) if secret is None else secret
        self._secret = check_secret("secret", given, 16, 64, subject="secret of HotKeys", error=ConfigError)
        self._clock = clock
        self._partitions = partitions()
        self.forked()

    def model(self, schema: Schema) -> Schema:
        """Learn what the partition key of a table is called; nothing is changed."""
        self._partitions.learn(schema)
        return schema

    def observed(self, call: Call, reply: Reply | None, error: BaseException | None) -> None:
        """Look at one of so many attempts."""
        self._seen += 1
        if self._seen % self._every:
            return
        throttled = reply is not None and reply.status != 200 and attempt_class(reply, error) == "throttled"
        now = self._clock()
        with self._lock:
            for place, value in self._partitions.of(call):
                sketch = self._sketches.get(place)
                if sketch is None:
                    if len(self._sketches) >= TABLES:
                        continue
                    sketch = self._sketches[place] = _Sketch(self._size, now)
                sketch.add(self._hash(value), now, reads=not call.writes, throttled=throttled)

    def top(self, count: int = 10, *, table: str | None = None) -> list[HotKey]:
        """The keys with the largest shares of their table's or index's traffic lately, the hottest first.

        ``table`` is its name in DynamoDB, with the ``table_prefix``. Raises: ValidationError for what is no count and no text,
        and for a slip of a table that was met.

        Example: ``db_hot.top(3, table="payments")``
        """
        check_count("count", count)
        if table is not None:
            self._check_table(table)
        now = self._clock()
        with self._lock:
            found = [
                self._hot_key(place, sketch, key, one, now)
                for place, sketch in self._sketches.items()
                if table is None or place[0] == table
                for key, one in sketch.counts.items()
                if one.all > one.over
            ]
        return sorted(found, key=lambda one: -one.share)[:count]

    def _check_table(self, table: Any) -> None:
        if not isinstance(table, str):
            raise ValidationError(
                f"table is the name of a table, db.tables.name_of(Model), not {type_given(table)}", field="table"
            )
        known = {name for name, _ in list(self._sketches)}
        if table not in known:
            near = get_close_matches(table, known, n=1, cutoff=0.75)
            if near or any(name.endswith(table) for name in known):
                meant = near[0] if near else next(name for name in known if name.endswith(table))
                raise ValidationError(f"no request was for a table {table!r}: did you mean {meant!r}?", field="table")

    def hash_of(self, value: str | int | bytes) -> str:
        """The hash of a value of a partition key, as `HotKey` shows it.

        Raises: ValidationError for what is no text, number or bytes.

        Example: ``hot.hash_of("merchant-1") == hot.top(1)[0].key``
        """
        given: Any = value
        if isinstance(given, bytes):
            return self._hash({"B": b64encode(given).decode()}).hex()
        if isinstance(given, bool) or not isinstance(given, (str, int)):
            raise ValidationError(
                f"a partition key is a text, a number or bytes, not {type(given).__name__}", field="value"
            )
        return self._hash({"N" if isinstance(given, int) else "S": str(given)}).hex()

    def gauges(self) -> dict[str, float]:
        """The share of the hottest key."""
        hottest = self.top(1)
        return {"hot_keys_largest_share": Greatest(hottest[0].share if hottest else 0.0)}

    def forked(self) -> None:
        """Begin anew."""
        self._seen = 0
        self._sketches: dict[Place, _Sketch] = {}
        self._lock = Lock()

    def _hash(self, value: dict[str, str]) -> bytes:
        ((kind, text),) = value.items()
        return blake2b(f"{kind}{text}".encode(), digest_size=8, key=self._secret).digest()

    def _hot_key(self, place: Place, sketch: _Sketch, key: bytes, one: _Count, now: float) -> HotKey:
        counted = one.all - one.over  # what may be another's is left out
        share = counted / sketch.total
        per_second = counted * self._every / max(now - sketch.since, 1.0)
        reads, throttled = min(one.reads / counted, 1.0), min(one.throttled / counted, 1.0)
        advice = _advice(place, reads, throttled) if share >= self._share else ""
        return HotKey(*place, key.hex(), share, per_second, reads, throttled, advice)


def _advice(place: Place, reads: float, throttled: float) -> str:
    where = "this partition" if place[1] is None else "this value of the index"
    if reads >= 0.5:
        text = (
            f"one partition gives {HOT_READS:,} read units a second: keep what is read of {where} in a cache, read it with"
            " eventual consistency, or several of its items at once"
        )
    else:
        text = (
            f"one partition takes {HOT_WRITES:,} write units a second: spread {where} over shards"
            " (composite(..., shards=8)), or gather its writes before they are sent"
        )
    return f"{text}; {throttled:.0%} of its requests were throttled" if throttled >= 0.005 else text
