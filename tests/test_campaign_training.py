"""A run that is stopped again and again, in every way there is, ends as if nothing had
happened, bit by bit."""
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import campaign
from kill_storm import (
    SMALL, Forked, await_change, loadable, stamp, storm, unlike)

from deblur_vae.checkpoint import read_history

SEED = 1
DAY = 86_400  # s


@pytest.mark.parametrize('kills', [3, campaign(1000)])
def test_killed(drawn, tmp_path, tally, kills):
    "At random moments, one in seven of them while it starts."
    with tally('SIGKILLs of a training run', SEED) as killed:
        storm(tmp_path, drawn, killed, kills, SEED, epochs=max(4, kills // 5))


@pytest.mark.campaign
def test_told_to_stop(drawn, tmp_path, tally):
    """Each run leaves with one line, and nothing half-written. Once,
    `test_faults.test_terminated_and_resumed` has it in `make test`."""
    numbers = signal.SIGTERM, signal.SIGINT
    with tally('SIGTERMs and SIGINTs of a training run', SEED) as stopped:
        storm(tmp_path, drawn, stopped, 100, SEED, 50, numbers, 0)


@pytest.fixture(scope='module')
def recipe(drawn) -> list:
    "A short run, with a checkpoint after each step."
    return ['train', '--data', drawn, *SMALL, '--batch-size', 2, '--epochs', 2,
            '--checkpoint-minutes', 0.0001]


@pytest.fixture(scope='module')
def peace(recipe, tmp_path_factory) -> Path:
    "What it leaves if nobody disturbs it."
    folder = tmp_path_factory.mktemp('peace')
    alone = Forked([*recipe, '--out', folder / 'run'], folder / 'said.txt')
    assert alone.wait() == 0, alone.said()
    return folder / 'run'


@pytest.fixture
def train(recipe, launch, tmp_path):
    "Starts it in the folder of that name."
    def start(name: str, *more, **options):
        return launch(*recipe, '--out', tmp_path / name, *more, **options)
    return start


def test_the_clock_is_set_back(train, peace, tmp_path):
    "By a day, between two starts: all that is in the folder is from the future."
    run, first = tmp_path / 'run', train('run', clock=DAY)
    await_change(run / 'last.pt', first)
    await_change(run / 'last.pt', first, stamp(run / 'last.pt'))
    first.send(signal.SIGTERM)
    assert first.wait() == 128 + signal.SIGTERM
    for path in run.iterdir():
        later = path.stat().st_mtime + DAY
        os.utime(path, (later, later))
    second = train('run', '--resume')
    assert second.wait() == 0, second.said()
    assert unlike(peace, run) == []


@pytest.mark.campaign
def test_two_runs_in_one_folder(train, peace, tmp_path, tally):
    """Started together, one trains, and the other is told who does. The one that trains
    is killed, and one that comes later takes over. `test_faults` has it once."""
    with tally('pairs of runs in one folder', SEED) as tried:
        for n in range(40):
            folder = tmp_path / f'run-{n}'
            pair = [train(folder.name, '--resume') for _ in range(2)]
            fault = fault_of(pair, folder / 'last.pt')
            third = train(folder.name, '--resume')
            if third.wait(): fault = fault or third.said()
            tried.count(f'pair {n}', fault, *unlike(peace, folder))
            shutil.rmtree(folder)


def fault_of(pair: list, checkpoint: Path) -> str | None:
    "What is wrong with what two runs said of each other; afterwards both are gone."
    await_change(checkpoint, pair[0] if pair[0].running() else pair[1])
    while all(command.running() for command in pair):
        before = stamp(checkpoint)
        await_change(checkpoint, pair[0], before)
    second, first = sorted(pair, key=lambda command: command.running())
    if first.running(): first.send(signal.SIGKILL)
    first.wait()
    line, = second.told() or ['']
    if second.wait() == 2 and 'is training in this folder' in line: return None
    return f'exit code {second.wait()}: {second.said()[-500:]}'


@pytest.fixture
def small_disk(tmp_path):
    "A disk of a given number of kilobytes, which may grow."
    (disk := tmp_path / 'disk').mkdir()

    def size(kilobytes: int, *more: str) -> None:
        options = ','.join([f'size={kilobytes}k', *more])
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', disk]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip('no file system may be mounted here: '
                        'test_faults.test_files_may_not_grow stands in for it')
    if not shutil.which('mount'): pytest.skip('there is no mount here')
    yield disk, size
    subprocess.run(['umount', disk], capture_output=True)


@pytest.mark.campaign
def test_the_disk_is_full_again_and_again(train, peace, small_disk, tmp_path, tally):
    """At twelve random sizes, and each time from the start: one line, a checkpoint that
    loads or none, and the same end once there is room."""
    disk, size = small_disk
    chance = random.Random(SEED)
    size(9000)
    with tally('full disks', SEED) as full:
        for _ in range(12):
            kilobytes = chance.randint(100, 2600)
            size(kilobytes, 'remount')
            first = train('disk/run', '--resume')
            code, told = first.wait(), first.told()
            named = code == 0 or (code == 2 and len(told) == 1
                                  and 'No space left on device' in told[0])
            loadable(disk / 'run')
            size(9000, 'remount')
            last = train('disk/run', '--resume')
            ended = last.wait() == 0 and len(read_history(disk / 'run')) == 2
            full.count(f'{kilobytes} kB', not named and first.said()[-500:],
                       not ended and last.said()[-500:], *unlike(peace, disk / 'run'))
            shutil.rmtree(disk / 'run')
