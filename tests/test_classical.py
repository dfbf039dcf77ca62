"The Wiener filters at sizes, types and in places that no notebook shows."
import builtins

import pytest
import torch
from hypothesis import given, settings, strategies as st

from deblur_vae.classical import (RIVALS, blind_wiener, blur_gain, dct1, estimate_blur, frequencies, idct1, noise_power,
                                  wiener)
from deblur_vae.data import gaussian_blur, to_8bit
from deblur_vae.portraits import draw_portrait
from torchvision.transforms.functional import to_tensor

sizes = st.tuples(st.integers(16, 61), st.integers(16, 200))


@pytest.fixture(scope='module')
def faces() -> torch.Tensor:
    return torch.stack([to_tensor(draw_portrait(i)[0]) for i in range(3)])


@settings(max_examples=25, deadline=None)
@given(sizes, st.integers(2, 10), st.floats(0.3, 5), st.integers(0, 99))
def test_blur_is_a_product_at_any_size(size, half, sigma, seed):
    x = torch.rand(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    k, sigma = torch.tensor([2 * half + 1]), torch.tensor([sigma], dtype=torch.float64)
    gain = blur_gain(frequencies(size[0], x), frequencies(size[1], x), k, sigma)
    assert (idct1(dct1(x)) - x).abs().max() < 1e-12
    if min(size) > half: assert (idct1(dct1(x) * gain[:, None]) - gaussian_blur(x, k, sigma)).abs().max() < 1e-12


@settings(max_examples=3, deadline=None)
@given(sizes, st.integers(0, 99))
def test_any_picture_of_any_size_comes_back(size, seed):
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))
    pictures = torch.cat([x, torch.full_like(x, 0.5), torch.zeros_like(x), (x > 0.5).float()])
    y = blind_wiener(pictures)
    assert y.shape == pictures.shape and y.isfinite().all() and y.min() >= 0 and y.max() <= 1


def test_each_picture_by_itself(faces):
    k, sigma = torch.tensor([5, 9, 15]), torch.tensor([2.9, 2.0, 2.4])
    x = to_8bit(gaussian_blur(faces, k, sigma))
    together, alone = estimate_blur(x), [estimate_blur(picture) for picture in x.split(1)]
    assert together[0].tolist() == [one[0].item() for one in alone]
    torch.testing.assert_close(together[1], torch.cat([one[1] for one in alone]), rtol=1e-3, atol=0)
    torch.testing.assert_close(blind_wiener(x[1:2]), blind_wiener(x)[1:2], rtol=0, atol=2e-3)


def test_double_precision(faces):
    x, k, sigma = to_8bit(gaussian_blur(faces[:1], torch.tensor([9]), torch.tensor([2.0]))), torch.tensor([9]), torch.tensor([2.0])
    assert wiener(x.double(), k, sigma).dtype == blind_wiener(x.double()).dtype == torch.float64
    assert (wiener(x.double(), k, sigma) - wiener(x, k, sigma)).abs().max() < 1e-3


def test_noise_given_is_kept(faces):
    _, _, noise = estimate_blur(to_8bit(faces[:1]), 0.01)
    white, jpeg, _ = noise[0]
    assert jpeg < white / 50
    with pytest.raises(ValueError, match='above 0'): noise_power(torch.zeros(4), torch.zeros(4), 0.0)
    with pytest.raises(ValueError, match='8×16'): estimate_blur(torch.rand(1, 3, 8, 16))


def test_without_scikit_image(monkeypatch):
    real = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.startswith('skimage'): raise ImportError(name)
        return real(name, *args, **kwargs)
    monkeypatch.setattr(builtins, '__import__', refuse)
    x, k, sigma = torch.rand(1, 3, 20, 20), torch.tensor([5]), torch.tensor([1.5])
    for name in ('unsharp', 'known:lucy'):
        with pytest.raises(ValueError, match='pip install scikit-image'): RIVALS[name](x, k, sigma)
    for name in ('blurred', 'known:wiener', 'wiener'): assert RIVALS[name](x, k, sigma).shape == x.shape


@pytest.mark.parametrize('name', RIVALS)
def test_rivals_at_the_least_size(name):
    y = RIVALS[name](torch.rand(2, 3, 16, 21), torch.tensor([5, 7]), torch.tensor([1.5, 2.0]))
    assert y.shape == (2, 3, 16, 21) and y.isfinite().all()
