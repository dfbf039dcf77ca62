"""How far the post's own recipe gets on real faces, epoch by epoch.

First two runs, which may still be going on; a run that was stopped goes on if the same
command is given with --resume:

    deblur-vae train --data TRAIN --val-data HELD --val-samples 200 --resize \\
        --size 109 89 --epochs 240 --out RUNS/post
    deblur-vae train --data TRAIN --val-data HELD --val-samples 200 --resize \\
        --size 109 89 --residual --lr 5e-4 --cosine --epochs 4 --out RUNS/residual

Then this script, as often as there is news:

    python benchmarks/post_recipe.py RUNS/post RUNS/residual

It writes --out, a row an epoch for each run, named after its folder. Training validates
on blurry pictures that are not rounded to 8 bits, with a latent that is drawn. So the
last weights of each run are measured once more as a person would use them: the blurry
pictures in 8 bits, restored at the mean of the latent, and in 8 bits again ("rounded").
On the same pictures and blurs, in 8 bits: doing nothing, the blind filter of chapter
11, and the default of `enhance`. These three rows, and those of runs that are not named
this time, are kept from the last time; with --fresh all are measured again. No picture
is written anywhere.
"""
import argparse
import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from deblur_vae.checkpoint import dataset_fingerprint, read_history
from deblur_vae.cli import parse_filter
from deblur_vae.data import open_celeba
from deblur_vae.enhance import enhance
from deblur_vae.model import load_model, write_beside
from deblur_vae.results import score

NOTHING = 'doing nothing'
UNTRAINED = {NOTHING: lambda blurred: blurred,
             'blind filter': partial(enhance, method='classical'),
             'enhance': enhance} # name in the table → blurry to sharper pictures
COLUMNS = 'recipe', 'epoch', 'pictures', 'psnr', 'rounded'


def row(recipe: str, psnr: float, rounded: bool, epoch='', pictures='') -> dict:
    "A line of the table. What is not trained has no epoch and has seen no pictures."
    values = recipe, epoch, pictures, f'{psnr:.3f}', 'yes' if rounded else 'no'
    return dict(zip(COLUMNS, values))


def read_config(run: Path) -> dict: return json.loads((run / 'config.json').read_text())


def finished(run: Path) -> list[dict]:
    "What `run` has written down after each epoch that it has finished; may be nothing."
    return read_history(run) if (run / 'history.jsonl').exists() else []


def by_epoch(run: Path) -> list[dict]:
    "A row for each finished epoch, as training validates."
    seen = read_config(run)['train_data']['pictures']
    return [row(run.name, entry['val_psnr'], False, epoch, epoch * seen)
            for epoch, entry in enumerate(finished(run), 1)]


def validation_faces(config: dict) -> Dataset:
    "The pictures that a run validates on. `ValueError` if they are not the same."
    asked = config['arguments']
    steps = [transforms.Resize(asked['size'])] if asked['resize'] else []
    faces = open_celeba(asked['val_data'], transforms.Compose([*steps,
                                                               transforms.ToTensor()]),
                        filters=dict(map(parse_filter, asked['filter'])),
                        samples=asked['val_samples'], seed=config['seed'])
    if dataset_fingerprint(faces) != config['val_data']['fingerprint']:
        raise ValueError(f"{asked['val_data']}: not the pictures of the run")
    return faces


def mean_psnr(restore: Callable[[Tensor], Tensor], faces: Dataset, seed: int) -> float:
    "dB, with the blurs of the validation; blurred and restored pictures in 8 bits."
    return float(score(restore, DataLoader(faces, 8), seed=seed)['psnr'].mean())


def last_weights(run: Path, faces: Dataset, seed: int) -> list[dict]:
    "The row of the newest weights of `run`, measured in 8 bits, if there are any."
    made = by_epoch(run)[-1:]
    if not made: return []
    quality = mean_psnr(load_model(run / 'last.safetensors').restore, faces, seed)
    return [row(run.name, quality, True, made[0]['epoch'], made[0]['pictures'])]


def untrained(run: Path, faces: Dataset, seed: int, known: list[dict]) -> list[dict]:
    "Rows of what is not trained: those that are `known`, if they are complete."
    rows = [line for line in known
            if line['recipe'] in UNTRAINED and line['rounded'] == 'yes']
    if len(rows) < len(UNTRAINED):
        rows = [row(name, mean_psnr(method, faces, seed), True)
                for name, method in UNTRAINED.items()]
    return rows + [row(NOTHING, entry['val_psnr_blurred'], False)
                   for entry in finished(run)[:1]]


def read_table(path: Path) -> list[dict]:
    "The rows of the last time."
    if not path.exists(): return []
    with open(path, newline='') as file: return list(csv.DictReader(file))


def write_table(rows: list[dict], path: Path) -> None:
    "All `rows` to `path` as CSV, or none."
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator='\n')
    table.writeheader()
    table.writerows(rows)
    write_beside(path, text.getvalue().encode())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('runs', type=Path, nargs='+', metavar='RUN',
        help='folder of `deblur-vae train`')
    add('--out', type=Path, default=Path('benchmarks/post/by_epoch.csv'), metavar='CSV')
    add('--threads', type=int, default=1, help='of the processor (default: 1)')
    add('--fresh', action='store_true', help='keep nothing of the last time')
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    runs = [run for run in args.runs if (run / 'config.json').exists()]
    if not runs: raise SystemExit('none of these folders holds a run')
    configs = [read_config(run) for run in runs]
    if len({(c['val_data']['fingerprint'], c['seed']) for c in configs}) > 1:
        raise SystemExit('these runs were validated on different pictures or blurs')
    faces, seed = validation_faces(configs[0]), configs[0]['seed']
    known = [] if args.fresh else read_table(args.out)
    rows = untrained(runs[0], faces, seed, known)
    for run in runs: rows += by_epoch(run) + last_weights(run, faces, seed)
    made = {line['recipe'] for line in rows}
    rows += [line for line in known if line['recipe'] not in made]
    write_table(rows, args.out)
    for line in rows: print(*line.values(), sep='\t')


if __name__ == '__main__': main()
