"""Pictures of the home page and the social card, which are committed: no step of
`make docs`, but run by hand when `enhance` has changed. `python tools/site_pictures.py`
writes nbs/images/astronaut-blurred.jpg, astronaut-enhanced.jpg, astronaut-doubt.jpg and
card.jpg, with the weights that are shipped. The photograph is NASA's, in the public
domain.
"""
import torch
from notebooks import NBS
from PIL import Image, ImageDraw, ImageFont
from skimage.data import astronaut
from torchvision.transforms.functional import to_pil_image, to_tensor

from deblur_vae.data import gaussian_blur, to_8bit
from deblur_vae.enhance import enhance
from deblur_vae.files import heat_map
from deblur_vae.results import psnr

IMAGES = NBS / 'images'
TAPS, SIGMA = 15, 2.6  # of the blur
FACE = (82, 0, 362, 280)  # left, top, right, bottom: her face is in the middle


def three() -> tuple[Image.Image, Image.Image, Image.Image]:
    """The photograph as the post would blur it, stored in 8 bits; what `enhance` makes
    of that; and where it guesses."""
    sharp = to_tensor(astronaut())[None]
    blurred = to_8bit(gaussian_blur(sharp, torch.tensor([TAPS]), torch.tensor([SIGMA])))
    before = to_pil_image(blurred[0])
    after, doubt = enhance(before, doubt=True)
    quality = [psnr(x, sharp).item() for x in (blurred, to_tensor(after)[None])]
    print(f'blurred {quality[0]:.2f} dB, enhanced {quality[1]:.2f} dB')
    left, top, right, bottom = FACE
    unsure = Image.fromarray(heat_map(doubt[top:bottom, left:right]))
    return before.crop(FACE), after.crop(FACE), unsure


def social_card(before: Image.Image, after: Image.Image) -> Image.Image:
    "1200×630: half before, half after, the name below."
    side = 630
    card, half = Image.new('RGB', (1200, side), '#15191d'), side // 2
    for picture, left in ((before, 0), (after, half)):
        large = picture.resize((side, side), Image.Resampling.BICUBIC)
        card.paste(large.crop((left, 0, left + half, side)), (left, 0))
    draw = ImageDraw.Draw(card)
    draw.line((half, 0, half, side), fill='white', width=4)
    large, small = ImageFont.load_default(72), ImageFont.load_default(34)
    draw.text((side + 50, 250), 'deblur_vae', fill='white', font=large)
    draw.text((side + 52, 350), 'A blurry face, and what can\nbe done about it',
              fill='#b8c1ca', font=small, spacing=12)
    return card


def main() -> None:
    before, after, unsure = three()
    pictures = {'astronaut-blurred': before, 'astronaut-enhanced': after,
                'astronaut-doubt': unsure, 'card': social_card(before, after)}
    for name, picture in pictures.items():
        picture.save(IMAGES / f'{name}.jpg', quality=88, optimize=True)


if __name__ == '__main__': main()
