"""The notebooks of the series, the modules that they export, and where the pages of
both lie on the site. No step by itself: the others ask it."""
import json
import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
NBS = ROOT / 'nbs'
PACKAGE = 'deblur_vae'


def below(folder: Path, pattern: str = '*.ipynb') -> list[Path]:
    "Files of `folder` and its folders, sorted; not what is hidden or left by a run."
    return [path for path in sorted(folder.rglob(pattern))
            if not any(part[0] in '._' or part == 'runs'
                       for part in path.relative_to(folder).parent.parts)]


def cells(notebook: Path) -> list[dict]:
    "The cells of a notebook; `source` is one text."
    found = json.loads(notebook.read_text())['cells']
    for cell in found: cell['source'] = ''.join(cell['source'])
    return found


class Chapter(NamedTuple):
    "A notebook that exports a module."
    notebook: str  # from nbs/, e.g. portraits/00_brush.ipynb
    title: str
    subtitle: str  # without links


def chapters(notebooks: Path) -> dict[str, Chapter]:
    "Module, without the name of the package → its chapter, in order."
    found = {}
    for path in below(notebooks):
        text = '\n'.join(cell['source'] for cell in cells(path))
        heading = re.match(r'# (.*)\n\n> (.*)', text)
        module = re.search(r'^#\| default_exp ([\w.]+)', text, re.M)
        if not module: continue
        name = path.relative_to(notebooks).as_posix()
        found[module[1]] = Chapter(name, heading[1], without_links(heading[2]))
    return found


def numbered(chapter: Chapter) -> str:
    "Title of a chapter as its page has it: with its number, but for the appendices."
    return number_of(chapter.notebook) + chapter.title


def number_of(notebook: str) -> str:
    "The number of a notebook, given by its path from nbs/, and a space; or nothing."
    found = re.match(r'(\d\d)_', notebook)
    return f'{found[1]} ' if found else ''


def without_links(text: str) -> str: return re.sub(r'\[(.*?)\]\(.*?\)', r'\1', text)


def to_root(page: str) -> str:
    "From a page, given by its path from the root of the site, back to the root."
    return '../' * page.count('/')


def api_page(module: str) -> str:
    "Where the page of a module lies below api/: a sub-package is a folder."
    return f'{module.removeprefix(f"{PACKAGE}.").replace(".", "/")}.qmd'
