"""The wheel and the source archive: what is in them, and that they work without the
tools of development."""
import subprocess
import sys
import zipfile

import pytest

from conftest import ROOT

IMPORT_WITHOUT_DEV_TOOLS = """
import sys
for name in ('nbdev', 'fastcore', 'execnb', 'pytest', 'IPython', 'jupyterlab'):
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
import pkgutil, importlib, deblur_vae, matplotlib.pyplot as plt
assert deblur_vae.__file__.startswith(sys.argv[1]), deblur_vae.__file__
for module in pkgutil.walk_packages(deblur_vae.__path__, 'deblur_vae.'):
    importlib.import_module(module.name)
plt.style.use('deblur_vae.house')
from deblur_vae.cli import main
main(['--help'])
"""


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp('dist')
    command = [sys.executable, '-m', 'build', '--no-isolation', '--outdir', out, ROOT]
    subprocess.run(command, check=True, capture_output=True)
    return out


def test_contents(built):
    wheel, = built.glob('*.whl')
    names = set(zipfile.ZipFile(wheel).namelist())
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / 'deblur_vae').rglob('*')
               if p.suffix in ('.py', '.mplstyle')}
    assert 'deblur_vae/portraits/brush.py' in modules
    assert modules <= names
    assert not [n for n in names
                if n.startswith(('nbs', 'tests', 'tools')) or n.endswith('.ipynb')]
    about = next(n for n in names if n.endswith('METADATA'))
    metadata = zipfile.ZipFile(wheel).read(about).decode()
    needed = [line.split()[1] for line in metadata.splitlines()
              if line.startswith('Requires-Dist') and 'extra' not in line]
    assert any(n.startswith('torch>') for n in needed)
    assert not any(n.startswith(('nbdev', 'fastcore')) for n in needed)
    assert next(built.glob('*.tar.gz')).stat().st_size < 13e6
    assert wheel.stat().st_size < 13e6
    for name in (p.name for p in (ROOT / 'deblur_vae' / 'weights').iterdir()):
        assert f'deblur_vae/weights/{name}' in names


def test_imports_without_development_tools(built, tmp_path):
    wheel, = built.glob('*.whl')
    zipfile.ZipFile(wheel).extractall(tmp_path)
    command = [sys.executable, '-c', IMPORT_WITHOUT_DEV_TOOLS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and 'demo' in done.stdout, done.stderr
