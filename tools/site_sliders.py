"""Before/after pairs become sliders on the site and stay plain pictures in the notebook. nbdev calls `Sliders` for every
page (`procs` in settings.ini). A pair is

- a code cell whose output is two pictures, with `#| slider: Before, after` beside its label, caption and alt text; or
- a Markdown cell that starts with `<!-- slider: Before, after -->`, has two pictures, and ends with their caption.
"""
import re
from html import escape

from execnb.nbio import mk_cell
from nbdev.process import Processor

SCRIPT = '<script defer src="vendor/img-comparison-slider/index.js"></script>'
DIRECTIVE = re.compile(r'^#\| (slider|label|fig-cap|fig-alt): *"?(.*?)"?\n', re.M)
COMMENT = re.compile(r'<!-- slider: (.*?) -->\n')
PICTURE = re.compile(r'!\[(.*?)\]\((.*?)\)\s*')
JPEG = 'image/jpeg'


def slider(
    sources: list[str], # addresses of the two pictures, before and after
    alts: list[str], # what each shows
    names: list[str], # what each is called, in a few letters
    caption: str, # Markdown
    label: str, # of the figure, e.g. `fig-pair`
) -> str: # Markdown
    "A figure that can be referred to, with the pair in raw HTML that shows both pictures where there is no JavaScript."
    if len(sources) != 2 or len(names) != 2: raise ValueError(f'{label}: a slider takes two pictures and two names, not {len(sources)} and {names}')
    pictures = '\n'.join(f'<img slot="{slot}" src="{source}" alt="{escape(alt)}">'
                         for slot, source, alt in zip(('first', 'second'), sources, alts))
    sides = ''.join(f'<span>{escape(name.capitalize())}</span>' for name in names)
    return (f'::: {{#{label}}}\n```{{=html}}\n<div class="slider">\n<img-comparison-slider>\n{pictures}\n</img-comparison-slider>\n'
            f'<div class="slider-names" aria-hidden="true">{sides}</div>\n</div>\n{SCRIPT}\n```\n\n{caption}\n:::')


def pictures_of(cell) -> list[str]:
    "The JPEG pictures among the outputs of `cell`, as addresses that hold the data themselves."
    found = [o['data'][JPEG] for o in cell.get('outputs', []) if JPEG in o.get('data', {})]
    return [f'data:{JPEG};base64,' + ''.join(picture).replace('\n', '') for picture in found]


def from_code(cell) -> str:
    "The slider of a code cell, which loses its pictures and what was said of them."
    said, sources = dict(DIRECTIVE.findall(cell.source)), pictures_of(cell)
    names = [name.strip() for name in said['slider'].split(',')]
    cell.source = DIRECTIVE.sub('', cell.source)
    cell['outputs'] = [o for o in cell.outputs if JPEG not in o.get('data', {})]
    return slider(sources, [f'{name}: {said["fig-alt"]}' for name in names], names, said['fig-cap'], said['label'])


def from_markdown(source: str) -> str:
    "The slider of a Markdown cell."
    names = [name.strip() for name in COMMENT.match(source)[1].split(',')]
    alts, sources = zip(*PICTURE.findall(source))
    return slider(list(sources), list(alts), names, PICTURE.sub('', COMMENT.sub('', source)).strip(), 'fig-before-after')


class Sliders(Processor):
    "Replaces each pair of a page."
    def end(self):
        cells = []
        for cell in self.nb.cells:
            if cell.cell_type == 'markdown' and COMMENT.match(cell.source): cell.source = from_markdown(cell.source)
            pair = from_code(cell) if cell.cell_type == 'code' and '#| slider: ' in cell.source else None
            cells += [cell] if pair is None else [cell, mk_cell(pair, 'markdown')]
        self.nb.cells = cells
