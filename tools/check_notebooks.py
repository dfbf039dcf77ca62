"""Checks, in a scratch copy, that the notebooks are clean, that the package is what they export, and that the
documentation can be made from them. Prints what differs and exits with 1 if anything does."""
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from notebooks import below

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def nbdev(command: str, cwd: Path, path: str = '') -> None:
    env = os.environ | {'PYTHONPATH': os.pathsep.join([str(ROOT / 'tools'), str(ROOT)]),
                        'PATH': os.pathsep.join(filter(None, [path, str(BIN), os.environ['PATH']]))}
    done = subprocess.run([BIN / command], cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode: sys.exit(f'{command} failed:\n{done.stdout}{done.stderr}')


def differing(copy: Path, folder: str, pattern: str) -> list[str]:
    "Files below `folder` matching `pattern` that are not the same, or not on both sides."
    names = {str(path.relative_to(base)) for base in (ROOT, copy)
             for path in below(base / folder, pattern)}
    return sorted(n for n in names if not ((ROOT / n).exists() and (copy / n).exists()
                                           and filecmp.cmp(ROOT / n, copy / n, shallow=False)))


def check(copy: Path) -> list[str]:
    "One line for each thing that is wrong."
    for name in ('nbs', 'deblur_vae'):
        shutil.copytree(ROOT / name, copy / name, symlinks=True,
                        ignore=shutil.ignore_patterns('__pycache__', '.ipynb_checkpoints', 'runs'))
    for name in ('settings.ini', 'README.md', '_quarto.yml'): shutil.copy(ROOT / name, copy)
    nbdev('nbdev_clean', copy)
    problems = [f'{name}: not clean, run `make export`' for name in differing(copy, 'nbs', '*.ipynb')]
    for module in below(copy / 'deblur_vae', '*.py'):
        if not module.name.startswith('__'): module.unlink()  # written by hand
    nbdev('nbdev_export', copy)
    problems += [f'{name}: not what the notebooks export, run `make export`'
                 for name in differing(copy, 'deblur_vae', '*.py')]

    (copy / 'bin').mkdir()
    (copy / 'bin' / 'quarto').write_text('#!/bin/sh\n')
    (copy / 'bin' / 'quarto').chmod(0o755)
    nbdev('nbdev_proc_nbs', copy, str(copy / 'bin'))
    for path in below(ROOT / 'nbs'):
        name = path.relative_to(ROOT / 'nbs')
        if not (copy / '_proc' / name).exists(): problems.append(f'nbs/{name}: lost in docs processing')
    return problems + [f'{name}: not what settings.ini says, run `make docs`' for name in differing(copy, 'nbs', 'nbdev.yml')]


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as scratch: problems = check(Path(scratch))
    print('\n'.join(problems) if problems else 'notebooks are clean, modules are what they export, docs processing works')
    sys.exit(bool(problems))
