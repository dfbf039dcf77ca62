"The evaluation: reports, odd pictures, wrong methods, a second start, no network."
import csv
import hashlib
import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import AlexNet_Weights, alexnet

from deblur_vae import evaluate as module
from deblur_vae.camera import CONDITIONS, FAMILIES, alone, spread
from deblur_vae.data import DataError
from deblur_vae.evaluate import (
    ALEXNET, BLURRED, EXACT, MEASURES, OURS, Harm, Journal, Scenes, Scores, blur_text,
    difference, evaluate, find_lpips, gmsd, harm, interval, lay_out, measure,
    package_stamp, quality_table, render, spread_table, write_report)

POST = {'post': CONDITIONS['post']}
SHARP = {'sharp': CONDITIONS['sharp']}


def darker(pixels, kernel): return (0.9 * pixels).astype(np.uint8)


def identity(pixels, kernel): return pixels


def noise(*sizes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def run(methods, scenes, conditions=CONDITIONS, **options):
    return evaluate(methods, scenes, conditions, progress=False, **options)


@pytest.fixture
def no_network(monkeypatch):
    "Every attempt to open a socket fails the test at once."
    def refuse(*args, **kwargs): raise AssertionError('the network was asked')
    for name in ('socket', 'create_connection', 'getaddrinfo'):
        monkeypatch.setattr(socket, name, refuse)


@pytest.fixture
def empty_hub(tmp_path, monkeypatch):
    "An empty cache of torch's; returns where the weights of AlexNet would lie."
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)
    assert ALEXNET == AlexNet_Weights.DEFAULT.url.split('/')[-1]
    file = tmp_path / 'torch' / 'hub' / 'checkpoints' / ALEXNET
    file.parent.mkdir(parents=True)
    return file


def test_report_holds_what_was_measured(drawn, tmp_path):
    scores, out = run(dict(darker=darker), Scenes(drawn, 10)), tmp_path / 'out'
    out.mkdir()
    (out / 'evaluation.md').write_text('old')
    said = write_report(scores, out, over=(BLURRED, 'darker'))
    files = [f'evaluation.{suffix}' for suffix in ('csv', 'md', 'png')]
    assert sorted(p.name for p in out.iterdir()) == files
    with Image.open(out / 'evaluation.png') as image: assert min(image.size) > 400
    page = (out / 'evaluation.md').read_text(encoding='utf-8')
    for condition in CONDITIONS:
        assert condition in said and f'PSNR, dB, {condition}, by spread' in page
    mean, low, high = interval(scores.of('psnr', 'darker')[0])
    assert f'{mean:.2f} [{low:.2f}, {high:.2f}]' in page
    assert f'{mean:.2f} ±{(high - low) / 2:.2f}' in said
    lines = (out / 'evaluation.csv').read_text(encoding='utf-8').splitlines()
    assert len(lines) == 1 + 10 * 9 * 2
    assert lines[0] == ','.join(['picture,file,condition,method,blur,spread', *MEASURES,
                                 'seconds'])
    assert lines[1].startswith(f'0,{scores.names[0]},post,blurred,"gaussian:')
    for line, row in zip(csv.DictReader(lines), scores.rows(), strict=True):
        for name, value in row.items():
            number = isinstance(value, float) and not np.isnan(value)
            if number: assert float(line[name]) == pytest.approx(value, rel=1e-6)
            else: assert line[name] == ('' if value != value else str(value))


def test_scenes_of_a_folder(tmp_path, drawn):
    assert len(Scenes(drawn)) == 40 and Scenes(drawn, 40).names == Scenes(drawn).names
    spaced = Scenes(drawn, 13)
    assert len(spaced) == 13 and spaced.names == Scenes(drawn).names[::3][:13]
    assert spaced[2].dtype == np.uint8 and spaced[2].shape == (218, 178, 3)
    assert len(Scenes(drawn, 1000)) == 40
    with pytest.raises(DataError, match='0 samples'): Scenes(drawn, 0)
    with pytest.raises(DataError, match='no pictures'): Scenes(tmp_path)
    Image.new('L', (60, 50), 7).save(tmp_path / 'a.png')
    (tmp_path / 'b.png').write_text('no picture')
    folder = Scenes(tmp_path)
    assert folder[0].shape == (50, 60, 3) and (folder[0] == 7).all()
    with pytest.raises(DataError, match='b.png'): run({}, folder, POST)


def test_sizes_mix_and_a_picture_depends_on_its_number_alone():
    pictures = noise((60, 70), (60, 70), (48, 90), (100, 64))
    together, first = (run(dict(darker=darker), pictures[:n]) for n in (4, 2))
    for name in ('psnr', 'ssim', 'gmsd'):
        assert np.isfinite(together.values[name]).all()
        assert np.array_equal(together.values[name][..., :2], first.values[name])
    disc = run(dict(darker=darker), pictures, {'disc': CONDITIONS['disc']})
    assert np.array_equal(disc.values['psnr'][:, 0], together.values['psnr'][:, 2])


def test_same_pictures_for_all_methods_and_seeds_differ():
    seen = {}

    def keep(name):
        def method(pixels, kernel):
            seen.setdefault(name, []).append((pixels.copy(), kernel.copy()))
            pixels[:], kernel[:] = 0, 0  # a method may spoil what it is given
            return pixels
        return method
    pictures = noise((60, 70))
    run(dict(a=keep('a'), b=keep('b')), pictures)
    assert len(seen['a']) == len(CONDITIONS)
    for (x, k), (y, kernel) in zip(seen['a'], seen['b']):
        assert np.array_equal(x, y) and np.array_equal(k, kernel)
        assert abs(k.sum() - 1) < 1e-9
        assert x.dtype == np.uint8 and x.shape == (28, 38, 3)
    first, again, other = (run({}, pictures, seed=seed).of('psnr', BLURRED)[:-1]
                           for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.isclose(first, other).all()


def test_spread_and_blur_are_those_of_the_kernel():
    kernels = []
    keep = lambda pixels, kernel: kernels.append(kernel) or pixels
    scores = run(dict(keep=keep), noise((60, 70)))
    spreads = [spread(torch.from_numpy(kernel)) for kernel in kernels]
    np.testing.assert_allclose(scores.spread[:, 0], spreads)
    for text, kernel in zip(scores.blurs[:, 0], kernels):  # as a user would type it
        family, _, numbers = text.partition(':')
        numbers = [n for n in numbers.replace('@', ',').split(',') if n]
        numbers = [float(n) if '.' in n else int(n) for n in numbers]
        made = FAMILIES[family](*numbers).numpy()
        assert made.shape == kernel.shape and np.abs(made - kernel).max() < 5e-3, text
    assert blur_text(('turned', (3.0, 1.5, 30.0))) == 'turned:3,1.5@30'


def test_processes_change_nothing():
    pictures, factor = noise((60, 70), (64, 60), (90, 60)), 0.8
    closure = lambda pixels, kernel: (factor * pixels).astype(np.uint8)
    conditions = {name: CONDITIONS[name] for name in ('post', 'disc')}
    one, two = (run(dict(darker=darker, closure=closure), pictures, conditions,
                    workers=workers) for workers in (1, 2))
    for name in MEASURES:
        np.testing.assert_array_equal(one.values[name], two.values[name])
    assert np.array_equal(one.spread, two.spread)
    assert one.blurs.tolist() == two.blurs.tolist()
    with pytest.raises(ValueError, match="method 'wrong' failed .*ZeroDivisionError"):
        run(dict(wrong=lambda pixels, kernel: 1 // 0), pictures, POST, workers=2)


def test_second_start_does_what_is_missing(tmp_path):
    pictures, kept, calls = noise((60, 70), (64, 60)), tmp_path / 'a' / 'journal', []

    def counted(pixels, kernel):
        calls.append(1)
        if len(calls) == 12: raise KeyboardInterrupt
        return pixels
    with pytest.raises(KeyboardInterrupt):
        run(dict(counted=counted), pictures, journal=kept)
    assert len(kept.read_text().splitlines()) == 1 + 11 * 2  # a blank line, two methods
    scores = run(dict(counted=counted), pictures, journal=kept)
    assert len(calls) == 12 + 7
    afresh = run(dict(counted=identity), pictures)
    assert np.array_equal(scores.values['psnr'], afresh.values['psnr'])
    assert np.isfinite(scores.of('seconds', 'counted')).all()
    run(dict(counted=counted, darker=darker), pictures, journal=kept)
    run(dict(counted=counted), pictures[:1], POST, journal=kept)
    assert len(calls) == 19, 'rows that are there are not measured again'


@pytest.mark.parametrize('change', ['seed', 'stamp', 'scene', 'condition', 'code'])
def test_rows_of_something_else_are_measured_again(tmp_path, monkeypatch, change):
    pictures, calls = noise((60, 70)), []
    method = dict(m=lambda pixels, kernel: calls.append(1) or pixels)
    conditions = {'blur': alone('gaussian', (2.0,))}
    options = dict(journal=tmp_path / 'j', seed=0)
    for _ in range(2): run(method, pictures, conditions, **options)
    assert len(calls) == 1
    if change == 'seed': options['seed'] = 1
    if change == 'stamp': options['stamps'] = dict(m='other weights')
    if change == 'scene': pictures[0][5, 5] ^= 1
    if change == 'condition': conditions = {'blur': alone('gaussian', (2.1,))}
    if change == 'code': monkeypatch.setattr(module, 'package_stamp', lambda: 'newer')
    run(method, pictures, conditions, **options)
    assert len(calls) == 2


def test_stamp_knows_code_and_weights(tmp_path, monkeypatch):
    package = tmp_path / 'package'
    (package / 'weights').mkdir(parents=True)
    for name in ('__init__.py', 'a.py', 'weights/w.safetensors', 'notes.md'):
        (package / name).write_text(name)
    here = SimpleNamespace(__file__=str(package / '__init__.py'))
    monkeypatch.setattr(module, 'import_module', lambda name: here)
    stamps = []
    for name in ('', 'notes.md', 'a.py', 'weights/w.safetensors'):
        if name: (package / name).write_text('changed')
        stamps.append(package_stamp.__wrapped__())
    assert stamps[0] == stamps[1] and len(set(stamps)) == 3


def test_killed_evaluation_goes_on(tmp_path):
    script = textwrap.dedent('''
        import sys, time
        import numpy as np
        from deblur_vae.evaluate import evaluate
        def slow(pixels, kernel):
            print('called', flush=True)
            time.sleep(0.05)
            return pixels
        scenes = [np.full((60, 70, 3), i, np.uint8) for i in range(4)]
        evaluate(dict(slow=slow), scenes, journal=sys.argv[1], progress=False)
    ''')
    journal, calls = tmp_path / 'journal', []
    process = subprocess.Popen([sys.executable, '-c', script, str(journal)],
                               stdout=subprocess.PIPE, text=True)
    for _ in range(10): assert process.stdout.readline() == 'called\n'
    process.send_signal(signal.SIGKILL)
    process.wait()
    with open(journal, 'a') as file: file.write('\n{"key": "cut')

    def slow(pixels, kernel):
        calls.append(1)
        return pixels
    scenes = [np.full((60, 70, 3), i, np.uint8) for i in range(4)]
    evaluate(dict(slow=slow), scenes, journal=journal, progress=False)
    assert 36 - 10 <= len(calls) <= 36 - 9


@pytest.mark.parametrize('content', ['{"cells": []}', 'PNG', 'a,b\n', '\n{"a": 1}\n'])
def test_journal_takes_no_other_file(tmp_path, content):
    (tmp_path / 'x').write_text(content)
    with pytest.raises(DataError, match='x is no journal of an evaluation'):
        run({}, noise((60, 70)), journal=tmp_path / 'x')
    assert (tmp_path / 'x').read_text() == content


def test_journal_survives_cut_lines(tmp_path):
    book = Journal(tmp_path / 'j')
    book.add([dict(key='a', method='m', psnr=1.5), dict(key='b', method='m')])
    whole = (tmp_path / 'j').read_text()
    for end in range(1, len(whole)):
        (tmp_path / 'j').write_text(whole[:end])
        if not whole[:end].startswith('\n{"key": '): continue
        rows = Journal(tmp_path / 'j').rows
        assert list(rows) in ([], [('a', 'm')], [('a', 'm'), ('b', 'm')])
        for row in rows.values(): assert json.dumps(row) in whole


def test_tiny_pictures():
    with pytest.raises(DataError, match='picture 1, post: .*47×60'):
        run({}, noise((60, 60), (47, 60)))
    assert np.isfinite(run({}, noise((48, 48))).values['ssim']).all()


def test_measures_that_pictures_are_too_small_for_are_named():
    scores = run(dict(darker=darker), noise(*[(60, 70)] * 3), POST)
    scores.values['ssim'][..., 1:] = np.nan
    scores.values['lpips'][:] = 0.5
    scores.values['lpips'][..., 0] = np.nan
    text = render(scores)
    assert 'SSIM: 1 of 3 pictures; the others have under 11 pixels' in text
    assert 'LPIPS (less is better): 2 of 3 pictures' in text and '0.5000' in text
    scores.values['ssim'][:] = np.nan
    assert quality_table(scores, 'ssim')[1] == ['post', '–', '–']
    assert 'SSIM: 0 of 3' in render(scores)


def test_harm_counts_what_was_lost():
    scores = Scores.empty([BLURRED, 'm'], ['a', 'b', 'c'], '0123')
    scores.values['psnr'][0] = [[30] * 4, [EXACT] * 4, [30, 30, EXACT, EXACT]]
    scores.values['psnr'][1] = [[29.94, 29.96, 31, 32], [39.9, 41, 55, EXACT],
                                [29, 31, 39, 41]]
    first, second, third = harm(scores, 'm')
    assert first == Harm(0.25, pytest.approx(-0.06), False)
    assert second == Harm(0.25, 39.9, True) and third == Harm(0.5, -1, False)
    gain = difference(scores, 'm', BLURRED)[0]
    assert gain[0] == pytest.approx(0.725) and np.isnan(gain[1]) and gain[2] == 0
    text = render(scores)
    assert '25.0% -0.06' in text and '25.0% 39.9 dB' in text and '50.0% -1.00' in text


def test_exact_pictures_keep_means_finite():
    scores = run(dict(identity=identity, darker=darker), noise(*[(60, 70)] * 10), SHARP)
    assert (scores.values['psnr'][:2] == EXACT).all()
    assert 'counts as 100 dB' in render(scores)
    assert harm(scores, 'identity') == [Harm(0, EXACT, True)]
    assert harm(scores, 'darker')[0].share == 1
    assert quality_table(scores, over=BLURRED)[1] == ['sharp', '–', '–']
    assert spread_table(scores, 'sharp')[1][0] == 'under 1 (10)'


@pytest.mark.parametrize('n', [1, 9])
def test_few_pictures_have_no_interval(tmp_path, n):
    scores = run(dict(darker=darker), noise(*[(60, 70)] * n))
    assert '±' not in render(scores).split(f'{n} pictures, ')[0]
    write_report(scores, tmp_path)


def test_no_methods_and_many(tmp_path):
    text = write_report(run({}, noise((60, 70))), tmp_path)
    assert 'worse' not in text.split('PSNR: an exact')[0] and 'over blurred' not in text
    many = {f'a method with a number {i}': identity for i in range(8)}
    text = write_report(run(many, noise(*[(60, 70)] * 3), POST), tmp_path)
    tables = text.split('3 pictures, ')[0]
    assert max(map(len, tables.splitlines())) <= 100
    assert tables.count('a method with a number 7') == 6


@pytest.mark.parametrize('method, words', [
    (lambda pixels, kernel: pixels[1:], r'made uint8 \[27, 38, 3\] of uint8 \[28, 38'),
    (lambda pixels, kernel: pixels / 255, r'made float64 \[28, 38, 3\]'),
    (lambda pixels, kernel: None, 'made .*NoneType'),
    (lambda pixels, kernel: Image.fromarray(pixels), 'made .*Image'),
    (lambda pixels, kernel: pixels[kernel], 'failed on .*IndexError')])
def test_wrong_methods_are_named(method, words):
    words = f"picture 0, post: method 'wrong' {words}"
    with pytest.raises(ValueError, match=words) as caught:
        run(dict(wrong=method), noise((60, 70)))
    assert '\n' not in str(caught.value)


def test_wrong_input_is_one_line():
    with pytest.raises(DataError, match='no pictures'): run({}, [])
    with pytest.raises(ValueError, match='no conditions'): run({}, noise((60, 70)), {})
    with pytest.raises(ValueError, match='0 workers'):
        run({}, noise((60, 70)), workers=0)
    with pytest.raises(ValueError, match="'blurred' is the name of doing nothing"):
        run({BLURRED: identity}, noise((60, 70)))
    wrong = [np.zeros(size, np.uint8) for size in ((60, 70), (60, 70, 4), (3, 60, 70))]
    wrong += [torch.rand(3, 60, 70), np.zeros((60, 70, 3)), Image.new('L', (60, 70))]
    for scene in wrong:
        with pytest.raises(DataError, match='picture 0, post: a scene is uint8'):
            run({}, [scene])


def test_ours_call_enhance(monkeypatch):
    seen = []

    def enhance(pixels, **options):
        seen.append(options)
        return pixels
    here = SimpleNamespace(enhance=enhance)
    monkeypatch.setitem(sys.modules, 'deblur_vae.enhance', here)
    run(OURS, noise((60, 70)), POST)
    restore, told, classical, classical_told = seen
    assert restore == dict(method='restore') and classical == dict(method='classical')
    assert told.pop('method') == 'restore'
    assert classical_told.pop('method') == 'classical'
    assert list(told) == list(classical_told) == ['kernel']
    assert told['kernel'].sum() == pytest.approx(1) and told['kernel'].ndim == 2


def test_gmsd_as_its_authors_compute_it():
    convolve2d = pytest.importorskip('scipy.signal').convolve2d
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(1, 3, 40, 36, generator=generator) for _ in range(2))
    maps = []
    for picture in (x, y):
        grey = 255 * np.tensordot([0.299, 0.587, 0.114], picture[0].double().numpy(), 1)
        half = grey.reshape(20, 2, 18, 2).mean((1, 3))
        prewitt = np.array([[1, 0, -1]] * 3) / 3
        maps.append(np.hypot(*(convolve2d(half, filter_, 'same')
                               for filter_ in (prewitt, prewitt.T))))
    a, b = maps
    similar = (2 * a * b + 170) / (a**2 + b**2 + 170)
    assert gmsd(x, y).item() == pytest.approx(np.std(similar, ddof=1), rel=1e-4)


def test_lpips_without_network_is_words_at_once(no_network, empty_hub):
    start = time.perf_counter()
    net, why = find_lpips()
    assert net is None
    name = empty_hub.name
    assert why.startswith(f"not available (weights {name} are not in torch's cache ")
    scores = run(dict(darker=darker), noise((60, 70), (60, 70)), POST)
    assert time.perf_counter() - start < 10 and np.isnan(scores.values['lpips']).all()
    for markdown in (False, True):
        text = render(scores, markdown=markdown)
        assert f'LPIPS: {why}.' in text and 'LPIPS (' not in text


def test_lpips_takes_no_foreign_weights(no_network, empty_hub):
    empty_hub.write_bytes(b'something else')
    net, why = find_lpips()
    assert net is None and 'damaged' in why


def test_lpips_is_measured_picture_by_picture(no_network, empty_hub, monkeypatch):
    "With random weights in the place of AlexNet's: the way, not the numbers."
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(alexnet().state_dict(), empty_hub)
    digest = SimpleNamespace(hexdigest=lambda: empty_hub.stem.split('-')[-1])
    monkeypatch.setattr(hashlib, 'file_digest', lambda *_: digest)
    net, why = find_lpips()
    empty_hub.unlink()
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(3, 40, 40, generator=generator) for _ in range(2))
    both = measure(torch.stack([x, y]), torch.stack([x, x]), net)
    assert not why and list(both) == list(MEASURES)
    assert both['lpips'].shape == (2,) and both['lpips'][0] == 0 < both['lpips'][1]
    alone_ = measure(y[None], x[None], net)['lpips']
    assert alone_ == pytest.approx(both['lpips'][1:], rel=1e-4)
    assert 'lpips' not in measure(y[None, :, :30], x[None, :, :30], net)


def test_interval_of_one_constant_and_of_pairs():
    assert interval(np.full(12, 2.0)).tolist() == [2, 2, 2]
    values = np.random.default_rng(0).normal(size=(2, 40))
    mean, low, high = interval(values[1] - values[0])
    first, second = interval(values)[0]
    assert low < mean < high and mean == pytest.approx(second - first)


def test_tables_fit_a_terminal_and_a_page():
    rows = [['c', *'abcdef'], ['x', *['1234567890'] * 6]]
    text = lay_out('t', rows, width=40).splitlines()
    assert text[0] == 't' and max(map(len, text)) <= 40 and text.count('') == 1
    assert lay_out('t', rows, True).count('\n') == 4
    wide = lay_out('t', [['c', 'a'], ['x', 'w' * 50]], width=40)
    assert wide.splitlines()[2] == 'x  ' + 'w' * 50
