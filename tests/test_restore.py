"""The network of chapter 12: what it is shown, what it may do, and that the shipped one
is worth it."""
import numpy as np
import pytest
import torch
from skimage.data import astronaut, coffee

from deblur_vae.camera import alone
from deblur_vae.classical import deconvolve, estimate_blur, known_blur, scene_of
from deblur_vae.data import opponent
from deblur_vae.enhance import Sharpener, enhance
from deblur_vae.model import VAE_UNet, save_model
from deblur_vae.restore import (
    SEEN, RestoreNet, Told, Views, beside, mended, pretrained, scale_of, seen_by,
    without_doubt)

TOLD = Told(0.01, 0.02, None)


def psnr(x, y): return -10 * torch.log10((x.clamp(0, 1) - y).square().mean()).item()


def scene(photo):
    return torch.from_numpy(photo()[:256, 100:356].copy()).permute(2, 0, 1) / 255


@pytest.fixture(scope='module')
def noisy():
    "A face under a Gaussian and noise: blurry, sharp, kernel."
    camera = alone(
        'gaussian', (2.0, 2.0), (15,), noisy=1.0, read=(0.01, 0.01), shot=0.0)
    shot = camera(scene(astronaut), 0)
    return shot.blurry, shot.sharp, shot.kernel


@pytest.fixture
def random_net():
    "A network that changes something."
    torch.manual_seed(0)
    net = RestoreNet(channels=8, context=8, tail=8)
    for p in (net.last.weight, net.last.bias): torch.nn.init.normal_(p, std=0.1)
    return net.eval()


def test_a_new_network_leaves_the_answer_alone():
    pictures = torch.rand(5, 3, 40, 40)
    answer = mended(RestoreNet(), pictures, torch.ones(1, 40, 40), TOLD)
    assert torch.equal(answer, pictures[2])


@pytest.mark.parametrize('size', [(1, 1), (7, 90), (33, 40)])
def test_any_size(random_net, size):
    out = mended(random_net, torch.rand(5, 3, *size), torch.ones(1, *size), TOLD)
    assert out.shape == (3, *size) and out.isfinite().all()


def test_differences_are_seen_in_units_of_the_scale():
    "Differences ten times as large, told so, look the same."
    dice, seen = torch.Generator().manual_seed(0), []
    likely, apart = torch.rand(2, 3, 24, 24, generator=dice) / 10 + 0.45
    apart = (apart - 0.5) / 10
    for factor in (0.1, 1.0):
        pictures = torch.stack([likely, likely - factor * apart, likely,
                                likely + factor * apart, likely])
        told = TOLD._replace(scale=0.02 * factor)
        seen.append(seen_by(pictures, torch.ones(1, 24, 24), told))
    assert seen[0].shape == (SEEN, 24, 24) and seen[0][3:6].std() > 0.01
    for one in (slice(3, 6), slice(9, 12)):
        torch.testing.assert_close(seen[0][one], seen[1][one], atol=1e-4, rtol=1e-3)


def test_views_of_a_known_blur_differ_like_others(noisy):
    blurry, _, kernel = noisy
    blur = known_blur(blurry, kernel)
    window = Views(blurry.shape[1:], scene_of(blurry, blur), beside(blurry, blur))
    y = opponent(blurry)
    views = window.views(window.extend(y - y.mean((1, 2), keepdim=True)))
    rough = [view.diff(dim=-1).std() for view in views]
    assert rough[3] < rough[1] and rough[0] < rough[1] < rough[2]
    assert (views[3] - views[1]).std() > 1e-3 and scale_of(views) > 2e-3
    same = without_doubt(torch.stack([blurry, *views[:, :, :224, :224]]))
    assert torch.equal(same[1], same[2]) and torch.equal(same[2], same[3])


def test_sides_are_narrower_and_wider(noisy):
    blurry = noisy[0]
    blur = estimate_blur(blurry)
    less, more = beside(blurry, blur)
    centre = [s.kernel[s.kernel.shape[0] // 2, s.kernel.shape[1] // 2]
              for s in (less, scene_of(blurry, blur), more)]
    assert centre[0] > centre[1] > centre[2]


def test_the_shipped_network_beats_the_filter_in_noise(noisy):
    blurry, sharp, _ = noisy
    filtered = psnr(deconvolve(blurry, estimate_blur(blurry)), sharp)
    assert psnr(enhance(blurry), sharp) > filtered + 0.2


def test_the_shipped_network_does_no_harm_without_noise():
    shot = alone('disc', (3.0, 3.0))(scene(coffee), 0)
    filtered = psnr(enhance(shot.blurry, method='classical'), shot.sharp)
    assert psnr(enhance(shot.blurry), shot.sharp) > filtered - 0.1


def test_no_weave(noisy):
    """What the network adds has no more power at the finest frequency of rows and
    columns than beside it."""
    blurry = noisy[0]
    blur = estimate_blur(blurry)
    by_network = Sharpener(blurry, blur, pretrained())(blurry)[0]
    added = (by_network - Sharpener(blurry, blur)(blurry)[0]).mean(0)
    window = torch.outer(torch.hann_window(224), torch.hann_window(224))
    power = torch.fft.fft2(added[:224, :224] * window).abs().square()
    for lines in (power.mean(1), power.mean(0)):
        assert lines[111:114].mean() < 2 * lines[95:105].mean() + 1e-9


def test_foreign_weights(tmp_path):
    save_model(VAE_UNet(latent_dim=2, width=2, image_size=(32, 32)),
               tmp_path / 'other.safetensors')
    with pytest.raises(ValueError, match='holds VAE_UNet'):
        enhance(np.zeros((40, 40, 3), np.uint8), weights=tmp_path / 'other.safetensors')
