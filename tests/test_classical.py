"""The classical method at sizes, types and in places that no notebook shows, and on
real pictures."""
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import ROOT, campaign
from hypothesis import given, settings, strategies as st
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from deblur_vae.camera import (
    convolve, disc, gaussian, inner, motion, none, spread, turned)
from deblur_vae.classical import (
    MARGIN, POPULATIONS, RIVALS, SPECTRA, Restorer, checked, deconvolve, estimate_blur,
    expected, filtered, frame_of, is_product, known_blur, parse_kernel, scene_of,
    wiener)
from deblur_vae.data import DataError, list_pictures, read_picture, to_8bit, to_tensor
from deblur_vae.portraits import draw_portrait

FAMILIES = {'gaussian': gaussian(2.2), 'disc': disc(3.0),
            'turned': turned(3.0, 1.5, 40.0), 'motion': motion(8.0, 70.0)}


def shot(scene: Tensor, kernel: Tensor, cut: int = 16) -> tuple[Tensor, Tensor]:
    return to_8bit(inner(convolve(scene, kernel), cut)), inner(scene, cut)


def decibels(x: Tensor, sharp: Tensor) -> float:
    return -10 * (to_8bit(x) - sharp).square().mean().clamp(min=1e-12).log10().item()


@pytest.fixture(scope='module')
def portrait() -> Tensor: return to_tensor(draw_portrait(4)[0])


@pytest.mark.parametrize('examples', [4, campaign(60)])
def test_any_picture_of_any_size_comes_back(examples):
    sizes = st.tuples(st.integers(1, 61), st.integers(1, 200))
    check = given(sizes, st.integers(0, 99))(check_comes_back)
    settings(max_examples=examples, deadline=None)(check)()


def check_comes_back(size, seed):
    x = torch.rand(3, *size, generator=torch.Generator().manual_seed(seed))
    grey, black, ink = torch.full_like(x, 0.5), torch.zeros_like(x), (x > 0.5).float()
    for picture in (x, grey, black, ink, x[:1].expand(3, -1, -1)):
        blur = estimate_blur(picture)
        y = deconvolve(picture, blur)
        assert y.shape == picture.shape and y.isfinite().all()
        assert 0 <= y.min() <= y.max() <= 1
        assert str(blur) and blur.likelier >= 0


def test_types_and_no_side_effects(portrait):
    x, _ = shot(portrait, disc(3.0))
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    blur = estimate_blur(x.double().requires_grad_())
    assert blur.parameters == estimate_blur(x).parameters
    y = deconvolve(x.double(), blur)
    assert y.dtype == torch.float64 and not y.requires_grad
    assert (y.float() - deconvolve(x, blur)).abs().max() < 1e-6
    assert deconvolve(x.half(), blur).dtype == torch.float16
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads() and torch.is_grad_enabled()
    for wrong in (x[0], x[:2], x[None], x[:, :0], (255 * x).byte()):
        with pytest.raises(ValueError, match=r'\[3,H,W\]'): estimate_blur(wrong)


@pytest.mark.parametrize('family', FAMILIES)
def test_told_and_blind(portrait, family):
    blurry, sharp = shot(portrait, FAMILIES[family])
    blur = estimate_blur(blurry)
    told, blind = (decibels(deconvolve(blurry, b), sharp)
                   for b in (known_blur(blurry, FAMILIES[family]), blur))
    found = sum(b.share * spread(b.kernel) for b in (blur, *blur.others))
    assert abs(found - spread(FAMILIES[family])) < 0.25
    assert told > decibels(blurry, sharp) + 3 and blind > decibels(blurry, sharp) + 2
    assert told > blind - 0.5


@pytest.mark.parametrize('family', FAMILIES)
def test_no_ringing_at_the_border(portrait, family):
    """The error in the outermost pixels is that of the inside, give or take what only
    the neighbours could tell."""
    blurry, sharp = shot(portrait, FAMILIES[family])
    sharper = deconvolve(blurry, known_blur(blurry, FAMILIES[family]))
    error = (sharper - sharp).square().mean(0)
    rim = torch.ones_like(error, dtype=torch.bool)
    rim[8:-8, 8:-8] = False
    before = (blurry - sharp).square().mean(0)
    assert error[rim].mean() < before[rim].mean()


def test_large_pictures_are_judged_by_pieces(portrait):
    wide = portrait.repeat(1, 4, 6)
    x, _ = shot(wide, disc(4.0))
    assert x.shape == (3, 840, 1036)
    assert abs(estimate_blur(x).parameters[0] - 4) < 0.1


def test_filtered_keeps_what_lies_around(portrait):
    blurry, _ = shot(portrait, disc(3.0))
    scene = scene_of(blurry, estimate_blur(blurry))
    wide, small = (filtered(blurry, scene, (1.0, 2.0), keep=keep)
                   for keep in (MARGIN, 0))
    for a, b in zip(wide, small): torch.testing.assert_close(inner(a, MARGIN), b)
    assert len(wide) == 3 and wide[0].shape[1] == blurry.shape[1] + 2 * MARGIN
    assert (small[0] - blurry).abs().max() < 1e-5
    around = torch.ones_like(wide[0][0], dtype=torch.bool)
    around[MARGIN:-MARGIN, MARGIN:-MARGIN] = False
    assert 0 < wide[0][:, around].std() < 0.5


def test_restorer_serves_many_pictures_of_a_size(portrait):
    blurry, _ = shot(portrait, disc(3.0))
    scene = scene_of(blurry, estimate_blur(blurry))
    restorer = Restorer(blurry.shape[1:], scene)
    assert 'extensions' not in vars(restorer), 'not made before they are needed'
    y = blurry - 0.5
    assert torch.equal(restorer.extend(y, 2), restorer.extend(y, 2))
    assert restorer.frame == frame_of(*blurry.shape[1:], scene.kernel)
    assert restorer.frame == tuple(restorer.extend(y, 0).shape[1:])


def test_products():
    assert is_product(gaussian(2.0, 9)) and is_product(none())
    assert is_product(turned(2.0, 2.0, 30.0))
    assert not is_product(disc(3.0)) and not is_product(motion(9.0, 30.0))
    assert is_product(torch.ones(3, 5))


def test_kernels_that_are_large_or_lopsided(portrait):
    blurry, sharp = shot(portrait, gaussian(2.0))
    wide = parse_kernel(np.pad(gaussian(2.0).numpy(), ((30, 30), (0, 0))))
    assert wide.shape == (75, 15)
    same = deconvolve(blurry, known_blur(blurry, gaussian(2.0)))
    assert (deconvolve(blurry, known_blur(blurry, wide)) - same).abs().max() < 0.02
    shifted = parse_kernel([[0, 0, 1.0]])  # all light one pixel to the right
    back = deconvolve(shot(portrait, shifted)[0], known_blur(sharp, shifted))
    assert decibels(back[..., 2:-2], sharp[..., 2:-2]) > 30
    with pytest.raises(ValueError, match='75×15 taps on a picture of 40×40'):
        known_blur(torch.rand(3, 40, 40), wide)


def test_kernel_files(tmp_path):
    (tmp_path / 'empty.png').write_bytes(b'')
    (tmp_path / 'text.png').write_text('no picture')
    for name, word in (('empty.png', 'empty'), ('text.png', 'not a picture')):
        with pytest.raises(DataError, match=word): parse_kernel(tmp_path / name)
    with pytest.raises(DataError, match='does not exist'):
        parse_kernel(tmp_path / 'missing.png')
    Image.new('L', (120, 9), 200).save(tmp_path / 'long.png')
    with pytest.raises(ValueError, match='long.png.*9×121'):
        parse_kernel(tmp_path / 'long.png')
    Image.new('L', (9, 9)).save(tmp_path / 'black.png')
    with pytest.raises(ValueError, match='black.png.*zero'):
        parse_kernel(tmp_path / 'black.png')
    Image.new('RGB', (4, 3), 'white').save(tmp_path / 'even.jpg')
    assert parse_kernel(str(tmp_path / 'even.jpg')).shape == (3, 5)


@pytest.mark.parametrize('name', RIVALS)
@pytest.mark.parametrize('size', [(1, 1), (3, 40), (21, 16)])
def test_rivals_at_any_size(name, size):
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    for kernel in (none(), gaussian(2.0, 9), motion(9.0, 30.0)):
        y = RIVALS[name](pixels, kernel.numpy())
        assert y.shape == pixels.shape and y.dtype == np.uint8


def real(folder, count: int) -> list[Tensor]:
    files = list_pictures(folder)
    return [to_tensor(read_picture(folder / name))
            for name in files[::len(files) // count][:count]]


@pytest.mark.campaign
@pytest.mark.parametrize('folder', ['faces/val', 'photos/val'])
def test_real_pictures(real_faces, folder):
    told, blind, kept = [], [], []
    for scene in real(real_faces / folder, 4):
        scene = scene[:, :250, :250]
        for kernel in (gaussian(2.2, 11), disc(3.0)):
            blurry, sharp = shot(scene, kernel)
            base = decibels(blurry, sharp)
            for gains, blur in ((told, known_blur(blurry, kernel)),
                                (blind, estimate_blur(blurry))):
                gains.append(decibels(deconvolve(blurry, blur), sharp) - base)
        sharp = inner(scene, 16)
        kept.append(decibels(deconvolve(sharp, estimate_blur(sharp)), sharp))
    assert min(blind) > 0.5 and np.mean(blind) > np.mean(told) - 1 and np.mean(told) > 4
    # a sharp picture may seem a little blurred: `enhance` is more careful
    assert np.median(kept) > 45


@pytest.mark.campaign
def test_spectra_can_be_measured_again(real_faces, tmp_path):
    out = tmp_path / 'spectra.safetensors'
    command = [sys.executable, ROOT / 'tools' / 'fit_spectra.py',
               real_faces / 'faces' / 'train', real_faces / 'photos' / 'train',
               '--out', out, '--faces', '60', '--photos', '60']
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    again = load_file(out)
    shapes, expected_shapes = ({name: table.shape for name, table in tables.items()}
                               for tables in (again, SPECTRA))
    assert shapes == expected_shapes, said
    for kind, p in zip(('smooth', 'detailed'), POPULATIONS):
        assert (again[f'{kind}.mean'] - p.mean).abs().max() < 0.4
        first = again[f'{kind}.components'][0]
        assert torch.cosine_similarity(first, p.components[0], 0).abs() > 0.97
    assert (again['chroma'] - SPECTRA['chroma']).abs().max() < 0.5


def test_checked_is_a_copy_only_where_it_must(portrait):
    assert checked(portrait).data_ptr() == portrait.data_ptr()
    assert checked(portrait.double()).dtype == torch.float32


def test_the_answer_is_an_average(portrait):
    """Shares add up to 1, and the filter is the mean of the filters of all that is
    plausible."""
    blurry, sharp = shot(portrait, FAMILIES['gaussian'])
    blur = estimate_blur(blurry)
    assert blur.others and abs(sum(b.share for b in (blur, *blur.others)) - 1) < 1e-6
    scene = scene_of(blurry, blur)
    restorer = Restorer(blurry.shape[1:], scene)
    z = torch.randn(3, *restorer.frame, generator=torch.Generator().manual_seed(0))
    filters = [one.share * wiener(*expected(one, restorer.frame), 1.0)
               for one in (scene, *scene.others)]
    mean = torch.fft.irfft2(torch.fft.rfft2(z) * sum(filters), s=restorer.frame)
    torch.testing.assert_close(restorer.filter(z, [1.0])[0], mean)
    alone = deconvolve(blurry, replace(blur, others=(), share=1.0))
    assert decibels(deconvolve(blurry, blur), sharp) > decibels(alone, sharp) - 0.3
