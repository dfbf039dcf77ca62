"""What can go wrong while a run is under way, as a user meets it: an exit code, one
line, and a checkpoint that still loads."""
import shutil
import signal
import subprocess

import pytest
import torch
from conftest import campaign
from kill_storm import SMALL, await_change, loadable, stamp, storm, Forked

from deblur_vae.checkpoint import TrainingError, load_checkpoint, read_history
from deblur_vae.compute import make_loaders
from deblur_vae.loss import loss_function
from deblur_vae.model import VAE_UNet, new_model
from deblur_vae.train import train_vae_deblur


@pytest.fixture
def train(drawn, launch):
    "Starts `deblur-vae train` on the portraits into a folder."
    def start(out, *more, **options):
        return launch('train', '--data', drawn, *SMALL, '--out', out, *more, **options)
    return start


def check_refused(command, *words, code=2) -> str:
    """Asserts that the command ends with `code` and one line of its own, without
    traceback, that has all the words."""
    assert command.wait() == code, command.said()
    line, = command.told()
    assert 'Traceback' not in command.said() and command.said().rstrip().endswith(line)
    for word in words: assert str(word) in line
    return line


def check_finite(state: dict) -> None:
    assert all(value.isfinite().all() for value in state['model'].values())


def left_over(folder) -> list:
    return [path.name for path in folder.iterdir() if path.name.startswith('.')]


@pytest.mark.parametrize('kills', [3, campaign(20)])
def test_a_storm_of_kills(drawn, tmp_path, kills):
    found = storm(tmp_path, drawn, kills, seed=1, epochs=2 * kills, start=Forked)
    assert found == []


def test_terminated_and_resumed(train, drawn, tmp_path):
    "SIGTERM within an epoch of forty steps; --resume and --overwrite afterwards."
    run, options = tmp_path / 'run', ('--batch-size', 1, '--epochs', 2)
    first = train(run, *options, '--checkpoint-minutes', 0.001)
    await_change(run / 'last.pt', first)
    await_change(run / 'last.pt', first, before=stamp(run / 'last.pt'))
    first.send(signal.SIGTERM)
    words = f'stopped by SIGTERM; a checkpoint is in {run}: go on with --resume'
    check_refused(first, words, code=143)
    epoch, step = loadable(run)
    assert epoch == 0 and 0 < step < 32 and not left_over(run)

    before = (run / 'last.pt').read_bytes()
    check_refused(train(run, *options), run, '--resume', '--overwrite')
    assert (run / 'last.pt').read_bytes() == before

    second = train(run, *options, '--resume')
    assert second.wait() == 0, second.said()
    assert [entry['epoch'] for entry in read_history(run)] == [0, 1]
    assert loadable(run) == (2, 0)

    third = train(run, '--epochs', 1, '--overwrite')
    assert third.wait() == 0, third.said()
    assert len(read_history(run)) == 1 and len(list(run.glob('events.*'))) == 1


def test_a_flipped_bit_in_the_last_checkpoint(train, tmp_path):
    "The command says which one it takes instead, and trains on."
    run, epochs = tmp_path / 'run', ('--epochs', 400)
    first = train(run, *epochs)
    await_change(run / 'best.pt', first)
    first.send(signal.SIGKILL)
    first.wait()
    content = bytearray((run / 'last.pt').read_bytes())
    content[len(content) // 3] ^= 4
    (run / 'last.pt').write_bytes(content)
    second = train(run, *epochs, '--resume')
    for _ in range(2):  # as it begins, and after an epoch
        await_change(run / 'last.pt', second, before=stamp(run / 'last.pt'))
    second.send(signal.SIGTERM)
    assert second.wait() == 143, second.said()
    said = f'{run}/last.pt: damaged, its checksum is not that of what is in it; going '
    assert said in second.said() and 'Traceback' not in second.said()
    assert loadable(run) > (0, 0)


def test_two_trainings_in_one_folder(train, tmp_path):
    "The second is told who is there, whatever it asks for; the first does not notice."
    run = tmp_path / 'run'
    first = train(run, '--epochs', 400)
    await_change(run / 'history.jsonl', first)
    for options in ([], ['--resume'], ['--overwrite']):
        line = check_refused(train(run, *options), f'process {first.process.pid} on',
                             ', since 20', 'is training in this folder', '--out')
        assert f'deblur-vae: {run}: ' in line
    written = len(read_history(run))
    await_change(run / 'last.pt', first, before=stamp(run / 'last.pt'))
    first.send(signal.SIGKILL)
    first.wait()
    assert len(read_history(run)) >= written and left_over(run)
    third = train(run, '--epochs', 400, '--resume')
    for _ in range(2):  # as it begins, and after an epoch
        await_change(run / 'last.pt', third, before=stamp(run / 'last.pt'))
    third.send(signal.SIGTERM)
    assert third.wait() == 143 and not left_over(run), third.said()


def test_a_loss_that_is_no_number(train, tmp_path):
    "A learning rate of 1e30 throws the weights out of all numbers at the first step."
    run = tmp_path / 'run'
    check_refused(
        train(run, '--lr', '1e30'), 'the loss is',
        'at step 2 of epoch 1 with learning rate 1e+30',
        f'; the last good checkpoint is {run}/last.pt (epoch 1, step 0): ',
        'lower learning rate', code=1)
    check_finite(load_checkpoint(run / 'last.pt'))


class Spoilt:
    """The loss, spoilt at its step number `at`: `nan` itself, or a number whose
    gradient is `nan`."""
    def __init__(self, at: int, silently: bool):
        self.at, self.silently, self.calls = at, silently, 0

    def __call__(self, recon, *args) -> torch.Tensor:
        loss = loss_function(recon, *args)
        self.calls += torch.is_grad_enabled()
        if self.calls != self.at or not torch.is_grad_enabled(): return loss
        return loss + (recon.sum() * 0).sqrt() if self.silently else loss * float('nan')


@pytest.mark.parametrize('at, silently, where',
                         [(3, False, 'epoch 1, step 2'), (6, False, 'epoch 2, step 1'),
                          (3, True, 'epoch 1, step 2'), (4, True, 'epoch 1, step 3')])
def test_weights_that_are_no_numbers_are_not_kept(tmp_path, at, silently, where):
    """A checkpoint after each step: the one that the message names is from before the
    fault, and so is every weight in the folder."""
    pictures = [(picture, {}) for picture in torch.rand(16, 3, 32, 32)]
    model = new_model(0, image_size=(32, 32), width=4, latent_dim=4)
    optimizer = torch.optim.Adam(model.parameters())
    with pytest.raises(TrainingError) as failed:
        train_vae_deblur(
            model, *make_loaders(pictures, pictures, 4), optimizer, 'cpu', 3, 0,
            log_dir=tmp_path, loss=Spoilt(at, silently), checkpoint_minutes=1e-9)
    line = str(failed.value)
    assert f'the last good checkpoint is {tmp_path}/last.pt ({where}): ' in line
    assert '\n' not in line
    loadable(tmp_path)
    for path in tmp_path.glob('*.pt'): check_finite(load_checkpoint(path))


def test_files_may_not_grow(train, tmp_path):
    "A quota that the checkpoint no longer fits in."
    run, epochs = tmp_path / 'run', ('--epochs', 3)
    first = train(run, *epochs)
    await_change(run / 'history.jsonl', first)
    first.send(signal.SIGINT)
    assert first.wait() == 130
    before, history = (run / 'last.pt').read_bytes(), read_history(run)
    check_refused(train(run, *epochs, '--resume', limit=100_000),
                  f'{run}/last.pt could not be written (File too large)')
    assert (run / 'last.pt').read_bytes() == before and read_history(run) == history
    assert not left_over(run)


@pytest.fixture
def small_disk(tmp_path):
    "A disk of a given number of kilobytes, which may grow."
    disk = tmp_path / 'disk'
    disk.mkdir()

    instead = 'test_files_may_not_grow stands in for it'

    def size(kilobytes: int, *more: str) -> None:
        options = ','.join([f'size={kilobytes}k', *more])
        command = ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', disk]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip(f'no file system may be mounted here; {instead}')
    if not shutil.which('mount'): pytest.skip(f'there is no mount here; {instead}')
    yield disk, size
    subprocess.run(['umount', disk], capture_output=True)


def test_the_disk_fills_up(train, small_disk):
    """At each of several points of the run: one line with the file's path, and on from
    there once there is room."""
    disk, size = small_disk
    size(1000)
    run, checkpoint, positions = disk / 'run', disk / 'run' / 'last.pt', []
    for kilobytes in (1000, 1400, 1800, 2200):
        if kilobytes > 1000: size(kilobytes, 'remount')
        before = stamp(checkpoint)
        line = check_refused(train(run, '--epochs', 2, '--resume'),
                             f'deblur-vae: {run}/', 'No space left on device')
        assert 'could not be written' in line
        assert checkpoint.exists() and not left_over(run), before
        check_finite(load_checkpoint(checkpoint))
        positions.append(loadable(run))
    assert positions == sorted(positions) and positions[-1] > (0, 0)
    size(9000, 'remount')
    last = train(run, '--epochs', 2, '--resume')
    assert last.wait() == 0 and len(read_history(run)) == 2, last.said()


def test_nowhere_to_write(train, tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    check_refused(train(tmp_path / 'file' / 'run'), tmp_path / 'file')


def test_options_of_the_engine(train, tmp_path):
    run = tmp_path / 'run'
    done = train(run, '--epochs', 1, '--ema', 0.9, '--clip', 100, '--flip',
                 '--accumulate', 2, '--precision', 'bf16', '--cosine')
    assert done.wait() == 0 and len(read_history(run)) == 1, done.said()
    state = load_checkpoint(run / 'last.pt')
    assert 'average' in state and state['config']['recipe']['ema'] == 0.9
    assert 'bf16' in state['config']['how']['machine']
    assert state['scheduler']['last_epoch'] == 4


@pytest.mark.parametrize('option', [('--ema', 2), ('--ema', 0), ('--clip', -1),
                                    ('--accumulate', 0), ('--precision', 'fp8'),
                                    ('--latent-dim', -5), ('--latent-dim', 0)])
def test_options_out_of_range(option, capsys):
    from deblur_vae.cli import main
    with pytest.raises(SystemExit) as refused: main(['train', *map(str, option)])
    assert refused.value.code == 2
    assert f'argument {option[0]}: ' in capsys.readouterr().err


@pytest.mark.parametrize('sizes', [dict(latent_dim=-5), dict(latent_dim=0),
                                   dict(width=0)])
def test_a_network_of_no_size(sizes):
    (name, size), = sizes.items()
    words = f'^{name} {size} is too small: 1 is the least'
    with pytest.raises(ValueError, match=words): VAE_UNet(**sizes)
