"""Writers of image files, byte by byte, for kinds that Pillow cannot write. numpy arrays in, bytes out."""
import struct
import zlib

import numpy as np


def pack_bits(rows, bits):
    """Rows of small numbers as packed rows, highest bits first, each row from a new byte on."""
    packed = []
    for row in rows:
        digits = "".join(format(int(v), f"0{bits}b") for v in row)
        digits += "0" * (-len(digits) % 8)
        packed.append(bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8)))
    return packed


# ---- BMP


def bmp(
    rows,
    bits,
    palette=(),
    header=40,
    top_down=False,
    gap=0,
    compression=0,
    masks=(),
    data=None,
    used=None,
    size=None,
    offset=None,
):
    """A bitmap.

    rows: the packed bytes of each row, from the top. masks: those of BITFIELDS. data: ready pixels instead of
    rows.
    """
    height = len(rows) if rows else size[1]
    width = size[0]
    entries = b"".join(bytes((b, g, r)) + (b"" if header == 12 else b"\0") for r, g, b in palette)
    if data is None:
        padded = [row + b"\0" * (-len(row) % 4) for row in rows]
        data = b"".join(padded if top_down else reversed(padded))
    if header == 12:
        dib = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        dib = struct.pack(
            "<IiiHHIIiiII",
            header,
            width,
            -height if top_down else height,
            1,
            bits,
            compression,
            len(data),
            2835,
            2835,
            len(palette) if used is None else used,
            0,
        )[:header]
        if header > 40:
            more = struct.pack(f"<{len(masks)}I", *masks) if masks else b""
            dib += more + b"\0" * (header - 40 - len(more))
        elif masks:
            dib += struct.pack(f"<{len(masks)}I", *masks)
    start = 14 + len(dib) + len(entries) + gap
    return (
        b"BM"
        + struct.pack("<IHHI", start + len(data), 0, 0, start if offset is None else offset)
        + dib
        + entries
        + b"\x77" * gap
        + data
    )


def rle8(indices, absolute=False, skip=None):
    """Runs of one row after the other, from the bottom.

    skip: the first column that is left out of each row, and the first one behind it.
    """
    out = b""
    for row in reversed(list(indices)):
        row = list(map(int, row))
        x = 0
        while x < len(row):
            if skip and x == skip[0]:
                out += bytes((0, 2, skip[1] - skip[0], 0))
                x = skip[1]
                continue
            stop = skip[0] if skip and x < skip[0] else len(row)
            if absolute and stop - x >= 3:
                n = min(stop - x, 7)
                out += bytes((0, n)) + bytes(row[x : x + n]) + b"\0" * (n % 2)
            else:
                n = 1
                while x + n < stop and row[x + n] == row[x] and n < 255:
                    n += 1
                out += bytes((n, row[x]))
            x += n
        out += b"\0\0"
    return out + b"\0\1"


def rle4(indices, longest=0):
    """As runs of two alternating values; with longest, as plain values of at most so many."""
    out = b""
    for row in reversed(list(indices)):
        row = list(map(int, row))
        x = 0
        while x < len(row):
            if longest and len(row) - x >= longest:
                n = longest
                part = row[x : x + n] + [0] * (n % 2)
                body = bytes(part[i] << 4 | part[i + 1] for i in range(0, len(part), 2))
                out += bytes((0, n)) + body + b"\0" * (len(body) % 2)
            else:
                n = 1
                second = row[x + 1] if x + 1 < len(row) else 0
                while x + n < len(row) and row[x + n] == (second if n % 2 else row[x]):
                    n += 1
                out += bytes((n, row[x] << 4 | second))
            x += n
        out += b"\0\0"
    return out + b"\0\1"


# ---- PNG


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_filter(rows, pixel_bytes):
    """All five filters in turn."""
    out = b""
    above = bytes(len(rows[0])) if rows else b""
    for y, row in enumerate(rows):
        kind = y % 5
        line = bytearray(len(row))
        for i, value in enumerate(row):
            a = row[i - pixel_bytes] if i >= pixel_bytes else 0
            b = above[i]
            c = above[i - pixel_bytes] if i >= pixel_bytes else 0
            p = a + b - c
            paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = (value - (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        out += bytes((kind,)) + bytes(line)
        above = row
    return out


def png(samples, colour_type, bits, chunks=(), palette=None, interlaced=False):
    """samples: [height, width, samples] of stored numbers. chunks: (kind, data) before the pixels."""
    height, width, count = samples.shape

    def rows_of(part):
        if bits == 16:
            return [row.astype(">u2").tobytes() for row in part]
        return (
            pack_bits(part.reshape(part.shape[0], -1), bits)
            if bits < 8
            else [row.astype(np.uint8).tobytes() for row in part]
        )

    pixel_bytes = max(1, count * bits // 8)
    if interlaced:
        passes = [
            (0, 0, 8, 8),
            (4, 0, 8, 8),
            (0, 4, 4, 8),
            (2, 0, 4, 4),
            (0, 2, 2, 4),
            (1, 0, 2, 2),
            (0, 1, 1, 2),
        ]
        raw = b""
        for x, y, dx, dy in passes:
            part = samples[y::dy, x::dx]
            if part.shape[0] and part.shape[1]:
                raw += png_filter(rows_of(part), pixel_bytes)
    else:
        raw = png_filter(rows_of(samples), pixel_bytes)
    body = zlib.compress(raw, 9)
    half = len(body) // 2
    out = b"\x89PNG\r\n\x1a\n" + png_chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, int(interlaced))
    )
    before = [c for c in chunks if c[0] not in (b"tRNS", b"eXIf")]
    after = [c for c in chunks if c[0] in (b"tRNS", b"eXIf")]
    out += b"".join(png_chunk(*c) for c in before)
    if palette is not None:
        out += png_chunk(b"PLTE", bytes(palette))
    out += b"".join(png_chunk(*c) for c in after)
    return out + png_chunk(b"IDAT", body[:half]) + png_chunk(b"IDAT", body[half:]) + png_chunk(b"IEND", b"")


# ---- TIFF


def exif(orientation, little=False):
    order = "<" if little else ">"
    return (b"II*\0" if little else b"MM\0*") + struct.pack(
        order + "IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0
    )


def tiff_pack_bits(data):
    out = b""
    for i in range(0, len(data), 128):
        part = data[i : i + 128]
        if len(part) > 1 and len(set(part)) == 1:
            out += bytes((257 - len(part), part[0]))
        else:
            out += bytes((len(part) - 1,)) + part
    return out


def tiff(
    samples,
    bits,
    photometric,
    little=True,
    big=False,
    compression=1,
    predictor=1,
    tile=None,
    rows_per_strip=None,
    planar=1,
    extra=(),
    sample_format=None,
    colour_map=None,
    orientation=None,
    fill_order=1,
):
    """samples: [height, width, count] of stored numbers (integers or floats)."""
    height, width, count = samples.shape
    order = "<" if little else ">"

    def encode_row(row):
        if sample_format == 3:
            return row.astype(order + ("f4" if bits == 32 else "f8")).tobytes()
        if bits in (8, 16, 32):
            return (row.astype(np.int64) & ((1 << bits) - 1)).astype(f"{order}u{bits // 8}").tobytes()
        return pack_bits([row], bits)[0]

    def encode(block):
        per = block.shape[2]
        if predictor == 2:
            left = block.astype(np.int64)
            block = left.copy()
            block[:, 1:] = (left[:, 1:] - left[:, :-1]) & ((1 << bits) - 1)
        rows = [encode_row(row.reshape(-1)) for row in block]
        if predictor == 3:
            size = bits // 8
            done = []
            for row in rows:
                values = np.frombuffer(row, np.uint8).reshape(-1, size)
                planes = (values[:, ::-1] if little else values).T.reshape(-1).astype(np.int64)
                shifted = planes.copy()
                shifted[per:] = planes[per:] - planes[:-per]
                done.append((shifted & 255).astype(np.uint8).tobytes())
            rows = done
        data = b"".join(rows)
        if compression in (8, 32946):
            data = zlib.compress(data, 9)
        elif compression == 32773:
            data = b"".join(tiff_pack_bits(row) for row in rows)
        if fill_order == 2:
            data = bytes(int(format(v, "08b")[::-1], 2) for v in data)
        return data

    blocks = []
    for plane in range(count) if planar == 2 else (slice(None),):
        part = samples[:, :, plane : plane + 1] if planar == 2 else samples
        if tile:
            for y in range(0, height, tile[1]):
                for x in range(0, width, tile[0]):
                    full = np.zeros((tile[1], tile[0], part.shape[2]), samples.dtype)
                    cut = part[y : y + tile[1], x : x + tile[0]]
                    full[: cut.shape[0], : cut.shape[1]] = cut
                    blocks.append(encode(full))
        else:
            step = rows_per_strip or height
            blocks += [encode(part[y : y + step]) for y in range(0, height, step)]

    header = 16 if big else 8
    offsets, at = [], header
    for block in blocks:
        offsets.append(at)
        at += len(block) + len(block) % 2
    body = b"".join(block + b"\0" * (len(block) % 2) for block in blocks)
    long_type, word = (16, "Q") if big else (4, "I")
    fields = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * count),
        (259, 3, [compression]),
        (262, 3, [photometric]),
        (277, 3, [count]),
        (284, 3, [planar]),
    ]
    fields += (
        [
            (322, 4, [tile[0]]),
            (323, 4, [tile[1]]),
            (324, long_type, offsets),
            (325, long_type, [len(b) for b in blocks]),
        ]
        if tile
        else [
            (273, long_type, offsets),
            (278, 4, [rows_per_strip or height]),
            (279, long_type, [len(b) for b in blocks]),
        ]
    )
    if predictor != 1:
        fields.append((317, 3, [predictor]))
    if extra:
        fields.append((338, 3, list(extra)))
    if sample_format:
        fields.append((339, 3, [sample_format] * count))
    if colour_map is not None:
        fields.append((320, 3, [int(v) for v in colour_map]))
    if orientation:
        fields.append((274, 3, [orientation]))
    if fill_order != 1:
        fields.append((266, 3, [fill_order]))
    fields.sort()
    entry_size, inline = (20, 8) if big else (12, 4)
    directory_at = at
    extra_at = directory_at + (8 if big else 2) + entry_size * len(fields) + inline
    directory, more = struct.pack(order + ("Q" if big else "H"), len(fields)), b""
    for tag, kind, values in fields:
        packed = struct.pack(f"{order}{len(values)}{ {3: 'H', 4: 'I', 16: 'Q'}[kind] }", *values)
        directory += struct.pack(f"{order}HH{word}", tag, kind, len(values))
        if len(packed) <= inline:
            directory += packed + b"\0" * (inline - len(packed))
        else:
            directory += struct.pack(order + word, extra_at + len(more))
            more += packed + b"\0" * (len(packed) % 2)
    directory += struct.pack(order + word, 0)
    magic = (b"II" if little else b"MM") + (
        struct.pack(order + "HHHQ", 43, 8, 0, directory_at)
        if big
        else struct.pack(order + "HI", 42, directory_at)
    )
    return magic + body + directory + more


# ---- JPEG


def jpeg_segments(data):
    """(marker, whole segment) up to the first scan, then the rest."""
    at, found = 2, []
    while data[at + 1] != 0xDA:
        length = struct.unpack(">H", data[at + 2 : at + 4])[0]
        found.append((data[at + 1], data[at : at + 2 + length]))
        at += 2 + length
    return found, data[at:]


def jpeg_with(data, drop=(), adobe=None, app=()):
    """The file without some markers, with an Adobe marker of a transform, and with more segments in front.

    app: those segments, as (marker, data).
    """
    segments, rest = jpeg_segments(data)
    extra = [(m, b"\xff" + bytes((m,)) + struct.pack(">H", len(d) + 2) + d) for m, d in app]
    if adobe is not None:
        body = b"Adobe" + struct.pack(">HHHB", 100, 0, 0, adobe)
        extra.append((0xEE, b"\xff\xee" + struct.pack(">H", len(body) + 2) + body))
    kept = [s for m, s in segments if m not in drop]
    return b"\xff\xd8" + b"".join(s for _, s in extra) + b"".join(kept) + rest
