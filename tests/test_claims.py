"""Every decimal number of the prose has a source: an output of the same notebook, a
committed table that it names, or a literal of its code (a parameter, such as σ = 2.6).

A number is right if it is a number of the source, rounded to the digits that the prose
shows; as a share or in per cent, whatever its sign. A literal is not rounded, and no
source of decibels, which are measured; a table is no source of numbers of one or two
digits, which stand in any large table by chance. All this is necessary and not enough:
whether it is the number that the sentence speaks of is for a reader to see."""
import ast
import html
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import ROOT
from notebooks import below, cells

NBS = ROOT / 'nbs'
NOTEBOOKS = {path.relative_to(NBS).as_posix(): path for path in below(NBS)}
TABLES = [path for folder in ('benchmarks', 'nbs', 'deblur_vae')
          for path in below(ROOT / folder, '*.csv')]
ROWS = 100  # a longer table is data: most decimals would be found in it by chance

# Numbers that no cell can print, each with the reason.
FACES = 'measured on photographs of faces that may not be passed on'
EXCEPTIONS: dict[str, dict[str, str]] = {
    'index.ipynb': {'2.6': 'SIGMA of tools/site_pictures.py, which made the picture'},
    'portraits/06_dataset.ipynb': {'1.75': FACES, '27.0 dB': FACES, '29.4 dB': FACES},
}

SCALES = {'kB': 1e3, 'MB': 1e6, 'GB': 1e9, 'million': 1e6, 'billion': 1e9}
NUMBER = re.compile(
    r'(?<![\w.])(\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d+))?(?!\d|\.\d)'
    r'(?:(?:e|\s?(?:·|×|\\cdot|\\times)\s?10\^?\{?)([-+]?\d+)\}?)?'
    r'(?:\s?\\?(%|(?:dB|kB|MB|GB|million|billion)\b))?')
POWERS = str.maketrans('⁰¹²³⁴⁵⁶⁷⁸⁹⁻', '0123456789-')
# What looks like a decimal number of the prose and claims nothing.
NO_CLAIM = [
    r'^(`{3,})[^\n]*\n.*?^\1', r'(`+)[^`]+\1', r'\$\$.*?\$\$',  # code and formulas
    r'^#+ [^\n]*', r'^:::[^\n]*', r'<[^>\n]+>',             # headings and tags
    r'(?<=\])\([^)\s]*\)', r'https?://\S+',                 # where links lead
    r'\b\d{4}\.\d{4,5}\b', r'\b10\.\d{4,}/\S+',             # arXiv and DOI
    r'\b(?:Python|PyTorch|torch|Quarto|nbdev|CUDA|Runtime|Web|[Rr]elease|[Vv]ersion|'
    r'License|BY)[ -]v?\d+\.\d+(?:\.\d+)*']            # versions


class Number(NamedTuple):
    "A number of a text, without its sign, and how finely it is given."
    text: str
    value: float
    step: float  # of its last digit
    unit: str = ''
    origin: str = 'text'  # or 'literal', 'table'


def numbers(text: str) -> Iterator[Number]:
    "All numbers of a text, in the order in which they stand."
    text = re.sub(r'(?<=10)[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+', lambda m: m[0].translate(POWERS), text)
    text = text.replace('−', '-').replace('{,}', ',')
    for found in NUMBER.finditer(text):
        whole, part, power, unit = found.groups()
        scale = 10.0 ** int(power or 0) * SCALES.get(unit, 1)
        value = float(f'{whole.replace(",", "")}.{part or 0}')
        step = 10.0 ** -len(part or '') * scale
        yield Number(found[0], value * scale, step, unit or '')


def claims(prose: str) -> list[Number]:
    "The decimal numbers that a text in Markdown claims."
    for pattern in NO_CLAIM: prose = re.sub(pattern, ' ', prose, flags=re.S | re.M)
    return [number for number in numbers(prose) if '.' in number.text]


def supports(source: Number, claim: Number) -> bool:
    """Whether `claim` is `source` or rounds it. A source with fewer digits does not say
    the last digit of the claim. 12.3 % may come from 0.123, and from 12.3 in a column
    whose head says per cent, 23.6 GB from 23.6 under GB."""
    exact = source.origin == 'literal'
    if exact and claim.unit == 'dB': return False
    if source.origin == 'table' and round(claim.value / claim.step) < 100: return False
    slack = claim.step * (0.001 if exact else 0.5001)
    scales = {1.0}
    if claim.unit == '%': scales.add(100.0)
    if source.unit == '%': scales.add(0.01)
    if not source.unit: scales.add(SCALES.get(claim.unit, 1.0))
    return any(abs(source.value * scale - claim.value) <= slack
               for scale in scales if source.step * scale <= claim.step * 1.001)


def svg_text(svg: str) -> str:
    "What is written in a figure, in letters or as outlines, except along its axes."
    def words(element) -> Iterator[str]:
        if re.match('[xy]tick_', element.get('id') or ''): return
        if element.tag is ET.Comment or str(element.tag).endswith(('}text', '}tspan')):
            yield element.text or ''
        for child in element: yield from words(child)
    keep = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    return '\n'.join(words(ET.fromstring(svg, keep)))


def output_text(output: dict) -> str:
    "What an output of a cell says to its reader."
    kinds = {kind: ''.join(said) for kind, said in output.get('data', {}).items()}
    texts = [''.join(output.get('text', '')), kinds.get('text/markdown', '')]
    if 'text/html' in kinds: texts.append(html.unescape(kinds['text/html']))
    if 'image/svg+xml' in kinds: texts.append(svg_text(kinds['image/svg+xml']))
    if not any(kind.startswith('image/') for kind in kinds):
        texts.append(kinds.get('text/plain', ''))
    return re.sub(r'<[^>\n]+>', ' ', '\n'.join(texts))


def literals(code: str) -> Iterator[Number]:
    "The numbers of Python code, but not those of its texts and comments."
    try: tree = ast.parse(code)
    except SyntaxError: return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            yield Number(repr(node.value), node.value, 0.0, origin='literal')


def prose(notebook: list[dict]) -> str:
    "What a reader reads beside code and outputs: Markdown, captions, texts for them."
    said = []
    for cell in notebook:
        if cell['cell_type'] == 'markdown': said.append(cell['source'])
        else: said += re.findall(r'^#\| \w+-(?:sub)?(?:cap|alt): (.*)', cell['source'],
                                 re.M)
    return '\n\n'.join(said)


def table_numbers(text: str) -> list[Number]:
    "The numbers of a table in CSV that is short enough to be a source."
    lines = text.splitlines()
    if len(lines) > ROWS: return []
    return [number._replace(origin='table') for line in lines
            for field in line.split(',') for number in numbers(field)]


def tables(text: str) -> Iterator[Path]:
    "The tables that a notebook names: `results.csv`, or 'results' in its code."
    for path in TABLES:
        stem = re.escape(path.stem)
        if re.search(rf'(?<![\w-]){stem}\.csv|(["\']){stem}\1', text): yield path


def sources(notebook: list[dict]) -> list[Number]:
    """The numbers that prose may repeat. A solution's code and what stands below it
    count as code and output: `test_exercises` runs the one and expects the other."""
    found = []
    for cell in notebook:
        for kind, block in re.findall(r'^```(\w*)\n(.*?)^```', cell['source'],
                                      re.M | re.S):
            found += literals(block) if kind == 'python' else numbers(block)
        if cell['cell_type'] != 'code': continue
        found += literals(cell['source'])
        for output in cell['outputs']: found += numbers(output_text(output))
    text = '\n'.join(cell['source'] for cell in notebook)
    for path in tables(text): found += table_numbers(path.read_text())
    return found


def without_source(notebook: list[dict]) -> list[str]:
    "The claims that no source supports, in the order in which they stand."
    have = sources(notebook)
    return list(dict.fromkeys(claim.text for claim in claims(prose(notebook))
                              if not any(supports(source, claim) for source in have)))


@cache
def unsourced(name: str) -> list[str]: return without_source(cells(NOTEBOOKS[name]))


@pytest.mark.parametrize('name', NOTEBOOKS)
def test_every_number_of_the_prose_has_a_source(name):
    excused = EXCEPTIONS.get(name, {})
    found = [number for number in unsourced(name) if number not in excused]
    assert not found, f'no output, table or literal of {name} says {found}'


def test_no_excuse_is_stale():
    "What has a source by now, or stands nowhere, must go from `EXCEPTIONS`."
    stale = {name: sorted(set(listed) - set(unsourced(name)) if name in NOTEBOOKS
                          else listed) for name, listed in EXCEPTIONS.items()}
    assert not {name: listed for name, listed in stale.items() if listed}


PROSE = """# The 9.9 of a heading
::: {.callout-tip title="Exercise: 8.8"}
[Results](04_results.ipynb#at-7.7) and [2006.13202](https://arxiv.org/abs/2006.13202),
doi [10.1109/TIP.2003.819861](https://doi.org/10.1109/TIP.2003.819861), Python 3.11,
Quarto 1.7.34, version 2.4, `x = 6.6` and

```python
y = 5.5
```

$$z = 4.4$$

are no claims. These are: $f r = 0.61$, 31.25\xa0dB, 12.3 %, 16.8 million, 1,234.5,
from −2.5 to 2.75, and 1.5·10⁻³.
"""


def test_claims_are_the_decimals_that_prose_states():
    found = claims(PROSE)
    assert [number.value for number in found] == pytest.approx(
        [0.61, 31.25, 12.3, 16.8e6, 1234.5, 2.5, 2.75, 1.5e-3])
    assert [number.unit for number in found[1:4]] == ['dB', '%', 'million']


@pytest.mark.parametrize('said, claim, right', [
    ('0.91', '0.9', True), ('0.8958', '0.9', True), ('-0.914', '0.91', True),
    ('0.95', '0.9', True), ('0.951', '0.9', False), ('0.84', '0.9', False),
    ('0.9', '0.90', False), ('1', '1.0', False), ('0.91', '0.92', False),
    ('0.1234', '12.3 %', True), ('12.34', '12.3 %', True), ('12.3 %', '0.123', True),
    ('12.3', '0.123', False), ('0.1234', '12.4 %', False), ('1234', '12.3 %', False),
    ('16,759,299', '16.8 million', True), ('16,659,299', '16.9 million', False),
    ('0.00152', '1.5·10⁻³', True), ('1.5e-03', '0.0015', True), ('1.5e-2', '0.0015', 0),
    ('14.2 MB', '14.2 MB', True), ('14,230,000 bytes', '14.2 MB', True)])
def test_a_claim_is_what_was_said_rounded(said, claim, right):
    (source,), (number,) = numbers(said), claims(claim)
    assert supports(source, number) == right


def test_literals_are_taken_as_they_stand():
    found = list(literals('f(sigma=2.6, n=-3)  # 1.1\ntext = "2.2"\nok = True'))
    assert [number.value for number in found] == [2.6, 3]
    right, rounded, measured, whole = claims('2.6 and 2.58 and 2.6 dB and 3.0')
    sigma, n = found
    assert supports(sigma, right) and supports(n, whole)
    assert not supports(sigma, rounded) and not supports(sigma, measured)


def test_tables_are_taken_for_numbers_of_three_digits():
    found = table_numbers('sigma,psnr\n2.0,26.5056\n')
    assert [any(supports(source, claim) for source in found)
            for claim in claims('2.0 and 26.51 and 26.5 and 26.52')] == [0, 1, 1, 0]
    assert not table_numbers('0.123\n' * (ROWS + 1)), 'data, and no table to read'


def test_figures_speak_except_along_their_axes():
    svg = ('<svg xmlns="http://www.w3.org/2000/svg"><g id="xtick_1"><g id="text_1">'
           '<!-- 0.2 --></g></g><g id="text_2"><!-- 31.5 dB --></g><text>4.25</text>'
           '<path d="M 7.75 8.5"/></svg>')
    assert [number.value for number in numbers(svg_text(svg))] == [31.5, 4.25]


def test_a_notebook_is_held_to_its_outputs():
    "One claim from each kind of source, and then each of them with another last digit."
    outputs = [dict(text=['psnr 48.26\n']),
               dict(data={'text/html': ['<td style="width: 9.31px">7.25&nbsp;s</td>']}),
               dict(data={'text/markdown': ['| 0.125 |'], 'text/plain': '<Markdown>'}),
               dict(data={'image/jpeg': 'AAAA', 'text/plain': '<Figure 6.4x4.8>'})]
    code = '#| fig-cap: "Of sigma 1.75"\nblur(sigma=1.75)'
    text = ('It has 48.3 dB after 7.25 s, 12.5 % and a KL of {:.2f}.\n\n'
            '```python\nprint(2 * 3.1)\n```\n\n```\n6.2\n```\n'
            'So 6.2 it is, as `collapse-faces.csv` says.')
    def notebook(kl):
        return [dict(cell_type='code', source=code, outputs=outputs),
                dict(cell_type='markdown', source=text.format(kl))]
    assert without_source(notebook(958.99)) == []
    assert without_source(notebook(958.98)) == ['958.98']
    for right, wrong in (('48.26', '48.46'), ('7.25&', '7.35&'), ('0.125', '0.128'),
                         ('6.2\n```', '6.3\n```'), ('sigma=1.75', 'sigma=1.76'),
                         ('collapse-faces.csv', 'collapse.csv')):
        broken = json.dumps(notebook(958.99)).replace(json.dumps(right)[1:-1],
                                                      json.dumps(wrong)[1:-1])
        assert len(without_source(json.loads(broken))) == 1, right
