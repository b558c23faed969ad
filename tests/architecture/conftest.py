"""What the architecture tests share."""

from __future__ import annotations

import pytest

from tests.architecture.tree import Module, library


@pytest.fixture(scope="session")
def modules() -> tuple[Module, ...]:
    found = library()
    assert found, "no source files"
    return found
