"""Makes the doubt of `enhance` honest: prints `HONEST` of 13_enhance.

    python tools/calibrate_doubt.py FACES PHOTOS

FACES and PHOTOS are folders of pictures that no network was trained on, e.g.
../shared/data/faces/val and ../shared/data/photos/val; those that benchmarks/doubt.py
takes of them are left out. Each is degraded by camera.EVERYDAY (one in five is told its
blur) and goes through `enhance_pixels`. By what its widths have to be multiplied, so
that nine in ten of its errors lie inside, depends on what the estimate says of it: a
quantile regression on `circumstances` finds the weights (Gibbs, Cherian & Candès 2023,
arXiv:2305.12616), and so the widths hold for each of the circumstances and not only on
average. A fit to nine tenths of the pictures says how well it does on the others; the
weights are those of a fit to all.
"""
import argparse
import math
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from joblib import Parallel, delayed
from torch import Tensor
from tqdm.auto import tqdm
from train_doubt import FINEST, LEVEL
from train_restore import TOLD_SHARE, scene

from deblur_vae import enhance
from deblur_vae.camera import EVERYDAY
from deblur_vae.enhance import (METHODS, blur_of, circumstances, enhance_pixels,
                                factor_of)
from deblur_vae.evaluate import Scenes
from deblur_vae.latent import quantile_weights

KEPT = 1000 # pixels of a picture that are kept, at random
MEASURED = 60 # pictures of each folder that benchmarks/doubt.py takes


def ratios(seed: int, faces: list[Path], photos: list[Path]) -> list[tuple]:
    "For each method: circumstances and [n] log errors in units of uncalibrated widths."
    torch.set_num_threads(1), torch.set_flush_denormal(True)
    rng = np.random.default_rng((27, seed))
    shot = EVERYDAY(scene(rng, faces, photos), (28, seed))
    pixels, truth = ((x.permute(1, 2, 0) * 255).round().byte().numpy()
                     for x in (shot.blurry, shot.sharp))
    told = shot.mask is None and shot.blur[0] != 'none' and rng.random() < TOLD_SHARE
    found = blur_of(pixels, shot.kernel.numpy() if told else None)
    if found is None or found[1].family == 'none': return []
    kept, rows = rng.permutation(pixels[..., 0].size)[:KEPT], []
    for method in METHODS:
        with patch.object(enhance, 'blur_of', lambda *_: found):
            result, doubt = enhance_pixels(pixels, method, doubt=True)
        error = np.abs((result.astype(np.float32) - truth).mean(2)) / 255
        log = np.log(np.maximum(error, FINEST) / doubt).ravel()[kept]
        rows.append((method, circumstances(found[1]),
                     log + math.log(factor_of(method, found[1]))))
    return rows


def unmeasured(folder: Path) -> list[Path]:
    "Pictures that benchmarks/doubt.py leaves."
    taken = set(Scenes(folder, MEASURED).names)
    return [folder / name for name in Scenes(folder).names if name not in taken]


def collected(folders: list[Path], samples: int, workers: int) -> dict[str, list]:
    "What `ratios` gives, by method."
    names = [unmeasured(folder) for folder in folders]
    jobs = (delayed(ratios)(seed, *names) for seed in range(samples))
    found = {method: [] for method in METHODS}
    done = Parallel(workers, return_as='generator')(jobs)
    for rows in tqdm(done, 'pictures', samples):
        for method, *row in rows: found[method].append(row)
    return found


def fitted(seen: Tensor, errors: Tensor) -> Tensor: # [n,k], [n,m] → [k]
    "Weights of the circumstances, from m errors of each picture."
    pixels = seen.repeat_interleave(errors.shape[1], 0)
    return quantile_weights(pixels, errors.flatten()[:, None], LEVEL)[:, 0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs=2, type=Path, metavar='FOLDER',
                        help='FACES, PHOTOS')
    parser.add_argument('--samples', type=int, default=1700, help='pictures to degrade')
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    for method, rows in collected(args.folders, args.samples, args.workers).items():
        seen, errors = (torch.tensor(np.array(part)).float() for part in zip(*rows))
        some = len(rows) * 9 // 10
        bounds = (seen[some:] @ fitted(seen[:some], errors[:some]))[:, None]
        inside = (errors[some:] < bounds).float().mean()
        weights = tuple(round(w, 3) for w in fitted(seen, errors).tolist())
        print(f'{method!r}: {weights}, # {len(rows)} pictures; fitted to {some}, '
              f'of the others {inside:.3f} inside')


if __name__ == '__main__': main()
