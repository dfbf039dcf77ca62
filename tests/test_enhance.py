"The command `enhance` as people use it: odd names, odd pictures, folders with bad files, and what must never happen to a good one."
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from deblur_vae.cli import main
from deblur_vae.enhance import METHODS, Degradation, enhance, enhance_pixels, pretrained


def run(capsys, *argv):
    code = main(['enhance', *map(str, argv), '--device', 'cpu'])
    return code, capsys.readouterr()


def psnr(a, b): return -10 * np.log10((((np.asarray(a, float) - np.asarray(b, float)) / 255)**2).mean())


@pytest.fixture(scope='module')
def blurry():
    "A blurred photograph of 160×128 pixels, and the same sharp."
    sharp = astronaut()[20:180, 150:278]
    tensor = torch.from_numpy(sharp.copy()).permute(2, 0, 1)[None] / 255
    blurred = Degradation(kernel_sizes=(9,), sigmas=(1.8, 1.8))(tensor, [0])[0]
    return blurred[0].permute(1, 2, 0).mul(255).round().byte().numpy(), sharp


@pytest.mark.parametrize('method', METHODS)
def test_a_blurred_photograph_gains(blurry, method):
    blurred, sharp = blurry
    assert psnr(enhance(blurred, method=method), sharp) > psnr(blurred, sharp) + 2


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('photo', [astronaut, coffee, chelsea])
def test_a_sharp_photograph_comes_back_unharmed(photo, method):
    picture = photo()[:400, :400]
    assert psnr(enhance(picture, method=method), picture) > 35


@pytest.mark.parametrize('method', METHODS)
def test_tiles_leave_no_seam(method):
    "With four tiles and with one: nowhere more than a level apart."
    sharp = torch.from_numpy(astronaut().copy()).permute(2, 0, 1)[None] / 255
    picture = Degradation(kernel_sizes=(11,), sigmas=(2.0, 2.0))(sharp, [0])[0][0].permute(1, 2, 0).mul(255).round().byte().numpy()
    whole = enhance_pixels(picture, method, tile=512)
    pieces = enhance_pixels(picture, method, tile=416)
    assert np.abs(whole.astype(int) - pieces).max() <= 1


def test_one_picture(tmp_path, capsys, blurry):
    Image.fromarray(blurry[0]).save(tmp_path / 'a.png')
    code, out = run(capsys, tmp_path / 'a.png', '--compare')
    assert code == 0 and {p.name for p in tmp_path.iterdir()} == {'a.png', 'a-enhanced.png', 'a-compare.png'}
    again, out = run(capsys, tmp_path / 'a.png')
    assert again == 2 and 'a-enhanced.png exists already' in out.err and '--force' in out.err and out.err.count('\n') == 1
    assert run(capsys, tmp_path / 'a.png', '--force')[0] == 0


@pytest.mark.parametrize('name', ['with space.png', "it's \"quoted\".png", 'smile 😀.png', '-dash.png', 'ünïcode.png', 'UPPER.PNG', '*.png'])
def test_names(tmp_path, capsys, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Image.new('RGB', (20, 20), 'gray').save(name, 'PNG')
    assert main(['enhance', '--method', 'wiener', '-o', 'out', '--device', 'cpu', '--', name]) == 0
    assert os.listdir('out') == [name]


def test_a_folder_with_bad_files(tmp_path, capsys):
    for name in ('one.png', 'two.jpg'): Image.new('RGB', (40, 30), 'teal').save(tmp_path / name)
    (tmp_path / 'empty.png').touch()
    (tmp_path / 'page.jpg').write_text('<html>')
    (tmp_path / 'half.png').write_bytes((tmp_path / 'one.png').read_bytes()[:60])
    code, out = run(capsys, tmp_path, '-o', tmp_path / 'out')
    lines = [line for line in out.err.splitlines() if line.startswith('deblur-vae: ')]
    assert code == 1 and '2 of 5 pictures are done' in out.out and sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['one.png', 'two.jpg']
    for name in ('empty.png', 'page.jpg', 'half.png'): assert sum(name in line for line in lines) == 1


@pytest.mark.parametrize('size', [(1, 1), (1, 5000), (5000, 1), (15, 16), (16, 16), (17, 300), (33, 31)])
@pytest.mark.parametrize('method', METHODS)
def test_odd_sizes(size, method):
    picture = np.random.default_rng(0).integers(100, 156, (*size, 3), dtype=np.uint8)
    assert enhance(picture, method=method).shape == picture.shape


def test_bad_arguments(tmp_path, capsys):
    Image.new('RGB', (40, 30)).save(tmp_path / 'a.png')
    (tmp_path / 'foreign.safetensors').write_bytes(b'no weights')
    for argv, words in {('nothing.png',): 'does not exist', ('*.webp',): 'no picture matches', (tmp_path / 'a.png', '--tile', 64): 'too small',
                        (tmp_path / 'a.png', '--weights', tmp_path / 'none.safetensors'): 'no such file',
                        (tmp_path / 'a.png', '--weights', tmp_path / 'foreign.safetensors'): 'not a safetensors file',
                        (tmp_path / 'a.png', '-o', tmp_path / 'a.xyz'): '.xyz',
                        (tmp_path / 'a.png', '--max-megapixels', 0.001): '--max-megapixels'}.items():
        code, out = run(capsys, *argv)
        assert code == 2 and words in out.err and out.err.count('\n') == 1, (argv, out.err)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a.png', 'foreign.safetensors']


def test_damaged_files_in_a_process_of_their_own(tmp_path):
    "No traceback, no output, one line each."
    Image.fromarray(chelsea()[:64, :64]).save(tmp_path / 'good.jpg')
    good, rng = (tmp_path / 'good.jpg').read_bytes(), np.random.default_rng(0)
    for i in range(5): (tmp_path / f'{i}.jpg').write_bytes(good[:rng.integers(10, len(good) // 2)])
    command = [sys.executable, '-m', 'deblur_vae.cli', 'enhance', str(tmp_path), '-o', str(tmp_path / 'out'), '--device', 'cpu']
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and 'Traceback' not in done.stderr and [p.name for p in (tmp_path / 'out').iterdir()] == ['good.jpg']
    assert sum(line.startswith('deblur-vae: ') for line in done.stderr.replace('\r', '\n').splitlines()) == 5


def test_missing_weights(monkeypatch):
    with pytest.raises(ValueError, match='no weights for method'): pretrained('hybird')


def test_weights_are_small_and_plain():
    from importlib.resources import files
    folder = files('deblur_vae') / 'weights'
    shipped = [file for file in folder.iterdir() if file.name.endswith('.safetensors')]
    assert shipped and sum(len(file.read_bytes()) for file in shipped) <= 12e6
    for file in shipped: assert (folder / file.name.replace('.safetensors', '.md')).is_file(), f'{file.name} has no card'
