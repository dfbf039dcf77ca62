"""tools/train_restore.py: the store, a step, a checkpoint, the card; not the hour of
training."""
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

import train_restore
from deblur_vae.model import load_model, save_model
from deblur_vae.restore import SEEN, RestoreNet


@pytest.fixture(scope='module')
def store(tmp_path_factory):
    "Six degraded pictures, in a file of the store."
    root = tmp_path_factory.mktemp('restore')
    for name in ('faces', 'photos', 'store'): (root / name).mkdir()
    for i in range(3):
        Image.fromarray(astronaut()[20 * i:20 * i + 218, 130:308]).save(
            root / 'faces' / f'{i}.png')
    Image.fromarray(astronaut()).save(root / 'photos' / 'a.png')
    faces, photos = (sorted((root / name).iterdir()) for name in ('faces', 'photos'))
    train_restore.write_shard(root / 'store' / '0000.npz', range(6), faces, photos,
                              train_restore.sample)
    return root


def test_a_sample_is_the_same_again(store):
    faces, photos = (sorted((store / name).iterdir()) for name in ('faces', 'photos'))
    with np.load(store / 'store' / '0000.npz') as shard:
        again = [train_restore.sample(seed, faces, photos) for seed in range(3)]
        for i, (levels, info) in enumerate(filter(None, again)):
            assert np.array_equal(shard[f'x{i}'], levels)
            assert np.allclose(shard['info'][i], info)
            assert levels.shape[0] == 18 and levels.dtype == np.uint8


def test_learning_saving_and_going_on(store, monkeypatch):
    monkeypatch.setattr(train_restore, 'BATCH', 2)
    monkeypatch.setattr(train_restore, 'CROP', 64)
    samples, rng = train_restore.load(store / 'store'), np.random.default_rng(0)
    assert 3 <= len(samples) <= 6
    part = train_restore.batch(samples, rng)
    assert [tuple(x.shape[:2]) for x in part] == [(2, SEEN), (2, 3), (2, 4), (2, 1)]
    run = train_restore.Training(store / 'restore.pt')
    start = train_restore.loss_of(run.net, *part).item()
    losses = [run.learn(part, 0.0) for _ in range(40)]
    assert losses[0] == pytest.approx(start) and losses[-1] < start
    run.curve.append([run.step, 1.0, start, 0.1])
    run.save()
    again = train_restore.Training(store / 'restore.pt')
    assert again.step == 40 and again.curve == run.curve
    weights = again.net.state_dict()
    for name, weight in run.net.state_dict().items():
        assert torch.equal(weight, weights[name])
    blurry, likely, answer = train_restore.validate(run.mean.module, samples)
    assert blurry < likely and np.isfinite(answer)
    card = train_restore.card(run, train_restore.HELD + 5, 1)
    assert '| 40 | 0 |' in card and 'trained on | 5 pictures' in card


def test_weights_of_half_precision_are_read(tmp_path):
    save_model(RestoreNet().half(), tmp_path / 'a.safetensors', steps=3)
    model = load_model(tmp_path / 'a.safetensors', kinds=(RestoreNet,))
    assert next(model.parameters()).dtype == torch.float32
