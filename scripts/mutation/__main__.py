"""Usage: ``python -m scripts.mutation run [AREA...] [--sample 200 --seed 1]``, ``page``, ``rules``; see ``--help``."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter

import pytest

from .areas import AREAS
from .ledger import Ledger, unexplained
from .left_alone import RULES
from .mutants import Mutant, mutants_of
from .page import write
from .runner import Asked, Runner, arguments_of, environment


def chosen(area: str, sample: int, seed: int, *, again: bool) -> list[Mutant]:
    """The mutants of an area that are tried: all, or so many, drawn with a seed; ``again``: those that were tried before."""
    every = [mutant for module in AREAS[area].files() for mutant in mutants_of(module)[0]]
    if again:
        ever = Ledger(area).ever
        return [one for one in every if one.key in ever]
    if not sample or sample >= len(every):
        return every
    return random.Random(seed).sample(every, sample)  # noqa: S311 - no secret


def run(area: str, asked: argparse.Namespace, until: float) -> None:
    """Try the mutants of one area in this process."""
    mutants = chosen(area, asked.sample, asked.seed, again=asked.again)
    if asked.only:
        mutants = [one for one in mutants if any(word in one.key for word in asked.only)]
    terminal = sys.__stdout__

    def say(line: str) -> None:
        print(f"[{area}] {line}", file=terminal, flush=True)

    ledger = Ledger(area)
    tests = asked.tests or AREAS[area].test_files()
    began = time.monotonic()
    say(f"{len(mutants)} mutants")
    # Areas with the same tests are watched together.
    modules = sorted({name for one in AREAS.values() if one.tests == AREAS[area].tests for name in one.files()})
    plan = Asked(mutants, modules, tests, asked.seconds, asked.again, until, asked.cases)
    pytest.main([*arguments_of(tests), "-s", "--no-header", "--no-summary"], plugins=[Runner(plan, ledger, say)])
    results = [ledger.results[one.key] for one in mutants if one.key in ledger.results]
    counts = Counter(one.became for one in results)
    killed = len(results) - counts["survived"]
    say(f"{killed} of {len(results)} found in {time.monotonic() - began:.0f} s: {dict(counts)}")
    for one in unexplained(results):
        say(f"without a reason: {one.key}")


def main() -> None:
    """Do what was asked."""
    parser = argparse.ArgumentParser(prog="python -m scripts.mutation", description=__doc__)
    parser.add_argument("what", choices=["run", "list", "page"])
    parser.add_argument("area", nargs="*", choices=[[], *AREAS])
    parser.add_argument(
        "--sample", type=int, default=0, help="so many mutants of each area, drawn by --seed (default: all)"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=20, help="tests of so many seconds are asked about a mutant")
    parser.add_argument("--cases", type=int, default=16, help="so many cases of each test are asked")
    parser.add_argument("--minutes", type=float, default=1e6, help="stop then; the same command goes on from there")
    parser.add_argument(
        "--again", action="store_true", help="try those that survived, or whose module has changed, once more"
    )
    parser.add_argument("--only", nargs="+", help="only mutants whose names have one of these words")
    parser.add_argument("--tests", nargs="+", help="these files of tests alone")
    asked = parser.parse_args()
    until = time.monotonic() + asked.minutes * 60
    environment()
    areas = asked.area or list(AREAS)
    if asked.what == "page":
        write(asked.seed, asked.seconds)
    elif asked.what == "list":
        left: Counter[str] = Counter()
        for area in areas:
            for module in AREAS[area].files():
                found, not_made = mutants_of(module)
                left += not_made
                print(f"{len(found):5} {module}")
        for rule, words in RULES.items():
            print(f"{left[rule]:5} places left alone: {rule} ({words})")
    elif len(areas) == 1:
        run(areas[0], asked, until)
    else:
        for area in areas:  # each in an interpreter of its own: what one has imported costs the next one time
            spawn(area, asked)


def spawn(area: str, asked: argparse.Namespace) -> None:
    """Try the mutants of one area in another process."""
    import subprocess

    command = [sys.executable, "-m", "scripts.mutation", "run", area]
    command += [
        "--sample",
        str(asked.sample),
        "--seed",
        str(asked.seed),
        "--seconds",
        str(asked.seconds),
        "--cases",
        str(asked.cases),
    ]
    command += ["--minutes", str(asked.minutes)] + (["--again"] if asked.again else [])
    subprocess.run(command, check=False)


if __name__ == "__main__":
    main()
