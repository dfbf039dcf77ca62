"""Damaged pictures: each is read or refused in one line, soon, and a refused one leaves
nothing behind."""
import time
import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import campaign
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from deblur_vae.data import DataError
from deblur_vae.files import deep_png, enhance_files, plain_tiff, read_image


def picture(mode='RGB', size=(48, 40)):
    y, x = np.mgrid[:size[1], :size[0]]
    bands = np.stack([x * 5, y * 6, (x * y) // 8, 255 - x * 2], 2)
    return Image.fromarray(bands.astype(np.uint8)).convert(mode)


def encoded(image, name, **options):
    image.save(out := BytesIO(), name, **options)
    return out.getvalue()


def labels():
    exif, text = Image.Exif(), PngInfo()
    exif[274], exif[315] = 6, 'Ann'
    exif.get_ifd(34665)[33434] = 0.01
    text.add_text('Title', 'A face')
    text.add_itxt('Comment', 'größer', zip=True)
    return dict(exif=exif, dpi=(300, 300), icc_profile=bytes(range(200)), pnginfo=text)


def kinds():
    deep = np.asarray(picture()).astype(np.uint16) * 200
    return {
        'plain.jpg': encoded(picture(), 'JPEG', quality=85),
        'progressive.jpg': encoded(picture(), 'JPEG', progressive=True, **labels()),
        'cmyk.jpg': encoded(picture().convert('CMYK'), 'JPEG', **labels()),
        'plain.png': encoded(picture('RGBA'), 'PNG', **labels()),
        'palette.png': encoded(picture().quantize(32), 'PNG'),
        'deep.png': deep_png(deep),
        'lossy.webp': encoded(picture('RGBA'), 'WEBP', **labels()),
        'lossless.webp': encoded(picture(), 'WEBP', lossless=True),
        'plain.tif': encoded(picture(), 'TIFF', compression='tiff_lzw', **labels()),
        'deep.tif': plain_tiff(deep),
        'plain.gif': encoded(picture().quantize(16), 'GIF'),
        'plain.bmp': encoded(picture(), 'BMP'),
    }


def damaged(content: bytes, random: np.random.Generator) -> bytes:
    """One to three kinds of damage: flipped bytes, a cut end, swapped blocks, an edited
    header, garbage put in, a part left out."""
    data = bytearray(content)
    for _ in range(random.integers(1, 4)):
        start, length = int(random.integers(0, len(data))), int(random.integers(1, 40))
        match random.integers(0, 7):
            case 0:
                for at in random.integers(0, len(data), random.integers(1, 12)):
                    data[at] ^= 1 << int(random.integers(0, 8))
            case 1: del data[max(start, 1):]
            case 2:
                other = int(random.integers(0, len(data)))
                here, there = slice(start, start + length), slice(other, other + length)
                data[here], data[there] = data[there], data[here]
            case 3:
                for at in random.integers(0, min(64, len(data)), random.integers(1, 5)):
                    data[at] = int(random.choice([0, 1, 127, 128, 255]))
            case 4: data[start:start] = random.bytes(length)
            case 5: del data[start:start + length]
            case 6:
                value = int(random.choice([0, 255]))
                data[start:start + length] = bytes([value]) * length
        if not data: data += b'\0'
    return bytes(data)


def check_refused(name: str, failures: list, written: list, told: str) -> None:
    "One line that names the file, and nothing written."
    (_, line), = failures
    assert '\n' not in line and name in line and not written
    # libtiff itself speaks to stderr, and Pillow cannot be told to stop it
    if name.endswith('.tif'): assert told.endswith(line + '\n')
    else: assert told == f'deblur-vae: {line}\n'


def check_read(source: Path, out: Path, written: list, told: str) -> None:
    "One picture that can be read again, and nothing said but notes on the source."
    assert written == [source.name]
    if source.suffix != '.tif':
        assert all(f'{source}: ' in note for note in told.splitlines())
    read_image(out / source.name)


@pytest.mark.parametrize('copies', [40, campaign(350)])
@pytest.mark.parametrize('name', kinds())
def test_damaged_pictures(tmp_path, name, copies, capfd):
    content, random = kinds()[name], np.random.default_rng([7, *name.encode()])
    source, out, read = tmp_path / name, tmp_path / 'out', 0
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for _ in range(copies):
            source.write_bytes(damaged(content, random))
            start = time.perf_counter()
            failures = enhance_files([source], f'{out}/', lambda pixels: pixels)
            assert time.perf_counter() - start < 10
            told = capfd.readouterr()
            assert not told.out and 'Traceback' not in told.err
            written = [path.name for path in out.iterdir()] if out.exists() else []
            if failures: check_refused(name, failures, written, told.err)
            else:
                check_read(source, out, written, told.err)
                (out / name).unlink()
                read += 1
    assert [path.name for path in tmp_path.iterdir() if path != out] == [name]
    print(f'{name}: {read} of {copies} damaged files could be read')


def test_random_bytes_and_every_length(tmp_path):
    random, source = np.random.default_rng(1), tmp_path / 'a.png'
    heads = [b'', b'\xff\xd8\xff\xe0', b'\x89PNG\r\n\x1a\n', b'RIFF\x40\0\0\0WEBPVP8 ',
             b'II*\0\x08\0\0\0', b'GIF89a', b'BM', b'P6 9 9 255\n']
    for i in range(200):
        source.write_bytes(heads[i % len(heads)]
                           + random.bytes(int(random.integers(1, 400))))
        try: read_image(source)
        except DataError as error: assert '\n' not in str(error)
    for content in (encoded(picture(size=(9, 7)), 'PNG'),
                    encoded(picture(size=(9, 7)), 'WEBP')):
        for length in range(len(content)):
            source.write_bytes(content[:length])
            try: read_image(source)
            except DataError as error: assert '\n' not in str(error)
