"""Measures what `deblur_vae/weights/spectra.safetensors` holds, the spectra of sharp
pictures:

    python tools/fit_spectra.py FACES PHOTOS [--out FILE] [--faces N] [--photos N]

FACES and PHOTOS are folders of sharp pictures, e.g. ../shared/data/faces/train and
../shared/data/photos/train; what was shipped is not overwritten unless --out names it.
Two minutes on one core. Signs of the components are arbitrary."""
import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from deblur_vae.classical import (
    DENSE, KINDS, NODES, POPULATIONS, Population, cells_of, fit_population, pieces)
from deblur_vae.data import list_pictures, opponent, read_picture, to_tensor


def some(folder: Path, count: int) -> list[Tensor]:
    "`count` pictures of a folder, spread evenly over it, or all there are."
    files = list_pictures(folder)
    step = max(1, len(files) // count)
    return [to_tensor(read_picture(folder / name)) for name in files[::step][:count]]


@torch.no_grad()
def fit_chroma(pictures: list[Tensor]) -> Tensor: # [2,N]
    "Log power of colour differences over grey's around `NODES`: the median picture."
    cells, found = cells_of(DENSE), []
    nearest = torch.bucketize(cells.log_r, (NODES[1:] + NODES[:-1]) / 2)
    for x in pictures:
        rings = torch.zeros(3, len(NODES))
        for ring, colour in zip(rings, opponent(x)):
            power, count = cells.means(pieces(colour))
            ring.index_add_(0, nearest, power * count)
        found.append((rings[1:] / rings[0].clamp(min=1e-20)).clamp(min=1e-9).log())
    return torch.stack(found).median(0).values


def measure(faces: list[Tensor], photos: list[Tensor]) -> dict[str, Tensor]:
    "What the file holds; colours are measured on as many faces as photographs."
    few = min(len(faces), len(photos))
    both = faces[::len(faces) // few][:few] + photos[::len(photos) // few][:few]
    found = {'nodes': NODES.exp(), 'chroma': fit_chroma(both)}
    for kind, pictures in zip(KINDS, (faces, photos)):
        population = fit_population(pictures)._asdict()
        found |= {f'{kind}.{part}': value for part, value in population.items()}
    return {name: value.contiguous() for name, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('folder_of_faces', type=Path, metavar='FACES')
    add('folder_of_photos', type=Path, metavar='PHOTOS')
    add('--out', type=Path, default=Path('spectra.safetensors'))
    add('--faces', type=int, default=400, metavar='N')
    add('--photos', type=int, default=200, metavar='N')
    args = parser.parse_args()
    faces = some(args.folder_of_faces, args.faces)
    found = measure(faces, some(args.folder_of_photos, args.photos))
    save_file(found, args.out)
    for kind, shipped in zip(KINDS, POPULATIONS):
        now = Population(*(found[f'{kind}.{part}'] for part in Population._fields))
        covariance, before = (p.components.T @ p.components for p in (now, shipped))
        off = (now.mean - shipped.mean).abs().max()
        changed = 100 * (covariance - before).norm() / before.norm()
        print(f'{kind}: mean off by {off:.2f} nats at most, covariance by '
              f'{changed:.0f} %, against what was shipped')
    print(args.out)


if __name__ == '__main__': main()
