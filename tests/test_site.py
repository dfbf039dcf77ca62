"""The site as far as it can be checked without Quarto: what nbdev and tools/site_*.py
make of the notebooks."""
import re
from importlib import import_module
from pathlib import Path

import pytest
from chromium import chromium
import site_reader as checks
import yaml
from check_notebooks import nbdev, scratch_copy
from conftest import ROOT
from fastcore.basics import AttrDict
from notebooks import NBS, PACKAGE, below
from site_api import USE, is_code, methods, public, signature, to_call
from site_browser import FINDS, look, pages_of
from site_finish import TERMS, finish, indexed, mended
from site_pages import MARKER, citation, enhance_page, make_pages
from site_parts import VENDORED
from site_processors import from_markdown, link_names, moving, slider, unfolded
from site_reader import built_faults
from site_results import FOLDER, MARK, from_readme, results, results_page

KEYS = yaml.safe_load((ROOT / 'tests' / 'quarto_keys.yaml').read_text())
CONFIG = yaml.safe_load((ROOT / '_quarto.yml').read_text())
MOVING = {'00_data': 'kernel', '01_model': 'skips', '05_latent': 'answers',
          '11_classical': 'likelihood'}  # page → what moves on it
STORY = [path.stem for path in sorted(NBS.glob('0*.ipynb'))]


@pytest.fixture(scope='session')
def root(tmp_path_factory) -> Path:
    "The processed pages, ready for Quarto."
    copy = tmp_path_factory.mktemp('site')
    scratch_copy(copy)
    nbdev('nbdev_proc_nbs', copy)
    make_pages(copy / 'nbs', copy / '_proc')
    return copy / '_proc'


@pytest.fixture(scope='session')
def pages(root) -> dict[str, checks.Page]:
    files = [*below(root), *root.glob('*.qmd'), *below(root / 'api', '*.qmd')]
    return {str(path.relative_to(root).with_suffix('')): checks.Page(path)
            for path in sorted(files)}


def listed(item) -> list[str]:
    "Files that a sidebar or navbar names."
    if isinstance(item, str): return [item]
    if isinstance(item, list): return [name for part in item for name in listed(part)]
    return listed(item['contents'] if 'contents' in item else item['href'])


def test_every_key_is_one_that_quarto_knows(pages):
    assert checks.unknown_keys(CONFIG, KEYS['project']) == []
    made = yaml.safe_load((NBS / 'nbdev.yml').read_text())
    assert checks.unknown_keys(made, KEYS['project']) == []
    for page in pages.values():
        assert page.say(checks.unknown_keys(page.front, KEYS['page'])) == []
        assert checks.unknown_options(page, KEYS['cell'], KEYS['callout']) == []


def test_navigation_names_every_page(pages, root):
    website = CONFIG['website']
    sidebars = {bar['id']: listed(bar['contents']) for bar in website['sidebar']}
    api = [f'{name}.qmd' for name in pages if name.startswith('api/')]
    assert sorted(sidebars['api']) == sorted(api)
    chapters = [f'{name}.ipynb' for name in pages if pages[name].cells]
    assert sorted(sidebars['chapters']) == sorted(chapters)
    for name in listed(website['navbar']['left']): assert (root / name).exists(), name
    footer = website['page-footer']['left']
    for name, place in re.findall(r'\(/(\S+)\.qmd#(\w+)\)', footer):
        assert place in checks.anchors(pages[name])
    for name in ('favicon', 'image'): assert (root / website[name].lstrip('/')).exists()
    outputs = [str(Path(name).parent / page.output()) for name, page in pages.items()]
    assert len(set(outputs)) == len(outputs), 'two pages would be written to one file'


def test_links_and_references_lead_somewhere(pages, root):
    assert checks.dead_links(list(pages.values()), root, NBS) == []
    assert [fault for page in pages.values()
            for fault in checks.dead_references(page)] == []


def test_vendored_files_are_those_that_are_assembled(pages):
    wanted = {address for page in pages.values()
              for address in checks.links(page, assembled=True)}
    assembled = {f'vendor/{folder}/{name}'
                 for folder, (_, names) in VENDORED.items() for name in names}
    vendored = {address for address in wanted if address.startswith('vendor/')}
    assert vendored and vendored <= assembled


def test_markup_is_whole_and_pictures_have_alt_text(pages):
    for page in pages.values():
        assert checks.faulty_markup(page) + checks.unbalanced_divs(page) == []
    fragment = (NBS / 'enhance' / 'fragment.html').read_text()
    assert checks.Html(fragment).faults == []


def test_nothing_is_asked_of_another_host(pages):
    assert [fault for page in pages.values() for fault in checks.widgets(page)] == []
    texts = {name: '\n'.join(page.raw) for name, page in pages.items()}
    files = [path for path in NBS.glob('enhance/*.*')
             if path.suffix in ('.html', '.js', '.css')]
    files += [*NBS.glob('moving/*.js'), *NBS.glob('styles/*.scss')]
    texts |= {path.name: path.read_text() for path in files}
    assert [fault for name, text in texts.items()
            for fault in checks.foreign_loads(name, text)] == []
    html = CONFIG['format']['html']
    assert html['html-math-method'] == 'mathml'
    # the stock themes import a font unless told not to
    for theme in html['theme'].values():
        layers = [(NBS / name).read_text() for name in theme if name.endswith('.scss')]
        assert any('$web-font-path: false;' in layer for layer in layers)


def test_files_are_light(root):
    assert checks.heavy_files(root) == []
    home = [root / 'images' / f'astronaut-{name}.jpg'
            for name in ('blurred', 'enhanced')]
    raw = (root / 'index.ipynb').read_text()
    home += [root / name for name in re.findall(r'images/chapters/[\w-]+\.\w+', raw)]
    assert sum(path.stat().st_size for path in home) < 250e3


def test_pairs_are_sliders(pages):
    with_slider = [name for name, page in pages.items()
                   if '<img-comparison-slider>' in ''.join(page.raw)]
    assert len(with_slider) >= 5 and {'index', STORY[0]} <= set(with_slider)
    for name in with_slider:
        raw = ''.join(pages[name].raw)
        for part in ('<img-comparison-slider>', 'slot="first"', 'slot="second"'):
            assert raw.count(part) == 1, name
        assert 'src="vendor/img-comparison-slider/index.js"' in raw
    for page in pages.values():
        assert 'slider:' not in page.markdown + '\n'.join(page.code), page.path.name
    shown = (NBS / f'{STORY[0]}.ipynb').read_text().count('"image/jpeg"')
    assert shown >= 2, 'the notebook itself shows pictures'


def test_figures_move(pages, root):
    moving = {name: page for name, page in pages.items()
              if 'class="moving"' in ''.join(page.raw)}
    assert set(MOVING) <= set(moving)
    for name, page in moving.items():
        raw = ''.join(page.raw)
        kind = re.search(r'data-moving="(\w+)"', raw)[1]
        assert raw.count('class="moving"') == 1 and kind == MOVING[name]
        still = re.search(r'class="moving".*?<img src="(.*?)" alt="(.*?)">', raw, re.S)
        assert still[1].startswith('data:image/') and len(still[2]) > 40
        assert f'<script type="module" src="moving/{kind}.js"></script>' in raw
        assert (root / 'moving' / f'{kind}.js').is_file()
        assert '{.if-still}' in page.markdown and '{.if-moves}' in page.markdown
    for page in pages.values():
        assert '#| moving' not in '\n'.join(page.code), page.path.name
    assert '/moving/*' in CONFIG['project']['resources']


CARD = re.compile(r'href="([^"]+)"><img src="([^"]+)".*?<strong>(.*?)</strong>')


def test_cards_lead_to_what_they_are_called(pages, root):
    home = CARD.findall(''.join(pages['index'].raw))
    assert len(home) == 4
    for address, picture, title in home:
        file, _, place = address.partition('#')
        page = pages[Path(file).stem]
        named = page.front['title'] == title
        assert f'## {title}' in page.markdown if place else named, title
        assert (root / picture).stat().st_size > 1000
    cards = CARD.findall(''.join(pages['chapters'].raw))
    shown = [path.relative_to(NBS).with_suffix('').as_posix() for path in below(NBS)
             if path.stem[:1].isdigit()]
    assert [address.removesuffix('.ipynb') for address, *_ in cards] == shown
    for address, picture, title in cards:
        page = pages[address.removesuffix('.ipynb')]
        assert page.front['title'] == title
        assert (root / picture).stat().st_size > 1000
        number = re.match(r'(\d\d)_', address)
        if number: assert title.startswith(f'{number[1]} ')


def test_home_says_what_to_do(pages):
    home = pages['index'].markdown
    for link in ('[Try it on your picture](enhance.qmd){.call}',
                 '[Read the series](00_data.ipynb){.call .second}'):
        assert link in home
    for command in ('make demo', 'make test'):
        assert f'```sh\n{command}\n```' in home, 'each has a button that copies it'
    titles = [page.front['title'] for page in pages.values()]
    assert titles.count('Enhance') == 1 and titles.count('13 How enhance works') == 1
    assert len(titles) == len(set(titles))


def test_results_are_those_of_the_readme(pages):
    for name, text in from_readme((ROOT / 'README.md').read_text()).items():
        assert (FOLDER / name).read_text() == text, 'run python tools/site_results.py'
    source = (NBS / 'results.qmd').read_text()
    assert len(MARK.findall(source)) >= 9
    page = ''.join(pages['results'].raw)
    assert page.count('<table class="sortable"') >= 7 and '<!-- ' not in page
    assert page.count('<figure class="chart"') >= 4
    value = results('quality')[0]['enhanced']
    assert f'<td data-value="{value}">{value}</td>' in page
    with pytest.raises(KeyError): results_page('<!-- table unknown -->')


def test_citation_is_right():
    settings = (ROOT / 'settings.ini').read_text()
    version = re.search(r'^version = (.*)$', settings, re.M)[1]
    author = re.search(r'^author = (.*)$', settings, re.M)[1]
    for said in (f'version = {{{version}}}', f'{{{{{author}}}}}', '= {deblur_vae}'):
        assert said in citation()
    about = (NBS / 'about.qmd').read_text()
    assert '*Deblurring, a Classic Machine Learning Problem*](https://' in about
    assert 'citation' not in CONFIG, 'no page has a block of its own'


def test_outputs_tell_something(pages):
    assert [fault for page in pages.values()
            for fault in checks.idle_outputs(page)] == []


def test_notebooks_can_be_downloaded(pages, tmp_path):
    for name, page in pages.items():
        address = f'{"../" * name.count("/")}notebooks/{name}.ipynb'
        if page.cells and name != 'index': assert f'({address})' in page.markdown, name
    finish(NBS, tmp_path)
    copies = tmp_path / 'notebooks'
    assert ([path.relative_to(copies) for path in below(copies)]
            == [path.relative_to(NBS) for path in below(NBS)])


def test_enhance_page_holds_the_fragment(pages):
    fragment = (NBS / 'enhance' / 'fragment.html').read_text()
    assert pages['enhance'].raw == [fragment.strip() + '\n']
    for page in ('no marker', MARKER * 2):
        with pytest.raises(ValueError, match='once'): enhance_page(page, '<p>')


def test_examples_in_the_api_are_code(pages):
    texts = [page.markdown for name, page in pages.items() if name.startswith('api/')]
    blocks = re.compile(r'^```python\n.*?^```$', re.M | re.S)
    assert sum('\n>>> ' in text for text in texts) > 10
    for text in texts: assert '>>>' not in blocks.sub('', text)


def test_every_public_name_has_a_place_in_the_api(pages):
    for path in below(ROOT / PACKAGE, '[a-z]*.py'):
        name = path.relative_to(ROOT / PACKAGE).with_suffix('').as_posix()
        module = import_module(f'{PACKAGE}.{name.replace("/", ".")}')
        places = checks.anchors(pages[f'api/{name}'])
        for symbol, thing in public(module).items():
            if not is_code(thing):
                line = rf'^(?:\w+, )*{symbol}(?:, \w+)* = '
                assert re.search(line, pages[f'api/{name}'].markdown, re.M), symbol
                continue
            wanted = {symbol}
            if isinstance(thing, type):
                wanted |= {f'{symbol}.{method}' for method in methods(thing)}
            assert wanted <= places
    assert not [name for name, page in pages.items() if ' at 0x' in page.markdown]


def test_api_says_first_what_is_called_first(pages):
    for name in USE:
        module = import_module(f'{PACKAGE}.{name}')
        page = pages[f'api/{name.replace(".", "/")}'].markdown
        known = public(module)
        assert to_call(name), name
        for symbol in to_call(name): assert is_code(known[symbol]), symbol
        headings = re.findall(r'^### `(\w+)`', page, re.M)
        assert headings[:len(to_call(name))] == to_call(name)
    assert set(USE) == {name.removeprefix('api/').replace('/', '.') for name in pages
                        if name.startswith('api/')} - {'index'}
    index = pages['api/index'].markdown
    assert index.count('Its chapter is [') == len(USE)


def test_signatures_are_short(pages):
    data, camera, cli = (pages[f'api/{name}'].markdown
                         for name in ('data', 'camera', 'cli'))
    signature = re.search(r'```python\ndef gaussian_blur\(.*?\n```', data, re.S)[0]
    assert 'x: Tensor,  # pictures, float [B,C,H,W]' in signature
    assert '\nEVERYDAY = Degradation(…)\n' in camera and '__call__' not in camera
    enhance = pages['api/enhance'].markdown
    assert '```python\ndef enhance(\n    image: Any,' in enhance
    assert '\n    method: Literal[\'restore\', \'classical\'] = \'restore\',' in cli
    for name, page in pages.items():
        if not name.startswith('api/'): continue
        lines = re.findall(r'^    \w.*,$', page.markdown, re.M)
        assert not [line for line in lines if len(line) > 132]


def keeps(
    values: list[int], *rest: str, how: Path | None = None,  # in which way
    long: tuple = ('a default that', 'nobody wants to', 'read at once, or at all'),
) -> int: # their number
    return len(values)


def test_signature_is_that_of_the_source():
    assert signature(keeps) == '''```python
def keeps(
    values: list[int],
    *rest: str,
    how: Path | None = None,  # in which way
    long: tuple = (…),
) -> int  # their number
```'''


def test_names_in_the_prose_lead_to_the_api(pages):
    first = pages[STORY[0]].markdown
    assert '[`read_picture`](api/data.qmd#read_picture)' in first
    text = '# `ff`\n\n[`ff`](x) `ff` and `ff`, `g`\n\n```python\n`ff`\n```\n'
    linked = text.replace(' `ff` and', ' [`ff`](api/a.qmd#ff) and')
    assert link_names(text, {'ff': 'api/a.qmd#ff'}) == linked


def test_nothing_is_folded_that_a_keyboard_cannot_open(pages):
    for page in pages.values(): assert 'collapse="true"' not in page.markdown
    note = '::: {.callout-note title="Solution" collapse="true"}\n'
    first = f'a\n\n{note}b\n\n::: {{.c}}\nd\n:::\n:::\n\ne\n\n'
    made = unfolded(f'{first}{note}f\n:::\n')
    assert made.count('<details class="solution">') == made.count('</details>') == 2
    assert ':::\n\n```{=html}\n</details>' in made and '\n\ne\n\n' in made
    with pytest.raises(ValueError, match='never closed'): unfolded(note + 'b')


def page_of(tmp_path, text: str) -> checks.Page:
    path = tmp_path / 'page.qmd'
    path.write_text(f'---\ntitle: T\n---\n\n{text}\n')
    return checks.Page(path)


def foreign(page): return checks.foreign_loads('p', page.markdown)


def unknown(page): return checks.unknown_options(page, KEYS['cell'], KEYS['callout'])


def dead(page): return checks.dead_links([page], page.path.parent, NBS)


def raw(html: str) -> str: return f'```{{=html}}\n{html}\n```'


FAULTS = [
    (checks.dead_references, 'See @fig-nowhere and `@fig-code`.', 'fig-nowhere'),
    (checks.dead_references, '$$x$$ {#eq-x}\n\nBy @eq-y.', 'eq-y'),
    (checks.faulty_markup, '![](a.jpg)', 'a.jpg'),
    (checks.faulty_markup, raw('<img src="b.jpg">'), 'b.jpg'),
    (checks.faulty_markup, raw('<p><img src="c.jpg" alt=""></p>'), 'c.jpg'),
    (checks.faulty_markup, raw('<div><p></div>'), '</div>'),
    (checks.unbalanced_divs, '::: {.a}\ntext', 'do not match'),
    (checks.unbalanced_divs, ':::\n', 'do not match'),
    (foreign, raw('<script src="https://cdn.example/x.js"></script>'), 'cdn.example'),
    (foreign, raw('<style>@import url(//fonts.example/f)</style>'), 'fonts.example'),
    (foreign, "const m = await import('https://cdn.example/m.js')", 'cdn.example'),
    (unknown, '::: {.callout-tip titel="x"}\n:::', 'titel'),
    (dead, '[a](missing.qmd), [b](#no-such)', 'missing.qmd'),
    (dead, '# Here {#here}\n\n[b](#no-such)', 'no such place'),
    (dead, '[c](notebooks/100_none.ipynb)', '100_none'),
]
GOOD = 'Words, [a link](#here).\n\n## Here\n\n' + raw('<p><a href="#here">x</a></p>')


@pytest.mark.parametrize('check, text, word', FAULTS)
def test_checks_find_planted_faults(tmp_path, check, text, word):
    assert any(word in fault for fault in check(page_of(tmp_path, text)))
    assert check(page_of(tmp_path, GOOD)) == []


def test_keys_find_planted_faults():
    def wrong(website):
        return checks.unknown_keys({'website': website}, KEYS['project'])
    assert wrong({'navbr': 1}) == ['website.navbr: Quarto has no such key']
    assert wrong({'navbar': {'left': [{'txt': 'x'}]}}) == [
        'website.navbar.left.txt: Quarto has no such key']
    assert len(wrong({'sidebar': [{'contents': [{'sectoin': 'x'}]}]})) == 1


def test_sliders_need_two_pictures():
    made = from_markdown(
        '<!-- slider: Before, after -->\n![a "b"](1.jpg)\n![c](2.jpg)\n\nSaid.', '../')
    assert 'alt="a &quot;b&quot;"' in made and made.count('<img ') == 2
    assert made.endswith('\n\nSaid.\n:::') and 'src="../vendor/' in made
    with pytest.raises(ValueError, match='two pictures'):
        slider(['1.jpg'], ['a'], ['Before', 'after'], 'Said.', 'fig-x')


def test_what_moves_needs_one_picture():
    picture = AttrDict(data={'image/svg+xml': ['<svg/>']})
    words = AttrDict(text='k')
    source = ('#| label: fig-x\n#| moving: wave\n#| moving-cap: "Move."\n'
              '#| fig-cap: "Still."\n#| fig-alt: "A \'w\' & <b>"\nplot()\n')
    cell = AttrDict(source=source, outputs=[words, picture])
    made = moving(cell, '../')
    assert cell.source == 'plot()\n' and cell.outputs == [words]
    assert 'src="../moving/wave.js"' in made and '&amp; &lt;b&gt;' in made
    assert '[Still.]{.if-still}[Move.]{.if-moves}' in made
    for outputs in ([words], [picture, picture]):
        with pytest.raises(ValueError, match='one still picture'):
            moving(AttrDict(source=source, outputs=outputs))


BUILT = '''<html><head><link rel="stylesheet" href="a.css"></head><body id="top">
<a href="#top">x</a><a href="https://elsewhere.example">y</a></body></html>'''
STYLE = '''p {background:
url("data:image/svg+xml,%3csvg xmlns='http://www.w3.org/2000/svg'/%3e")}'''
BUILT_FAULTS = [
    ('<script src="//cdn.example/x.js"></script>', 'cdn.example'),
    ('<img src="a.css">', 'no alt text'),
    ('<a href="b.html">b</a>', 'b.html leads nowhere'),
    ('<a href="#bottom">c</a>', 'no such place'),
    ('<style>@import "https://fonts.example/f";</style>', 'fonts.example'),
]


def test_built_site_is_checked(tmp_path):
    (tmp_path / 'a.css').write_text(STYLE)
    (tmp_path / 'index.html').write_text(BUILT)
    (tmp_path / '404.html').write_text('<a href="/deblur_vae/index.html">home</a>')
    assert built_faults(tmp_path) == []
    for fault, word in BUILT_FAULTS:
        (tmp_path / 'index.html').write_text(BUILT + fault)
        assert any(word in found for found in built_faults(tmp_path)), fault
    (tmp_path / 'index.html').write_text(BUILT)
    (tmp_path / 'a.css').write_text('@import url(https://fonts.example/f);')
    (tmp_path / 'big.json').write_bytes(b' ' * 1_000_001)
    faults = built_faults(tmp_path)
    assert [fault.split()[0] for fault in faults] == ['big.json:', 'a.css']


def test_pages_are_mended(tmp_path):
    page = ('<head><script src="../site_libs/q.js"></script></head>'
            '<body class="x"><nav class="navbar x"></nav>'
            '<button class="navbar-toggler" type="button" role="menu"></button>'
            '<main id="quarto-document-content"></main></body>')
    made = mended(page)
    assert '<body class="x">\n<nav aria-label="Skip"><a class="skip"' in made
    assert '<nav aria-label="Site" class="navbar x">' in made and 'role=' not in made
    assert '<script type="module" src="../site.js"></script>\n</body>' in made
    assert mended(made) == made and mended('<body>x</body>') == '<body>x</body>'


def test_social_card_is_the_face(tmp_path):
    page = ('<head><meta property="og:image" content="/data:image/jpeg;base64,AA==">\n'
            '<meta name="twitter:image:alt" content="a figure">\n'
            '<script src="../site_libs/q.js"></script></head><body>'
            '<main id="quarto-document-content"></main></body>')
    for address, start in (('', '../'), ('https://x.example/d/', 'https://x.example/d/')):
        made = mended(page, address)
        assert 'data:image' not in made and 'a figure' not in made
        for kind in ('property="og:image"', 'name="twitter:image"'):
            assert made.count(f'<meta {kind} content="{start}images/card.jpg">') == 1


@pytest.mark.campaign
def test_built_site_in_a_browser():
    "Every page, light and dark, wide and narrow; where `make docs` has made the site."
    site = ROOT / '_docs'
    if not site.exists(): pytest.skip('there is no _docs: make docs')
    if not chromium(): pytest.skip('there is no Chromium')
    assert list(look(site, pages_of(site))) == []


BROKEN = '''<!doctype html><html lang="en"><head><title>t</title></head><body><main>
<h1>h</h1><p style="color:#777;background:#888">faint</p>
<p style="width:900px">wide</p><img src="https://elsewhere.example/x.png" alt="x">
</main></body></html>'''


def test_browser_finds_planted_faults(tmp_path, site_is_assembled):
    pytest.importorskip('playwright')
    if not chromium(): pytest.skip('there is no Chromium')
    (tmp_path / 'broken.html').write_text(BROKEN)
    found = '\n'.join(look(tmp_path, ['broken.html']))
    for word in ('color-contrast', 'scrolls sideways: the page', 'asks https://else'):
        assert word in found


def test_search_finds_terms_in_their_chapters(pages):
    for word, stem in FINDS.items():
        assert any(word in term for term in TERMS[stem]) and stem in pages
        assert word in pages[stem].markdown
    page = dict(objectID='22_checkpoint.html', href='22_checkpoint.html', title='22 C',
                section='', text='a checkpoint')
    other = page | dict(objectID='api/checkpoint.html', href='api/checkpoint.html')
    made = indexed([other, page])
    assert [entry['section'] for entry in made] == ['checkpoint', '', '']
    assert made[0]['href'] == '22_checkpoint.html' and indexed(made) == made
