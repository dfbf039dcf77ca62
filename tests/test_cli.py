"""The command line: whole commands in processes of their own, and wrong things people
do, which end in one line that says what, where and what to do, and in exit code 2."""
import json
import shutil
import signal

import numpy as np
import pytest
import torch
from conftest import campaign
from kill_storm import await_change
from PIL import Image
from safetensors.torch import save_file
from test_cli_words import OLD

from deblur_vae.checkpoint import read_history
from deblur_vae.cli import main
from deblur_vae.model import VAE_UNet, save_model

DEMO = {'best.safetensors', 'last.safetensors', 'config.json', 'history.jsonl',
        'loss.png', 'triptychs.png', 'metrics.md'}

# Whole commands


def test_demo_keeps_to_its_time_and_leaves_everything(launch, tmp_path):
    out, cache = tmp_path / 'shown', str(tmp_path / 'cache')
    demo = launch('demo', '--portraits', 10, '--epochs', 50, '--minutes', 0,
                  '--out', out, DEBLUR_VAE_CACHE=cache)
    assert demo.wait() == 0, demo.said()
    assert len((out / 'history.jsonl').read_text().splitlines()) == 1
    recorded = json.loads((out / 'config.json').read_text())['arguments']
    assert recorded == OLD['defaults']['demo'] | dict(
        portraits=10, epochs=50, minutes=0, out=str(out))
    assert 'Traceback' not in demo.said() and 'epoch 1: blurred' in demo.said()
    left = {path.name for path in out.iterdir()}
    assert DEMO <= left and [n for n in left if n.startswith('events.out')]
    assert not [n for n in left if n.startswith('.')]
    assert (out / 'metrics.md').read_text().strip() in demo.said()


def test_interrupted_run_is_whole(drawn, launch, tmp_path):
    folder = tmp_path / 'run'
    run = launch('train', '--data', drawn, '--width', 4, '--latent-dim', 2,
                 '--epochs', 500, '--out', folder)
    assert await_change(folder / 'history.jsonl', run), run.said()
    run.send(signal.SIGINT)
    assert run.wait() == 130, run.said()
    assert 'stopped by SIGINT' in run.said() and '--resume' in run.said()
    assert 'Traceback' not in run.said()
    assert read_history(folder)[0]['epoch'] == 0
    assert (folder / 'last.safetensors').exists()
    assert not list(folder.glob('.*'))


@pytest.fixture
def train(launch, tmp_path):
    "Trains for an epoch and returns what the command said."
    def check(data, *options) -> str:
        run = launch('train', '--data', data, '--samples', 40, '--epochs', 1,
                     '--residual', '--width', 8, '--out', tmp_path / 'run', *options)
        assert run.wait(300) == 0 and '| all |' in run.said(), run.said()
        return run.said()
    return check


@pytest.mark.parametrize('held', [20, campaign(797)])
def test_training_on_real_faces(real_faces, train, tmp_path, held):
    "Validated on other people."
    val = tmp_path / 'val'
    val.mkdir()
    for path in sorted((real_faces / 'faces' / 'val').iterdir())[:held]:
        shutil.copy(path, val)
    said = train(real_faces / 'faces' / 'train', '--val-data', val)
    assert f', {held} to validate' in said


def test_training_on_some_of_celeba(real_faces, train):
    some = '--resize', '--filter', 'Male=1', '--filter', 'Goatee=-1'
    train(real_faces / 'celeba_half', *some)


# Wrong things

@pytest.fixture
def copy(drawn, tmp_path):
    "A data set of our own to break."
    return shutil.copytree(drawn, tmp_path / 'data')


def edit(path, change):
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))


def test_no_data(refuses, tmp_path):
    (tmp_path / 'empty').mkdir()
    refuses(['train', '--data', 'nowhere'],
            'nowhere is not a folder', 'non-commercial research')
    refuses(['train', '--data', 'empty'],
            'no pictures in empty', 'img_align_celeba.zip')


def test_zip_is_still_packed(refuses, tmp_path):
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'img_align_celeba.zip').write_bytes(b'PK\x03\x04')
    refuses(['train', '--data', 'data'],
            'img_align_celeba.zip is still packed', 'unzip')


@pytest.mark.parametrize('change, words', [
    (lambda text: '<!DOCTYPE html><title>Quota exceeded</title>', 'web page'),
    (lambda text: 'PK\x03\x04' + text, 'unzip'),
    (lambda text: text.replace('40\n', '41\n', 1),
     'announces 41 pictures but has 40 rows'),
    (lambda text: text.rsplit(None, 1)[0],
     'line 42: 39 values where the header has 40'),
    (lambda text: text.replace('000001.jpg', '../001.jpg'),
     "'../001.jpg' points outside"),
    (lambda text: text.replace('000001.jpg', 'C:\\1.jpg'), 'points outside'),
    (lambda text: text.replace(' 1', ' 2', 1), "value '2' is neither 1 nor -1"),
    (lambda text: '', 'empty'),
])
def test_broken_table(refuses, copy, change, words):
    edit(copy / 'list_attr_celeba.txt', change)
    refuses(['train', '--data', copy], 'list_attr_celeba.txt', words)


@pytest.mark.parametrize('spec, words', [
    ('Smilling=1', "did you mean 'Smiling'?"), ('male=1', "did you mean 'Male'?"),
    ('Male=2', 'NAME=1 or NAME=-1'), ('Male', 'NAME=1 or NAME=-1'),
])
def test_wrong_filter(refuses, drawn, spec, words):
    refuses(['train', '--data', drawn, '--filter', spec], spec.split('=')[0], words)


def test_filters_that_leave_nothing(refuses, drawn):
    refuses(['train', '--data', drawn, '--filter', 'Bald=1', '--filter', 'Bangs=1'],
            'no picture is left after the filter')


@pytest.mark.parametrize('break_it, words', [
    (lambda path: path.write_bytes(b''), 'is empty (0 bytes)'),
    (lambda path: path.write_bytes(path.read_bytes()[:1500]), 'may be cut short'),
    (lambda path: path.write_text('words'), 'not a picture'),
    (lambda path: path.unlink(), 'does not exist'),
])
def test_damaged_picture_is_named(refuses, copy, tmp_path, break_it, words):
    victim = copy / 'img_align_celeba' / '000003.jpg'
    break_it(victim)
    refuses(['train', '--data', copy, '--out', tmp_path / 'run', '--epochs', 1],
            '000003.jpg', words)


def test_sizes(refuses, copy, tmp_path):
    weights = tmp_path / 'w.safetensors'
    save_model(VAE_UNet(latent_dim=2, width=2, image_size=(109, 89)), weights)
    refuses(['evaluate', '--weights', weights, '--data', copy],
            '186x146', '109x89', '--resize')
    odd = copy / 'img_align_celeba' / '000001.jpg'
    Image.open(odd).resize((100, 100)).save(odd)
    refuses(['evaluate', '--weights', weights, '--data', copy],
            '68x68', '109x89', '--resize')
    refuses(['train', '--data', copy, '--no-store'], 'Resize')
    refuses(['train', '--data', copy, '--size', 16, 16], '16x16', '32')


def test_sizes_are_known_before_anything_is_written(refuses, drawn, tmp_path):
    refuses(['train', '--data', drawn, '--size', 109, 89, '--out', 'run'],
            '218x178', '109x89', 'Resize')
    assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize('name', ['nonsense', 'cuda:99'])
def test_device_that_is_not_there(refuses, drawn, name):
    refuses(['train', '--data', drawn, '--device', name],
            f'--device {name} cannot be used here')


def test_foreign_weights(refuses, drawn, tmp_path):
    torch.save({'a': np.zeros(2)}, tmp_path / 'pickle.pt')
    save_file({'a': torch.zeros(2)}, tmp_path / 'other.safetensors')
    (tmp_path / 'words.safetensors').write_text('not weights')
    for name in ('pickle.pt', 'other.safetensors', 'words.safetensors', 'missing.pt'):
        refuses(['evaluate', '--weights', name, '--data', drawn], name)


def test_portraits_overwrite_nothing(refuses, tmp_path):
    (tmp_path / 'mine').mkdir()
    (tmp_path / 'mine' / 'thesis.txt').write_text('precious')
    refuses(['portraits', '--out', 'mine', '-n', 2], 'mine')
    assert [p.name for p in tmp_path.iterdir()] == ['mine']


@pytest.mark.parametrize('argv', [
    [], ['nonsense'], ['train', '--epochs', '0'], ['train', '--epochs', 'many'],
    ['enhance']])
def test_usage_errors(argv, capsys):
    with pytest.raises(SystemExit, match='2'): main(argv)
    assert capsys.readouterr().err.startswith('usage: deblur-vae')


def test_a_process_of_its_own_says_the_same(deblur_vae):
    done = deblur_vae('train', '--data', 'nowhere')
    assert done.returncode == 2 and done.stdout == '' and done.stderr.count('\n') == 1
    assert done.stderr.startswith('deblur-vae: nowhere is not a folder')
