"""The doubt of `enhance`: in each condition as right as it says, for any kind and size
of picture, and on the command line."""
import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import campaign
from PIL import Image
from skimage.data import astronaut, chelsea, coffee

from deblur_vae import enhance as module
from deblur_vae.camera import alone, convolve, disc, gaussian, inner
from deblur_vae.classical import estimate_blur, known_blur
from deblur_vae.cli import main
from deblur_vae.data import to_8bit
from deblur_vae.enhance import METHODS, enhance
from deblur_vae.files import heat_map
from deblur_vae.restore import RestoreNet

TABLES = Path(__file__).parents[1] / 'benchmarks' / 'latent'
CAMERAS = {
    'gaussian': alone('gaussian', (2.0, 2.0), (13,)),
    'disc': alone('disc', (3.0, 3.0)),
    'noise': alone('gaussian', (2.0, 2.0), (13,), noisy=1.0, read=(0.01, 0.01),
                   shot=0.0),
    'jpeg': alone('disc', (3.0, 3.0), squeezed=1.0, quality=(85, 85)),
}


def tensor_of(pixels): return torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255


def pixels_of(tensor): return (tensor.permute(1, 2, 0) * 255).round().byte().numpy()


def scene(photo, top, left):
    return tensor_of(photo()[top:top + 256, left:left + 256])


SCENES = scene(astronaut, 0, 100), scene(coffee, 60, 150), scene(chelsea, 20, 80)


def errors(result, sharp): return (result - sharp).mean(0).abs().numpy()


PAIRS = {('gaussian', 'classical'), ('disc', 'restore'), ('noise', 'restore'),
         ('jpeg', 'classical')}
OTHERS = sorted({(name, method) for name in CAMERAS for method in METHODS} - PAIRS)


@pytest.mark.parametrize('name, method',
                         [*sorted(PAIRS), *(campaign(*two) for two in OTHERS)])
def test_nine_in_ten_errors_lie_inside(name, method):
    inside, low, high = [], [], []
    for i, one in enumerate(SCENES):
        shot = CAMERAS[name](one, i)
        result, doubt = enhance(shot.blurry, doubt=True, method=method)
        error = errors(result, shot.sharp)
        inside.append(np.mean(error <= doubt))
        low.append(error[doubt < np.median(doubt)].mean())
        high.append(error[doubt > np.quantile(doubt, 0.9)].mean())
    assert 0.7 < np.mean(inside) < (0.98 if method == 'restore' else 1)
    assert np.mean(high) > 2.5 * np.mean(low)


def test_a_patch_that_is_blurred_more_shows():
    ratios = []
    for photo, left in ((astronaut, 100), (coffee, 140), (chelsea, 60)):
        one = tensor_of(photo()[:300, left:left + 300])
        for kernel in (gaussian(1.6), disc(2.5)):
            mask = torch.zeros_like(one)
            mask[:, 100:180, 90:190] = 1
            mask = convolve(mask, gaussian(2.0))
            y = torch.lerp(convolve(one, kernel), convolve(one, gaussian(4.0)), mask)
            blurry = to_8bit(inner(y, 16))
            doubt = enhance(blurry, doubt=True, kernel=kernel.numpy())[1]
            patch = inner(mask, 16)[0].numpy() > 0.5
            ratios.append(doubt[patch].mean() / doubt[~patch].mean())
    assert np.mean(ratios) > 1.1 and min(ratios) > 0.8, ratios


def test_doubt_changes_nothing_else_and_fits_any_picture():
    shot = CAMERAS['disc'](SCENES[0], 0)
    pixels = pixels_of(shot.blurry)[40:160, 30:170]
    for image in (pixels, pixels[..., 0], Image.fromarray(pixels)):
        picture, doubt = enhance(image, doubt=True)
        assert type(picture) is type(image)
        assert np.array_equal(np.asarray(picture), np.asarray(enhance(image)))
        assert doubt.shape == (120, 140) and doubt.dtype == np.float32
        assert 0 <= doubt.min() and doubt.max() <= 1 and doubt.mean() > 0.002
    told = enhance(pixels, doubt=True, kernel='disc:3')[1]
    assert 0.3 < told.mean() / doubt.mean() < 1.5


@pytest.mark.parametrize('method', ['restore', campaign('classical')])
def test_doubt_in_tiles(method):
    big = tensor_of(coffee()[:, :300])
    blurry = to_8bit(convolve(big, disc(3.0)))
    picture, doubt = enhance(blurry, doubt=True, method=method, tile=256)
    assert doubt.shape == big.shape[1:]
    assert torch.equal(picture, enhance(blurry, method=method, tile=256))
    assert 0.75 < np.mean(errors(picture, big) <= doubt) < 0.99
    whole = enhance(blurry, doubt=True, method=method)[1]
    assert np.abs(doubt - whole).mean() < 0.2 * doubt.mean()


def test_less_strength_is_more_doubt():
    shot = CAMERAS['disc'](SCENES[0], 0)
    means = [enhance(shot.blurry, doubt=True, strength=s)[1].mean()
             for s in (1.0, 0.5, 0.0)]
    assert means == sorted(means) and means[2] > 1.5 * means[0]
    left = enhance(shot.blurry, doubt=True, strength=0.0)[1]
    assert 0.75 < np.mean(errors(shot.blurry, shot.sharp) <= left) < 0.99


def test_a_picture_that_stays_is_as_sure_as_its_noise():
    doubt = enhance(astronaut(), doubt=True)[1]
    assert 0 < doubt.max() < 0.05 and doubt.std() < 1e-6
    assert not enhance(np.zeros((9, 9), np.uint8), doubt=True)[1].any()


def test_the_network_gives_its_answer_with_or_without():
    torch.manual_seed(0)
    net, seen = RestoreNet().eval(), torch.rand(1, 19, 32, 40)
    torch.nn.init.normal_(net.last.weight, std=0.1)
    with torch.no_grad(): both, alone_ = net(seen, True), net(seen)
    assert both.shape == (1, 5, 32, 40)
    assert torch.equal(both[:, :3], alone_) and both[:, 3:].min() > 0


def test_all_circumstances_have_weights():
    shot = CAMERAS['jpeg'](SCENES[0], 0)
    for blur in (estimate_blur(shot.blurry), known_blur(shot.blurry, shot.kernel)):
        seen = module.circumstances(blur)
        assert all(map(math.isfinite, seen))
        for method, weights in module.HONEST.items():
            assert len(weights) == len(seen)
            assert 0.2 < module.factor_of(method, blur) < 4
    assert set(module.HONEST) == set(METHODS)


def test_heat_map():
    doubt = np.linspace(0, 0.1, 100 * 80, dtype=np.float32).reshape(100, 80)
    heat = heat_map(doubt)
    assert heat.dtype == np.uint8 and heat.shape[0] == 100 and heat.shape[1] > 100
    assert heat[0, :80].mean() < 20 < 200 < heat[-1, :80].mean(), 'dark is sure'
    assert heat_map(np.zeros((5, 7), np.float32)).shape[0] == 5


def test_command(tmp_path, capsys):
    shot = CAMERAS['disc'](SCENES[0], 0)
    Image.fromarray(pixels_of(shot.blurry)).save(tmp_path / 'a.jpg', quality=95)
    argv = ['enhance', str(tmp_path / 'a.jpg'), '--doubt', '--device', 'cpu']
    assert main(argv) == 0
    made = {p.name for p in tmp_path.iterdir()}
    assert made == {'a.jpg', 'a-enhanced.jpg', 'a-doubt.png'}
    with Image.open(tmp_path / 'a-doubt.png') as heat:
        assert heat.height == 224 and heat.width > 224
    capsys.readouterr()
    assert main(argv) == 2 and 'exists already' in capsys.readouterr().err
    assert main([*argv, '--force', '--method', 'classical']) == 0
    (tmp_path / 'a-enhanced.jpg').unlink()
    assert main(argv) == 2 and 'a-doubt.png exists already' in capsys.readouterr().err
    assert not (tmp_path / 'a-enhanced.jpg').exists(), 'nothing is half done'


def test_the_table_has_every_condition_and_none_fell_behind():
    with open(TABLES / 'doubt.csv') as file: rows = list(csv.DictReader(file))
    assert {row['method'] for row in rows} == set(METHODS)
    for row in rows:
        least = 0.83 if row['method'] == 'restore' else 0.8
        assert least < float(row['inside']) < 1, row
