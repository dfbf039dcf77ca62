"The batch blur against torchvision's, and against itself."
import pytest
import torch
from torchvision.transforms import GaussianBlur

from deblur_vae.data import KERNEL_SIZES, fixed_blur, gaussian_blur, random_blur


@pytest.mark.parametrize('k', KERNEL_SIZES)
def test_equals_torchvision(k):
    sigmas = torch.linspace(1.5, 3.0, 7)
    x = torch.rand(len(sigmas), 3, 54, 44, generator=torch.Generator().manual_seed(k))
    ours = gaussian_blur(x, torch.full((len(x),), k), sigmas)
    for picture, sigma, blurred in zip(x, sigmas, ours):
        torch.testing.assert_close(blurred, GaussianBlur(k, float(sigma))(picture),
                                   atol=1e-6, rtol=0)


def test_sizes_mix_in_a_batch():
    x = torch.rand(32, 3, 218, 178, generator=torch.Generator().manual_seed(0))
    blurred, k, sigma = random_blur(x, generator=torch.Generator().manual_seed(0))
    rival = torch.stack([GaussianBlur(int(a), float(b))(picture)
                         for picture, a, b in zip(x, k, sigma)])
    torch.testing.assert_close(blurred, rival, atol=1e-6, rtol=0)
    assert len(k.unique()) > 3


@pytest.mark.parametrize('channels, size', [(1, (8, 8)), (3, (9, 31)), (4, (40, 8))])
def test_any_channels_and_size(channels, size):
    x = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))
    blurred, k, sigma = random_blur(x, generator=torch.Generator().manual_seed(1))
    rival = torch.stack([GaussianBlur(int(a), float(b))(picture)
                         for picture, a, b in zip(x, k, sigma)])
    torch.testing.assert_close(blurred, rival, atol=1e-6, rtol=0)


def test_fixed_blur_belongs_to_the_picture_not_the_batch():
    x = torch.rand(9, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    whole = fixed_blur(x, range(9))
    parts = [fixed_blur(x[i:i + 2], range(i, min(i + 2, 9))) for i in range(0, 9, 2)]
    for joined, values in zip(zip(*parts), whole):
        assert torch.equal(torch.cat(joined), values)


def test_leaves_global_randomness_alone():
    state, x = torch.get_rng_state(), torch.zeros(4, 3, 20, 20)
    random_blur(x, generator=torch.Generator().manual_seed(0))
    fixed_blur(x, range(4))
    assert torch.equal(state, torch.get_rng_state())
