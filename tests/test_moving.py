"""The figures that the reader moves, nbs/moving/*.js: what they compute against Python,
by node, and how they are used, in a real browser."""
import json
import re
import shutil
from functools import partial
from http.server import ThreadingHTTPServer

import moving_likelihood as made
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
    known = json.loads(made.NUMBERS.read_text())
    assert known['radii'] == [round(radius, 4) for radius in made.RADII]
    assert len(known['psnr']) == len(known['radii'][::known['step']]) == 25
    middle = known['short'].index(0)
    assert known['radii'][middle] == made.TRUE and middle % known['step'] == 0
    assert max(known['psnr']) == known['psnr'][middle // known['step']]
    blurry, sharp = made.pair()
    assert known['blurred'] == pytest.approx(made.decibels(blurry, sharp), abs=0.011)
    places = [middle - 20, middle, middle + 32]
    found = made.guesses(blurry, [made.RADII[i] for i in places])
    for i, guess in zip(places, found):
        short = guess.surprise - found[1].surprise
        assert known['short'][i] == pytest.approx(short, rel=0.01, abs=0.5)
        gained = made.decibels(made.restored(blurry, guess), sharp)
        assert known['psnr'][i // known['step']] == pytest.approx(gained, abs=0.1)


def test_the_faces_of_the_likelihood_are_in_their_places():
    known = json.loads(made.NUMBERS.read_text())
    blurry, _ = made.pair()
    assert made.SPRITE.stat().st_size < 150e3
    with Image.open(made.SPRITE) as sheet:
        rows = -(-26 // known['columns'])
        assert sheet.size == (known['columns'] * known['width'], rows * known['height'])
        first = np.array(sheet)[:known['height'], :known['width']]
    face = blurry.permute(1, 2, 0).numpy()[made.FACE]
    assert np.abs(first / 255 - face).mean() < 0.01


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
CHAPTERS = dict(kernel='00_data.ipynb', likelihood='11_classical.ipynb')


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
        shown = page.evaluate('''() => {
            const canvas = document.querySelector('canvas');
            const { data } = canvas.getContext('2d')
                .getImageData(0, 0, canvas.width, canvas.height);
            return Array.from(data);
        }''')
        his = gaussian_blur(face[None], torch.tensor([15]), torch.tensor([2.6]))[0]
        shown = np.reshape(shown, (218, 178, 4))[..., :3].transpose(2, 0, 1)
        assert np.abs(shown - 255 * his.numpy()).max() < 3  # decoders of JPEG differ


def test_the_radius_moves_by_keyboard(browser, address):
    known = json.loads(made.NUMBERS.read_text())
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
