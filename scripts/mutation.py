"""Ask the tests whether they notice small faults: each mutant is one changed place of a module, and must fail a test.

Usage: ``python scripts/mutation.py ops/writes/settle.py ops/writes/write.py --tests tests/faults --sample 100 [--workers 2] [--seed 1]``

The modules are named from ``src/dynamorm``. Everything happens in a copy of the checkout. First coverage notes which tests
run which line; then each mutant meets the tests that run its line, or all of them where only the import runs it. A run that
takes far too long counts as failed: the mutant made it endless.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
COMPARED = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult}
ENDLESS = 4.0
"""A mutant is endless when its tests take so many times what all tests took without it."""


class Mutant(NamedTuple):
    """One changed place: what stands from ``at`` to ``end`` of the module's text is replaced."""

    module: str
    line: int
    at: int
    end: int
    text: str
    what: str


def mutants(module: str, text: str) -> Iterator[Mutant]:
    """Every mutant of a module's text. Annotations and docstrings have none."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def made(node: ast.AST, new: str, what: str) -> Mutant:
        at = starts[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
        end = starts[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
        return Mutant(module, node.lineno, at, end, new, what)  # type: ignore[attr-defined]

    def walk(node: ast.AST) -> Iterator[Mutant]:
        for field, value in ast.iter_fields(node):
            if field in {"annotation", "returns", "decorator_list"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_left_alone(child):
                    yield from walk(child)
        yield from (made(node, new, what) for new, what in changed(node))

    yield from walk(ast.parse(text))


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert)


def changed(node: ast.AST) -> Iterator[tuple[str, str]]:
    """The texts that may stand in the place of a node, and what each of them is called."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        sign = COMPARED[type(node.ops[0])]
        left, right = ast.unparse(node.left), ast.unparse(node.comparators[0])
        yield f"({left} {sign} {right})", f"{type(node.ops[0]).__name__} -> {sign}"
    elif isinstance(node, ast.BoolOp):
        word = " or " if isinstance(node.op, ast.And) else " and "
        yield f"({word.join(f'({ast.unparse(one)})' for one in node.values)})", f"->{word}"
    elif isinstance(node, ast.BinOp) and type(node.op) in COMPUTED:
        other = ast.BinOp(node.left, COMPUTED[type(node.op)](), node.right)
        yield f"({ast.unparse(other)})", f"{type(node.op).__name__} -> {type(other.op).__name__}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield repr(not node.value), f"{node.value} -> {not node.value}"
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield repr(node.value + 1), f"{node.value} -> {node.value + 1}"
    elif isinstance(node, ast.If | ast.While) and not isinstance(node.test, ast.Constant):
        return  # its test is changed by itself
    elif isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
        yield "return None", "returns None"
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute):
        yield "pass", f"no longer sets {ast.unparse(node.targets[0])}"
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "pass", f"no longer calls {ast.unparse(node.value.func)}"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"({ast.unparse(node.operand)})", "not taken away"


class Copy:
    """A copy of the checkout, in which one mutant at a time may live."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in (
            "src",
            "tests",
            "benchmarks",
            "examples",
            "scripts",
            "docs",
            "README.md",
            "pyproject.toml",
            "CHANGELOG.md",
        ):
            here = ROOT / name
            if here.is_dir():
                shutil.copytree(here, place / name, ignore=shutil.ignore_patterns("__pycache__", ".mypy_cache"))
            else:
                shutil.copy2(here, place / name)

    def pytest(self, *arguments: str, seconds: float | None = None) -> int | None:
        """Run tests. Returns the exit code; None when it took too long."""
        paths = os.pathsep.join([str(self.place / "src"), str(self.place)])
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no", *arguments]
        environment = {**os.environ, "PYTHONPATH": paths, "DYNAMORM_TEST_RERUNS": "0", "PYTHONDONTWRITEBYTECODE": ""}
        with (self.place / "log").open("ab") as log:
            try:
                return subprocess.run(
                    command, cwd=self.place, env=environment, stdout=log, stderr=log, check=False, timeout=seconds
                ).returncode
            except subprocess.TimeoutExpired:
                return None

    def meets(self, mutant: Mutant, tests: list[str], seconds: float) -> str:
        """What becomes of a mutant: ``killed``, ``endless`` or ``survived``."""
        path = self.place / "src" / "dynamorm" / mutant.module
        before = path.read_bytes()
        path.write_bytes(before[: mutant.at] + mutant.text.encode() + before[mutant.end :])
        (self.place / "selection").write_text("\n".join(tests))
        try:
            code = self.pytest("-x", "-m", SELECTION, "@selection", seconds=seconds)
        finally:
            path.write_bytes(before)
        return {None: "endless", 0: "survived"}.get(code, "killed")


SELECTION = "not soak and not local"


def lines_run(copy: Copy, modules: list[str], tests: list[str]) -> dict[tuple[str, int], list[str]]:
    """The tests that run each line; those that only the import runs have none."""
    from coverage import CoverageData

    sources = [f"--cov={copy.place / 'src' / 'dynamorm' / Path(name).parent}" for name in modules]
    copy.pytest("-m", SELECTION, "-rf", "--cov-context=test", "--cov-report=", *dict.fromkeys(sources), *tests)
    # What is slowed down by being watched may miss a time limit: such a test has no say.
    failed = set(re.findall(r"^FAILED (\S+::.*?)(?: - .*)?$", (copy.place / "log").read_text("utf-8"), re.MULTILINE))
    print(f"without any mutant {len(failed)} tests fail while they are watched: they are left out", flush=True)
    data = CoverageData(str(copy.place / ".coverage"))
    data.read()
    found: dict[tuple[str, int], list[str]] = {}
    for name in modules:
        by_line = data.contexts_by_lineno(str(copy.place / "src" / "dynamorm" / name))
        for line, contexts in by_line.items():
            found[name, line] = sorted({one.rpartition("|")[0] for one in contexts if one} - failed)
    return found


def main() -> None:
    """Make the mutants, let each meet its tests, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="+")
    parser.add_argument("--tests", nargs="+", default=["tests/faults"])
    parser.add_argument("--sample", type=int, default=0, help="so many mutants, drawn by --seed (default: all)")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    copies = [Copy(folder / str(number)) for number in range(asked.workers)]
    began = time.monotonic()
    by_line = lines_run(copies[0], asked.modules, asked.tests)
    seconds = ENDLESS * (time.monotonic() - began)
    every = [one for name in asked.modules for one in mutants(name, (ROOT / "src/dynamorm" / name).read_text("utf-8"))]
    chosen = random.Random(asked.seed).sample(  # noqa: S311 - no secret
        every, min(asked.sample or len(every), len(every))
    )
    print(f"{len(every)} mutants, {len(chosen)} of them are tried in {folder}", flush=True)
    free, counts = list(copies), Counter[str]()

    def tried(mutant: Mutant) -> tuple[Mutant, str, int]:
        line = mutant.line
        while line > 1 and (mutant.module, line) not in by_line:
            line -= 1  # of a statement over several lines the first is noted
        tests = by_line.get((mutant.module, line), [])
        copy = free.pop()
        try:
            return mutant, copy.meets(mutant, tests or asked.tests, seconds), len(tests)
        finally:
            free.append(copy)

    with ThreadPoolExecutor(asked.workers) as pool:
        for number, (mutant, became, count) in enumerate(pool.map(tried, chosen), 1):
            counts[became] += 1
            if became == "survived":
                print(f"survived: {mutant.module}:{mutant.line} {mutant.what} ({count} tests)", flush=True)
            if number % 20 == 0:
                print(f"  {number} of {len(chosen)}: {dict(counts)}", flush=True)
    killed = len(chosen) - counts["survived"]
    print(f"{killed} of {len(chosen)} noticed ({killed / max(1, len(chosen)):.0%}): {dict(counts)}")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
