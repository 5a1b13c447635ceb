"""Writes test/fixtures/pillow.json: SHA-256 of Pillow's bicubic and nearest resizing.

The images follow from a rule, so that the fixture stays small. Image i has a width, a height, channels and
the pixels p (row-major, interleaved) = mix(i * 2654435761 + p) >> 24, see mix(). Needs Pillow (Debian:
python3-pil) and numpy.
"""
import hashlib
import json
import os

import numpy
import PIL
from PIL import Image


def mix(x):
    x = x.astype(numpy.uint64) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x735A2D97) & 0xFFFFFFFF
    return x ^ (x >> 15)


sizes = [
    (1024, 1024, 256),
    (900, 900, 256),
    (700, 840, 256),
    (1000, 1000, 128),
    (256, 256, 256),
    (64, 48, 256),
    (31, 77, 64),
    (1, 1, 32),
    (3, 2, 32),
    (257, 255, 256),
    (640, 480, 224),
    (2048, 100, 96),
    (97, 1500, 288),
    (512, 512, 384),
]
vectors = []
for i in range(120):
    width, height, side = (
        sizes[i]
        if i < len(sizes)
        else (
            int(mix(numpy.array([i]))[0] % 700) + 1,
            int(mix(numpy.array([i + 999]))[0] % 700) + 1,
            32 * (i % 9 + 1),
        )
    )
    channels = 1 if i % 3 == 2 else 3
    count = width * height * channels
    pixels = (mix((i * 2654435761 + numpy.arange(count, dtype=numpy.uint64)) & 0xFFFFFFFF) >> 24).astype(
        numpy.uint8
    )
    if i % 2:  # flat areas and hard edges overshoot and clip
        pixels = numpy.where(pixels > 127, 255, 0).astype(numpy.uint8)
    image = Image.fromarray(pixels.reshape((height, width) if channels == 1 else (height, width, 3)))
    digest = lambda method: hashlib.sha256(
        numpy.asarray(image.resize((side, side), method)).tobytes()
    ).hexdigest()
    vectors.append([width, height, channels, side, digest(Image.BICUBIC), digest(Image.NEAREST)])
path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures/pillow.json")
with open(path, "w") as file:
    json.dump({"pillow": PIL.__version__, "vectors": vectors}, file, indent=0)
