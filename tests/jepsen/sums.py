"""What must hold of numbers: each read of a counter lies between what was surely added and what may have been; money stays.

It does not use the library.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate

from tests.jepsen.record import LATE, NOT_APPLIED, OK, REFUSED, UNKNOWN, Op


def counters(ops: Sequence[Op], final: Mapping[str, int]) -> list[str]:
    """What is wrong with counters to which positive numbers were added (``add``; its result is the new number)."""
    found = []
    for key in sorted({op.key for op in ops}):
        some = [op for op in ops if op.key == key and op.outcome in {OK, UNKNOWN, LATE}]
        found += [f"counter {key}: {line}" for line in _counter(some, final.get(key, 0))]
    return found


class _Added:
    """How much had been added until a time."""

    def __init__(self, pairs: Iterable[tuple[float, int]]) -> None:
        ordered = sorted(pairs)
        self._times = [time for time, _ in ordered]
        self._sums = [0, *accumulate(amount for _, amount in ordered)]

    def before(self, time: float) -> int:
        return self._sums[bisect_left(self._times, time)]

    def until(self, time: float) -> int:
        return self._sums[bisect_right(self._times, time)]


def _counter(ops: Sequence[Op], final: int) -> Iterable[str]:
    adds = [op for op in ops if op.kind == "add"]
    surely = _Added((op.end, op.value) for op in adds if op.outcome == OK)
    perhaps = _Added((op.begin, op.value) for op in adds)
    for op in ops:
        if op.outcome != OK or op.result is None:
            continue
        least = surely.before(op.begin) + (op.value if op.kind == "add" else 0)
        most = perhaps.until(op.end)
        if not least <= op.result <= most:
            yield f"{op} told {op.result}, which is not between {least} and {most}"
    told = Counter(op.result for op in adds if op.outcome == OK and op.result is not None)
    yield from (f"{count} increments were told {number}" for number, count in told.items() if count > 1)
    least, most = (sum(op.value for op in adds if op.outcome in which) for which in ({OK}, {OK, UNKNOWN, LATE}))
    if not least <= final <= most:
        yield f"it is {final} at the end, which is not between {least} and {most}"


def bank(
    reads: Iterable[Op], transfers: Iterable[Op], final: Mapping[str, int], receipts: Mapping[str, tuple[str, str, int]],
    *, accounts: int, each: int,
) -> list[str]:  # fmt: skip
    """What is wrong with a bank: reads show all balances (``result``), transfers have a receipt each, by their id."""
    found = []
    for op in reads:
        if op.outcome == OK:
            found += [f"bank {op.id}: {line}" for line in _balances(op.result, accounts, each)]
    found += [f"bank at the end: {line}" for line in _balances(dict(final), accounts, each)]
    for op in transfers:
        if op.outcome == OK and op.id not in receipts:
            found.append(f"transfer {op.id} was acknowledged, and has no receipt")
        if op.outcome in {NOT_APPLIED, REFUSED} and op.id in receipts:
            found.append(f"transfer {op.id} was not applied, and has a receipt")
    moved: Counter[str] = Counter()
    for giver, taker, cents in receipts.values():
        moved[giver] -= cents
        moved[taker] += cents
    found += [
        f"{name} has {has}, its receipts say {each + moved[name]}"
        for name, has in final.items()
        if has != each + moved[name]
    ]
    return found


def _balances(balances: Mapping[str, int], accounts: int, each: int) -> Iterable[str]:
    if len(balances) != accounts:
        yield f"{len(balances)} accounts in place of {accounts}"
    if sum(balances.values()) != accounts * each:
        yield f"the balances add up to {sum(balances.values())} in place of {accounts * each}: {dict(balances)}"
    if min(balances.values(), default=0) < 0:
        yield f"a balance is negative: {dict(balances)}"
