"""What the moving figure of chapter 01 (nbs/moving/skips.js) shows: one drawn portrait,
restored through every choice of the four ways to the decoder, three skips and the
latent. Through a closed way come zeros. One network was trained with all four open, the
other with each of them closed every other time, by chance.

It is written here, committed, and only chosen from by the reader. Run it by hand when
the network changes. It trains for ten minutes on one core and keeps both
networks in a cache; delete that to train them again:

    python tools/moving_skips.py"""
import json
from pathlib import Path

import torch
from moving_parts import decibels, frame, sheet
from notebooks import NBS
from PIL import Image
from platformdirs import user_cache_path
from torch import Tensor
from torchvision.transforms.functional import to_tensor

from deblur_vae.data import fixed_blur, open_celeba, to_8bit
from deblur_vae.latent import fit_at_weight
from deblur_vae.model import VAE_UNet, load_model, new_model, save_model
from deblur_vae.portraits import portraits
from deblur_vae.results import psnr

WAYS = 'f1', 'f2', 'f3', 'z'
CHOICES = [tuple(way for i, way in enumerate(WAYS) if number >> i & 1)
           for number in range(16)]  # of open ways; the last is all
SIZE, WIDTH = (80, 64), 16  # as in chapter 05
STEPS = 1600
KINDS = 'open', 'chance'  # how the ways were in training
HELD = 100  # portraits to measure on
SHOWN = 27  # number of the one that is shown, of these
CACHE = user_cache_path('deblur_vae') / 'moving-skips'
SPRITE, NUMBERS = NBS / 'images' / 'skips.jpg', NBS / 'moving' / 'skips.json'


class Switched(VAE_UNet):
    "A network whose ways to the decoder are open or closed, for each picture."
    open: tuple[str, ...] = WAYS
    chance: torch.Generator | None = None  # in training: closes each every other time

    def decoded(self, x: Tensor, z: Tensor, features: list[Tensor]) -> Tensor:
        kept = torch.tensor([way in self.open for way in WAYS]).expand(len(x), 4)
        if self.chance and self.training:
            kept = torch.rand(kept.shape, generator=self.chance) < 0.5
        f1, f2, f3 = (f * keep[:, None, None, None]
                      for f, keep in zip(features[:3], kept.T))
        return super().decoded(x, z * kept[:, 3:], [f1, f2, f3, features[3]])


def pictures() -> tuple[Tensor, Tensor]: # [1900,3,80,64] and [100,3,80,64] in [0,1]
    "Portraits to train on, and others."
    small = lambda image: to_tensor(image.resize(SIZE[::-1], Image.Resampling.BOX))
    people = open_celeba(portraits(), transform=small, samples=None)
    everyone = torch.stack([people[i][0] for i in range(len(people))])
    return everyone[:-HELD], everyone[-HELD:]


def network(kind: str, sharp: Tensor) -> Switched:
    "One of the two, trained on `sharp` without a price on z, or from the cache."
    path = Path(CACHE, f'{kind}.safetensors')
    if not path.exists():
        model = new_model(0, Switched, image_size=SIZE, width=WIDTH)
        if kind == 'chance': model.chance = torch.Generator().manual_seed(0)
        save_model(fit_at_weight(model, sharp, STEPS, kl_weight=0.0), path)
    return load_model(path, kinds=(Switched,))


def scores(x: Tensor, sharp: Tensor) -> list[float]:
    "PSNR of the portrait that is shown, and of all on average."
    return [decibels(x[SHOWN], sharp[SHOWN]), round(psnr(x, sharp).mean().item(), 2)]


def restored(model: Switched, blurred: Tensor) -> list[Tensor]: # [N,3,80,64] for each
    "What the network makes of pictures through each of `CHOICES`."
    made = []
    for model.open in CHOICES: made.append(to_8bit(model.restore(blurred)))
    return made


def main() -> None:
    torch.set_num_threads(1)
    train, sharp = pictures()
    blurred = to_8bit(fixed_blur(sharp, range(HELD))[0])
    made = {kind: restored(network(kind, train), blurred) for kind in KINDS}
    about = dict(width=SIZE[1], height=SIZE[0], columns=1 + len(CHOICES), ways=WAYS,
                 held=HELD, blurred=scores(blurred, sharp))
    about |= {kind: [scores(x, sharp) for x in row] for kind, row in made.items()}
    rows = [[blurred, *made['open']], [sharp, *made['chance']]]
    frames = [frame(x[SHOWN]) for row in rows for x in row]
    sheet(frames, about['columns']).save(SPRITE, quality=88, optimize=True)
    NUMBERS.write_text(json.dumps(about) + '\n')


if __name__ == '__main__': main()
