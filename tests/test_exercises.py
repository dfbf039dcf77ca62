"""The solutions of all exercises run, and print what stands below them.

A solution may use what it imports, the module of its chapter, and what cells of the
chapter before it define: of these, only the cells that it needs are run."""
import builtins
import importlib
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from symtable import symtable
from typing import NamedTuple

import matplotlib
import pytest
import torch

from conftest import ROOT
from notebooks import PACKAGE, below, cells

NBS = ROOT / 'nbs'
# Exercises that are solved in words, without code to run.
IN_WORDS = {
    'Exercise: a random flip',
    'Exercise: eight bits',
    'Exercise: four tiles in a corner',
    'Exercise: only the weights',
    'Exercise: the beginning of a name',
    'Exercise: the second turn',
    'Exercise: why not zero?',
    'Exercise: your machine',
}
BOX = re.compile(r'^(:{3,}) \{\.callout-\w+ ([^}]*)\}\n(.*?)^\1$', re.M | re.S)
FOLDED = re.compile(r'<details[^>]*>\s*<summary>(.*?)</summary>(.*?)</details>', re.S)
BLOCK = re.compile(r'^```python\n(.*?)^```\n(?:\s*^```(?:text)?\n(.*?)^```$)?',
                   re.M | re.S)
NUMBER = re.compile(r'\d[\d,]*(?:\.\d+)?')


class Solution(NamedTuple):
    "What a reader unfolds below an exercise."
    notebook: str  # from nbs/
    cell: int  # where it stands
    title: str  # of the exercise
    text: str


def boxes(text: str) -> Iterator[tuple[int, str, str]]:
    "Callouts and folded parts of a Markdown cell: where, title, text."
    for box in BOX.finditer(text):
        title = re.search(r'title="([^"]*)"', box[2])
        yield box.start(), title[1] if title else '', box[3]
    for part in FOLDED.finditer(text): yield part.start(), part[1].strip(), part[2]


def solutions(notebook: str, found: list[dict]) -> tuple[list[str], list[Solution]]:
    "The titles of the exercises of a notebook, and their solutions."
    titles, solved = [], []
    for number, cell in enumerate(found):
        if cell['cell_type'] != 'markdown': continue
        for _, title, text in sorted(boxes(cell['source'])):
            if title.startswith('Exercise'): titles.append(title)
            elif title.startswith('Solution'):
                solved.append(Solution(notebook, number, titles[-1], text))
    return titles, solved


def blocks(text: str) -> list[tuple[str, str]]:
    "Python code of a solution, and what stands below as its output ('' if nothing)."
    return BLOCK.findall(text)


ALL = {path.relative_to(NBS).as_posix(): cells(path) for path in below(NBS)}
FOUND = {name: solutions(name, found) for name, found in ALL.items()}
SOLVED = [solution for _, solved in FOUND.values() for solution in solved]
WITH_CODE = [solution for solution in SOLVED if blocks(solution.text)]


def names(code: str) -> tuple[set[str], set[str]]:
    "What code defines for the code after it, and what it takes from the code before."
    top = symtable(code, 'code', 'exec')
    defined = {symbol.get_name() for symbol in top.get_symbols()
               if symbol.is_assigned() or symbol.is_imported()}
    used, tables = set(), [top]
    for table in tables:
        used |= {symbol.get_name() for symbol in table.get_symbols()
                 if symbol.is_referenced() and (table is top or symbol.is_global())}
        tables += table.get_children()
    return defined, used - defined - set(dir(builtins))


def needed(code: str, before: list[dict], known: set[str]) -> list[str]:
    "Those of the cells before that define what `code` needs beyond the `known` names."
    want, chosen = names(code)[1] - known, []
    for cell in reversed(before):
        if cell['cell_type'] != 'code' or re.search('^[%!]', cell['source'], re.M):
            continue
        defined, used = names(cell['source'])
        if not defined & want: continue
        want = (want - defined) | (used - known)
        chosen.insert(0, cell['source'])
    assert not want, f'nothing defines {sorted(want)}'
    return chosen


def module_of(found: list[dict]) -> dict:
    "The names of the module that a notebook exports."
    text = '\n'.join(cell['source'] for cell in found)
    module = re.search(r'^#\| default_exp ([\w.]+)', text, re.M)
    return vars(importlib.import_module(f'{PACKAGE}.{module[1]}')) if module else {}


def same(printed: str, expected: str) -> bool:
    """Whether two outputs agree: in their words, and in their numbers up to two of the
    last digit, since another processor may round otherwise."""
    if NUMBER.sub('#', printed).split() != NUMBER.sub('#', expected).split():
        return False
    for one, other in zip(NUMBER.findall(printed), NUMBER.findall(expected)):
        digits = len(other.partition('.')[2])
        gap = abs(float(one.replace(',', '')) - float(other.replace(',', '')))
        if gap > (2.01 * 10**-digits if digits else 0): return False
    return True


@pytest.fixture
def room(tmp_path, monkeypatch):
    "An empty folder from which `../benchmarks` is that of the project; one thread."
    (tmp_path / 'nbs').mkdir()
    (tmp_path / 'benchmarks').symlink_to(ROOT / 'benchmarks')
    monkeypatch.chdir(tmp_path / 'nbs')
    matplotlib.use('agg')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(), matplotlib.rc_context(): yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize('solution', WITH_CODE,
                         ids=[f'{s.notebook}: {s.title}' for s in WITH_CODE])
def test_solution_runs(solution, room):
    found = ALL[solution.notebook]
    scope = module_of(found) | {'__name__': 'solution'}
    code = blocks(solution.text)
    whole = '\n'.join(source for source, _ in code)
    with redirect_stdout(StringIO()):
        for source in needed(whole, found[:solution.cell], set(scope)):
            exec(compile(source, solution.notebook, 'exec'), scope)
    for source, expected in code:
        said = StringIO()
        with redirect_stdout(said):
            exec(compile(source, solution.title, 'exec'), scope)
        if expected: assert same(said.getvalue(), expected), said.getvalue()


def test_every_exercise_has_a_solution():
    for name, (titles, solved) in FOUND.items():
        assert titles == [solution.title for solution in solved], name


def test_solutions_without_code_are_few():
    "So that the test above does not pass because it finds no code."
    words = {solution.title for solution in SOLVED if not blocks(solution.text)}
    assert words == IN_WORDS, f'{len(words)} in words, {len(WITH_CODE)} with code'
    assert len(WITH_CODE) >= 30
    for solution in SOLVED:
        assert solution.text.count('```python') == len(blocks(solution.text))


def test_solutions_are_found_in_both_forms():
    text = ('::: {.callout-tip title="Exercise: one"}\nWhat is 1 + 1?\n:::\n\n'
            '::: {.callout-note collapse="true" title="Solution"}\nSo:\n\n'
            '```python\nprint(one + one)\n```\n\n```\n2\n```\n:::\n\n'
            '::: {.callout-tip title="Exercise: two"}\nAnd twice?\n:::\n\n'
            '<details>\n<summary>Solution</summary>\n\n```python\n4\n```\n</details>\n')
    notebook = [dict(cell_type='code', source='two = 2'),
                dict(cell_type='code', source='one = half(two)'),
                dict(cell_type='code', source='def other(two): one = two; return one'),
                dict(cell_type='markdown', source=text)]
    titles, (first, second) = solutions('x.ipynb', notebook)
    assert titles == ['Exercise: one', 'Exercise: two'] == [first.title, second.title]
    assert blocks(first.text) == [('print(one + one)\n', '2\n')]
    assert blocks(second.text) == [('4\n', '')]
    code = blocks(first.text)[0][0]
    assert needed(code, notebook, {'half'}) == ['two = 2', 'one = half(two)']
    with pytest.raises(AssertionError, match='half'): needed(code, notebook, set())


def test_outputs_agree_in_words_and_nearly_in_numbers():
    assert same('a 1.25 dB,\n3 times', 'a 1.26 dB,  3 times\n')
    for other in ('a 1.29 dB, 3 times', 'a 1.25 dB, 4 times', 'b 1.25 dB, 3 times',
                  'a 1.25 dB', 'a 1.25 dB, 3 times, 5'):
        assert not same('a 1.25 dB, 3 times', other)
