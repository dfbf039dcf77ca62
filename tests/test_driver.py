"""The way the post puts everything together, with nothing changed but the imports, on
drawn portraits."""
import os
import random

import matplotlib
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader, random_split
from torchvision import transforms

from deblur_vae.checkpoint import read_history
from deblur_vae.data import CelebADataset
from deblur_vae.model import VAE_UNet, load_model
from deblur_vae.train import inference_deblur, train_vae_deblur

matplotlib.use('Agg')


def drive(epochs=2):
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    folder = os.environ['DATASET']
    faces = CelebADataset(root_dir=f'{folder}/img_align_celeba',
                          attr_file=f'{folder}/list_attr_celeba.txt',
                          transform=transforms.Compose([transforms.ToTensor()]),
                          filters={}, samples=6)
    held = len(faces) - int(0.8 * len(faces))
    train, val = random_split(faces, [len(faces) - held, held])
    train_loader = DataLoader(train, batch_size=4, shuffle=True, num_workers=0)
    val_loader = DataLoader(val, batch_size=4, shuffle=False, num_workers=0)
    model = VAE_UNet(latent_dim=128).to('cpu')
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = train_vae_deblur(model, train_loader, val_loader, optimizer,
                              torch.device('cpu'), epochs=epochs, inferences=6)
    blur = transforms.GaussianBlur(kernel_size=random.choice(range(5, 16, 2)),
                                   sigma=random.uniform(1.5, 3.0))
    figure = inference_deblur(model, torch.device('cpu'), val_loader, epoch=epochs - 1,
                              blur_transform=blur)
    return losses, figure, model


@pytest.fixture(scope='module')
def driven(drawn, tmp_path_factory):
    "Two runs of the same script in two folders."
    runs, before = [], os.getcwd()
    os.environ['DATASET'] = str(drawn)
    try:
        for name in ('first', 'second'):
            folder = tmp_path_factory.mktemp(name)
            os.chdir(folder)
            runs.append((folder / 'runs' / 'deblur', *drive()))
    finally:
        os.chdir(before)
        del os.environ['DATASET']
    return runs


def test_losses_fall_and_repeat(driven):
    (_, losses, _, model), (_, again, _, twin) = driven
    train_losses, val_losses = losses
    assert len(train_losses) == len(val_losses) == 2
    assert train_losses[1] < train_losses[0]
    assert losses == again, 'the same seed must give the same losses'
    assert all(torch.equal(a, b)
               for a, b in zip(model.state_dict().values(), twin.state_dict().values()))


def test_figure_is_a_triptych(driven):
    figure = driven[0][2]
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ['Original', 'Blurred', 'Reconstructed']
    assert figure._suptitle.get_text().startswith('Epoch: 2, MSE: 0.')


def test_tensorboard_tags_are_those_of_the_post(driven):
    folder, (train_losses, val_losses), *_ = driven[0]
    events = EventAccumulator(str(folder))
    events.Reload()
    assert {'Loss/Train', 'Loss/Val', 'KL Weight'} <= set(events.Tags()['scalars'])
    names = 'Original', 'Blurred', 'Reconstructed'
    assert {f'Validation/{name}' for name in names} <= set(events.Tags()['images'])
    scalars = {'Loss/Train': train_losses, 'Loss/Val': val_losses,
               'KL Weight': [0.0, 1.0]}
    for tag, values in scalars.items():
        written = [event.value for event in events.Scalars(tag)]
        assert written == pytest.approx(values, rel=1e-5)


def test_checkpoints_hold_the_run(driven):
    folder, (train_losses, _), _, model = driven[0]
    assert [entry['train_loss'] for entry in read_history(folder)] == train_losses
    last = load_model(folder / 'last.safetensors').state_dict()
    assert all(torch.equal(last[name], value)
               for name, value in model.state_dict().items())
    assert load_model(folder / 'best.safetensors').config == model.config
