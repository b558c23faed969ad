"""The formats of exported items: each writes a file, or a folder, of finished parts, and reads it item by item."""

from __future__ import annotations
