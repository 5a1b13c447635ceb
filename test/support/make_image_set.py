"""Writes test/fixtures/images: small image files of every kind, and what Pillow makes of them.

test/image_set.test.ts reads them. Needs Pillow (Debian: python3-pil) and numpy.

images.json lists the files. images.bin (zlib) holds for each file its RGB values and then its grey values, as
`ImageOps.exif_transpose(Image.open(file))` gives them with `convert('RGB')` and `convert('L')`. Where Pillow
cannot read a file, or has another rule, the values follow from `docs/formats.md` and are computed here
without the project's code. The entry then says so.
"""
import io
import json
import os
import shutil
import zlib

import numpy as np
import PIL
from PIL import Image, ImageCms, ImageOps

import image_writers as w

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../fixtures")
target = os.path.join(folder, "images")
shutil.rmtree(target, ignore_errors=True)
os.makedirs(target)

W, H = 23, 13
y, x = np.mgrid[0:H, 0:W]
random = np.random.RandomState(1)
noise = random.randint(0, 24, (H, W, 3))
colour = ((np.stack([x * 10, y * 18, (x + y) * 6], -1) + noise) % 256).astype(np.uint8)
grey = ((x * 9 + y * 5 + noise[..., 0]) % 256).astype(np.uint8)
alpha = np.where(y < 4, 0, np.where(y < 8, 128, 255)).astype(np.uint8)
deep = ((x * 2900 + y * 411 + noise[..., 0] * 7) % 65536).astype(np.uint16)
deep_colour = np.stack([deep, deep[::-1], 65535 - deep], -1)
P, Q = 37, 29
v, u = np.mgrid[0:Q, 0:P]
scene = np.stack(
    [(u * 7) % 256, 128 + 100 * np.sin(v / 3), np.where((u - 18) ** 2 + (v - 14) ** 2 < 90, 240, 30)], -1
)
scene = np.clip(scene + random.randint(-6, 7, scene.shape), 0, 255).astype(np.uint8)

manifest, blob = [], b""


def add(name, kind, data, rule=None, expected=None, refused=None, browsers=None):
    """Adds a file.

    rule: why `expected` (RGB, grey) holds instead of Pillow's values. refused: what the error says. browsers:
    what the error of browsers says.
    """
    global blob
    with open(os.path.join(target, name), "wb") as file:
        file.write(data)
    entry = {"file": name, "kind": kind}
    if refused:
        manifest.append({**entry, "refused": refused})
        return
    if expected is None:
        image = Image.open(io.BytesIO(data))
        image.load()
        # Pillow turns TIFF while it loads; version 9 would turn it a second time here.
        image = image if image.format == "TIFF" else ImageOps.exif_transpose(image)
        colours, greys = (np.asarray(image.convert(mode)) for mode in ("RGB", "L"))
    else:
        colours, greys = expected
    entry.update(width=colours.shape[1], height=colours.shape[0])
    if rule:
        entry["rule"] = rule
    if browsers:
        entry["browsers"] = browsers
    blob += colours.astype(np.uint8).tobytes() + greys.astype(np.uint8).tobytes()
    manifest.append(entry)


def both(rgb):
    """RGB and its grey by Pillow's weights."""
    rgb = np.asarray(rgb, np.uint8)
    r, g, b = (rgb[..., c].astype(np.int64) for c in range(3))
    return rgb, (19595 * r + 38470 * g + 7471 * b + 32768) >> 16


def of_grey(values):
    return np.repeat(np.asarray(values, np.uint8)[..., None], 3, -1), np.asarray(values, np.uint8)


def saved(array, form, mode=None, **options):
    out = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array, mode)
    image.save(out, form, **options)
    return out.getvalue()


profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
# A profile that changes colours strongly: sRGB with red and blue exchanged.
srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
swapped = bytearray(srgb)
where = {
    srgb[128 + 4 + 12 * i : 128 + 8 + 12 * i]: 128 + 4 + 12 * i
    for i in range(int.from_bytes(srgb[128:132], "big"))
}
swapped[where[b"rXYZ"] : where[b"rXYZ"] + 4], swapped[where[b"bXYZ"] : where[b"bXYZ"] + 4] = b"bXYZ", b"rXYZ"
swapped = bytes(swapped)

# ---- BMP
BMP = "BMP"
ramp = {bits: [(round(255 * i / (2**bits - 1)),) * 3 for i in range(2**bits)] for bits in (1, 2, 4, 8)}
mixed = {
    bits: [((i * 37 + 11) % 256, (i * 91 + 5) % 256, (i * 53 + 190) % 256) for i in range(2**bits)]
    for bits in (1, 2, 4, 8)
}
index = {bits: (x * 7 + y * 3) % 2**bits for bits in (1, 2, 4, 8)}
size = (W, H)
for bits in (1, 4, 8):
    rows = w.pack_bits(index[bits], bits)
    for label, palette in (("grey", ramp[bits]), ("colours", mixed[bits])):
        add(f"bmp-{bits}-{label}.bmp", f"{BMP}, {bits} bit palette", w.bmp(rows, bits, palette, size=size))
        add(
            f"bmp-{bits}-{label}-os2.bmp",
            f"{BMP}, OS/2 header",
            w.bmp(rows, bits, palette, header=12, size=size),
        )
rows8 = w.pack_bits(index[8], 8)
add("bmp-8-topdown.bmp", f"{BMP}, rows from the top", w.bmp(rows8, 8, mixed[8], top_down=True, size=size))
add("bmp-8-gap.bmp", f"{BMP}, gap before the pixels", w.bmp(rows8, 8, ramp[8], gap=20, size=size))
few = w.pack_bits(index[8] % 100, 8)
add("bmp-8-few.bmp", f"{BMP}, 8 bit palette", w.bmp(few, 8, mixed[8][:100], size=size))
add("bmp-8-offset0.bmp", f"{BMP}, 8 bit palette", w.bmp(rows8, 8, mixed[8], size=size, offset=0))
for name, header in (("os22", 64), ("v4", 108), ("v5", 124)):
    add(
        f"bmp-8-{name}.bmp",
        f"{BMP}, {'OS/2 header' if header == 64 else 'newer headers'}",
        w.bmp(rows8, 8, mixed[8], header=header, size=size),
    )
table = np.array(mixed[8])
for header in (16, 52, 56):
    add(
        f"bmp-8-header{header}.bmp",
        f"{BMP}, headers that Pillow refuses",
        w.bmp(rows8, 8, mixed[8], header=header, size=size),
        rule="Pillow refuses this header",
        expected=both(table[index[8]]),
    )
add(
    "bmp-2-colours.bmp",
    f"{BMP}, 2 bit palette",
    w.bmp(w.pack_bits(index[2], 2), 2, mixed[2], size=size),
    rule="Pillow refuses 2 bits",
    expected=both(np.array(mixed[2])[index[2]]),
)
five = (colour >> 3).astype(np.int64)
six = (colour >> 2).astype(np.int64)
rows555 = [row.astype("<u2").tobytes() for row in five[..., 0] << 10 | five[..., 1] << 5 | five[..., 2]]
rows565 = [row.astype("<u2").tobytes() for row in five[..., 0] << 11 | six[..., 1] << 5 | five[..., 2]]
four = (colour >> 4).astype(np.int64)
rows444 = [row.astype("<u2").tobytes() for row in four[..., 0] << 8 | four[..., 1] << 4 | four[..., 2]]
add("bmp-16-555.bmp", f"{BMP}, 16 bit", w.bmp(rows555, 16, size=size))
add(
    "bmp-16-555-masks.bmp",
    f"{BMP}, 16 bit",
    w.bmp(rows555, 16, size=size, compression=3, masks=(0x7C00, 0x3E0, 0x1F)),
)
add(
    "bmp-16-565.bmp",
    f"{BMP}, 16 bit",
    w.bmp(rows565, 16, size=size, compression=3, masks=(0xF800, 0x7E0, 0x1F)),
)
add(
    "bmp-16-565-v4.bmp",
    f"{BMP}, 16 bit",
    w.bmp(rows565, 16, size=size, compression=3, masks=(0xF800, 0x7E0, 0x1F), header=108),
)
add(
    "bmp-16-444.bmp",
    f"{BMP}, unusual masks",
    w.bmp(rows444, 16, size=size, compression=3, masks=(0xF00, 0xF0, 0xF)),
    rule="Pillow refuses these masks",
    expected=both(four * 255 // 15),
)
rows24 = [row[:, ::-1].tobytes() for row in colour]
add("bmp-24.bmp", f"{BMP}, 24 bit", w.bmp(rows24, 24, size=size))
add("bmp-24-os2.bmp", f"{BMP}, OS/2 header", w.bmp(rows24, 24, size=size, header=12))
add("bmp-24-topdown.bmp", f"{BMP}, rows from the top", w.bmp(rows24, 24, size=size, top_down=True))
add("bmp-24-gap.bmp", f"{BMP}, gap before the pixels", w.bmp(rows24, 24, size=size, gap=8))
add("bmp-24-palette.bmp", f"{BMP}, 24 bit", w.bmp(rows24, 24, mixed[2], size=size))
bgra = np.dstack([colour[..., ::-1], alpha])
rgba = np.dstack([colour, alpha])
rows32 = [row.tobytes() for row in bgra]
add("bmp-32.bmp", f"{BMP}, 32 bit", w.bmp(rows32, 32, size=size))
add(
    "bmp-32-masks.bmp",
    f"{BMP}, 32 bit",
    w.bmp(rows32, 32, size=size, compression=3, masks=(0xFF0000, 0xFF00, 0xFF)),
)
add(
    "bmp-32-alpha.bmp",
    f"{BMP}, 32 bit",
    w.bmp(rows32, 32, size=size, compression=3, header=124, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
)
add(
    "bmp-32-rgba.bmp",
    f"{BMP}, 32 bit",
    w.bmp(
        [row.tobytes() for row in rgba],
        32,
        size=size,
        compression=3,
        header=108,
        masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000),
    ),
)
ten = (deep_colour >> 6).astype(np.int64)
add(
    "bmp-32-10bit.bmp",
    f"{BMP}, unusual masks",
    w.bmp(
        [row.astype("<u4").tobytes() for row in ten[..., 0] << 20 | ten[..., 1] << 10 | ten[..., 2]],
        32,
        size=size,
        compression=3,
        masks=(0x3FF00000, 0xFFC00, 0x3FF),
    ),
    rule="Pillow refuses these masks",
    expected=both(ten >> 2),
)
flat = (x // 3 * 5 + y * 11) % 256
for name, indices in (("runs", flat), ("absolute", index[8])):
    add(
        f"bmp-rle8-{name}.bmp",
        f"{BMP}, RLE",
        w.bmp(None, 8, mixed[8], size=size, compression=1, data=w.rle8(indices, name == "absolute")),
    )
    add(
        f"bmp-rle4-{name}.bmp",
        f"{BMP}, RLE",
        w.bmp(
            None,
            4,
            mixed[4],
            size=size,
            compression=2,
            data=w.rle4(indices % 16, 8 if name == "absolute" else 0),
        ),
    )
add("bmp-rle8-grey.bmp", f"{BMP}, RLE", w.bmp(None, 8, ramp[8], size=size, compression=1, data=w.rle8(flat)))
add(
    "bmp-rle8-skips.bmp",
    f"{BMP}, RLE",
    w.bmp(None, 8, mixed[8], size=size, compression=1, data=w.rle8(flat, skip=(5, 12))),
    rule="Pillow 9 misreads skips",
    expected=both(table[np.where((x >= 5) & (x < 12), 0, flat)]),
)
add(
    "bmp-rle4-odd.bmp",
    f"{BMP}, RLE",
    w.bmp(None, 4, mixed[4], size=size, compression=2, data=w.rle4(index[4], 9)),
    rule="Pillow 9 loses runs of odd length",
    expected=both(np.array(mixed[4])[index[4]]),
)
add(
    "bmp-palette-short.bmp",
    "broken",
    w.bmp(rows8, 8, mixed[8][:100], size=size),
    refused="the palette has 100 colours",
)
add("bmp-jpeg.bmp", "broken", w.bmp(rows24, 24, size=size, compression=4), refused="compression 4")

# ---- PNG
PNG = "PNG"
for interlaced in (False, True):
    tail = "-interlaced" if interlaced else ""
    note = ", interlaced" if interlaced else ""
    for bits in (1, 2, 4):
        add(
            f"png-grey{bits}{tail}.png",
            f"{PNG}, grey 1 to 8 bit{note}",
            w.png(index[bits][..., None], 0, bits, interlaced=interlaced),
        )
        add(
            f"png-palette{bits}{tail}.png",
            f"{PNG}, palette{note}",
            w.png(
                index[bits][..., None],
                3,
                bits,
                palette=np.array(mixed[bits], np.uint8).tobytes(),
                interlaced=interlaced,
            ),
        )
    add(
        f"png-grey8{tail}.png",
        f"{PNG}, grey 1 to 8 bit{note}",
        w.png(grey[..., None], 0, 8, interlaced=interlaced),
    )
    add(
        f"png-palette8{tail}.png",
        f"{PNG}, palette{note}",
        w.png(index[8][..., None], 3, 8, palette=table.astype(np.uint8).tobytes(), interlaced=interlaced),
    )
    add(
        f"png-grey16{tail}.png",
        f"{PNG}, 16 bit grey{note}",
        w.png(deep[..., None], 0, 16, interlaced=interlaced),
        rule="Pillow clips 16-bit grey",
        expected=of_grey(deep >> 8),
    )
    add(f"png-rgb8{tail}.png", f"{PNG}, RGB{note}", w.png(colour, 2, 8, interlaced=interlaced))
    add(f"png-rgb16{tail}.png", f"{PNG}, 16 bit RGB{note}", w.png(deep_colour, 2, 16, interlaced=interlaced))
    add(
        f"png-la8{tail}.png",
        f"{PNG}, grey with alpha{note}",
        w.png(np.dstack([grey, alpha]), 4, 8, interlaced=interlaced),
    )
    add(f"png-rgba8{tail}.png", f"{PNG}, RGB with alpha{note}", w.png(rgba, 6, 8, interlaced=interlaced))
add(
    "png-la16.png",
    f"{PNG}, 16 bit with alpha",
    w.png(np.dstack([deep, alpha.astype(np.uint16) * 257]), 4, 16),
)
add(
    "png-rgba16.png",
    f"{PNG}, 16 bit with alpha",
    w.png(np.dstack([deep_colour, alpha.astype(np.uint16) * 257]), 6, 16),
)
add(
    "png-palette8-trns.png",
    f"{PNG}, palette with transparency",
    w.png(
        index[8][..., None],
        3,
        8,
        palette=table.astype(np.uint8).tobytes(),
        chunks=[(b"tRNS", bytes(range(0, 200, 2)))],
    ),
)
add(
    "png-grey8-trns.png",
    f"{PNG}, transparent colour",
    w.png(grey[..., None], 0, 8, chunks=[(b"tRNS", bytes((0, int(grey[3, 4]))))]),
)
add(
    "png-rgb8-trns.png",
    f"{PNG}, transparent colour",
    w.png(colour, 2, 8, chunks=[(b"tRNS", bytes(v for c in colour[3, 4] for v in (0, int(c))))]),
)
chunks = {
    "gamma": [(b"gAMA", (100000).to_bytes(4, "big"))],
    "srgb": [(b"sRGB", b"\0"), (b"gAMA", (45455).to_bytes(4, "big"))],
    "chrm": [
        (b"gAMA", (45455).to_bytes(4, "big")),
        (
            b"cHRM",
            b"".join(v.to_bytes(4, "big") for v in (31270, 32900, 30000, 60000, 64000, 33000, 15000, 6000)),
        ),
    ],
    "icc": [(b"iCCP", b"swapped\0\0" + zlib.compress(swapped, 9))],
    "bad-icc": [(b"iCCP", b"none\0\0" + zlib.compress(profile[:100]))],
    "sbit": [(b"sBIT", b"\5\6\5")],
}
for name, list_of_chunks in chunks.items():
    add(f"png-{name}.png", f"{PNG}, gamma and profiles", w.png(colour, 2, 8, chunks=list_of_chunks))
add("png-grey-gamma.png", f"{PNG}, gamma and profiles", w.png(grey[..., None], 0, 8, chunks=chunks["gamma"]))
add("png-rgb16-icc.png", f"{PNG}, gamma and profiles", w.png(deep_colour, 2, 16, chunks=chunks["icc"]))
add(
    "png-palette-icc.png",
    f"{PNG}, gamma and profiles",
    w.png(index[8][..., None], 3, 8, palette=table.astype(np.uint8).tobytes(), chunks=chunks["icc"]),
)
for n in range(1, 9):
    add(
        f"png-exif{n}.png",
        f"{PNG}, EXIF rotation",
        w.png(colour[:7, :5], 2, 8, chunks=[(b"eXIf", w.exif(n, n % 2 == 0))]),
    )
for n, shape in enumerate([(1, 1), (1, 4), (5, 1), (2, 2)]):
    add(
        f"png-tiny{n}.png",
        f"{PNG}, RGB, interlaced",
        w.png(colour[: shape[0], : shape[1]], 2, 8, interlaced=True),
    )
add(
    "png-12in16.png",
    "10 and 12 bits in 16",
    w.png((deep >> 4)[..., None], 0, 16),
    refused="values 0 to 4095|values \\d+ to \\d+: 10 or 12 bits in 16",
)
add(
    "png-10in16-rgb.png",
    "10 and 12 bits in 16",
    w.png(deep_colour >> 6, 2, 16),
    refused="values \\d+ to \\d+: 10 or 12 bits in 16",
)
add("png-black16.png", f"{PNG}, 16 bit grey", w.png(np.zeros((3, 4, 1), np.uint16), 0, 16))

# ---- JPEG
JPEG = "JPEG"
add("jpeg-grey.jpg", f"{JPEG}, grey", saved(scene[..., 0], "JPEG", quality=85))
for name, sampling in (("444", 0), ("422", 1), ("420", 2)):
    add(
        f"jpeg-{name}.jpg",
        f"{JPEG}, 4:{name[1]}:{name[2]}",
        saved(scene, "JPEG", quality=85, subsampling=sampling),
    )
    add(
        f"jpeg-{name}-progressive.jpg",
        f"{JPEG}, progressive",
        saved(scene, "JPEG", quality=85, subsampling=sampling, progressive=True),
    )
add(
    "jpeg-grey-progressive.jpg",
    f"{JPEG}, progressive",
    saved(scene[..., 0], "JPEG", quality=60, progressive=True),
)
add("jpeg-rough.jpg", f"{JPEG}, 4:2:0", saved(scene, "JPEG", quality=10, subsampling=2))
add("jpeg-fine.jpg", f"{JPEG}, 4:4:4", saved(scene, "JPEG", quality=100, subsampling=0))
for n, shape in enumerate([(1, 1), (1, 17), (16, 2), (8, 8), (3, 3)]):
    add(
        f"jpeg-tiny{n}.jpg",
        f"{JPEG}, 4:2:0",
        saved(np.ascontiguousarray(scene[: shape[0], : shape[1]]), "JPEG", quality=90, subsampling=2),
    )
plain = saved(scene, "JPEG", quality=85, subsampling=0)
add("jpeg-icc.jpg", f"{JPEG}, profile", saved(scene, "JPEG", quality=85, subsampling=2, icc_profile=swapped))
add("jpeg-rgb.jpg", f"{JPEG}, RGB", w.jpeg_with(plain, drop=(0xE0,), adobe=0))
add("jpeg-adobe-ycc.jpg", f"{JPEG}, 4:4:4", w.jpeg_with(plain, drop=(0xE0,), adobe=1))
add("jpeg-no-marker.jpg", f"{JPEG}, 4:4:4", w.jpeg_with(plain, drop=(0xE0,)))
add(
    "jpeg-comment.jpg",
    f"{JPEG}, 4:4:4",
    w.jpeg_with(plain, app=[(0xFE, b"x" * 50), (0xED, b"Photoshop 3.0\0" + b"\1" * 30)]),
)
for n in range(1, 9):
    add(
        f"jpeg-exif{n}.jpg",
        f"{JPEG}, EXIF rotation",
        saved(
            np.ascontiguousarray(scene[:12, :20]),
            "JPEG",
            quality=90,
            subsampling=2,
            exif=b"Exif\0\0" + w.exif(n, n % 2 == 0),
        ),
    )
inks = np.dstack([scene, scene[..., 1] // 2])
cmyk = saved(inks, "JPEG", "CMYK", quality=90)
add("jpeg-cmyk.jpg", f"{JPEG}, CMYK", cmyk)
add("jpeg-cmyk-plain.jpg", f"{JPEG}, CMYK", w.jpeg_with(cmyk, drop=(0xEE,)))
add("jpeg-ycck.jpg", f"{JPEG}, YCCK", w.jpeg_with(cmyk, drop=(0xEE,), adobe=2))
add("jpeg-cmyk-icc.jpg", f"{JPEG}, CMYK", saved(inks, "JPEG", "CMYK", quality=90, icc_profile=swapped))
add(
    "jpeg-cmyk-exif6.jpg",
    f"{JPEG}, CMYK",
    saved(inks, "JPEG", "CMYK", quality=90, exif=b"Exif\0\0" + w.exif(6)),
)
for name, sampling in (("422", 1), ("420", 2)):
    sampled = saved(inks, "JPEG", "CMYK", quality=80, subsampling=sampling)
    add(f"jpeg-cmyk-{name}.jpg", f"{JPEG}, CMYK", sampled)
    add(f"jpeg-ycck-{name}.jpg", f"{JPEG}, YCCK", w.jpeg_with(sampled, drop=(0xEE,), adobe=2))
add("jpeg-cmyk-progressive.jpg", f"{JPEG}, CMYK", saved(inks, "JPEG", "CMYK", quality=90, progressive=True))
add(
    "jpeg-12bit.jpg",
    "broken",
    plain[: plain.index(b"\xff\xc0") + 4] + b"\x0c" + plain[plain.index(b"\xff\xc0") + 5 :],
    refused="12 bits",
)

# ---- WebP
WEBP = "WebP"
scene_alpha = np.dstack([scene, np.where(v < 9, 0, np.where(v < 18, 128, 255)).astype(np.uint8)])
add("webp-lossy.webp", f"{WEBP}, lossy", saved(scene, "WEBP", quality=80))
add("webp-rough.webp", f"{WEBP}, lossy", saved(scene, "WEBP", quality=10))
add("webp-tiny.webp", f"{WEBP}, lossy", saved(np.ascontiguousarray(scene[:1, :1]), "WEBP", quality=80))
add("webp-lossless.webp", f"{WEBP}, lossless", saved(scene, "WEBP", lossless=True))
add(
    "webp-lossless-flat.webp",
    f"{WEBP}, lossless",
    saved((scene // 128 * 200).astype(np.uint8), "WEBP", lossless=True, method=6),
)
add("webp-lossy-alpha.webp", f"{WEBP}, lossy with alpha", saved(scene_alpha, "WEBP", quality=80, exact=True))
add(
    "webp-lossless-alpha.webp",
    f"{WEBP}, lossless with alpha",
    saved(scene_alpha, "WEBP", lossless=True, exact=True),
)
add("webp-icc.webp", f"{WEBP}, profile", saved(scene, "WEBP", quality=80, icc_profile=swapped))
add(
    "webp-lossless-alpha-icc.webp",
    f"{WEBP}, profile",
    saved(scene_alpha, "WEBP", lossless=True, exact=True, icc_profile=swapped),
)
for n in (1, 3, 6, 8):
    add(
        f"webp-exif{n}.webp",
        f"{WEBP}, EXIF rotation",
        saved(np.ascontiguousarray(scene[:12, :20]), "WEBP", lossless=n != 6, quality=90, exif=w.exif(n)),
    )
frames = [Image.fromarray(scene), Image.fromarray(255 - scene)]
add(
    "webp-animated.webp",
    "broken",
    saved(frames[0], "WEBP", save_all=True, append_images=frames[1:]),
    refused="an animation",
)

# ---- TIFF
TIFF = "TIFF"
for name, options in {
    "raw": {},
    "lzw": {"compression": "tiff_lzw"},
    "deflate": {"compression": "tiff_adobe_deflate"},
    "packbits": {"compression": "packbits"},
    "lzw-predictor": {"compression": "tiff_lzw", "tiffinfo": {317: 2}},
    "icc": {"icc_profile": swapped},
}.items():
    add(f"tiff-rgb-{name}.tif", f"{TIFF}, RGB", saved(colour, "TIFF", **options))
    add(f"tiff-grey-{name}.tif", f"{TIFF}, grey", saved(grey, "TIFF", **options))
long = ((np.mgrid[0:90, 0:90][0] * 31 + np.mgrid[0:90, 0:90][1] * 17) ** 2 % 251).astype(np.uint8)
add("tiff-lzw-long.tif", f"{TIFF}, grey", saved(long, "TIFF", compression="tiff_lzw"))
add("tiff-palette.tif", f"{TIFF}, palette", saved(Image.fromarray(colour).quantize(60), "TIFF"))
add(
    "tiff-palette-lzw.tif",
    f"{TIFF}, palette",
    saved(Image.fromarray(colour).quantize(60), "TIFF", compression="tiff_lzw"),
)
bilevel = index[1][..., None]
add("tiff-1bit-black0.tif", f"{TIFF}, 1 bit", w.tiff(bilevel, 1, 1))
add("tiff-1bit-white0.tif", f"{TIFF}, 1 bit", w.tiff(bilevel, 1, 0))
add("tiff-1bit-packbits.tif", f"{TIFF}, 1 bit", w.tiff(bilevel, 1, 0, compression=32773))
add("tiff-1bit-reversed.tif", f"{TIFF}, 1 bit", w.tiff(bilevel, 1, 1, fill_order=2))
add("tiff-4bit.tif", f"{TIFF}, 2 and 4 bit", w.tiff(index[4][..., None], 4, 1))
add("tiff-2bit.tif", f"{TIFF}, 2 and 4 bit", w.tiff(index[2][..., None], 2, 1))
add("tiff-grey-white0.tif", f"{TIFF}, grey", w.tiff(grey[..., None], 8, 0))
for little in (True, False):
    tail = "" if little else "-big-endian"
    add(
        f"tiff-rgb-strips{tail}.tif",
        f"{TIFF}, strips and tiles",
        w.tiff(colour, 8, 2, little, rows_per_strip=4),
    )
    add(
        f"tiff-rgb-tiled{tail}.tif",
        f"{TIFF}, strips and tiles",
        w.tiff(colour, 8, 2, little, tile=(16, 16), compression=8),
    )
    add(
        f"tiff-grey16{tail}.tif",
        f"{TIFF}, 16 bit grey",
        w.tiff(deep[..., None], 16, 1, little),
        rule="Pillow clips 16-bit grey",
        expected=of_grey(deep >> 8),
    )
    add(
        f"tiff-grey16-predictor{tail}.tif",
        f"{TIFF}, 16 bit grey",
        w.tiff(deep[..., None], 16, 1, little, compression=8, predictor=2),
        rule="Pillow clips 16-bit grey",
        expected=of_grey(deep >> 8),
    )
    add(f"tiff-rgb16{tail}.tif", f"{TIFF}, 16 bit RGB", w.tiff(deep_colour, 16, 2, little))
    add(
        f"tiff-float32{tail}.tif",
        "floating point and 32 bit",
        w.tiff((deep / 65535)[..., None].astype(np.float32), 32, 1, little, sample_format=3),
        refused="floating point of 32 bits, values .* to ",
    )
    add(
        f"tiff-float32-predictor{tail}.tif",
        "floating point and 32 bit",
        w.tiff(
            (deep / 65535)[..., None].astype(np.float32),
            32,
            1,
            little,
            sample_format=3,
            compression=8,
            predictor=3,
        ),
        refused="values "
        f"{float(np.float32(deep.min() / 65535)):.6g} to {float(np.float32(deep.max() / 65535)):.6g}",
    )
add(
    "tiff-float64.tif",
    "floating point and 32 bit",
    w.tiff((deep / 65535)[..., None], 64, 1, sample_format=3),
    refused="floating point of 64 bits",
)
add(
    "tiff-int32.tif",
    "floating point and 32 bit",
    w.tiff(deep[..., None].astype(np.int64) * 10, 32, 1),
    refused=f"whole numbers of 32 bits, values {deep.min() * 10} to ",
)
add(
    "tiff-signed16.tif",
    "floating point and 32 bit",
    w.tiff(deep[..., None].astype(np.int64) - 32768, 16, 1, sample_format=2),
    refused=f"signed whole numbers of 16 bits, values {int(deep.min()) - 32768} to {int(deep.max()) - 32768}",
)
add(
    "tiff-12in16.tif",
    "10 and 12 bits in 16",
    w.tiff((deep >> 4)[..., None], 16, 1),
    refused="10 or 12 bits in 16",
)
add(
    "tiff-12bit.tif",
    f"{TIFF}, packed 12 bit",
    w.tiff((deep >> 4)[..., None], 12, 1),
    rule="Pillow clips 12-bit grey",
    expected=of_grey(deep >> 8),
)
add("tiff-planar.tif", f"{TIFF}, planes apart", w.tiff(colour, 8, 2, planar=2, rows_per_strip=5))
add("tiff-planar-deflate.tif", f"{TIFF}, planes apart", w.tiff(colour, 8, 2, planar=2, compression=8))
add(
    "tiff-planar-tiled.tif",
    f"{TIFF}, planes apart",
    w.tiff(colour, 8, 2, planar=2, tile=(16, 16), compression=8, predictor=2),
)
add("tiff-rgba.tif", f"{TIFF}, alpha", w.tiff(rgba, 8, 2, extra=(2,)))
add(
    "tiff-rgba-premultiplied.tif",
    f"{TIFF}, alpha",
    w.tiff(np.dstack([(colour.astype(int) * alpha[..., None] // 255), alpha]), 8, 2, extra=(1,)),
)
add("tiff-la.tif", f"{TIFF}, alpha", w.tiff(np.dstack([grey, alpha]), 8, 1, extra=(2,)))
add("tiff-cmyk.tif", f"{TIFF}, CMYK", w.tiff(np.dstack([colour, grey]), 8, 5))
add("tiff-bigtiff.tif", f"{TIFF}, BigTIFF", w.tiff(colour, 8, 2, big=True, rows_per_strip=4))
add(
    "tiff-bigtiff-big-endian.tif",
    f"{TIFF}, BigTIFF",
    w.tiff(colour, 8, 2, False, big=True),
    rule="Pillow 9 refuses big-endian BigTIFF",
    expected=both(colour),
)
for n in range(1, 9):
    add(f"tiff-exif{n}.tif", f"{TIFF}, rotation", w.tiff(colour[:7, :5], 8, 2, orientation=n))
pages = [Image.fromarray(colour), Image.fromarray(255 - colour)]
add(
    "tiff-pages.tif",
    f"{TIFF}, several pages",
    saved(pages[0], "TIFF", save_all=True, append_images=pages[1:]),
)
add(
    "tiff-group4.tif",
    f"{TIFF}, fax codes",
    saved(Image.fromarray((index[1] * 255).astype(np.uint8)).convert("1"), "TIFF", compression="group4"),
    browsers="compression 4 cannot be read here",
)
add("tiff-jpeg.tif", f"{TIFF}, JPEG", saved(scene, "TIFF", compression="jpeg"))
add("tiff-jpeg-grey.tif", f"{TIFF}, JPEG", saved(scene[..., 0], "TIFF", compression="jpeg"))

with open(os.path.join(folder, "images.json"), "w") as file:
    lines = ",\n".join(json.dumps(entry) for entry in manifest)
    file.write(f'{{"pillow": "{PIL.__version__}", "files": [\n{lines}\n]}}\n')
with open(os.path.join(folder, "images.bin"), "wb") as file:
    file.write(zlib.compress(blob, 9))
total = sum(os.path.getsize(os.path.join(target, name)) for name in os.listdir(target))
print(
    len(manifest),
    "files,",
    total,
    "bytes; values",
    os.path.getsize(os.path.join(folder, "images.bin")),
    "bytes",
)
