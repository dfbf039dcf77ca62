"""Step 3 of `make docs`, between nbdev's processing and Quarto: all pages that are not
notebooks. `python tools/site_pages.py [PAGES]` (default: `_proc`) puts the fragment of
the Enhance page into its page, tables and figures into that of the results, cards into
that of the chapters, the citation into About, and adds a page for each module."""
import sys
from pathlib import Path

import yaml
from notebooks import NBS, ROOT, below, cells, number_of, without_links
from site_api import write_api
from site_processors import FOLDER, cards, picture_name, thumbnail
from site_results import results_page

MARKER = '<!-- the fragment enhance/fragment.html -->'
CARDS, CITATION = '<!-- the cards of the chapters -->', '<!-- how to cite -->'
PARTS = {'0': 'The story', '1': 'Real pictures', '2': 'The workshop',
         'p': 'The drawn portraits'}  # by the beginning of the path of a notebook


def enhance_page(page: str, fragment: str) -> str:
    """The Markdown `page` with the HTML `fragment` in the place of its marker. Raises
    ValueError if there is not one such place."""
    if page.count(MARKER) != 1:
        raise ValueError(f'enhance.qmd must have the line {MARKER} once')
    return page.replace(MARKER, f'```{{=html}}\n{fragment.strip()}\n```')


def series(notebooks: Path) -> dict[str, str]:
    "Path from `notebooks`, without suffix → first cell, of each chapter in order."
    paths = [path for path in below(notebooks) if path.stem[:1].isdigit()]
    return {path.relative_to(notebooks).with_suffix('').as_posix():
            cells(path)[0]['source'] for path in paths}


def chapters_page(page: str, notebooks: Path) -> str:
    "The Markdown `page` with a card for each chapter, in the parts of the series."
    sections = []
    for start, part in PARTS.items():
        rows = []
        for stem, first in series(notebooks).items():
            if not stem.startswith(start): continue
            title, _, subtitle = first.partition('\n')
            said = without_links(subtitle.strip('\n> ').split('\n')[0])
            rows.append((number_of(stem) + title.strip('# '), f'{stem}.ipynb',
                         said + ('' if said[-1] in '.?!' else '.')))
        sections.append(f'## {part}\n\n{cards(rows, notebooks)}')
    return page.replace(CARDS, '\n'.join(sections))


def citation() -> str:
    "Markdown: how to cite the project, from CITATION.cff."
    said = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    names = ', '.join(author['name'] for author in said['authors'])
    year = str(said['date-released'])[:4]
    lines = ['```bibtex', f'@software{{{said["title"]},',
             f'  author  = {{{{{names}}}}},', f'  title   = {{{said["title"]}}},',
             f'  version = {{{said["version"]}}},', f'  year    = {{{year}}},',
             f'  license = {{{said["license"]}}}', '}', '```']
    return '\n'.join(lines)


def write_thumbnails(notebooks: Path, pages: Path) -> None:
    "The pictures of all cards, below `pages`."
    (pages / FOLDER).mkdir(parents=True, exist_ok=True)
    for stem in series(notebooks):
        name, content = thumbnail(notebooks / f'{stem}.ipynb')
        (pages / FOLDER / picture_name(stem, name)).write_bytes(content)


def make_pages(notebooks: Path, pages: Path) -> None:
    "All pages that are not notebooks, from the folder `notebooks` into `pages`."
    fragment = (notebooks / 'enhance' / 'fragment.html').read_text()
    made = {'enhance': lambda page: enhance_page(page, fragment),
            'results': results_page,
            'chapters': lambda page: chapters_page(page, notebooks),
            'about': lambda page: page.replace(CITATION, citation())}
    for name, make in made.items():
        page = (notebooks / f'{name}.qmd').read_text()
        (pages / f'{name}.qmd').write_text(make(page))
    write_thumbnails(notebooks, pages)
    write_api(notebooks, pages)


if __name__ == '__main__':
    make_pages(NBS, Path(sys.argv[1]) if sys.argv[1:] else ROOT / '_proc')
