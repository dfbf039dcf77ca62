"""Step 6 of `make docs`, where there is a Chromium: opens every page of the built site,
light and dark, wide and narrow, and says what is wrong with it.

    python tools/site_browser.py [SITE] [--only PAGE …] [--pictures FOLDER]

A page fails if axe-core finds a fault in it, if anything but code scrolls sideways on a
telephone of 360 pixels, if it asks another host for anything, or if its console says
that something went wrong. With --pictures, what each page looks like is kept."""
import argparse
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from chromium import FLAGS, chromium, serving
from notebooks import ROOT
from playwright.sync_api import Error as PlaywrightError
from playwright.sync_api import sync_playwright
from site_parts import node_modules

CODE = 'index.html', 'api/loss.html'  # pages whose code is looked at, too
TALLEST = 8000  # pixels of a picture of a page
VIEWS = [('light', 1280), ('dark', 1280), ('light', 360), ('dark', 360)]
# What may scroll by itself: code, formulas, tables, and what says that it does.
SIDEWAYS = '''() => {
    const found = [];
    const wide = document.documentElement;
    if (wide.scrollWidth > wide.clientWidth) found.push('the page');
    const may = 'pre, code, math, mjx-container, .wide, .sourceCode';
    for (const element of document.querySelectorAll('main *')) {
        if (element.scrollWidth <= element.clientWidth + 1 || element.closest(may))
            continue;
        const scrolls = getComputedStyle(element).overflowX;
        if (scrolls === 'auto' || scrolls === 'scroll')
            found.push(element.tagName.toLowerCase() + '.' + element.className);
    }
    return found;
}'''
EAGER = '''() => document.querySelectorAll('img[loading=lazy]')
    .forEach(image => { image.loading = 'eager'; })'''
AXE = '''async ([contrast, code]) => (await axe.run(
    code ? document : { exclude: [['div.sourceCode']] },
    { rules: { 'color-contrast': { enabled: contrast } } })).violations.map(found =>
    `${found.id} (${found.impact}), ${found.nodes.length} times: `
    + found.nodes.slice(0, 3).map(node => node.html.slice(0, 160)).join(' | '))'''


class Handler(SimpleHTTPRequestHandler):
    "Files of the site, without a word."
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map,
                      '.mjs': 'text/javascript', '.wasm': 'application/wasm'}

    def log_message(self, *_) -> None: pass


def server(site: Path) -> ThreadingHTTPServer:
    "A server of the folder `site`, on a free port."
    return ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=site))


class Visit:
    "Pages in one colour scheme and width, and what is wrong with them."
    def __init__(self, browser, address: str, scheme: str, width: int):
        self.address, self.scheme, self.width = address, scheme, width
        self.context = browser.new_context(
            color_scheme=scheme, viewport=dict(width=width, height=900),
            reduced_motion='reduce', service_workers='block')
        self.context.route('**/*', self.pass_or_block)
        self.said: list[str] = []
        axe = node_modules() / 'axe-core' / 'axe.min.js'
        self.context.add_init_script(path=axe)
        self.page = self.context.new_page()
        self.page.on('pageerror', lambda error: self.said.append(str(error)))
        self.page.on('console', lambda message: self.said.append(message.text)
                     if message.type == 'error' else None)

    def pass_or_block(self, route) -> None:
        if urlsplit(route.request.url).netloc == urlsplit(self.address).netloc:
            return route.continue_()
        self.said.append(f'asks {route.request.url}')
        route.abort()

    def height(self) -> int:
        return self.page.evaluate('document.documentElement.scrollHeight')

    def faults(self, name: str, pictures: Path | None = None) -> list[str]:
        "What is wrong with the page `name`."
        self.said.clear()
        self.page.goto(self.address + name, wait_until='load')
        # Contrast takes most of the time: it is the same on a narrow page, and code has
        # the same colours everywhere.
        how = [self.width > 500, name in CODE]
        found = [f'axe: {fault}' for fault in self.page.evaluate(AXE, how)]
        if self.width < 500:
            found += [f'scrolls sideways: {part}'
                      for part in self.page.evaluate(SIDEWAYS)]
        if pictures:
            file = pictures / f'{name.replace("/", "-")}-{self.scheme}-{self.width}.png'
            self.page.evaluate(EAGER)
            self.page.wait_for_load_state('networkidle')
            clip = dict(x=0, y=0, width=self.width, height=min(TALLEST, self.height()))
            self.page.screenshot(path=file, full_page=True, clip=clip, timeout=1e5)
        return [f'{name}, {self.scheme}, {self.width}: {fault}'
                for fault in found + self.said]


def first_found(page, words: str) -> str:
    "Address of what the search of the site shows first for `words`, or nothing."
    page.locator('#quarto-search button').first.click()
    page.locator('.aa-Input').first.fill(words)
    first = page.locator('.aa-Panel a.search-result-link').first
    try: address = first.get_attribute('href', timeout=30_000)
    except PlaywrightError: address = 'nothing'
    page.keyboard.press('Escape')
    return address


FINDS = {'Wiener': '11_classical', 'KL': '02_loss', 'checkpoint': '22_checkpoint'}


def search_faults(visit: Visit) -> list[str]:
    "What the search does not show first in its chapter."
    found = []
    for words, stem in FINDS.items():
        visit.page.goto(visit.address + 'index.html', wait_until='load')
        address = first_found(visit.page, words)
        if f'{stem}.html' not in address:
            found.append(f'the search for {words} shows {address} first')
    return found


def look(
    site: Path, # folder
    names: list[str], # of pages
    pictures: Path | None = None, # where pictures of them go
) -> Iterator[str]:
    "What is wrong with pages, in every view."
    with serving(server(site)) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        for scheme, width in VIEWS:
            visit = Visit(browser, address, scheme, width)
            for name in names: yield from visit.faults(name, pictures)
            if 'index.html' in names and (scheme, width) == VIEWS[0]:
                yield from search_faults(visit)
            visit.context.close()
        browser.close()


def pages_of(site: Path) -> list[str]:
    "All pages, but not those of the parts that Quarto brings."
    return [path.relative_to(site).as_posix() for path in sorted(site.rglob('*.html'))
            if 'site_libs' not in path.parts]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('site', nargs='?', type=Path, default=ROOT / '_docs')
    parser.add_argument('--only', nargs='+', metavar='PAGE')
    parser.add_argument('--pictures', type=Path, metavar='FOLDER')
    args = parser.parse_args()
    if not chromium():
        print('there is no Chromium: the pages have not been looked at in a browser')
        return
    if args.pictures: args.pictures.mkdir(parents=True, exist_ok=True)
    names = args.only or pages_of(args.site)
    problems = 0
    for problem in look(args.site, names, args.pictures):
        problems += 1
        print(problem, flush=True)
    if not problems:
        print(f'{len(names)} pages: axe-core finds nothing, nothing but code scrolls '
              'sideways, no other host is asked')
    sys.exit(bool(problems))


if __name__ == '__main__': main()
