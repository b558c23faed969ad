"""Makes a screenshot small: a PNG of 256 colours. Of text on plain grounds nobody sees the difference."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place < len(png):
        (length,) = struct.unpack_from(">I", png, place)
        yield png[place + 4 : place + 8], png[place + 8 : place + 8 + length]
        place += 12 + length


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack_from(">II", png, 16)
    return width, height


def smaller(png: bytes) -> bytes:
    """The same picture in 256 colours, the rarest of which become the nearest ones. Chromium writes such a one with ``optimizeForSpeed``."""
    width, height = size_of(png)
    header = next(body for kind, body in _chunks(png) if kind == b"IHDR")
    assert header[8:10] == b"\x08\x02", "three bytes for each pixel"
    raw = zlib.decompress(b"".join(body for kind, body in _chunks(png) if kind == b"IDAT"))
    rows = list(_rows(raw, 3 * width))
    assert len(rows) == height
    pixels = [list(zip(row[0::3], row[1::3], row[2::3], strict=True)) for row in rows]
    palette, numbers = _palette(Counter(pixel for row in pixels for pixel in row))
    packed = zlib.compress(b"".join(b"\0" + bytes(map(numbers.__getitem__, row)) for row in pixels), 9)
    shape = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _chunk(kind, body) for kind, body in ((b"IHDR", shape), (b"PLTE", palette), (b"IDAT", packed), (b"IEND", b""))
    )


def _rows(raw: bytes, length: int) -> Iterator[bytes]:
    above = bytes(length)
    for begin in range(0, len(raw), 1 + length):
        kind, row = raw[begin], raw[begin + 1 : begin + 1 + length]
        assert kind in {0, 2}, "a filter that is not known here: take the screenshot with optimizeForSpeed"
        above = row if kind == 0 else bytes((one + other) & 255 for one, other in zip(row, above, strict=True))
        yield above


def _palette(counts: Counter[tuple[int, int, int]]) -> tuple[bytes, dict[tuple[int, int, int], int]]:
    kept = [colour for colour, _ in counts.most_common(256)]
    numbers = {colour: number for number, colour in enumerate(kept)}
    for colour in counts.keys() - numbers.keys():
        numbers[colour] = min(
            range(len(kept)), key=lambda at: sum((a - b) ** 2 for a, b in zip(kept[at], colour, strict=True))
        )
    return bytes(part for colour in kept for part in colour), numbers


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
