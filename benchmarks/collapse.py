"""Does a skip kill the latent? Six networks: with and without, three weights.

All see the same small pictures, 80×64, blurred at that size with the blur of the post,
for as many steps. Then the latent of each is measured on pictures that were held out. A
row a network goes to --out/collapse-NAME.csv, the divergence of each latent number to
--out/kl-NAME.csv and, of drawn portraits alone, a sheet of pictures to
--out/sheet-SKIPS-WEIGHT.jpg. What the tables hold is not made again (but with --fresh):
stop the script at any time, and start it once more.
"""
import argparse
import csv
import io
from pathlib import Path

import numpy as np
import torch
from joblib import Parallel, delayed
from PIL import Image
from platformdirs import user_cache_path
from torch import Tensor
from tqdm.auto import tqdm

from deblur_vae.data import fixed_blur, list_pictures, read_picture, to_8bit
from deblur_vae.latent import (active_units, decode_at, fit_at_weight, kl_by_dimension,
                               posterior, probe)
from deblur_vae.model import VAE_UNet, sample_posterior, write_beside
from deblur_vae.portraits.character import character
from deblur_vae.portraits.dataset import draw_portrait, pose
from deblur_vae.results import psnr

SIZE = 80, 64  # height and width: half of 218 × 178, and less
HAIR = 'Black', 'Brown', 'Blond', 'Gray'
LATENT, WIDTH = 128, 16


def shrink(image: Image.Image) -> np.ndarray: # uint8 [80,64,3]
    "A picture of 218×178 at the size of the experiment."
    return np.asarray(image.resize(SIZE[::-1], Image.Resampling.BOX))


def draw(number: int) -> tuple[np.ndarray, list[float]]:
    "Portrait `number`, small, and what was drawn: hair, glasses, skin, turn."
    image, marks = draw_portrait(number)
    rng = np.random.default_rng([0, number])
    person, frame = character(rng), pose(rng)
    colour = [i for i, name in enumerate(HAIR) if marks[f'{name}_Hair'] == 1]
    facts = [*(colour or [-1]), float(person.glasses), person.tan, frame.yaw]
    return shrink(image), facts


def drawn_pictures(cache: Path, n: int, workers: int) -> tuple[Tensor, dict]:
    "`n` portraits, [n,3,80,64] in [0,1], and what they show; drawn once, into `cache`."
    file = cache / f'portraits-{n}.npz'
    if not file.exists():
        pool = Parallel(n_jobs=workers, return_as='generator', batch_size=16)
        jobs = pool(delayed(draw)(number) for number in range(1, n + 1))
        pictures, facts = zip(*tqdm(jobs, total=n, desc='drawing'))
        buffer = io.BytesIO()
        np.savez_compressed(buffer, pictures=np.stack(pictures), facts=np.array(facts))
        write_beside(file, buffer.getbuffer())
    with np.load(file) as content:
        pictures, facts = content['pictures'], content['facts']
    hair, glasses, skin, pose = torch.from_numpy(facts).T
    facts = dict(hair=hair.long(), glasses=glasses.long(), skin=skin, pose=pose)
    return to_batch(pictures), facts


def to_batch(pictures: np.ndarray) -> Tensor:
    "uint8 [n,80,64,3] to [n,3,80,64] in [0,1]."
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div(255)


def read_faces(folder: Path, n: int | None) -> Tensor: # [n,3,80,64] in [0,1]
    "The first `n` pictures of a folder, by name."
    files = tqdm(list_pictures(folder)[:n], desc='reading')
    return to_batch(np.stack([shrink(read_picture(folder / file)) for file in files]))


def nothing(train: Tensor, held: Tensor, blurred: Tensor) -> dict:
    "What the blurry pictures score, and the mean error of the best constant picture."
    constant = train.median(0).values
    return dict(blurred_psnr=f'{psnr(blurred, held).mean():.2f}',
                l1_blurred=f'{(blurred - held).abs().mean():.5f}',
                l1_constant=f'{(constant - held).abs().mean():.5f}')


def measure(model, train: Tensor, held: Tensor, facts: dict | None):
    "Numbers on the pictures `held`; the divergence of each latent number, sorted."
    generator = torch.Generator().manual_seed(0)
    blurred = to_8bit(fixed_blur(held, range(len(held)))[0])
    mu, logvar = posterior(model, blurred)
    z = sample_posterior(mu, logvar, generator)
    latents = dict(mean=mu, sample=z, zero=torch.zeros_like(mu), shuffled=mu.roll(1, 0))
    made = {name: decode_at(model, blurred, at) for name, at in latents.items()}
    kl = kl_by_dimension(mu, logvar)
    row = nothing(train, held, blurred)
    row |= {f'psnr_{name}': f'{psnr(x, held).mean():.2f}' for name, x in made.items()}
    row |= {f'l1_{name}': f'{(made[name] - held).abs().mean():.5f}'
            for name in ('mean', 'sample')}
    row |= dict(kl=f'{kl.sum():.2f}', active=int(active_units(mu).sum()))
    if facts: row |= read_off(model, train, mu, z, facts, generator)
    return row, [f'{value:.4f}' for value in kl.sort(descending=True).values.tolist()]


def read_off(model, train: Tensor, mu: Tensor, z: Tensor, facts, generator) -> dict:
    "Scores of a linear probe of what was drawn: from the mean, and from a sample."
    blurred = to_8bit(fixed_blur(train, range(len(train)), seed=1)[0])
    train_mu, train_logvar = posterior(model, blurred)
    train_z, scores = sample_posterior(train_mu, train_logvar, generator), {}
    for name, values in facts.items():
        known, new = values[:len(train)], values[len(train):]
        here, there = known >= 0, new >= 0
        if values.is_floating_point(): here, there = here | True, there | True
        for kind, a, b in (('mean', train_mu, mu), ('sample', train_z, z)):
            score = probe(a[here], known[here], b[there], new[there])
            scores[f'{name}_{kind}'] = f'{score:.3f}'
    return scores


def sheet(model: VAE_UNet, held: Tensor, path: Path, n: int = 6) -> None:
    "`n` columns: sharp, blurred, with z = mean, zero, another's mean, of the prior."
    blurred = to_8bit(fixed_blur(held, range(len(held)))[0])[:n]
    mu = posterior(model, blurred)[0]
    prior = torch.randn(mu.shape, generator=torch.Generator().manual_seed(1))
    latents = mu, torch.zeros_like(mu), mu.roll(1, 0), prior
    rows = [held[:n], blurred, *(decode_at(model, blurred, z) for z in latents)]
    grid = torch.cat([torch.cat(list(row), 2) for row in rows], 1)
    buffer = io.BytesIO()
    Image.fromarray(grid.mul(255).round().byte().permute(1, 2, 0).numpy()).save(
        buffer, 'JPEG', quality=93, subsampling=0)
    write_beside(path, buffer.getbuffer())


def read_rows(path: Path) -> list[dict]:
    "The rows of a table, none if there is none yet."
    if not path.exists(): return []
    with path.open(newline='') as file: return list(csv.DictReader(file))


def write_rows(path: Path, rows: list[dict]) -> None:
    "A table in the order of its cells, whole or not at all."
    keys = 'kl_weight', 'seed', 'steps', 'rank'
    order = lambda row: (row['skips'], *(float(row.get(key, 0)) for key in keys))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, max(rows, key=len), restval='', lineterminator='\n')
    writer.writeheader(), writer.writerows(sorted(rows, key=order))
    write_beside(path, buffer.getvalue().encode())


def cells(weights: list[float], steps: int) -> list[tuple]: # skips, weight, seed, steps
    "No training at all; every skip and weight; a second seed for the corners."
    main = [(skips, weight, 1, steps) for weight in weights for skips in ('no', 'yes')]
    corners = [cell[:2] + (2, steps) for cell in main if cell[1] in (0, 1)]
    return [('no', 0, 1, 0), *main, *corners]


def run_cell(cell: tuple, name: str, train: Tensor, held: Tensor, facts, args):
    "Train one network: its row, and a row for each of its latent numbers."
    skips, weight, seed, steps = cell
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = VAE_UNet(LATENT, SIZE, WIDTH, skips=skips == 'yes')
    if steps: fit_at_weight(model, train, steps, weight, seed)
    key = dict(data=name, skips=skips, kl_weight=f'{weight:g}', seed=seed, steps=steps)
    row, kl = measure(model, train, held, facts)
    if facts and steps and seed == 1:
        sheet(model, held, args.out / f'sheet-{skips}-{weight:g}.jpg')
    return key | row, [key | dict(rank=i + 1, kl=value) for i, value in enumerate(kl)]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add, cache = parser.add_argument, user_cache_path('deblur_vae') / 'collapse'
    add('--faces', type=Path, help='a folder of faces of 178×218 (default: portraits)')
    add('--held', type=Path, help='400 others to measure on (default: last of --faces)')
    add('--out', type=Path, default=Path('benchmarks/latent'))
    add('--cache', type=Path, default=cache, help='where drawn portraits are kept')
    add('--steps', type=int, default=1600, help='of 16 pictures, for each network')
    add('--train', type=int, default=3000, help='portraits to train on')
    add('--weights', type=float, nargs='+', default=[1, 0, 0.02], help='of the KL')
    add('--threads', type=int, default=1)
    add('--fresh', action='store_true', help='make again what is there')
    return parser.parse_args()


def pictures(args) -> tuple[Tensor, Tensor, dict | None]: # to train on, held out, facts
    "What the arguments ask for; `facts` of portraits alone."
    if not args.faces:
        everyone, facts = drawn_pictures(args.cache, args.train + 400, args.threads)
        return everyone[:args.train], everyone[args.train:], facts
    train = read_faces(args.faces, None)
    if args.held: return train, read_faces(args.held, 400), None
    return train[:-400], train[-400:], None


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    name = 'faces' if args.faces else 'portraits'
    train, held, facts = pictures(args)
    tables = [args.out / f'{table}-{name}.csv' for table in ('collapse', 'kl')]
    rows, kls = ([], []) if args.fresh else map(read_rows, tables)
    done = {(row['skips'], row['kl_weight'], row['seed'], row['steps']) for row in rows}
    for cell in tqdm(cells(args.weights, args.steps), desc=name):
        if (cell[0], f'{cell[1]:g}', *map(str, cell[2:])) in done: continue
        row, kl = run_cell(cell, name, train, held, facts, args)
        rows, kls = rows + [row], kls + kl
        write_rows(tables[1], kls), write_rows(tables[0], rows)
        tqdm.write(', '.join(f'{key} {value}' for key, value in row.items()))


if __name__ == '__main__':
    main()
