"""The pieces of work that are measured, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.libraries.base import Unsupported
from benchmarks.payload import BLOB_SIZES, QUERY_SIZES, SCAN_ITEMS

if TYPE_CHECKING:
    from benchmarks.libraries.base import Library, Operation

MANY = 10_000
"""Items of a work whose single pass is a round: it takes between a tenth of a second and a minute."""


class Work(NamedTuple):
    """A piece of work: the adapter's method that prepares it, and what its result must hold.

    ``items`` is the length the result must have (0: any result will do); ``tasks`` how many threads or asyncio tasks
    do it at the same time. ``group`` says in which part of the report it stands.
    """

    name: str
    title: str
    group: str
    method: str
    argument: int | None = None
    items: int = 0
    tasks: int = 1
    each: bool = False
    """Whether the figure is of one item, of as many as the work says it has dealt with."""

    @property
    def big(self) -> bool:
        """Whether it is long enough for one pass to be a round."""
        return self.each or self.items >= MANY

    def prepare(self, library: Library) -> Operation:
        """The call to measure. Raises Unsupported."""
        if self.tasks > 1 and not library.concurrent:
            raise Unsupported
        method = getattr(library, self.method)
        return method() if self.argument is None else method(self.argument)  # type: ignore[no-any-return]

    def check(self, result: Any) -> None:
        """Make sure that the work was done. Raises ValueError."""
        if self.items and (result is None or len(result) != self.items):
            raise ValueError(f"{self.name}: {self.items} items were expected, not {result!r:.80}")
        if self.method.endswith("get") and not result:
            raise ValueError(f"{self.name}: nothing was read")
        if not getattr(result, "ok", True):  # DynamORM's report of a batch; the others raise, or say nothing
            raise ValueError(f"{self.name}: {result!r:.80}")


def query(count: int, group: str) -> Work:
    """A query of so many items."""
    return Work(f"query-{count}", f"query of {count:,}", group, "query", count, items=count)


CORE = (
    Work("get", "get", "core", "get"),
    Work("put", "put", "core", "put"),
    Work("update", "conditional update", "core", "update"),
    query(100, "core"),
    query(1_000, "core"),
    Work("batch-get-100", "batch get of 100", "core", "batch_get", items=100),
    Work("batch-write-100", "batch write of 100", "core", "batch_write"),
    Work("transaction-10", "transaction of 10", "core", "transaction"),
    Work("gets-64", "64 concurrent gets", "core", "get", tasks=64),
    Work("protected-get", "get with metrics, tenants and encryption", "core", "protected_get"),
    Work("wide-get", "get, 60 attributes", "core", "wide_get"),
    Work("wide-put", "put, 60 attributes", "core", "wide_put"),
)
SIZES = tuple(
    Work(f"{verb}-{size}B", f"{verb}, {size:,} B", "sizes", f"blob_{verb}", size)
    for verb in ("get", "put")
    for size in BLOB_SIZES
)
GROWTH = tuple(query(count, "growth") for count in QUERY_SIZES if count not in (100, 1_000))
SCAN = Work("scan", "parallel scan", "scan", "scan", items=SCAN_ITEMS, each=True)
ALL = (*CORE, *SIZES, *GROWTH, SCAN)
BY_NAME = {work.name: work for work in ALL}
