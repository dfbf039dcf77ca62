"""A run that is stopped and taken up again ends bit by bit as if it had not been, and
takes up nothing that is not its own."""
import os
import pickle
import random
import re
import shutil
import signal
from functools import partial
from pathlib import Path

import pytest
import torch
from kill_storm import untimed
from torch.utils.data import DataLoader

from deblur_vae.checkpoint import (
    Stopped, keep_previous, load_checkpoint, read_history)
from deblur_vae.compute import make_loaders
from deblur_vae.loss import loss_function
from deblur_vae.model import load_model, new_model
from deblur_vae.results import psnr
from deblur_vae.train import train_vae_deblur, warmup_cosine

EPOCHS, STEPS = 3, 4


class Watched:
    """The loss, which notes what it was in training, and sends this process a signal at
    call number `stop`, or raises at once."""
    def __init__(self, stop: int | None = None, number: int = signal.SIGINT,
                 validation: bool = False, dies: bool = False):
        self.stop, self.number = stop, number
        self.validation, self.dies = validation, dies
        self.calls, self.losses = 0, []

    def __call__(self, *args) -> torch.Tensor:
        if self.dies: raise MemoryError
        loss, training = loss_function(*args), torch.is_grad_enabled()
        if training: self.losses.append(loss.item())
        if training != self.validation:
            self.calls += 1
            if self.calls == self.stop: os.kill(os.getpid(), self.number)
        return loss


def noise(count: int, seed: int) -> list:
    "Pictures of 32 by 32, and no attributes."
    dice = torch.Generator().manual_seed(seed)
    return [(picture, {}) for picture in torch.rand(count, 3, 32, 32, generator=dice)]


def own_order() -> tuple[DataLoader, DataLoader]:
    return make_loaders(noise(15, 1), noise(7, 2), 4)


def global_order() -> tuple[DataLoader, DataLoader]:
    "As the post's driver makes them."
    torch.manual_seed(5)
    return (DataLoader(noise(15, 1), 4, shuffle=True),
            DataLoader(noise(7, 2), 4, shuffle=False))


def attempt(folder: Path, loss: Watched, resume='last', loaders=own_order, cosine=False,
            lr=1e-3, kind=torch.optim.Adam, width=4, seed=0, **options) -> tuple:
    "One run with everything new: its losses by epoch, and its weights."
    loaders = loaders()
    model = new_model(3, image_size=(32, 32), width=width, latent_dim=4)
    optimizer = kind(model.parameters(), lr=lr)
    steps = -(-EPOCHS * STEPS // options.get('accumulate', 1))
    scheduler = warmup_cosine(optimizer, steps) if cosine else None
    losses = train_vae_deblur(
        model, *loaders, optimizer, 'cpu', EPOCHS, 0, log_dir=folder, seed=seed,
        loss=loss, resume=resume, metrics=dict(psnr=psnr), scheduler=scheduler,
        **options)
    return losses, model.state_dict()


def same_state(one, other) -> bool:
    "Whether two states are equal in every bit of every tensor, times aside."
    if isinstance(one, torch.Tensor): return torch.equal(one, other)
    if isinstance(one, dict):
        names = {name for name in one if not str(name).endswith('seconds')}
        if not names <= other.keys(): return False
        return all(same_state(one[name], other[name]) for name in names)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_state, one, other))
    return one == other


def check_same(peace: Path, run: Path, losses: tuple, weights: dict,
               expected: tuple) -> None:
    "What was returned, the whole state, all weights and the history in two folders."
    assert losses == expected[0]
    assert all(torch.equal(value, expected[1][name]) for name, value in weights.items())
    assert untimed(read_history(run)) == untimed(read_history(peace))
    for name in ('last.pt', 'best.pt'):
        assert same_state(load_checkpoint(peace / name),
                          load_checkpoint(run / name)), name
    for name in ('last.safetensors', 'best.safetensors'):
        assert same_state(load_model(peace / name).state_dict(),
                          load_model(run / name).state_dict()), name


@pytest.fixture(scope='module')
def peace(tmp_path_factory):
    """Uninterrupted runs, each made once: folder, what `attempt` returned, and the
    losses of all steps."""
    made = {}

    def get(**options) -> tuple[Path, tuple, list[float]]:
        if (key := repr(options)) not in made:
            folder, loss = tmp_path_factory.mktemp('peace') / 'run', Watched()
            result = attempt(folder, loss, resume=None, **options)
            made[key] = folder, result, loss.losses
        return made[key]
    return get


@pytest.fixture
def check_stops(tmp_path, peace):
    """Asserts that a run stopped at each of `stops` in turn has the losses, states and
    weights of the uninterrupted one."""
    def check(stops: list[dict], **options) -> None:
        losses = []
        for stop in stops:
            loss = Watched(**stop)
            with pytest.raises(Stopped) as stopped: attempt(tmp_path, loss, **options)
            assert stopped.value.signum == loss.number
            losses += loss.losses
        result = attempt(tmp_path, last := Watched(), **options)
        folder, expected, calm = peace(**options)
        assert losses and losses + last.losses == calm
        check_same(folder, tmp_path, *result, expected)
    return check


@pytest.mark.parametrize('seed', range(4))
def test_stopped_anywhere(check_stops, seed):
    chance = random.Random(seed)
    first = chance.randint(1, EPOCHS * STEPS - 2)
    second = chance.randint(1, EPOCHS * STEPS - first - 1)
    check_stops([dict(stop=first, number=signal.SIGTERM), dict(stop=second)])


@pytest.mark.parametrize('at', [3, 6])
def test_with_everything_switched_on(check_stops, at):
    check_stops([dict(stop=at)], ema=0.9, clip=100.0, flip=True, accumulate=2,
                cosine=True)


@pytest.mark.parametrize('at', [2, 8])
def test_order_by_the_global_generator(check_stops, at):
    check_stops([dict(stop=at)], loaders=global_order)


@pytest.mark.parametrize('loaders, at', [(own_order, 1), (global_order, 4)])
def test_stopped_in_validation(check_stops, loaders, at):
    check_stops([dict(stop=at, validation=True, number=signal.SIGTERM)],
                loaders=loaders)


@pytest.mark.parametrize('loaders', [own_order, global_order])
def test_lost_again_before_its_next_checkpoint(tmp_path, peace, loaders):
    """Resumed within the second epoch, a run dies at its first step, and is resumed
    once more."""
    with pytest.raises(Stopped): attempt(tmp_path, Watched(STEPS + 2), loaders=loaders)
    with pytest.raises(MemoryError):
        attempt(tmp_path, Watched(dies=True), loaders=loaders)
    folder, expected, _ = peace(loaders=loaders)
    check_same(folder, tmp_path, *attempt(tmp_path, Watched(), loaders=loaders),
               expected)


def test_back_to_the_best(tmp_path, peace):
    "A run whose later epochs are lost goes on from its best one, to the same end."
    with pytest.raises(Stopped): attempt(tmp_path, Watched(2 * STEPS + 3))
    best = load_checkpoint(tmp_path / 'best.pt')['epoch']
    assert 1 <= best <= 2 and load_checkpoint(tmp_path / 'last.pt')['losses']
    (tmp_path / 'last.pt').unlink()
    result = attempt(tmp_path, again := Watched(), resume='best')
    folder, expected, _ = peace()
    assert len(again.losses) == (EPOCHS - best) * STEPS
    check_same(folder, tmp_path, *result, expected)


def test_a_finished_run_stays_as_it_is(tmp_path, peace):
    folder, expected, _ = peace()
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    result = attempt(tmp_path, idle := Watched())
    assert not idle.losses
    check_same(folder, tmp_path, *result, expected)


def test_resume_without_a_checkpoint_starts(tmp_path, peace):
    folder, expected, _ = peace()
    check_same(folder, tmp_path, *attempt(tmp_path, Watched()), expected)


def test_stopped_before_its_first_step(tmp_path, peace, monkeypatch):
    "A signal while the folder is prepared is kept until the first step is done."
    from deblur_vae import checkpoint

    def write_and_stop(path, content, before=checkpoint.write_json):
        before(path, content)
        if path.name == 'split.json': os.kill(os.getpid(), signal.SIGINT)
    monkeypatch.setattr(checkpoint, 'write_json', write_and_stop)
    with pytest.raises(Stopped): attempt(tmp_path, first := Watched())
    monkeypatch.undo()
    result, (folder, expected, calm) = attempt(tmp_path, last := Watched()), peace()
    assert len(first.losses) == 1 and first.losses + last.losses == calm
    check_same(folder, tmp_path, *result, expected)


@pytest.fixture(scope='module')
def stopped_run(tmp_path_factory) -> Path:
    "A run that was stopped in its second epoch."
    folder = tmp_path_factory.mktemp('stopped') / 'run'
    with pytest.raises(Stopped): attempt(folder, Watched(STEPS + 2))
    return folder


def contents(folder: Path) -> dict:
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes())
            for path in folder.iterdir()}


@pytest.mark.parametrize('change, words', [
    (dict(loaders=lambda: make_loaders(noise(15, 9), noise(7, 2), 4)),
     ['train_data.fingerprint: ']),
    (dict(loaders=lambda: make_loaders(noise(15, 1), noise(8, 2), 4)),
     ['val_data.pictures: 7 there, 8 here']),
    (dict(loaders=lambda: make_loaders(noise(15, 1), noise(7, 2), 5)),
     ['batch_size: 4 there, 5 here']),
    (dict(width=8), ['model.width: 4 there, 8 here']),
    (dict(seed=1), ['seed: 0 there, 1 here']),
    (dict(lr=1e-2), ['optimizer.lr: 0.001 there, 0.01 here']),
    (dict(kind=partial(torch.optim.AdamW, weight_decay=0)),
     ['optimizer.kind: Adam there, AdamW here']),
    (dict(cosine=True), ['schedule: NoneType there, LambdaLR here']),
    (dict(clip=1.0, flip=True),
     ['recipe.clip: None there, 1.0 here', 'recipe.flip: False there, True here']),
])
def test_another_run_is_refused(stopped_run, change, words):
    before = contents(stopped_run)
    with pytest.raises(ValueError) as refused: attempt(stopped_run, Watched(), **change)
    message = str(refused.value)
    assert message.startswith(f'{stopped_run}/last.pt belongs to another run (')
    assert '\n' not in message
    for word in words: assert word in message
    assert contents(stopped_run) == before


class Bomb:
    def __init__(self, path: Path): self.path = path
    def __reduce__(self): return os.mkdir, (str(self.path),)


def damaged(kind: str, whole: bytes, path: Path, mark: Path) -> None:
    """Writes a `last.pt` to `path` that is none; `mark` would appear if code in it were
    run."""
    if kind.startswith('cut'):
        path.write_bytes(whole[:int(len(whole) * float(kind.split()[1]))])
    elif kind == 'one byte short': path.write_bytes(whole[:-1])
    elif kind == 'bomb': torch.save(dict(load_checkpoint(path), epoch=Bomb(mark)), path)
    elif kind == 'bare bomb': path.write_bytes(pickle.dumps(Bomb(mark), protocol=2))
    elif kind == 'weights': torch.save(load_checkpoint(path)['model'], path)
    elif kind == 'list': torch.save([1, 2], path)
    elif kind == 'text': path.write_text('no checkpoint\n')


@pytest.mark.parametrize('kind', [
    'cut 0', 'cut 0.01', 'cut 0.5', 'cut 0.99', 'one byte short', 'bomb', 'bare bomb',
    'weights', 'list', 'text'])
def test_a_damaged_checkpoint_is_refused(stopped_run, tmp_path, kind):
    "Where there is no other to go on from."
    run = shutil.copytree(stopped_run, tmp_path / 'run')
    for name in ('previous.pt', 'best.pt'): (run / name).unlink()
    path = run / 'last.pt'
    damaged(kind, path.read_bytes(), path, tmp_path / 'mark')
    before = contents(run)
    with pytest.raises(ValueError) as refused: attempt(run, Watched())
    assert contents(run) == before and not (tmp_path / 'mark').exists()
    assert str(refused.value).startswith(f'{path}: ') and '\n' not in str(refused.value)


def spoil(path: Path) -> None:
    "One bit in the middle of a file."
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


@pytest.fixture
def frequent(tmp_path) -> Path:
    "A run that was stopped in its second epoch, with a checkpoint of each step."
    with pytest.raises(Stopped):
        attempt(tmp_path / 'run', Watched(STEPS + 2), checkpoint_minutes=1e-9)
    return tmp_path / 'run'


@pytest.mark.parametrize('harm, taken', [
    (dict(last=spoil), 'previous.pt (epoch 2, step 1)'),
    (dict(last=Path.unlink), 'previous.pt (epoch 2, step 1)'),
    (dict(last=spoil, previous=spoil), 'best.pt (epoch 2, step 0)'),
    (dict(last=spoil, previous=Path.unlink), 'best.pt (epoch 2, step 0)'),
])
def test_on_from_the_last_good_one(frequent, peace, caplog, harm, taken):
    "In one line, and to the same end; no damaged one takes the place of a good one."
    for name, do in harm.items(): do(frequent / f'{name}.pt')
    good = load_checkpoint(frequent / taken.split()[0])
    with pytest.raises(MemoryError): attempt(frequent, Watched(dies=True))
    line, = (record.getMessage() for record in caplog.records)
    assert line.startswith(f'{frequent}/last.pt: ') and '\n' not in line
    assert line.endswith(f'; going on from the last good one, {frequent}/{taken}')
    for name in ('last.pt', taken.split()[0]):
        assert same_state(load_checkpoint(frequent / name), good)
    folder, expected, _ = peace()
    check_same(folder, frequent, *attempt(frequent, Watched()), expected)
    assert len(caplog.records) == 1


def test_nothing_good_is_left(frequent):
    for name in ('last', 'previous', 'best'): spoil(frequent / f'{name}.pt')
    before = contents(frequent)
    with pytest.raises(ValueError, match='no other checkpoint: start anew'):
        attempt(frequent, Watched())
    assert contents(frequent) == before


def test_who_asks_for_the_best_gets_no_other(frequent):
    spoil(frequent / 'best.pt')
    before = contents(frequent)
    there = f'{frequent}/last.pt (epoch 2, step 2): go on from it with --resume'
    with pytest.raises(ValueError, match=re.escape(there)):
        attempt(frequent, Watched(), resume='best')
    assert contents(frequent) == before


def test_previous_where_a_file_has_one_name(tmp_path, monkeypatch):
    "On a disk without hard links the state is copied."
    def link(*_): raise OSError('no links here')
    monkeypatch.setattr(os, 'link', link)
    (tmp_path / 'last.pt').write_text('of step 7')
    keep_previous(tmp_path)
    assert (tmp_path / 'previous.pt').read_text() == 'of step 7'
    assert len(list(tmp_path.iterdir())) == 2


def test_the_same_file_under_both_names(tmp_path):
    "As after a checkpoint that the disk had no room for."
    (tmp_path / 'last.pt').write_text('of step 7')
    for _ in range(2): keep_previous(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['last.pt', 'previous.pt']
