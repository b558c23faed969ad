"""Walk the way of somebody who has never seen the project, and print the time of each step: less than two minutes in all.

    python scripts/strangers_path.py [--pictures FOLDER]

The wheel is built, and installed into a bare environment with what the package index has for it, and nothing of this tree. There
`dynamorm init shop` makes a project, whose tests are run, and whose page is opened and used. Where the machine has a Chromium, pictures
of the page are taken: on a desktop, in the dark, and on a phone.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST = 120
_HIDDEN = ("PYTHONPATH", "AWS_", "DYNAMO", "VIRTUAL_ENV")
PICTURES = {
    "desktop": ("--window-size=1000,700",),
    "dark": ("--window-size=1000,700", "--force-dark-mode", "--blink-settings=preferredColorScheme=0"),
    "phone": ("--window-size=500,800",),
}


class Steps:
    """The steps of the way, each with its time."""

    def __init__(self) -> None:
        self.begun = time.monotonic()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Print how long it took."""
        begun = time.monotonic()
        yield
        print(f"{time.monotonic() - begun:6.1f} s  {name}", flush=True)

    @property
    def seconds(self) -> float:
        """Of all of them."""
        return time.monotonic() - self.begun


def environ() -> dict[str, str]:
    """The environment of a process that knows neither this tree nor a database."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}


def run(*command: object, cwd: Path) -> str:
    """Run a command, whose output is shown where it fails. Returns it."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environ(), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def walk(place: Path, pictures: Path | None) -> float:
    """The whole way, in an empty folder. Returns its seconds."""
    steps = Steps()
    python = place / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    with steps.step("the wheel is built"):
        run(*pip, "wheel", "--no-deps", "--wheel-dir", place, ROOT, cwd=place)
    (wheel,) = place.glob("*.whl")
    with steps.step("a bare environment is made"):
        run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=place)
    with steps.step("the wheel is installed with the extras cli and testing"):
        run(*pip, "--python", python, "install", "--no-compile", f"{wheel}[cli,testing]", cwd=place)
    where = Path(run(python, "-c", "import dynamorm; print(dynamorm.__file__)", cwd=place).strip())
    assert where.is_relative_to(place), where
    with steps.step("dynamorm init shop"):
        run(python.with_name("dynamorm"), "init", "shop", cwd=place)
    project = place / "shop"
    with steps.step("the tests of the project"):
        tested = run(python, "-m", "pytest", "-q", cwd=project)
    print(f"{'':10}{tested.strip().splitlines()[-1]}")
    command = [str(python), "-m", "shop.page", "0"]
    with subprocess.Popen(command, cwd=project, env=environ(), stdout=subprocess.PIPE, text=True) as child:
        try:
            with steps.step("its page is served, and shows the products"):
                assert child.stdout is not None
                url = child.stdout.readline().split()[3]
                assert "Coffee" in opened(url)
            with steps.step("a product is bought"):
                assert "You bought one: Tea." in opened(url, b"buy=tea")
            if pictures is not None:
                with steps.step(f"pictures of it, in {pictures}"):
                    photograph(url, pictures)
        finally:
            child.terminate()
    return steps.seconds


def opened(url: str, data: bytes | None = None) -> str:
    """The page at an address, as a browser gets it."""
    with urllib.request.urlopen(url, data, timeout=30) as answer:  # noqa: S310 - it is the page of our own child
        assert answer.status == 200
        text: str = answer.read().decode()
        return text


def photograph(url: str, folder: Path) -> None:
    """Take the pictures, where the machine has a Chromium."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        print("          no Chromium on this machine")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name, options in PICTURES.items():
        target = folder.resolve() / f"shop-{name}.png"
        always = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
        run(browser, *always, *options, f"--screenshot={target}", f"{url}/?bought=tea", cwd=folder)
        assert target.stat().st_size > 5_000


def main(arguments: list[str] | None = None) -> int:
    """Walk. Returns 1 where it took too long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=Path, help="a folder for pictures of the page")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        seconds = walk(Path(folder), given.pictures)
    cpu = sum(os.times()[:4])
    print(f"{seconds:6.1f} s  in all, at most {MOST}; {cpu:.1f} s of processor time, load {os.getloadavg()[0]:.1f}")
    return int(seconds > MOST)


if __name__ == "__main__":
    sys.exit(main())
