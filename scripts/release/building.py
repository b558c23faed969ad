"""The wheel and the source distribution, built from clean clones: the same commit gives the same bytes."""

from __future__ import annotations

import hashlib
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

from .steps import ROOT, Failed, run


class Source(NamedTuple):
    """The commit that is released: its id, its time, and how many changes of the working tree are not in it."""

    commit: str
    time: int
    left_out: int


class Packages(NamedTuple):
    """What was built."""

    wheel: Path
    sdist: Path


def source(root: Path = ROOT) -> Source:
    """The commit of a repository."""
    commit, time = run("git", "log", "-1", "--format=%H %ct", cwd=root).split()
    return Source(commit, int(time), len(run("git", "status", "--porcelain", cwd=root).splitlines()))


def clone(into: Path, commit: str, root: Path = ROOT) -> Path:
    """A clone without anything that is not committed."""
    run("git", "clone", "--quiet", "--no-checkout", "--no-hardlinks", root, into)
    run("git", "checkout", "--quiet", "--detach", commit, cwd=into)
    return into


def build(tree: Path, into: Path, time: int, *, kinds: tuple[str, ...] = ("--sdist", "--wheel")) -> None:
    """Build with the pinned builder of the extra ``release``, whose version stands in the wheel."""
    command = (sys.executable, "-m", "build", "--no-isolation", *kinds, "--outdir", into, tree)
    run(*command, env={"SOURCE_DATE_EPOCH": str(time)})


def packages(folder: Path) -> Packages:
    """The two files in a folder. Raises: Failed where there are others."""
    wheels, sdists = sorted(folder.glob("*.whl")), sorted(folder.glob("*.tar.gz"))
    if (len(wheels), len(sdists), len([*folder.iterdir()])) != (1, 1, 2):
        raise Failed(f"{folder} must hold one wheel and one source distribution: {sorted(folder.iterdir())}")
    return Packages(wheels[0], sdists[0])


def same(one: Path, other: Path) -> str:
    """The digest of two files. Raises: Failed where they differ."""
    first, second = (hashlib.sha256(path.read_bytes()).hexdigest() for path in (one, other))
    if first != second:
        raise Failed(f"two builds of {one.name} differ: {first} and {second}")
    return first


def wheel_of(sdist: Path, scratch: Path, time: int) -> Path:
    """The wheel that a source distribution gives to who installs from it."""
    with tarfile.open(sdist) as archive:
        archive.extractall(scratch, filter="data")
    (tree,) = scratch.iterdir()
    build(tree, scratch / "wheel", time, kinds=("--wheel",))
    (wheel,) = (scratch / "wheel").glob("*.whl")
    return wheel
