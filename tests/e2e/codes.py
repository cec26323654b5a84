"""Reads the pictures of a ticket: PNG and SVG into modules, modules into the text of the QR code.

Written against the PNG specification and not with the server's libraries; only finding the text in
the modules is zbar's.
"""

import re
import struct
import zlib

from pyzbar import pyzbar

SCALE = 4  # pixels per module that zbar is shown
QUIET = 4  # modules of white around a code that the standard asks for


def _chunks(png):
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at = 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at:at + 8])
        data = png[at + 8:at + 8 + size]
        crc, = struct.unpack(">I", png[at + 8 + size:at + 12 + size])
        assert crc == zlib.crc32(kind + data)
        yield kind, data
        at += 12 + size


def _unfilter(raw, stride, height):
    rows, above = [], bytes(stride)
    for y in range(height):
        kind = raw[y * (stride + 1)]
        line = bytearray(raw[y * (stride + 1) + 1:(y + 1) * (stride + 1)])
        for i in range(stride):
            a, b, c = line[i - 1] if i else 0, above[i], above[i - 1] if i else 0
            near = min((abs(b - c), 0, a), (abs(a - c), 1, b), (abs(a + b - 2 * c), 2, c))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, near)[kind]) & 255
        above = bytes(line)
        rows.append(above)
    return rows


def png_modules(png):
    """The dark modules as rows of booleans, the quiet zone cut off."""
    data, palette = b"", b"\0\0\0\xff\xff\xff"
    for kind, part in _chunks(png):
        if kind == b"IHDR":
            width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", part)
        elif kind == b"PLTE":
            palette = part
        elif kind == b"IDAT":
            data += part
    assert depth == 1 and colour in (0, 3) and not interlace and width == height
    rows = _unfilter(zlib.decompress(data), (width + 7) // 8, height)
    dark = [[palette[3 * (row[x >> 3] >> (7 - (x & 7)) & 1)] < 128 for x in range(width)]
            for row in rows]
    left = next(x for row in dark for x in range(width) if row[x])
    scale = left // QUIET
    assert scale >= 2 and left == scale * QUIET, "the quiet zone is not four modules wide"
    modules = [[dark[y][x] for x in range(0, width, scale)] for y in range(0, height, scale)]
    return [row[QUIET:-QUIET] for row in modules[QUIET:-QUIET]]


def svg_modules(svg):
    side = int(re.search(r'viewBox="0 0 (\d+) \1"', svg).group(1))
    dark = [[False] * side for _ in range(side)]
    for x, y, run in re.findall(r"M(\d+) (\d+)h(\d+)v1h-\3z", svg):
        for i in range(int(run)):
            dark[int(y)][int(x) + i] = True
    assert not any(row[i] for row in dark for i in [*range(QUIET), *range(side - QUIET, side)])
    return [row[QUIET:-QUIET] for row in dark[QUIET:-QUIET]]


def read(modules):
    """The text that a camera reads."""
    side = (len(modules) + 2 * QUIET) * SCALE
    pixels = bytearray(b"\xff" * side * side)
    for y, row in enumerate(modules):
        for x, dark in enumerate(row):
            for i in range(SCALE if dark else 0):
                at = ((y + QUIET) * SCALE + i) * side + (x + QUIET) * SCALE
                pixels[at:at + SCALE] = bytes(SCALE)
    found = pyzbar.decode((bytes(pixels), side, side), symbols=[pyzbar.ZBarSymbol.QRCODE])
    assert len(found) == 1, "no camera could read this"
    return found[0].data.decode()
