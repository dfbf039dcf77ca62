"""Seconds for a 512×512 photograph: each method of `enhance` and scikit-image's Richardson-Lucy with 30 iterations, by turns.

Last line: how many times faster the default method is. A cold start of the command is timed as well, with all that it loads."""
import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from skimage.data import astronaut
from skimage.restoration import richardson_lucy

from deblur_vae.data import gaussian_blur, gaussian_kernel
from deblur_vae.enhance import METHODS, enhance

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--rounds', type=int, default=7)
args = parser.parse_args()

k, sigma = torch.tensor([11]), torch.tensor([2.0])
sharp = torch.from_numpy(astronaut().copy()).permute(2, 0, 1)[None] / 255
picture = gaussian_blur(sharp, k, sigma)[0].mul(255).round().byte().permute(1, 2, 0).numpy()
line = gaussian_kernel(k, sigma)[0].numpy()
kernel = np.outer(line, line)[:, :, None]
floats = (picture / 255).astype(np.float32)


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


calls = {method: lambda method=method: enhance(picture, method=method, device='cpu') for method in METHODS}
calls['Richardson-Lucy'] = lambda: richardson_lucy(floats, kernel, 30)
for call in calls.values(): call()
seconds = {name: [] for name in calls}
for _ in range(args.rounds):
    for name, call in calls.items(): seconds[name].append(timed(call))
for name, values in seconds.items(): print(f'{name:16} {median(values):6.2f} s a 512×512 picture, median of {args.rounds}')

with tempfile.TemporaryDirectory() as folder:
    source = Path(folder) / 'blurred.png'
    Image.fromarray(picture).save(source)
    command = [sys.executable, '-m', 'deblur_vae.cli', 'enhance', str(source), '--device', 'cpu', '--force']
    starts = [timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(5)]
    print(f'{"cold start":16} {median(starts):6.2f} s for the whole command, median of 5')
print(f"ratio: {median(seconds['Richardson-Lucy']) / median(seconds[METHODS[0]]):.2f}")
