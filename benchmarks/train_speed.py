"""Milliseconds a picture of a full training step, from file to update: the literal
recipe of the post against this package.

The two alternate in one process; the medians are compared. The literal one decodes
every picture, blurs them one by one, and has plain float32 NCHW convolutions, Adam
unfused, and the allocator as glibc sets it up. Last line: `ratio: X`.
"""
import argparse
import ctypes
import gc
import time
from functools import partial
from itertools import chain, repeat
from statistics import median

import torch
from literal import blur_one_by_one, literal_step
from torch.utils.data import DataLoader

from deblur_vae.compute import (choose_device, describe_machine, keep_memory,
                                make_accelerator, shard_loader)
from deblur_vae.data import open_celeba, random_blur
from deblur_vae.model import VAE_UNet
from deblur_vae.portraits import portraits
from deblur_vae.store import open_store
from deblur_vae.train import Recipe, Run


def give_memory_back() -> None:
    """Undoes `keep_memory`: glibc's steady state, with large blocks mapped and unmapped
    each time."""
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError): return
    mmap_threshold, mmap_max, trim_threshold = -3, -4, -1
    mallopt(mmap_max, 65536)
    mallopt(mmap_threshold, 32 << 20)
    mallopt(trim_threshold, 64 << 20)
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
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True)
    batches = iter(endless(loader))
    return lambda: literal_step(model, optimizer, next(batches)[0].to(device), 0.5)


def ours(dataset, device, batch_size: int, precision: str, compile: bool):
    "A function that makes one step of `train_epoch`, and the accelerator."
    torch.manual_seed(0)
    accelerator = make_accelerator(device, precision, compile=compile)
    model = VAE_UNet()
    loader = DataLoader(open_store(dataset).to(accelerator.device), batch_size,
                        shuffle=True, drop_last=True, generator=torch.Generator())
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4, fused=True)
    run = Run(model, optimizer, loader, accelerator, Recipe())
    batches = iter(endless(shard_loader(loader, accelerator)))
    every = 1 if accelerator.device.type == 'cpu' else 50
    count = iter(range(10**9))

    def step():
        loss = run.step(next(batches), 0.5)
        if next(count) % every == 0: loss.item()
    return step, accelerator


def repeatedly(call, n: int) -> None:
    for _ in range(n): call()


def by_turns(rivals: dict, device, pictures: int, steps: int, repeats: int) -> dict:
    """Name → milliseconds a picture, in each turn but the first. A rival is how it sets
    up memory, and a call that handles `pictures`, made `steps` times."""
    times = {name: [] for name in rivals}
    for turn in range(repeats + 1):
        for name, (set_memory, call) in rivals.items():
            set_memory()
            call()  # fills caches, and memory that is kept
            ms = milliseconds(partial(repeatedly, call, steps), device,
                              pictures * steps)
            if turn: times[name].append(ms)
        gc.collect()
    return times


def report(times: dict[str, list[float]]) -> str:
    "A line for each rival, and the ratios."
    lines = [f'{name}: {median(ms):.2f} ms a picture '
             f'(of {len(ms)}; {min(ms):.2f} to {max(ms):.2f})'
             for name, ms in times.items()]
    middle = {name: median(ms) for name, ms in times.items()}
    share_of_blur = 100 * middle['our blur'] / middle['our step']
    return '\n'.join([
        *lines,
        f"blur ratio: {middle['literal blur'] / middle['our blur']:.1f}; "
        f'our blur is {share_of_blur:.1f} % of our step',
        f"ratio: {middle['literal step'] / middle['our step']:.2f}"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--data', help='pictures of 178×218 (default: drawn portraits)')
    add('--device')
    add('--precision', default='auto', choices=('auto', 'float32', 'bf16'))
    add('--compile', action='store_true')
    add('--batch-size', type=int, default=32)
    add('--repeats', type=int, default=9)
    add('--steps', type=int, default=1, help='timed together; more on a GPU')
    return parser.parse_args()


def main() -> None:
    args = arguments()
    n, device = args.batch_size, choose_device(args.device)
    dataset = open_celeba(args.data or portraits(800), samples=None)
    fast, accelerator = ours(dataset, device, n, args.precision, args.compile)
    slow = literal(dataset, device, n)
    sharp = torch.rand(n, 3, 218, 178, device=device)
    rivals = {'literal step': (give_memory_back, slow),
              'our step': (keep_memory, fast),
              'literal blur': (give_memory_back, lambda: blur_one_by_one(sharp)),
              'our blur': (keep_memory, lambda: random_blur(sharp))}
    print(f'{describe_machine(accelerator)}, {torch.get_num_threads()} threads, '
          f'batch {n}, {len(dataset)} pictures', flush=True)
    print(report(by_turns(rivals, device, n, args.steps, args.repeats)))


if __name__ == '__main__': main()
