"""What the moving figure of chapter 05 (nbs/moving/answers.js) shows: the walk of
fig-answers-walk in more steps, along the arc and straight on, and how each answer
agrees with the truth and with the blurry face. It is written here, committed, and only
chosen from by the reader. Run it by hand when the shipped network changes; it takes a
few seconds:

    python tools/moving_answers.py"""
import json
import math

import torch
import torch.nn.functional as F
from moving_parts import decibels, frame, sheet
from notebooks import NBS
from skimage.data import astronaut
from torch import Tensor

from deblur_vae.camera import convolve, gaussian, inner
from deblur_vae.data import to_8bit
from deblur_vae.latent import Given, shipped_answers
from deblur_vae.model import sample_posterior
from deblur_vae.results import psnr

SIGMA, NOISE = 3.0, 0.02  # of the blur, pixels, and in it, as in the chapter
ENDS = 3, 4  # seeds of the first and the last answer
STOPS = 17
CHANGE = 4  # how much stronger than it is a change is drawn
COLUMNS = 23
SPRITE, NUMBERS = NBS / 'images' / 'answers.jpg', NBS / 'moving' / 'answers.json'


def pair() -> tuple[Tensor, Tensor]: # [3,80,64] each
    "Blurry and sharp, as the chapter has them."
    face = torch.from_numpy(astronaut()[:242, 126:324]).permute(2, 0, 1) / 255
    scene = F.interpolate(face[None], (109, 89), mode='bilinear', antialias=True)[0]
    noise = torch.randn(scene.shape, generator=torch.Generator().manual_seed(0))
    y = convolve(scene, gaussian(SIGMA)) + NOISE * noise
    return to_8bit(y[:, 14:94, 12:76]), scene[:, 14:94, 12:76]


def size(x: Tensor) -> float:
    "Root mean square."
    return x.square().mean().sqrt().item()


def blurred_again(x: Tensor, blurry: Tensor) -> float:
    "Decibels between a picture with the same blur and the blurry one, without borders."
    kernel = gaussian(SIGMA)
    cut = len(kernel) // 2
    again, seen = inner(convolve(x, kernel), cut), inner(blurry, cut)
    return round(psnr(again[None], seen[None]).item(), 2)


def latents(given: Given, parts: list[float]) -> dict[str, list[Tensor]]:
    "Way → [1,4,10,8] for each of `parts` of it, from one draw of the prior to another."
    mu, logvar = given.prior
    dice = [torch.Generator().manual_seed(seed) for seed in ENDS]
    first, last = (sample_posterior(mu, logvar, each) - mu for each in dice)
    turns = [part * math.pi / 2 for part in parts]
    return dict(
        arc=[mu + math.cos(turn) * first + math.sin(turn) * last for turn in turns],
        line=[mu + (1 - part) * first + part * last for part in parts])


@torch.no_grad()
def walks(parts: list[float]) -> tuple[list[Tensor], dict[str, dict]]:
    "All frames, and the numbers of each way, at these parts of it; the first is 0."
    net, (blurry, sharp) = shipped_answers(), pair()
    given = net.given(blurry[None])
    (mu, logvar), frames, about = given.prior, [blurry], {}
    for way, stops in latents(given, parts).items():
        made = [to_8bit(net.decode(given, z)[0][0]) for z in stops]
        changes = [x - made[0] for x in made]
        frames += made + [0.5 + CHANGE * change for change in changes]
        about[way] = dict(
            truth=[decibels(x, sharp) for x in made],
            again=[blurred_again(x, blurry) for x in made],
            changed=[round(255 * size(x), 2) for x in changes],
            size=[round(size((z - mu) / (logvar / 2).exp()), 3) for z in stops])
    return frames, about


def main() -> None:
    frames, about = walks(torch.linspace(0, 1, STOPS).tolist())
    blurry, sharp = pair()
    _, height, width = blurry.shape
    about = dict(width=width, height=height, columns=COLUMNS,
                 blurred=decibels(blurry, sharp), sharp=blurred_again(sharp, blurry),
                 **about)
    sheet([frame(x) for x in frames], COLUMNS).save(SPRITE, quality=88, optimize=True)
    NUMBERS.write_text(json.dumps(about) + '\n')


if __name__ == '__main__': main()
