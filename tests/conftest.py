"""What several files of tests use. `test_X.py` tests the room X, `test_X_….py` a part
of it; the other names say which whole they test."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from filelock import FileLock
from kill_storm import Forked

from deblur_vae.cli import main
from deblur_vae.portraits import write_portraits

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / 'tools'))
SHARED = ROOT.parent / 'shared' / 'data'
# A parameter of a test that shows at large what others show at a small size.
campaign = partial(pytest.param, marks=pytest.mark.campaign)


class Tally:
    "What a campaign has tried, and what it has lost of that."
    def __init__(self):
        self.tried, self.lost, self.noted = 0, [], ''

    def count(self, what, *faults) -> None:
        "One more; `faults` of it that are true are how it was lost."
        self.tried += 1
        self.lost += [f'{fault}: {what}' for fault in faults if fault]


@pytest.fixture
def tally(record_property):
    """Counts a campaign: `with tally('kills', seed) as kills: …`. Ends in the line that
    `pytest_terminal_summary` prints, and fails if anything was lost."""
    @contextmanager
    def counting(of: str, seed: int):
        tally, began = Tally(), time.monotonic()
        try: yield tally
        finally:
            seconds, lost = time.monotonic() - began, len(tally.lost)
            record_property('campaign', f'{of}: {tally.tried:,} tried, {lost:,} lost '
                            f'(seed {seed}, {seconds:.0f} s{tally.noted})')
        assert not tally.lost, '\n'.join(tally.lost[:20])
    return counting


def pytest_terminal_summary(terminalreporter) -> None:
    "A line for each campaign, in whichever process it ran."
    reports = [report for end in ('passed', 'failed')
               for report in terminalreporter.stats.get(end, [])]
    lines = [line for report in reports for name, line in report.user_properties
             if name == 'campaign']
    if lines: terminalreporter.section('campaigns')
    for line in lines: terminalreporter.line(line)


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
    "Photographs of faces and of much else; a skip where there are none."
    if not SHARED.is_dir(): pytest.skip('no real pictures: ../shared/data is absent')
    return SHARED


@pytest.fixture(scope='session')
def site_is_assembled(tmp_path_factory) -> None:
    "All parts of the page are in nbs/, even where several processes test at once."
    for tool in ('node', 'npm'):
        if not shutil.which(tool): pytest.skip(f'{tool} is not installed')
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        reason = f"{package} is not installed: pip install -e '.[dev]'"
        pytest.importorskip(package, reason=reason)
    import site_parts
    common = tmp_path_factory.getbasetemp().parent
    with FileLock(common / 'site.lock'): site_parts.assemble()


@pytest.fixture(scope='module')
def address(site_is_assembled):
    "Where the Enhance page is served."
    import site_parts
    from chromium import serving
    with serving(site_parts.server(0)) as address: yield address


@pytest.fixture(scope='module')
def browser(address):
    "A browser; a skip where there is none."
    from browser import launched
    with launched() as browser: yield browser


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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture
def launch_two(launch):
    "Starts two workers with what `torchrun --nproc_per_node 2` tells its own."
    def start(argv: list) -> list:
        common = dict(WORLD_SIZE='2', LOCAL_WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(free_port()))
        return [launch(*argv, **common, RANK=str(rank), LOCAL_RANK=str(rank))
                for rank in range(2)]
    return start
