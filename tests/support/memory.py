"""The engine inside the process, as the suites meet engines: by an endpoint."""

from __future__ import annotations

from typing import Final

from dynamorm.engine import Engine


class InMemory(Engine):
    """An `Engine` whose address is called an endpoint, as that of the others."""

    name = "the engine inside the process"

    @property
    def endpoint(self) -> str:
        """The engine's address."""
        return self.address


_HTTP: Final = "the engine inside the process does not answer over HTTP yet"

NOT_YET: Final = {
    "test_shared_tables.py": _HTTP,
    "test_streams_of_another_host_are_read_over_a_driver_of_their_own": "an engine inside the process has no host",
}
"""Modules and tests that ask for what the engine has not, with the reason why they are skipped on it."""


def why_not(module: str, function: str) -> str | None:
    """Why a test cannot run on the engine, None where it can."""
    return NOT_YET.get(module) or NOT_YET.get(function)
