"""Makes the doubt of `enhance` honest: prints `FACTORS` of 13_enhance.

    python tools/calibrate_doubt.py FACES PHOTOS

Split-conformal calibration. FACES and PHOTOS are the folders of train_doubt.py; pictures
and seeds are other ones. Each is degraded by camera.EVERYDAY (one in five is told its
blur), goes through `enhance_pixels`, and what its errors are in units of its doubt is
put together by what the estimate says of the picture, its blur and noise. The factor of
a condition is the quantile that makes nine in ten of these errors lie inside.
"""
import argparse
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from joblib import Parallel, delayed
from tqdm.auto import tqdm
from train_doubt import LEVEL
from train_restore import TOLD_SHARE, scene

from deblur_vae import enhance
from deblur_vae.camera import EVERYDAY
from deblur_vae.data import list_pictures
from deblur_vae.enhance import FACTORS, blur_of, condition_of, enhance_pixels, factor_of
from deblur_vae.latent import conformal_factor

KEPT = 3000 # pixels of a picture that are kept, at random


def ratios(seed: int, faces: list[Path], photos: list[Path]) -> list[tuple]:
    "For each method: its name, kind of picture, condition, errors in units of its doubt."
    torch.set_num_threads(1), torch.set_flush_denormal(True)
    rng = np.random.default_rng((27, seed))
    shot = EVERYDAY(scene(rng, faces, photos), (28, seed))
    pixels, truth = ((x.permute(1, 2, 0) * 255).round().byte().numpy()
                     for x in (shot.blurry, shot.sharp))
    told = shot.mask is None and shot.blur[0] != 'none' and rng.random() < TOLD_SHARE
    found = blur_of(pixels, shot.kernel.numpy() if told else None)
    if found is None or found[1].family == 'none': return []
    kept = rng.permutation(pixels[..., 0].size)[:KEPT]
    rows = []
    for method in FACTORS:
        with patch.object(enhance, 'blur_of', lambda *_: found):
            result, doubt = enhance_pixels(pixels, method, doubt=True)
        error = np.abs((result.astype(np.float32) - truth).mean(2)) / 255
        blur = found[1]
        rows.append((method, blur.spectrum.kind, condition_of(blur),
                     (error / doubt).ravel()[kept] * factor_of(method, blur)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs=2, type=Path, metavar=('FACES', 'PHOTOS'))
    parser.add_argument('--samples', type=int, default=400, help='pictures to degrade')
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    names = [[folder / name for name in list_pictures(folder)] for folder in args.folders]
    jobs = (delayed(ratios)(seed, *names) for seed in range(args.samples))
    found: dict[tuple, list] = {}
    for rows in tqdm(Parallel(args.workers, return_as='generator')(jobs),
                     'calibrate', args.samples):
        for *key, values in rows: found.setdefault(tuple(key), []).append(values)
    for key, parts in sorted(found.items()):
        values = np.concatenate(parts)
        factor = conformal_factor(values, np.ones_like(values), LEVEL)
        print(*key, f'{factor:.3f}', f'of {len(parts)} pictures')


if __name__ == '__main__': main()
