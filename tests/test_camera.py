"What a camera keeps of a scene: kernels, true borders, noise, JPEG, all by a seed."
import doctest
import json
import math
import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage

from deblur_vae import camera
from deblur_vae.camera import (
    CONDITIONS, EVERYDAY, FAMILIES, MOST_TAPS, Degradation, Family, add_noise, alone,
    axes, centred, convolve, disc, gaussian, inner, jpeg, motion, none, soft_region,
    softened, spread, to_linear, to_srgb, transfer, turned)
from deblur_vae.data import (
    DataError, effective_sigma, gaussian_blur, gaussian_kernel, to_8bit, to_tensor)
from deblur_vae.portraits import draw_portrait

KERNELS = [
    none(), gaussian(0.3), gaussian(2.0), gaussian(3.0, 5), turned(4.5, 1.4, 37.0),
    turned(1.0, 3.0, -200.0), disc(0.4), disc(1.0), disc(5.37), disc(3.0, 0.8),
    motion(1.0, 0.0), motion(15.0, 123.0), motion(9.3, 45.0, 0.5),
    softened(disc(2.0), 3.0)]
WORST = 0.501 / 255  # rounding to 256 levels


@pytest.fixture(scope='module')
def scene() -> torch.Tensor:
    "A portrait, [3,218,178] in [0,1]."
    return to_tensor(draw_portrait(4)[0])


def moments(kernel) -> tuple[float, float, float]:
    "Variances along x and y, and their covariance, where y points up."
    y, x = centred(kernel.shape[0])[:, None], centred(kernel.shape[1])
    return tuple(float((kernel * part).sum()) for part in (x * x, y * y, -x * y))


def along_and_across(along: float, across: float, angle: float) -> tuple[float, ...]:
    "The same for variances along a direction, degrees, and across it."
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return (along * c**2 + across * s**2, along * s**2 + across * c**2,
            (along - across) * s * c)


@pytest.mark.parametrize('kernel', KERNELS, ids=range(len(KERNELS)))
def test_kernels_sum_to_one_and_are_centred(kernel):
    assert kernel.dtype == torch.float64 and kernel.min() >= 0
    assert kernel.ndim == 2 and all(side % 2 == 1 for side in kernel.shape)
    assert float(kernel.sum()) == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(kernel, kernel.rot90(2), atol=1e-15, rtol=0)
    assert transfer(kernel, 64, 65)[0, 0].real == pytest.approx(1, abs=1e-12)
    assert transfer(kernel, 64, 65).imag.abs().max() < 1e-12  # symmetric: no phase


@pytest.mark.parametrize('sigma', [1.0, 1.7, 3.0, 6.0])
def test_gaussian_has_its_sigma(sigma):
    assert spread(gaussian(sigma)) == pytest.approx(sigma, rel=0.01)
    assert len(gaussian(sigma)) == 2 * math.ceil(3.3 * sigma) + 1


@pytest.mark.parametrize('taps', [5, 9, 15])
def test_gaussian_of_the_post_is_that_of_data(taps):
    line = gaussian_kernel(torch.tensor([taps]), torch.tensor([2.4]))[0]
    line = line[line > 0]
    torch.testing.assert_close(gaussian(2.4, taps).float(), line[:, None] * line)
    expected = effective_sigma(torch.tensor([taps]), torch.tensor([2.4])).item()
    assert spread(gaussian(2.4, taps)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize('angle', [0, 30, 90, 135, 170, -45, 400])
def test_turned_has_its_widths_along_its_angle(angle):
    expected = along_and_across(3.0**2, 1.2**2, angle)
    assert moments(turned(3.0, 1.2, angle)) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize('radius', [1.0, 1.5, 2.71, 5.0, 8.3])
def test_disc_has_half_its_radius(radius):
    kernel = disc(radius)
    assert spread(kernel) == pytest.approx(math.sqrt(radius**2 / 4 + 1 / 12), abs=0.05)
    torch.testing.assert_close(kernel, kernel.T)
    assert float(kernel.max()) == pytest.approx(1 / (math.pi * radius**2), rel=0.1)


@pytest.mark.parametrize('length', [5.0, 9.0, 15.0])
@pytest.mark.parametrize('angle', [0.0, 20.0, 45.0, 90.0, 160.0])
def test_shake_has_its_length_along_its_angle(length, angle):
    expected = along_and_across((length**2 + 1) / 12, (1.2**2 + 1) / 12, angle)
    assert moments(motion(length, angle)) == pytest.approx(expected, abs=0.25)


def test_variances_add_up():
    line = motion(9.0, 30.0)
    both = spread(line)**2 + spread(gaussian(2.0))**2
    assert spread(softened(line, 2.0))**2 == pytest.approx(both)
    assert torch.equal(motion(9.0, 30.0, 2.0), softened(line, 2.0))
    assert torch.equal(softened(disc(3.0), 0.1), disc(3.0))


def test_angles_are_counter_clockwise_from_the_x_axis():
    along, across = axes(9, 90.0)
    assert along[0, 4] == pytest.approx(4) == across[4, 8]  # row 0 is above
    rising = motion(15.0, 45.0)
    n = len(rising)
    assert rising[n // 2 - 3, n // 2 + 3] > 0 == rising[n // 2 + 3, n // 2 + 3]


@pytest.mark.parametrize('kernel', KERNELS[1:], ids=range(1, len(KERNELS)))
def test_true_border_is_the_valid_convolution(scene, kernel):
    r = len(kernel) // 2
    valid = F.conv2d(scene[:, None].double(), kernel.flip(0, 1)[None, None])[:, 0]
    blurred = convolve(scene, kernel)[:, r:-r, r:-r].double()
    torch.testing.assert_close(blurred, valid, atol=1e-6, rtol=0)


@pytest.mark.parametrize('name', ['post', 'wide', 'disc', 'shake'])
def test_shots_are_the_valid_convolution_to_one_level(scene, name):
    for seed in range(4):
        shot = CONDITIONS[name](scene, seed)
        valid = F.conv2d(scene[:, None].double(), shot.kernel[None, None])[:, 0]
        valid = inner(valid, 16 - len(shot.kernel) // 2)
        assert shot.blurry.shape == (3, 186, 146) and shot.mask is None
        assert (valid - shot.blurry).abs().max() < WORST
        assert torch.equal(shot.sharp, scene[:, 16:-16, 16:-16])


def test_convolution_with_a_lopsided_kernel_and_odd_shapes():
    rng = np.random.default_rng(0)
    sizes = ((1, 20, 31), (3, 9)), ((3, 33, 14), (11, 5)), ((4, 9, 9), (1, 3))
    for shape, sides in sizes:
        x, kernel = rng.random(shape), rng.random(sides)
        kernel /= kernel.sum()
        mirrored = ndimage.convolve(x, kernel[None], mode='mirror')
        ours = convolve(torch.from_numpy(x), torch.from_numpy(kernel))
        assert ours.dtype == torch.float64 and np.allclose(ours, mirrored, atol=1e-12)


def test_transfer_blurs_a_picture_that_repeats_itself():
    x = np.random.default_rng(0).random((21, 40))
    kernel = np.random.default_rng(1).random((5, 7))
    gain = transfer(torch.from_numpy(kernel), 21, 40)
    ours = np.fft.irfft2(np.fft.rfft2(x) * gain.numpy(), s=x.shape)
    assert np.allclose(ours, ndimage.convolve(x, kernel, mode='wrap'), atol=1e-12)


def test_mirrored_is_the_blur_of_data(scene):
    shot = alone('gaussian', (1.5, 3.0), (5, 9, 15), mirrored=True, cut=0)(scene, 3)
    (sigma, taps), sharp = shot.blur[1], shot.sharp[None]
    sigma = torch.tensor([sigma], dtype=torch.float32)
    blurred = gaussian_blur(sharp, torch.tensor([taps]), sigma)[0]
    assert shot.sharp.shape == scene.shape
    assert (shot.blurry - blurred).abs().max() < WORST
    inside, outside = CONDITIONS['mirrored'](scene, 3), CONDITIONS['post'](scene, 3)
    assert inside.blur == outside.blur and torch.equal(inside.sharp, outside.sharp)
    assert (inside.blurry - outside.blurry).abs().max() > 0.01


def test_curve_of_srgb():
    levels = torch.linspace(0, 1, 256)
    torch.testing.assert_close(to_srgb(to_linear(levels)), levels, atol=1e-6, rtol=0)
    assert to_linear(torch.tensor(0.5)).item() == pytest.approx(0.21404, abs=1e-5)
    assert to_srgb(torch.tensor([-1.0, 2.0])).tolist() == pytest.approx([0, 1])


@pytest.mark.parametrize('shot', [0.0, 0.3, 1.0])
def test_noise_has_the_variance_of_its_formula(shot):
    y = torch.tensor([0.0, 0.25, 0.5, 1.0])[None, :, None].expand(3, 4, 30000)
    error = add_noise(y, 0.02, shot, np.random.default_rng(0)) - y
    expected = 0.02 * torch.sqrt(1 - shot + 2 * shot * y[0, :, 0])
    torch.testing.assert_close(error.std((0, 2)), expected, rtol=0.02, atol=1e-6)
    assert error.mean().abs() < 3e-4


def test_jpeg_is_a_file_of_pillow(scene):
    high, low = (jpeg(scene, quality, 0) for quality in (100, 50))
    assert (high - scene).abs().max() < 0.03 < (low - scene).abs().max()
    full, quarter = ((jpeg(scene, 90, kind) - scene).square().mean() for kind in (0, 2))
    assert full < quarter
    assert torch.equal(to_8bit(low), low) and low.dtype == scene.dtype


def test_regions_are_soft_and_of_all_kinds():
    masks = [soft_region(50, 80, np.random.default_rng(seed)) for seed in range(100)]
    shares = torch.stack([mask.mean() for mask in masks])
    assert shares.min() > 0.02 and shares.max() < 0.98 and 0.4 < shares.mean() < 0.6
    assert all(((0.05 < mask) & (mask < 0.95)).any() for mask in masks)


def test_seeds_reproduce_whatever_is_made_beside(scene):
    shots = [EVERYDAY(scene, (7, number)) for number in range(12)]
    for number in (11, 3, 8):
        again = EVERYDAY(scene, (7, number))
        assert torch.equal(again.blurry, shots[number].blurry)
        assert again.blur == shots[number].blur
    assert len({shot.blurry.sum().item() for shot in shots}) == 12
    assert not torch.equal(EVERYDAY(scene, (8, 3)).blurry, shots[3].blurry)


def test_leaves_global_randomness_alone(scene):
    np.random.seed(0)
    states = torch.get_rng_state(), np.random.get_state()[1].tolist()
    for seed in range(20): EVERYDAY(scene, seed)
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1] == np.random.get_state()[1].tolist()


def test_shot_says_what_was_done(scene):
    shots = [EVERYDAY(scene, seed) for seed in range(150)]
    for blurry, sharp, (family, parameters), kernel, mask in shots:
        assert blurry.shape == sharp.shape == (3, 182, 142) and blurry.is_contiguous()
        assert torch.equal(sharp, inner(scene, 18))
        assert torch.equal(to_8bit(blurry), blurry)
        assert torch.equal(FAMILIES[family](*parameters), kernel) and len(kernel) < 38
        if mask is not None:
            assert mask.shape == (182, 142) and 0 <= mask.min() < mask.max() <= 1
    assert {shot.blur[0] for shot in shots} == set(FAMILIES)
    assert 2 <= sum(shot.mask is not None for shot in shots) <= 25


def test_partly_leaves_the_rest_sharp(scene):
    shot = alone('disc', (5.0,), partly=1.0)(scene, 0)
    off = (shot.blurry - shot.sharp).abs().amax(0)
    assert off[shot.mask < 1e-4].max() < 1.1 * WORST
    assert off[shot.mask > 0.99].max() > 0.1


def test_light_is_blurred_as_light():
    point = torch.zeros(3, 65, 65)
    point[:, 32, 32] = 1
    values = alone('disc', (3.0,), linear=0.0)(point, 0).blurry
    light = alone('disc', (3.0,), linear=1.0)(point, 0).blurry
    assert light.max() > 4 * values.max() > 0
    assert to_linear(light).sum() == pytest.approx(3, rel=0.1)  # no light is lost


def test_conditions_are_those_of_the_issue(scene):
    assert list(CONDITIONS) == ['post', 'wide', 'disc', 'noise 0.01', 'JPEG 75',
                                'disc, JPEG 90', 'shake', 'mirrored', 'sharp']
    for seed in range(10):
        shots = {name: condition(scene, seed) for name, condition in CONDITIONS.items()}
        sigma, taps = shots['post'].blur[1]
        assert 1.5 <= sigma <= 3 and taps in range(5, 16, 2) and isinstance(taps, int)
        assert 2.5 <= shots['wide'].blur[1][0] <= 4.5
        assert len(shots['wide'].kernel) == 31
        assert 1.5 <= shots['disc'].blur[1][0] <= 5
        length, angle = shots['shake'].blur[1]
        assert 5 <= length <= 15 and 0 <= angle <= 180
        assert {shot.blurry.shape for shot in shots.values()} == {(3, 186, 146)}
        assert torch.equal(shots['sharp'].blurry, shots['sharp'].sharp)
        post, out_of_focus = shots['post'].blurry, shots['disc'].blurry
        assert torch.equal(shots['JPEG 75'].blurry, jpeg(post, 75, 2))
        assert torch.equal(shots['disc, JPEG 90'].blurry, jpeg(out_of_focus, 90, 2))
        error = (shots['noise 0.01'].blurry - post)[(post > 0.1) & (post < 0.9)]
        assert error.std().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize('name', ['EVERYDAY', *CONDITIONS])
def test_settings_are_plain_json_and_come_back(scene, name):
    degradation = EVERYDAY if name == 'EVERYDAY' else CONDITIONS[name]
    text = json.dumps(degradation.settings(), sort_keys=True)
    again = Degradation.from_settings(json.loads(text))
    assert again == degradation and hash(again) == hash(degradation)
    assert list(again.blurs) == list(degradation.blurs)
    for seed in range(5):
        assert torch.equal(again(scene, seed).blurry, degradation(scene, seed).blurry)
    assert pickle.loads(pickle.dumps(degradation)) == degradation


BARE = EVERYDAY.settings() | {'blurs': [{'draw': 'disc'}]}


@pytest.mark.parametrize('call, words', [
    (lambda: gaussian(0.0), 'sigma 0.0'),
    (lambda: gaussian(math.nan), 'sigma nan'),
    (lambda: gaussian(math.inf), f'more than {MOST_TAPS} taps'),
    (lambda: gaussian(1e4), f'more than {MOST_TAPS} taps'),
    (lambda: gaussian(2.0, 4), '4 taps: a kernel has an odd number'),
    (lambda: gaussian(2.0, -3), '-3 taps'),
    (lambda: turned(2.0, 0.0, 0.0), 'widths 2.0 and 0.0'),
    (lambda: turned(1e9, 1.0, 0.0), 'width 1000000000.0'),
    (lambda: disc(-1.0), 'radius -1.0'),
    (lambda: disc(1e9), f'more than {MOST_TAPS} taps'),
    (lambda: disc(2.0, -0.5), 'softness -0.5'),
    (lambda: motion(0.0, 0.0), 'length 0.0'),
    (lambda: motion(math.nan, 0.0), 'length nan'),
    (lambda: transfer(disc(5.0), 12, 40), '13×13 is too large for 12×40'),
    (lambda: convolve(torch.rand(3, 6, 40), disc(5.0)), '13×13 is too large for 6×40'),
    (lambda: jpeg(torch.rand(3, 8, 8), 101), 'quality 101'),
    (lambda: Family('blob'), "'blob': there are none, gaussian"),
    (lambda: Family('disc'), 'disc does not take 0 parameters'),
    (lambda: Family('none', ((1.0,),)), 'none does not take 1 parameters'),
    (lambda: Family('disc', ((1.0,),), relative=True), 'disc does not take 1'),
    (lambda: Family('disc', ((),)), 'a range without numbers'),
    (lambda: Family('disc', ((-1.0, 3.0),)), 'radius -1.0'),
    (lambda: Degradation({}), 'no draw at all'),
    (lambda: Degradation({'blob': 1.0}), 'no draw blob: there are post'),
    (lambda: Degradation({'disc': 0.0}), 'above 0'),
    (lambda: Degradation({'none': 1.0}, cut=-1), 'cut -1'),
    (lambda: alone('disc', (20.0,)), 'cut 16: these blurs reach 21 pixels'),
    (lambda: alone('none', noisy=1.5), 'noisy 1.5'),
    (lambda: alone('none', read=(0.0, 0.1)), 'read (0.0, 0.1)'),
    (lambda: alone('none', quality=(90, 101)), 'quality (90, 101)'),
    (lambda: alone('none', subsampling=(3,)), 'subsampling (3,)'),
    (lambda: alone('none', subsampling=()), 'subsampling ()'),
    (lambda: Degradation.from_settings({'blurs': []}), 'cut, linear'),
    (lambda: Degradation.from_settings(BARE), "a blur has no 'weight'"),
])
def test_errors_are_one_clear_line(call, words):
    with pytest.raises(ValueError) as error: call()
    assert words in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('scene, words', [
    (torch.rand(3, 47, 100), '47×100 pixels is too small'),
    (torch.rand(100, 100, 3), '[100, 100, 3]'),
    (torch.rand(1, 3, 60, 60), '[1, 3, 60, 60]'),
    (torch.zeros(3, 60, 60, dtype=torch.uint8), 'uint8'),
    (torch.full((3, 60, 60), 255.0), 'divide 8-bit pixels by 255'),
    (torch.full((3, 60, 60), math.nan), 'nan'),
])
def test_scenes_are_checked(scene, words):
    with pytest.raises(DataError) as error: CONDITIONS['post'](scene, 0)
    assert words in str(error.value) and '\n' not in str(error.value)


def test_examples_of_the_docstrings():
    done = doctest.testmod(camera, optionflags=doctest.ELLIPSIS)
    assert done.failed == 0 and done.attempted >= 7
