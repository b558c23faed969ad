"""Build the files of a release from clean clones of this commit, check them, and print what was found.

    python -m scripts.release [--out FOLDER] [--without-types]

Everything is in ``build/release`` afterwards: the packages, two lists of components, and SHA256SUMS.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from . import building, contents, installing, materials, typed
from .steps import ROOT, Failed, Steps, run


def release(out: Path, scratch: Path, steps: Steps, *, types: bool) -> None:
    """All of it. Raises: Failed with the first thing that is wrong."""
    made = out / "packages"
    source = building.source()
    version = contents.version()
    print(f"dynamorm-py {version}, commit {source.commit}")
    if source.left_out:
        print(f"{source.left_out} changes of the working tree are not committed, and no part of it")
    with steps.step("two clones") as told:
        trees = [building.clone(scratch / name, source.commit) for name in ("one", "two")]
        told.append(source.commit[:12])
    with steps.step("built twice, the same bytes") as told:
        building.build(trees[0], made, source.time)
        building.build(trees[1], scratch / "again", source.time)
        built, again = building.packages(made), building.packages(scratch / "again")
        told += [f"{one.name} {building.same(one, other)[:12]}" for one, other in zip(built, again, strict=True)]
    with steps.step("the wheel of the source distribution is the same"):
        building.same(built.wheel, building.wheel_of(built.sdist, scratch / "sdist", source.time))
    with steps.step("contents") as told:
        _refuse(contents.faults_of_wheel(built.wheel, trees[0]) + contents.faults_of_sdist(built.sdist, trees[0]))
        told += [f"{path.suffix.lstrip('.')} {path.stat().st_size:,} bytes" for path in built]
        told.append(f"{len(contents.tracked(trees[0]))} files of the package")
    with steps.step("metadata") as told:
        run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built)
        told.append("twine check --strict passed")
    if types:
        with steps.step("types") as told:
            told.append(typed.complete())
    tried = _try_out(built.wheel, scratch, steps, version)
    with steps.step("lists of components") as told:
        extras = sorted(installing.FOR_PROGRAMS)
        everything = installing.environment(tried, scratch / "extras", built.wheel, extras)
        core = len(materials.components(scratch / "core" / "bin" / "python", out / "sbom-core.cdx.json", source.time))
        whole = len(materials.components(everything, out / "sbom-extras.cdx.json", source.time))
        told.append(f"{core} components of the core, {whole} with the extras {', '.join(extras)}")
    with steps.step("checksums") as told:
        told.append(f"{materials.checksums(out)} files")
        run("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=out)


def _refuse(faults: list[str]) -> None:
    if faults:
        raise Failed("\n".join(faults))


def _try_out(wheel: Path, scratch: Path, steps: Steps, version: str) -> Path:
    """Install and run the wheel on every CPython that is there; the first one's environment is the core. Returns that one."""
    first: Path | None = None
    for wanted in installing.VERSIONS:
        python = installing.python_of(wanted)
        if python is None:
            steps.rows.append((f"CPython {wanted}", 0.0, "not on this machine, skipped"))
            print(f"          CPython {wanted}: not on this machine, skipped")
            continue
        with steps.step(f"CPython {wanted}") as told:
            inside = installing.environment(python, scratch / ("core" if first is None else wanted), wheel)
            told.append(
                f"installed into a bare environment; run from there: {installing.try_out(inside, scratch / f'work-{wanted}', version)}"
            )
        first = first or python
    if first is None:
        raise Failed("no CPython of these was found: " + ", ".join(installing.VERSIONS))
    return first


def main(arguments: list[str] | None = None) -> int:
    """Make the release. Returns 1 where something is wrong with it."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "release", help="where the files are put; what is there is removed"
    )
    parser.add_argument(
        "--without-types", action="store_true", help="leave pyright out, where `make lint` has run it already"
    )
    given = parser.parse_args(arguments)
    out: Path = given.out.resolve()
    if out.exists() and any(out.iterdir()) and not (out / "packages").is_dir():
        parser.error(f"{out} is no folder of a release: give an empty one")
    shutil.rmtree(out, ignore_errors=True)
    (out / "packages").mkdir(parents=True)
    steps = Steps()
    with tempfile.TemporaryDirectory(prefix="release-") as folder:
        try:
            release(out, Path(folder), steps, types=not given.without_types)
        except Failed as error:
            print(f"\nNO RELEASE: {error}", file=sys.stderr)
            return 1
        print(
            f"\n{steps.table()}\n\nthe files are in {out}", flush=True
        )  # before the scratch is removed, which takes a while
    return 0


if __name__ == "__main__":
    sys.exit(main())
