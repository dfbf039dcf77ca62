"""Trains what `enhance(doubt=True)` needs, in one command:

    python tools/train_doubt.py FACES PHOTOS --out runs/doubt

FACES and PHOTOS as for train_restore.py, whose weights are taken from the package and
stay as they are. First a store is made as there, with other pictures: in half of
them, a patch is blurred once more. Then the network's last branch and the exponents of
the filter are fitted to the 90 % quantile of the error. It goes on where it stopped;
OUT/restore.safetensors is what the package ships. calibrate_doubt.py makes both honest.
"""
import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm
from train_restore import TOLD_SHARE, batch, load, prepare, scene, views_of

from deblur_vae.camera import EVERYDAY, Shot, convolve, gaussian
from deblur_vae.classical import estimate_blur, known_blur
from deblur_vae.data import to_8bit
from deblur_vae.enhance import KEEP, levels_of
from deblur_vae.latent import pinball, quantile_weights
from deblur_vae.model import load_state, save_model, save_state
from deblur_vae.restore import RestoreNet, pretrained

LEVEL = 0.9  # share of the errors that lie inside
PATCHED = 0.5  # share of pictures with a patch that is blurred twice
RATE, EPOCHS = 3e-3, 20  # the highest learning rate; passes over the batches
CACHED = 500  # batches, whose features fit into memory
FINEST = 0.25 / 255  # of white: errors below are those of rounding


def patched(shot: Shot, rng: np.random.Generator) -> Tensor: # [3,h,w]
    "The blurry picture with a box or an ellipse of it blurred more."
    x, (h, w) = shot.blurry, shot.blurry.shape[1:]
    y, x0 = rng.uniform(0, h), rng.uniform(0, w)
    tall, wide = rng.uniform(0.1, 0.35, 2) * min(h, w)
    down = (torch.arange(h)[:, None] - y).abs() / tall
    across = (torch.arange(w) - x0).abs() / wide
    if rng.random() < 0.5: mask = (torch.maximum(down, across) < 1).float()
    else: mask = ((1 - torch.hypot(down, across)) * 6).clamp(0, 1)
    soft = convolve(x, gaussian(math.exp(rng.uniform(0, math.log(4)))))
    grain = (x - convolve(x, gaussian(0.7))).std(correction=0).item() / 2
    soft = soft + grain * torch.from_numpy(rng.standard_normal(x.shape)).to(x)
    return to_8bit(torch.lerp(x, soft, mask).clamp(0, 1))


def sample(seed: int, faces: list[Path], photos: list[Path]):
    """As train_restore.sample; the further numbers: the deviation that the filter
    expects, and whether there is a patch."""
    rng = np.random.default_rng((17, seed))
    shot = EVERYDAY(scene(rng, faces, photos), (18, seed))
    twice = rng.random() < PATCHED
    blurry = patched(shot, rng) if twice else shot.blurry
    told = shot.mask is None and shot.blur[0] != 'none' and rng.random() < TOLD_SHARE
    blur = known_blur(blurry, shot.kernel) if told else estimate_blur(blurry)
    if blur.family == 'none': return None
    pictures, deviation = views_of(blurry, blur)
    pictures = torch.cat([pictures.flatten(0, 1), F.pad(shot.sharp, (KEEP,) * 4)])
    levels = (pictures.clamp(0, 1) * 255).round().byte().numpy()
    return levels, [math.log(blur.noise), blur.spectrum.quality or 0, deviation, twice]


def log_errors(answer: Tensor, goal: Tensor) -> Tensor: # [B,3,h,w], [B,4,h,w] → [B,h,w]
    "Logarithm of the error of the grey value, of pictures in 256 levels."
    levels = (answer.clamp(0, 1) * 255).round() / 255
    return (levels - goal[:, :3]).mean(1).abs().clamp(min=FINEST).log()


@torch.no_grad()
def cached(net: RestoreNet, samples: list, count: int) -> list[tuple[Tensor, ...]]:
    """Batches of what the branch sees (half precision), log errors of answer and blurry
    picture, where they count, and log scales."""
    batches, rng = [], np.random.default_rng(19)
    for _ in tqdm(range(count), 'features'):
        seen, likely, goal, scale = batch(samples, rng)
        features = net.features(seen)
        answer = likely + scale * net.change(seen, features)
        errors = torch.stack([log_errors(x, goal) for x in (answer, seen[:, :3])], 1)
        clues = net.clues(seen, features).bfloat16()
        batches.append((clues, errors, goal[:, 3:], scale.log()))
    return batches


def fit_branch(path: Path, samples: list, epochs: int) -> RestoreNet:
    "The last branch of the network; the rest of it stays, so its features are kept."
    net = pretrained().to(memory_format=torch.channels_last)
    torch.manual_seed(0)
    for layer in net.guess[::2]: layer.reset_parameters()
    batches, rng = cached(net, samples, CACHED), np.random.default_rng(20)
    optimiser = torch.optim.AdamW(net.guess.parameters(), RATE, fused=True)
    first = 0
    if path.exists():  # it goes on
        state = load_state(path)
        first = state['epoch']
        net.guess.load_state_dict(state['guess'])
        optimiser.load_state_dict(state['optimiser'])
    for epoch in tqdm(range(first, epochs), 'branch', initial=first, total=epochs):
        losses = []
        for step, i in enumerate(rng.permutation(len(batches))):
            part = (epoch + step / len(batches)) / epochs
            for group in optimiser.param_groups:
                group['lr'] = RATE * (0.5 + 0.5 * math.cos(math.pi * part)) + 1e-5
            clues, errors, inside, scale = batches[i]
            widths = net.log_doubt(clues.float()) + scale
            loss = pinball(errors, widths, inside, LEVEL)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        state = dict(guess=net.guess.state_dict(), optimiser=optimiser.state_dict())
        save_state(path, state | dict(epoch=epoch + 1))
        tqdm.write(f'epoch {epoch + 1}: {np.mean(losses):.4f}')
    return net


def lively(path: Path) -> tuple[Tensor, Tensor]:
    """Of a shard: what `expected_error` goes by, [n,4], and log errors, [n,2].

    Patches are left out: by levels alone they cannot be told from what is smooth."""
    rows, errors = [], []
    with np.load(path) as shard:
        for i, (_, _, deviation, twice) in enumerate(shard['info'].tolist()):
            if twice: continue
            x = torch.from_numpy(shard[f'x{i}'])[:, KEEP:-KEEP, KEEP:-KEEP] / 255
            blurry, likely, sharp = x[:3], x[6:9], x[15:]
            seen = levels_of((likely - blurry).mean(0), deviation).flatten(1)
            error = torch.stack([likely, blurry]).sub(sharp).mean(1).abs().flatten(1)
            rows.append(seen[:, ::37].T)
            errors.append(error[:, ::37].T.clamp(min=FINEST).log())
    return F.pad(torch.cat(rows), (1, 0), value=1.0), torch.cat(errors)


def fit_levels(store: Path) -> list[list[float]]:
    "`LEVELS` of 13_enhance: of log errors, filtered and blurry."
    shards = [lively(path) for path in sorted(store.glob('*.npz'))]
    seen, errors = (torch.cat(parts) for parts in zip(*shards))
    return quantile_weights(seen, errors, LEVEL).T.tolist()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs=2, type=Path, metavar='FOLDER',
                        help='FACES, PHOTOS')
    parser.add_argument('--out', type=Path, default=Path('runs/doubt'))
    parser.add_argument('--samples', type=int, default=2400, help='pictures to degrade')
    parser.add_argument('--epochs', type=int, default=EPOCHS, help='of training')
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    store = args.out / 'store'
    prepare(store, args.folders, args.samples, args.workers, sample)
    print('LEVELS =', [[round(w, 3) for w in row] for row in fit_levels(store)])
    net = fit_branch(args.out / 'doubt.pt', load(store), args.epochs)
    save_model(net.half(), args.out / 'restore.safetensors')
    print(args.out / 'restore.safetensors')


if __name__ == '__main__': main()
