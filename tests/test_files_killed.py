"""A process that shares the work, or the one that shares it out, is killed."""
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from conftest import campaign
from kill_storm import Command
from PIL import Image

from deblur_vae.data import DataError
from deblur_vae.files import enhance_files, in_processes, read_image


def deadly(pixels, once, always, marks):
    "Ends its own process for pictures of some greys, once or always."
    grey = int(pixels[0, 0, 0])
    mark = marks / str(grey)
    if grey in always or grey in once and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 255 - pixels


@pytest.mark.parametrize('last, once, fatal', [(6, [5], []),
                                               campaign(36, [], [14, 28, 35])])
def test_a_killed_worker_costs_nothing_but_its_picture(tmp_path, last, once, fatal):
    """What was under way is tried again; a picture that ends each process is named, as
    is one that cannot be read."""
    paths = [tmp_path / f'{grey}.png' for grey in range(4, last + 1)]
    for grey, path in enumerate(paths[1:], 5): Image.new('L', (4, 3), grey).save(path)
    (marks := tmp_path / 'marks').mkdir()
    (path, line), *failures = enhance_files(
        paths, f'{tmp_path}/out/', jobs=2,
        restore=partial(deadly, once=once, always=fatal, marks=marks))
    assert path.name == '4.png' and 'does not exist' in line
    assert [path.name for path, _ in failures] == [f'{grey}.png' for grey in fatal]
    assert all('was killed' in line and '\n' not in line for _, line in failures)
    done = sorted(int(path.stem) for path in (tmp_path / 'out').iterdir())
    assert done == [grey for grey in range(5, last + 1) if grey not in fatal]
    for grey in done:
        result = read_image(tmp_path / 'out' / f'{grey}.png')
        assert (result.pixels == 255 - grey).all()


def dies_once_after_writing(path, place, mark):
    "A result, and then no answer."
    if place.exists(): raise DataError(f'{place} exists already')
    Image.new('L', (4, 3), 9).save(place)
    if path.stem == 'a' and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return []


def test_killed_between_writing_and_answering(tmp_path):
    "It is done again; what was there before is not touched."
    places = {Path(f'{name}.png'): tmp_path / f'{name}.png' for name in 'abc'}
    (tmp_path / 'c.png').write_text('of somebody else')
    task = partial(dies_once_after_writing, mark=tmp_path / 'mark')
    answers = dict(in_processes(task, places, 2))
    assert answers[Path('a.png')] == answers[Path('b.png')] == []
    assert 'exists already' in str(answers[Path('c.png')])
    assert (tmp_path / 'c.png').read_text() == 'of somebody else'


def children(pid: int) -> list[int]:
    path = f'/proc/{pid}/task/{pid}/children'
    with open(path) as file: return list(map(int, file.read().split()))


def still_there(pid: int) -> bool:
    try: return open(f'/proc/{pid}/stat').read().split()[2] not in 'ZX'
    except FileNotFoundError: return False


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='/proc is read')
@pytest.mark.parametrize('number, code', [
    campaign(signal.SIGINT, 130), (signal.SIGTERM, 143), campaign(signal.SIGKILL, -9)])
def test_the_workers_end_with_the_command(tmp_path, number, code):
    "Ctrl-C, as a terminal sends it to all; or a signal to the command alone."
    for i in range(200): Image.new('L', (300, 200), i).save(tmp_path / f'{i}.png')
    command = Command(['enhance', tmp_path, '-o', f'{tmp_path}/out', '--jobs', 2],
                      tmp_path / 'said.txt')
    deadline, out = time.time() + 120, tmp_path / 'out'
    while not (out.is_dir() and any(out.iterdir())) and time.time() < deadline:
        time.sleep(0.05)
    workers = children(command.process.pid)
    assert len(workers) >= 2, command.said()
    for pid in [command.process.pid] + workers * (number == signal.SIGINT):
        os.kill(pid, number)
    assert command.wait(60) == code, command.said()
    deadline = time.time() + 20
    while any(map(still_there, workers)) and time.time() < deadline: time.sleep(0.05)
    assert not any(map(still_there, workers))
    assert 'Traceback' not in command.said() and 'Interrupt' not in command.said()
    if number != signal.SIGKILL: assert not list(out.glob('.*'))
    for path in out.glob('[!.]*'): assert read_image(path).pixels.shape == (200, 300, 1)
