"""The whole recipe of the post, 240 epochs of 12,000 pictures in batches of 32: how long, from a few timed epochs.

The pictures of --data are repeated to that number. Prints throughput, peak memory, the share of what a large matrix
product reaches (29.5 PFLOP are to be done in all), and the literal recipe's time beside it. With --full it is then
run, plain and residual, into --out: history.jsonl, config.json and weights come back, pictures do not.
"""
import argparse
import itertools
import resource
import time
from pathlib import Path

import torch
from literal import literal_step
from torch.utils.data import DataLoader, Subset

from deblur_vae.checkpoint import read_history
from deblur_vae.compute import (choose_device, describe_machine, keep_memory,
                                make_accelerator, make_loaders)
from deblur_vae.data import open_celeba
from deblur_vae.model import VAE_UNet
from deblur_vae.results import plot_time, psnr, ssim
from deblur_vae.store import open_store
from deblur_vae.train import Recipe, Run, train_epoch, train_vae_deblur

PICTURES, EPOCHS, GFLOP = 12_000, 240, 10.2


def repeated(dataset, n: int) -> Subset: return Subset(dataset, [i % len(dataset) for i in range(n)])


def product_speed(device: torch.device, dtype: torch.dtype) -> float:
    "TFLOP/s of a large matrix product: what a convolution could reach at best."
    n, times = 8192 if device.type == 'cuda' else 1024, []
    a = torch.rand(n, n, device=device).to(dtype)
    for _ in range(5):
        start = time.perf_counter()
        (a @ a)[0, 0].item()
        times.append(time.perf_counter() - start)
    return 2 * n**3 / min(times) / 1e12


def peak_memory(device: torch.device) -> float:
    "GB, of the device, or of this process."
    if device.type == 'cuda': return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def time_epochs(dataset, args, device) -> None:
    "Prints what a few epochs of our loop say about all of them."
    accelerator = make_accelerator(device, args.precision, compile=args.compile)
    print(describe_machine(accelerator), flush=True)
    torch.manual_seed(0)
    model = VAE_UNet()
    loader = make_loaders(repeated(dataset, args.pictures), dataset, args.batch_size)[0]
    run = Run(model, torch.optim.Adam(model.parameters(), lr=1e-4, fused=True), loader, accelerator, Recipe())
    seconds = []
    for epoch in range(args.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(run, min(1, epoch / 120))
        run.end_epoch({})
        seconds.append(time.perf_counter() - start)
        print(f'epoch {epoch}{"" if epoch else " (warm-up)"}: {seconds[-1]:.2f} s, loss {loss:.1f}', flush=True)
    rate = args.pictures * args.epochs / sum(seconds[1:])
    best = product_speed(accelerator.device, torch.bfloat16 if accelerator.mixed_precision == 'bf16' else torch.float32)
    print(f'ours: {rate:,.0f} pictures/s, {EPOCHS * PICTURES / rate / 60:.1f} minutes for {EPOCHS} epochs of {PICTURES:,}, '
          f'peak memory {peak_memory(device):.2f} GB, {rate * GFLOP / 1e3:.2f} of {best:.2f} TFLOP/s ({100 * rate * GFLOP / 1e3 / best:.0f} %)')


def time_literal(dataset, args, device) -> None:
    "Prints the same of the post's recipe, from some steps."
    torch.manual_seed(0)
    model = VAE_UNet().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    batches = itertools.cycle(DataLoader(dataset, args.batch_size, shuffle=True, drop_last=True))
    for step in range(args.literal_steps + 2):
        if step == 2: start = time.perf_counter()
        literal_step(model, optimizer, next(batches)[0].to(device), 0.5)
    rate = args.batch_size * args.literal_steps / (time.perf_counter() - start)
    print(f'literal: {rate:,.0f} pictures/s, {EPOCHS * PICTURES / rate / 60:.1f} minutes for {EPOCHS} epochs of {PICTURES:,}', flush=True)


def run_whole(train, val, args, device) -> None:
    "The post's recipe to its end, plain and residual; resumes what is there."
    for name in ('plain', 'residual'):
        torch.manual_seed(0)
        model = VAE_UNet(residual=name == 'residual')
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
        loaders = make_loaders(repeated(train, args.pictures), val, args.batch_size)
        train_vae_deblur(model, *loaders, optimizer, device, args.full, inferences=0, log_dir=args.out / name, resume='last',
                         metrics=dict(psnr=psnr, ssim=ssim), precision=args.precision, compile=args.compile)
        last = read_history(args.out / name)[-1]
        print(f"{name}: {last['val_psnr']:.2f} dB after {last['epoch'] + 1} epochs, blurred {last['val_psnr_blurred']:.2f} dB", flush=True)
    plot_time({name: read_history(args.out / name) for name in ('plain', 'residual')}).savefig(args.out / 'time.svg')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', required=True, help='pictures of 178×218')
    parser.add_argument('--val-data', help='for --full')
    parser.add_argument('--out', type=Path, default=Path('runs/whole'))
    parser.add_argument('--device')
    parser.add_argument('--precision', default='auto', choices=('auto', 'float32', 'bf16'))
    parser.add_argument('--compile', action='store_true')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--pictures', type=int, default=PICTURES, help='in an epoch')
    parser.add_argument('--epochs', type=int, default=3, help='timed, after one to warm up')
    parser.add_argument('--literal-steps', type=int, default=50, help='0 to leave the literal recipe out')
    parser.add_argument('--full', type=int, default=0, metavar='EPOCHS', help='then train for so many epochs; the post: 240')
    args = parser.parse_args()
    device = choose_device(args.device)
    plain = open_celeba(args.data, samples=None)
    dataset = open_store(plain).to(device)
    if args.literal_steps: time_literal(plain, args, device)
    if device.type == 'cpu': keep_memory()
    if args.epochs: time_epochs(dataset, args, device)
    if args.full: run_whole(dataset, open_store(open_celeba(args.val_data or args.data, samples=None)).to(device), args, device)


if __name__ == '__main__': main()
