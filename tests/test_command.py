"Whole commands in processes of their own."
import json
import signal
import subprocess
import sys
import time

import pytest

DEMO = {'best.safetensors', 'last.safetensors', 'config.json', 'history.jsonl',
        'loss.png', 'triptychs.png', 'metrics.md'}


def test_demo_leaves_everything(deblur_vae, tmp_path, monkeypatch):
    monkeypatch.setenv('DEBLUR_VAE_CACHE', str(tmp_path / 'cache'))
    done = deblur_vae('demo', '--portraits', 24, '--epochs', 2, '--out', 'shown')
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr and 'epoch 2: blurred' in done.stdout
    assert 'metrics.md' in done.stdout
    left = {p.name for p in (tmp_path / 'shown').iterdir()}
    assert DEMO <= left and [n for n in left if n.startswith('events.out')]
    assert not [n for n in left if n.startswith('.')]
    assert (tmp_path / 'shown' / 'metrics.md').read_text().strip() in done.stdout


def test_demo_keeps_to_its_time(deblur_vae, tmp_path, monkeypatch):
    monkeypatch.setenv('DEBLUR_VAE_CACHE', str(tmp_path / 'cache'))
    done = deblur_vae('demo', '--portraits', 24, '--epochs', 50, '--minutes', 0,
                      '--out', 'shown')
    assert done.returncode == 0
    assert len((tmp_path / 'shown' / 'history.jsonl').read_text().splitlines()) == 1


def test_interrupted_run_is_whole(drawn, tmp_path):
    command = [sys.executable, '-m', 'deblur_vae.cli', 'train', '--data', str(drawn),
               '--width', '4', '--latent-dim', '2', '--epochs', '500', '--out', 'run']
    run = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE,
                           stdout=subprocess.PIPE, text=True)
    history = tmp_path / 'run' / 'history.jsonl'
    deadline = time.time() + 120
    while not history.exists() and time.time() < deadline: time.sleep(0.2)
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130 and 'stopped by SIGINT' in err and '--resume' in err
    assert 'Traceback' not in err
    assert json.loads(history.read_text().splitlines()[0])['epoch'] == 0
    assert (tmp_path / 'run' / 'last.safetensors').exists()
    assert not list((tmp_path / 'run').glob('.*'))


@pytest.mark.parametrize('data, options', [
    ('faces/train', ['--val-data', 'faces/val']),
    ('celeba_half', ['--resize', '--filter', 'Male=1', '--filter', 'Goatee=-1'])])
def test_real_pictures(real_faces, deblur_vae, tmp_path, data, options):
    options = [str(real_faces / o) if o.startswith('faces') else o for o in options]
    done = deblur_vae('train', '--data', real_faces / data, *options, '--samples', 40,
                      '--epochs', 1, '--residual', '--width', 8)
    assert done.returncode == 0 and '| all |' in done.stdout, done.stderr
