"""Ordered maps of bytes in SQLite, in memory or in a file; with a journal that takes everything back. It knows no items."""
