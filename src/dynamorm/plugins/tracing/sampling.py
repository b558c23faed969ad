"""Which spans a sampler of OpenTelemetry's SDK leaves out, told without making one. It must not know plugins.

The ids and the context of a span that nobody sees take as long as half a read. Only samplers that decide by the parent alone are known, and so nobody is asked twice. Whatever else a program has is asked
by the tracer itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from opentelemetry.trace import Span

_PARTS: Final = (
    "_root",
    "_local_parent_not_sampled",
    "_local_parent_sampled",
    "_remote_parent_not_sampled",
    "_remote_parent_sampled",
)
"""Who decides in the place of a sampler that goes by the parent. Where the SDK calls them otherwise, nothing is known of it."""

_COUNTS_SPANS: Final = "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED"
"""With it the SDK counts the spans that it leaves out, too."""


def leaving_out(tracer: Any, current: Callable[[], Span], none: Span) -> Callable[[], bool] | None:
    """What tells whether the tracer records no span that begins here, below the ``current`` one; None where only it can tell.

    ``none`` is what is current where there is no span.
    """
    sdk, sampling = (sys.modules.get(f"opentelemetry.sdk.trace{module}") for module in ("", ".sampling"))
    if sdk is None or sampling is None or not _acts_as(tracer, sdk.Tracer, "start_span") or _COUNTS_SPANS in os.environ:
        return None
    sampler = tracer.sampler
    never = _acts_as(sampler, sampling.StaticSampler, "should_sample")
    if not never and not _acts_as(sampler, sampling.ParentBased, "should_sample"):
        return None

    def is_off(part: Any) -> bool:
        return _acts_as(part, sampling.StaticSampler, "should_sample") and part.get_description() == "AlwaysOffSampler"

    if never:
        return (lambda: tracer.sampler is sampler) if is_off(sampler) else None
    root, local, local_sampled, remote, remote_sampled = (is_off(getattr(sampler, part, None)) for part in _PARTS)
    of_local, of_remote = (local, local_sampled), (remote, remote_sampled)

    def left_out() -> bool:
        if tracer.sampler is not sampler:
            return False  # another one since
        span = current()
        if span is none:
            return root
        parent = span.get_span_context()
        if not parent.is_valid:
            return root
        return (of_remote if parent.is_remote else of_local)[parent.trace_flags.sampled]

    return left_out if any((root, *of_local, *of_remote)) else None


def _acts_as(given: Any, kind: type[Any], method: str) -> bool:
    """Whether an object is of a class, and its method is that of the class."""
    return isinstance(given, kind) and getattr(type(given), method) is getattr(kind, method)
