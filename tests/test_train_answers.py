"tools/train_answers.py: a training that is stopped goes on, to the same weights."
import pytest
import torch
from PIL import Image

import train_answers
from deblur_vae.latent import LaplaceNet


def test_training_goes_on_where_it_stopped(tmp_path, monkeypatch):
    size, dice = (6, 218, 178, 3), torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, size, generator=dice, dtype=torch.uint8)
    (tmp_path / 'faces').mkdir()
    for i, picture in enumerate(pixels):
        Image.fromarray(picture.numpy()).save(tmp_path / 'faces' / f'{i}.png')
    faces = train_answers.scenes([tmp_path / 'faces'])
    assert faces.shape == (6, 3, 109, 89) and faces.dtype == torch.uint8

    monkeypatch.setattr(train_answers, 'EVERY', 2)

    def trained(name, most=4):
        torch.manual_seed(0)
        net = LaplaceNet(8, 8, 8)
        training = train_answers.Training(tmp_path / name, net, 4, 10**6)
        calls = []

        def loss_of(*args):
            calls.append(1)
            if len(calls) > most: raise KeyboardInterrupt
            return train_answers.start_loss(*args)

        train_answers.train(training, loss_of, faces)
        return training.net.state_dict()

    straight = trained('a.pt')
    with pytest.raises(KeyboardInterrupt): trained('b.pt', 3)  # kept after the second
    stopped = trained('b.pt')
    assert all(torch.equal(straight[name], stopped[name]) for name in straight)
