"""A run that is stopped again and again must end as if nothing had happened: what
`test_campaign_training.py` and other tests of whole runs need for that."""
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

SMALL = ['--size', '64', '64', '--resize', '--width', '4', '--latent-dim', '4',
         '--batch-size', '4']
SERVER = multiprocessing.get_context('forkserver') if sys.platform != 'win32' else None
# What takes seconds to import; the command itself imports it only when it needs it.
ROOMS = 'cli', 'data', 'enhance', 'evaluate', 'portraits', 'results', 'store', 'train'
PRELOADED = [f'deblur_vae.{room}' for room in ROOMS]
assert all(map(find_spec, PRELOADED)), 'the server would leave out what it cannot find'
if SERVER: SERVER.set_forkserver_preload(PRELOADED)


class Command:
    """`deblur-vae` in a process of its own, what it says in the file `log`; `environ`
    for it alone."""
    def __init__(self, argv: list, log: Path, **environ: str):
        self.log, self.argv = log, [str(word) for word in argv]
        self.start(environ)

    def start(self, environ: dict) -> None:
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(
                [sys.executable, '-m', 'deblur_vae.cli', *self.argv],
                stdout=log, stderr=log, env={**os.environ, **environ})

    def running(self) -> bool: return self.process.poll() is None

    def send(self, number: int) -> None: os.kill(self.process.pid, number)

    def wait(self, seconds: float = 120) -> int:
        "Its exit code, negative for the signal that killed it."
        return self.process.wait(seconds)

    def said(self) -> str: return self.log.read_text(encoding='utf-8', errors='replace')

    def told(self) -> list[str]:
        """The lines that are the command's own, not progress bars nor warnings of
        libraries."""
        return [line for line in self.said().replace('\r', '\n').splitlines()
                if line.startswith('deblur-vae: ')]


def run_command(argv: list[str], log: str, environ: dict, limit: int | None,
                clock: float) -> None:
    """In a forked process: `argv` as its command line, files of at most `limit` bytes,
    a clock that is `clock` seconds fast."""
    import resource
    import threading

    import torch
    from tqdm import tqdm

    from deblur_vae.cli import main
    # tqdm's own lock is shared between processes, and would outlive one that is killed
    tqdm.set_lock(threading.RLock())
    for target in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND), target)
    os.environ.update(environ)
    torch.set_num_threads(1)
    right = time.time
    time.time = lambda: right() + clock
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.exit(main(argv))


class Forked(Command):
    """The same without the seconds of importing: forked from a process that has done
    nothing else."""
    def __init__(self, argv: list, log: Path, limit: int | None = None,
                 clock: float = 0, **environ: str):
        self.limit, self.clock = limit, clock
        super().__init__(argv, log, **environ)

    def start(self, environ: dict) -> None:
        self.log.write_bytes(b'')
        cache = {name: os.environ[name] for name in ('DEBLUR_VAE_CACHE',)
                 if name in os.environ}
        args = self.argv, str(self.log), cache | environ, self.limit, self.clock
        self.process = SERVER.Process(target=run_command, args=args)
        self.process.start()

    def running(self) -> bool: return self.process.is_alive()

    def wait(self, seconds: float = 120) -> int:
        self.process.join(seconds)
        if self.process.exitcode is None:
            raise TimeoutError(f'{self.argv} still runs after {seconds} s')
        return self.process.exitcode


def await_change(path: Path, command: Command, before: int = 0,
                 seconds: float = 120) -> bool:
    "Waits until `path` is newer than `before`; False if the command ended first."
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if stamp(path) > before: return True
        if not command.running(): return False
        time.sleep(0.005)
    raise TimeoutError(
        f'nothing new at {path} after {seconds} s:\n{command.said()[-2000:]}')


def stamp(path: Path) -> int: return path.stat().st_mtime_ns if path.exists() else 0


def loadable(run: Path) -> tuple[int, int]:
    "Epoch and step of the checkpoint in `run`; raises if any file there is not whole."
    from deblur_vae.checkpoint import load_checkpoint, read_history
    from deblur_vae.model import load_model
    for path in run.glob('*.safetensors'): load_model(path)
    if (run / 'history.jsonl').exists(): read_history(run)
    if (run / 'config.json').exists():
        json.loads((run / 'config.json').read_text(encoding='utf-8'))
    states = {path.name: load_checkpoint(path) for path in run.glob('*.pt')}
    if 'last.pt' not in states: return 0, 0
    return states['last.pt']['epoch'], len(states['last.pt']['losses'])


def unlike(one: Path, other: Path) -> list[str]:
    "What differs between the results in two folders, but for the seconds they took."
    import torch

    from deblur_vae.checkpoint import read_history
    from deblur_vae.model import load_model
    found = []
    for name in ('last.safetensors', 'best.safetensors'):
        a, b = (load_model(folder / name).state_dict() for folder in (one, other))
        found += [f'{name}: {key}' for key in a if not torch.equal(a[key], b[key])]
    a, b = map(untimed, map(read_history, (one, other)))
    if len(a) != len(b): found.append(f'history.jsonl: {len(a)} and {len(b)} entries')
    found += [
        f"history.jsonl, epoch {x['epoch'] + 1}: {name} {x.get(name)} and {y.get(name)}"
        for x, y in zip(a, b) for name in {**x, **y} if x.get(name) != y.get(name)]
    return found


def untimed(history: list[dict]) -> list[dict]:
    return [{name: value for name, value in entry.items()
             if not name.endswith('seconds')} for entry in history]


def count_writes(path: Path, command: Command, most: float = math.inf,
                 seconds: float = 600) -> int:
    """Counts how often `path` is written, until that was `most` times, or `seconds`
    have passed, or the command has ended."""
    deadline, seen, count = time.monotonic() + seconds, stamp(path), 0
    while count < most and time.monotonic() < deadline and command.running():
        time.sleep(0.004)
        if seen != (seen := stamp(path)): count += 1
    return count


class Pace(NamedTuple):
    "How a run goes that nobody disturbs."
    loading: float # s until its first checkpoint
    writes: int # of checkpoints after that
    pause: float # s between two of them


def pace_of(run: Path, command: Command) -> Pace:
    "Waits until `command` has written all of `run`."
    began, checkpoint = time.monotonic(), run / 'last.pt'
    await_change(checkpoint, command)
    loading, first = time.monotonic() - began, stamp(checkpoint)
    writes = count_writes(checkpoint, command)
    if command.wait(600): raise RuntimeError(command.said()[-2000:])
    pace = Pace(loading, writes, (stamp(run / 'history.jsonl') - first) / 1e9 / writes)
    print(f'uninterrupted: first checkpoint after {loading:.1f} s, then {writes}, '
          f'one every {1000 * pace.pause:.0f} ms', flush=True)
    return pace


def await_moment(command: Command, checkpoint: Path, before: int, pace: Pace, most: int,
                 chance: random.Random, early: float) -> str:
    """Waits for a random moment: with the chance `early` while `command` starts, else
    within `most` checkpoints and the next one. Says when it was."""
    if chance.random() < early:
        after = chance.uniform(0, pace.loading)
        count_writes(checkpoint, command, 1, after)
        return f'within {after:6.3f} s after its start'
    most = chance.randint(0, max(0, most))
    await_change(checkpoint, command, before)
    made = count_writes(checkpoint, command, most)
    after = chance.uniform(0, 2 * pace.pause)
    count_writes(checkpoint, command, 1, after)  # a machine may have become faster
    return f'within {after:6.3f} s after its checkpoint {made}'


def stop(command: Command, number: int) -> None:
    """Raises if it has ended by itself, or otherwise than it should: of itself and with
    a line, unless it was killed."""
    if not command.running():
        raise RuntimeError(f'the run ended before a kill:\n{command.said()[-2000:]}')
    command.send(number)
    code = command.wait()
    if number == signal.SIGKILL and code == -number: return
    if code != 128 + number or len(command.told()) != 1:
        raise RuntimeError(f'exit code {code}:\n{command.said()[-2000:]}')


def storm(folder: Path, data: Path, tally, stops: int, seed: int, epochs: int,
          numbers: tuple[int, ...] = (signal.SIGKILL,), early: float = 0.15) -> None:
    """Trains in peace, and stopped `stops` times by one of the signals `numbers`. The
    folder is checked after each; `tally` counts them and what differs in the end."""
    recipe = ['train', '--data', data, *SMALL, '--epochs', epochs,
              '--checkpoint-minutes', 0.0001]
    peace, run = folder / 'peace', folder / 'storm'
    pace = pace_of(peace, Forked([*recipe, '--out', peace], folder / 'peace.log'))
    again = lambda: Forked([*recipe, '--out', run, '--resume'], folder / 'storm.log')

    chance, reached, steps = random.Random(seed), (0, 0), round(pace.writes / epochs)
    for number in range(1, stops + 1):
        before, command = stamp(run / 'last.pt'), again()
        done = reached[0] * steps + reached[1]
        most = int(0.9 * pace.writes * number / stops) - done
        when = await_moment(
            command, run / 'last.pt', before, pace, most, chance, early)
        stop(command, chance.choice(numbers))
        position = loadable(run)
        epoch, step = position
        print(f'stop {number:4}: {when}, at epoch {epoch + 1}, step {step}', flush=True)
        fell = position < reached and f'fell back from {reached} to {position}'
        tally.count(f'stop {number}, {when}', fell)
        reached = position
    last = again()
    if last.wait(600): raise RuntimeError(last.said()[-2000:])
    if reached == (0, 0): raise RuntimeError('no stop came after the first step')
    tally.lost += unlike(peace, run)
    tally.lost += [f'left behind: {path.name}' for path in run.glob('.*')]
