"The examples in the docstrings of all public names run, and each name has one."
import doctest
import importlib
import inspect
import pkgutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import deblur_vae

MODULES = [module.name.removeprefix('deblur_vae.')
           for module in pkgutil.walk_packages(deblur_vae.__path__, 'deblur_vae.')
           if not module.ispkg and '._' not in module.name]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def examples(module) -> dict[str, str]:
    "The docstrings of the public functions and classes, with their names."
    public = {name: getattr(module, name) for name in module.__all__}
    return {name: inspect.cleandoc(thing.__doc__ or '')
            for name, thing in public.items()
            if inspect.isroutine(thing) or inspect.isclass(thing)
            or hasattr(thing, '__wrapped__')}


def faults(module) -> list[str]:
    "Names without an example, and what examples print instead of what they promise."
    said, runner = [], doctest.DocTestRunner(verbose=False, optionflags=FLAGS)
    for name, text in examples(module).items():
        if '>>>' not in text: said.append(f'{name} has no example')
        scope = vars(module) | dict(torch=torch, np=np, Path=Path, Image=Image)
        parsed = doctest.DocTestParser().get_doctest(text, scope, name, None, 0)
        runner.run(parsed, out=said.append)
    return said


@pytest.mark.parametrize('name', MODULES)
def test_every_public_name_has_an_example_that_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = faults(importlib.import_module(f'deblur_vae.{name}'))
    assert not found, '\n'.join(found)
    assert not list(tmp_path.iterdir()), 'an example leaves files behind'
