"""Store the names that ``dynamorm`` exports in the list that tests/architecture compares with, after a deliberate change."""

from __future__ import annotations

from pathlib import Path

import dynamorm

STORED = Path(__file__).resolve().parent.parent / "tests" / "architecture" / "public_names.txt"

STORED.write_text("".join(f"{name}\n" for name in sorted(dynamorm.__all__)))
print(f"{len(dynamorm.__all__)} names in {STORED}")
