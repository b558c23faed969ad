"""The engine inside the process, as the suites meet engines: by an endpoint."""

from __future__ import annotations

from dynamorm.engine import Engine


class InMemory(Engine):
    """An `Engine` whose address is called an endpoint, as that of the others."""

    name = "the engine inside the process"

    @property
    def endpoint(self) -> str:
        """The engine's address."""
        return self.address
