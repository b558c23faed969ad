"""`Figures`, what is told of the verbs of a model, of a table, or of all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dynamorm.arguments import is_whole
from dynamorm.errors import ValidationError
from dynamorm.errors.outcomes import FAULTS

from .histogram import Histogram


def checked_share(share: Any) -> float:
    """A share of all, between 0 and 1. Raises: ValidationError."""
    if (isinstance(share, float) or is_whole(share)) and 0 < share < 1:
        return float(share)
    hint = ""
    if (isinstance(share, float) or is_whole(share)) and 1 < share < 100:
        hint = f": write {share / 100:g}"
    elif share in {1, 100} and not isinstance(share, bool):
        hint = ": the greatest is not kept; write 0.999 for what all but one of 1,000 did not exceed"
    given = f"{share}" if isinstance(share, float) or is_whole(share) else type(share).__name__
    raise ValidationError(f"percentile takes a share between 0 and 1, not {given[:20]}{hint}", field="share")


class Figures:
    """The verbs that ended in some time. Durations are seconds, rates are fractions.

    ``count`` is how many; ``outcomes`` how many of each outcome (see `dynamorm.errors.outcomes.outcome_of`).
    """

    __slots__ = ("_histogram", "outcomes")

    def __init__(self, parts: Iterable[tuple[str, Histogram]]) -> None:
        self.outcomes: dict[str, int] = {}
        self._histogram = Histogram()
        for outcome, histogram in parts:
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + histogram.count
            self._histogram.merge(histogram)

    @property
    def count(self) -> int:
        """How many verbs have ended.

        Example: ``db.metrics().total().count``
        """
        return self._histogram.count

    def avg_latency(self) -> float:
        """The mean duration in seconds, retries and waiting included; 0.0 without any.

        Example: ``db.metrics().by_model()["Payment"].avg_latency()``
        """
        return self._histogram.mean

    def percentile(self, share: float) -> float:
        """The seconds that this share of the verbs did not exceed, within 0.8 %; 0.0 without any.

        Raises: ValidationError for a share that is not between 0 and 1.

        Example: ``db.metrics().by_model()["Payment"].percentile(0.99)``
        """
        return self._histogram.percentile(checked_share(share))

    def error_rate(self) -> float:
        """The fraction that ended as ``unavailable`` or ``denied``; 0.0 without any.

        Example: ``db.metrics().by_table()["payments"].error_rate() < 0.01``
        """
        return sum(self.outcomes.get(outcome, 0) for outcome in FAULTS) / (self.count or 1)

    def as_dict(self) -> dict[str, Any]:
        """The figures as plain data.

        Example: ``json.dumps(db.metrics().total().as_dict())``
        """
        return {
            "count": self.count,
            "outcomes": dict(self.outcomes),
            "avg_latency": self.avg_latency(),
            "p50": self.percentile(0.5),
            "p90": self.percentile(0.9),
            "p99": self.percentile(0.99),
            "error_rate": self.error_rate(),
        }

    def __repr__(self) -> str:
        return f"<Figures of {self.count} verbs, {self.avg_latency() * 1000:.1f} ms on average>"
