"""The page's own arithmetic, nbs/enhance/*.js, run by node on pictures, kernels and
scenes, against Python's."""
import json
import shutil
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from deblur_vae.camera import FAMILIES, add_noise, convolve, inner, jpeg, spread
from deblur_vae.classical import (
    DENSE, Blur, Candidate, Scene, Spectrum, estimate_blur, evidence, noises, padded,
    scene_of, scored)
from deblur_vae.data import to_8bit
from deblur_vae.portraits import draw_portrait
from deblur_vae.restore import beside
from site_parts import search_tables

HERE = Path(__file__).parent / 'javascript'
CUT = 18 # pixels of a scene, beyond the border of its picture


def tensor(pixels):
    return torch.from_numpy(np.array(pixels)[..., :3]).permute(2, 0, 1) / 255


def part(photo, top, left, height, width):
    "So much of a photo, and the light around it."
    pixels = getattr(data, photo)()
    if pixels.ndim == 2: pixels = np.repeat(pixels[..., None], 3, 2)
    return tensor(pixels[top:top + height + 2 * CUT, left:left + width + 2 * CUT])


def portrait(number): return tensor(draw_portrait(number)[0])


def blurred(scene, family, *parameters, noise=0.0, quality=None):
    "What a camera keeps of a scene."
    y = convolve(scene, FAMILIES[family](*parameters))
    if noise: y = add_noise(y, noise, 0.0, np.random.default_rng(0))
    y = to_8bit(inner(y, CUT)).contiguous()
    return jpeg(y, quality) if quality else y


PICTURES = {
    'Gaussian': lambda: blurred(portrait(0), 'gaussian', 2.0),
    'few taps': lambda: blurred(portrait(1), 'gaussian', 2.5, 9),
    'disc': lambda: blurred(portrait(2), 'disc', 3.1),
    'shake': lambda: blurred(portrait(3), 'motion', 9.0, 33.0),
    'two widths': lambda: blurred(portrait(4), 'turned', 3.2, 1.3, 70.0),
    'noise': lambda: blurred(portrait(6), 'disc', 2.6, noise=0.01),
    'sharp': lambda: blurred(portrait(7), 'none'),
    'coffee': lambda: blurred(
        part('coffee', 60, 150, 184, 224), 'gaussian', 1.6, noise=0.004),
    'JPEG': lambda: blurred(
        part('chelsea', 20, 100, 214, 200), 'motion', 7.0, 120.0, quality=90),
    'grey': lambda: blurred(
        part('camera', 100, 150, 194, 201), 'turned', 2.2, 1.0, 20.0),
    'rocket': lambda: blurred(part('rocket', 50, 200, 200, 220), 'gaussian', 3.3),
    'long': lambda: blurred(
        part('astronaut', 0, 0, 164, 476), 'disc', 2.0, noise=0.003),
    'pieces': lambda: blurred(
        part('astronaut', 0, 0, 476, 476), 'motion', 6.0, 80.0
    ).repeat(1, 3, 1)[:, :1100],
    'tiny': lambda: blurred(part('astronaut', 60, 180, 16, 17), 'gaussian', 1.2),
    'flat': lambda: torch.full((3, 40, 41), 128 / 255),
}
picture = cache(lambda name: PICTURES[name]())
blur_in = cache(lambda name: estimate_blur(picture(name)))
KERNELS = [
    ('none', ()), ('gaussian', (1.7,)), ('gaussian', (2.5, 9)),
    ('turned', (3.0, 1.2, 30.0)), ('disc', (3.3,)), ('disc', (0.6,)),
    ('motion', (9.2, 37.0)), ('motion', (4.0, -100.0))]
SMOOTH = Spectrum(0, torch.tensor(
    [0.5, -1.0, 0.3, 0.2, -0.1, 0.2, -0.1, 0.5, -5.5, -0.7]), None)
SQUEEZED = Spectrum(1, torch.tensor(
    [-1.5, 0.4, 0.0, 1.2, 0.6, -0.2, 0.1, 0.4, -7.5, 0.6]), 83)
SCENES = [Scene(FAMILIES['none'](), SMOOTH, (0.3, -0.4)),
          Scene(FAMILIES['none'](), SQUEEZED, (-1.0, 0.8))]
FRAMES = [(45, 60), (64, 33)]
BLURS = [
    Blur('none', (), SMOOTH, 0.0), Blur('disc', (3.25,), SQUEEZED, 812.5),
    Blur('gaussian', (2.125,), SMOOTH, 3.4), Blur('gaussian', (1.5, 9), SMOOTH, 1e4),
    Blur('turned', (2.005, 1.0, 202.5), SMOOTH, 20.0),
    Blur('motion', (8.25, -0.3), SQUEEZED, 20.0)]


def bytes_of(picture):
    "As a file has it, uint8 [H,W,3]."
    return (picture * 255).round().byte().permute(1, 2, 0).contiguous().numpy()


def plain_spectrum(s):
    return dict(kind=s.kind, theta=s.theta.tolist(), quality=s.quality, noise=s.noise)


def write_job(folder: Path):
    "All that node needs, as the page will have it."
    tables, gains = search_tables()
    (folder / 'estimate.json').write_text(json.dumps(tables))
    (folder / 'grid.bin').write_bytes(gains)
    places, at = [], 0
    with open(folder / 'pixels.bin', 'wb') as file:
        for name in PICTURES:
            pixels = bytes_of(picture(name))
            places.append(dict(at=at, height=pixels.shape[0], width=pixels.shape[1]))
            at += file.write(pixels.tobytes())
    scenes = [dict(scene=dict(spectrum=plain_spectrum(s.spectrum), levels=s.levels),
                   height=h, width=w) for s, (h, w) in zip(SCENES, FRAMES)]
    blurs = [dict(family=b.family, parameters=b.parameters, likelier=b.likelier,
                  spectrum=plain_spectrum(b.spectrum)) for b in BLURS]
    job = dict(pictures=places, kernels=KERNELS, scenes=scenes, blurs=blurs)
    (folder / 'job.json').write_text(json.dumps(job))


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    "What the modules find, with the pictures by name."
    if not (node := shutil.which('node')): pytest.skip('node is not installed')
    write_job(folder := tmp_path_factory.mktemp('javascript'))
    run = subprocess.run([node, HERE / 'estimate.mjs', folder], capture_output=True,
                         text=True, timeout=120)
    assert not run.returncode, run.stderr
    answers = json.loads(run.stdout)
    return answers | dict(pictures=dict(zip(PICTURES, answers['pictures'])))


def averaged(blurs):
    "The kernel that is expected: the mean of the plausible ones, [65,65]."
    return sum(share * padded(FAMILIES[family](*parameters), 65)
               for family, parameters, share in blurs)


@pytest.mark.parametrize('name', PICTURES)
def test_finds_the_blur_that_python_finds(found, name):
    """Python counts in 32 bits, so that the last steps of its search, 0.4 % each, are
    taken by chance."""
    ours, theirs = found['pictures'][name]['blur'], blur_in(name)
    assert ours['family'] == theirs.family
    assert ours['spectrum']['kind'] == theirs.spectrum.kind
    assert ours['spectrum']['quality'] == theirs.spectrum.quality
    assert ours['parameters'] == pytest.approx(theirs.parameters, rel=0.012)
    assert ours['spectrum']['noise'] == pytest.approx(theirs.spectrum.noise, rel=0.03)
    assert ours['likelier'] == pytest.approx(theirs.likelier, abs=0.1)


@pytest.mark.parametrize('name', [name for name in PICTURES if name != 'flat'])
def test_finds_a_blur_as_likely(found, name):
    "By Python's own count, in nats."
    ours, theirs = found['pictures'][name]['blur'], blur_in(name)
    both = [(theirs.spectrum.kind, Candidate(theirs.family, tuple(p)))
            for p in (ours['parameters'], theirs.parameters)]
    mine, his = scored(both, evidence(picture(name), DENSE, theirs.spectrum.quality), 5)
    assert mine.surprise < his.surprise + 0.1


@pytest.mark.parametrize('name', PICTURES)
def test_expects_as_much_of_other_blurs(found, name):
    ours, theirs = found['pictures'][name]['blur'], blur_in(name)
    mine = averaged([(b['family'], b['parameters'], b['share'])
                     for b in (ours, *ours['others'])])
    his = averaged([(b.family, b.parameters, b.share)
                    for b in (theirs, *theirs.others)])
    assert (mine - his).norm() < 0.03 * his.norm()


@pytest.mark.parametrize('name', [name for name in PICTURES if name != 'flat'])
def test_tells_the_filters_as_much_of_the_scene(found, name):
    scene, sides = (found['pictures'][name][part] for part in ('scene', 'sides'))
    theirs = scene_of(picture(name), blur_in(name))
    for mine, his in zip([scene, *sides],
                         [theirs, *beside(picture(name), blur_in(name))]):
        assert mine['levels'] == pytest.approx(his.levels, abs=0.05)
        assert mine['spectrum']['noise'] == pytest.approx(his.spectrum.noise, rel=0.05)
        taps = torch.tensor(mine['kernel']['taps'], dtype=torch.float64)
        drawn = taps.view(mine['kernel']['height'], mine['kernel']['width'])
        apart = padded(drawn, 65) - padded(his.kernel, 65)
        assert apart.norm() < 0.03 * his.kernel.norm()


def test_finds_what_was_done(found):
    blur = {name: answer['blur'] for name, answer in found['pictures'].items()}
    assert blur['disc']['parameters'] == pytest.approx([3.1], rel=0.02)
    assert blur['shake']['parameters'] == pytest.approx([9.0, 33.0], rel=0.05)
    assert blur['JPEG']['spectrum']['quality'] == 90
    assert blur['flat']['family'] == 'none' and blur['flat']['likelier'] == 0


def test_draws_the_same_kernels(found):
    for (family, parameters), mine in zip(KERNELS, found['kernels']):
        his = FAMILIES[family](*parameters)
        assert (mine['kernel']['height'], mine['kernel']['width']) == his.shape
        np.testing.assert_allclose(mine['kernel']['taps'], his.flatten(), atol=1e-14)
        assert mine['spread'] == pytest.approx(spread(his), abs=1e-12)


def test_expects_the_same_powers(found):
    for scene, (height, width), mine in zip(SCENES, FRAMES, found['powers']):
        axes = torch.fft.fftfreq(height), torch.fft.rfftfreq(width)
        power = scene.power(*axes)
        np.testing.assert_allclose(mine['power'], power.flatten(1), rtol=2e-4)
        noise = noises(scene, *axes, power)
        np.testing.assert_allclose(mine['noise'], noise.flatten(1), rtol=2e-4)


def test_says_the_same(found):
    assert found['said'] == list(map(str, BLURS))
