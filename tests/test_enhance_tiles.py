"""What `enhance` does with pixels and tiles: any kind and size of picture, tiled equal
to whole, bounded memory, no trace in global state."""
import tracemalloc

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from deblur_vae.enhance import (
    as_pixels, map_pixels, tile_starts, tile_weights, tiled, to_arrays)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def noise(*shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == np.float32: return rng.random(shape, np.float32)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def smooth(height, width, channels=3):
    "A picture with edges and slopes."
    y, x = np.mgrid[:height, :width]
    edges = 128 + 30 * ((x // 31 + y // 23) % 2)
    bands = [edges + 90 * np.sin(x / (9 + c)) * np.cos(y / (13 - c))
             for c in range(channels)]
    return np.stack(bands, 2).clip(0, 255).astype(np.uint8)


def convolutions(layers, seed):
    "Random 3×3 convolutions that look `layers` pixels far, in [0,1]."
    generator = torch.Generator().manual_seed(seed)
    weights = [torch.randn(3, 3, 3, 3, generator=generator) * 0.35
               for _ in range(layers)]

    def restore(x):
        x = x - 0.5
        for weight in weights: x = F.conv2d(x, weight, padding=1).tanh()
        return 0.5 + 0.5 * x
    return restore


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([1, 3]),
       st.sampled_from([np.uint8, np.uint16, np.float32]),
       st.sampled_from([32, 40, 64, 100]), st.sampled_from([0, 8, 16]))
def test_nothing_changes_where_restore_does_nothing(
        height, width, channels, dtype, tile, overlap):
    pixels, sizes = noise(height, width, channels, dtype=dtype), []
    restore = lambda x: sizes.append(x.shape) or x
    result = tiled(restore, pixels, tile=tile, overlap=overlap)
    assert result.shape == pixels.shape and result.dtype == pixels.dtype
    assert result.flags.c_contiguous
    if dtype == np.float32: assert np.abs(result - pixels).max() < 1e-6
    else: assert (result == pixels).all()
    assert len(set(sizes)) == 1 and all(n >= 32 and n % 8 == 0 for n in sizes[0][2:])


@pytest.mark.parametrize('shape', [
    (1, 1, 3), (1, 5000, 3), (5000, 1, 1), (16, 16, 3), (2, 3, 1), (513, 511, 3)])
def test_extreme_shapes(shape):
    pixels = noise(*shape)
    assert (tiled(lambda x: x, pixels) == pixels).all()
    assert (tiled(lambda x: 1 - x, pixels, tile=64, overlap=16) == 255 - pixels).all()


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 700), st.integers(4, 40), st.integers(0, 20))
def test_weights_add_to_one_and_are_zero_at_the_ends(length, tile, overlap):
    length, tile, overlap = 8 * length, 8 * tile, 8 * min(overlap, tile // 2)
    starts = tile_starts(length, tile, overlap)
    size = min(length, tile)
    total, weights = np.zeros(length), tile_weights(starts, size, overlap)
    for start, weight in zip(starts, weights): total[start:start + size] += weight
    assert np.allclose(total, 1, atol=1e-6) and weights.min() >= 0
    assert not any(s % 8 for s in starts)
    spoilt = 3 * overlap // 8
    assert not weights[1:, :spoilt].any() and not weights[:-1, size - spoilt:].any()
    assert starts[-1] + size == length


@pytest.mark.parametrize('layers, most', [(6, 0), (24, 0), (32, 1)])
@pytest.mark.parametrize('shape', [(300, 211, 3), (211, 300, 3), (190, 190, 1)])
def test_tiled_is_whole(layers, most, shape):
    """No pixel differs by more than 1/255, for a function that looks half the overlap
    far."""
    restore, pixels = convolutions(layers, layers), smooth(*shape)
    whole = tiled(restore, pixels, tile=512)
    parts = tiled(restore, pixels, tile=128, overlap=64)
    assert np.ptp(whole) > 50 and np.abs(whole.astype(int) - parts).max() <= most


def test_tiled_is_the_function_itself():
    pixels, restore = smooth(96, 120), convolutions(5, 0)
    direct = restore(torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255)
    levels = (direct[0].permute(1, 2, 0) * 255).round().clip(0, 255).numpy()
    assert np.abs(tiled(restore, pixels) - levels.astype(int)).max() <= 1


def test_no_seam_where_restore_looks_farther_than_the_overlap():
    def flatten(x):
        mean = F.pad(x, [48] * 4, mode='reflect')
        for side in ((97, 1), (1, 97)): mean = F.avg_pool2d(mean, side, stride=1)
        return (x - 0.5 * mean + 0.25).clamp(0, 1)
    pixels = smooth(384, 384)
    whole = tiled(flatten, pixels).astype(int)

    def step(result):
        jumps = [np.abs(p[:, 128::128].astype(int) - p[:, 127:-1:128]).mean()
                 for p in (result, whole)]
        return abs(jumps[0] - jumps[1])
    hard, soft = (tiled(flatten, pixels, tile=128, overlap=overlap)
                  for overlap in (0, 64))
    assert step(soft) < 0.2 and step(hard) > 5 * step(soft)
    assert np.abs(soft - whole).mean() < np.abs(hard - whole).mean() / 4


def test_grey_is_three_equal_channels_and_their_mean():
    seen = []

    def restore(x):
        seen.append(x)
        return x * torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    pixels = noise(40, 40, 1)
    result = tiled(restore, pixels)
    assert (seen[0][:, 0] == seen[0][:, 2]).all()
    assert np.abs(result - pixels / 2).max() <= 0.5


def test_orientation_and_grid_reach_restore_unchanged():
    "Wide pictures are worked on turned; `restore` must not notice."
    pixels = noise(48, 200, 3)
    def shifted(x): return F.pad(x, (1, 0, 0, 0))[..., :-1]
    assert (tiled(shifted, pixels, tile=64, overlap=16)[:, 1:] == pixels[:, :-1]).all()


@pytest.mark.parametrize('shape', [(1000, 3000, 3), (3000, 1000, 3)])
def test_memory_is_a_band(shape):
    pixels = np.zeros(shape, np.uint8)
    tracemalloc.start()
    result = tiled(lambda x: x, pixels, tile=128, overlap=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    band = 128 * 1000 * 3 * 4
    assert peak < result.nbytes + 4 * band < 2 * result.nbytes + pixels.nbytes


def test_progress_and_global_state():
    seen = []
    def bar(tiles):
        for place in tiles: yield seen.append(place) or place
    state, grad = torch.random.get_rng_state(), torch.is_grad_enabled()
    parameter = nn.Parameter(torch.ones(()))
    tiled(lambda x: x * parameter, noise(100, 100, 3), tile=64, overlap=16,
          progress=bar)
    assert len(seen) == 4 and (torch.random.get_rng_state() == state).all()
    assert torch.is_grad_enabled() == grad


def test_device_is_where_restore_gets_its_input():
    "The meta device has no numbers, so only that they arrive there is seen."
    seen = []

    def restore(x):
        seen.append(x.device.type)
        return torch.zeros(x.shape)
    assert not tiled(restore, noise(40, 40, 3), device='meta').any()
    assert seen == ['meta']


@pytest.mark.parametrize('words, change', [
    ('[40, 40]', dict(pixels=np.zeros((40, 40), np.uint8))),
    ('int64', dict(pixels=np.zeros((40, 40, 3), int))),
    ('[40, 40, 2]', dict(pixels=np.zeros((40, 40, 2), np.uint8))),
    ('[0, 4, 3]', dict(pixels=np.zeros((0, 4, 3), np.uint8))),
    ('twice the overlap', dict(tile=64, overlap=64)),
    ('twice the overlap', dict(tile=0)), ('overlap=-8', dict(overlap=-8)),
    ('keep the shape', dict(restore=lambda x: x[:, :, 1:])),
    ('NaN', dict(restore=lambda x: x * float('nan')))])
def test_refused(words, change):
    arguments = dict(restore=lambda x: x, pixels=noise(40, 40, 3)) | change
    with pytest.raises(ValueError) as error: tiled(**arguments)
    assert words in str(error.value) and '\n' not in str(error.value)


def test_numbers_beyond_the_range_are_cut():
    pixels = noise(40, 40, 3)
    assert (tiled(lambda x: x * 9 + 1, pixels) == 255).all()
    assert not tiled(lambda x: x - 5, pixels).any()


MODE_STEPS = { # how Pillow comes from RGBA to a mode, where not through RGB
    'LA': ['LA'], 'La': ['LA', 'La'], 'RGBa': ['RGBa'], 'RGBA': ['RGBA'],
    'PA': ['RGB', 'P', 'PA'], 'I;16': ['L', 'I', 'I;16'], 'I': ['L', 'I']}
MODE_LOSS = { # levels of 255 lost on the way to a mode and back
    'HSV': 16, 'YCbCr': 16, 'CMYK': 16, 'La': 16, 'RGBa': 16}


@pytest.mark.parametrize('mode', [
    '1', 'L', 'LA', 'La', 'P', 'PA', 'RGB', 'RGBA', 'RGBa', 'RGBX', 'CMYK', 'YCbCr',
    'HSV', 'I', 'I;16'])
def test_pillow_modes_go_through(mode):
    grey = mode in ('1', 'L', 'LA', 'La', 'I', 'I;16')
    source = Image.fromarray(smooth(40, 50)).convert('RGBA')
    source.putalpha(200)
    for step in MODE_STEPS.get(mode, ['RGB', mode]): source = source.convert(step)
    source.info['dpi'] = (72, 72)
    result = map_pixels(lambda pixels: pixels, source)
    assert result.size == source.size and result.info == source.info
    assert result.mode == {'1': 'L', 'P': 'RGB', 'PA': 'RGBA'}.get(mode, mode)
    assert to_arrays(source)[0].shape[2] == (1 if grey else 3)
    if mode in ('I', 'I;16'): return
    plain = {'La': 'LA', 'RGBa': 'RGBA'}.get(mode, result.mode)
    after, before = (np.asarray(i.convert(plain)).astype(int) for i in (result, source))
    assert np.abs(after - before).max() <= MODE_LOSS.get(mode, 0)


def test_key_colour_becomes_opacity():
    source = Image.fromarray(np.full((8, 8, 3), 9, np.uint8))
    source.info['transparency'] = (9, 9, 9)
    result = map_pixels(lambda pixels: 255 - pixels, source)
    assert result.mode == 'RGBA' and result.getpixel((0, 0)) == (246, 246, 246, 0)
    assert 'transparency' not in result.info


@pytest.mark.parametrize('shape', [(20, 30), (20, 30, 1), (20, 30, 3), (20, 30, 4)])
@pytest.mark.parametrize('dtype', ['u1', 'u2', 'f2', 'f4', 'f8'])
def test_arrays_go_through(shape, dtype):
    most = {'u1': 255, 'u2': 65535}.get(dtype, 1)
    image = (noise(*shape, dtype=np.float32) * most).astype(dtype)
    pixels, back = as_pixels(image)
    assert pixels.ndim == 3
    assert pixels.shape[2] == (3 if shape[2:] in ((3,), (4,)) else 1)
    result = back(np.zeros_like(pixels))
    assert result.shape == shape and result.dtype == image.dtype
    if shape[2:] == (4,):
        assert not result[..., :3].any()
        assert (result[..., 3] == image[..., 3]).all()
    else: assert not result.any()
    assert np.allclose(back(pixels), image)
    turned = image.swapaxes(0, 1)
    assert (map_pixels(lambda p: p, turned) == turned).all(), 'not contiguous'


@pytest.mark.parametrize('shape', [(3, 20, 30), (1, 20, 30), (2, 3, 20, 30)])
@pytest.mark.parametrize('dtype', [
    torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_go_through(shape, dtype):
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    image = (values * (255 if dtype == torch.uint8 else 1)).to(dtype)
    result = map_pixels(lambda pixels: pixels[::-1], image)
    assert result.shape == image.shape and result.dtype == dtype
    assert result.is_contiguous() and (result == image.flip(-2)).all()


def test_a_tensor_with_gradient_goes_through():
    image = torch.rand(3, 8, 8, requires_grad=True)
    assert not map_pixels(lambda pixels: pixels, image).requires_grad


@pytest.mark.parametrize('bad, error, words', [
    (np.zeros(5), ValueError, '[5]'), (np.zeros((4, 4, 2)), ValueError, '[4, 4, 2]'),
    (np.zeros((0, 4, 3)), ValueError, '[0, 4, 3]'),
    (np.full((4, 4), np.nan), ValueError, 'nan'),
    (np.full((4, 4), 1.5), ValueError, '1.5'),
    (np.full((4, 4), np.inf), ValueError, 'inf'),
    (np.zeros((4, 4), int), TypeError, 'int64'),
    (np.zeros((4, 4), bool), TypeError, 'bool'),
    (np.zeros((4, 4), complex), TypeError, 'complex'),
    (torch.zeros(4, 4), ValueError, '[4, 4]'),
    (torch.zeros(4, 4, 3), ValueError, '[4, 4, 3]'),
    (torch.zeros(3, 4, 4).int(), TypeError, 'int32'),
    (torch.full((3, 4, 4), -0.1), ValueError, '-0.1'),
    (torch.zeros(0, 3, 4, 4), ValueError, '[0, 3, 4, 4]'), ('a.jpg', TypeError, 'str'),
    (None, TypeError, 'NoneType'), ([[1]], TypeError, 'list'),
    (Image.new('F', (4, 4)), ValueError, 'floating-point'),
    (Image.new('I', (4, 4), -1), ValueError, '16 bits'),
    (Image.new('L', (0, 4)), ValueError, '0×4')])
def test_no_picture(bad, error, words):
    with pytest.raises(error) as raised: map_pixels(lambda pixels: pixels, bad)
    assert words in str(raised.value) and '\n' not in str(raised.value)
