"""Seconds and memory of `enhance` for a face, 512×512 and 24 megapixels, each by turns with scikit-image's Richardson-Lucy (30 iterations,
told the kernel), on pictures out of focus with a true border. `python benchmarks/enhance_speed.py [--rounds 7] [--large]`

Memory is the peak of a process of its own that does nothing else."""
import argparse
import subprocess
import sys
import time
from statistics import median

import numpy as np
import torch
from skimage.data import astronaut
from skimage.restoration import richardson_lucy

from deblur_vae.camera import convolve, disc, inner
from deblur_vae.enhance import enhance

SIZES = {'face': (218, 178), '512×512': (512, 512)}
LARGE = 4000, 6000
MEMORY = ('import resource, sys, numpy as np; from deblur_vae.enhance import enhance; '
          'enhance(np.load(sys.argv[1])); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)')


def blurred(height: int, width: int) -> np.ndarray: # uint8 [H,W,3]
    "The astronaut, repeated as a mirror, out of focus."
    photo = astronaut()
    while min(photo.shape[0] - height, photo.shape[1] - width) < 32:
        photo = np.vstack([photo, photo[::-1]])
        photo = np.hstack([photo, photo[:, ::-1]])
    scene = torch.from_numpy(photo[:height + 32, :width + 32].copy()).permute(2, 0, 1) / 255
    return inner(convolve(scene, disc(3.0)), 16).mul(255).round().byte().permute(1, 2, 0).numpy()


def lucy(picture: np.ndarray) -> np.ndarray:
    "As a knowing user would: padded by reflection, floats of 32 bits."
    kernel, pad = disc(3.0).numpy(), ((8, 8), (8, 8), (0, 0))
    floats = np.pad((picture / 255).astype(np.float32), pad, 'reflect')
    return richardson_lucy(floats, kernel[:, :, None], 30)[8:-8, 8:-8]


def timed(call, *args) -> float:
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--large', action='store_true', help='24 megapixels, too: once each, minutes')
    args = parser.parse_args()
    for name, size in SIZES.items() | ({'24 megapixels': LARGE}.items() if args.large else set()):
        picture, rounds = blurred(*size), 1 if size == LARGE else args.rounds
        if size != LARGE: enhance(picture), lucy(picture)
        pairs = [(timed(enhance, picture), timed(lucy, picture)) for _ in range(rounds)]
        ours, theirs = map(median, zip(*pairs))
        np.save('/tmp/enhance_speed.npy', picture)
        peak = subprocess.run([sys.executable, '-c', MEMORY, '/tmp/enhance_speed.npy'], check=True, capture_output=True, text=True)
        print(f'{name}: enhance {ours:.2f} s, Richardson-Lucy {theirs:.2f} s, ratio {theirs / ours:.1f}; '
              f'peak {float(peak.stdout):.2f} GB; {torch.get_num_threads()} threads', flush=True)


if __name__ == '__main__': main()
