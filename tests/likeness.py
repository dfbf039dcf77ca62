"""What the page and Python are compared on, and what is alike: a last step of the
search for a blur may be taken otherwise, because Python counts in 32 bits."""
from functools import cache

import numpy as np
import torch
from skimage import data

from deblur_vae.camera import FAMILIES, add_noise, convolve, inner, jpeg
from deblur_vae.classical import estimate_blur
from deblur_vae.data import to_8bit
from deblur_vae.portraits import draw_portrait

LEVELS = 2 # of 255, by which the page may differ from Python
CUT = 18 # pixels of a scene, beyond the border of its picture


def tensor(pixels):
    return torch.from_numpy(np.array(pixels)[..., :3]).permute(2, 0, 1) / 255


def part(photo, top, left, height, width):
    "So much of a photo, and the light around it."
    pixels = getattr(data, photo)()
    if pixels.ndim == 2: pixels = np.repeat(pixels[..., None], 3, 2)
    return tensor(pixels[top:top + height + 2 * CUT, left:left + width + 2 * CUT])


def portrait(number): return tensor(draw_portrait(number)[0])


def blurred(scene, family, *parameters, noise=0.0, quality=None):
    "What a camera keeps of a scene."
    y = convolve(scene, FAMILIES[family](*parameters))
    if noise: y = add_noise(y, noise, 0.0, np.random.default_rng(0))
    y = to_8bit(inner(y, CUT)).contiguous()
    return jpeg(y, quality) if quality else y


PICTURES = {
    'Gaussian': lambda: blurred(portrait(0), 'gaussian', 2.0),
    'few taps': lambda: blurred(portrait(1), 'gaussian', 2.5, 9),
    'disc': lambda: blurred(portrait(2), 'disc', 3.1),
    'shake': lambda: blurred(portrait(3), 'motion', 9.0, 33.0),
    'noise': lambda: blurred(portrait(6), 'disc', 2.6, noise=0.01),
    'sharp': lambda: blurred(portrait(7), 'none'),
    'coffee': lambda: blurred(
        part('coffee', 60, 150, 184, 224), 'gaussian', 1.6, noise=0.004),
    'JPEG': lambda: blurred(
        part('chelsea', 20, 100, 214, 200), 'motion', 7.0, 120.0, quality=90),
    'grey': lambda: blurred(
        part('camera', 100, 150, 194, 201), 'turned', 2.2, 1.0, 20.0),
    'long': lambda: blurred(
        part('astronaut', 0, 0, 164, 476), 'disc', 2.0, noise=0.003),
    'pieces': lambda: blurred(
        part('astronaut', 0, 0, 476, 476), 'motion', 6.0, 80.0
    ).repeat(1, 3, 1)[:, :1100],
    'tiny': lambda: blurred(part('astronaut', 60, 180, 16, 17), 'gaussian', 1.2),
    'flat': lambda: torch.full((3, 40, 41), 128 / 255),
}
picture = cache(lambda name: PICTURES[name]())
blur_in = cache(lambda name: estimate_blur(picture(name)))


def alike(a, b):
    "Equal nearly everywhere; another last step of the search may show at edges."
    gap = np.abs(a.astype(int) - b)
    return (gap <= LEVELS).mean() > 0.98 and gap.mean() < 0.5


def as_sure(doubt, expected, rounding=0.5 / 255):
    "As unsure nearly everywhere."
    gap = np.abs(doubt - expected)
    return (gap <= np.maximum(0.15 * expected, rounding)).mean() > 0.98
