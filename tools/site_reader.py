"""Reads the pages of the site, before Quarto has rendered them and after, and says what
is wrong with them: each check returns one line for each fault. Step 5 of `make docs`
uses it through site_finish.py, `make test` through tests/test_site.py."""
import re
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import yaml
from notebooks import cells

VOID = {'area', 'base', 'br', 'col', 'hr', 'img', 'input', 'link', 'meta', 'source',
        'track', 'wbr'}
LOADED = {('script', 'src'), ('img', 'src'), ('source', 'src'), ('iframe', 'src'),
          ('video', 'src'), ('object', 'data'), ('image', 'href')}
LOADED_LINKS = {'stylesheet', 'icon', 'preload', 'modulepreload', 'prefetch',
                'preconnect', 'dns-prefetch', 'manifest'}
WIDGETS = {'text/html', 'application/javascript',
           'application/vnd.jupyter.widget-view+json'}
LIMIT, HEAVY = 1e6, ('.wasm', '.onnx')  # bytes of a file; those that may have more

RAW = re.compile(r'^```\{=html\}\n(.*?)^```$', re.M | re.S)
FENCED = re.compile(r'^(`{3,}|~{3,}).*?^\1`*$', re.M | re.S)
ASSEMBLED = re.compile(r'vendor/|enhance/(samples|model)/')  # by site_parts.py
IDLE = re.compile(r'.*(?:^Text\(|<(?:Axes|Figure|matplotlib)|object at 0x|/tmp/).*',
                  re.M)
ELSEWHERE = re.compile(r'^(https?:)?//')
IN_STYLE = re.compile(r'''(?:@import\s+|url\()\s*['"]?((?:https?:)?//[^'")\s]+)''')
IN_SCRIPT = re.compile(
    r'''(?:import|from|fetch|Worker|URL|importScripts|src\s*=|href\s*=)'''
    r'''\s*\(?\s*['"`]((?:https?:)?//[^'"`]+)''')


def local(address: str) -> bool:
    "Whether an address is that of a file of the site."
    return bool(address) and not re.match(r'^([a-z][a-z+.-]*:|//)', address, re.I)


class Html(HTMLParser):
    """What HTML loads, links to and can be linked to by; and in `faults`: tags that do
    not match, and pictures without alt text. An empty one is for a picture that says
    nothing new, inside a link or button with words."""
    def __init__(self, text: str):
        super().__init__()
        self.loads, self.links, self.anchors = [], [], set()
        self.silent, self.faults, self.open = [], [], []
        self.feed(text)
        self.close()
        self.faults += [f'<{tag}> is never closed' for tag in self.open]

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        if 'id' in said: self.anchors.add(said['id'])
        if tag == 'a' and said.get('href'): self.links.append(said['href'])
        if tag == 'img': self.look_at_picture(said)
        self.loads += [said[name] for name in ('src', 'href', 'data')
                       if said.get(name) and (tag, name) in LOADED]
        if tag == 'link' and LOADED_LINKS & set(said.get('rel', '').split()):
            self.loads.append(said.get('href', ''))
        self.loads += IN_STYLE.findall(said.get('style') or '')
        if tag not in VOID: self.open.append(tag)

    def look_at_picture(self, said: dict) -> None:
        source = said.get('src', 'a picture')[:80]
        if 'alt' not in said: self.silent.append(source)
        in_words = bool({'a', 'button'} & set(self.open))
        if not said.get('alt') and not (in_words and 'alt' in said):
            self.faults.append(f'no alt text for {source}')

    def handle_endtag(self, tag):
        if tag in VOID: return
        if not self.open or self.open[-1] != tag:
            self.faults.append(f'</{tag}> closes nothing')
        else: self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] == ['style']: self.loads += IN_STYLE.findall(data)


class Page:
    """A page that nbdev has processed: its Markdown, the code of its cells, the raw
    HTML in it, its front matter, its outputs."""
    def __init__(self, path: Path):
        self.path = path
        self.cells = cells(path) if path.suffix == '.ipynb' else []
        self.code = self.texts('code')
        whole = '\n\n'.join(self.texts('raw') + self.texts('markdown'))
        _, front, self.markdown = (whole or path.read_text()).split('---\n', 2)
        self.front, self.raw = yaml.safe_load(front), RAW.findall(self.markdown)
        self.prose = re.sub(r'`[^`\n]+`', '', FENCED.sub('', self.markdown))
        self.outputs = [o for cell in self.cells for o in cell.get('outputs', [])]

    def texts(self, kind: str) -> list[str]:
        return [cell['source'] for cell in self.cells if cell['cell_type'] == kind]

    def output(self) -> str:
        "The file that Quarto makes of it."
        return self.front.get('output-file', f'{self.path.stem}.html')

    def say(self, faults: Iterable[str]) -> list[str]:
        return [f'{self.path.name}: {fault}' for fault in faults]


def slug(heading: str) -> str:
    "The anchor that Pandoc gives to a heading."
    text = re.sub(r'\]\([^)]*\)', '', heading).replace('`', '').lower()
    text = re.sub(r'[^\w\s.-]', '', text)
    return re.sub(r'^[^a-z]+', '', re.sub(r'\s+', '-', text.strip()))


def anchors(page: Page) -> set[str]:
    "What can be linked to in a page."
    headings = re.findall(r'^#+ (.*?)(?: \{#([\w.-]+)\})?$',
                          FENCED.sub('', page.markdown), re.M)
    labels = re.findall(r'^#\| label: (\S+)', '\n'.join(page.code), re.M)
    given = re.findall(r'\{#([\w-]+)', page.markdown)
    code = [cell['id'] for cell in page.cells if cell['cell_type'] == 'code']
    return {name or slug(text) for text, name in headings} | {*labels, *given, *code}


def links(page: Page, assembled: bool = False) -> list[str]:
    """Addresses within the site, without (or with) those of files that are assembled
    for the site and not committed."""
    found = re.findall(r'\]\(([^)\s]+)\)', page.prose)
    for raw in map(Html, page.raw): found += raw.links + raw.loads
    return [address for address in found
            if local(address) and (assembled or not ASSEMBLED.match(address))]


def unknown_keys(given, known, where: str = '') -> list[str]:
    """Keys of `given` that `known` does not have; a list in `known` describes each item
    of a list, and None anything."""
    if isinstance(given, list):
        each = known[0] if isinstance(known, list) else known
        return [fault for item in given for fault in unknown_keys(item, each, where)]
    if not isinstance(given, dict) or not isinstance(known, dict): return []
    found = []
    for key, value in given.items():
        if key not in known: found.append(f'{where}{key}: Quarto has no such key')
        else: found += unknown_keys(value, known[key], f'{where}{key}.')
    return found


def unknown_options(page: Page, known: list[str], callouts: list[str]) -> list[str]:
    "Options of cells and callouts that Quarto does not know."
    options = re.findall(r'^#\|\s*([\w-]+)', '\n'.join(page.code), re.M)
    opened = re.findall(r'^:::+ \{\.callout-\w+ (.*)\}$', page.markdown, re.M)
    said = re.findall(r'''([\w-]+)=["']''', ' '.join(opened))
    return page.say([name for name in options if name not in known]
                    + [f'{name} of a callout' for name in said if name not in callouts])


def dead_references(page: Page) -> list[str]:
    """Cross-references without a target in the same page: Quarto resolves no others on
    a website."""
    wanted = re.findall(r'(?<![\w.@])@((?:fig|eq|tbl|sec)-[\w-]+)', page.prose)
    there = anchors(page)
    return page.say(f'@{name} refers to nothing'
                    for name in wanted if name not in there)


def dead_links(pages: list[Page], root: Path, notebooks: Path) -> list[str]:
    """Links within the site that lead nowhere, to a page by its source and to a place
    in it by its anchor."""
    known = {page.path.resolve(): anchors(page) for page in pages}
    copies, found = (root / 'notebooks').resolve(), []
    for page in pages:
        for address in links(page):
            file, _, anchor = address.partition('#')
            base = root if file.startswith('/') else page.path.parent
            target = (base / unquote(file).lstrip('/') if file else page.path).resolve()
            if copies in target.parents: target = notebooks / target.relative_to(copies)
            if not target.exists(): found += page.say([f'{address} leads nowhere'])
            elif anchor and target in known and anchor not in known[target]:
                found += page.say([f'{address} has no such place'])
    return found


def faulty_markup(page: Page) -> list[str]:
    "Tags of raw HTML that do not match, pictures without alt text."
    faults = Html('\n'.join(page.raw)).faults
    silent = re.findall(r'!\[\s*\]\(([^)]*)\)', page.prose)
    return page.say(faults + [f'no alt text for {source}' for source in silent])


def unbalanced_divs(page: Page) -> list[str]:
    "Fenced divs that are not closed, or closed twice."
    depth = 0
    for line in re.findall(r'^:::+ *(.*)$', page.markdown, re.M):
        depth += 1 if line else -1
        if depth < 0: break
    return page.say(['fenced divs do not match'] if depth else [])


def widgets(page: Page) -> list[str]:
    "Outputs for whose sake Quarto would fetch scripts from another host."
    return page.say(f'output of type {kind}' for output in page.outputs
                    for kind in WIDGETS & set(output.get('data', {})))


def idle_outputs(page: Page) -> list[str]:
    "Outputs that tell a reader nothing: names of objects, folders of a moment."
    texts = [''.join(o.get('text', '')) or ''.join(o['data'].get('text/plain', ''))
             for o in page.outputs
             if not any(kind.startswith('image/') for kind in o.get('data', {}))]
    return page.say(found[0] for text in texts if (found := IDLE.search(text)))


def foreign_loads(name: str, text: str) -> list[str]:
    "Addresses of other hosts that HTML, a style sheet or a script would load from."
    loads = Html(text).loads + IN_STYLE.findall(text) + IN_SCRIPT.findall(text)
    return sorted({f'{name} loads {address}'
                   for address in loads if ELSEWHERE.match(address)})


def heavy_files(site: Path) -> list[str]:
    "Files that a visitor would wait for."
    sizes = {path: path.stat().st_size for path in sorted(site.rglob('*'))
             if path.is_file() and path.suffix not in HEAVY}
    return [f'{path.relative_to(site)}: {size / 1e6:.1f} MB'
            for path, size in sizes.items() if size > LIMIT]


def dead_address(path: Path, address: str, pages: dict[Path, Html]) -> str:
    "What is wrong with an address on the built page `path`, or nothing."
    file, _, anchor = address.partition('#')
    file = unquote(file.split('?')[0])
    # It is served in the place of any page, so its addresses start at the host's root.
    if file.startswith('/') and path.name == '404.html': return ''
    target = path.parent / file if file else path
    if target.is_dir(): target /= 'index.html'
    if not target.exists(): return 'leads nowhere'
    there = pages.get(target.resolve())
    if not anchor or not there or unquote(anchor) in there.anchors: return ''
    return 'has no such place'


def built_faults(site: Path) -> list[str]:
    "What is wrong with the site in the folder `site`, as Quarto has built it."
    site = site.resolve()
    pages = {path: Html(path.read_text()) for path in sorted(site.rglob('*.html'))}
    found = heavy_files(site)
    for path in sorted(site.rglob('*.css')):
        found += [f'{path.relative_to(site)} loads {address}'
                  for address in IN_STYLE.findall(path.read_text())]
    for path, page in pages.items():
        faults = [f' loads {address}'
                  for address in page.loads if ELSEWHERE.match(address)]
        faults += [f': no alt text for {source}' for source in page.silent]
        for address in filter(local, page.links + page.loads):
            wrong = dead_address(path, address, pages)
            if wrong: faults.append(f': {address} {wrong}')
        found += [f'{path.relative_to(site)}{fault}' for fault in faults]
    return found
