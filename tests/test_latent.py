"Many answers: what the chapter does not show. Sizes, seeds, weights."
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from deblur_vae.latent import (
    AnswerNet, answer_loss, answers, choice_bound, energy_score, laplace_nll,
    shipped_answers)
from deblur_vae.model import load_model, sample_posterior, save_model


def dice(seed: int = 0) -> torch.Generator: return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize('size', [(16, 16), (17, 23), (80, 64), (109, 89)])
@pytest.mark.parametrize('vector', [False, True])
def test_odd_sizes(size, vector):
    net = AnswerNet(3, vector, width=8, start=(8, 8, 8))
    y, x = torch.rand(2, 2, 3, *size, generator=dice())
    given = net.given(y)
    mean, log_scale = net.decode(given, sample_posterior(*net.encode(given, x), dice()))
    assert mean.shape == log_scale.shape == x.shape
    loss, parts = answer_loss(net, y, x, dice())
    assert loss.isfinite() and set(parts) == {'nll', 'mse', 'kl'}


def test_seeded_answers_are_equal():
    net, y = shipped_answers(), torch.rand(3, 45, 38, generator=dice())
    one, same, other = (answers(net, y, 3, dice(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert not torch.equal(one[0], one[1])
    assert torch.equal(answers(net, y, 5, dice(1))[:3], one)  # more are a longer list


def test_shipped_weights():
    path = Path(str(files('deblur_vae') / 'weights' / 'answers.safetensors'))
    assert path.stat().st_size <= 2_000_000 and path.with_suffix('.md').is_file()
    net = shipped_answers()
    assert not net.training and {p.dtype for p in net.parameters()} == {torch.float32}
    assert all(p.isfinite().all() for p in net.parameters())


def test_saved_and_loaded(tmp_path):
    net = AnswerNet(2, True, width=8, start=(8, 16, 8))
    save_model(net, tmp_path / 'a.safetensors')
    same = load_model(tmp_path / 'a.safetensors', kinds=(AnswerNet,))
    assert same.config == net.config
    y = torch.rand(3, 24, 24, generator=dice())
    assert torch.equal(answers(net, y, 2, dice()), answers(same, y, 2, dice()))
    with pytest.raises(ValueError, match='holds AnswerNet'):
        load_model(tmp_path / 'a.safetensors')


def test_posterior_knows_more_than_prior():
    "On a drawn disc: q(z|x,y) leads to less error than a draw from p(z|y)."
    net = shipped_answers()
    rows, columns = torch.meshgrid(torch.arange(80), torch.arange(64), indexing='ij')
    x = ((rows - 40)**2 + (columns - 32)**2 < 400).float().expand(1, 3, 80, 64)
    kernel = torch.exp(-torch.arange(-9, 10)**2 / (2 * 3.0**2))
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 19)
    y = torch.nn.functional.conv2d(x, kernel, padding=(0, 9), groups=3)
    y = torch.nn.functional.conv2d(y, kernel.mT, padding=(9, 0), groups=3)
    y = (y + 0.02 * torch.randn(y.shape, generator=dice())).clamp(0, 1)
    given = net.given(y)
    with torch.no_grad():
        told = net.decode(given, net.encode(given, x)[0])[0]
    drawn = answers(net, y[0], 8, dice())
    error = (drawn - x).square().mean((1, 2, 3))
    assert (told - x).square().mean() < error.min()


def test_measures():
    x = torch.rand(4, 3, 8, 8, generator=dice())
    same = x.expand(5, *x.shape)
    assert torch.allclose(energy_score(same, x), torch.zeros(4), atol=1e-5)
    assert torch.allclose(energy_score(same + 1, x), torch.full((4,), 192.0**0.5))
    far, log_scale = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 3, 8, 8)
    assert laplace_nll(far, log_scale) > laplace_nll(0 * far, log_scale)
    draws = torch.randn(40, 3, 8, 8, generator=dice())
    assert 0 < choice_bound(draws, 0.0, 4) < choice_bound(draws, 0.0, 16)
