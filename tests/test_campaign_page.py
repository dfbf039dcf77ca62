"""The Enhance page under hard use: damaged files, a second tab, tabs that are closed in
the middle. `test_page.py` has it offline."""
import time

import numpy as np
import pytest
from browser import file_of, picture_of, visiting
from conftest import campaign
from damage import IN_PICTURES, damaged
from PIL import Image
from test_campaign_pictures import kinds
from test_page import SLOW, blurred, choose, finished, part, run

from deblur_vae.portraits import draw_portrait

SEED = 31
WORKERS = dict(service_workers='allow')
DROP = '''([name, bytes]) => {
    const data = new DataTransfer();
    data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
    const options = { bubbles: true, cancelable: true, dataTransfer: data };
    document.body.dispatchEvent(new DragEvent('drop', options));
}'''
ANSWERED = '''name => {
    const text = part => document.querySelector(`[data-part=${part}]`).textContent;
    return text('error') || text('status').startsWith(name);
}'''


def state(page) -> str: return page.get_attribute('#enhance', 'data-state')


def fault_of(page, name: str, content: bytes) -> str | None:
    "What is wrong with what the page makes of a file that is dropped on it."
    page.evaluate(DROP, [name, list(content)])
    page.wait_for_function(ANSWERED, arg=name, timeout=20_000)
    error = part(page, 'error').inner_text()
    if not error:
        part(page, 'start').click()
        page.wait_for_selector('[data-state=done], [data-part=error]:not(:empty)',
                               timeout=20_000)
        error = part(page, 'error').inner_text()
        if not error and state(page) != 'done': return f'ends {state(page)}'
    if error and (not error.endswith('.') or '\n' in error): return f'says {error!r}'
    return f'ends {state(page)}' if error and state(page) == 'working' else None


@pytest.mark.parametrize('copies', [2, campaign(200)])
def test_damaged_files_are_dropped(browser, address, tally, copies):
    files, random = kinds(), np.random.default_rng(SEED)
    with (visiting(browser, address) as page,
          tally('damaged files dropped on the page', SEED) as drops):
        page.goto(address)
        enhanced = 0
        for n in range(copies):
            kind = list(files)[n % len(files)]
            content = damaged(files[kind], random, IN_PICTURES, most=2)
            try: fault = fault_of(page, f'{n}-{kind}', content)
            except Exception as error: fault = str(error)[:300]
            drops.count(f'number {n}, {kind}, {content.hex()}', fault)
            enhanced += state(page) == 'done'
        drops.noted = f', {enhanced} of them could be shown and enhanced'
        choose(page, file_of(draw_portrait(3)[0], 'whole.png'))
        run(page)


@pytest.fixture(scope='module')
def portrait():
    return file_of(Image.fromarray(blurred(draw_portrait(3)[0])), 'portrait.png')


@pytest.fixture(scope='module')
def alone(browser, address, portrait):
    "What one tab makes of the portrait."
    with visiting(browser, address, **WORKERS) as page:
        page.goto(address)
        choose(page, portrait)
        run(page)
        return picture_of(page, 'after')


@pytest.mark.campaign
def test_two_tabs_at_once(browser, address, portrait, alone):
    "Both fetch, keep and compute at the same time, from nothing."
    with visiting(browser, address, **WORKERS) as page:
        tabs = page, page.context.new_page()
        for tab in tabs: tab.goto(address)
        for tab in tabs: choose(tab, portrait)
        for tab in tabs: part(tab, 'start').click()
        for tab in tabs:
            finished(tab)
            assert (picture_of(tab, 'after') == alone).all()


@pytest.mark.parametrize('copies', [1, campaign(20)])
def test_tabs_closed_in_the_middle(browser, address, portrait, alone, tally, copies):
    """At random moments of the first use: while network and runtime are fetched,
    checked and kept, and while the picture is enhanced. The next tab does all of it."""
    random = np.random.default_rng(SEED)
    with tally('tabs closed in the middle', SEED) as tabs:
        for n in range(copies):
            with visiting(browser, address, **WORKERS) as page:
                page.goto(address)
                choose(page, portrait)
                began = time.monotonic()
                part(page, 'start').click()
                page.wait_for_timeout(int(random.integers(0, 3000)))
                moment = part(page, 'doing').inner_text()
                second = page.context.new_page()
                page.close()
                when = f'number {n}, after {time.monotonic() - began:.2f} s, {moment!r}'
                second.goto(address)
                choose(second, portrait)
                part(second, 'start').click()
                second.wait_for_selector('[data-state=done]', timeout=SLOW)
                same = (picture_of(second, 'after') == alone).all()
                tabs.count(when, not same and 'another result')
