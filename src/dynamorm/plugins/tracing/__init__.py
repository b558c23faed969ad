"""Spans of OpenTelemetry for verbs and requests. See `TracingPlugin`; the extra ``tracing`` brings what it needs."""

from .plugin import SCHEMA_URL as SCHEMA_URL
from .plugin import TracingPlugin as TracingPlugin

__all__ = ["SCHEMA_URL", "TracingPlugin"]
