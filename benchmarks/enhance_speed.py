"""Seconds and memory of `enhance` for a face and for 512×512 pixels, by turns with
scikit-image's Richardson-Lucy (30 iterations, told the kernel), on pictures out of
focus with a true border.

    python benchmarks/enhance_speed.py [--rounds 7] [--large]

With --large also for 24 megapixels, without the rival, which would take many minutes.
Memory is the peak of a process of its own that does nothing else.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from skimage.data import astronaut
from skimage.restoration import richardson_lucy

from deblur_vae.camera import convolve, disc, inner
from deblur_vae.enhance import enhance

SIZES = {'face': (218, 178), '512×512': (512, 512)}
LARGE = 4000, 6000
ALONE = (
    'import re, sys, time, numpy as np; '
    'from deblur_vae.enhance import enhance; '
    'picture = np.load(sys.argv[1]); '
    'start = time.perf_counter(); '
    'enhance(picture); '
    'seconds = time.perf_counter() - start; '
    "print(seconds, int(re.search(r'VmHWM:\\s+(\\d+)', "  # ru_maxrss knows the parent's
    "open('/proc/self/status').read())[1]) / 1e6)")


def blurred(height: int, width: int) -> np.ndarray: # uint8 [H,W,3]
    "The astronaut, repeated as a mirror, out of focus."
    photo = astronaut()
    while min(photo.shape[0] - height, photo.shape[1] - width) < 32:
        photo = np.vstack([photo, photo[::-1]])
        photo = np.hstack([photo, photo[:, ::-1]])
    scene = torch.from_numpy(photo[:height + 32, :width + 32].copy())
    seen = inner(convolve(scene.permute(2, 0, 1) / 255, disc(3.0)), 16)
    return seen.mul(255).round().byte().permute(1, 2, 0).numpy()


def lucy(picture: np.ndarray) -> np.ndarray:
    "As a knowing user would: padded by reflection, floats of 32 bits."
    kernel, pad = disc(3.0).numpy(), ((8, 8), (8, 8), (0, 0))
    floats = np.pad((picture / 255).astype(np.float32), pad, 'reflect')
    return richardson_lucy(floats, kernel[:, :, None], 30)[8:-8, 8:-8]


def timed(call, *args) -> float:
    start = time.perf_counter()
    call(*args)
    return time.perf_counter() - start


def alone(picture: np.ndarray) -> tuple[float, float]: # seconds, GB
    "`enhance` in a process of its own."
    with tempfile.TemporaryDirectory() as folder:
        np.save(path := Path(folder) / 'picture.npy', picture)
        done = subprocess.run([sys.executable, '-c', ALONE, str(path)], check=True,
                              capture_output=True, text=True)
    return tuple(map(float, done.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--large', action='store_true',
                        help='24 megapixels, too: a minute')
    args = parser.parse_args()
    for name, size in SIZES.items():
        picture = blurred(*size)
        enhance(picture), lucy(picture)
        pairs = [(timed(enhance, picture), timed(lucy, picture))
                 for _ in range(args.rounds)]
        ours, theirs = map(median, zip(*pairs))
        print(f'{name}: enhance {ours:.2f} s, Richardson-Lucy {theirs:.2f} s, '
              f'ratio {theirs / ours:.1f}; peak {alone(picture)[1]:.2f} GB; '
              f'{torch.get_num_threads()} threads', flush=True)
    if args.large:
        seconds, peak = alone(blurred(*LARGE))
        print(f'24 megapixels: enhance {seconds:.1f} s, peak {peak:.2f} GB')


if __name__ == '__main__': main()
