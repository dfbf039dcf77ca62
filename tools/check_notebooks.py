"""Part of `make check` and `make test`: checks, in a scratch copy, that the notebooks
are clean, that the package is what they export, and that nbdev can make the
documentation from them (step 2 of `make docs`). Prints what differs and exits with 1 if
anything does."""
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from notebooks import NBS, PACKAGE, ROOT, below

BIN = Path(sys.executable).parent
# What is not needed to export and to process: results of runs, caches, and large files.
LEFT_OUT = shutil.ignore_patterns('__pycache__', '.*', 'runs', 'weights', '*.wasm',
                                  '*.onnx')


def scratch_copy(copy: Path) -> None:
    "What nbdev needs of this repository, into `copy`; a `quarto` that does nothing."
    for name in ('nbs', PACKAGE):
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=LEFT_OUT)
    for name in ('settings.ini', 'README.md', '_quarto.yml'):
        shutil.copy(ROOT / name, copy)
    (copy / 'bin').mkdir()
    quarto = copy / 'bin' / 'quarto'  # nbdev would try to install it
    quarto.write_text('#!/bin/sh\n')
    quarto.chmod(0o755)


def nbdev(command: str, copy: Path) -> None:
    "A command of nbdev in `copy`; ends the program if it fails."
    path = os.pathsep.join([str(copy / 'bin'), str(BIN), os.environ['PATH']])
    modules = os.pathsep.join([str(ROOT / 'tools'), str(ROOT)])
    done = subprocess.run([BIN / command], cwd=copy, capture_output=True, text=True,
                          env=os.environ | {'PATH': path, 'PYTHONPATH': modules})
    if done.returncode: sys.exit(f'{command} failed:\n{done.stdout}{done.stderr}')


def differing(copy: Path, folder: str, pattern: str) -> list[str]:
    "Files below `folder` that are not the same, or not on both sides."
    def same(name: str) -> bool:
        here, there = ROOT / name, copy / name
        return (here.exists() and there.exists()
                and filecmp.cmp(here, there, shallow=False))
    names = {str(path.relative_to(base)) for base in (ROOT, copy)
             for path in below(base / folder, pattern)}
    return sorted(name for name in names if not same(name))


def check(copy: Path) -> list[str]:
    "One line for each thing that is wrong."
    scratch_copy(copy)
    nbdev('nbdev_clean', copy)
    problems = [f'{name}: not clean, run `make export`'
                for name in differing(copy, 'nbs', '*.ipynb')]
    for module in below(copy / PACKAGE, '*.py'):
        if not module.name.startswith('__'): module.unlink()  # those are no notebook's
    nbdev('nbdev_export', copy)
    problems += [f'{name}: not what the notebooks export, run `make export`'
                 for name in differing(copy, PACKAGE, '*.py')]
    nbdev('nbdev_proc_nbs', copy)
    names = [path.relative_to(NBS) for path in below(NBS)]
    problems += [f'nbs/{name}: lost in docs processing'
                 for name in names if not (copy / '_proc' / name).exists()]
    return problems + [f'{name}: not what settings.ini says, run `make docs`'
                       for name in differing(copy, 'nbs', 'nbdev.yml')]


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as scratch: problems = check(Path(scratch))
    print('\n'.join(problems) or 'notebooks are clean, modules are what they export, '
                                 'docs processing works')
    sys.exit(bool(problems))
