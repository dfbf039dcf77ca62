"""Trains the network of 12_restore as it was trained for the package, in one command:

    python tools/train_restore.py FACES PHOTOS --out runs/restore

FACES and PHOTOS are folders of sharp pictures, e.g. ../shared/data/faces/train and
../shared/data/photos/train. First a store is made under OUT/store: pictures degraded by
camera.EVERYDAY, their blur estimated (one in five is told), extended and filtered. Then
the network is trained on crops of it. Both go on where they stopped;
OUT/restore.safetensors and OUT/restore.md are what the package ships."""
import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from joblib import Parallel, delayed
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from deblur_vae.camera import EVERYDAY
from deblur_vae.classical import Blur, estimate_blur, known_blur
from deblur_vae.data import list_pictures, read_picture, to_tensor
from deblur_vae.enhance import KEEP, Sharpener, curable
from deblur_vae.model import load_state, save_model, save_state, write_beside
from deblur_vae.restore import LEAST_SCALE, RestoreNet, Told, seen_by, without_doubt

FACES, TOLD_SHARE = 0.6, 0.2  # share of faces, of known kernels
SHARD, SIDE = 40, 290  # pictures in a file; side of the squares of photographs, pixels
BATCH, CROP, RATE, DECAY, WARM = 16, 128, 1e-3, 0.999, 100
HELD, EVERY = 120, 400  # pictures to validate on; steps between validations


def scene(rng: np.random.Generator, faces: list[Path], photos: list[Path]) -> Tensor:
    "A face, or a square of a photograph, [3,H,W]."
    if rng.random() < FACES:
        return to_tensor(read_picture(faces[rng.integers(len(faces))]))
    x = to_tensor(read_picture(photos[rng.integers(len(photos))]))
    top, left = (rng.integers(0, n - SIDE + 1) for n in x.shape[1:])
    return x[:, top:top + SIDE, left:left + SIDE]


def views_of(x: Tensor, blur: Blur) -> tuple[Tensor, float]:
    """The picture, extended, and the answers of four filters, [5,3,H+16,W+16] in RGB,
    as `enhance` shows them to the network; the expected deviation, of `Window`."""
    sharpener = Sharpener(x, blur, RestoreNet())
    window, z, mean = sharpener.extended(x)
    pictures = sharpener.shown(window, z, mean)
    if blur.family == 'kernel': pictures = without_doubt(pictures)
    return pictures, window.deviation


def sample(
    seed: int,
    faces: list[Path],
    photos: list[Path],
) -> tuple[np.ndarray, list[float]] | None:
    """uint8 [18,h,w]: five pictures and the sharp one; log noise, quality. None if
    nothing is found to undo."""
    rng = np.random.default_rng((7, seed))
    shot = EVERYDAY(scene(rng, faces, photos), (8, seed))
    told = shot.mask is None and shot.blur[0] != 'none' and rng.random() < TOLD_SHARE
    if told: blur = known_blur(shot.blurry, shot.kernel)
    else: blur = estimate_blur(shot.blurry)
    if not curable(blur): return None
    views = views_of(shot.blurry, blur)[0].flatten(0, 1)
    pictures = torch.cat([views, F.pad(shot.sharp, (KEEP,) * 4)])
    levels = (pictures.clamp(0, 1) * 255).round().byte().numpy()
    return levels, [math.log(blur.noise), blur.spectrum.quality or 0]


def write_shard(path: Path, seeds: range, faces: list[Path], photos: list[Path],
                sample: Callable) -> None:
    "One file of the store, whole or not at all."
    torch.set_num_threads(1), torch.set_flush_denormal(True)
    some = [one for one in (sample(seed, faces, photos) for seed in seeds) if one]
    part = path.with_suffix('.part.npz')
    levels = {f'x{i}': pictures for i, (pictures, _) in enumerate(some)}
    np.savez(part, **levels, info=np.array([info for _, info in some], np.float32))
    part.rename(path)


def prepare(store: Path, folders: list[Path], samples: int, workers: int,
            sample: Callable = sample) -> None:
    "All files of the store that are not there yet."
    faces, photos = ([folder / name for name in list_pictures(folder)]
                     for folder in folders)
    store.mkdir(parents=True, exist_ok=True)
    seeds = {store / f'{i:04d}.npz': range(i * SHARD, (i + 1) * SHARD)
             for i in range(-(-samples // SHARD))}
    missing = [path for path in seeds if not path.exists()]
    jobs = (delayed(write_shard)(path, seeds[path], faces, photos, sample)
            for path in missing)
    written = Parallel(workers, return_as='generator_unordered')(jobs)
    for _ in tqdm(written, 'store', len(missing), disable=not missing): pass


@dataclass
class Sample:
    "A picture of the store."
    levels: Tensor # uint8 [18,h,w]
    told: Told

    def crop(self, top: int, left: int, side: int | None = None) -> tuple[Tensor, ...]:
        """What the network sees of a part, the likeliest answer, and [4]: the sharp
        part and where it counts."""
        inside = torch.zeros(1, *self.levels.shape[1:])
        inside[:, KEEP:-KEEP, KEEP:-KEEP] = 1
        x = torch.cat([self.levels, inside.byte() * 255])
        if side: x = x[:, top:top + side, left:left + side]
        x = x.float() / 255
        pictures = x[:15].unflatten(0, (5, 3))
        return seen_by(pictures, x[18:], self.told), pictures[2], x[15:]


def load(store: Path) -> list[Sample]:
    "All pictures of the store, in memory."
    found = []
    for path in tqdm(sorted(store.glob('*.npz')), 'load', leave=False):
        with np.load(path) as shard:
            for i, (noise, quality, *_) in enumerate(shard['info'].tolist()):
                levels = torch.from_numpy(shard[f'x{i}'])
                apart = (levels[12:15].float() - levels[6:9]) / 255
                scale = max(LEAST_SCALE, apart.square().mean().sqrt().item())
                told = Told(math.exp(noise), scale, int(quality) or None)
                found.append(Sample(levels, told))
    return found


def batch(samples: list[Sample], rng: np.random.Generator) -> list[Tensor]:
    "Random crops, turned and mirrored; seen, likeliest, sharp and inside, scale."
    rows = []
    for i in rng.integers(0, len(samples), BATCH):
        h, w = samples[i].levels.shape[1:]
        top, left = rng.integers(0, h - CROP + 1), rng.integers(0, w - CROP + 1)
        parts = samples[i].crop(top, left, CROP)
        for turn in (lambda x: x.flip(2), lambda x: x.flip(1), lambda x: x.mT):
            if rng.random() < 0.5: parts = tuple(map(turn, parts))
        rows.append((*parts, torch.full((1, 1, 1), samples[i].told.scale)))
    return [torch.stack(column).contiguous(memory_format=torch.channels_last)
            for column in zip(*rows)]


def loss_of(net: torch.nn.Module, seen: Tensor, likely: Tensor, goal: Tensor,
            scale: Tensor) -> Tensor:
    """Root mean square error of each crop in units of its scale, inside the picture;
    their mean."""
    sharp, inside = goal.split([3, 1], 1)
    error = inside * (net(seen) + (likely - sharp) / scale)
    mean = error.square().sum((1, 2, 3)) / (3 * inside.sum((1, 2, 3)))
    return (mean + 1e-3).sqrt().mean()


@torch.inference_mode()
def validate(net: torch.nn.Module, held: list[Sample]) -> tuple[float, ...]:
    "Mean PSNR of the blurry pictures, of the likeliest answers and of the network's."
    rows = []
    for one in held:
        seen, likely, goal = one.crop(0, 0)
        h, w = likely.shape[1:]
        whole = F.pad(seen[None], (0, -w % 8, 0, -h % 8), mode='replicate')
        change = net(whole)[0, :, :h, :w]
        answers = seen[:3], likely, (likely + one.told.scale * change).clamp(0, 1)
        errors = [(goal[3] * (x - goal[:3])).square().sum() / (3 * goal[3].sum())
                  for x in answers]
        rows.append([-10 * math.log10(e.item() + 1e-7) for e in errors])
    return tuple(np.mean(rows, 0).tolist())


class Training:
    "Network, its moving average, optimiser and curve; kept in one file."
    KEPT = 'net', 'mean', 'optimiser'

    def __init__(self, path: Path):
        torch.manual_seed(0)
        self.path, self.step, self.seconds, self.curve = path, 0, 0.0, []
        self.net = RestoreNet().to(memory_format=torch.channels_last)
        self.mean = AveragedModel(self.net, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
        self.optimiser = torch.optim.AdamW(self.net.parameters(), RATE,
                                           weight_decay=1e-4, fused=True)
        if not path.exists(): return
        state = load_state(path)
        self.step, self.seconds = state['step'], state['seconds']
        self.curve = state['curve']
        for name in self.KEPT: getattr(self, name).load_state_dict(state[name])

    def save(self) -> None:
        "Beside, then renamed."
        state = {name: getattr(self, name).state_dict() for name in self.KEPT}
        state |= dict(step=self.step, seconds=self.seconds, curve=self.curve)
        save_state(self.path, state)

    def learn(self, part: list[Tensor], progress: float) -> float:
        "One step; the learning rate falls with half a cosine."
        fall = 0.5 * (1 + math.cos(math.pi * progress)) + 1e-3
        rate = RATE * min(1, (self.step + 1) / WARM) * fall
        for group in self.optimiser.param_groups: group['lr'] = rate
        loss = loss_of(self.net, *part)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step(), self.mean.update_parameters(self.net)
        self.step += 1
        return loss.item()


def train(run: Training, samples: list[Sample], minutes: float) -> None:
    "Until the time is used up, over all runs together."
    held, rest = samples[:HELD], samples[HELD:]
    rng = np.random.default_rng((9, run.step))
    losses, start = [], time.monotonic() - run.seconds
    bar = tqdm(total=round(60 * minutes), initial=round(run.seconds), desc='train',
               unit='s', mininterval=2)
    with bar:
        while run.seconds < 60 * minutes:
            losses.append(run.learn(batch(rest, rng), run.seconds / 60 / minutes))
            run.seconds = time.monotonic() - start
            bar.update(round(run.seconds) - bar.n)
            if run.step % EVERY and run.seconds < 60 * minutes: continue
            blurry, likely, answer = validate(run.mean.module.eval(), held)
            mean, gain = float(np.mean(losses)), answer - likely
            run.curve.append([run.step, run.seconds, mean, gain])
            bar.write(f'step {run.step}: loss {mean:.4f}; blurred {blurry:.2f}, '
                      f'filter {likely:.2f}, network {answer:.3f} dB')
            losses.clear(), run.save()


def card(run: Training, samples: int, minutes: float) -> str:
    "What the weights are, how they were made, what they are for."
    config, count = run.net.config, sum(p.numel() for p in run.net.parameters())
    lines = [f'| {step} | {seconds / 60:.0f} | {loss:.4f} | {gain:+.3f} |'
             for step, seconds, loss, gain in run.curve]
    return CARD.format(
        count=count, config=config, samples=samples - HELD, held=HELD, steps=run.step,
        batch=BATCH, crop=CROP, minutes=minutes, rate=RATE,
        settings=json.dumps(EVERYDAY.settings()), torch=torch.__version__,
        curve='\n'.join(lines))


CARD = '''# `restore`: weights of `RestoreNet`

Mends what the filter of 11_classical makes; see 12_restore. The default of `enhance`.

| | |
|:--|:--|
| parameters | {count:,}, stored as float16 |
| configuration | `{config}` |
| trained on | {samples} pictures: faces (Labeled Faces in the Wild, cropped) and \
squares of photographs (BSDS500, which is for non-commercial research), three to two, \
true borders; {steps} steps of {batch} squares of {crop} pixels |
| degraded | `{settings}` |
| validated on | {held} other pictures of the same folders |
| optimiser | AdamW, learning rate {rate} falling with half a cosine, moving average \
of weights |
| machine | two cores, {minutes:g} minutes |
| versions | torch {torch} |

Command: `python tools/train_restore.py FACES PHOTOS`.

| step | minutes | training loss, scales | gain on the filter, dB |
|--:|--:|--:|--:|
{curve}

**Made for** pictures with one blur, of a lens, a shake or a resize, with noise or \
JPEG on top.

**Limits.** It mends an answer that needs the blur to be found. Where a picture has no \
detail it *invents* some: what it shows of a face is plausible and no evidence. It \
must not be used to identify anybody, or to decide anything about them.

**Licence.** CC BY 4.0.
'''


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('faces', type=Path, metavar='FACES')
    add('photos', type=Path, metavar='PHOTOS')
    add('--out', type=Path, default=Path('runs/restore'))
    add('--samples', type=int, default=3400, help='pictures to degrade; about one in '
        'ten is left out, since no blur is found')
    add('--minutes', type=float, default=68,
        help='of training, with what earlier runs took')
    add('--workers', type=int, default=2)
    args = parser.parse_args()
    folders = [args.faces, args.photos]
    prepare(args.out / 'store', folders, args.samples, args.workers)
    samples, run = load(args.out / 'store'), Training(args.out / 'restore.pt')
    train(run, samples, args.minutes)
    net = RestoreNet().half()
    net.load_state_dict(run.mean.module.state_dict())
    save_model(net, args.out / 'restore.safetensors', steps=run.step)
    text = card(run, len(samples), args.minutes)
    write_beside(args.out / 'restore.md', text.encode())
    print(args.out / 'restore.safetensors')


if __name__ == '__main__': main()
