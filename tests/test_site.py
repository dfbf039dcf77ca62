"The site as far as it can be checked without Quarto: what nbdev and tools/site_*.py make of the notebooks."
import io
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path

import pytest
import site_checks as checks
import yaml
from conftest import ROOT
from notebooks import below
from site_api import methods, public
from site_finish import faults, finish
from site_pages import MARKER, enhance_page, make_pages
from site_parts import VENDORED
from site_sliders import from_markdown, slider
from site_symbols import link_names

NBS = ROOT / 'nbs'
KEYS = yaml.safe_load((ROOT / 'tests' / 'quarto_keys.yaml').read_text())
CONFIG = yaml.safe_load((ROOT / '_quarto.yml').read_text())
STORY = ['00_data', '01_model', '02_loss', '03_train', '04_results', '05_latent']


@pytest.fixture(scope='session')
def root(tmp_path_factory) -> Path:
    "The processed pages, ready for Quarto."
    copy = tmp_path_factory.mktemp('site')
    shutil.copytree(NBS, copy / 'nbs', symlinks=True, ignore=shutil.ignore_patterns('runs', '.ipynb_checkpoints', '.*', '*.wasm', '*.onnx'))
    for name in ('settings.ini', 'README.md', '_quarto.yml'): shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / 'deblur_vae', copy / 'deblur_vae', ignore=shutil.ignore_patterns('weights', '__pycache__'))
    (copy / 'bin').mkdir()
    (copy / 'bin' / 'quarto').write_text('#!/bin/sh\n')
    (copy / 'bin' / 'quarto').chmod(0o755)
    env = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT / 'tools'), str(ROOT)]), 'PATH': os.pathsep.join([str(copy / 'bin'), str(Path(sys.executable).parent), os.environ['PATH']])}
    subprocess.run([Path(sys.executable).parent / 'nbdev_proc_nbs'], cwd=copy, env=env, check=True, capture_output=True)
    make_pages(copy / 'nbs', copy / '_proc')
    return copy / '_proc'


@pytest.fixture(scope='session')
def pages(root) -> dict[str, checks.Page]:
    files = [*below(root), *root.glob('*.qmd'), *below(root / 'api', '*.qmd')]
    return {str(path.relative_to(root).with_suffix('')): checks.Page(path) for path in sorted(files)}


def listed(items) -> list[str]:
    "Files that a sidebar or navbar names."
    return [name for item in items for name in (listed(item['contents']) if isinstance(item, dict) and 'contents' in item
                                                else [item['href'] if isinstance(item, dict) else item])]


def test_every_key_is_one_that_quarto_knows(pages):
    assert checks.unknown_keys(CONFIG, KEYS['project']) == []
    assert checks.unknown_keys(yaml.safe_load((NBS / 'nbdev.yml').read_text()), KEYS['project']) == []
    for page in pages.values():
        assert checks.unknown_keys(page.front, KEYS['page'], f'{page.path.name}: ') == []
        assert checks.unknown_options(page, KEYS['cell'], KEYS['callout']) == []


def test_navigation_names_every_page(pages, root):
    sidebars = {sidebar['id']: listed(sidebar['contents']) for sidebar in CONFIG['website']['sidebar']}
    assert sorted(sidebars['api']) == sorted(f'{name}.qmd' for name in pages if name.startswith('api/'))
    assert sorted(sidebars['chapters']) == sorted(f'{name}.ipynb' for name in pages if pages[name].cells)
    for item in CONFIG['website']['navbar']['left']: assert (root / item['href']).exists(), item
    for name, place in re.findall(r'\(/(\S+)\.qmd#(\w+)\)', CONFIG['website']['page-footer']['left']): assert place in checks.anchors(pages[name])
    for name in ('favicon', 'image'): assert (root / CONFIG['website'][name]).exists()
    outputs = [str(Path(name).parent / page.output()) for name, page in pages.items()]
    assert len(set(outputs)) == len(outputs), 'two pages would be written to one file'


def test_links_and_references_lead_somewhere(pages, root):
    assert checks.dead_links(list(pages.values()), root, NBS) == []
    assert [fault for page in pages.values() for fault in checks.dead_references(page)] == []


def test_vendored_files_are_those_that_are_assembled(pages):
    wanted = {address for page in pages.values() for address in checks.links(page, assembled=True)}
    assembled = {f'vendor/{folder}/{name}' for folder, (_, names) in VENDORED.items() for name in names}
    assert {address for address in wanted if address.startswith('vendor/')} <= assembled


def test_markup_is_whole_and_pictures_have_alt_text(pages):
    assert [fault for page in pages.values() for fault in checks.faulty_markup(page) + checks.unbalanced_divs(page)] == []
    assert checks.Markup((NBS / 'enhance' / 'fragment.html').read_text()).faults == []


def test_nothing_is_asked_of_another_host(pages):
    assert [fault for page in pages.values() for fault in checks.widgets(page)] == []
    texts = {name: '\n'.join(page.raw) for name, page in pages.items()}
    texts |= {path.name: path.read_text() for path in NBS.glob('enhance/*.*') if path.suffix in ('.html', '.js', '.css')}
    texts |= {path.name: path.read_text() for path in NBS.glob('styles/*.scss')}
    assert [fault for name, text in texts.items() for fault in checks.foreign_loads(name, text)] == []
    assert CONFIG['format']['html']['html-math-method'] == 'mathml'
    for theme in CONFIG['format']['html']['theme'].values():  # the stock themes import a font unless told otherwise
        assert any('$web-font-path: false;' in (NBS / layer).read_text() for layer in theme if layer.endswith('.scss'))


def test_files_are_light(root):
    heavy = [path for path in root.rglob('*') if path.is_file() and path.stat().st_size > 1e6 and path.suffix not in ('.wasm', '.onnx')]
    assert heavy == []
    home = [root / 'images' / name for name in ('astronaut-blurred.jpg', 'astronaut-enhanced.jpg')]
    assert sum(path.stat().st_size for path in [*home, *root.glob('images/chapters/*')]) < 675e3


def test_pairs_are_sliders(pages):
    for name in ('index', '00_data', '01_model', '04_results', '13_enhance'):
        raw = ''.join(pages[name].raw)
        assert raw.count('<img-comparison-slider>') == 1 and raw.count('slot="first"') == raw.count('slot="second"') == 1, name
        assert 'src="vendor/img-comparison-slider/index.js"' in raw
    for page in pages.values(): assert 'slider:' not in page.markdown + '\n'.join(page.code), page.path.name
    assert (NBS / '00_data.ipynb').read_text().count('"image/jpeg"') >= 2, 'the notebook itself shows pictures'


def test_home_maps_the_chapters(pages, root):
    cards = re.findall(r'href="(\d\d_\w+)\.ipynb"><img src="([^"]+)"', ''.join(pages['index'].raw))
    assert [stem for stem, _ in cards] == sorted(path.stem for path in NBS.glob('[012]*.ipynb'))
    for _, picture in cards: assert (root / picture).stat().st_size > 1000
    assert '[Enhance a picture of your own](enhance.qmd)' in pages['index'].markdown


def test_notebooks_can_be_downloaded(pages, tmp_path):
    for name, page in pages.items():
        if page.cells: assert f'({"../" * name.count("/")}notebooks/{name}.ipynb)' in page.markdown, name
    finish(NBS, tmp_path)
    assert {p.relative_to(tmp_path / 'notebooks') for p in below(tmp_path / 'notebooks')} == {p.relative_to(NBS) for p in below(NBS)}


def test_enhance_page_holds_the_fragment(pages):
    assert pages['enhance'].raw == [(NBS / 'enhance' / 'fragment.html').read_text().strip() + '\n']
    for page in ('no marker', MARKER * 2):
        with pytest.raises(ValueError, match='once'): enhance_page(page, '<p>')


def test_examples_in_the_api_are_code(pages):
    texts = [page.markdown for name, page in pages.items() if name.startswith('api/')]
    blocks = re.compile(r'^```python\n.*?^```$', re.M | re.S)
    assert sum('\n>>> ' in text for text in texts) > 10
    for text in texts: assert '>>>' not in blocks.sub('', text)


def test_every_public_name_has_a_place_in_the_api(pages):
    from importlib import import_module
    for path in below(ROOT / 'deblur_vae', '[a-z]*.py'):
        name = path.relative_to(ROOT / 'deblur_vae').with_suffix('').as_posix()
        module = import_module(f'deblur_vae.{name.replace("/", ".")}')
        places = checks.anchors(pages[f'api/{name}'])
        functions = {name: thing for name, thing in public(module).items() if callable(thing)}
        assert functions.keys() <= places
        assert {f'{name}.{m}' for name, thing in functions.items() if isinstance(thing, type) for m in methods(thing)} <= places
    signature = re.search(r'```python\ndef gaussian_blur\(.*?\n```', pages['api/data'].markdown, re.S)[0]
    assert 'x:Tensor, # pictures, float [B,C,H,W]' in signature


def test_names_in_the_prose_lead_to_the_api(pages):
    assert '[`read_picture`](api/data.qmd#read_picture)' in pages['00_data'].markdown
    text = '# `ff`\n\n[`ff`](x) `ff` and `ff`, `g`\n\n```python\n`ff`\n```\n'
    assert link_names(text, {'ff': 'api/a.qmd#ff'}) == text.replace(' `ff` and', ' [`ff`](api/a.qmd#ff) and')


@pytest.mark.parametrize('name', STORY)
def test_solutions_print_what_they_say(pages, name):
    solutions = re.findall(r'^::: \{\.callout-note title="Solution" collapse="true"\}\n(.*?)\n:::$', pages[name].markdown, re.M | re.S)
    assert solutions and pages[name].markdown.count('::: {.callout-tip title="Exercise') == len(solutions)
    for solution in solutions:
        for code, printed in re.findall(r'```python\n(.*?)\n```\n\n```\n(.*?)\n```', solution, re.S):
            out = io.StringIO()
            with redirect_stdout(out): exec(code, {})
            assert out.getvalue().strip() == printed


def page_of(tmp_path, text: str) -> checks.Page:
    path = tmp_path / 'page.qmd'
    path.write_text(f'---\ntitle: T\n---\n\n{text}\n')
    return checks.Page(path)


@pytest.mark.parametrize('check, text, word', [
    (checks.dead_references, 'See @fig-nowhere and `@fig-code`.', 'fig-nowhere'),
    (checks.dead_references, '$$x$$ {#eq-x}\n\nBy @eq-y.', 'eq-y'),
    (checks.faulty_markup, '![](a.jpg)', 'a.jpg'),
    (checks.faulty_markup, '```{=html}\n<img src="b.jpg">\n```', 'b.jpg'),
    (checks.faulty_markup, '```{=html}\n<p><img src="c.jpg" alt=""></p>\n```', 'c.jpg'),
    (checks.faulty_markup, '```{=html}\n<div><p></div>\n```', '</div>'),
    (checks.unbalanced_divs, '::: {.a}\ntext', 'do not match'),
    (checks.unbalanced_divs, ':::\n', 'do not match'),
    (lambda page: checks.foreign_loads('p', page.raw[0]), '```{=html}\n<script src="https://cdn.example/x.js"></script>\n```', 'cdn.example'),
    (lambda page: checks.foreign_loads('p', page.raw[0]), '```{=html}\n<style>@import url(//fonts.example/f)</style>\n```', 'fonts.example'),
    (lambda page: checks.foreign_loads('p', page.markdown), "const m = await import('https://cdn.example/m.js')", 'cdn.example'),
    (lambda page: checks.unknown_options(page, KEYS['cell'], KEYS['callout']), '::: {.callout-tip titel="x"}\n:::', 'titel'),
    (lambda page: checks.dead_links([page], page.path.parent, NBS), '[a](missing.qmd), [b](#no-such)', 'missing.qmd'),
    (lambda page: checks.dead_links([page], page.path.parent, NBS), '# Here {#here}\n\n[b](#no-such)', 'no such place'),
    (lambda page: checks.dead_links([page], page.path.parent, NBS), '[c](notebooks/100_none.ipynb)', '100_none'),
])
def test_checks_find_planted_faults(tmp_path, check, text, word):
    assert any(word in fault for fault in check(page_of(tmp_path, text)))
    assert check(page_of(tmp_path, 'Words, [a link](#here).\n\n## Here\n\n```{=html}\n<p><a href="#here">x</a></p>\n```')) == []


def test_keys_find_planted_faults():
    assert checks.unknown_keys({'website': {'navbr': 1}}, KEYS['project']) == ['website.navbr: Quarto has no such key']
    assert checks.unknown_keys({'website': {'navbar': {'left': [{'txt': 'x'}]}}}, KEYS['project']) == ['website.navbar.left.txt: Quarto has no such key']
    assert len(checks.unknown_keys({'website': {'sidebar': [{'contents': [{'sectoin': 'x'}]}]}}, KEYS['project'])) == 1


def test_sliders_need_two_pictures():
    made = from_markdown('<!-- slider: Before, after -->\n![a "b"](1.jpg)\n![c](2.jpg)\n\nSaid.')
    assert 'alt="a &quot;b&quot;"' in made and made.count('<img ') == 2 and made.endswith('\n\nSaid.\n:::')
    with pytest.raises(ValueError, match='two pictures'): slider(['1.jpg'], ['a'], ['Before', 'after'], 'Said.', 'fig-x')


def test_built_site_is_checked(tmp_path):
    good = '<html><head><link rel="stylesheet" href="a.css"></head><body id="top"><a href="#top">x</a><a href="https://elsewhere.example">y</a></body></html>'
    (tmp_path / 'a.css').write_text('p {background: url("data:image/svg+xml,%3csvg xmlns=\'http://www.w3.org/2000/svg\'/%3e")}')
    (tmp_path / 'index.html').write_text(good)
    (tmp_path / '404.html').write_text('<a href="/deblur_vae/index.html">home</a>')
    assert faults(tmp_path) == []
    for fault, word in (('<script src="//cdn.example/x.js"></script>', 'cdn.example'), ('<img src="a.css">', 'no alt text'), ('<a href="b.html">b</a>', 'b.html leads nowhere'),
                        ('<a href="#bottom">c</a>', 'no such place'), ('<style>@import "https://fonts.example/f";</style>', 'fonts.example')):
        (tmp_path / 'index.html').write_text(good + fault)
        assert any(word in found for found in faults(tmp_path)), fault
    (tmp_path / 'index.html').write_text(good)
    (tmp_path / 'a.css').write_text('@import url(https://fonts.example/f);')
    (tmp_path / 'big.json').write_bytes(b' ' * 1_000_001)
    assert [fault.split()[0] for fault in faults(tmp_path)] == ['big.json:', 'a.css']
