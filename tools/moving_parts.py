"""What the tools share that write figures for the reader to move: frames, and what they
score."""
import torch
from PIL import Image

from deblur_vae.data import to_8bit
from deblur_vae.evaluate import to_levels
from deblur_vae.results import psnr


def frame(x: torch.Tensor) -> Image.Image:
    "A picture, [3,H,W] in about [0,1], as one of 8 bits."
    return Image.fromarray(to_levels(to_8bit(x)))


def decibels(x: torch.Tensor, sharp: torch.Tensor) -> float:
    "The PSNR of a picture in 8 bits, to two digits."
    return round(psnr(to_8bit(x)[None], sharp[None]).item(), 2)


def sheet(frames: list[Image.Image], columns: int) -> Image.Image:
    "All `frames`, of one size, in rows of `columns`."
    wide, high = frames[0].size
    made = Image.new('RGB', (columns * wide, -(-len(frames) // columns) * high))
    for i, each in enumerate(frames):
        made.paste(each, (i % columns * wide, i // columns * high))
    return made
