"""The default of `enhance()` on the pictures and blurs of ../shared/reference/true_border.py, beside its closed form.

`python benchmarks/reference_pictures.py [--pictures 16] [--method restore]`: for faces/val and photos/val with a true border (16 pixels cut), PSNR in dB
of the blurry picture, of `enhance()` blind and told the kernel, and how many pictures were made worse by more than 0.05 dB."""
import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from deblur_vae.enhance import METHODS, enhance

REFERENCE = Path(__file__).resolve().parents[2] / 'shared' / 'reference'
CONDITIONS = (('post', 0, None), ('wide', 0, None), ('disc', 0, None), ('post', 0.01, None), ('post', 0, 75), ('disc', 0, 90), ('motion', 0, None))


def kernels(reference, family: str, pictures: list, noise: float) -> list[np.ndarray]:
    "The kernels that `seen` draws, in its order."
    rng, found = np.random.default_rng(0), []
    for picture in pictures:
        found.append(reference.kernel(family, rng))
        if noise: rng.normal(0, 1, (picture.shape[0] - 32, picture.shape[1] - 32, 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--pictures', type=int, default=16)
    parser.add_argument('--method', choices=METHODS, default=METHODS[0])
    parser.add_argument('--weights', help='of the network, instead of those that come with the package')
    parser.add_argument('--untold', action='store_true', help='leave out what takes the kernel: half of the time')
    args = parser.parse_args()
    if not REFERENCE.is_dir(): sys.exit(f'{REFERENCE} is not there: the pictures are not part of this repository')
    sys.path.insert(0, str(REFERENCE))
    import true_border as reference
    from PIL import Image
    for folder in ('faces', 'photos'):
        files = sorted((REFERENCE.parent / 'data' / folder / 'val').glob('*.jpg'))
        pictures = [np.asarray(Image.open(f).convert('RGB')) for f in files[::max(1, len(files) // args.pictures)][:args.pictures]]
        for family, noise, quality in CONDITIONS:
            blurry, sharp = reference.seen(pictures, 16, family, noise, quality)
            sharpen = partial(enhance, method=args.method, weights=args.weights)
            blind = told = [sharpen(y) for y in blurry]
            if not args.untold:
                told = [sharpen(y, kernel=torch.from_numpy(k)) for y, k in zip(blurry, kernels(reference, family, pictures, noise))]
            rows = [reference.each_psnr(made, sharp) for made in (blurry, blind, told)]
            means, gain = [row.mean() for row in rows], rows[1] - rows[0]
            print(f'{folder:7}{family:7} noise {noise:<5} JPEG {quality!s:5} blurry {means[0]:.2f}  enhance {means[1]:.2f}  '
                  f'told {means[2]:.2f}  worst gain {gain.min():+.2f}  made worse {(gain < -0.05).sum()}/{len(gain)}', flush=True)


if __name__ == '__main__': main()
