"""What runs for long: exports, imports, copies and backfills, which can be killed at any time, and go on where they were."""

from __future__ import annotations
