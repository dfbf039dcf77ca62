"""Files: what is read, kept and refused, what is written, and where; one bad picture
does not stop the others."""
import errno
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps, JpegImagePlugin
from PIL.PngImagePlugin import PngInfo

import deblur_vae.files
from deblur_vae.data import DataError
from deblur_vae.enhance import joined, to_arrays, to_image
from deblur_vae.files import (
    MAX_PIXELS, Picture, deep_png, enhance_files, find_pictures, out_path,
    pixel_limit, plain_tiff, plan, raw_mode, read_deep, read_image, side_by_side,
    upright, write_image)

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


def noise(*shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height=40, width=60, channels=3):
    y, x = np.mgrid[:height, :width]
    bands = [(x * (3 + c) + y * (5 - c)) % 256 for c in range(channels)]
    return np.stack(bands, 2).astype(np.uint8)


def refused(*words, call=read_image, **options):
    def check(*args):
        with pytest.raises(DataError) as error: call(*args, **options)
        line = str(error.value)
        assert all(word in line for word in words) and '\n' not in line, line
    return check


def same(pixels): return pixels


def no_leftovers(folder):
    return not [p for p in folder.rglob('*') if p.name.endswith('.part')]


def save(path, pixels=None, **options):
    if pixels is None: pixels = smooth()
    Image.fromarray(pixels.squeeze()).save(path, **options)
    return path


def exif_of(**tags):
    exif = Image.Exif()
    for tag, value in tags.items(): exif[int(tag[1:])] = value
    return exif


@pytest.fixture(autouse=True)
def pillow_is_as_before():
    "Its limit stands, and no warning is ours; its own are its caller's to silence."
    before = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter('always')
        yield
    assert Image.MAX_IMAGE_PIXELS == before
    assert not [warning for warning in leaked if '/PIL/' not in warning.filename]


# Reading

@settings(max_examples=30, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 2, 3, 4]),
       st.sampled_from(['png', 'tif', 'webp']))
def test_lossless_formats_give_and_keep_every_value(
        tmp_path_factory, height, width, channels, suffix):
    folder = tmp_path_factory.mktemp('any')
    pixels = noise(height, width, channels)
    if suffix == 'webp' and channels < 3: pixels = np.repeat(pixels[..., :1], 3, 2)
    options = dict(lossless=True, exact=True) if suffix == 'webp' else {}
    image = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    Image.fromarray(image).save(folder / f'a.{suffix}', **options)
    picture = read_image(folder / f'a.{suffix}')
    if not (suffix == 'webp' and channels == 4):
        assert (joined(picture.pixels, picture.alpha) == pixels).all()
    assert not write_image(picture, picture.pixels, folder / f'b.{suffix}')
    again = read_image(folder / f'b.{suffix}')
    assert (again.pixels == picture.pixels).all() and again.pixels.dtype == np.uint8
    if picture.alpha is None: assert again.alpha is None
    else: assert (again.alpha == picture.alpha).all()


@pytest.mark.parametrize('shape', [(1, 1, 3), (1, 5000, 3), (5000, 1, 1), (16, 16, 3)])
@pytest.mark.parametrize('suffix', ['png', 'jpg', 'webp', 'tif', 'bmp'])
def test_extreme_sizes(tmp_path, shape, suffix):
    array = noise(*shape)
    source = tmp_path / f'a.{suffix}'
    Image.fromarray(array[..., 0] if shape[2] == 1 else array).save(source)
    assert not enhance_files([source], None, same)
    assert read_image(tmp_path / f'a-enhanced.{suffix}').pixels.shape[:2] == shape[:2]


def test_upright_undoes_every_orientation():
    pixels = noise(5, 4, 3)
    for orientation in range(1, 9):
        image = Image.fromarray(pixels)
        undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}.get(orientation)
        stored = np.asarray(image if undo is None else image.transpose(undo))
        assert (upright(stored, orientation) == pixels).all()
    assert upright(None, 6) is None and to_image(pixels).size == (4, 5)


def test_orientation_is_applied_and_the_tag_reset(tmp_path):
    for suffix in ('jpg', 'png', 'webp', 'tif'):
        for orientation in range(1, 9):
            path = save(tmp_path / f'a.{suffix}',
                        exif=exif_of(_274=orientation, _315='Ann'))
            picture = read_image(path)
            write_image(picture, picture.pixels, tmp_path / f'b.{suffix}', force=True)
            with Image.open(tmp_path / f'b.{suffix}') as image:
                exif = image.getexif()
                assert exif.get(315) == 'Ann' and exif.get(274, 1) == 1, (
                    suffix, dict(exif))
                assert image.size == ((60, 40) if orientation < 5 else (40, 60))
            with Image.open(path) as image:
                expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
            assert (picture.pixels == expected).all(), (suffix, orientation)


def test_orientation_in_xmp_is_reset(tmp_path):
    text = PngInfo()
    text.add_itxt('XML:com.adobe.xmp', '<x:xmpmeta><rdf:Description '
                  'tiff:Orientation="6" dc:creator="Ann"/></x:xmpmeta>')
    path = save(tmp_path / 'a.png', pnginfo=text)
    picture = read_image(path)
    assert picture.pixels.shape == (60, 40, 3)
    for suffix in ('png', 'jpg', 'webp', 'tif'):
        write_image(picture, picture.pixels, tmp_path / f'b.{suffix}')
        again = read_image(tmp_path / f'b.{suffix}')
        xmp = again.keep['xmp']
        assert again.pixels.shape == (60, 40, 3), suffix
        assert b'Orientation="1"' in xmp and b'Ann' in xmp, suffix


@pytest.mark.parametrize('source', ['jpg', 'png', 'tif', 'webp'])
@pytest.mark.parametrize('target', ['jpg', 'png', 'tif', 'webp'])
def test_labels_are_kept(tmp_path, source, target):
    exif = exif_of(_315='Ann', _271='Camera', _306='2026:01:01 00:00:00')
    path = save(tmp_path / f'a.{source}', exif=exif, icc_profile=SRGB, dpi=(240, 240))
    picture = read_image(path)
    assert write_image(picture, picture.pixels, tmp_path / f'b.{target}') == []
    with Image.open(tmp_path / f'b.{target}') as image:
        assert image.info['icc_profile'] == SRGB
        assert {315: 'Ann', 271: 'Camera'}.items() <= dict(image.getexif()).items()
        if 'webp' not in (source, target):
            assert list(map(float, image.info['dpi'])) == pytest.approx([240] * 2, 0.01)


def test_exif_of_the_camera_is_kept(tmp_path):
    exif = exif_of(_274=3)
    exif.get_ifd(34665)[33434] = 0.01
    exif.get_ifd(34853)[1] = 'N'
    picture = read_image(save(tmp_path / 'a.jpg', exif=exif))
    for suffix in ('jpg', 'png', 'tif', 'webp'):
        write_image(picture, picture.pixels, tmp_path / f'b.{suffix}')
        with Image.open(tmp_path / f'b.{suffix}') as image:
            exif = image.getexif()
            assert float(exif.get_ifd(34665)[33434]) == pytest.approx(0.01), suffix
            assert exif.get_ifd(34853)[1] == 'N', suffix
    deep = noise(4, 5, 3, dtype=np.uint16)
    write_image(Picture(tmp_path, deep, keep=picture.keep), deep, tmp_path / 'c.tif')
    with Image.open(tmp_path / 'c.tif') as image:
        assert float(image.getexif().get_ifd(34665)[33434]) == pytest.approx(0.01)


def test_text_of_png_is_kept(tmp_path):
    text = PngInfo()
    text.add_text('Title', 'A face')
    text.add_itxt('Comment', 'größer 🙂')
    picture = read_image(save(tmp_path / 'a.png', pnginfo=text))
    for pixels in (picture.pixels, picture.pixels.astype(np.uint16) * 257):
        write_image(picture, pixels, tmp_path / 'b.png', force=True)
        with Image.open(tmp_path / 'b.png') as image:
            assert image.text == {'Title': 'A face', 'Comment': 'größer 🙂'}


@pytest.mark.parametrize('subsampling', [0, 1, 2])
@pytest.mark.parametrize('quality', [30, 75, 96])
def test_jpeg_keeps_its_quality(tmp_path, subsampling, quality):
    picture = read_image(save(
        tmp_path / 'a.jpg', quality=quality, subsampling=subsampling,
        progressive=quality == 75, comment=b'hello'))
    write_image(picture, picture.pixels, tmp_path / 'b.jpg')
    with Image.open(tmp_path / 'a.jpg') as a, Image.open(tmp_path / 'b.jpg') as b:
        assert a.quantization == b.quantization
        assert JpegImagePlugin.get_sampling(a) == JpegImagePlugin.get_sampling(b)
        assert a.info.get('progressive') == b.info.get('progressive')
        assert b.info['comment'] == b'hello'
    write_image(read_image(save(tmp_path / 'c.png')), smooth(), tmp_path / 'c.jpg')
    with Image.open(tmp_path / 'c.jpg') as image:
        assert JpegImagePlugin.get_sampling(image) == 0
        assert max(image.quantization[0]) <= 12


def test_webp_and_tiff_keep_their_kind(tmp_path):
    for lossless in (True, False):
        path = save(tmp_path / 'a.webp', lossless=lossless, icc_profile=SRGB)
        picture = read_image(path)
        assert picture.lossy != lossless
        write_image(picture, picture.pixels, tmp_path / 'b.webp', force=True)
        same_pixels = (read_image(tmp_path / 'b.webp').pixels == picture.pixels).all()
        assert same_pixels == lossless
    for compression in ('raw', 'tiff_lzw', 'tiff_adobe_deflate', 'jpeg'):
        picture = read_image(save(tmp_path / 'a.tif', compression=compression))
        write_image(picture, picture.pixels, tmp_path / 'b.tif', force=True)
        with Image.open(tmp_path / 'b.tif') as image:
            expected = 'raw' if compression == 'raw' else 'tiff_adobe_deflate'
            assert image.info['compression'] == expected
        assert (read_image(tmp_path / 'b.tif').pixels == picture.pixels).all()


@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('write, suffix', [(deep_png, 'png'), (plain_tiff, 'tif')])
@pytest.mark.parametrize('target', ['png', 'tif'])
def test_sixteen_bits_stay(tmp_path, channels, write, suffix, target):
    bands = noise(9, 7, channels, dtype=np.uint16)
    source = tmp_path / f'a.{suffix}'
    source.write_bytes(write(bands, icc_profile=SRGB, dpi=(240, 240)))
    assert not enhance_files([source], tmp_path / f'b.{target}', same)
    picture = read_image(tmp_path / f'b.{target}')
    assert picture.pixels.dtype == np.uint16
    assert (joined(picture.pixels, picture.alpha) == bands).all()
    assert picture.keep['icc_profile'] == SRGB
    assert np.allclose(picture.keep['dpi'], 240, atol=0.1)


def test_sixteen_bit_tiffs_of_others(tmp_path):
    tifffile = pytest.importorskip('tifffile')
    bands = noise(20, 30, 3, dtype=np.uint16)
    for options in ({}, dict(byteorder='>'), dict(compression='zlib'),
                    dict(compression='zlib', predictor=True, byteorder='>'),
                    dict(tile=(16, 16))):
        tifffile.imwrite(tmp_path / 'a.tif', bands, photometric='rgb', **options)
        assert (read_image(tmp_path / 'a.tif').pixels == bands).all(), options
    write_image(read_image(tmp_path / 'a.tif'), bands, tmp_path / 'b.tif')
    assert (tifffile.imread(tmp_path / 'b.tif') == bands).all()
    write_image(Picture(Path('a.png'), bands, bands[..., 0]), bands, tmp_path / 'c.tif')
    assert (tifffile.imread(tmp_path / 'c.tif')[..., 3] == bands[..., 0]).all()


@pytest.mark.parametrize('channels', [1, 2, 3, 4])
@pytest.mark.parametrize('write, suffix', [(deep_png, 'png'), (plain_tiff, 'tif')])
def test_sixteen_bits(tmp_path, channels, write, suffix):
    bands = noise(9, 7, channels, dtype=np.uint16)
    path = tmp_path / f'deep.{suffix}'
    path.write_bytes(write(bands, dpi=(72, 72), icc_profile=b'profile'))
    if (suffix, channels) == ('tif', 2): return  # Pillow does not read such a file
    with Image.open(path) as image:
        raw, plain = raw_mode(image), to_arrays(image)
        assert image.info['icc_profile'] == b'profile'
        assert round(image.info['dpi'][0]) == 72
    pixels, alpha = plain if bands.shape[2] == 1 else read_deep(path, raw)
    assert pixels.dtype == np.uint16 and (joined(pixels, alpha) == bands).all()


def test_eight_bit_formats_say_so(tmp_path):
    (tmp_path / 'a.png').write_bytes(deep_png(noise(9, 7, 4, dtype=np.uint16)))
    picture = read_image(tmp_path / 'a.png')
    notes = write_image(picture, picture.pixels, tmp_path / 'b.jpg')
    assert ['16 bits' in notes[0], 'white' in notes[1], len(notes)] == [True, True, 2]


@pytest.mark.parametrize('target', ['png', 'webp', 'tif', 'jpg', 'bmp'])
@pytest.mark.parametrize('channels', [2, 4])
def test_alpha(tmp_path, target, channels):
    bands = smooth(channels=channels)
    bands[..., -1] = np.linspace(0, 255, 60)
    picture = read_image(save(tmp_path / 'a.png', bands))
    notes = write_image(picture, picture.pixels, tmp_path / f'b.{target}')
    again = read_image(tmp_path / f'b.{target}')
    if target in ('jpg', 'bmp'):
        assert 'white' in notes[0] and again.alpha is None
        assert (again.pixels[:, 0] > 250).all()
        if target == 'jpg':  # a BMP of greys is one with a palette
            assert again.pixels.shape[2] == channels - 1
    else: assert not notes and (again.alpha == bands[..., -1]).all()


@pytest.mark.parametrize('header, notes', [
    ('P6 1 1 65535', 1), ('P6 1 1 300', 1), ('P3 1 1 65535', 1), ('P6 1 1 255', 0),
    ('P5 1 3 65535', 0), ('P3 1 1 255', 0), ('P1 1 3', 0), ('P4 1 3', 0)])
def test_16_bit_colours_of_ppm_are_read_as_8_with_a_note(tmp_path, header, notes):
    body = b'0 1 0 ' if header[1] in '13' else bytes(6)
    (tmp_path / 'a.ppm').write_bytes(header.encode() + b'\n' + body)
    assert read_image(tmp_path / 'a.ppm').notes == ['its 16 bits are read as 8'] * notes


@pytest.mark.parametrize('mode, channels, words', [
    ('1', 1, None), ('L', 1, None), ('P', 3, None), ('CMYK', 3, 'CMYK'),
    ('I;16', 1, None)])
def test_modes(tmp_path, mode, channels, words):
    steps = {'1': ['L', '1'], 'L': ['L'], 'I;16': ['L', 'I', 'I;16']}
    image = Image.fromarray(smooth())
    for step in steps.get(mode, [mode]): image = image.convert(step)
    image.save(tmp_path / 'a.tif', icc_profile=b'some profile')
    picture = read_image(tmp_path / 'a.tif')
    assert picture.pixels.shape == (40, 60, channels) and picture.mode == mode
    assert any(words in note for note in picture.notes) if words else not picture.notes
    assert ('icc_profile' in picture.keep) == (mode != 'CMYK')
    assert not enhance_files([tmp_path / 'a.tif'], None, same)


def grey_inks():
    "An ICC profile of a printer whose four inks are all grey."
    ramp = bytes(range(256))
    inks = np.indices((2, 2, 2, 2)).reshape(4, 16)
    light = ((1 - inks[3]) * (1 - inks[:3].mean(0)) * 255).round()
    lab = np.stack([light, light * 0 + 128, light * 0 + 128], 1).astype(np.uint8)
    matrix = struct.pack('>9I', *(np.eye(3, dtype=int).ravel() << 16))
    table = (struct.pack('>4s4x4B', b'mft1', 4, 3, 2, 0) + matrix + 4 * ramp
             + lab.tobytes() + 3 * ramp)
    white = struct.pack('>3I', 0xf6d6, 0x10000, 0xd32d)
    head = struct.pack('>I4sI12s12x4s28x12s48x', 144 + len(table), b'lcms', 0x2400000,
                       b'prtrCMYKLab ', b'acsp', white)
    return head + struct.pack('>I4s2I', 1, b'A2B0', 144, len(table)) + table


def test_inks_become_srgb_by_their_profile(tmp_path):
    image, notes = Image.new('CMYK', (9, 8), (255, 0, 0, 0)), []
    for profile, colour in ((grey_inks(), (162, 162, 162)), (SRGB, (0, 255, 255)),
                            (None, (0, 255, 255))):
        image.save(tmp_path / 'a.tif', icc_profile=profile)
        picture = read_image(tmp_path / 'a.tif')
        assert np.abs(picture.pixels.astype(int) - colour).max() <= 1
        assert picture.mode == 'CMYK' and 'icc_profile' not in picture.keep
        notes += picture.notes
    said = 'its colours are CMYK and become RGB'
    assert notes == [f'{said}, by its colour profile', f'{said}; its colour profile '
                     'does not fit them and was left out', said]


def test_transparent_palette_and_animation(tmp_path):
    frames = [Image.fromarray(smooth()).quantize(8) for _ in range(3)]
    frames[1] = Image.fromarray(255 - smooth()).quantize(8)
    frames[2] = Image.fromarray(smooth() // 2).quantize(8)
    frames[0].save(tmp_path / 'a.gif', save_all=True, append_images=frames[1:],
                   transparency=0)
    picture = read_image(tmp_path / 'a.gif')
    assert 'first of 3' in picture.notes[0] and picture.alpha is not None
    assert picture.pixels.shape == (40, 60, 3)
    notes = write_image(picture, picture.pixels, tmp_path / 'b.gif')
    assert '256 colours' in notes[0] and '\n' not in notes[0]
    for suffix in ('webp', 'png', 'tif'):
        first, *rest = [frame.convert('RGB') for frame in frames]
        first.save(tmp_path / f'a.{suffix}', save_all=True, append_images=rest)
        picture = read_image(tmp_path / f'a.{suffix}')
        assert 'first of 3' in picture.notes[0]
        assert (suffix == 'webp' or (picture.pixels == np.asarray(first)).all())


def test_broken_exif_is_a_note(tmp_path):
    exif = exif_of(_315='Ann' * 50).tobytes()
    save(tmp_path / 'a.jpg', exif=exif[:6] + b'II*\0\xff\xff\xff\x7f' + exif[14:])
    picture = read_image(tmp_path / 'a.jpg')
    assert picture.pixels.shape == (40, 60, 3)
    assert all('\n' not in note for note in picture.notes)
    assert not enhance_files([tmp_path / 'a.jpg'], None, same)


def test_labels_that_a_format_cannot_hold_are_left_out_with_a_note(tmp_path):
    picture = read_image(save(tmp_path / 'a.png'))
    picture.keep['exif'] = exif_of(_315='Ann' * 30_000)
    notes = write_image(picture, picture.pixels, tmp_path / 'b.jpg')
    assert 'left out' in notes[0] and '\n' not in notes[0]
    assert read_image(tmp_path / 'b.jpg').pixels.shape == (40, 60, 3)


# Refusing

def png_header(width, height):
    def chunk(name, body):
        check = struct.pack('>I', zlib.crc32(name + body))
        return struct.pack('>I', len(body)) + name + body + check

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(bytes(10_000))) + chunk(b'IEND', b''))


def test_what_is_no_picture(tmp_path):
    (tmp_path / 'empty.jpg').touch()
    (tmp_path / 'text.png').write_text('Dear all,\n')
    (tmp_path / 'page.jpg').write_text('<!doctype html>')
    for suffix in ('jpg', 'png', 'webp'):
        content = save(tmp_path / f'good.{suffix}').read_bytes()
        (tmp_path / f'cut.{suffix}').write_bytes(content[:len(content) // 2])
        refused('cut short', f'cut.{suffix}')(tmp_path / f'cut.{suffix}')
    refused('empty', 'copy it again')(tmp_path / 'empty.jpg')
    refused('text.png', 'not a picture')(tmp_path / 'text.png')
    refused('page.jpg', 'not a picture')(tmp_path / 'page.jpg')
    refused('none.jpg', 'does not exist')(tmp_path / 'none.jpg')
    refused('is a folder')(tmp_path)
    refused('cannot be read')('a\0b.jpg')
    refused('cannot be read')('x' * 5000 + '.jpg')
    refused('not a file')('/dev/null')
    os.mkfifo(tmp_path / 'pipe.jpg')
    refused('not a file')(tmp_path / 'pipe.jpg')
    (tmp_path / 'loop.jpg').symlink_to('loop.jpg')
    refused('cannot be read')(tmp_path / 'loop.jpg')
    Image.new('F', (8, 8)).save(tmp_path / 'float.tif')
    refused('floating-point', 'float.tif')(tmp_path / 'float.tif')
    Image.new('I', (8, 8), 70_000).save(tmp_path / 'int.tif')
    refused('16 bits', 'int.tif')(tmp_path / 'int.tif')


def test_postscript_is_not_given_to_another_program(tmp_path):
    (tmp_path / 'a.eps').write_text(
        '%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n')
    refused('not a picture')(tmp_path / 'a.eps')


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_unreadable(tmp_path):
    save(tmp_path / 'a.png').chmod(0)
    refused('may not be read')(tmp_path / 'a.png')


def test_unreadable_by_whoever(tmp_path, monkeypatch):
    path = save(tmp_path / 'a.png')
    def denied(*_, **__): raise PermissionError(errno.EACCES, 'Permission denied')
    monkeypatch.setattr(Path, 'open', denied)
    refused('may not be read')(path)


def test_zip_bomb(tmp_path):
    (tmp_path / 'bomb.png').write_bytes(png_header(30_000, 30_000))
    words = '900 megapixels', '--max-megapixels 900', 'more than 179'
    refused(*words)(tmp_path / 'bomb.png')
    refused('cut short')(save_bytes(tmp_path / 'small.png', png_header(300, 300)))
    path = save(tmp_path / 'a.png')
    assert read_image(path, max_pixels=2400).pixels.shape == (40, 60, 3)
    refused('--max-megapixels 1', max_pixels=2399)(path)
    assert MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS > 100e6


def save_bytes(path, content):
    path.write_bytes(content)
    return path


def test_a_limit_of_the_caller_holds(tmp_path, monkeypatch):
    path = save(tmp_path / 'a.png')
    monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
    refused('more than')(path)
    refused('does not exist')(tmp_path / 'b.png')
    with pixel_limit(10_000):
        assert read_image(path).pixels.shape == (40, 60, 3)
        (tmp_path / 'c.png').write_bytes(b'\x89PNG\r\n\x1a\n' + bytes(100))
        refused('cut short')(tmp_path / 'c.png')
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.undo()


# Writing

def test_nothing_is_overwritten(tmp_path):
    picture = read_image(save(tmp_path / 'a.png'))
    check = refused('exists already', '--force', call=write_image)
    for name in ('a.png', 'b.png'):
        (tmp_path / 'b.png').write_bytes(b'precious')
        before = (tmp_path / name).read_bytes()
        check(picture, picture.pixels, tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
        write_image(picture, 255 - picture.pixels, tmp_path / name, force=True)
        assert (read_image(tmp_path / name).pixels == 255 - picture.pixels).all()
    (tmp_path / 'folder.png').mkdir()
    check = refused('exists already', call=write_image, force=True)
    check(picture, picture.pixels, tmp_path / 'folder.png')
    assert no_leftovers(tmp_path)


def test_suffixes(tmp_path):
    picture = read_image(save(tmp_path / 'a.png'))
    for path, *words in (('b.txt', "'.txt'", '.png'), ('b.eps', "'.eps'")):
        refused(*words, call=write_image)(picture, picture.pixels, tmp_path / path)
    write_image(picture, picture.pixels, tmp_path / 'b')
    assert read_image(tmp_path / 'b').format == 'PNG'
    (tmp_path / 'odd.dat').write_bytes((tmp_path / 'a.png').read_bytes())
    assert not enhance_files([tmp_path / 'odd.dat'], None, same)
    assert read_image(tmp_path / 'odd-enhanced.dat').format == 'PNG'
    (tmp_path / 'LOUD.PNG').write_bytes((tmp_path / 'a.png').read_bytes())
    assert not enhance_files([tmp_path / 'LOUD.PNG'], None, same)
    assert (tmp_path / 'LOUD-enhanced.PNG').exists()


def test_read_only_and_full_places(tmp_path, monkeypatch, capsys):
    path = save(tmp_path / 'a.png')
    for code in (errno.EROFS, errno.ENOSPC, errno.EACCES):
        def failing(*_): raise OSError(code, os.strerror(code))
        monkeypatch.setattr(os, 'fsync', failing)
        (_, line), = enhance_files([path], None, same)
        assert 'a-enhanced.png' in line and os.strerror(code) in line
        assert '\n' not in line
        assert sorted(p.name for p in tmp_path.iterdir()) == ['a.png']
    monkeypatch.undo()
    (tmp_path / 'file').touch()
    (_, line), = enhance_files([path], f'{tmp_path}/file/', same)
    assert '\n' not in line and str(tmp_path) in line
    assert not enhance_files([path], f'{tmp_path}/new/deep/', same)
    assert (tmp_path / 'new/deep/a.png').exists()


# Finding and placing

@pytest.fixture
def album(tmp_path):
    for name in ('b.png', 'a.jpg', 'with space.png', 'it\'s "q" 🙂.png', '-dash.png',
                 '[odd].png'):
        save(tmp_path / name)
    (tmp_path / 'notes.txt').touch()
    (tmp_path / 'sub').mkdir()
    save(tmp_path / 'sub' / 'b.png')
    return tmp_path


def test_find(album, monkeypatch):
    names = lambda *arguments: [path.name for path in find_pictures(arguments)]
    everything = sorted(p.name for p in album.iterdir() if p.suffix in ('.png', '.jpg'))
    assert names(album) == everything and len(everything) == 6
    assert names(f'{album}/*.jpg', f'{album}/a.jpg') == ['a.jpg']
    assert names(f'{album}/[odd].png') == ['[odd].png']
    assert names(f'{album}/**/b.png') == ['b.png', 'b.png']
    # reported when it is read, and the rest goes on
    assert names(f'{album}/missing.png') == ['missing.png']
    monkeypatch.chdir(album)
    assert names('-dash.png', 'with space.png') == ['-dash.png', 'with space.png']
    assert names('*') == everything
    (album / 'empty').mkdir()
    refused('no pictures in', call=find_pictures)([album / 'empty'])
    refused('no picture matches', call=find_pictures)([f'{album}/*.webp'])
    refused('no picture matches', call=find_pictures)([f'{album}/*.txt'])


def test_names_of_all_kinds_go_through(album):
    assert not enhance_files(find_pictures([album]), None, same)
    assert len(find_pictures([album])) == 6, 'results of earlier runs are left out'
    assert len(list(album.glob('*-enhanced.*'))) == 6 and no_leftovers(album)
    again = enhance_files(find_pictures([album]), None, same)
    assert len(again) == 6, 'nothing is overwritten'


def test_relative_name_with_leading_dash(album, monkeypatch):
    monkeypatch.chdir(album)
    assert not enhance_files(find_pictures(['-dash.png']), None, same)
    assert (album / '-dash-enhanced.png').exists()


def test_places(tmp_path):
    source = Path('in/a.jpg')
    assert out_path(source) == Path('in/a-enhanced.jpg')
    assert out_path(source, f'{tmp_path}') == tmp_path / 'a.jpg'
    assert out_path(source, 'new/') == Path('new/a.jpg')
    assert out_path(source, 'new') == Path('new/a.jpg')
    assert out_path(source, 'b.png') == Path('b.png')
    assert out_path(source, 'new', several=True) == Path('new/a.jpg')
    refused('give a folder', call=out_path)(source, 'b.png', True)


def test_no_two_results_in_one_place(album):
    both = [album / 'b.png', album / 'sub' / 'b.png']
    refused('belongs to', call=plan)(both, album / 'new')
    save(album / 'b-enhanced.png')
    refused('belongs to', call=plan)([album / 'b.png', album / 'b-enhanced.png'], None)
    before = sorted(album.rglob('*'))
    refused('belongs to', call=enhance_files)(both, album / 'new', same)
    assert sorted(album.rglob('*')) == before
    assert plan([album / 'b.png'], album) == {album / 'b.png': album / 'b.png'}


# The loop

def test_one_bad_picture_does_not_stop_the_rest(album, capsys):
    (album / 'c.png').write_bytes(b'\x89PNG broken')
    paths = find_pictures([album, album / 'gone.png'])
    failures = enhance_files(paths, album / 'out', lambda pixels: 255 - pixels)
    assert [path.name for path, _ in failures] == ['c.png', 'gone.png']
    assert len(list((album / 'out').iterdir())) == 6 and no_leftovers(album)
    error = capsys.readouterr().err
    assert all(error.count(line) == 1 for _, line in failures)
    assert (read_image(album / 'out' / 'b.png').pixels == 255 - smooth()).all()


def test_notes_are_told(tmp_path, capsys):
    Image.fromarray(smooth()).convert('CMYK').save(tmp_path / 'a.jpg')
    assert not enhance_files([tmp_path / 'a.jpg'], None, same)
    captured = capsys.readouterr()
    line = f'deblur-vae: {tmp_path}/a.jpg: its colours are CMYK and become RGB\n'
    assert captured.err == line and not captured.out


@pytest.mark.parametrize('bands', [
    smooth(), smooth(channels=4), smooth(channels=1),
    noise(40, 60, 3, dtype=np.uint16)])
def test_compare(tmp_path, bands):
    source = tmp_path / 'a.png'
    if bands.dtype == np.uint16: save_bytes(source, deep_png(bands))
    else: save(source, bands)
    assert not enhance_files([source], None, lambda pixels: pixels // 2, compare=True)
    pair, half = (read_image(tmp_path / f'a-{what}.png')
                  for what in ('compare', 'enhanced'))
    assert pair.pixels.shape[:2] == (40, 122)
    assert (pair.pixels[:, 62:] == half.pixels).all()
    assert pair.pixels.dtype == bands.dtype
    assert not enhance_files([source], tmp_path / 'b.png', same, compare=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        'a-compare.png', 'a-enhanced.png', 'a.png', 'b-compare.png', 'b.png']


def test_side_by_side():
    pair = side_by_side(noise(10, 300, 3), noise(10, 300, 3, seed=1))
    assert pair.shape == (10, 603, 3) and (pair[:, 300:303] == 255).all()
    assert (pair[:, :300] == noise(10, 300, 3)).all()
    assert side_by_side(noise(4, 1), noise(4, 1)).shape == (4, 4)


@pytest.mark.parametrize('error', [
    ValueError('two\nlines'), RuntimeError('out of memory'), MemoryError()])
def test_restore_that_fails_is_one_line(tmp_path, error):
    def failing(_): raise error
    (_, line), = enhance_files([save(tmp_path / 'a.png')], None, failing)
    assert 'could not be enhanced' in line and '\n' not in line
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']


@pytest.mark.parametrize('moment', ['restore', 'write'])
def test_interrupted_by_the_user(tmp_path, moment, monkeypatch):
    def interrupted(*_): raise KeyboardInterrupt
    if moment == 'write': monkeypatch.setattr(os, 'fsync', interrupted)
    with pytest.raises(KeyboardInterrupt):
        enhance_files([save(tmp_path / 'a.png')], None,
                      interrupted if moment == 'restore' else same)
    assert [p.name for p in tmp_path.iterdir()] == ['a.png']


def test_work_is_not_done_for_nothing(tmp_path):
    done = []
    save(tmp_path / 'a-enhanced.png')
    assert enhance_files([save(tmp_path / 'a.png')], None, done.append)
    assert enhance_files([tmp_path / 'a.png'], tmp_path / 'b.txt', done.append)
    assert not done


def test_memory_error_while_reading(tmp_path, monkeypatch):
    def full(_): raise MemoryError
    monkeypatch.setattr(deblur_vae.files, 'to_arrays', full)
    refused('does not fit into memory')(save(tmp_path / 'a.png'))
