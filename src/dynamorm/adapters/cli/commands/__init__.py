"""The commands, each a function of its settings and arguments. Each module adds its own to the application."""

from __future__ import annotations
