"""Damaged pictures: each is read or refused in one line, soon, and a refused one leaves
nothing behind."""
import signal
import warnings
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from conftest import campaign
from damage import IN_PICTURES, damaged
from PIL import Image, features
from PIL.PngImagePlugin import PngInfo

from deblur_vae.classical import parse_kernel
from deblur_vae.data import DataError
from deblur_vae.enhance import enhance_pixels
from deblur_vae.files import (
    deep_png, enhance_files, pixel_limit, plain_tiff, read_image)

SEED = 7
SECONDS = 20  # that a picture may take
MOST = 50_000  # pixels
GROWTH = 100  # MB


def picture(mode='RGB', size=(24, 20)):
    y, x = np.mgrid[:size[1], :size[0]]
    bands = np.stack([x * 9, y * 11, (x * y) // 2, 255 - x * 4], 2)
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


def kinds() -> dict[str, bytes]:
    "Small files by name, of every format and of modes that take other ways."
    deep = np.asarray(picture()).astype(np.uint16) * 200
    pages = dict(save_all=True, append_images=[picture().rotate(90)])
    found = {
        'plain.jpg': encoded(picture(), 'JPEG', quality=85),
        'progressive.jpg': encoded(picture(), 'JPEG', progressive=True, **labels()),
        'grey.jpg': encoded(picture('L'), 'JPEG'),
        'cmyk.jpg': encoded(picture().convert('CMYK'), 'JPEG', **labels()),
        'plain.png': encoded(picture('RGBA'), 'PNG', **labels()),
        'palette.png': encoded(picture().quantize(32), 'PNG'),
        'bits.png': encoded(picture('1'), 'PNG'),
        'deep.png': deep_png(deep),
        'lossy.webp': encoded(picture('RGBA'), 'WEBP', **labels()),
        'lossless.webp': encoded(picture(), 'WEBP', lossless=True),
        'plain.tif': encoded(picture(), 'TIFF', compression='tiff_lzw', **labels()),
        'deep.tif': plain_tiff(deep),
        'lab.tif': encoded(picture().convert('LAB'), 'TIFF'),
        'float.tif': encoded(picture('F'), 'TIFF'),
        'pages.tif': encoded(picture(), 'TIFF', **pages),
        'plain.gif': encoded(picture().quantize(16), 'GIF'),
        'moving.gif': encoded(picture().quantize(16), 'GIF', **pages),
        'plain.bmp': encoded(picture(), 'BMP'),
    }
    if features.check('avif'): found['plain.avif'] = encoded(picture(), 'AVIF')
    if find_spec('pillow_heif'):
        __import__('pillow_heif').register_heif_opener()
        found['plain.heic'] = encoded(picture(), 'HEIF')
    return found


class Restore:
    """What a picture goes through: nothing, a filter for every fourth, and all that
    `enhance` does for every fortieth."""
    def __init__(self):
        self.calls, kernel = 0, parse_kernel('gaussian:1.5')
        self.filtered = partial(enhance_pixels, method='classical', kernel=kernel)

    def __call__(self, pixels):
        self.calls += 1
        if self.calls % 40 == 0: return enhance_pixels(pixels)
        return self.filtered(pixels) if self.calls % 4 == 0 else pixels


@contextmanager
def at_most(seconds: int):
    "`TimeoutError` after that time."
    def stop(*_): raise TimeoutError(f'no answer after {seconds} s')
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try: yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def refused_well(source: Path, failures: list, told: str) -> bool:
    "One line that names the file. libtiff itself speaks to stderr, and is let."
    (_, line), = failures
    if source.suffix == '.tif': told = told[-len(line) - 13:]
    return '\n' not in line and str(source) in line and told == f'deblur-vae: {line}\n'


def read_well(source: Path, told: str) -> bool:
    "Nothing was said but notes on the source."
    notes = told.splitlines() if source.suffix != '.tif' else []
    return all(f'{source}: ' in note for note in notes)


def fault_of(source: Path, out: Path, restore, capfd) -> str | None:
    "What is wrong with what became of a picture; afterwards nothing of it is there."
    try:
        with at_most(SECONDS), warnings.catch_warnings():
            warnings.simplefilter('error')
            with pixel_limit(MOST):  # as in the command
                failures = enhance_files([source], f'{out}/', restore, max_pixels=MOST)
    except Exception as error: return f'{type(error).__name__}: {error}'
    told = capfd.readouterr()
    written = [path.name for path in out.iterdir()] if out.exists() else []
    if told.out or 'Traceback' in told.err: return f'said {told}'
    if failures:
        return None if refused_well(source, failures, told.err) and not written else (
            f'refused: {told.err!r}, left {written}')
    if written != [source.name] or not read_well(source, told.err):
        return f'read: {told.err!r}, left {written}'
    read_image(out / source.name)
    (out / source.name).unlink()
    return None


def resident() -> float:
    "Memory of this process, in MB."
    pages = int(Path('/proc/self/statm').read_text().split()[1])
    return pages * 4096 / 1e6


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='memory is read from /proc')
@pytest.mark.parametrize('copies', [240, campaign(10_000)])
def test_damaged_pictures(tmp_path, copies, capfd, tally):
    files, random, restore = kinds(), np.random.default_rng(SEED), Restore()
    out, before = tmp_path / 'out', 0.0
    enhance_pixels(np.asarray(picture()))  # the network is in memory from here on
    with tally('pictures, damaged', SEED) as pictures:
        for n in range(copies):
            name = list(files)[n % len(files)]
            source = tmp_path / name
            source.write_bytes(damaged(files[name], random, IN_PICTURES, most=2))
            fault = fault_of(source, out, restore, capfd)
            kept = source.read_bytes().hex() if fault else ''
            pictures.count(f'number {n}, {name}, {kept}', fault)
            source.unlink()
            if n == copies // 5: before = resident()
        growth = resident() - before
        pictures.noted = f', {restore.calls:,} of them read, memory {growth:+.0f} MB'
        if growth > GROWTH: pictures.lost.append(f'memory grew by {growth:.0f} MB')
    assert not [path for path in tmp_path.iterdir() if path != out]


@pytest.mark.filterwarnings('ignore:Corrupt EXIF')
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
