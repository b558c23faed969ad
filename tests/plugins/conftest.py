"""Fixtures of the tests of shipped plugins: those of the behaviour tests."""

from tests.behaviour.conftest import key, made, plugged, prefix

__all__ = ["key", "made", "plugged", "prefix"]
