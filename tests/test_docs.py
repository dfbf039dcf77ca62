"""The form of the series: what every notebook has, what the site knows of, and that the
README speaks of what exists."""
import ast
import json
import re

import pytest
import yaml

from conftest import ROOT
from deblur_vae.cli import main
from notebooks import below
from site_processors import colab_link

NBS = ROOT / 'nbs'
NOTEBOOKS = below(NBS)
CHAPTERS = [p for p in NOTEBOOKS if p.stem[:1].isdigit()]


def cells(path, kind):
    return [''.join(c['source']) for c in json.loads(path.read_text())['cells']
            if c['cell_type'] == kind]


def names(paths): return [p.stem for p in paths]


def part(path) -> int:
    "Where a chapter stands: the story, real pictures, the workshop, the appendices."
    return 3 if path.parent != NBS else {'0': 0, '1': 1}.get(path.stem[0], 2)


def test_site_is_configured_once():
    link = ROOT / 'nbs' / '_quarto.yml'
    assert link.is_symlink() and link.resolve() == ROOT / '_quarto.yml'
    assert yaml.safe_load(link.read_text())['execute'] == {'enabled': False}


def test_sidebar_has_every_notebook_in_order():
    config = yaml.safe_load((ROOT / '_quarto.yml').read_text())
    contents = config['website']['sidebar'][0]['contents']
    listed = [name for item in contents
              for name in item.get('contents', [item.get('href')])]
    assert listed[0] == 'index.ipynb'
    in_order = sorted(CHAPTERS, key=lambda p: (part(p), p.name))
    assert listed[1:] == [p.relative_to(NBS).as_posix() for p in in_order]
    assert [item['section'] for item in contents[1:]] == [
        'The story', 'Real pictures', 'The workshop', 'Appendices']


def is_one_class(code):
    "A class stays whole, however many methods it has; each of them fits on a screen."
    body = ast.parse(code).body
    parts = body[0].body if len(body) == 1 and isinstance(body[0], ast.ClassDef) else []
    return bool(parts) and all(part.end_lineno - part.lineno < 42 for part in parts)


@pytest.mark.parametrize('path', NOTEBOOKS, ids=names(NOTEBOOKS))
def test_notebook_form(path):
    first = cells(path, 'markdown')[0]
    titled = re.match(r'# \S.*\n\n> \S', first)
    assert titled, 'a notebook begins with a title and a subtitle'
    assert path.stat().st_size < 1e6
    assert not [c['id'] for c in json.loads(path.read_text())['cells']
                if not re.fullmatch(r'[\w-]+', c['id'])]
    for code in cells(path, 'code'):
        assert len(code.splitlines()) <= 42 or is_one_class(code), code[:80]


@pytest.mark.parametrize('path', CHAPTERS, ids=names(CHAPTERS))
def test_chapter_has_figures_words_and_asserts(path):
    code = cells(path, 'code')
    assert any('assert ' in c for c in code)
    prose = '\n'.join(cells(path, 'markdown'))
    words = len(re.findall(r'\w+', re.sub(r'\$\$.*?\$\$', '', prose, flags=re.S)))
    assert words >= 150, f'{words} words'


@pytest.mark.parametrize('path', NOTEBOOKS, ids=names(NOTEBOOKS))
def test_figures_have_caption_and_alt_text(path):
    for cell in json.loads(path.read_text())['cells']:
        source = ''.join(cell['source'])
        pictures = [o for o in cell.get('outputs', [])
                    if any(k.startswith('image/') for k in o.get('data', {}))]
        if pictures and '#| hide' not in source:
            assert ('#| fig-cap: ' in source and '#| fig-alt: ' in source
                    and '#| label: fig-' in source), source[:120]
        if '#| label: fig-' in source:
            assert pictures, 'figure is missing: run `make notebooks`'
        for output in cell.get('outputs', []):
            assert output['output_type'] != 'error', source[:120]


@pytest.mark.parametrize('path', NOTEBOOKS, ids=names(NOTEBOOKS))
def test_links_between_notebooks_lead_somewhere(path):
    for target in re.findall(r'\]\(([^)#]+\.ipynb)',
                             '\n'.join(cells(path, 'markdown'))):
        assert (path.parent / target).exists(), target


def test_no_dead_address():
    settings = (ROOT / 'settings.ini').read_text()
    if re.search(r'^git_url *=\s*$', settings, re.M):
        for path in [*NOTEBOOKS, ROOT / 'README.md', ROOT / '_quarto.yml']:
            address = r'github\.com/[\w-]*/?deblur_vae|github\.io'
            assert not re.search(address, path.read_text()), path


def test_page_links_follow_the_address():
    assert colab_link('', 'main', '00_data.ipynb') == ''
    link = colab_link('https://github.com/someone/deblur_vae', 'main', '00_data.ipynb')
    assert ('(https://colab.research.google.com/github/someone/deblur_vae/blob/main/'
            'nbs/00_data.ipynb)') in link
    elsewhere = 'https://code.example.org/someone/deblur_vae'
    assert colab_link(elsewhere, 'main', '00_data.ipynb') == ''


def test_readme_commands_exist(capsys):
    readme, makefile = (ROOT / 'README.md').read_text(), (ROOT / 'Makefile').read_text()
    blocks = '\n'.join(re.findall(r'```sh\n(.*?)```', readme, re.S))
    targets = set(re.findall(r'^make (\w+)', blocks, re.M))
    assert {'demo', 'test'} <= targets
    assert all(re.search(f'^{t}:', makefile, re.M) for t in targets)
    for line in re.findall(r'^deblur-vae (.+)$', blocks.replace('\\\n', ' '), re.M):
        command = line.split('#')[0].split()
        with pytest.raises(SystemExit, match='0'): main([command[0], '--help'])
        shown = capsys.readouterr().out
        for option in command[1:]:
            assert option[0] != '-' or option in shown, f'{option} of: {line}'
