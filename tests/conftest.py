import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kill_storm import Forked

from deblur_vae.cli import main
from deblur_vae.portraits import write_portraits

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))
SHARED = ROOT.parent / 'shared' / 'data'


@pytest.fixture(scope='session', autouse=True)
def cache(tmp_path_factory):
    "A cache for this session, so that no test leaves stores in the user's."
    os.environ['DEBLUR_VAE_CACHE'] = str(tmp_path_factory.mktemp('cache'))


@pytest.fixture(scope='session')
def drawn(tmp_path_factory) -> Path:
    "Forty portraits in CelebA's layout."
    return write_portraits(tmp_path_factory.mktemp('portraits') / 'celeba', 40,
                           progress=False)


@pytest.fixture(scope='session')
def real_faces() -> Path:
    if not SHARED.is_dir(): pytest.skip('no real pictures: ../shared/data is absent')
    return SHARED


@pytest.fixture
def deblur_vae(tmp_path):
    "Runs the command as a user would: a process of its own, in an empty folder."
    def call(*argv) -> subprocess.CompletedProcess:
        command = [sys.executable, '-m', 'deblur_vae.cli', *map(str, argv)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True,
                              timeout=300)
    return call


@pytest.fixture
def refuses(tmp_path, monkeypatch, capsys):
    """Asserts that the command fails with exit code 2 and one line (below cleared
    progress bars) that has all the words."""
    def check(argv, *words) -> None:
        monkeypatch.chdir(tmp_path)
        code, err = main(list(map(str, argv))), capsys.readouterr().err
        *bars, line = [part for part in err.replace('\r', '\n').split('\n')
                       if part.strip()]
        assert code == 2 and line.startswith('deblur-vae: '), err
        assert all('%|' in bar for bar in bars), err
        for word in words: assert word in line
    return check


@pytest.fixture
def launch(tmp_path):
    "Starts the command beside the test; whatever still runs at its end is killed."
    started = []

    def start(*argv, **options) -> Forked:
        started.append(Forked(argv, tmp_path / f'said-{len(started)}.txt', **options))
        return started[-1]
    yield start
    for command in started:
        if command.running(): command.send(signal.SIGKILL)
        command.wait()
