"""Milliseconds a picture of a full training step, from file to update: the literal recipe of the post against this package.

The two alternate in one process; the medians are compared. The literal one decodes every picture, blurs them one by one,
and has plain float32 NCHW convolutions, Adam unfused, and the allocator as glibc sets it up. Last line: `ratio: X`.
"""
import argparse
import ctypes
import gc
import time
from itertools import chain, repeat
from statistics import median

import torch
from literal import blur_one_by_one, literal_step
from torch.utils.data import DataLoader

from deblur_vae.compute import (choose_device, describe_machine, keep_memory,
                                make_accelerator, make_loaders, shard_loader)
from deblur_vae.data import open_celeba, random_blur
from deblur_vae.model import VAE_UNet
from deblur_vae.portraits import portraits
from deblur_vae.store import open_store
from deblur_vae.train import Recipe, Run


def give_memory_back() -> None:
    "Undoes `keep_memory`: glibc's steady state, with large blocks mapped and unmapped each time."
    try: libc = ctypes.CDLL(None); mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError): return
    mmap_threshold, mmap_max, trim_threshold = -3, -4, -1
    for name, value in ((mmap_max, 65536), (mmap_threshold, 32 << 20), (trim_threshold, 64 << 20)): mallopt(name, value)
    libc.malloc_trim(0)


def endless(loader): return chain.from_iterable(repeat(loader))


def synchronize(device: torch.device) -> None:
    if device.type == 'cuda': torch.cuda.synchronize()
    if device.type == 'mps': torch.mps.synchronize()


def milliseconds(call, device, n: int) -> float:
    "A picture, for a call that handles `n`."
    synchronize(device)
    start = time.perf_counter()
    call()
    synchronize(device)
    return 1e3 * (time.perf_counter() - start) / n


def literal(dataset, device, batch_size: int):
    "A function that makes one step of the post's recipe."
    torch.manual_seed(0)
    model = VAE_UNet().to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    batches = iter(endless(DataLoader(dataset, batch_size, shuffle=True, drop_last=True)))
    return lambda: literal_step(model, optimizer, next(batches)[0].to(device), 0.5)


def ours(dataset, device, batch_size: int, precision: str, compile: bool):
    "A function that makes one step of `train_epoch`, and the accelerator."
    torch.manual_seed(0)
    accelerator = make_accelerator(device, precision, compile=compile)
    model = VAE_UNet()
    loader = DataLoader(open_store(dataset).to(accelerator.device), batch_size, shuffle=True, drop_last=True, generator=torch.Generator())
    run = Run(model, torch.optim.Adam(model.parameters(), lr=1e-4, fused=True), loader, accelerator, Recipe())
    batches = iter(endless(shard_loader(loader, accelerator)))
    every = 1 if accelerator.device.type == 'cpu' else 50
    count = iter(range(10**9))

    def step():
        loss = run.step(next(batches), 0.5)
        if next(count) % every == 0: loss.item()
    return step, accelerator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', help='pictures of 178×218 (default: drawn portraits)')
    parser.add_argument('--device')
    parser.add_argument('--precision', default='auto', choices=('auto', 'float32', 'bf16'))
    parser.add_argument('--compile', action='store_true')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--steps', type=int, default=1, help='timed together; more on a GPU')
    args = parser.parse_args()
    device = choose_device(args.device)
    dataset = open_celeba(args.data or portraits(800), samples=None)
    fast, accelerator = ours(dataset, device, args.batch_size, args.precision, args.compile)
    slow = literal(dataset, device, args.batch_size)
    sharp = torch.rand(args.batch_size, 3, 218, 178, device=device)
    rivals = {'literal step': (give_memory_back, slow), 'our step': (keep_memory, fast),
              'literal blur': (give_memory_back, lambda: blur_one_by_one(sharp)), 'our blur': (keep_memory, lambda: random_blur(sharp))}
    times = {name: [] for name in rivals}
    print(f'{describe_machine(accelerator)}, {torch.get_num_threads()} threads, batch {args.batch_size}, {len(dataset)} pictures', flush=True)
    for turn in range(args.repeats + 1):
        for name, (memory, call) in rivals.items():
            memory()
            call()  # fills caches, and memory that is kept
            ms = milliseconds(lambda: [call() for _ in range(args.steps)], device, args.batch_size * args.steps)
            if turn: times[name].append(ms)
        gc.collect()
    for name, ms in times.items(): print(f'{name}: {median(ms):.2f} ms a picture (of {len(ms)}; {min(ms):.2f} to {max(ms):.2f})')
    print(f"blur ratio: {median(times['literal blur']) / median(times['our blur']):.1f}; "
          f"our blur is {100 * median(times['our blur']) / median(times['our step']):.1f} % of our step")
    print(f"ratio: {median(times['literal step']) / median(times['our step']):.2f}")


if __name__ == '__main__': main()
