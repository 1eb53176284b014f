"""ImageDecoder against Pillow, and what damaged files do."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
from onnx import TensorProto, helper

import fastort

FORMATS = ["RGB", "BGR", "Grayscale"]


def decoder(pixel_format: str = "RGB") -> Callable[[bytes], np.ndarray]:
    node = helper.make_node("ImageDecoder", ["file"], ["y"], pixel_format=pixel_format, name="picture")
    graph = helper.make_graph(
        [node],
        "decode",
        [helper.make_tensor_value_info("file", TensorProto.UINT8, [None])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [None, None, None])],
    )
    session = fastort.InferenceSession(helper.make_model(graph).SerializeToString())
    return lambda file: session.run(None, {"file": np.frombuffer(file, np.uint8)})[0]


def expected(picture: PIL.Image.Image, pixel_format: str) -> np.ndarray:
    if pixel_format == "Grayscale":
        return np.asarray(picture.convert("RGB").convert("L"))[:, :, None]
    rgb = np.asarray(picture.convert("RGB"))
    return rgb[:, :, ::-1] if pixel_format == "BGR" else rgb


def sample(height: int, width: int) -> PIL.Image.Image:
    """Smooth colours with some noise and a hard edge."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    rgb = np.stack([x * 5 + y, 255 - y * 3, 128 + 90 * np.sin(x / 5)], axis=-1)
    rgb += np.random.default_rng(height * width).normal(0, 8, rgb.shape)
    rgb[height // 3 :, width // 2 :] *= 0.5
    return PIL.Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def saved(picture: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    with io.BytesIO() as out:
        picture.save(out, kind, **options)
        return out.getvalue()


def pixels(mode: str, height: int = 37, width: int = 53) -> PIL.Image.Image:
    rgb = sample(height, width)
    if mode == "RGBA":
        alpha = PIL.Image.fromarray(np.arange(height * width, dtype=np.uint8).reshape(height, width))
        return PIL.Image.merge("RGBA", [*rgb.split(), alpha])
    return rgb.convert(mode, palette=PIL.Image.Palette.ADAPTIVE) if mode == "P" else rgb.convert(mode)


FILES = {
    **{f"bmp-{mode}": saved(pixels(mode), "BMP") for mode in ("1", "L", "P", "RGB", "RGBA")},
    **{f"png-{mode}": saved(pixels(mode), "PNG") for mode in ("1", "L", "LA", "P", "RGB", "RGBA")},
    "png-few-colours": saved(pixels("RGB").quantize(4), "PNG", bits=2),
    "png-transparent-colour": saved(pixels("P"), "PNG", transparency=3),
    "jpeg": saved(pixels("RGB"), "JPEG", quality=90),
    "jpeg-444": saved(pixels("RGB"), "JPEG", subsampling=0),
    "jpeg-422": saved(pixels("RGB"), "JPEG", subsampling=1),
    "jpeg-progressive": saved(pixels("RGB"), "JPEG", progressive=True, quality=30),
    "jpeg-restarts": saved(pixels("RGB"), "JPEG", restart_marker_blocks=2),
    "jpeg-gray": saved(pixels("L"), "JPEG"),
    "jpeg-cmyk": saved(pixels("RGB").convert("CMYK"), "JPEG"),
    "jpeg2000": saved(pixels("RGB"), "JPEG2000"),
    "jpeg2000-lossy": saved(pixels("RGB", 131, 97), "JPEG2000", irreversible=True, quality_layers=[20]),
    "jpeg2000-tiles": saved(pixels("RGB", 131, 97), "JPEG2000", tile_size=(64, 64)),
    "jpeg2000-bare": saved(pixels("RGB"), "JPEG2000", no_jp2=True),
    "jpeg2000-gray": saved(pixels("L"), "JPEG2000"),
    "jpeg2000-alpha": saved(pixels("RGBA"), "JPEG2000"),
    "webp": saved(pixels("RGB"), "WEBP", quality=80),
    "webp-lossless": saved(pixels("RGB"), "WEBP", lossless=True),
    "webp-alpha": saved(pixels("RGBA"), "WEBP", lossless=True, exact=True),
    "pbm": saved(pixels("1"), "PPM"),
    "pgm": saved(pixels("L"), "PPM"),
    "ppm": saved(pixels("RGB"), "PPM"),
    "pbm-text": b"P1\n# two rows\n3 2\n010\n1 1 0\n",
    "pgm-text": b"P2 3 1 # one row\n200 0 100\n200",
    "ppm-text": b"P3\n1 2\n255\n1 2 3\n255 254 253",
    **{f"tiff-{mode}": saved(pixels(mode), "TIFF") for mode in ("1", "L", "P", "RGB", "RGBA", "CMYK")},
    **{
        f"tiff-{compression}": saved(pixels("RGB"), "TIFF", compression=compression)
        for compression in ("packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "jpeg")
    },
    "tiff-fax": saved(pixels("1"), "TIFF", compression="group4"),
}
# Decoded by other releases of the same libraries, which may round a chroma sample otherwise.
NEARLY = {"jpeg2000-lossy": 1, "tiff-jpeg": 2, "jpeg2000-gray": 1}


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("name", FILES)
def test_as_pillow(name: str, pixel_format: str) -> None:
    file = FILES[name]
    result = decoder(pixel_format)(file)
    want = expected(PIL.Image.open(io.BytesIO(file)), pixel_format)
    assert result.dtype == np.uint8
    assert result.shape == want.shape
    np.testing.assert_allclose(result.astype(int), want.astype(int), rtol=0, atol=NEARLY.get(name, 0))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_tiff(orientation: int) -> None:
    file = saved(pixels("RGB"), "TIFF", tiffinfo={274: orientation})
    want = expected(PIL.Image.open(io.BytesIO(file)), "RGB")
    np.testing.assert_array_equal(decoder()(file), want)


def test_interlaced_png() -> None:
    """The seven passes of Adam7, written by hand because Pillow writes none."""
    rgb = np.asarray(sample(11, 13))
    rows = b""
    for y, x, dy, dx in (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    ):
        part = rgb[y::dy, x::dx]
        rows += b"".join(b"\0" + row.tobytes() for row in part) if part.size else b""
    file = b"\x89PNG\r\n\x1a\n"
    header = struct.pack(">IIBBBBB", 13, 11, 8, 2, 0, 0, 1)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        file += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    np.testing.assert_array_equal(np.asarray(PIL.Image.open(io.BytesIO(file))), rgb)
    np.testing.assert_array_equal(decoder()(file), rgb)
    np.testing.assert_array_equal(decoder("BGR")(file), rgb[:, :, ::-1])


def test_sixteen_bits() -> None:
    values = np.array([[0, 257, 65535], [128, 32896, 300]], np.uint16)
    want = np.rint(values / 257).astype(np.uint8)[:, :, None]
    pgm = b"P5 3 2 65535\n" + values.astype(">u2").tobytes()
    np.testing.assert_array_equal(decoder("Grayscale")(pgm), want)
    png = saved(PIL.Image.fromarray(values), "PNG")
    np.testing.assert_array_equal(decoder("Grayscale")(png), want)


def bmp(
    width: int, height: int, bits: int, compression: int, body: bytes, palette: bytes = b"", masks: bytes = b""
) -> bytes:
    start = 54 + len(masks) + len(palette)
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + header + masks + palette + body


RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
PALETTE = b"\0\0\0\0" + b"\0\0\xff\0" + b"\0\xff\0\0" + b"\xff\0\0\0"  # black, red, green, blue


@pytest.mark.parametrize(
    ("file", "rows"),
    [
        # Runs, a literal of three with its padding, a jump over one pixel, the end of a line and of the picture.
        (
            bmp(4, 2, 8, 1, b"\x03\x01\x01\x02\0\0\0\x03\x01\x02\x03\0\0\x01", PALETTE),
            [[RED, GREEN, BLUE, BLACK], [RED] * 3 + [GREEN]],
        ),
        (bmp(3, 1, 8, 1, b"\0\x02\x01\0\x02\x03\0\x01", PALETTE), [[BLACK, BLUE, BLUE]]),
        (bmp(5, 1, 4, 2, b"\x03\x12\0\x03\x13\x20\0\x01", PALETTE), [[RED, GREEN, RED, RED, BLUE]]),
        # The first row at the top.
        (bmp(1, -2, 24, 0, b"\0\0\xff\0" + b"\xff\0\0\0"), [[RED], [BLUE]]),
        (bmp(2, 1, 16, 0, struct.pack("<HH", 31 << 10, 31 << 5)), [[RED, GREEN]]),
        (
            bmp(2, 1, 16, 3, struct.pack("<HH", 63 << 5, 31), masks=struct.pack("<III", 31 << 11, 63 << 5, 31)),
            [[GREEN, BLUE]],
        ),
        (bmp(1, 1, 32, 3, struct.pack("<I", 0xFF), masks=struct.pack("<III", 0xFF, 0xFF00, 0xFF0000)), [[RED]]),
        (bmp(3, 1, 4, 0, b"\x12\x30\0\0", PALETTE), [[RED, GREEN, BLUE]]),
        # An index beyond the palette is its last colour.
        (bmp(1, 1, 8, 0, b"\x09\0\0\0", PALETTE), [[BLUE]]),
    ],
)
def test_forms_of_bmp(file: bytes, rows: list[Any]) -> None:
    np.testing.assert_array_equal(decoder()(file), np.array(rows, np.uint8))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "0 bytes are no BMP"),
        (b"GIF89a" + bytes(40), "46 bytes are no BMP"),
        (FILES["jpeg"][:-200], "JPEG: Premature end"),
        (FILES["png-RGB"][:500], "PNG: the file ends too early"),
        (FILES["webp"][: len(FILES["webp"]) // 2], "WebP"),
        (FILES["jpeg2000"][:300], "JPEG 2000"),
        (FILES["tiff-tiff_lzw"][:100], "TIFF"),
        (b"P6 4000000 4000000 255\n" + bytes(100), "too short for its size"),
        (b"P6 70000 0 255\n", "70000 x 0 pixels"),
        (bmp(2**31 - 1, 2**31 - 1, 1, 0, bytes(64), PALETTE[:8]), "too short for its size"),
        (bmp(12000, 12000, 8, 1, bytes(300_000), PALETTE), "pixels, is not between"),
        (bmp(1, 1, 7, 0, bytes(64)), "7 bits a pixel"),
    ],
)
def test_what_cannot_be_decoded_is_empty(file: bytes, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    """The standard's rule; the reason goes to the log."""
    with caplog.at_level(logging.WARNING, "fastort"):
        result = decoder("Grayscale")(file)
    assert result.shape == (0, 0, 1)
    assert reason in caplog.text
    assert "picture" in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_damaged_files_do_no_harm(name: str) -> None:
    """Cut off anywhere, and with flipped bits, a file gives a picture or an empty one, and nothing worse."""
    decode, file = decoder(), FILES[name]
    whole = decode(file)
    random = np.random.default_rng(1)
    for end in {*range(min(len(file), 120)), *random.integers(0, len(file), 60).tolist()}:
        result = decode(file[:end])
        # Only what stands behind the pixels may be missing.
        assert result.size == 0 or np.array_equal(result, whole) or name in ("pgm-text", "ppm-text")
    for _ in range(300):
        broken = bytearray(file)
        for at in random.integers(0, len(file) if random.random() < 0.5 else min(len(file), 64), random.integers(1, 4)):
            broken[at] ^= 1 << random.integers(0, 8)
        result = decode(bytes(broken))
        assert result.ndim == 3
        assert result.shape[2] == 3


def test_the_attribute_is_checked() -> None:
    with pytest.raises(fastort.capi.onnxruntime_pybind11_state.InvalidGraph, match="RGB, BGR or Grayscale"):
        decoder("RGBA")
