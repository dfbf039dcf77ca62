"""Step 2 of `make docs`: what nbdev does to each notebook, beyond its own processing,
when it makes a page of it. `procs` in settings.ini names the six classes, in their
order."""
import re
from base64 import b64decode
from functools import cache
from html import escape
from importlib import import_module
from io import BytesIO
from pathlib import Path

import yaml
from execnb.nbio import mk_cell
from nbdev.config import get_config
from nbdev.process import Processor
from notebooks import PACKAGE, api_page, cells, number_of, to_root
from PIL import Image

GITHUB = 'https://github.com/'
COLAB = 'https://colab.research.google.com/github/'


def name_of(nb) -> str:
    "The path of a notebook from `nbs/`, as in an address."
    folder = get_config().nbs_path.resolve()
    return Path(nb.path_).resolve().relative_to(folder).as_posix()


# Links under the title. Quarto itself links to the source (`repo-actions`).

def colab_link(git_url: str, branch: str, name: str) -> str:
    "A Markdown link that opens the notebook `name` in Colab, if it is on GitHub."
    if not git_url.startswith(GITHUB): return ''
    repo = git_url.removeprefix(GITHUB)
    return f'[Open in Colab]({COLAB}{repo}/blob/{branch}/nbs/{name})'


def download_link(name: str) -> str:
    """A Markdown link to the notebook `name` as a file; site_finish.py puts it there.
    `noresolveinput` keeps Quarto from making it a link to the page."""
    address = f'{to_root(name)}notebooks/{name}'
    options = f'download="{Path(name).name}" noresolveinput=""'
    return f'[Download this notebook]({address}){{{options}}}'


HOME = dict(toc=False, sidebar=False)


def front_matter(source: str, name: str) -> str:
    """What the page of the notebook `name` says of itself: its title with its number,
    and a file named after the notebook (nbdev: after its module; but enhance.html is
    the page of enhance.qmd). The home page has no bars."""
    said = yaml.safe_load(source.strip().strip('-'))
    said |= {'title': number_of(name) + said['title'],
             'output-file': f'{Path(name).stem}.html'}
    if name == 'index.ipynb': said |= HOME
    return f'---\n{yaml.safe_dump(said, allow_unicode=True, sort_keys=False)}---\n'


class PageLinks(Processor):
    "Gives a page its title and file, and puts links under the title."
    def end(self):
        cfg, name, cells = get_config(), name_of(self.nb), self.nb.cells
        cells[0].source = front_matter(cells[0].source, name)
        if name == 'index.ipynb': return
        colab = colab_link(cfg.get('git_url', '').rstrip('/'), cfg.branch, name)
        links = ' · '.join(filter(None, [colab, download_link(name)]))
        cells.insert(1, mk_cell(f'::: {{.page-links}}\n{links}\n:::', 'markdown'))


# Names of the package in the prose.

# Code, headings, links and pictures stay as they are.
SKIPPED = re.compile(r'(^```.*?^```\w*$|^#.*?$|!?\[[^\]]*\]\([^)]*\))', re.M | re.S)
NAME = re.compile(r'`([A-Za-z_]\w+)`')


@cache
def places() -> dict[str, str]:
    """Public functions and classes → their place in the API, from the root of the site;
    of those names that only one module has. nbdev has noted them in `_modidx.py`."""
    found = {}
    for module, symbols in import_module(f'{PACKAGE}._modidx').d['syms'].items():
        for symbol in symbols:
            name = symbol.removeprefix(f'{module}.')
            if '.' in name or name[0] == '_': continue
            found.setdefault(name, []).append(f'api/{api_page(module)}#{name}')
    return {name: where[0] for name, where in found.items() if len(where) == 1}


def link_names(text: str, known: dict[str, str]) -> str:
    """Markdown `text` with a link at the first mention of each of the `known` names,
    which are then taken out of these."""
    def link(match) -> str:
        place = known.pop(match[1], None)
        return f'[{match[0]}]({place})' if place else match[0]
    parts = SKIPPED.split(text)
    return ''.join(part if odd % 2 else NAME.sub(link, part)
                   for odd, part in enumerate(parts))


class Symbols(Processor):
    "Links the first mention of each name of the package to its place in the API."
    def end(self):
        root = to_root(name_of(self.nb))
        known = {name: root + place for name, place in places().items()}
        for cell in self.nb.cells:
            if cell.cell_type != 'markdown': continue
            cell.source = link_names(cell.source, known)


# Before and after. A pair is a code cell whose output is two pictures, with
# `#| slider: Before, after` beside its label, caption and alt text; or a Markdown cell
# that starts with `<!-- slider: Before, after -->`, has two pictures, and ends with
# their caption. In the notebook itself they stay plain pictures.

SCRIPT = 'vendor/img-comparison-slider/index.js'
DIRECTIVE = re.compile(r'^#\| (slider|label|fig-cap|fig-alt): *"?(.*?)"?\n', re.M)
COMMENT = re.compile(r'<!-- slider: (.*?) -->\n')
PICTURE = re.compile(r'!\[(.*?)\]\((.*?)\)\s*')
JPEG = 'image/jpeg'
SLIDER = '''::: {{#{label}}}
```{{=html}}
<div class="slider">
<img-comparison-slider>
{pictures}
</img-comparison-slider>
<div class="slider-names" aria-hidden="true">{sides}</div>
</div>
<script defer src="{script}"></script>
```

{caption}
:::'''


def slider(
    sources: list[str], # addresses of the two pictures, before and after
    alts: list[str], # what each shows
    names: list[str], # what each is called, in a few letters
    caption: str, # Markdown
    label: str, # of the figure, e.g. `fig-pair`
    root: str = '', # from the page to the root of the site
) -> str: # Markdown
    """A figure that can be referred to, with the pair in raw HTML that shows both
    pictures where there is no JavaScript. Raises ValueError if it is no pair."""
    if len(sources) != 2 or len(names) != 2:
        raise ValueError(f'{label}: a slider takes two pictures and two names, '
                         f'not {len(sources)} and {names}')
    pictures = '\n'.join(
        f'<img slot="{slot}" src="{source}" alt="{escape(alt)}">'
        for slot, source, alt in zip(('first', 'second'), sources, alts))
    sides = ''.join(f'<span>{escape(name.capitalize())}</span>' for name in names)
    return SLIDER.format(label=label, pictures=pictures, sides=sides,
                         script=root + SCRIPT, caption=caption)


def split_names(text: str) -> list[str]:
    return [name.strip() for name in text.split(',')]


def pictures_of(cell) -> list[str]:
    "The JPEG pictures among the outputs of `cell`, as addresses that hold the data."
    found = [output['data'][JPEG] for output in cell.get('outputs', [])
             if JPEG in output.get('data', {})]
    return [f'data:{JPEG};base64,' + ''.join(data).replace('\n', '') for data in found]


def from_code(cell, root: str = '') -> str:
    "The slider of a code cell, which loses its pictures and what was said of them."
    said, sources = dict(DIRECTIVE.findall(cell.source)), pictures_of(cell)
    names = split_names(said['slider'])
    cell.source = DIRECTIVE.sub('', cell.source)
    cell['outputs'] = [o for o in cell.outputs if JPEG not in o.get('data', {})]
    alts = [f'{name}: {said["fig-alt"]}' for name in names]
    return slider(sources, alts, names, said['fig-cap'], said['label'], root)


def from_markdown(source: str, root: str = '') -> str:
    "The slider of a Markdown cell."
    names = split_names(COMMENT.match(source)[1])
    alts, sources = zip(*PICTURE.findall(source))
    caption = PICTURE.sub('', COMMENT.sub('', source)).strip()
    return slider(list(sources), list(alts), names, caption, 'fig-before-after', root)


class Sliders(Processor):
    "Replaces each pair of a page by a slider."
    def end(self):
        root, made = to_root(name_of(self.nb)), []
        for cell in self.nb.cells:
            made.append(cell)
            if cell.cell_type == 'markdown' and COMMENT.match(cell.source):
                cell.source = from_markdown(cell.source, root)
            if cell.cell_type == 'code' and '#| slider: ' in cell.source:
                made.append(mk_cell(from_code(cell, root), 'markdown'))
        self.nb.cells = made


# Solutions: a note that is folded becomes an element that every browser can open, by
# keyboard and without JavaScript.

FOLDED = re.compile(r'^:::+ \{\.callout-\w+ ([^}]*collapse="true"[^}]*)\}\n', re.M)
DETAILS = '''```{{=html}}
<details class="solution"><summary>{title}</summary>
```

{text}

```{{=html}}
</details>
```'''


def closing(text: str) -> int:
    "Where the fenced div that is open at the start of `text` is closed."
    depth = 1
    for line in re.finditer(r'^:::+ *(.*)$', text, re.M):
        depth += 1 if line[1] else -1
        if not depth: return line.start()
    raise ValueError(f'a folded note is never closed: {text[:60]}')


def unfolded(text: str) -> str:
    "Markdown whose folded notes are elements of HTML."
    found = FOLDED.search(text)
    if not found: return text
    rest = text[found.end():]
    end = closing(rest)
    title = re.search(r'title="([^"]*)"', found[1])
    made = DETAILS.format(title=escape(title[1] if title else 'More'),
                          text=rest[:end].strip())
    return text[:found.start()] + made + unfolded(re.sub('^:::+', '', rest[end:]))


class Solutions(Processor):
    "Makes the solutions of exercises elements that open by keyboard."
    def end(self):
        for cell in self.nb.cells:
            if cell.cell_type == 'markdown': cell.source = unfolded(cell.source)


# Outputs: a folder that a cell made for a moment is nobody's.

MOMENTARY = re.compile(r'/tmp/tmp\w+/')


class Outputs(Processor):
    "Leaves the names of temporary folders out of what cells have printed."
    def end(self):
        for cell in self.nb.cells:
            for output in cell.get('outputs', []):
                if 'text' not in output: continue
                text = ''.join(output['text'])
                output['text'] = MOMENTARY.sub('', text)


# Cards: tables of the home page whose rows are links, and those of the page Chapters.

ROW = re.compile(r'^\| \[(.*?)\]\((\S+?)\) \| (.*?) \|$', re.M)
TABLE = re.compile(r'\| \| \|\n\|:--\|:--\|\n(\| \[.*\n?)+')
FOLDER = 'images/chapters'
# Page or part of one → the chapter that has its picture.
PICTURED = {'chapters.qmd#the-story': '00_data', 'results.qmd': '14_evaluate',
            'chapters.qmd#real-pictures': '13_enhance',
            'chapters.qmd#the-workshop': '21_compute'}
SIZE = 400, 250  # of a picture, pixels
# Figures that stand for their chapters, where it is not the first with a picture in it;
# of two in one chapter the earlier here.
CHOSEN = ('fig-blurs', 'fig-unet', 'fig-kl', 'fig-progress', 'fig-quality', 'fig-exact',
          'fig-pairs', 'fig-conditions', 'fig-likelihood', 'fig-enhanced', 'fig-alpha',
          'fig-links')
CARD = '''<li><a href="{page}"><img src="{picture}" alt="" width="{width}" \
height="{height}" loading="lazy"><strong>{title}</strong><span>{text}</span></a></li>'''


def figures(notebook: Path) -> dict[str, tuple[str, bytes]]:
    "Label → (suffix, content) of each figure of `notebook`, in order."
    found = {}
    for cell in cells(notebook):
        label = re.search(r'^#\| label: (fig-\S+)', cell['source'], re.M)
        if not label or label[1] in found: continue
        for output in cell.get('outputs', []):
            data = output.get('data', {})
            if JPEG in data: found[label[1]] = 'jpg', b64decode(''.join(data[JPEG]))
            elif 'image/svg+xml' in data:
                found[label[1]] = 'svg', ''.join(data['image/svg+xml']).encode()
            if label[1] in found: break
    return found


def thumbnail(notebook: Path) -> tuple[str, bytes]: # name of the file, content
    "The figure that stands for `notebook`: a curve as it is, a picture cut to `SIZE`."
    known = figures(notebook)
    first = next((name for name, (kind, _) in known.items() if kind == 'jpg'),
                 next(iter(known)))
    suffix, content = known[next(filter(known.__contains__, CHOSEN), first)]
    if suffix == 'svg': return f'{notebook.stem}.svg', content
    picture = Image.open(BytesIO(content)).convert('RGB')
    width, height = picture.size
    scale = max(SIZE[0] / width, SIZE[1] / height)
    half, middle = SIZE[0] / scale / 2, width / 2
    box = (middle - half, 0, middle + half, SIZE[1] / scale)
    out = BytesIO()
    picture.resize(SIZE, Image.Resampling.LANCZOS, box).save(out, 'JPEG', quality=80)
    return f'{notebook.stem}.jpg', out.getvalue()


def picture_name(stem: str, name: str) -> str:
    "What the picture of a chapter is called: portraits/00_brush is not 00_data."
    return stem.replace('/', '-') + Path(name).suffix


def card(title: str, address: str, text: str, picture: str) -> str:
    """One card: a link around picture, title and a line of text. The picture says
    nothing that the title does not."""
    return CARD.format(page=address, picture=f'{FOLDER}/{picture}',
                       width=SIZE[0], height=SIZE[1], title=escape(title),
                       text=re.sub(r'`([^`]+)`', r'<code>\1</code>', escape(text)))


def cards(rows: list[tuple[str, str, str]], folder: Path) -> str:
    """Markdown of cards of title, address and text, with pictures of the notebooks in
    `folder`."""
    made = []
    for title, address, text in rows:
        stem = PICTURED.get(address, address.removesuffix('.ipynb'))
        name = picture_name(stem, thumbnail(folder / f'{stem}.ipynb')[0])
        made.append(card(title, address, text, name))
    few = ' four' if len(made) == 4 else ''
    lines = ['```{=html}', f'<ul class="chapters{few}">', *made, '</ul>', '```', '']
    return '\n'.join(lines)


class Cards(Processor):
    "Replaces each table of the home page whose rows are links by cards."
    def end(self):
        if name_of(self.nb) != 'index.ipynb': return
        folder = Path(self.nb.path_).parent
        for cell in self.nb.cells:
            if cell.cell_type != 'markdown': continue
            cell.source = TABLE.sub(
                lambda found: cards(ROW.findall(found[0]), folder), cell.source)
