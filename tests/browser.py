"""A browser for the tests of pages: Debian's Chromium, which may speak to one server on
this machine and to nobody else."""
import base64
import io
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import pytest
from chromium import FLAGS, chromium
from PIL import Image

@contextmanager
def launched():
    "Chromium without a window."
    playwright = pytest.importorskip(
        'playwright.sync_api',
        reason="playwright is not installed: pip install -e '.[dev]'")
    path = chromium() or pytest.skip(
        'there is no Chromium: apt-get install chromium')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        try: yield browser
        finally: browser.close()


@contextmanager
def visiting(browser, address, allowed=(), **options):
    """A new page of its own context, without service workers unless `options` allow
    them. Afterwards: no request went to another host, and the console said nothing that
    `allowed` has not."""
    context = browser.new_context(**dict(service_workers='block') | options)
    strangers, said = [], []

    def pass_or_block(route):
        if urlsplit(route.request.url).netloc == urlsplit(address).netloc:
            return route.continue_()
        strangers.append(route.request.url)
        route.abort()

    context.route('**/*', pass_or_block)
    page = context.new_page()
    page.on('console', lambda message: said.append(message.text)
                       if message.type in ('error', 'warning') else None)
    page.on('pageerror', lambda error: said.append(str(error)))
    try:
        yield page
        assert not strangers, f'requests to other hosts: {strangers}'
        allowed = *allowed, 'registration blocked by Playwright'
        assert not [line for line in said if not any(word in line for word in allowed)]
    finally: context.close()


def picture_of(page, part: str) -> np.ndarray: # [H,W,4]
    "The pixels of the image `part` of the page, exactly as its file has them."
    data = page.evaluate('''async part => {
        const image = document.querySelector(`[data-part=${part}]`);
        const blob = await (await fetch(image.src)).blob();
        return new Promise(done => {
            const reader = new FileReader();
            reader.onload = () => done(reader.result.split(',')[1]);
            reader.readAsDataURL(blob);
        });
    }''', part)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert('RGBA'))


def file_of(image: Image.Image, name: str, **options) -> dict:
    "What a file picker takes."
    out, kind = io.BytesIO(), name.rsplit('.')[-1].replace('jpg', 'jpeg')
    image.save(out, kind, **options)
    return dict(name=name, mimeType=f'image/{kind}', buffer=out.getvalue())
