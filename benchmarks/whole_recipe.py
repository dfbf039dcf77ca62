"""The whole recipe of the post, 240 epochs of 12,000 pictures in batches of 32: how
long, from a few timed epochs.

The pictures of --data are repeated to that number. Prints throughput, peak memory, the
share of what a large matrix product reaches (29.5 PFLOP are to be done in all), and the
literal recipe's time beside it. With --full it is then run, plain and residual, into
--out: history.jsonl, config.json and weights come back, pictures do not.
"""
import argparse
import itertools
import resource
import time
from pathlib import Path

import torch
from literal import literal_step
from torch.utils.data import DataLoader, Dataset, Subset

from deblur_vae.checkpoint import read_history
from deblur_vae.compute import (choose_device, describe_machine, keep_memory,
                                make_accelerator, make_loaders)
from deblur_vae.data import open_celeba
from deblur_vae.model import VAE_UNet
from deblur_vae.results import plot_time, psnr, ssim
from deblur_vae.store import open_store
from deblur_vae.train import Recipe, Run, train_epoch, train_vae_deblur

PICTURES, EPOCHS = 12_000, 240  # of the post
GFLOP = 10.2  # a picture, forward and backward


def repeated(dataset, n: int) -> Subset:
    "`n` pictures, the same in turn where there are fewer."
    return Subset(dataset, [i % len(dataset) for i in range(n)])


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


def whole_time(rate: float) -> str:
    "What `rate`, pictures a second, means for the post's recipe."
    return (f'{rate:,.0f} pictures/s, {EPOCHS * PICTURES / rate / 60:.1f} minutes '
            f'for {EPOCHS} epochs of {PICTURES:,}')


def time_epochs(dataset, args, device) -> None:
    "Prints what a few epochs of our loop say about all of them."
    accelerator = make_accelerator(device, args.precision, compile=args.compile)
    print(describe_machine(accelerator), flush=True)
    torch.manual_seed(0)
    model = VAE_UNet()
    pictures = repeated(dataset, args.pictures)
    loader = make_loaders(pictures, dataset, args.batch_size)[0]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    run, seconds = Run(model, optimizer, loader, accelerator, Recipe()), []
    for epoch in range(args.epochs + 1):
        start = time.perf_counter()
        loss = train_epoch(run, min(1, epoch / 120))
        run.end_epoch({})
        seconds.append(time.perf_counter() - start)
        print(f'epoch {epoch}{"" if epoch else " (warm-up)"}: {seconds[-1]:.2f} s, '
              f'loss {loss:.1f}', flush=True)
    rate = args.pictures * args.epochs / sum(seconds[1:])
    half = accelerator.mixed_precision == 'bf16'
    best = product_speed(accelerator.device, torch.bfloat16 if half else torch.float32)
    reached = rate * GFLOP / 1e3
    print(f'ours: {whole_time(rate)}, peak memory {peak_memory(device):.2f} GB, '
          f'{reached:.2f} of {best:.2f} TFLOP/s ({100 * reached / best:.0f} %)')


def time_literal(dataset, args, device) -> None:
    "Prints the same of the post's recipe, from some steps."
    torch.manual_seed(0)
    model = VAE_UNet().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loader = DataLoader(dataset, args.batch_size, shuffle=True, drop_last=True)
    batches = itertools.cycle(loader)

    def step():
        literal_step(model, optimizer, next(batches)[0].to(device), 0.5)
    step(), step()
    start = time.perf_counter()
    for _ in range(args.literal_steps): step()
    rate = args.batch_size * args.literal_steps / (time.perf_counter() - start)
    print(f'literal: {whole_time(rate)}', flush=True)


def run_whole(train, val, args, device) -> None:
    "The post's recipe to its end, plain and residual; resumes what is there."
    for name in ('plain', 'residual'):
        torch.manual_seed(0)
        model = VAE_UNet(residual=name == 'residual')
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
        loaders = make_loaders(repeated(train, args.pictures), val, args.batch_size)
        train_vae_deblur(model, *loaders, optimizer, device, args.full, inferences=0,
                         log_dir=args.out / name, resume='last',
                         metrics=dict(psnr=psnr, ssim=ssim), precision=args.precision,
                         compile=args.compile)
        last = read_history(args.out / name)[-1]
        print(f"{name}: {last['val_psnr']:.2f} dB after {last['epoch'] + 1} epochs, "
              f"blurred {last['val_psnr_blurred']:.2f} dB", flush=True)
    histories = {name: read_history(args.out / name) for name in ('plain', 'residual')}
    plot_time(histories).savefig(args.out / 'time.svg')


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--data', required=True, help='pictures of 178×218')
    add('--val-data', help='for --full')
    add('--out', type=Path, default=Path('runs/whole'))
    add('--device')
    add('--precision', default='auto', choices=('auto', 'float32', 'bf16'))
    add('--compile', action='store_true')
    add('--batch-size', type=int, default=32)
    add('--pictures', type=int, default=PICTURES, help='in an epoch')
    add('--epochs', type=int, default=3, help='timed, after one to warm up')
    add('--literal-steps', type=int, default=50,
        help='0 to leave the literal recipe out')
    add('--full', type=int, default=0, metavar='EPOCHS',
        help='then train for so many epochs; the post: 240')
    return parser.parse_args()


def main() -> None:
    args = arguments()
    device = choose_device(args.device)
    plain = open_celeba(args.data, samples=None)

    def stored(pictures) -> Dataset: return open_store(pictures).to(device)
    dataset = stored(plain)
    if args.literal_steps: time_literal(plain, args, device)
    if device.type == 'cpu': keep_memory()
    if args.epochs: time_epochs(dataset, args, device)
    if args.full:
        val = stored(open_celeba(args.val_data or args.data, samples=None))
        run_whole(dataset, val, args, device)


if __name__ == '__main__': main()
