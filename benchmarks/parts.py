"""Where a training step spends its time: milliseconds a picture by part, in the post's recipe and here, and the floor.

The floor is what the multiplications of the convolutions take at the speed of a large matrix product in the same format.
"""
import argparse
import time
from statistics import median

import torch
from literal import blur_one_by_one
from torch.utils.data import DataLoader
from train_speed import endless, give_memory_back, synchronize
from whole_recipe import GFLOP, product_speed

from deblur_vae.compute import (choose_device, describe_machine, fast_layout,
                                keep_memory, make_accelerator, shard_loader)
from deblur_vae.data import open_celeba, random_blur
from deblur_vae.loss import loss_function
from deblur_vae.model import VAE_UNet
from deblur_vae.portraits import portraits
from deblur_vae.store import open_store

PARTS = ('read', 'blur', 'forward', 'loss and backward', 'update')


def parts_of_step(batches, blur, model, optimizer, layout, accelerator, n: int) -> list[float]:
    "Milliseconds a picture of each of `PARTS`."
    device, marks = accelerator.device, []

    def mark():
        synchronize(device)
        marks.append(time.perf_counter())
    mark()
    sharp = next(batches)
    sharp = (sharp if isinstance(sharp, torch.Tensor) else sharp[0]).to(device).contiguous(memory_format=layout); mark()
    blurred = blur(sharp).contiguous(memory_format=layout); mark()
    recon, mu, logvar = model(blurred); mark()
    optimizer.zero_grad()
    loss_function(recon, sharp, mu, logvar, 0.5).backward(); mark()
    optimizer.step(); mark()
    return [1e3 * (after - before) / n for before, after in zip(marks, marks[1:])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', help='pictures of 178×218 (default: drawn portraits)')
    parser.add_argument('--device')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--repeats', type=int, default=7)
    args = parser.parse_args()
    n, dataset, device = args.batch_size, open_celeba(args.data or portraits(800), samples=None), choose_device(args.device)
    accelerator = make_accelerator(device)
    layout = fast_layout(accelerator.device)
    plain, fast = VAE_UNet().to(device), VAE_UNet().to(device, memory_format=layout)
    prepared = accelerator.prepare(fast)
    loaders = [DataLoader(data, n, shuffle=True, drop_last=True) for data in (dataset, open_store(dataset).to(device))]
    sides = {'post': (give_memory_back, iter(endless(loaders[0])), blur_one_by_one, plain, torch.optim.Adam(plain.parameters(), 1e-4),
                      torch.contiguous_format),
             'here': (keep_memory, iter(endless(shard_loader(loaders[1], accelerator))), lambda x: random_blur(x)[0], prepared,
                      torch.optim.Adam(fast.parameters(), 1e-4, fused=True), layout)}
    times = {name: [] for name in sides}
    for turn in range(args.repeats):
        for name, (memory, *step) in sides.items():
            memory()
            rows = [parts_of_step(*step, accelerator, n) for _ in range(2)]
            if turn: times[name].append(rows[1])
    rate = product_speed(accelerator.device, torch.bfloat16 if accelerator.mixed_precision == 'bf16' else torch.float32)
    floor = {'forward': GFLOP / 3 / rate, 'loss and backward': GFLOP * 2 / 3 / rate}
    print(f'{describe_machine(accelerator)}; '
          f'a matrix product reaches {1e3 * rate:.0f} GFLOP/s\n')
    print('| part, ms a picture | post | here | floor |\n|:--|--:|--:|--:|')
    medians = {name: [median(column) for column in zip(*rows)] for name, rows in times.items()}
    for i, part in enumerate(PARTS):
        print(f"| {part} | {medians['post'][i]:.1f} | {medians['here'][i]:.1f} | {format(floor[part], '.1f') if part in floor else ''} |")
    print(f"| all | {sum(medians['post']):.1f} | {sum(medians['here']):.1f} | {sum(floor.values()):.1f} |")


if __name__ == '__main__': main()
