"""Where a training step spends its time: milliseconds a picture by part, in the post's
recipe and here, and the floor.

The floor is what the multiplications of the convolutions take at the speed of a large
matrix product in the same format.
"""
import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
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


@dataclass
class Recipe:
    "What a training step consists of."
    set_memory: Callable[[], None]  # how the allocator is set up
    batches: object  # an endless iterator
    blur: Callable[[torch.Tensor], torch.Tensor]
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    layout: torch.memory_format


def parts_of_step(recipe: Recipe, accelerator, n: int) -> list[float]:
    "Milliseconds a picture of each of `PARTS`."
    device, layout, marks = accelerator.device, recipe.layout, []

    def mark():
        synchronize(device)
        marks.append(time.perf_counter())
    mark()
    sharp = next(recipe.batches)
    if not isinstance(sharp, torch.Tensor): sharp = sharp[0]
    sharp = sharp.to(device).contiguous(memory_format=layout)
    mark()
    blurred = recipe.blur(sharp).contiguous(memory_format=layout)
    mark()
    recon, mu, logvar = recipe.model(blurred)
    mark()
    recipe.optimizer.zero_grad()
    loss_function(recon, sharp, mu, logvar, 0.5).backward()
    mark()
    recipe.optimizer.step()
    mark()
    return [1e3 * (after - before) / n for before, after in zip(marks, marks[1:])]


def as_in_the_post(dataset, n: int, device) -> Recipe:
    "Every JPEG decoded, blurred one by one, plain layouts, Adam tensor by tensor."
    model = VAE_UNet().to(device)
    loader = DataLoader(dataset, n, shuffle=True, drop_last=True)
    return Recipe(give_memory_back, iter(endless(loader)), blur_one_by_one, model,
                  torch.optim.Adam(model.parameters(), 1e-4), torch.contiguous_format)


def as_here(dataset, n: int, device, accelerator) -> Recipe:
    "Pictures from the store, one blur for the batch, fast layouts, Adam fused."
    layout = fast_layout(accelerator.device)
    model = VAE_UNet().to(device, memory_format=layout)
    loader = DataLoader(open_store(dataset).to(device), n, shuffle=True, drop_last=True)
    return Recipe(keep_memory, iter(endless(shard_loader(loader, accelerator))),
                  lambda x: random_blur(x)[0], accelerator.prepare(model),
                  torch.optim.Adam(model.parameters(), 1e-4, fused=True), layout)


def measure(recipes: dict[str, Recipe], accelerator, n: int, repeats: int) -> dict:
    "Medians of `PARTS` of each recipe, by turns; the first turn is not counted."
    times = {name: [] for name in recipes}
    for turn in range(repeats):
        for name, recipe in recipes.items():
            recipe.set_memory()
            rows = [parts_of_step(recipe, accelerator, n) for _ in range(2)]
            if turn: times[name].append(rows[1])
    return {name: [median(column) for column in zip(*rows)]
            for name, rows in times.items()}


def table(post: list[float], here: list[float], rate: float) -> str:
    "Markdown; `rate` is what a large matrix product reaches, TFLOP/s."
    floor = {'forward': GFLOP / 3 / rate, 'loss and backward': GFLOP * 2 / 3 / rate}
    lines = ['| part, ms a picture | post | here | floor |', '|:--|--:|--:|--:|']
    for part, before, after in zip(PARTS, post, here):
        least = f'{floor[part]:.1f}' if part in floor else ''
        lines.append(f'| {part} | {before:.1f} | {after:.1f} | {least} |')
    sums = f'{sum(post):.1f} | {sum(here):.1f} | {sum(floor.values()):.1f}'
    return '\n'.join([*lines, f'| all | {sums} |'])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('--data', help='pictures of 178×218 (default: drawn portraits)')
    add('--device')
    add('--batch-size', type=int, default=32)
    add('--repeats', type=int, default=7)
    args = parser.parse_args()
    n, device = args.batch_size, choose_device(args.device)
    dataset = open_celeba(args.data or portraits(800), samples=None)
    accelerator = make_accelerator(device)
    recipes = {'post': as_in_the_post(dataset, n, device),
               'here': as_here(dataset, n, device, accelerator)}
    medians = measure(recipes, accelerator, n, args.repeats)
    half = accelerator.mixed_precision == 'bf16'
    rate = product_speed(accelerator.device, torch.bfloat16 if half else torch.float32)
    print(f'{describe_machine(accelerator)}; '
          f'a matrix product reaches {1e3 * rate:.0f} GFLOP/s\n')
    print(table(**medians, rate=rate))


if __name__ == '__main__': main()
