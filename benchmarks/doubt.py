"""Is the doubt of `enhance` right as often as it says?

    python benchmarks/doubt.py FACES PHOTOS [--samples N]

FACES and PHOTOS are folders that nothing was fitted to. For each condition of
`deblur-vae evaluate`, both kinds of picture and both methods: the share of pixels whose
error lies inside their interval (0.90 is promised), the mean error of the tenth of the
pixels with the highest doubt over that of the half with the lowest (*contrast*), the
same ratio for a doubt that knew the errors of the 80 pixels around each pixel (*most*:
what no map that is smooth over 9×9 pixels can be hoped to exceed), and the mean doubt
in levels of 255. Written to OUT/doubt.csv, and for the diagram of 05_latent, doubt
beside observed 90 % quantile in ten bins, to OUT/reliability.csv.
"""
import argparse
import csv
from io import StringIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy.ndimage import uniform_filter
from tqdm.auto import tqdm

from deblur_vae import enhance
from deblur_vae.camera import CONDITIONS
from deblur_vae.enhance import METHODS, blur_of, enhance_pixels
from deblur_vae.evaluate import Scenes, degraded
from deblur_vae.latent import covered, reliability
from deblur_vae.model import write_beside

KEPT = 4000 # pixels of a picture that are kept, at random


def around(error: np.ndarray) -> np.ndarray: # [H,W] → the same
    "Mean error of the 80 pixels around each."
    return (81 * uniform_filter(error, 9) - error) / 80


def contrast(error: np.ndarray, doubt: np.ndarray) -> float:
    "Mean error of the tenth with the highest doubt over that of the lower half."
    order = np.argsort(doubt, kind='stable')
    low, high = order[:len(order) // 2], order[-len(order) // 10:]
    return error[high].mean() / error[low].mean()


def measured(folder: Path, samples: int, index: int, name: str) -> list[tuple]:
    "Method; errors, doubts and errors around, [n], of one picture in one condition."
    torch.set_num_threads(1), torch.set_flush_denormal(True)
    scene = Scenes(folder, samples)[index]
    blurry, sharp, _ = degraded(CONDITIONS[name], scene, (0, index))
    kept = np.random.default_rng(index).permutation(sharp[..., 0].size)[:KEPT]
    found, rows = blur_of(blurry), []
    for method in METHODS:
        with patch.object(enhance, 'blur_of', lambda *_: found):
            result, doubt = enhance_pixels(blurry, method, doubt=True)
        error = np.abs((result.astype(np.float32) - sharp).mean(2)) / 255
        maps = error, doubt, around(error)
        rows.append((method, *(values.ravel()[kept] for values in maps)))
    return rows


def table(rows: list[list]) -> bytes:
    "As a CSV."
    text = StringIO()
    csv.writer(text, lineterminator='\n').writerows(rows)
    return text.getvalue().encode()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folders', nargs=2, type=Path, metavar='FOLDER',
                        help='FACES, PHOTOS')
    parser.add_argument('--samples', type=int, default=60, help='of each folder')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/latent'))
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    conditions = [name for name in CONDITIONS if name != 'sharp'] # it stays as it is
    keys = [(kind, name, i) for kind in range(2) for name in conditions
            for i in range(args.samples)]
    jobs = (delayed(measured)(args.folders[kind], args.samples, i, name)
            for kind, name, i in keys)
    found: dict[tuple, list] = {}
    results = tqdm(Parallel(args.workers, return_as='generator')(jobs), total=len(keys))
    for (kind, name, _), rows in zip(keys, results):
        for method, *values in rows:
            key = method, ('faces', 'photographs')[kind], name
            found.setdefault(key, []).append(values)
    rows = [['method', 'pictures', 'condition', 'inside', 'contrast', 'most', 'doubt']]
    bins = [['method', 'pictures', 'doubt', 'observed']]
    for key, values in found.items():
        error, doubt, near = map(np.concatenate, zip(*values))
        rows.append([*key, f'{covered(error, doubt):.3f}',
                     f'{contrast(error, doubt):.1f}', f'{contrast(error, near):.1f}',
                     f'{255 * doubt.mean():.1f}'])
        print(*rows[-1])
    for method, kind in dict.fromkeys(key[:2] for key in found):
        parts = [part[:2] for key in found if key[:2] == (method, kind)
                 for part in found[key]]
        error, doubt = map(np.concatenate, zip(*parts))
        for width, quantile in reliability(error, doubt):
            bins.append([method, kind, f'{255 * width:.3f}', f'{255 * quantile:.3f}'])
    write_beside(args.out / 'doubt.csv', table(rows))
    write_beside(args.out / 'reliability.csv', table(bins))


if __name__ == '__main__': main()
