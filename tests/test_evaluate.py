"The evaluation: what it writes, odd pictures, wrong methods, no network."
import hashlib
import socket
import time

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Subset
from torchvision.models import AlexNet_Weights, alexnet

from deblur_vae.data import DataError, effective_sigma, fixed_blur, open_celeba
from deblur_vae.evaluate import (BLURRED, CONDITIONS, MEASURES, Condition, difference, evaluate, find_lpips, gmsd, interval,
                                 measure, read_scores, render, sigma_table, write_report)

EIGHT_BITS, WIDER = CONDITIONS[0], CONDITIONS[4]


def darker(x, k, sigma): return 0.9 * x


def identity(x, k, sigma): return x


def noise_pictures(*sizes):
    generator = torch.Generator().manual_seed(0)
    return [(torch.rand(3, *size, generator=generator), {}) for size in sizes]


@pytest.fixture
def no_network(monkeypatch):
    "Every attempt to open a socket fails the test at once."
    def refuse(*args, **kwargs): raise AssertionError('the network was asked')
    for name in ('socket', 'create_connection', 'getaddrinfo'): monkeypatch.setattr(socket, name, refuse)


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    "An empty cache of torch's; returns where the weights of AlexNet would lie."
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    file = tmp_path / 'torch' / 'hub' / 'checkpoints' / AlexNet_Weights.DEFAULT.url.split('/')[-1]
    file.parent.mkdir(parents=True)
    return file


def test_report_holds_what_was_measured(drawn, tmp_path):
    scores = evaluate(dict(darker=darker), Subset(open_celeba(drawn, samples=None), range(10)), batch_size=4, progress=False)
    (tmp_path / 'out').mkdir()
    (tmp_path / 'out' / 'evaluation.md').write_text('old')
    said = write_report(scores, tmp_path / 'out', over=(BLURRED, 'darker'))
    assert sorted(p.name for p in (tmp_path / 'out').iterdir()) == ['evaluation.csv', 'evaluation.md', 'evaluation.png']
    with Image.open(tmp_path / 'out' / 'evaluation.png') as image: assert min(image.size) > 400
    page = (tmp_path / 'out' / 'evaluation.md').read_text(encoding='utf-8')
    for condition in CONDITIONS: assert condition.name in said and f'PSNR, dB, {condition.name}, by effective σ' in page
    mean, low, high = interval(scores.values['psnr'][1, 0])
    assert f'{mean:.2f} [{low:.2f}, {high:.2f}]' in page and f'{mean:.2f} ±{(high - low) / 2:.2f}' in said
    lines = (tmp_path / 'out' / 'evaluation.csv').read_text(encoding='utf-8').splitlines()
    assert len(lines) == 1 + 10 * 5 * 2 and lines[0].startswith('picture,condition,method,effective_sigma,psnr,ssim,gmsd,lpips,seconds')
    back = read_scores(tmp_path / 'out' / 'evaluation.csv')
    for name in scores.values: np.testing.assert_allclose(back.values[name], scores.values[name], rtol=1e-6)
    assert np.allclose(difference(back, 'darker', BLURRED), difference(scores, 'darker', BLURRED), atol=1e-4)


def test_unlike_sizes_are_measured_alone_and_in_order():
    pictures = noise_pictures((20, 30), (20, 30), (24, 18), (20, 30), (12, 200))
    together = evaluate(dict(darker=darker), pictures, batch_size=4, progress=False)
    alone = evaluate(dict(darker=darker), pictures, batch_size=1, progress=False)
    for name in ('psnr', 'ssim', 'gmsd'): np.testing.assert_allclose(together.values[name], alone.values[name], atol=1e-4)
    _, k, sigma = fixed_blur(torch.zeros(5, 3, 20, 20), range(5))
    np.testing.assert_array_equal(together.effective_sigma, alone.effective_sigma)
    np.testing.assert_allclose(together.effective_sigma[:4], np.tile(effective_sigma(k, sigma), (4, 1)), rtol=1e-6)
    assert together.effective_sigma[4].min() > 2.5 and 'from 3.0' in sigma_table(together, WIDER.name)[0]


def test_same_pictures_for_all_methods_and_seeds_differ():
    seen = {}
    def keep(name):
        def method(x, k, sigma):
            seen.setdefault(name, []).append(x.clone())
            return x.mul_(0)  # a method may spoil what it is given
        return method
    pictures = noise_pictures((24, 24))
    evaluate(dict(a=keep('a'), b=keep('b')), pictures, progress=False)
    assert len(seen['a']) == len(CONDITIONS) * 1 + 1 and all(torch.equal(x, y) for x, y in zip(seen['a'], seen['b']))
    first, again, other = (evaluate({}, pictures, progress=False, seed=seed).values['psnr'] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.isclose(first, other).all()


def test_tiny_pictures():
    with pytest.raises(DataError, match="picture 1 is 40×10 pixels; the 21 taps of 'wider blur' need 11 each way"):
        evaluate({}, noise_pictures((40, 40), (40, 10)), progress=False)
    scores = evaluate({}, noise_pictures((40, 40), (40, 10), (8, 8)), CONDITIONS[:4], progress=False)
    assert np.isfinite(scores.values['psnr']).all() and np.isfinite(scores.values['gmsd']).all()
    assert np.isnan(scores.values['ssim'][..., 1:]).all() and 'SSIM: 1 of 3 pictures; the others have under 11 pixels' in render(scores)


def test_flat_pictures_keep_means_finite():
    scores = evaluate(dict(identity=identity), [(torch.full((3, 20, 20), 0.4), {})] * 2, [EIGHT_BITS], progress=False)
    assert (scores.values['psnr'] == 100).all() and 'counts as 100 dB' in render(scores)


@pytest.mark.parametrize('n', [1, 9])
def test_few_pictures_have_no_interval(tmp_path, n):
    scores = evaluate(dict(darker=darker), noise_pictures(*[(20, 20)] * n), progress=False)
    assert '±' not in render(scores).split(f'{n} pictures')[0]
    write_report(scores, tmp_path)


@pytest.mark.parametrize('method, words', [(lambda x, k, s: x[..., 1:], r'made \(1, 3, 20, 19\) of \(1, 3, 20, 20\)'),
                                           (lambda x, k, s: x / 0, 'not finite')])
def test_wrong_methods_are_named(method, words):
    with pytest.raises(ValueError, match=f"method 'wrong' .*{words}"): evaluate(dict(wrong=method), noise_pictures((20, 20)), progress=False)


def test_wrong_input_is_one_line():
    with pytest.raises(DataError, match='no pictures'): evaluate({}, [])
    with pytest.raises(ValueError, match="'blurred' is the name of doing nothing"): evaluate({BLURRED: identity}, noise_pictures((20, 20)))
    with pytest.raises(ValueError, match='own name'): evaluate({}, noise_pictures((20, 20)), [EIGHT_BITS, Condition('8 bits')])
    for picture in (Image.new('RGB', (20, 20)), torch.rand(1, 20, 20), torch.rand(20, 20)):
        with pytest.raises(DataError, match='picture 0 is no tensor'): evaluate({}, [(picture, {})], progress=False)


@pytest.mark.parametrize('text', ['', 'a,b\n1,2\n', 'picture,condition,method\n0,8 bits,blurred\n', 'picture,condition,method,effective_sigma,psnr\n'])
def test_other_files_are_no_scores(tmp_path, text):
    (tmp_path / 'x.csv').write_text(text)
    with pytest.raises(DataError, match='x.csv is not the CSV of an evaluation'): read_scores(tmp_path / 'x.csv')


def test_gmsd_as_its_authors_compute_it():
    convolve2d = pytest.importorskip('scipy.signal').convolve2d
    x, y = (torch.rand(1, 3, 40, 36, generator=torch.Generator().manual_seed(i)) for i in range(2))
    maps = []
    for picture in (x, y):
        grey = 255 * np.tensordot([0.299, 0.587, 0.114], picture[0].double().numpy(), 1)
        half = grey.reshape(20, 2, 18, 2).mean((1, 3))
        prewitt = np.array([[1, 0, -1]] * 3) / 3
        maps.append(np.hypot(convolve2d(half, prewitt, 'same'), convolve2d(half, prewitt.T, 'same')))
    a, b = maps
    assert gmsd(x, y).item() == pytest.approx(np.std((2 * a * b + 170) / (a**2 + b**2 + 170), ddof=1), rel=1e-4)


def test_lpips_without_network_is_words_at_once(no_network, empty_hub):
    start = time.perf_counter()
    net, why = find_lpips()
    assert net is None and why.startswith(f"not available (weights {empty_hub.name} are not in torch's cache ")
    scores = evaluate(dict(darker=darker), noise_pictures((40, 40), (40, 40)), [EIGHT_BITS], progress=False)
    assert time.perf_counter() - start < 10 and np.isnan(scores.values['lpips']).all()
    for markdown in (False, True): assert f'LPIPS: {why}.' in render(scores, markdown=markdown) and 'LPIPS (' not in render(scores, markdown=markdown)


def test_lpips_takes_no_foreign_weights(no_network, empty_hub):
    empty_hub.write_bytes(b'something else')
    net, why = find_lpips()
    assert net is None and 'damaged' in why


def test_lpips_is_measured_picture_by_picture(no_network, empty_hub, monkeypatch):
    "With random weights in the place of AlexNet's, as if they were its own: the way, not the numbers."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(alexnet().state_dict(), empty_hub)
    monkeypatch.setattr(hashlib, 'file_digest', lambda *_: type('', (), dict(hexdigest=lambda self: empty_hub.stem.split('-')[-1]))())
    net, why = find_lpips()
    empty_hub.unlink()
    (x, _), (y, _) = noise_pictures((40, 40), (40, 40))
    both = measure(torch.stack([x, y]), torch.stack([x, x]), net)
    assert not why and list(both) == list(MEASURES) and both['lpips'].shape == (2,) and both['lpips'][0] == 0 < both['lpips'][1]
    assert measure(y[None], x[None], net)['lpips'] == pytest.approx(both['lpips'][1:], rel=1e-4)
    assert 'lpips' not in measure(y[None, :, :30], x[None, :, :30], net)


def test_interval_of_one_constant_and_of_pairs():
    assert interval(np.full(12, 2.0)).tolist() == [2, 2, 2]
    values = np.random.default_rng(0).normal(size=(2, 40))
    mean, low, high = interval(values[1] - values[0])
    assert low < mean < high and mean == pytest.approx(interval(values)[0, 1] - interval(values)[0, 0])
