"""One mutant in an interpreter of its own: ``python -m scripts.mutation.fresh MODULE NUMBER TESTS...``. Exit 0: it survived."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from .living import at_import
from .runner import KILLED, SURVIVED, arguments_of, calm, environment


class _Asked:
    """Runs the tests in the order that was asked for, until one fails twice."""

    def __init__(self, order: list[str]) -> None:
        self.order = order
        self.failed = False
        self.found = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        calm()

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or report.failed

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: Any) -> bool:
        items = {item.nodeid: item for item in session.items}
        if session.testsfailed or not items:  # a file of tests cannot even be imported
            self.found = True
            return True
        for number, name in enumerate(self.order):
            if name in items and not self._run(items[name]) and not self._run(items[name]):
                print(f"at {number}", file=sys.__stdout__, flush=True)
                self.found = True
                break
        return True

    def _run(self, item: Any) -> bool:
        self.failed = False
        item._initrequest()  # noqa: SLF001 - what plugins that run tests again do
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)
        return not self.failed


def main() -> None:
    """Import one module with its mutant, and run tests."""
    module, place, *tests = sys.argv[1:]
    environment()
    try:
        at_import(module, int(place))
    except Exception:  # noqa: BLE001 - not even the import comes to an end with it
        sys.exit(KILLED)
    asked = _Asked(tests)
    # Whole files, since a case may have a name that pytest does not take back.
    code = pytest.main(arguments_of([*dict.fromkeys(one.partition("::")[0] for one in tests)]), plugins=[asked])
    if not asked.found and code != pytest.ExitCode.OK:
        raise SystemExit(f"pytest ended with {code!r}")
    sys.exit(KILLED if asked.found else SURVIVED)


if __name__ == "__main__":
    main()
