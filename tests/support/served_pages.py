"""A program that serves pages, in a process of its own, begun as its guide says."""

import subprocess
import sys
import time
from contextlib import contextmanager

import httpx

from .wheel import ROOT


@contextmanager
def served_pages(*arguments, port, **settings):
    """The address of ``python -m ...``, once it answers; the process is killed behind the block."""
    with subprocess.Popen([sys.executable, "-m", *arguments, "--port", str(port)], cwd=ROOT, **settings) as process:
        url = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 90  # a process that begins, on a busy machine
        while process.poll() is None and time.monotonic() < end and not answers(url):
            time.sleep(0.1)
        yield url
        process.kill()  # a browser still asks for the page, which a server would wait for


def answers(url):
    """Whether the page is there."""
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
