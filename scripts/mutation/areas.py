"""Which modules are meant, why, and which tests are asked about them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "dynamorm"


SLOW = tuple(
    f"_{word}.py"
    for word in (
        "cost",
        "kills",
        "processes",
        "crashes",
        "canaries",
        "frames",
        "search",
        "simulation",
        "random",
        "lossy",
    )
)
"""What takes long, in which chance plays, or that asks other processes, where no mutant is."""


class Area(NamedTuple):
    """Modules that belong together. ``modules`` and ``tests`` are patterns, from the package and from the checkout."""

    title: str
    why: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> list[str]:
        """The modules, named from the package."""
        found = {path.relative_to(PACKAGE).as_posix() for pattern in self.modules for path in PACKAGE.glob(pattern)}
        return sorted(name for name in found if not name.endswith("__init__.py"))

    def test_files(self) -> list[str]:
        """The files of tests, named from the checkout."""
        found = {path.relative_to(ROOT).as_posix() for pattern in self.tests for path in ROOT.glob(pattern)}
        return sorted(name for name in found if not name.endswith(SLOW))


_FAULTS = (
    "append_only", "batch_write", "budget", "cancelled", "capacity_asked", "clock", "counters", "credentials", "deadlines", "http", "integrity",
    "late", "late_copies", "leases", "looking", "partiql", "random", "refused", "resolve", "server_errors", "settling", "siblings",
    "spending", "strange_answers", "throttling", "traceless", "transactions", "transactions_several", "transport",
)  # fmt: skip
_BEHAVIOUR = (
    "append_only", "batch_write", "inheritance", "items", "kept_answers", "read_rules", "rules_and_errors",
    "rules_and_tokens", "rules_and_verbs", "rules_that_read", "save", "save_defaults", "scope_moments", "siblings",
    "spool_proof", "times", "token_ring", "transactions", "unique", "update", "upsert", "versions", "who_is_to_blame",
    "write_rules",
)  # fmt: skip
_CORE = (
    *(f"tests/faults/test_{name}.py" for name in _FAULTS),
    *(f"tests/behaviour/test_{name}.py" for name in _BEHAVIOUR),
    "tests/bad_input/test_expressions.py",  # what arguments may be
    "tests/plugins/test_encryption_unique_migration.py",  # items whose fields need a key to be read
    "tests/plugins/test_batcher_spool*.py",  # a batch that is replayed proves whose its items are
)

AREAS = {
    "attempts": Area(
        "attempts",
        "the one place where a failed attempt becomes another one, a certain refusal, or an unknown outcome",
        ("ops/calls/attempts.py",),
        _CORE,
    ),
    "ring": Area(
        "token ring",
        "what proves that a write was applied, and the condition that an item is as it was loaded",
        ("ops/writes/token_ring.py", "ops/writes/version_check.py"),
        _CORE,
    ),
    "settle": Area(
        "settle",
        "what became of a single write, or of an item of a batch, whose answer was lost",
        ("ops/writes/settle.py", "ops/writes/write.py", "ops/verbs/batch_proof.py"),
        _CORE,
    ),
    "tokened": Area(
        "tokened",
        "the one way of a transaction: its token is sent again, or spent",
        ("ops/writes/tokened.py",),
        _CORE,
    ),
    "idempotency": Area(
        "idempotency",
        "an operation of a payment runs once, and its result is given again",
        ("plugins/idempotency/*.py", "features/records.py"),
        ("tests/plugins/test_idempotency*.py", "tests/payments/test_middleware.py", "tests/payments/test_handlers.py"),
    ),
    "tenancy": Area(
        "tenancy",
        "no tenant meets another one's items",
        ("plugins/tenancy/*.py",),
        ("tests/plugins/test_tenancy*.py", "tests/payments/test_tenants.py"),
    ),
    "encryption": Area(
        "encryption",
        "what is sealed stays so, keys are used as they were meant, and a forged envelope is refused",
        ("plugins/encryption/*.py", "plugins/encryption/fields/*.py", "plugins/encryption/rewriting/*.py"),
        ("tests/plugins/test_encryption*.py", "tests/plugins/test_ephemeral.py"),
    ),
    "audit": Area(
        "audit",
        "each change leaves a record, and a changed, missing or foreign record is found",
        ("plugins/audit/*.py", "plugins/audit/protected/*.py"),
        ("tests/plugins/test_audit*.py", "tests/plugins/test_encryption_audit*.py"),
    ),
    "cursors": Area(
        "cursors",
        "a cursor from outside opens no other query, tenant or table",
        ("ops/queries/cursor.py", "config/secret_keys.py"),
        (
            "tests/bad_input/test_queries.py",
            "tests/behaviour/test_cursor.py",
            "tests/behaviour/test_multi_attribute_keys.py",
            "tests/behaviour/test_parallel_scan.py",
            "tests/behaviour/test_query_paging.py",
            "tests/behaviour/test_scoped_keys.py",
            "tests/behaviour/test_sharding.py",
            "tests/config/test_config_secrets.py",
        ),
    ),
}
