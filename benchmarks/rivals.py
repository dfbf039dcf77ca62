"""What a person would use instead, in the table of `deblur-vae evaluate`.

    python benchmarks/rivals.py --data FOLDER --samples N --out DIR

Each rival has one fixed setting for all pictures, the best on training pictures. To
find it again: `python benchmarks/rivals.py --tune FACES PHOTOS`.

The two of scikit-image are told the kernel that blurred the picture; nobody else is.
What is not installed is named and left out (apt-get install imagemagick gmic
rawtherapee). Seconds are those of the whole command, with its start and two small PNG
files, as a script would call it. A second start with the same --out measures only what
is missing.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from joblib import Parallel, delayed
from PIL import Image, ImageFilter
from skimage.restoration import richardson_lucy, wiener

from deblur_vae import camera
from deblur_vae.camera import CONDITIONS
from deblur_vae.classical import plane_by_plane
from deblur_vae.enhance import METHODS
from deblur_vae.evaluate import BLURRED, OURS, Scenes, degraded, evaluate, write_report

IMAGEMAGICK = ('magick', 'convert-im6.q16', 'convert')
PROFILE = """[Version]
AppVersion=5.9
Version=349
[Sharpening]
Enabled=true
Contrast=0
Method=rld
DeconvRadius={radius}
DeconvAmount={amount}
DeconvDamping={damping}
DeconvIterations={iterations}
"""


def pillow(pixels: np.ndarray, kernel, radius: float, percent: int) -> np.ndarray:
    "Pillow's unsharp mask; `radius` is the standard deviation of its blur, pixels."
    blur = ImageFilter.UnsharpMask(radius, percent, 0)
    return np.array(Image.fromarray(pixels).filter(blur))


def by_program(pixels: np.ndarray, command: Callable[[Path], list]) -> np.ndarray:
    "What a program makes of in.png in a folder of its own: its out.png."
    with TemporaryDirectory(prefix='rivals-') as name:
        folder = Path(name)
        Image.fromarray(pixels).save(folder / 'in.png', compress_level=1)
        env = dict(RT_SETTINGS=f'{name}/settings', RT_CACHE=f'{name}/cache')
        done = subprocess.run(list(map(str, command(folder))), env=os.environ | env,
                              capture_output=True, text=True, errors='replace',
                              timeout=600)
        if done.returncode or not (folder / 'out.png').exists():
            said = ' '.join((done.stderr or done.stdout).split())[-200:]
            raise RuntimeError(f'exit {done.returncode}: {said}')
        with Image.open(folder / 'out.png') as out: return np.array(out.convert('RGB'))


def imagemagick(pixels: np.ndarray, kernel, sigma: float, amount: float) -> np.ndarray:
    "ImageMagick's unsharp mask."
    program = next(filter(shutil.which, IMAGEMAGICK))
    return by_program(pixels, lambda folder: [
        program, folder / 'in.png', '-unsharp', f'0x{sigma}+{amount}+0',
        f'PNG24:{folder}/out.png'])


def gmic(pixels: np.ndarray, kernel, sigma: float, iterations: int) -> np.ndarray:
    "G'MIC's Richardson-Lucy, for a Gaussian blur of `sigma` pixels."
    return by_program(pixels, lambda folder: [
        'gmic', folder / 'in.png', '-deblur_richardsonlucy', f'{sigma},{iterations},1',
        '-cut', '0,255', '-output', folder / 'out.png'])


def rawtherapee(pixels: np.ndarray, kernel, **settings) -> np.ndarray:
    "RawTherapee's Richardson-Lucy on lightness, nothing else in the profile."
    def command(folder: Path) -> list:
        (folder / 'rl.pp3').write_text(PROFILE.format(**settings))
        return ['rawtherapee-cli', '-q', '-a', '-Y', '-n', '-b8',
                '-p', folder / 'rl.pp3', '-o', folder / 'out.png',
                '-c', folder / 'in.png']
    return by_program(pixels, command)


def skimage_wiener(pixels: np.ndarray, kernel, balance: float) -> np.ndarray:
    "scikit-image's Wiener filter, told the kernel, with a mirrored margin."
    return plane_by_plane(lambda x: wiener(x, kernel, balance), pixels)


def skimage_rl(pixels: np.ndarray, kernel, iterations: int) -> np.ndarray:
    "scikit-image's Richardson-Lucy, told the kernel, with a mirrored margin."
    return plane_by_plane(lambda x: richardson_lucy(x, kernel, iterations), pixels)


@dataclass(frozen=True)
class Rival:
    "Something else that undoes a blur."
    call: Callable[..., np.ndarray] # (pixels, kernel, **settings) → pixels
    settings: dict # the best, found by --tune
    grid: dict[str, Sequence] # what --tune tries
    package: str # of Debian, or of PyPI if there is no program
    programs: tuple[str, ...] = () # names to look for


# Settings: highest mean PSNR over 4 photographs of faces and 4 of other things, under
# every condition but `sharp`: --tune faces/train photos/train --samples 8 (of
# shared/data). From a guess, the search goes a step in one or two parameters, while
# that helps.
RIVALS = {
    'Pillow': Rival(
        pillow, dict(radius=2.5, percent=100),
        dict(radius=(1, 1.5, 2, 2.5, 3, 4), percent=(50, 75, 100, 150, 200, 300)),
        'pillow'),
    'ImageMagick': Rival(
        imagemagick, dict(sigma=2.5, amount=1),
        dict(sigma=(1, 1.5, 2, 2.5, 3, 4), amount=(0.5, 0.75, 1, 1.5, 2, 3)),
        'imagemagick', IMAGEMAGICK),
    "G'MIC RL": Rival(
        gmic, dict(sigma=1.75, iterations=10),
        dict(sigma=(1, 1.25, 1.5, 1.75, 2, 2.5), iterations=(5, 10, 15, 20, 30)),
        'gmic', ('gmic',)),
    'RawTherapee': Rival(
        rawtherapee, dict(radius=1.5, amount=100, damping=0, iterations=10),
        dict(radius=(1, 1.25, 1.5, 1.75, 2), amount=(60, 80, 100), damping=(0, 20),
             iterations=(5, 10, 20, 30)), 'rawtherapee', ('rawtherapee-cli',)),
    'Wiener (told)': Rival(
        skimage_wiener, dict(balance=0.01),
        dict(balance=(1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3)), 'scikit-image'),
    'RL (told)': Rival(
        skimage_rl, dict(iterations=50),
        dict(iterations=(5, 7, 10, 15, 20, 30, 50, 75, 100)), 'scikit-image'),
}
WITHOUT = 'OpenCV: left out, it has no function that undoes a blur'


@cache
def version_of(name: str) -> str | None:
    "Version of a rival's program or package; None if it is not installed."
    rival = RIVALS[name]
    if not rival.programs: return version(rival.package)
    program = next(filter(shutil.which, rival.programs), None)
    if program is None: return None
    done = subprocess.run([program, '-version'], capture_output=True, text=True,
                          errors='replace')
    pattern = r'[Vv]ersion:?\s+(?:ImageMagick\s+)?(\d[\w.-]*)'
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1].rstrip('.') if found else 'unknown'


def describe() -> list[str]:
    "A line for each rival: program, version and settings, or that it is missing."
    lines = []
    for name, rival in RIVALS.items():
        if version_of(name):
            settings = ', '.join(f'{key} {v:g}' for key, v in rival.settings.items())
            lines.append(f'{name}: {rival.package} {version_of(name)}; {settings}')
        else: lines.append(f'{name}: not installed (apt-get install {rival.package})')
    return [*lines, WITHOUT]


def psnr(x: np.ndarray, y: np.ndarray) -> float:
    "Of two pictures in bytes, dB."
    return -10 * np.log10(max(1e-10, np.square((x.astype(float) - y) / 255).mean()))


def mean_psnr(call: Callable, shots: list[tuple], workers: int) -> float:
    "Of what `call` makes of each of (blurry, sharp, kernel)."
    def one(blurry, sharp, kernel): return psnr(call(blurry, kernel), sharp)
    return float(np.mean(Parallel(workers)(delayed(one)(*shot) for shot in shots)))


def steps(settings: tuple, grid: dict[str, Sequence]) -> list[tuple]:
    "The settings, and those one step away in the grid in one or two parameters."
    place = [values.index(value) for value, values in zip(settings, grid.values())]
    near = []
    for step in product((0, 1, -1), repeat=len(grid)):
        if sum(map(abs, step)) > 2: continue
        moved = [i + s for i, s in zip(place, step)]
        if all(0 <= i < len(values) for i, values in zip(moved, grid.values())):
            near.append(tuple(values[i] for i, values in zip(moved, grid.values())))
    return near


def tune(folders: list[str], samples: int, workers: int, names: list[str]) -> None:
    "Prints the best settings on pictures of all folders together."
    each = samples // len(folders)
    scenes = [scene for folder in folders for scene in Scenes(folder, each)]
    shots = [(blurry, sharp, shot.kernel.numpy())
             for name, how in CONDITIONS.items() if name != 'sharp'
             for i, scene in enumerate(scenes)
             for blurry, sharp, shot in [degraded(how, scene, (0, i))]]
    before = np.mean([psnr(blurry, sharp) for blurry, sharp, _ in shots])
    print(f'{len(scenes)} pictures, blurred: {before:.2f} dB', flush=True)
    for name in filter(version_of, names):
        rival, best, tried = RIVALS[name], None, {}
        found = tuple(rival.settings.values())
        while found != best:
            best = found
            for near in steps(best, rival.grid):
                if near in tried: continue
                call = partial(rival.call, **dict(zip(rival.grid, near)))
                tried[near] = mean_psnr(call, shots, workers)
            found = max(tried, key=tried.get)
        best = dict(zip(rival.grid, best))
        print(f'{name}: {best}, {max(tried.values()):.2f} dB, of {len(tried)} settings',
              flush=True)


def compare(
    folder: str,
    samples: int | None,
    out: Path,
    ours: list[str], # names of `OURS`
    names: list[str], # of `RIVALS`
    **options, # of `evaluate`
) -> str:
    "The tables of rivals, and of ours beside them, for a terminal. Files go to `out`."
    # the rows of the rivals stay good when the package changes, if its camera does not
    digest = hashlib.sha256(Path(camera.__file__).read_bytes()).hexdigest()
    calls, stamps = {name: OURS[name] for name in ours}, {}
    for name, rival in RIVALS.items():
        if name not in names or not version_of(name): continue
        calls[name] = partial(rival.call, **rival.settings)
        stamps[name] = json.dumps([digest, rival.settings, version_of(name)])
    scores = evaluate(calls, Scenes(folder, samples), journal=out / 'rivals.jsonl',
                      stamps=stamps, **options)
    text = write_report(scores, out, (BLURRED, *ours[:1]))
    with open(out / 'evaluation.md', 'a', encoding='utf-8') as file:
        file.write('\n' + '\n'.join(f'- {line}' for line in describe()) + '\n')
    return text


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--data', metavar='FOLDER', help='pictures to measure on')
    add('--samples', type=int, metavar='N', help='so many of them (default: all)')
    add('--out', type=Path, default=Path('evaluation/rivals'), metavar='DIR',
        help='folder of the tables (default: evaluation/rivals)')
    add('--ours', nargs='*', default=[name for name in OURS if name in METHODS],
        choices=list(OURS), metavar='NAME',
        help='methods of this package beside them (default: those that are blind)')
    add('--only', nargs='+', default=list(RIVALS), choices=list(RIVALS), metavar='NAME',
        help=f'of {", ".join(RIVALS)} (default: all)')
    add('--workers', type=int, default=1, help='processes (default: 1)')
    add('--seed', type=int, default=0, help='of blurs and noise (default: 0)')
    add('--tune', nargs='+', metavar='FOLDER', help='training pictures')
    args = parser.parse_args()
    if bool(args.tune) == bool(args.data): parser.error('give --data or --tune')
    print('\n'.join(describe()), flush=True)
    if args.tune: return tune(args.tune, args.samples or 24, args.workers, args.only)
    print(compare(args.data, args.samples, args.out, args.ours, args.only,
                  seed=args.seed, workers=args.workers))


if __name__ == '__main__': sys.exit(main())
