"""After Quarto: `python tools/site_finish.py [SITE]` (default: `_docs`) lays the notebooks beside their pages, and fails
if a page would ask another host for anything, leads nowhere, or is heavy."""
import re
import shutil
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

from notebooks import below

ROOT = Path(__file__).resolve().parents[1]
LOADED = {('script', 'src'), ('img', 'src'), ('source', 'src'), ('iframe', 'src'), ('video', 'src'), ('object', 'data'), ('image', 'href')}
LOADED_LINKS = {'stylesheet', 'icon', 'preload', 'modulepreload', 'prefetch', 'preconnect', 'dns-prefetch', 'manifest'}
ELSEWHERE = re.compile(r'^(https?:)?//')
IN_STYLE = re.compile(r'''(?:@import\s+|url\()\s*['"]?((?:https?:)?//[^'")\s]+)''')
LIMIT, HEAVY = 1e6, ('.wasm', '.onnx')


class Page(HTMLParser):
    "What a page loads, links to and can be linked to by, and its pictures without alt text."
    def __init__(self, text: str):
        super().__init__()
        self.loads, self.links, self.anchors, self.silent, self.style = [], [], set(), [], False
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        self.style = tag == 'style'
        if 'id' in said: self.anchors.add(said['id'])
        if tag == 'a' and said.get('href'): self.links.append(said['href'])
        if tag == 'img' and 'alt' not in said: self.silent.append(said.get('src', '')[:80])
        self.loads += [said[name] for name in ('src', 'href', 'data') if said.get(name) and (tag, name) in LOADED]
        if tag == 'link' and LOADED_LINKS & set(said.get('rel', '').split()): self.loads.append(said.get('href', ''))
        self.loads += IN_STYLE.findall(said.get('style') or '')

    def handle_data(self, data):
        if self.style: self.loads += IN_STYLE.findall(data)


def local(address: str) -> bool:
    "Whether an address is that of a file of the site."
    return bool(address) and not re.match(r'^([a-z][a-z+.-]*:|//)', address, re.I)


def faults(site: Path) -> list[str]:
    "One line for each thing that is wrong with the built site in the folder `site`."
    pages = {path: Page(path.read_text()) for path in sorted(site.rglob('*.html'))}
    found = [f'{path.relative_to(site)}: {path.stat().st_size / 1e6:.1f} MB' for path in sorted(site.rglob('*'))
             if path.is_file() and path.stat().st_size > LIMIT and path.suffix not in HEAVY]
    for path in sorted(site.rglob('*.css')):
        found += [f'{path.relative_to(site)} loads {address}' for address in IN_STYLE.findall(path.read_text())]
    for path, page in pages.items():
        name = path.relative_to(site)
        found += [f'{name} loads {address}' for address in page.loads if ELSEWHERE.match(address)]
        found += [f'{name}: no alt text for {source}' for source in page.silent]
        for address in filter(local, page.links + page.loads):
            file, _, anchor = address.partition('#')
            file = unquote(file.split('?')[0])
            if file.startswith('/') and path.name == '404.html': continue  # served anywhere, so it starts from the root of the host
            target = path.parent / file if file else path
            if target.is_dir(): target /= 'index.html'
            if not target.exists(): found.append(f'{name}: {address} leads nowhere')
            elif anchor and target.resolve() in pages and unquote(anchor) not in pages[target.resolve()].anchors:
                found.append(f'{name}: {address} has no such place')
    return found


def finish(notebooks: Path, site: Path) -> list[str]:
    "Copies the notebooks into `site`/notebooks; what is wrong then."
    for path in below(notebooks):
        target = site / 'notebooks' / path.relative_to(notebooks)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return faults(site.resolve())


if __name__ == '__main__':
    problems = finish(ROOT / 'nbs', Path(sys.argv[1]) if sys.argv[1:] else ROOT / '_docs')
    print('\n'.join(problems) or 'the site is whole and asks no other host for anything')
    sys.exit(bool(problems))
