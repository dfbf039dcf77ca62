"""The Enhance page in a real browser: what it computes, how it is used, what it says
when something is wrong."""
import re
import struct
import zlib
from functools import partial
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from urllib.parse import urlsplit

import numpy as np
import pytest
import site_parts
import torch
from browser import file_of, picture_of, visiting
from chromium import serving
from conftest import campaign
from likeness import alike, as_sure
from matplotlib import colormaps
from PIL import Image
from scipy.spatial import KDTree

from deblur_vae.camera import FAMILIES, convolve
from deblur_vae.data import gaussian_blur, to_8bit
from deblur_vae.enhance import blur_of, enhance
from deblur_vae.evaluate import to_levels
from deblur_vae.files import HEAT
from deblur_vae.portraits import draw_portrait

SLOW = 120_000  # ms


@pytest.fixture(scope='module')
def warm(browser, address):
    """One page on which many pictures are enhanced, so that the network is prepared
    once."""
    with visiting(browser, address, viewport=dict(width=1280, height=900)) as page:
        page.goto(address)
        yield page


@pytest.fixture
def page(browser, address):
    with visiting(browser, address, viewport=dict(width=1280, height=900)) as page:
        page.goto(address)
        yield page


@pytest.fixture(scope='module')
def portrait():
    return draw_portrait(3)[0]


def crowd_of(rows, columns):
    "Portraits out of focus, each 178 by 218 pixels."
    drawn = [np.asarray(draw_portrait(n)[0]) for n in range(rows * columns)]
    sharp = np.concatenate([np.concatenate(drawn[i:i + columns], 1)
                            for i in range(0, len(drawn), columns)])
    x = torch.from_numpy(sharp).permute(2, 0, 1) / 255
    return Image.fromarray(to_levels(to_8bit(convolve(x, FAMILIES['disc'](2.5)))))


@pytest.fixture(scope='module')
def crowd():
    "534 by 872 pixels: two tiles."
    return crowd_of(4, 3)


def part(page, name): return page.locator(f'[data-part={name}]')


def choose(page, file):
    part(page, 'file').set_input_files(file)
    page.wait_for_selector('[data-state=ready]')


def finished(page):
    page.wait_for_selector('[data-state=done], [data-part=error]:not(:empty)',
                           timeout=SLOW)
    assert part(page, 'error').inner_text() == ''


def run(page):
    part(page, 'start').click()
    finished(page)


def said(page, name='error'):
    page.wait_for_selector(f'[data-part={name}]:not(:empty)', timeout=SLOW)
    return part(page, name).inner_text()


def blurred(image, k=11, sigma=2.0):
    x = torch.from_numpy(np.array(image.convert('RGB'))).permute(2, 0, 1)[None] / 255
    y = gaussian_blur(x, torch.tensor([k]), torch.tensor([sigma]))
    return to_levels(to_8bit(y)[0])


def apart(a, b): return int(np.abs(a.astype(int) - b).max())


def shows_doubt(page, expected):
    "Does the heat map, read by its colours and its legend, show what is expected?"
    part(page, 'guesses').check()
    colours = (255 * colormaps[HEAT](np.arange(256))[:, :3]).round()
    seen = picture_of(page, 'heat')[..., :3].astype(float)
    level = KDTree(colours).query(seen)[1]
    most = re.fullmatch(r'±(\d+) of 255', part(page, 'most').inner_text())[1]
    step = int(most) / 255**2 # of a colour; the page's are the nearest but one at worst
    most_shown, rounding = 255 * step, 2 * step + 0.5 / 255
    return as_sure(step * (level + 0.5), expected.clip(0, most_shown), rounding)


def downloaded(page):
    with page.expect_download() as waiting: part(page, 'save').click()
    download = waiting.value
    return download.suggested_filename, np.asarray(Image.open(download.path()))


def psnr(picture, sharp):
    error = picture[..., :3] - np.asarray(sharp, float)
    return 10 * np.log10(255**2 / np.square(error).mean())


@pytest.mark.parametrize('name, blur',
                         [('astronaut', True), campaign('portrait', False)])
def test_sample_is_as_python_has_it(warm, name, blur):
    warm.click(f'[data-sample={name}]')
    warm.wait_for_function('''name => document.querySelector("[data-part=status]")
        .textContent.startsWith(name)''', arg=name)
    run(warm)
    sample = Image.open(site_parts.NBS / 'enhance' / 'samples' / f'{name}.jpg')
    before, after = picture_of(warm, 'before'), picture_of(warm, 'after')
    assert apart(before[..., :3], blurred(sample) if blur else np.asarray(sample)) <= 1
    pixels = before[..., :3].copy()
    expected, unsure = enhance(pixels, doubt=True)
    assert alike(after[..., :3], expected)
    assert shows_doubt(warm, unsure)
    family, width = re.match(r'(\D+)([\d.]+)', str(blur_of(pixels)[1])).groups()
    status = said(warm, 'status')
    found = re.search(rf'Found: {family}([\d.]+)', status)
    assert abs(float(found[1]) - float(width)) < 0.03
    if not blur: return
    gain = re.search(r'blurred ([\d.]+) dB, enhanced ([\d.]+) dB', status)
    worse, better = map(float, gain.groups())
    assert abs(worse - psnr(before, sample)) < 0.01
    assert abs(better - psnr(after, sample)) < 0.01
    assert better > worse + 2


@pytest.mark.parametrize('kind, words', [('sharp', 'no blur was found'),
                                         ('flat', 'nothing but one colour')])
def test_nothing_is_done_without_a_blur(warm, kind, words):
    noise = np.random.default_rng(0).integers(0, 256, (120, 150, 3), np.uint8)
    grey = Image.new('RGB', (150, 120), 'grey')
    picture = Image.fromarray(noise) if kind == 'sharp' else grey
    choose(warm, file_of(picture, 'same.png'))
    run(warm)
    assert said(warm, 'status').startswith('Nothing was changed, since')
    assert words in said(warm, 'status')
    assert (picture_of(warm, 'before') == picture_of(warm, 'after')).all()
    assert part(warm, 'guess').is_hidden()


@pytest.mark.parametrize('k, sigma', [(5, 0.5), (15, 4)])
def test_blur_is_that_of_python(warm, portrait, k, sigma):
    choose(warm, file_of(portrait, 'portrait.png'))
    warm.check('[name=blur]')
    warm.select_option('[name=taps]', str(k))
    warm.fill('[name=sigma]', str(sigma))
    run(warm)
    assert apart(picture_of(warm, 'before')[..., :3], blurred(portrait, k, sigma)) <= 1


@pytest.mark.parametrize('rows, columns', [campaign(3, 2), campaign(5, 5)])
def test_large_picture_is_as_python_has_it(warm, rows, columns):
    crowd = crowd_of(rows, columns)
    choose(warm, file_of(crowd, 'crowd.png'))
    run(warm)
    expected, unsure = enhance(np.array(crowd), doubt=True)
    assert alike(picture_of(warm, 'after')[..., :3], expected)
    assert shows_doubt(warm, unsure)


def test_region(warm, crowd):
    sheet = np.array(crowd.crop((0, 0, 500, 420)).convert('RGBA'))
    sheet[:40, :40, 3] = 0
    sheet[380:, :40, 3] = 128
    sheet[sheet[..., 3] == 0] = 0
    choose(warm, file_of(Image.fromarray(sheet), 'sheet.png'))
    frame = part(warm, 'frame').bounding_box()
    warm.mouse.move(frame['x'] + 100, frame['y'] + 90)
    warm.mouse.down()
    warm.mouse.move(frame['x'] + 200, frame['y'] + 100, steps=3)
    warm.mouse.move(frame['x'] + 260, frame['y'] + 230, steps=3)
    warm.mouse.up()
    x, y, width, height = (int(warm.input_value(f'[name={name}]'))
                           for name in ('x', 'y', 'width', 'height'))
    assert np.abs(np.array([x, y, width, height]) - (100, 90, 160, 140)).max() <= 1
    place = f'{round(x + width / 2)} to {round(y + height / 2)}'
    assert part(warm, 'readout').inner_text() == f'Enhance {place} · {width} × {height}'
    run(warm)
    name, result = downloaded(warm)
    inside = np.zeros(sheet.shape[:2], bool)
    inside[y:y + height, x:x + width] = True
    clear = sheet[..., 3] == 255
    assert name == 'sheet-enhanced.png' and (result[..., 3] == sheet[..., 3]).all()
    assert (result[~inside & clear] == sheet[~inside & clear]).all()
    assert (result[y:y + height, x:x + width] == picture_of(warm, 'after')).all()
    assert apart(result[inside & clear], sheet[inside & clear]) > 8
    whole, unsure = enhance(sheet, doubt=True)
    assert alike(result[inside][:, :3], whole[inside][:, :3])
    assert shows_doubt(warm, unsure[y:y + height, x:x + width])


def test_photograph_on_its_side(warm, portrait):
    exif = Image.Exif()
    exif[274] = 6
    choose(warm, file_of(portrait, 'turned.jpg', exif=exif, quality=95, subsampling=0))
    run(warm)
    before, after = (picture_of(warm, name)[..., :3] for name in ('before', 'after'))
    assert after.shape == (178, 218, 3)
    assert apart(before, np.rot90(np.asarray(portrait), -1)) < 32


def test_grey_stays_grey(warm, portrait):
    choose(warm, file_of(portrait.convert('L'), 'grey.png'))
    run(warm)
    after = picture_of(warm, 'after')
    assert (after[..., 0] == after[..., 1]).all()
    assert (after[..., 0] == after[..., 2]).all()


def focused(page, selector):
    return page.evaluate('s => document.activeElement.matches(s)', selector)


def tab_to(page, selector, most=15):
    for _ in range(most):
        if focused(page, selector): return
        page.keyboard.press('Tab')
    pytest.fail(f'{selector} was not reached')


def test_keyboard_alone(page):
    page.keyboard.press('Tab')
    assert focused(page, '[data-part=file]')
    tab_to(page, '[data-sample=portrait]')
    page.keyboard.press('Enter')
    page.wait_for_selector('[data-state=ready]')
    tab_to(page, '[name=extent]')
    page.keyboard.press('ArrowDown')
    page.keyboard.press('Shift+Tab')
    assert focused(page, '[data-part=box]')
    left, width = (int(page.input_value(f'[name={name}]')) for name in ('x', 'width'))
    page.keyboard.press('ArrowRight')
    page.keyboard.press('Shift+ArrowLeft')
    assert int(page.input_value('[name=x]')) > left
    assert int(page.input_value('[name=width]')) < width
    tab_to(page, '[data-part=start]')
    page.keyboard.press('Enter')
    finished(page)
    assert focused(page, '[data-part=slider]')
    shown = part(page, 'slider').get_attribute('aria-valuenow')
    page.keyboard.down('ArrowRight')
    page.wait_for_function('before => document.activeElement.ariaValueNow !== before',
                           arg=shown)
    page.keyboard.up('ArrowRight')
    assert part(page, 'heat').is_hidden() and part(page, 'legend').is_hidden()
    tab_to(page, '[data-part=guesses]')
    page.keyboard.press('Space')
    page.wait_for_function('document.querySelector("[data-part=heat]").naturalWidth')
    places = page.evaluate('''['heat', 'after'].map(name => JSON.stringify(
        document.querySelector(`[data-part=${name}]`).getBoundingClientRect()))''')
    assert places[0] == places[1]
    assert 'Dark: seen. Bright: guessed.' in part(page, 'legend').inner_text()
    page.keyboard.press('Space')
    assert part(page, 'heat').is_hidden() and part(page, 'legend').is_hidden()
    tab_to(page, '[data-part=back]')
    page.keyboard.press('Enter')
    assert focused(page, '[data-part=start]')


def png_header(width, height):
    "A PNG of that size as far as its first bytes tell."
    def chunk(name, body):
        check = struct.pack('>I', zlib.crc32(name + body))
        return struct.pack('>I', len(body)) + name + body + check

    header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header)
            + chunk(b'IDAT', zlib.compress(b'\0' * 99)) + chunk(b'IEND', b''))


@pytest.mark.parametrize('name, content, words', [
    ('notes.jpg', b'Not a picture at all.', 'notes.jpg cannot be read as a picture'),
    ('empty.png', b'', 'empty.png cannot be read as a picture'),
    ('half.png', png_header(300, 300)[:40], 'half.png cannot be read as a picture'),
    ('wide.png', png_header(6000, 5000),
     'wide.png has 6000 × 5000 pixels, and 25 million are the most'),
    ('bomb.png', png_header(60000, 60000), 'bomb.png'),
    ('dot.png', file_of(Image.new('RGB', (3, 40)), 'dot.png')['buffer'],
     '16 each way are the least'),
])
def test_bad_files(page, name, content, words):
    part(page, 'file').set_input_files(dict(name=name, mimeType='image/png',
                                            buffer=content))
    assert words in said(page)
    assert page.get_attribute('#enhance', 'data-state') == 'empty'


def test_a_bad_file_does_not_cost_the_good_one(page, portrait):
    choose(page, file_of(portrait, 'good.png'))
    part(page, 'file').set_input_files(dict(name='bad.png', mimeType='image/png',
                                            buffer=b'bad'))
    assert 'bad.png' in said(page)
    assert page.get_attribute('#enhance', 'data-state') == 'ready'


def test_half_a_photograph(page, portrait):
    file = file_of(portrait, 'half.jpg')
    choose(page, file | dict(buffer=file['buffer'][:4000]))
    part(page, 'start').click()
    assert 'file is damaged' in said(page)
    assert page.get_attribute('#enhance', 'data-state') == 'ready'


@pytest.mark.parametrize('way', ['drop', 'paste'])
def test_drop_and_paste(page, portrait, way):
    file = file_of(portrait, 'portrait.png')
    page.evaluate('''([way, bytes]) => {
        const data = new DataTransfer();
        const type = 'image/png';
        data.items.add(new File([new Uint8Array(bytes)], 'given.png', { type }));
        const held = { dataTransfer: data, clipboardData: data };
        const options = { bubbles: true, cancelable: true, ...held };
        const kind = way === 'drop' ? DragEvent : ClipboardEvent;
        document.body.dispatchEvent(new kind(way, options));
    }''', [way, list(file['buffer'])])
    page.wait_for_selector('[data-state=ready]')
    assert said(page, 'status') == 'given.png: 178 by 218 pixels.'


def test_numbers_that_make_no_region(page, portrait):
    choose(page, file_of(portrait, 'portrait.png'))
    page.check('[name=extent][value=region]')
    for name, value in (('x', '900'), ('width', '5'), ('y', '-4'), ('height', '')):
        page.fill(f'[name={name}]', value)
        page.keyboard.press('Tab')
    names = 'x', 'y', 'width', 'height'
    values = [page.input_value(f'[name={name}]') for name in names]
    assert values == ['107', '0', '16', '16']


def serious(page):
    "What axe-core finds, without what is minor."
    if not page.evaluate('"axe" in window'):
        axe = site_parts.WEB / 'node_modules' / 'axe-core' / 'axe.min.js'
        page.add_script_tag(path=axe)
    options = '{ resultTypes: ["violations"] }'
    run = f'async () => (await axe.run(document, {options})).violations'
    return [(rule['id'], [node['target'] for node in rule['nodes']])
            for rule in page.evaluate(run) if rule['impact'] in ('serious', 'critical')]


def test_accessible_in_every_state(page, warm, portrait):
    def check(page):
        for scheme in ('light', 'dark'):
            page.emulate_media(color_scheme=scheme, reduced_motion='reduce')
            assert serious(page) == [], scheme
    check(page)
    part(page, 'file').set_input_files(dict(name='bad.png', mimeType='image/png',
                                            buffer=b'bad'))
    said(page)
    check(page)
    choose(page, file_of(portrait, 'portrait.png'))
    page.check('[name=extent][value=region]')
    page.check('[name=blur]')
    check(page)
    choose(warm, file_of(Image.fromarray(blurred(portrait)), 'portrait.png'))
    run(warm)
    check(warm)
    part(warm, 'guesses').check()
    check(warm)


def brightness(page, selector):
    "Of the text there: red, green and blue together."
    code = 's => getComputedStyle(document.querySelector(s)).color'
    return sum(map(int, re.findall(r'\d+', page.evaluate(code, selector))[:3]))


@pytest.mark.parametrize('width', [360, 1280])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_widths_and_themes(browser, address, portrait, width, scheme):
    phone = dict(has_touch=True, is_mobile=True) if width < 500 else {}
    with visiting(browser, address, viewport=dict(width=width, height=740),
                  color_scheme=scheme, **phone) as page:
        page.goto(address)
        root = 'document.documentElement'
        overflow = lambda: page.evaluate(f'{root}.scrollWidth - {root}.clientWidth')
        assert overflow() <= 0
        choose(page, file_of(portrait.resize((1300, 500)), 'wide.png'))
        page.check('[name=extent][value=region]')
        page.check('[name=blur]')
        assert overflow() <= 0
        ink, ground = (brightness(page, part)
                       for part in ('#enhance', '[data-part=start]'))
        assert (ink > ground) == (scheme == 'dark')


def test_stop_and_again_without_the_slider(browser, address, portrait, crowd):
    """Stopping costs no second download; where the slider does not load, both pictures
    are shown."""
    with visiting(browser, address, allowed=('Failed to load resource',)) as page:
        page.context.route('**/img-comparison-slider/*', lambda route: route.abort())
        page.goto(address)
        choose(page, file_of(crowd, 'large.png'))
        part(page, 'start').click()
        page.wait_for_function('''document.querySelector('[data-part=doing]')
            .textContent.startsWith('Part')''', timeout=SLOW)
        part(page, 'cancel').click()
        page.wait_for_selector('[data-state=ready]', timeout=5000)
        assert said(page, 'status') == 'Stopped.'
        assert focused(page, '[data-part=start]')
        fetched = []
        page.on('request', lambda request: fetched.append(request.url))
        choose(page, file_of(portrait, 'portrait.png'))
        run(page)
        assert not [url for url in fetched if url.endswith(('.wasm', '.onnx', '.bin'))]
        assert part(page, 'before').is_visible() and part(page, 'after').is_visible()


class PlainHandler(site_parts.PageHandler):
    "A host that sends none of the headers that threads need."
    isolated = False


WORKERS = dict(service_workers='allow')


def test_a_plain_host_gets_its_threads_from_a_service_worker(
        browser, address, portrait):
    handler = partial(PlainHandler, directory=str(site_parts.NBS))
    server = ThreadingHTTPServer(('127.0.0.1', 0), handler)
    with serving(server) as plain, visiting(browser, plain, **WORKERS) as page:
        answer = page.goto(plain + 'enhance.html')
        assert answer.headers.get('cross-origin-embedder-policy') is None
        page.wait_for_function(
            'crossOriginIsolated && document.readyState === "complete"', timeout=SLOW)
        choose(page, file_of(portrait, 'portrait.png'))
        run(page)


# What the page keeps of itself, beside network and runtime, once all is there.
KEPT = '''async () => {
    const kept = await (await caches.open('deblur-vae-page')).keys();
    return ['enhance.html', 'enhance/enhance.css', 'enhance/product.js',
            'enhance/samples/portraits.jpg', 'vendor/img-comparison-slider/index.js']
        .every(name => kept.some(({ url }) => url.endsWith(name)));
}'''


def test_offline_after_the_first_picture(browser, site_is_assembled, portrait):
    "The server is gone; the page comes up, and does what it did."
    file = file_of(Image.fromarray(blurred(portrait)), 'portrait.png')
    gone = 'Failed to load resource', 'ERR_CONNECTION_REFUSED'
    with serving(site_parts.server(0)) as address:
        context = visiting(browser, address, gone, **WORKERS)
        page = context.__enter__()
        page.goto(address)
        choose(page, file)
        run(page)
        online = picture_of(page, 'after')
        page.wait_for_function(KEPT, timeout=SLOW)
    page.goto(address + 'enhance.html')
    choose(page, file)
    run(page)
    assert (picture_of(page, 'after') == online).all()
    page.click('[data-sample=portraits]')
    page.wait_for_function("""document.querySelector('[data-part=status]')
        .textContent.startsWith('portraits')""")
    context.__exit__(None, None, None)


def test_the_server_of_make_page_isolates(page):
    assert page.evaluate('crossOriginIsolated')


def broken(error):
    "An answer in the place of runtime.js, whose network cannot be loaded."
    body = f'''export class Told extends Error {{}};
        export const load = async () => {{ throw new {error} }}'''
    return dict(content_type='text/javascript', body=body)


@pytest.mark.parametrize('pattern, answer, words', [
    ('**/restore.onnx', dict(status=404),
     'The network could not be fetched (status 404)'),
    ('**/model.json', None, 'The network could not be fetched: check the connection'),
    ('**/restore.onnx', dict(status=200, body=b'short'), 'did not arrive completely'),
    ('**/runtime.js', broken('RangeError("Array buffer allocation failed")'),
     'memory of this device is not enough'),
    ('**/runtime.js', broken('WebAssembly.CompileError("no SIMD")'),
     'This browser cannot run the network'),
    ('**/worker.js', dict(status=404), 'This browser could not start the computation'),
    ('**/samples/astronaut.jpg', None, 'The sample could not be fetched'),
])
def test_when_something_is_missing(browser, address, portrait, pattern, answer, words):
    with visiting(browser, address, allowed=('Failed to load resource',)) as page:
        page.context.route(pattern, lambda route: route.fulfill(**answer) if answer
                                    else route.abort())
        page.goto(address)
        if 'samples' in pattern: page.click('[data-sample=astronaut]')
        else:
            choose(page, file_of(portrait, 'portrait.png'))
            part(page, 'start').click()
        assert words in said(page)
        state = 'empty' if 'samples' in pattern else 'ready'
        assert page.get_attribute('#enhance', 'data-state') == state


def spoilt(route):
    "The same answer with one bit the other way."
    answer = route.fetch()
    body = bytearray(answer.body())
    body[len(body) // 2] ^= 1
    route.fulfill(response=answer, body=bytes(body))


@pytest.mark.parametrize('file', ['restore.onnx', 'grid.bin', campaign('*.wasm')])
def test_one_wrong_bit_in_what_is_fetched(browser, address, portrait, file):
    "One line, no result, and nothing of it is kept: the next try fetches it anew."
    with visiting(browser, address) as page:
        page.context.route(f'**/{file}', spoilt)
        page.goto(address)
        choose(page, file_of(portrait, 'portrait.png'))
        part(page, 'start').click()
        assert said(page) == ('The network arrived damaged, so nothing was computed: '
                              'reload the page.')
        assert page.get_attribute('#enhance', 'data-state') == 'ready'
        page.context.unroute(f'**/{file}')
        run(page)


SPOIL = '''async () => {
    const cache = await caches.open('deblur-vae');
    for (const key of await cache.keys()) {
        const kept = new Uint8Array(await (await cache.match(key)).arrayBuffer());
        kept[kept.length >> 1] ^= 1;
        await cache.put(key, new Response(kept));
    }
}'''


def test_one_wrong_bit_in_what_was_kept(page, portrait):
    "It is fetched again."
    choose(page, file_of(portrait, 'portrait.png'))
    run(page)
    page.evaluate(SPOIL)
    page.reload()
    fetched = []
    page.on('request', lambda request: fetched.append(request.url))
    choose(page, file_of(portrait, 'portrait.png'))
    run(page)
    assert {url.rsplit('.')[-1] for url in fetched} >= {'wasm', 'onnx', 'bin'}


def test_without_a_hash_function(browser, address, portrait):
    "As over plain HTTP: the length has to do."
    with visiting(browser, address) as page:
        insecure = 'delete Crypto.prototype.subtle;\n'
        runtime = site_parts.NBS / 'enhance' / 'runtime.js'
        page.context.route('**/runtime.js', lambda route: route.fulfill(
            content_type='text/javascript', body=insecure + runtime.read_text()))
        page.goto(address)
        choose(page, file_of(portrait, 'portrait.png'))
        run(page)


def test_no_webassembly(browser, address, portrait):
    with visiting(browser, address) as page:
        page.add_init_script('delete globalThis.WebAssembly')
        page.goto(address)
        choose(page, file_of(portrait, 'portrait.png'))
        part(page, 'start').click()
        assert 'no WebAssembly' in said(page)


def test_assembling_twice_changes_nothing(address):
    files = [path for folder in ('vendor', 'enhance/model', 'enhance/samples')
             for path in (site_parts.NBS / folder).rglob('*') if path.is_file()]
    before = [path.stat().st_mtime_ns for path in files]
    site_parts.assemble()
    assert len(files) > 10 and before == [path.stat().st_mtime_ns for path in files]


def test_npm_is_missing(monkeypatch, tmp_path):
    monkeypatch.setattr(site_parts, 'WEB', tmp_path)
    monkeypatch.setattr(site_parts.shutil, 'which', lambda name: None)
    (tmp_path / 'package-lock.json').write_text('{}')
    with pytest.raises(SystemExit, match='^site_parts: node is not installed: [^\n]*$'):
        site_parts.node_modules()


def test_lock_file_names_no_host():
    assert '://' not in (site_parts.WEB / 'package-lock.json').read_text()


@pytest.mark.parametrize('method', ['GET', 'HEAD'])
def test_only_the_page_is_served(address, method):
    "A browser would tidy these addresses; what is sent here goes out as it stands."
    def status(path):
        connection = HTTPConnection(urlsplit(address).netloc)
        connection.request(method, path)
        return connection.getresponse().status

    for path in ('/00_data.ipynb', '/enhance', '/enhance/', '/enhance/model/',
                 '/_quarto.yml', '/enhance/../index.ipynb', '/vendor/../_quarto.yml',
                 '/enhance/%2e%2e/index.ipynb', '/enhance/..%2findex.ipynb',
                 '/isolation.js/../index.ipynb', '/isolation.json',
                 '/enhance/../../settings.ini', '//etc/passwd', '/enhance/%00.js',
                 '/enhance/' + 300 * 'a', '/enhance/enhance.js/', '/%ff'):
        assert status(path) == 404, path
    for path in ('/enhance.html', '/isolation.js', '/enhance/enhance.js',
                 '/enhance/../enhance/enhance.js', '/enhance/model/model.json?1'):
        assert status(path) == 200, path
    assert status('/') == 302
