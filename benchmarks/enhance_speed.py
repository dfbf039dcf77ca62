"""Seconds and memory of `enhance` for a face and for 512×512 pixels, with and without
its doubt, by turns with scikit-image's Richardson-Lucy (30 iterations, told the
kernel), on pictures out of focus with a true border.

    python benchmarks/enhance_speed.py [--rounds 7] [--large]

With --large also for 24 megapixels, without the rival, which would take many minutes.
Memory is the peak of a process of its own that does nothing else.
"""
import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
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
ALONE = """
import re, sys, time, numpy as np
from deblur_vae.enhance import enhance
picture, doubt = np.load(sys.argv[1]), sys.argv[2] == 'True'
start = time.perf_counter()
enhance(picture, doubt=doubt)
seconds = time.perf_counter() - start
peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]
print(seconds, int(peak) / 1e6)
""" # ru_maxrss knows the parent's


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


def alone(picture: np.ndarray, doubt: bool = False) -> tuple[float, float]: # s, GB
    "`enhance` in a process of its own."
    with tempfile.TemporaryDirectory() as folder:
        np.save(path := Path(folder) / 'picture.npy', picture)
        done = subprocess.run([sys.executable, '-c', ALONE, str(path), str(doubt)],
                              check=True, capture_output=True, text=True)
    return tuple(map(float, done.stdout.split()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=7)
    parser.add_argument('--large', action='store_true', help='24 megapixels: 2 minutes')
    args = parser.parse_args()
    calls = [enhance, partial(enhance, doubt=True), lucy]
    for name, size in SIZES.items():
        picture = blurred(*size)
        for call in calls: call(picture)
        rows = [[timed(call, picture) for call in calls] for _ in range(args.rounds)]
        ours, unsure, theirs = map(median, zip(*rows))
        peak, more = (alone(picture, doubt)[1] for doubt in (False, True))
        print(f'{name}: enhance {ours:.2f} s, Richardson-Lucy {theirs:.2f} s, '
              f'ratio {theirs / ours:.1f}; peak {peak:.2f} GB; '
              f'with doubt {unsure / ours:.3f} times the time, peak {more:.2f} GB; '
              f'{torch.get_num_threads()} threads', flush=True)
    if args.large:
        for doubt in (False, True):
            seconds, peak = alone(blurred(*LARGE), doubt)
            print(f'24 megapixels{", doubt" * doubt}: {seconds:.1f} s, {peak:.2f} GB',
                  flush=True)


if __name__ == '__main__': main()
