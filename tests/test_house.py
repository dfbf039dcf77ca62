"Rules of the house that a reader of one file would not see broken."
import ast
import importlib
from collections import defaultdict

import pytest
from conftest import ROOT
from test_docstrings import MODULES

SCREEN = 40 # lines of a function at most


def test_no_public_name_stands_in_two_modules():
    homes = defaultdict(list)
    for name in MODULES:
        module = importlib.import_module(f'deblur_vae.{name}')
        for public in module.__all__: homes[public].append(name)
    shared = {public: names for public, names in homes.items() if len(names) > 1}
    assert not shared


@pytest.mark.parametrize('folder', ['deblur_vae', 'tools', 'benchmarks', 'tests'])
def test_functions_fit_on_a_screen(folder):
    "Decorators are not counted; of a class, each method is one."
    long = []
    for path in sorted((ROOT / folder).rglob('*.py')):
        if 'node_modules' in path.parts: continue
        for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)): continue
            if node.end_lineno - node.lineno < SCREEN: continue
            long.append(f'{path.relative_to(ROOT)}:{node.lineno} {node.name}')
    assert not long
