"""Whether every public symbol of the package has a known type: ``pyright --verifytypes``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from .steps import ROOT, Failed, clean


def complete(cwd: Path = ROOT) -> str:
    """How many symbols there are. Raises: Failed where one of them has no known type."""
    command: list[str | Path] = [
        Path(sys.executable).with_name("pyright"),
        "--verifytypes",
        "dynamorm",
        "--ignoreexternal",
        "--outputjson",
    ]
    path = (
        f"{Path(sys.executable).parent}:{clean().get('PATH', '')}"  # pyright asks the python on it where the package is
    )
    done = subprocess.run(command, cwd=cwd, env={**clean(), "PATH": path}, capture_output=True, text=True, check=False)
    try:
        found = json.loads(done.stdout)["typeCompleteness"]
    except (ValueError, KeyError):
        raise Failed(f"pyright --verifytypes ended with {done.returncode}:\n{done.stdout}{done.stderr}") from None
    counts, score = found["exportedSymbolCounts"], found["completenessScore"]
    if score != 1 or done.returncode:
        untyped = [one["name"] for one in found["symbols"] if not one["isTypeKnown"] or one["isTypeAmbiguous"]]
        raise Failed(f"{score:.4%} of the symbols have a known type; without one are:\n" + "\n".join(untyped[:50]))
    return f"{counts['withKnownType']} symbols, 100 % with a known type"


if __name__ == "__main__":
    try:
        print(complete())
    except Failed as error:
        sys.exit(str(error))
