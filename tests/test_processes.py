"""Several processes train one network: the same numbers as one process, and none of
them waits for one that is gone."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_simple_launcher_cmd_env
from conftest import campaign, free_port
from kill_storm import SMALL, Forked, await_change, loadable

from deblur_vae.checkpoint import read_history

EPOCHS = 5


@pytest.fixture(scope='module')
def halves(drawn, tmp_path_factory):
    """Forty pictures to train on and seventeen to validate on, and a batch of seven:
    nothing divides by two, nor by seven."""
    folder = tmp_path_factory.mktemp('val')
    for path in sorted((drawn / 'img_align_celeba').iterdir())[:17]:
        shutil.copy(path, folder)
    recipe = ['--batch-size', 7, '--epochs', EPOCHS, '--lr', 1e-3,
              '--clip', 7000]  # about four steps of five
    return ['train', '--data', drawn, '--val-data', folder, *SMALL, *recipe]


@pytest.fixture(scope='module')
def alone(halves, tmp_path_factory):
    "The history of one process."
    folder = tmp_path_factory.mktemp('alone')
    command = Forked([*halves, '--out', folder / 'run'], folder / 'said.txt')
    assert command.wait() == 0, command.said()
    return read_history(folder / 'run')


def check_like(history: list[dict], expected: list[dict]) -> None:
    "Training losses and what validation measured, epoch by epoch."
    for entry, other in zip(history, expected, strict=True):
        assert entry['epoch'] == other['epoch']
        assert entry['train_loss'] == pytest.approx(other['train_loss'], rel=1e-4)
        for name in ('val_loss', 'val_psnr', 'val_ssim'):
            assert entry[name] == pytest.approx(other[name], rel=1e-4), name
        for name in ('val_psnr_blurred', 'val_ssim_blurred'):
            assert entry[name] == pytest.approx(other[name], rel=1e-5), name


def test_two_processes_do_what_one_does(halves, alone, launch_two, tmp_path):
    """Thirty steps. What is measured on the blurred pictures does not depend on the
    weights: none is left out or counted twice."""
    workers = launch_two([*halves, '--out', tmp_path / 'run'])
    codes = [worker.wait() for worker in workers]
    assert codes == [0, 0], workers[0].said() + workers[1].said()
    check_like(read_history(tmp_path / 'run'), alone)
    assert len(list((tmp_path / 'run').glob('events.*'))) == 1
    assert not list((tmp_path / 'run').glob('.*'))
    assert '| all |' in workers[0].said() and 'dB' not in workers[1].said()
    config = json.loads((tmp_path / 'run' / 'config.json').read_text())
    assert 'cpu × 2 processes' in config['how']['machine']


@pytest.mark.parametrize('told', [(0,), (1,), (0, 1)])
def test_a_signal_to_some_stops_all(halves, launch_two, tmp_path, told):
    run = tmp_path / 'run'
    workers = launch_two([*halves, '--epochs', 50, '--out', run])
    await_change(run / 'history.jsonl', workers[0])
    for rank in told: workers[rank].send(signal.SIGTERM)
    codes = [worker.wait(30) for worker in workers]
    assert codes == [143, 143], workers[0].said() + workers[1].said()
    assert all('Traceback' not in worker.said() for worker in workers)
    assert loadable(run)[0] >= 1


@pytest.mark.parametrize('asked, said', [(2, True), campaign(1, False)])
def test_accelerate_starts_one_process_of_two(halves, launch, tmp_path, asked, said):
    "With what its launcher tells the one process that it starts on a processor."
    words = f'--cpu --num_processes {asked} --num_machines 1 --mixed_precision no'
    args = launch_command_parser().parse_args([*words.split(), 'script.py'])
    args, *_ = _validate_launch_command(args)
    _, environ = prepare_simple_launcher_cmd_env(args)
    told = {name: value for name, value in environ.items()
            if os.environ.get(name) != value}
    command = launch(*halves, '--epochs', 1, '--out', tmp_path / 'run', **told)
    assert command.wait() == 0, command.said()
    assert ('started one' in command.said()) == said
    assert ('torchrun --nproc_per_node N' in command.said()) == said


def children(pid: int) -> list[int]:
    found = []
    for path in os.listdir('/proc'):
        if not path.isdecimal(): continue
        try: stat = Path(f'/proc/{path}/stat').read_text()
        except OSError: continue
        parent = int(stat.rsplit(')', 1)[1].split()[1])
        if parent == pid: found.append(int(path))
    return sorted(found)


@pytest.mark.campaign
@pytest.mark.skipif(not os.path.isdir('/proc'), reason='workers are found in /proc')
def test_a_worker_is_killed(halves, alone, launch, tmp_path):
    """A real launch whose second worker is killed: all end, a line says where to go on,
    and one process finishes the run.

    By torchrun, because `accelerate launch --cpu` starts one process whatever
    `--num_processes` says."""
    run, port = tmp_path / 'run', str(free_port())
    argv = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2',
            '--master_port', port, '-m', 'deblur_vae.cli', *halves, '--out', run]
    with open(tmp_path / 'said.txt', 'wb') as said:
        launched = subprocess.Popen(list(map(str, argv)), stdout=said, stderr=said,
                                    env={**os.environ, 'OMP_NUM_THREADS': '1'})
    try:
        deadline, history = time.monotonic() + 120, run / 'history.jsonl'
        while not history.exists() and time.monotonic() < deadline:
            if launched.poll() is not None: break
            time.sleep(0.005)
        workers = children(launched.pid)
        os.kill(workers[-1], signal.SIGKILL)
        code = launched.wait(90)
    finally:
        if launched.poll() is None:
            for pid in [*children(launched.pid), launched.pid]:
                os.kill(pid, signal.SIGKILL)
    text = (tmp_path / 'said.txt').read_text(errors='replace')
    lines = [line for line in text.replace('\r', '\n').splitlines()
             if line.startswith('deblur-vae: ')]
    assert code != 0 and len(workers) == 2 and len(lines) == 1, text[-4000:]
    assert 'another process of this run is gone' in lines[0]
    assert f'{run}/last.pt (epoch ' in lines[0]
    epoch, _ = loadable(run)
    assert 1 <= epoch < EPOCHS
    check_like(read_history(run), alone[:epoch])

    rest = launch(*halves, '--out', run, '--resume')
    assert rest.wait() == 0, rest.said()
    check_like(read_history(run), alone)


@pytest.mark.parametrize('copies', [1, campaign(10)])
def test_workers_die(halves, alone, launch, launch_two, tmp_path, tally, copies):
    """One of two workers is killed at a random moment: the other ends with a line, and
    one process finishes the run as if it had been alone."""
    chance = random.Random(5)
    with tally('workers that die', 5) as died:
        for n in range(copies):
            run = tmp_path / f'run-{n}'
            workers = launch_two([*halves, '--out', run])
            await_change(run / 'last.pt', workers[0])
            time.sleep(chance.uniform(0, 2))
            lost = chance.randrange(2)
            if workers[lost].running(): workers[lost].send(signal.SIGKILL)
            other = workers[1 - lost]
            code, told = other.wait(60), ' '.join(other.told())
            left = code and 'another process of this run is gone' not in told
            rest = launch(*halves, '--out', run, '--resume')
            code = rest.wait()
            same = [entry['val_loss'] for entry in read_history(run)] == pytest.approx(
                [entry['val_loss'] for entry in alone], rel=1e-4)
            died.count(f'number {n}', left and other.said()[-500:],
                       code and rest.said()[-500:], not same and 'another history')
