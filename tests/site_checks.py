"What can be said of a site's pages before Quarto has rendered them: each function lists what is wrong, one line each."
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import yaml
from site_finish import ELSEWHERE, IN_STYLE, local
from site_finish import Page as Built

VOID = {'area', 'base', 'br', 'col', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'}
RAW = re.compile(r'^```\{=html\}\n(.*?)^```$', re.M | re.S)
FENCED = re.compile(r'^(`{3,}|~{3,}).*?^\1`*$', re.M | re.S)
ASSEMBLED = re.compile(r'vendor/|enhance/(samples|model)/')
WIDGETS = {'text/html', 'application/javascript', 'application/vnd.jupyter.widget-view+json'}


class Page:
    "A processed page: its Markdown, the code of its cells, the raw HTML in it, its front matter, its outputs."
    def __init__(self, path: Path):
        self.path, self.cells = path, []
        if path.suffix == '.ipynb': self.cells = json.loads(path.read_text())['cells']
        texts = {kind: [''.join(c['source']) for c in self.cells if c['cell_type'] == kind] for kind in ('raw', 'markdown', 'code')}
        self.code, whole = texts['code'], '\n\n'.join(texts['raw'] + texts['markdown']) if self.cells else path.read_text()
        _, front, self.markdown = whole.split('---\n', 2)
        self.front, self.raw = yaml.safe_load(front), RAW.findall(self.markdown)
        self.prose = re.sub(r'`[^`\n]+`', '', FENCED.sub('', self.markdown))
        self.outputs = [o for c in self.cells for o in c.get('outputs', [])]

    def output(self) -> str: return self.front.get('output-file', f'{self.path.stem}.html')


def unknown_keys(given, known, where='') -> list[str]:
    "Keys of `given` that `known` does not have; a list in `known` describes each item of a list."
    if known is None: return []
    if isinstance(given, list): return [f for item in given for f in unknown_keys(item, known[0] if isinstance(known, list) else known, where)]
    if not isinstance(given, dict) or not isinstance(known, dict): return []
    return [f for key, value in given.items()
            for f in ([f'{where}{key}: Quarto has no such key'] if key not in known else unknown_keys(value, known[key], f'{where}{key}.'))]


def slug(heading: str) -> str:
    "The anchor that Pandoc gives to a heading."
    text = re.sub(r'[^\w\s.-]', '', re.sub(r'\]\([^)]*\)', '', heading).replace('`', '').lower())
    return re.sub(r'^[^a-z]+', '', re.sub(r'\s+', '-', text.strip()))


def anchors(page: Page) -> set[str]:
    "What can be linked to in a page."
    headings = re.findall(r'^#+ (.*?)(?: \{#([\w.-]+)\})?$', FENCED.sub('', page.markdown), re.M)
    labels = re.findall(r'^#\| label: (\S+)', '\n'.join(page.code), re.M)
    return {given or slug(text) for text, given in headings} | set(labels) | set(re.findall(r'\{#([\w-]+)', page.markdown))


def dead_references(page: Page) -> list[str]:
    "Cross-references without a target in the same page: Quarto resolves no others on a website."
    wanted = re.findall(r'(?<![\w.@])@((?:fig|eq|tbl|sec)-[\w-]+)', page.prose)
    return [f'{page.path.name}: @{name} refers to nothing' for name in wanted if name not in anchors(page)]


def links(page: Page, assembled: bool = False) -> list[str]:
    "Addresses within the site, without (or with) those of files that are assembled for the site and not committed."
    built = [Built(raw) for raw in page.raw]
    found = re.findall(r'\]\(([^)\s]+)\)', page.prose) + [address for b in built for address in b.links + b.loads]
    return [address for address in found if local(address) and (assembled or not ASSEMBLED.match(address))]


def dead_links(pages: list[Page], root: Path, notebooks: Path) -> list[str]:
    "Links within the site that lead nowhere, to a page by its source and to a place in it by its anchor."
    known = {page.path.resolve(): anchors(page) for page in pages}
    found = []
    for page in pages:
        for address in links(page):
            file, _, anchor = address.partition('#')
            base = root if file.startswith('/') else page.path.parent
            target = (base / unquote(file).lstrip('/')).resolve() if file else page.path.resolve()
            copies = (root / 'notebooks').resolve()
            if copies in target.parents: target = notebooks / target.relative_to(copies)
            if not target.exists(): found.append(f'{page.path.name}: {address} leads nowhere')
            elif anchor and target in known and anchor not in known[target]: found.append(f'{page.path.name}: {address} has no such place')
    return found


class Markup(HTMLParser):
    "Tags that do not match, and pictures without alt text; an empty one is for a picture inside a link or button with words."
    def __init__(self, text: str):
        super().__init__()
        self.open, self.faults = [], []
        self.feed(text)
        self.close()
        self.faults += [f'<{tag}> is never closed' for tag in self.open]

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        if tag == 'img' and not said.get('alt') and ('alt' not in said or not {'a', 'button'} & set(self.open)):
            self.faults.append(f'no alt text for {said.get("src", "a picture")[:60]}')
        if tag not in VOID: self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID: return
        if not self.open or self.open[-1] != tag: self.faults.append(f'</{tag}> closes nothing')
        else: self.open.pop()


def faulty_markup(page: Page) -> list[str]:
    silent = re.findall(r'!\[\s*\]\(([^)]*)\)', page.prose)
    return [f'{page.path.name}: {fault}' for raw in page.raw for fault in Markup(raw).faults] + \
           [f'{page.path.name}: no alt text for {source}' for source in silent]


def foreign_loads(name: str, text: str) -> list[str]:
    "Addresses of other hosts that HTML, a style sheet or a script would load from."
    loads = Built(text).loads + IN_STYLE.findall(text)
    loads += re.findall(r'''(?:import|from|fetch|Worker|URL|importScripts|src\s*=|href\s*=)\s*\(?\s*['"`]((?:https?:)?//[^'"`]+)''', text)
    return sorted({f'{name} loads {address}' for address in loads if ELSEWHERE.match(address)})


def widgets(page: Page) -> list[str]:
    "Outputs for whose sake Quarto would fetch scripts from another host."
    return [f'{page.path.name}: output of type {kind}' for o in page.outputs for kind in WIDGETS & set(o.get('data', {}))]


def unknown_options(page: Page, known: list[str], callouts: list[str]) -> list[str]:
    "Options of cells and callouts that Quarto does not know."
    options = re.findall(r'^#\|\s*([\w-]+)', '\n'.join(page.code), re.M)
    said = re.findall(r'''([\w-]+)=["']''', ' '.join(re.findall(r'^:::+ \{\.callout-\w+ (.*)\}$', page.markdown, re.M)))
    return [f'{page.path.name}: {name}' for name in options if name not in known] + \
           [f'{page.path.name}: {name} of a callout' for name in said if name not in callouts]


def unbalanced_divs(page: Page) -> list[str]:
    "Fenced divs that are not closed, or closed twice."
    depth = 0
    for line in re.findall(r'^:::+ *(.*)$', page.markdown, re.M):
        depth += 1 if line else -1
        if depth < 0: break
    return [f'{page.path.name}: fenced divs do not match'] if depth else []
