"""Step 3 of `make docs`, between nbdev's processing and Quarto: all pages that are not
notebooks. `python tools/site_pages.py [PAGES]` (default: `_proc`) puts the fragment of
the Enhance page into its page, and adds the pictures of the cards on the home page and
a page for each module, made from signatures, the comments in them, and docstrings."""
import inspect
import json
import re
import sys
import textwrap
from importlib import import_module
from pathlib import Path

from nbdev.showdoc import BasicMarkdownRenderer, show_doc
from notebooks import NBS, PACKAGE, ROOT, Chapter, api_page, cells, chapters, to_root
from site_processors import FOLDER, ROW, thumbnail

MARKER = '<!-- the fragment enhance/fragment.html -->'


def enhance_page(page: str, fragment: str) -> str:
    """The Markdown `page` with the HTML `fragment` in the place of its marker. Raises
    ValueError if there is not one such place."""
    if page.count(MARKER) != 1:
        raise ValueError(f'enhance.qmd must have the line {MARKER} once')
    return page.replace(MARKER, f'```{{=html}}\n{fragment.strip()}\n```')


def write_thumbnails(notebooks: Path, pages: Path) -> None:
    "The pictures of the cards of the folder `notebooks`, below `pages`."
    (pages / FOLDER).mkdir(parents=True, exist_ok=True)
    for cell in cells(notebooks / 'index.ipynb'):
        for _, stem, _ in ROW.findall(cell['source']):
            name, content = thumbnail(notebooks / f'{stem}.ipynb')
            (pages / FOLDER / name).write_bytes(content)


def public(module) -> dict[str, object]:
    "What the module defines for others, in the order of its source."
    things = {name: getattr(module, name) for name in module.__all__}
    return {name: thing for name, thing in things.items()
            if getattr(thing, '__module__', module.__name__) == module.__name__}


def methods(kind: type) -> dict[str, object]:
    "Documented public methods of a class, its own and not inherited."
    own = {name: getattr(value, '__func__', value)
           for name, value in vars(kind).items() if name[0] != '_'}
    return {name: f for name, f in own.items() if inspect.isfunction(f) and f.__doc__}


def signature(thing) -> str:
    "A Python block: how `thing` is called, with the comments on its parameters."
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return f'```python\nclass {thing.__name__}({thing.__base__.__name__})\n```'
    shown = show_doc(thing, renderer=BasicMarkdownRenderer)._repr_markdown_()
    block = re.search(r'```python\n.*?\n```', shown, re.S)[0]
    block = re.sub(r'<function (\w+) at 0x\w+>', r'\1', block)  # differs in each run
    return block.replace('def ', 'class ', 1) if inspect.isclass(thing) else block


def with_examples(docstring: str) -> str:
    """A docstring whose examples, up to a blank line each, are blocks of Python:
    Markdown would quote them."""
    def block(found: re.Match) -> str:
        return f'```python\n{textwrap.dedent(found[0])}\n```'
    return re.sub(r'^ *>>> .*(?:\n.*\S.*)*', block, docstring, flags=re.M)


def entry(name: str, thing, level: int) -> str:
    "Heading, signature and docstring of a function or class."
    heading = f'{"#" * level} `{name}` {{#{name}}}'
    docstring = with_examples(inspect.getdoc(thing) or '')
    return '\n\n'.join([heading, signature(thing), docstring])


def entries(name: str, thing) -> list[str]:
    "A function; or a class and its methods."
    found = [entry(name, thing, 2)]
    if inspect.isclass(thing):
        found += [entry(f'{name}.{method}', function, 3)
                  for method, function in methods(thing).items()]
    return found


def module_page(name: str, chapter: Chapter) -> str:
    "The page of a module. It has no source of its own that Quarto could link to."
    title = json.dumps(f'{PACKAGE}.{name}')
    description = json.dumps(chapter.subtitle, ensure_ascii=False)
    front = ['---', f'title: {title}', f'description: {description}',
             'repo-actions: [issue]', '---']
    notebook = to_root(f'api/{api_page(name)}') + chapter.notebook
    things = public(import_module(f'{PACKAGE}.{name}'))
    constants = [f'`{symbol}`' for symbol, thing in things.items()
                 if not callable(thing)]
    parts = ['\n'.join(front),
             f'Written, explained and tested in [{chapter.title}]({notebook}).']
    if constants: parts.append(f'Constants: {", ".join(constants)}.')
    for symbol, thing in things.items():
        if callable(thing): parts += entries(symbol, thing)
    return '\n\n'.join(parts) + '\n'


INDEX = '''---
title: API
description: One page for each module, from the signatures and docstrings \
of the package.
repo-actions: [issue]
---

{modules}
'''


def write_api(notebooks: Path, pages: Path) -> None:
    "The pages of all modules, and one that lists them, into `pages`/api."
    lines, api = [], pages / 'api'
    for name, chapter in chapters(notebooks).items():
        file = api / api_page(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(module_page(name, chapter))
        lines.append(f'[`{PACKAGE}.{name}`]({api_page(name)})\n: {chapter.subtitle} '
                     f'Chapter: [{chapter.title}](../{chapter.notebook}).')
    (api / 'index.qmd').write_text(INDEX.format(modules='\n\n'.join(lines)))


def make_pages(notebooks: Path, pages: Path) -> None:
    "All pages that are not notebooks, from the folder `notebooks` into `pages`."
    page = (notebooks / 'enhance.qmd').read_text()
    fragment = (notebooks / 'enhance' / 'fragment.html').read_text()
    (pages / 'enhance.qmd').write_text(enhance_page(page, fragment))
    write_thumbnails(notebooks, pages)
    write_api(notebooks, pages)


if __name__ == '__main__':
    make_pages(NBS, Path(sys.argv[1]) if sys.argv[1:] else ROOT / '_proc')
