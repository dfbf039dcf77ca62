"""Quality per second: the plain and the residual network, trained for the same wall time from the same seed.

Validation PSNR against seconds of training (validation not counted), with the line of doing nothing, into --out/time.svg.
"""
import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import torch
from torch.utils.data import DataLoader, RandomSampler, Subset

from deblur_vae.checkpoint import read_history
from deblur_vae.compute import choose_device
from deblur_vae.data import open_celeba, split
from deblur_vae.model import VAE_UNet
from deblur_vae.portraits import portraits
from deblur_vae.results import plot_time, psnr
from deblur_vae.store import open_store
from deblur_vae.train import train_vae_deblur


def train(name: str, loaders, args, device) -> list[dict]:
    "The history of a network that is trained until the time is up; an epoch is `--every` pictures."
    torch.manual_seed(0)
    model = VAE_UNet(width=args.width, residual=name == 'residual')
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, betas=(0.9, 0.95), fused=True)
    spent = 0.0

    def enough(entry):
        nonlocal spent
        spent += entry['train_seconds']
        gain = entry['val_psnr'] - entry['val_psnr_blurred']
        print(f"{name}: {spent:5.0f} s, {entry['val_psnr']:.2f} dB ({gain:+.2f})", flush=True)
        return spent > 60 * args.minutes

    train_vae_deblur(model, *loaders, optimizer, device, epochs=10**4, inferences=0, log_dir=args.out / name, metrics=dict(psnr=psnr),
                     after_epoch=enough)
    return read_history(args.out / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', help='pictures of 178×218 (default: drawn portraits)')
    parser.add_argument('--val-data', help='others, to validate on')
    parser.add_argument('--out', type=Path, default=Path('runs/time_to_quality'))
    parser.add_argument('--device')
    parser.add_argument('--minutes', type=float, default=4, help='for each of the two')
    parser.add_argument('--every', type=int, default=640, help='pictures between validations')
    parser.add_argument('--width', type=int, default=16)
    parser.add_argument('--batch-size', type=int, default=4)
    parser.add_argument('--lr', type=float, default=5e-4)
    args = parser.parse_args()
    matplotlib.use('Agg')
    device = choose_device(args.device)
    dataset = open_store(open_celeba(args.data or portraits(), samples=None)).to(device)
    train_set, val = (dataset, open_store(open_celeba(args.val_data, samples=None)).to(device)) if args.val_data else split(dataset)
    val_loader = DataLoader(Subset(val, range(min(80, len(val)))), args.batch_size)
    histories = {}
    for name in ('plain', 'residual'):
        some = RandomSampler(train_set, num_samples=args.every, generator=torch.Generator().manual_seed(0))
        histories[name] = train(name, (DataLoader(train_set, args.batch_size, sampler=some), val_loader), args, device)
    with plt.style.context('deblur_vae.house'): plot_time(histories).savefig(args.out / 'time.svg')
    nothing = histories['plain'][0]['val_psnr_blurred']
    for name, history in histories.items():
        print(f"{name}: {history[-1]['val_psnr']:.2f} dB after {sum(e['train_seconds'] for e in history):.0f} s of training; doing nothing {nothing:.2f} dB")


if __name__ == '__main__': main()
