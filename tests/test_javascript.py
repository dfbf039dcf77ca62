"""The page's own arithmetic, nbs/enhance/*.js, run by node on pictures, kernels and
scenes, against Python's."""
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from likeness import PICTURES, alike, as_sure, blur_in, picture
from scipy.fft import next_fast_len
from scipy.linalg import toeplitz
from site_parts import search_tables

import deblur_vae.enhance
from deblur_vae.camera import FAMILIES, spread
from deblur_vae.classical import (
    DENSE, Blur, Candidate, Scene, Spectrum, evidence, noises, padded, scene_of, scored)
from deblur_vae.enhance import enhance
from deblur_vae.evaluate import to_levels
from deblur_vae.restore import beside

HERE = Path(__file__).parent / 'javascript'


def write_pixels(folder: Path) -> list[dict]:
    "Every picture, one after the other, into `pixels.bin`; returns where each lies."
    places, at = [], 0
    with open(folder / 'pixels.bin', 'wb') as file:
        for name in PICTURES:
            pixels = to_levels(picture(name))
            places.append(dict(at=at, height=pixels.shape[0], width=pixels.shape[1]))
            at += file.write(pixels.tobytes())
    return places


def run_node(script: str, folder: Path) -> dict:
    "What the script says of the job in `folder`."
    if not (node := shutil.which('node')): pytest.skip('node is not installed')
    command = [node, HERE / script, folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


# Searching

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


def plain_spectrum(s):
    return dict(kind=s.kind, theta=s.theta.tolist(), quality=s.quality, noise=s.noise)


def write_search_job(folder: Path):
    "All that node needs, as the page will have it."
    tables, gains = search_tables()
    (folder / 'estimate.json').write_text(json.dumps(tables))
    (folder / 'grid.bin').write_bytes(gains)
    scenes = [dict(scene=dict(spectrum=plain_spectrum(s.spectrum), levels=s.levels),
                   height=h, width=w) for s, (h, w) in zip(SCENES, FRAMES)]
    blurs = [dict(family=b.family, parameters=b.parameters, likelier=b.likelier,
                  spectrum=plain_spectrum(b.spectrum)) for b in BLURS]
    job = dict(pictures=write_pixels(folder), kernels=KERNELS, scenes=scenes,
               blurs=blurs)
    (folder / 'job.json').write_text(json.dumps(job))


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    "What the modules find, with the pictures by name."
    write_search_job(folder := tmp_path_factory.mktemp('search'))
    answers = run_node('estimate.mjs', folder)
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


# Sharpening

SIZES = [(1, 1), (2, 3), (16, 5), (33, 21), (7, 22), (37, 41), (12, 74), (53, 9),
         (1, 20), (30, 34)]
MATRICES = [
    np.zeros((5, 5)), np.eye(4), np.ones((1, 1)), toeplitz(0.9**np.arange(40)),
    toeplitz(np.exp(-np.arange(50.)**2 / 20)),
    np.add.outer(np.arange(7.), np.arange(7.))]
PRODUCTS = [(1, 1, 1), (3, 5, 2), (4, 4, 4), (7, 9, 13), (33, 100, 41), (5, 0, 3),
            (300, 310, 320)]


def write_sharpen_job(folder: Path, planes: list, factors: list) -> None:
    "All that node needs."
    (folder / 'job.json').write_text(json.dumps(dict(
        pictures=write_pixels(folder), lengths=list(range(1, 800)),
        planes=[dict(plane=x.flatten().tolist(), height=x.shape[0], width=x.shape[1])
                for x in planes],
        products=[dict(a=a.flatten().tolist(), b=b.flatten().tolist(),
                       sides=[*a.shape, b.shape[1]]) for a, b in factors],
        matrices=[dict(matrix=x.flatten().tolist(), n=len(x)) for x in MATRICES])))


@pytest.fixture(scope='module')
def computed(site_is_assembled, tmp_path_factory):
    "What node makes of pictures, planes and matrices; by name, pictures and doubts."
    folder, random = tmp_path_factory.mktemp('sharpen'), np.random.default_rng(0)
    pixels = {name: to_levels(picture(name)) for name in PICTURES}
    planes = [random.normal(size=size) for size in SIZES]
    factors = [(random.normal(size=(n, k)), random.normal(size=(k, m)))
               for n, k, m in PRODUCTS]
    write_sharpen_job(folder, planes, factors)
    answers = run_node('sharpen.mjs', folder)
    bands = np.fromfile(folder / 'sharper.bin', np.uint8)
    flat = np.fromfile(folder / 'doubt.bin', np.float32)
    sharper, doubts, at = {}, {}, 0
    for name, x in pixels.items():
        sharper[name] = bands[at:at + x.size].reshape(x.shape)
        doubts[name] = flat[at // 3:(at + x.size) // 3].reshape(x.shape[:2])
        at += x.size
    return answers | dict(planes=planes, factors=factors, pixels=pixels,
                          sharper=sharper, doubts=doubts)


def test_transforms_are_those_of_numpy(computed):
    for plane, found in zip(computed['planes'], computed['transforms']):
        waves = np.array(found['re']) + 1j * np.array(found['im'])
        expected = np.fft.rfft2(plane)
        assert np.allclose(waves.reshape(expected.shape), expected, atol=1e-10)
        assert np.allclose(np.reshape(found['back'], plane.shape), plane, atol=1e-12)
    assert computed['fast'] == [next_fast_len(n) for n in range(1, 800)]


def test_products(computed):
    for (a, b), found in zip(computed['factors'], computed['products']):
        assert np.allclose(np.reshape(found, (len(a), b.shape[1])), a @ b, atol=1e-10)


def test_eigenvectors(computed):
    for matrix, found in zip(MATRICES, computed['eigen']):
        values = np.array(found['values'])
        rows = np.reshape(found['vectors'], matrix.shape)
        assert np.allclose(rows @ rows.T, np.eye(len(rows)), atol=1e-12)
        assert np.allclose(rows.T * values @ rows, matrix, atol=1e-10)


@pytest.mark.parametrize('name', PICTURES)
def test_pictures_are_sharpened_as_in_python(computed, name):
    parts = 'pixels', 'sharper', 'doubts'
    before, after, doubt = (computed[part][name] for part in parts)
    expected, unsure = enhance(before.copy(), doubt=True)
    assert alike(after, expected)
    if computed['reasons'][list(PICTURES).index(name)]:
        assert (after == before).all() and not doubt.any()
    else: assert as_sure(doubt, unsure) and doubt.max() <= 1


def python_blur(b):
    "A blur that node found, as Python has it."
    s, others = b['spectrum'], map(python_blur, b.get('others', []))
    spectrum = Spectrum(s['kind'], torch.tensor(s['theta']), s['quality'])
    return Blur(b['family'], tuple(b['parameters']), spectrum, b.get('likelier', 0.0),
                share=b['share'], others=tuple(others))


@pytest.mark.parametrize('name', ['Gaussian', 'shake', 'noise', 'JPEG'])
def test_doubt_of_a_blur_is_that_of_python(computed, monkeypatch, name):
    "For each kind of picture that has a factor of its own."
    blur = python_blur(computed['blurs'][list(PICTURES).index(name)])
    monkeypatch.setattr(deblur_vae.enhance, 'estimate_blur', lambda x: blur)
    _, unsure = enhance(computed['pixels'][name].copy(), doubt=True)
    np.testing.assert_allclose(computed['doubts'][name], unsure, rtol=0.02)
