"""A page for each module of the package, from signatures, their comments and docstrings: `write_api(notebooks, pages)`."""
import inspect
import json
import re
import textwrap
from importlib import import_module
from pathlib import Path

from nbdev.showdoc import BasicMarkdownRenderer, show_doc
from notebooks import below

PACKAGE = 'deblur_vae'


def chapters(notebooks: Path) -> dict[str, tuple[str, str, str]]: # module → file of its notebook, title, subtitle
    "The notebooks that export a module, in order; links are taken out of subtitles."
    found = {}
    for path in below(notebooks):
        text = '\n'.join(''.join(cell['source']) for cell in json.loads(path.read_text())['cells'])
        title, module = re.match(r'# (.*)\n\n> (.*)', text), re.search(r'^#\| default_exp ([\w.]+)', text, re.M)
        if module: found[module[1]] = (path.relative_to(notebooks).as_posix(), title[1], re.sub(r'\[(.*?)\]\(.*?\)', r'\1', title[2]))
    return found


def address(module: str) -> str:
    "Where the page of a module lies below api/: a sub-package is a folder."
    return f'{module.replace(".", "/")}.qmd'


def public(module) -> dict[str, object]:
    "What the module defines for others, in the order of its source."
    return {name: value for name in module.__all__ if getattr(value := getattr(module, name), '__module__', module.__name__) == module.__name__}


def methods(kind: type) -> dict[str, object]:
    "Documented public methods of a class, its own and not inherited."
    own = {name: getattr(value, '__func__', value) for name, value in vars(kind).items() if name[0] != '_'}
    return {name: f for name, f in own.items() if inspect.isfunction(f) and f.__doc__}


def signature(thing) -> str:
    "A Python block: how `thing` is called, with the comments on its parameters."
    if inspect.isclass(thing) and issubclass(thing, BaseException):
        return f'```python\nclass {thing.__name__}({thing.__base__.__name__})\n```'
    shown = show_doc(thing, renderer=BasicMarkdownRenderer)._repr_markdown_()
    block = re.search(r'```python\n.*?\n```', shown, re.S)[0]
    return block.replace('def ', 'class ', 1) if inspect.isclass(thing) else block


def with_examples(docstring: str) -> str:
    "A docstring whose examples, up to a blank line each, are blocks of Python: Markdown would quote them."
    block = lambda lines: f'\n```python\n{textwrap.dedent(lines[0])}\n```'
    return re.sub(r'^ *>>> .*(?:\n.*\S.*)*', block, docstring, flags=re.M)


def entry(name: str, thing, level: int) -> str:
    "Heading, signature and docstring of a function or class."
    docstring = with_examples(inspect.getdoc(thing) or '')
    return '\n\n'.join([f'{"#" * level} `{name}` {{#{name}}}', signature(thing), docstring])


def page(name: str, chapter: tuple[str, str, str]) -> str:
    "The page of a module."
    module, (notebook, title, subtitle) = import_module(f'{PACKAGE}.{name}'), chapter
    parts = [f'---\ntitle: {json.dumps(f"{PACKAGE}.{name}")}\ndescription: {json.dumps(subtitle, ensure_ascii=False)}\n---',
             f'Written, explained and tested in [{title}]({"../" * (name.count(".") + 1)}{notebook}).']
    constants = []
    for symbol, thing in public(module).items():
        if not callable(thing): constants.append(f'`{symbol}`')
        else:
            parts.append(entry(symbol, thing, 2))
            if inspect.isclass(thing): parts += [entry(f'{symbol}.{m}', f, 3) for m, f in methods(thing).items()]
    if constants: parts.insert(2, f'Constants: {", ".join(constants)}.')
    return '\n\n'.join(parts) + '\n'


def write_api(notebooks: Path, pages: Path) -> None:
    "The pages, and one that lists them, into `pages`/api."
    folder, known = pages / 'api', chapters(notebooks)
    folder.mkdir(parents=True, exist_ok=True)
    for name, chapter in known.items():
        (folder / address(name)).parent.mkdir(exist_ok=True)
        (folder / address(name)).write_text(page(name, chapter))
    lines = [f'[`{PACKAGE}.{name}`]({address(name)})\n: {subtitle} Chapter: [{title}](../{notebook}).'
             for name, (notebook, title, subtitle) in known.items()]
    (folder / 'index.qmd').write_text(
        '---\ntitle: API\ndescription: One page for each module, from the signatures and docstrings of the package.\n---\n\n'
        + '\n\n'.join(lines) + '\n')
