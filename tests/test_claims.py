"""Every decimal number of the prose has a source: an output of the same notebook, a
committed table that it names, or a literal of its code (a parameter, such as σ = 2.6).

A number is right if it is a number of the source, rounded to the digits that the prose
shows; as a share or in per cent, whatever its sign. A literal is not rounded, and no
source of decibels, which are measured. All this is necessary and not enough: whether it
is the number that the sentence speaks of is for a reader to see."""
import ast
import html
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
EXCEPTIONS: dict[str, dict[str, str]] = {}

# Numbers that still wait for a cell that prints them. Only ever take from it.
KNOWN: dict[str, set[str]] = {}

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
    r'\b(?:Python|PyTorch|torch|Quarto|nbdev|CUDA|Runtime|Web|[Rr]elease|[Vv]ersion|BY)'
    r'[ -]v?\d+\.\d+(?:\.\d+)*']


class Number(NamedTuple):
    "A number of a text, without its sign, and how finely it is given."
    text: str
    value: float
    step: float  # of its last digit
    unit: str = ''
    literal: bool = False


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
    whose head says per cent."""
    if source.literal and claim.unit == 'dB': return False
    slack = claim.step * (0.001 if source.literal else 0.5001)
    scales = {1.0}
    if claim.unit == '%': scales.add(100.0)
    if source.unit == '%': scales.add(0.01)
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
        value = getattr(node, 'value', None) if isinstance(node, ast.Constant) else None
        if type(value) in (int, float): yield Number(repr(value), value, 0.0, literal=True)


def prose(notebook: list[dict]) -> str:
    "What a reader reads beside code and outputs: Markdown, captions, alternative texts."
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
    return [number for line in lines for field in line.split(',')
            for number in numbers(field)]


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
    for path in TABLES:
        if re.search(rf'(?<![\w-]){re.escape(path.stem)}(?![\w-])', text):
            found += table_numbers(path.read_text())
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
    excused = {*EXCEPTIONS.get(name, {}), *KNOWN.get(name, ())}
    found = [number for number in unsourced(name) if number not in excused]
    assert not found, f'no output, table or literal of {name} says {found}'


@pytest.mark.parametrize('excuses', [EXCEPTIONS, KNOWN], ids=['EXCEPTIONS', 'KNOWN'])
def test_no_excuse_is_stale(excuses):
    "What has a source by now, or stands nowhere, must go from the lists above."
    stale = {name: sorted(set(listed) - set(unsourced(name)) if name in NOTEBOOKS
                          else listed) for name, listed in excuses.items()}
    assert not {name: listed for name, listed in stale.items() if listed}
    assert all(excuses.values()), 'a notebook that needs no excuse is not listed'
    assert all(reason for listed in EXCEPTIONS.values() for reason in listed.values())
