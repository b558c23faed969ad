"""``python -m benchmarks.profile``: where the hot paths spend their time, as a note in Markdown.

py-spy looks at a child that does one piece of work over and over, a hundred times a second, down into C. The child has a
core of its own where there are two, so that the server's work is not taken for time in ``send``. strace, where the machine
has it, counts the system calls. ``--source`` profiles another source tree, so that two notes can be compared.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import re
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import machine, payload, stacks, worker
from benchmarks.child import ROOT, environment
from benchmarks.libraries import BY_NAME
from benchmarks.server import Server
from benchmarks.work import BY_NAME as WORKS

_WORKS = ("get", "put", "update", "query-100", "batch-get-100", "batch-write-100", "transaction-10", "gets-64")
PATHS = (*(f"dynamorm {work}" for work in _WORKS), "dynamorm-async get", "dynamorm-async gets-64")
"""What is profiled: library and work."""
RATE = 100
"""Samples per second. More would leave the caches cold between them."""
TOP = 12
"""Functions of each path in the note."""
WARM = 0.5
FEW, MORE = 128, 384
"""Operations under strace: the difference between two runs has neither start nor end in it. Multiples of 64 tasks."""
TIMEOUT = 180
HOW = (
    f"py-spy, {RATE} samples a second down into C, of DynamORM doing one thing over and over on a core of its own. Percent "
    "of the time in which it worked: what it waited, for a reply or for the interpreter's lock, is left out. Own time: what "
    "a function calls counts for that one, but the interpreter's own work and C without a layer count for the function of "
    "Python that caused them. Of the 64 threads of the blocking face only the one with the interpreter's lock is seen, "
    "and system calls are made without it. A few percent are chance."
)
PR_SET_PTRACER, ANYBODY = 0x59616D61, -1


class Profile(NamedTuple):
    """What was found of one path."""

    library: str
    work: str
    shares: stacks.Shares
    cpu: float
    """µs of one operation, measured without py-spy."""
    calls: dict[str, float] | None
    """System calls of one operation by name; None without strace."""

    @property
    def title(self) -> str:
        """For people."""
        return WORKS[self.work].title + (" (asyncio)" if BY_NAME[self.library].face == "async" else "")


def main() -> None:
    """Run as a command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.profile", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--source", type=Path, default=ROOT / "src", help="the folder that holds the package dynamorm")
    parser.add_argument("--only", default=",".join(PATHS), help=f"comma-separated: {', '.join(PATHS)}")
    parser.add_argument("--seconds", type=int, default=15, help="how long each is looked at (default 15)")
    parser.add_argument("--title", default="", help="for instance: before")
    parser.add_argument("--output", type=Path, help="a Markdown file; else the note is printed")
    parser.add_argument("--child", nargs=3, metavar=("PATH", "ENDPOINT", "COUNT"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child is not None:
        child(*asked.child)
        return
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) > 1:
        os.sched_setaffinity(0, set(cores[:-1]))  # ours, the server's and py-spy's; the child takes the last
    environment_of = environment(asked.source.resolve())
    found = []
    with Server(payload.routes()) as server:
        about = machine.machine(server.kind) | {"cores": len(cores) or machine.machine("")["cores"]}
        for path in asked.only.split(","):
            print(path, file=sys.stderr, flush=True)
            try:
                found.append(profiled(path, server.endpoint, environment_of, asked.seconds, cores[-1:]))
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{path}: left out: {error}", file=sys.stderr)
    if not found:
        sys.exit("nothing could be profiled")
    note = "\n".join(page(found, about, asked.title))
    if asked.output is None:
        print(note)
    else:
        asked.output.write_text(note)


# --------------------------------------------------------------------------------------------------------------- child


def child(path: str, endpoint: str, count: str) -> None:
    """Do the work so many times; with a count of 0 as long as there is somebody to read what is printed."""
    library, work = path.split()
    if sys.platform == "linux":  # py-spy is not our parent, and needs to be allowed
        ctypes.CDLL(None).prctl(PR_SET_PTRACER, ctypes.c_ulong(ANYBODY), 0, 0, 0)
    face = worker.connected(library, endpoint)
    operation = WORKS[work].prepare(face.library)
    timed = face.timed(WORKS[work], operation)
    if int(count):
        timed(int(count))
    else:
        worker.measure(timed, WORKS[work].tasks, WARM)
        figures = worker.measure(timed, WORKS[work].tasks, WARM)
        print(figures["cpu"], flush=True)
        while os.getppid() != 1:
            timed(int(figures["count"]))
    face.close()


# -------------------------------------------------------------------------------------------------------------- parent


def profiled(path: str, endpoint: str, env: dict[str, str], seconds: int, core: list[int]) -> Profile:
    """One path. Raises RuntimeError with what the child or py-spy complains of."""
    library, work = path.split()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.profile", "--child", path, endpoint]
    process = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=env)
    try:
        if core:
            os.sched_setaffinity(process.pid, core)
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{path}: the child ended")
        threads = WORKS[work].tasks > 1 and BY_NAME[library].face == "sync"
        shares = spied(process.pid, 2 * seconds if threads else seconds, ["--gil"] if threads else [])
    finally:
        process.kill()
        process.wait()
    return Profile(library, work, shares, float(line), traced(command, env))


def spied(pid: int, seconds: int, more: list[str]) -> stacks.Shares:
    """What py-spy sees of a process. Raises RuntimeError with its reason when it cannot look.

    Many threads cannot be stopped all at once: while the first are, the others queue for the interpreter's lock, and that
    is what would be seen. So of those only the one that has the lock is looked at.
    """
    spy = shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if spy is None:
        raise RuntimeError("py-spy is missing: pip install dynamorm-py[bench]")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "stacks"
        options = ["--native", "--rate", str(RATE), "--duration", str(seconds), "--format", "raw", *more]
        ran = subprocess.run(
            [spy, "record", *options, "--output", str(target), "--pid", str(pid)],
            capture_output=True,
            text=True,
            timeout=seconds + TIMEOUT,
            check=False,
        )
        if ran.returncode or not target.exists():
            raise RuntimeError(f"py-spy: {(ran.stderr.strip().splitlines() or ['it failed'])[-1]}")
        return stacks.sort(target.read_text(errors="replace").splitlines())


def traced(command: list[str], env: dict[str, str]) -> dict[str, float] | None:
    """System calls of one operation, by name; None where strace is missing or may not look."""
    if shutil.which("strace") is None:
        return None
    counts = []
    for count in (FEW, MORE):
        with tempfile.NamedTemporaryFile("r") as target:
            ran = subprocess.run(
                ["strace", "-f", "-c", "-o", target.name, *command, str(count)],
                capture_output=True,
                cwd=ROOT,
                env=env,
                timeout=TIMEOUT,
                check=False,
            )
            if ran.returncode:
                return None
            counts.append(counted(target.read()))
    few, more = counts
    found = {name: (calls - few.get(name, 0)) / (MORE - FEW) for name, calls in more.items()}
    return {name: calls for name, calls in sorted(found.items(), key=lambda one: -one[1]) if calls >= 0.05}


def counted(table: str) -> dict[str, int]:
    """The calls by name of strace's table.

    Example: ``counted("  1.00  0.1  3  70  recvfrom") == {"recvfrom": 70}``
    """
    row = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.MULTILINE)
    return {name: int(calls) for calls, name in row.findall(table) if name != "total"}


# ---------------------------------------------------------------------------------------------------------------- note


def page(found: list[Profile], about: dict[str, Any], title: str) -> list[str]:
    """The note."""
    where = f"{about['processor']}, {about['cores']} cores, {about['system']}, {about['python']}"
    lines = [
        f"# Where the time goes{': ' if title else ''}{title}",
        "",
        f"Made by `python -m benchmarks.profile` on {datetime.now(UTC):%Y-%m-%d}; {where}; canned server: {about['server']}.",
        "",
        HOW,
        "",
        "## By layer, in percent",
        "",
    ]
    names = [name for name in stacks.LAYERS if any(one.shares.layers[name] for one in found)]
    head = ["", *(one.title for one in found)]
    rows = [["CPU, µs per operation", *(f"{one.cpu:,.0f}" for one in found)]]
    rows += [[name, *(_percent(one.shares.layers[name], _worked(one)) for one in found)] for name in names]
    rows.append(["samples", *(f"{_worked(one):,}" for one in found)])
    lines += _table(head, rows)
    if all(one.calls is not None for one in found):
        lines += ["## System calls per operation", "", *_table(["", "all", "which"], [_calls(one) for one in found])]
    for one in found:
        lines += [f"## {one.title}: own time of functions", ""]
        lines += _table(["percent", "layer", "function"], _functions(one))
    return lines


def _worked(one: Profile) -> int:
    return one.shares.total - one.shares.layers[stacks.MEASURING]


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if part and whole else "-"


def _calls(one: Profile) -> list[str]:
    calls = one.calls or {}
    return [one.title, f"{sum(calls.values()):.1f}", ", ".join(f"{name} {count:.1f}" for name, count in calls.items())]


def _functions(one: Profile) -> list[list[str]]:
    ours = [
        (what, where, seen) for (what, where), seen in one.shares.functions.most_common() if where != stacks.MEASURING
    ]
    return [[_percent(seen, _worked(one)), where, f"`{what}`"] for what, where, seen in ours[:TOP]]


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    ruler = ("---" if name in {"", "layer", "function", "which"} else "---:" for name in head)
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(ruler) + "|"]
    return [*lines, *("| " + " | ".join(row) + " |" for row in rows), ""]


if __name__ == "__main__":
    main()
