"""Fixtures of the tests of payments: those of the behaviour tests."""

from tests.behaviour.conftest import db, key, made, opened, plugged, prefix, wire

__all__ = ["db", "key", "made", "opened", "plugged", "prefix", "wire"]
