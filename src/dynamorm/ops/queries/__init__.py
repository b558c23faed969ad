"""Queries and scans: planned, read page by page, and ended."""
