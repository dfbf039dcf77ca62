"""The command `enhance` as people use it: odd names, odd pictures, folders with bad
files, and what must never happen to a good one."""
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import campaign
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from deblur_vae.camera import convolve, disc, gaussian, motion
from deblur_vae.cli import main
from deblur_vae.data import to_8bit
from deblur_vae.enhance import METHODS, enhance, enhance_pixels
from deblur_vae.restore import pretrained


def run(capsys, *argv):
    code = main(['enhance', *map(str, argv), '--device', 'cpu'])
    return code, capsys.readouterr()


def psnr(a, b):
    error = (np.asarray(a, float) - np.asarray(b, float)) / 255
    return -10 * np.log10(max(1e-10, (error**2).mean()))


def tensor_of(pixels): return torch.from_numpy(np.array(pixels)).permute(2, 0, 1) / 255


def pixels_of(tensor): return tensor.permute(1, 2, 0).mul(255).round().byte().numpy()


def seen(scene, kernel):
    "What a camera keeps of a scene, and the scene, without 16 pixels at each side."
    blurred = pixels_of(to_8bit(convolve(tensor_of(scene), kernel)))
    return blurred[16:-16, 16:-16].copy(), scene[16:-16, 16:-16].copy()


@pytest.fixture(scope='module')
def blurry():
    "A blurred photograph, and the same sharp."
    return seen(astronaut()[4:196, 134:294], gaussian(1.8))


@pytest.mark.parametrize('method', METHODS)
def test_a_blurred_photograph_gains(blurry, method):
    blurred, sharp = blurry
    assert psnr(enhance(blurred, method=method), sharp) > psnr(blurred, sharp) + 2


PAIRS = [(astronaut, 'motion'), (coffee, 'gaussian'), (chelsea, 'disc')]
OTHERS = [(photo, name) for photo in (astronaut, coffee, chelsea)
          for name in ('gaussian', 'disc', 'motion') if (photo, name) not in PAIRS]


@pytest.mark.parametrize('photo, name', [*PAIRS, *(campaign(*two) for two in OTHERS)])
def test_every_family_gains_blind_and_told(photo, name):
    kernels = dict(gaussian=gaussian(2.5), disc=disc(3.0), motion=motion(9.0, 30.0))
    kernel = kernels[name]
    blurred, sharp = seen(photo()[:300, :400], kernel)
    blind, told = enhance(blurred), enhance(blurred, kernel=kernel)
    assert psnr(blind, sharp) > psnr(blurred, sharp) + 1.5
    assert psnr(told, sharp) > psnr(blind, sharp) - 0.5


def test_what_is_no_photograph_comes_back_unharmed():
    rng = np.random.default_rng(0)
    night = np.clip(rng.normal(12, 4, (300, 400, 3)), 0, 255).round().astype(np.uint8)
    squares = rng.integers(0, 2, (15, 20), dtype=np.uint8) * 255
    drawing = np.kron(squares, np.ones((20, 20), np.uint8))[..., None].repeat(3, 2)
    for picture in (night, drawing, np.full((50, 60, 3), 7, np.uint8)):
        assert psnr(enhance(picture), picture) > 40


@pytest.mark.parametrize('kernel', [campaign(gaussian(3.0)), disc(4.0)],
                         ids=['gaussian', 'disc'])
def test_the_sharp_part_of_a_picture_stays(kernel):
    "A sharp head before a background out of focus, and the reverse."
    scene = astronaut()
    y, x = np.mgrid[:512, :512]
    outside = np.hypot(y - 110, (x - 225) * 1.2) - 100
    head = (1 / (1 + np.exp(outside / 1.5)))[..., None]
    soft = pixels_of(to_8bit(convolve(tensor_of(scene), kernel)))
    for share in (head, 1 - head):
        mixed = (share * scene + (1 - share) * soft).round().astype(np.uint8)
        sharp = share[..., 0] > 0.98
        assert psnr(enhance(mixed)[sharp], mixed[sharp]) > 40


def test_tiles_leave_no_seam():
    "With four tiles and with one."
    big = astronaut()[:440, :480]
    picture = pixels_of(to_8bit(convolve(tensor_of(big), gaussian(2.0))))
    whole, pieces = (enhance_pixels(picture, kernel='gaussian:2', tile=tile).astype(int)
                     for tile in (1024, 256))
    apart = np.abs(whole - pieces)
    assert apart.mean() < 0.2 and np.quantile(apart, 0.999) <= 3


def test_a_region_leaves_the_rest_alone(blurry):
    blurred, _ = blurry
    result = enhance(blurred, restrict=[(20, 30, 50, 40)])
    outside = np.ones(blurred.shape[:2], bool)
    outside[30:70, 20:70] = False
    assert (result[outside] == blurred[outside]).all() and (result != blurred).any()


def test_one_picture(tmp_path, capsys, blurry):
    Image.fromarray(blurry[0]).save(tmp_path / 'a.png')
    code, out = run(capsys, tmp_path / 'a.png', '--compare')
    assert code == 0
    made = {p.name for p in tmp_path.iterdir()}
    assert made == {'a.png', 'a-enhanced.png', 'a-compare.png'}
    again, out = run(capsys, tmp_path / 'a.png')
    assert again == 2 and 'a-enhanced.png exists already' in out.err
    assert '--force' in out.err and out.err.count('\n') == 1
    assert run(capsys, tmp_path / 'a.png', '--force')[0] == 0


@pytest.mark.parametrize('name', [
    'with space.png', "it's \"quoted\".png", 'smile 😀.png', '-dash.png', 'ünïcode.png',
    'UPPER.PNG', '*.png'])
def test_names(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (20, 20), 'gray').save(name, 'PNG')
    options = ['--method', 'classical', '-o', 'out', '--device', 'cpu']
    assert main(['enhance', *options, '--', name]) == 0
    assert os.listdir('out') == [name]


def test_a_folder_with_bad_files(tmp_path, capsys):
    for name in ('one.png', 'two.jpg'):
        Image.new('RGB', (40, 30), 'teal').save(tmp_path / name)
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'page.jpg').write_text('<html>')
    (tmp_path / 'half.png').write_bytes((tmp_path / 'one.png').read_bytes()[:60])
    code, out = run(capsys, tmp_path, '-o', tmp_path / 'out')
    lines = [line for line in out.err.splitlines() if line.startswith('deblur-vae: ')]
    assert code == 1 and '2 of 5 pictures are done' in out.out
    assert sorted(os.listdir(tmp_path / 'out')) == ['one.png', 'two.jpg']
    for name in ('empty.png', 'page.jpg', 'half.png'):
        assert sum(name in line for line in lines) == 1


@pytest.mark.parametrize('size', [
    (1, 1), (1, 5000), (5000, 1), (15, 16), (16, 16), (17, 300), (33, 31)])
@pytest.mark.parametrize('method', METHODS)
def test_odd_sizes(size, method):
    rng = np.random.default_rng(0)
    picture = rng.integers(100, 156, (*size, 3), dtype=np.uint8)
    assert enhance(picture, method=method).shape == picture.shape


def test_bad_arguments(tmp_path, capsys):
    picture, foreign = tmp_path / 'a.png', tmp_path / 'foreign.safetensors'
    Image.new('RGB', (40, 30)).save(picture)
    foreign.write_bytes(b'no weights')
    for argv, words in {
        ('nothing.png',): 'does not exist',
        ('*.webp',): 'no picture matches',
        (picture, '--tile', 64): 'too small',
        (picture, '--weights', tmp_path / 'none.safetensors'): 'no such file',
        (picture, '--weights', foreign): 'not a safetensors file',
        (picture, '-o', tmp_path / 'a.xyz'): '.xyz',
        (picture, '--kernel', 'fish:3'): 'fish',
        (picture, '--kernel', 'disc:60'): '123×123',
        (picture, '--kernel', 'disc:-1'): '-1',
        (picture, '--kernel', 'gaussian:nan'): 'nan',
        (picture, '--region', '1,2,3'): 'x,y,width,height',
        (picture, '--region', '30,20,20,20'): 'does not lie in the picture',
        (picture, '--mask', tmp_path / 'none.png'): 'does not exist',
        (picture, '--max-megapixels', 0.001): '--max-megapixels',
    }.items():
        code, out = run(capsys, *argv)
        assert code == 2 and words in out.err, (argv, out.err)
        assert out.err.count('\n') == 1, (argv, out.err)
    assert sorted(os.listdir(tmp_path)) == ['a.png', 'foreign.safetensors']


@pytest.mark.campaign
def test_damaged_files_in_a_process_of_their_own(tmp_path):
    "No traceback, no output, one line each."
    Image.fromarray(chelsea()[:64, :64]).save(tmp_path / 'good.jpg')
    good, rng = (tmp_path / 'good.jpg').read_bytes(), np.random.default_rng(0)
    for i in range(5):
        (tmp_path / f'{i}.jpg').write_bytes(good[:rng.integers(10, len(good) // 2)])
    command = [sys.executable, '-m', 'deblur_vae.cli', 'enhance', str(tmp_path),
               '-o', str(tmp_path / 'out'), '--device', 'cpu']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and 'Traceback' not in done.stderr
    assert os.listdir(tmp_path / 'out') == ['good.jpg']
    lines = done.stderr.replace('\r', '\n').splitlines()
    assert sum(line.startswith('deblur-vae: ') for line in lines) == 5


@pytest.mark.parametrize(
    'name, least', [('disc', 7), campaign('gaussian', 2), campaign('motion', 8)])
def test_a_large_picture_gains_in_tiles(name, least):
    "Judged by windows and sharpened in tiles, with a rim that no tile may spoil."
    kernels = dict(gaussian=gaussian(2.0), disc=disc(4.0), motion=motion(9.0, 30.0))
    wide = np.hstack([coffee()[:, ::-1], coffee()])[:352, :832]
    blurry, sharp = seen(wide, kernels[name])
    sharper = enhance(blurry, tile=512)
    assert psnr(sharper, sharp) > psnr(blurry, sharp) + least
    seam = slice(390, 410)  # where two tiles of 512 meet
    before = psnr(blurry[:, seam], sharp[:, seam])
    assert psnr(sharper[:, seam], sharp[:, seam]) > before + least - 2


def test_missing_weights(monkeypatch, tmp_path):
    pretrained.cache_clear()
    monkeypatch.setattr('deblur_vae.model.files', lambda package: tmp_path)
    with pytest.raises(ValueError, match='there are no weights'): pretrained()


def test_weights_are_small_and_plain():
    from importlib.resources import files
    folder = files('deblur_vae') / 'weights'
    shipped = [file for file in folder.iterdir() if file.name.endswith('.safetensors')]
    assert shipped and sum(len(file.read_bytes()) for file in shipped) <= 12e6
    for file in shipped:
        # These are no weights: what chapter 11 knows of sharp pictures.
        if file.name == 'spectra.safetensors': continue
        card = folder / file.name.replace('.safetensors', '.md')
        assert card.is_file(), f'{file.name} has no card'
