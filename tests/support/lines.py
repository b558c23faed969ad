"""Lines that processes write to a file while others read it, and while they are killed: a line is there whole, or left out.

A write of a few bytes is not atomic for a reader: where it crosses the border of two pages, its first half is seen first, and a process
that is killed there leaves it for good. So each line begins with a line feed, too: what was cut off stands alone.
"""

import json
import os


def write(file, content):
    """Write this, as JSON, to a descriptor that was opened to append."""
    os.write(file, b"\n" + json.dumps(content).encode() + b"\n")


def read(path):
    """What was written to this file so far, in order; nothing where there is none."""
    found = []
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:  # empty, or cut off
            continue
    return found
