"""The figures that the reader moves, nbs/moving/*.js: what they compute against Python,
by node, and how they are used, in a real browser."""
import json
import re
import shutil
from base64 import b64decode
from functools import partial
from http.server import ThreadingHTTPServer
from io import BytesIO

import moving_answers as answers
import moving_likelihood as likelihood
import moving_skips as skips
import numpy as np
import pytest
import torch
from browser import launched, visiting
from chromium import serving
from fastcore.basics import AttrDict
from notebooks import NBS, cells
from PIL import Image
from site_browser import Handler
from site_processors import moving
from test_javascript import run_node

from deblur_vae.data import effective_sigma, gaussian_blur, gaussian_kernel
from deblur_vae.model import new_model
from deblur_vae.portraits import draw_portrait

BLURS = [(5, 3.0), (15, 2.6), (1, 2.0), (9, 0.5), (11, 1.5)]
FREQUENCIES = [i / 16 for i in range(9)]
FACE = NBS / 'images' / 'astronaut-face.jpg'


def psnr(x, y): return -10 * (x - y).square().mean().log10().item()


@pytest.fixture(scope='module')
def face():
    pixels = np.array(Image.open(FACE).convert('RGB'))
    return torch.from_numpy(pixels).permute(2, 0, 1).double() / 255


# Arithmetic

@pytest.fixture(scope='module')
def computed(tmp_path_factory, face):
    folder = tmp_path_factory.mktemp('moving')
    (folder / 'pixels.bin').write_bytes(np.array(Image.open(FACE)).tobytes())
    _, height, width = face.shape
    job = dict(height=height, width=width, blurs=BLURS, frequencies=FREQUENCIES)
    (folder / 'job.json').write_text(json.dumps(job))
    return run_node('moving.mjs', folder)


def test_the_face_is_that_of_the_chapter(face):
    from skimage.data import astronaut
    known = torch.from_numpy(astronaut()[:218, 140:318]).permute(2, 0, 1) / 255
    assert psnr(face, known) > 40


@pytest.mark.parametrize('number', range(len(BLURS)))
def test_blurs_as_the_package_does(computed, face, number):
    (taps, sigma), mine = BLURS[number], computed[number]
    k, s = torch.tensor([taps]), torch.tensor([sigma], dtype=torch.float64)
    his = gaussian_blur(face[None], k, s)[0]
    np.testing.assert_allclose(mine['planes'], his.flatten(1), atol=1e-12)
    np.testing.assert_allclose(mine['weights'], gaussian_kernel(k, s)[0], atol=1e-12)
    assert mine['strength'] == pytest.approx(effective_sigma(k, s).item(), abs=1e-9)
    if taps == 1: assert mine['psnr'] is None  # infinite
    else: assert mine['psnr'] == pytest.approx(psnr(his, face), abs=1e-9)


def test_tells_what_waves_keep(computed):
    for (taps, sigma), mine in zip(BLURS, computed):
        s = torch.tensor([sigma], dtype=torch.float64)
        gain = torch.fft.rfft(gaussian_kernel(torch.tensor([taps]), s)[0], 16).abs()
        np.testing.assert_allclose(mine['kept'], gain, atol=1e-12)


def test_the_numbers_of_the_likelihood_are_those_of_the_package():
    known = json.loads(likelihood.NUMBERS.read_text())
    assert known['radii'] == [round(radius, 4) for radius in likelihood.RADII]
    assert len(known['psnr']) == len(known['radii'][::known['step']]) == 25
    middle = known['short'].index(0)
    assert known['radii'][middle] == likelihood.TRUE and middle % known['step'] == 0
    assert max(known['psnr']) == known['psnr'][middle // known['step']]
    blurry, sharp = likelihood.pair()
    nothing = likelihood.decibels(blurry, sharp)
    assert known['blurred'] == pytest.approx(nothing, abs=0.011)
    places = [middle - 20, middle, middle + 32]
    found = likelihood.guesses(blurry, [likelihood.RADII[i] for i in places])
    for i, guess in zip(places, found):
        short = guess.surprise - found[1].surprise
        assert known['short'][i] == pytest.approx(short, rel=0.01, abs=0.5)
        gained = likelihood.decibels(likelihood.restored(blurry, guess), sharp)
        assert known['psnr'][i // known['step']] == pytest.approx(gained, abs=0.1)


def test_the_faces_of_the_likelihood_are_in_their_places():
    known = json.loads(likelihood.NUMBERS.read_text())
    blurry, _ = likelihood.pair()
    assert likelihood.SPRITE.stat().st_size < 150e3
    with Image.open(likelihood.SPRITE) as sheet:
        rows = -(-26 // known['columns'])
        assert sheet.size == (known['columns'] * known['width'], rows * known['height'])
        first = np.array(sheet)[:known['height'], :known['width']]
    face = blurry.permute(1, 2, 0).numpy()[likelihood.FACE]
    assert np.abs(first / 255 - face).mean() < 0.01


def frames_of(tool) -> tuple[dict, list[np.ndarray]]:
    "What a tool has written: its numbers, and its frames, [H,W,3] in [0,1] each."
    known = json.loads(tool.NUMBERS.read_text())
    assert tool.SPRITE.stat().st_size < 150e3
    width, height, columns = (known[key] for key in ('width', 'height', 'columns'))
    with Image.open(tool.SPRITE) as sheet: pixels = np.array(sheet) / 255
    rows, left = divmod(pixels.shape[0], height)
    assert pixels.shape[1] == columns * width and not left
    tiles = pixels.reshape(rows, height, columns, width, 3).swapaxes(1, 2)
    return known, list(tiles.reshape(-1, height, width, 3))


def test_the_answers_are_those_of_the_package():
    known, shown = frames_of(answers)
    blurry, sharp = answers.pair()
    assert known['blurred'] == answers.decibels(blurry, sharp)
    assert known['sharp'] == answers.blurred_again(sharp, blurry)
    stops = answers.STOPS
    frames, about = answers.walks([0.0, 0.5, 1.0])
    for way, numbers in about.items():
        for name, values in numbers.items():
            his = known[way][name]
            assert len(his) == stops and his[::stops // 2] == pytest.approx(
                values, abs=0.02), name
    places = [0, *(1 + row * stops + stop for row in range(4) for stop in (0, 8, 16))]
    for i, x in zip(places, frames, strict=True):
        his = x.clamp(0, 1).permute(1, 2, 0).numpy()
        assert np.abs(shown[i] - his).mean() < 0.02
    assert len(shown) == 1 + 4 * stops


def test_a_closed_way_brings_zeros():
    model = new_model(0, skips.Switched, image_size=(32, 32), width=2)
    x = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    *features, z, _ = model.encoder(x)
    whole, *closed = skips.restored(model.eval(), x)[::-1]
    model.open = skips.WAYS
    assert torch.equal(whole, skips.to_8bit(model.decoder(z, *features)))
    for number, mine in enumerate(reversed(closed)):
        f1, f2, f3, at = (value * (number >> i & 1)
                          for i, value in enumerate((*features[:3], z)))
        his = model.decoder(at, f1, f2, f3, features[3])
        assert torch.allclose(mine, skips.to_8bit(his), atol=0.005)
    model.chance = torch.Generator().manual_seed(0)
    seen = []
    model.decoder.register_forward_hook(lambda _, given, made: seen.append(given))
    model.restore(x), model.train().restore(x)
    kept = [[value.flatten(1).any(1) for value in given[:4]] for given in seen]
    assert all(way.all() for way in kept[0]), 'in use, nothing is left to chance'
    assert all(8 < way.sum() < 32 for way in kept[1])


def test_the_portraits_stand_where_their_numbers_say():
    known, shown = frames_of(skips)
    columns = known['columns']
    blurred, *opened = shown[:columns]
    sharp, *chance = shown[columns:]
    drawn = draw_portrait(2001 - skips.HELD + skips.SHOWN)[0]
    small = drawn.resize((known['width'], known['height']), Image.Resampling.BOX)
    assert np.abs(sharp - np.array(small) / 255).mean() < 0.02
    scores = [known['blurred'], *known['open'], *known['chance']]
    for x, (score, _) in zip([blurred, *opened, *chance], scores, strict=True):
        found = -10 * np.log10(np.square(x - sharp).mean())
        assert found == pytest.approx(score, abs=0.4)
    assert known['open'][-1] == max(known['open']), 'all ways open'
    assert tuple(known['ways']) == skips.WAYS


# In a browser

def figure_of(notebook: str) -> str:
    "HTML of the moving figure of a chapter."
    cell = next(cell for cell in cells(NBS / notebook)
                if '#| moving: ' in cell['source'])
    cell = AttrDict(cell, outputs=[AttrDict(output) for output in cell['outputs']])
    return re.search(r'```\{=html\}\n(.*?)\n```', moving(cell), re.S)[1]


SHELL = ('<!doctype html><html lang="en"><meta charset="utf-8"><title>T</title>'
         '<link rel="icon" href="data:,">'
         '<body><figure>{}<figcaption><span class="if-still">Words.</span></figcaption>'
         '</figure></body></html>')
CHAPTERS = dict(kernel='00_data.ipynb', skips='01_model.ipynb',
                answers='05_latent.ipynb', likelihood='11_classical.ipynb')


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    site = tmp_path_factory.mktemp('site')
    for folder in ('moving', 'images'): shutil.copytree(NBS / folder, site / folder)
    (site / 'enhance').mkdir()
    shutil.copy(NBS / 'enhance' / 'kernels.js', site / 'enhance')
    for name, notebook in CHAPTERS.items():
        (site / f'{name}.html').write_text(SHELL.format(figure_of(notebook)))
    handler = partial(Handler, directory=site)
    with serving(ThreadingHTTPServer(('127.0.0.1', 0), handler)) as address:
        yield address


@pytest.fixture(scope='module')
def browser(address):
    with launched() as browser: yield browser


@pytest.mark.parametrize('name', CHAPTERS)
def test_without_javascript_the_still_figure_stays(browser, address, name):
    with visiting(browser, address, java_script_enabled=False) as page:
        page.goto(f'{address}{name}.html')
        still = page.locator('.moving > img')
        assert still.is_visible() and len(still.get_attribute('alt')) > 20
        assert page.locator('input').count() == 0


def opened(page, address, name):
    page.goto(f'{address}{name}.html')
    page.wait_for_selector('.moving.moves')
    assert not page.locator('.moving img').is_visible()


def status(page, words: str) -> str:
    "What is said aloud, as soon as it has these words in it."
    page.wait_for_function(
        'words => document.querySelector("[role=status]").textContent.includes(words)',
        arg=words)
    return page.locator('[role=status]').inner_text()


def shown_at(page, number: int) -> np.ndarray: # [H,W,3] in [0,1]
    "The pixels of a canvas of the page."
    data = page.evaluate(
        'number => document.querySelectorAll("canvas")[number].toDataURL()', number)
    file = BytesIO(b64decode(data.partition(',')[2]))
    return np.array(Image.open(file).convert('RGB')) / 255


@pytest.mark.parametrize('name', CHAPTERS)
def test_the_still_figure_is_folded_below(browser, address, name):
    with visiting(browser, address) as page:
        opened(page, address, name)
        page.locator('summary').press('Enter')
        assert page.locator('.moving img').is_visible()
        assert page.locator('details p').inner_text() == 'Words.'
        for canvas in page.get_by_role('img').all():
            assert canvas.get_attribute('aria-label') or canvas.get_attribute('alt')


def test_the_blur_moves_by_keyboard(browser, address, face):
    with visiting(browser, address) as page:
        opened(page, address, 'kernel')
        assert '24.2 dB' in status(page, 'PSNR 24.2')  # as the chapter prints
        page.keyboard.press('Tab')
        assert page.evaluate('document.activeElement.type') == 'range'
        for _ in range(6): page.keyboard.press('ArrowLeft')
        his = gaussian_blur(face[None], torch.tensor([15]), torch.tensor([2.0]))[0]
        status(page, f'PSNR {psnr(his, face):.1f} dB')
        page.keyboard.press('Tab')
        page.keyboard.press('Home')  # one tap
        status(page, 'infinite')
        width, taps = page.get_by_role('slider').all()
        assert width.get_attribute('aria-valuetext') == '2.0 pixels'
        assert taps.get_attribute('aria-valuetext') == '1: no blur'
        assert page.get_by_role('slider', name='width σ', exact=True).count() == 1


def test_the_canvas_shows_the_blur(browser, address, face):
    with visiting(browser, address, has_touch=True) as page:
        opened(page, address, 'kernel')
        status(page, 'PSNR')
        page.get_by_label('taps k').tap(position=dict(x=3, y=8))
        status(page, 'infinite')
        page.get_by_label('taps k').press('End')
        status(page, 'PSNR 24.2')
        his = gaussian_blur(face[None], torch.tensor([15]), torch.tensor([2.6]))[0]
        apart = shown_at(page, 0).transpose(2, 0, 1) - his.numpy()
        assert np.abs(apart).max() < 3 / 255  # decoders of JPEG differ


def test_the_radius_moves_by_keyboard(browser, address):
    known = json.loads(likelihood.NUMBERS.read_text())
    with visiting(browser, address) as page:
        opened(page, address, 'likelihood')
        status(page, 'nats short')
        page.keyboard.press('Tab')
        page.keyboard.press('End')
        status(page, f'{known["psnr"][-1]:.1f} dB')
        assert 'less than the blurred' in status(page, 'Radius 5.10')
        for _ in range(12): page.keyboard.press('ArrowLeft')
        said = status(page, '3.30 pixels: the likeliest')
        assert f'{max(known["psnr"]):.1f} dB' in said
        shown = page.get_by_role('slider').get_attribute('aria-valuetext')
        assert shown == '3.30 pixels'


def test_the_walk_goes_by_keyboard(browser, address):
    known, frames = frames_of(answers)
    with visiting(browser, address) as page:
        opened(page, address, 'answers')
        assert 'On the arc, stop 0 of 16' in status(page, 'stop 0')
        page.keyboard.press('Tab')
        page.keyboard.press('End')
        said = status(page, 'stop 16 of 16')
        assert f'The answer has {known["arc"]["truth"][-1]:.2f} dB' in said
        assert f'agrees with the blurry face to {known["arc"]["again"][-1]:.2f}' in said
        for _ in range(8): page.keyboard.press('ArrowLeft')
        said = status(page, 'stop 8 of 16')
        assert f'by {known["arc"]["changed"][8]:.1f} levels' in said
        assert np.abs(shown_at(page, 1) - frames[1 + 8]).max() < 0.02
        page.keyboard.press('Tab')
        page.keyboard.press('Space')
        said = status(page, 'Straight on, stop 8 of 16')
        assert f'z has the size {known["line"]["size"][8]:.2f}' in said
        for canvas, i in ((0, 0), (1, 35 + 8), (2, 52 + 8)):
            assert np.abs(shown_at(page, canvas) - frames[i]).max() < 0.02


def test_ways_open_and_close_by_touch(browser, address):
    known, frames = frames_of(skips)
    with visiting(browser, address, has_touch=True) as page:
        opened(page, address, 'skips')
        assert 'Open: f1, f2, f3 and z. In training: all open' in status(page, 'Open')
        page.get_by_label('skip f1').tap()
        page.get_by_label('skip f3').tap()
        said = status(page, 'Open: f2 and z.')
        score = known['open'][0b1010][0]
        assert f'has {score:.1f} dB' in said
        assert f'{known["blurred"][0] - score:.1f} dB less than the blurred' in said
        assert np.abs(shown_at(page, 1) - frames[1 + 0b1010]).max() < 0.02
        page.get_by_label('closed by chance').tap()
        score = known['chance'][0b1010][0]
        assert f'{score:.1f} dB' in status(page, 'closed by chance')
        assert np.abs(shown_at(page, 1) - frames[18 + 0b1010]).max() < 0.02
        assert np.abs(shown_at(page, 2) - frames[17]).max() < 0.02
        for way in ('skip f2', 'latent z'): page.get_by_label(way).tap()
        status(page, 'All ways are closed.')


def test_ways_open_and_close_by_keyboard(browser, address):
    known, _ = frames_of(skips)
    with visiting(browser, address) as page:
        opened(page, address, 'skips')
        for _ in range(4):
            page.keyboard.press('Tab')
            page.keyboard.press('Space')
        assert f'{known["open"][0][0]:.1f} dB' in status(page, 'All ways are closed')
        page.keyboard.press('Tab')  # the two buttons are one stop
        page.keyboard.press('ArrowDown')
        assert f'{known["chance"][0][0]:.1f} dB' in status(page, 'closed by chance')
        page.keyboard.press('Tab')
        assert page.evaluate('document.activeElement.tagName') == 'SUMMARY'
        names = [each.get_attribute('type') for each in page.locator('input').all()]
        assert names == 4 * ['checkbox'] + 2 * ['radio']
        assert page.get_by_role('group', name='Open now').count() == 1
