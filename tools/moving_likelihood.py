"""What the moving figure of chapter 11 (nbs/moving/likelihood.js) shows: the astronaut
out of focus, restored by discs of 25 radii, and how likely each radius is. It is
written here, committed, and only chosen from by the reader. Run it by hand when the
method changes; it takes a minute:

    python tools/moving_likelihood.py"""
import json

import torch
from moving_parts import decibels, frame, sheet
from notebooks import NBS
from skimage.data import astronaut

from deblur_vae import classical
from deblur_vae.camera import convolve, disc, inner
from deblur_vae.data import to_8bit

TRUE = 3.3  # pixels, as in the chapter
FINE = 97  # radii of the curve
STEP = 4  # from one of these to the next with a picture
RADII = torch.linspace(1.5, 5.1, FINE, dtype=torch.float64).tolist()
FACE = slice(0, 160), slice(54, 182)  # what is shown of the picture
COLUMNS = 13
SPRITE, NUMBERS = NBS / 'images' / 'likelihood.jpg', NBS / 'moving' / 'likelihood.json'


def pair() -> tuple[torch.Tensor, torch.Tensor]: # [3,228,228] each
    "Blurry and sharp, as the chapter has them."
    scene = torch.from_numpy(astronaut()[:260, 96:356]).permute(2, 0, 1) / 255
    return to_8bit(inner(convolve(scene, disc(TRUE)), 16)), inner(scene, 16)


def guesses(blurry: torch.Tensor, radii: list[float]) -> list[classical.Guess]:
    "For each of `radii` the likelier of both kinds of picture."
    seen = classical.evidence(blurry, classical.DENSE, None)
    discs = [classical.Candidate('disc', (radius,)) for radius in radii]
    rows = [classical.scored([(kind, d) for d in discs], seen, 6) for kind in range(2)]
    return [min(both, key=classical.surprise_of) for both in zip(*rows)]


def restored(blurry: torch.Tensor, guess: classical.Guess) -> torch.Tensor:
    spectrum = classical.Spectrum(guess.kind, guess.theta)
    blur = classical.Blur(*guess.candidate, spectrum, 0.0)
    return classical.deconvolve(blurry, blur)


def main() -> None:
    blurry, sharp = pair()
    found = guesses(blurry, RADII)
    least = min(map(classical.surprise_of, found))
    pictures = [restored(blurry, guess) for guess in found[::STEP]]
    rows, columns = FACE
    about = dict(
        width=columns.stop - columns.start, height=rows.stop - rows.start,
        columns=COLUMNS, step=STEP, radii=[round(radius, 4) for radius in RADII],
        short=[round(guess.surprise - least, 2) for guess in found],
        blurred=decibels(blurry, sharp),
        psnr=[decibels(x, sharp) for x in pictures])
    faces = [frame(x[:, *FACE]) for x in (blurry, *pictures)]
    sheet(faces, COLUMNS).save(SPRITE, quality=85, optimize=True)
    NUMBERS.write_text(json.dumps(about) + '\n')


if __name__ == '__main__': main()
