"""The default of `enhance()` on the pictures and blurs of
../shared/reference/true_border.py, beside its closed form.

    python benchmarks/reference_pictures.py [--pictures 16] [--method restore]

For faces/val and photos/val with a true border (16 pixels cut), PSNR in dB of the
blurry picture, of `enhance()` blind and told the kernel, and how many pictures were
made worse by more than 0.05 dB.
"""
import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from deblur_vae.enhance import METHODS, enhance

REFERENCE = Path(__file__).resolve().parents[2] / 'shared' / 'reference'
CUT = 16  # pixels at each side
CONDITIONS = (  # family of the blur, noise, quality of the JPEG
    ('post', 0, None), ('wide', 0, None), ('disc', 0, None), ('post', 0.01, None),
    ('post', 0, 75), ('disc', 0, 90), ('motion', 0, None))


def kernels(reference, family: str, pictures: list, noise: float) -> list[np.ndarray]:
    "The kernels that `seen` draws, in its order."
    rng, found = np.random.default_rng(0), []
    for picture in pictures:
        found.append(reference.kernel(family, rng))
        height, width = (side - 2 * CUT for side in picture.shape[:2])
        if noise: rng.normal(0, 1, (height, width, 3))
    return found


def some(folder: str, count: int) -> list[np.ndarray]:
    "About `count` pictures of a validation folder, spread evenly over it."
    files = sorted((REFERENCE.parent / 'data' / folder / 'val').glob('*.jpg'))
    step = max(1, len(files) // count)
    return [np.asarray(Image.open(file).convert('RGB'))
            for file in files[::step][:count]]


def compare(reference, pictures: list, condition: tuple, sharpen, told: bool) -> str:
    "A line for a condition: what is gained blind and, if asked for, told the kernel."
    family, noise, quality = condition
    blurry, sharp = reference.seen(pictures, CUT, family, noise, quality)
    blind = best = [sharpen(y) for y in blurry]
    if told:
        known = kernels(reference, family, pictures, noise)
        best = [sharpen(y, kernel=torch.from_numpy(k)) for y, k in zip(blurry, known)]
    rows = [reference.each_psnr(made, sharp) for made in (blurry, blind, best)]
    before, after, at_best = (row.mean() for row in rows)
    gain = rows[1] - rows[0]
    return (f'{family:7} noise {noise:<5} JPEG {quality!s:5} blurry {before:.2f}  '
            f'enhance {after:.2f}  told {at_best:.2f}  worst gain {gain.min():+.2f}  '
            f'made worse {(gain < -0.05).sum()}/{len(gain)}')


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pictures', type=int, default=16)
    parser.add_argument('--method', choices=METHODS, default=METHODS[0])
    parser.add_argument('--weights', help='of the network, instead of those that come '
                                          'with the package')
    parser.add_argument('--untold', action='store_true',
                        help='leave out what takes the kernel: half of the time')
    args = parser.parse_args()
    if not REFERENCE.is_dir(): sys.exit(f'{REFERENCE} is not there: '
                                        'the pictures are not part of this repository')
    sys.path.insert(0, str(REFERENCE))
    import true_border as reference
    sharpen = partial(enhance, method=args.method, weights=args.weights)
    for folder in ('faces', 'photos'):
        pictures = some(folder, args.pictures)
        for condition in CONDITIONS:
            line = compare(reference, pictures, condition, sharpen, not args.untold)
            print(f'{folder:7}{line}', flush=True)


if __name__ == '__main__': main()
