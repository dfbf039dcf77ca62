"""Quality per second: the plain and the residual network, trained for the same wall
time from the same seed.

Validation PSNR against seconds of training (validation not counted), with the line of
doing nothing, into --out/time.svg.
"""
import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset

from deblur_vae.checkpoint import read_history
from deblur_vae.compute import choose_device
from deblur_vae.data import open_celeba, split
from deblur_vae.model import VAE_UNet
from deblur_vae.portraits import portraits
from deblur_vae.results import plot_time, psnr
from deblur_vae.store import open_store
from deblur_vae.train import train_vae_deblur


def train(name: str, loaders, args, device) -> list[dict]:
    """The history of a network that is trained until the time is up; an epoch is
    `--every` pictures."""
    torch.manual_seed(0)
    model = VAE_UNet(width=args.width, residual=name == 'residual')
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=(0.9, 0.95),
                                 fused=True)
    spent = 0.0

    def enough(entry):
        nonlocal spent
        spent += entry['train_seconds']
        gain = entry['val_psnr'] - entry['val_psnr_blurred']
        print(f"{name}: {spent:5.0f} s, {entry['val_psnr']:.2f} dB ({gain:+.2f})",
              flush=True)
        return spent > 60 * args.minutes

    train_vae_deblur(model, *loaders, optimizer, device, epochs=10**4, inferences=0,
                     log_dir=args.out / name, metrics=dict(psnr=psnr),
                     after_epoch=enough)
    return read_history(args.out / name)


def sets(args, device) -> tuple[Dataset, Dataset]:
    "Pictures to train on and to validate on, in stores."
    def stored(folder) -> Dataset:
        return open_store(open_celeba(folder, samples=None)).to(device)
    dataset = stored(args.data or portraits())
    return (dataset, stored(args.val_data)) if args.val_data else split(dataset)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--data', help='pictures of 178×218 (default: drawn portraits)')
    add('--val-data', help='others, to validate on')
    add('--out', type=Path, default=Path('runs/time_to_quality'))
    add('--device')
    add('--minutes', type=float, default=4, help='for each of the two')
    add('--every', type=int, default=640, help='pictures between validations')
    add('--width', type=int, default=16)
    add('--batch-size', type=int, default=4)
    add('--lr', type=float, default=5e-4)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    matplotlib.use('Agg')
    device = choose_device(args.device)
    train_set, val = sets(args, device)
    val_loader = DataLoader(Subset(val, range(min(80, len(val)))), args.batch_size)
    histories = {}
    for name in ('plain', 'residual'):
        generator = torch.Generator().manual_seed(0)
        some = RandomSampler(train_set, num_samples=args.every, generator=generator)
        loaders = DataLoader(train_set, args.batch_size, sampler=some), val_loader
        histories[name] = train(name, loaders, args, device)
    with plt.style.context('deblur_vae.house'):
        plot_time(histories).savefig(args.out / 'time.svg')
    nothing = histories['plain'][0]['val_psnr_blurred']
    for name, history in histories.items():
        seconds = sum(entry['train_seconds'] for entry in history)
        print(f"{name}: {history[-1]['val_psnr']:.2f} dB after {seconds:.0f} s "
              f'of training; doing nothing {nothing:.2f} dB')


if __name__ == '__main__': main()
