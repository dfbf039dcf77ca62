"""`enhance` in somebody else's program: many threads, forked processes, limits, and
nothing changed that belongs to the whole process."""
import multiprocessing
import random
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut

from deblur_vae.camera import convolve, gaussian
from deblur_vae.data import DataError
from deblur_vae.enhance import enhance
from deblur_vae.files import read_image


TOLD = dict(method='classical', kernel='gaussian:1.5')


def blurred(height=36, width=40, top=60):
    left = 170 if width < 340 else 0
    sharp = torch.from_numpy(astronaut()[top:top + height, left:left + width].copy())
    soft = convolve(sharp.permute(2, 0, 1) / 255, gaussian(1.5))
    return soft.permute(1, 2, 0).mul(255).round().byte().numpy()


def wide():
    "Too wide to be worked on whole."
    half = blurred(128, 400)
    return np.hstack([half, half[:, ::-1]])


def test_many_threads_get_what_one_gets():
    pictures, told = [blurred(top=top) for top in (40, 80)], partial(enhance, **TOLD)
    for how in (told, partial(told, method='restore')):
        alone = [how(picture) for picture in pictures]
        with ThreadPoolExecutor(4) as pool: together = list(pool.map(how, 2 * pictures))
        for one, other in zip(2 * alone, together): assert (one == other).all()


def test_many_threads_may_read_files_with_limits_of_their_own(tmp_path):
    "Half of them refuse what the others read, and Pillow's limit never moves."
    path, before = tmp_path / 'a.png', Image.MAX_IMAGE_PIXELS
    Image.new('L', (60, 40)).save(path)

    def reads(most):
        assert Image.MAX_IMAGE_PIXELS == before
        try: return read_image(path, most).pixels.size == 2400
        except DataError as error: return 'more than' not in str(error)
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reads, 100 * [2400, 2399])) == 100 * [True, False]


def state_of_the_process():
    seeds = random.getstate(), np.random.get_state()[1].tolist()
    flags = [torch.is_grad_enabled(), torch.get_num_threads(), np.geterr(),
             torch.get_default_dtype(), torch.get_default_device(),
             torch.are_deterministic_algorithms_enabled()]
    return [*seeds, torch.get_rng_state().tolist(), *flags, list(warnings.filters),
            Image.MAX_IMAGE_PIXELS, sys.getrecursionlimit()]


@pytest.mark.parametrize('options', [
    dict(TOLD, doubt=True), dict(max_pixels=10), dict(TOLD, tile=128, max_seconds=600)])
def test_nothing_of_the_process_changes(options, tmp_path):
    picture = wide() if 'tile' in options else blurred()
    before = state_of_the_process()
    with torch.enable_grad():
        try: enhance(picture, **options)
        except ValueError: assert 'max_pixels' in options
    Image.fromarray(picture).save(tmp_path / 'a.png')
    read_image(tmp_path / 'a.png', 10**9)
    assert state_of_the_process() == before


@pytest.mark.skipif(sys.platform == 'win32', reason='nothing is forked here')
def test_a_forked_process_does_not_wait_for_threads_of_its_parent():
    "Its parent has computed with two, of which a copy has one."
    picture, expected = blurred(), enhance(blurred(), **TOLD)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        torch.rand(300, 300) @ torch.rand(300, 300)
        torch.rand(10**6).sin()
        with multiprocessing.get_context('fork').Pool(1) as pool:
            result = pool.apply_async(enhance, [picture], TOLD).get(timeout=60)
            assert pool.apply(torch.get_num_threads) == 1
        assert torch.get_num_threads() == 2
    finally: torch.set_num_threads(threads)
    assert np.abs(result.astype(int) - expected).max() <= 1


class Enough(Exception): "Somebody has changed their mind."


def test_progress_may_stop_the_work():
    seen = []

    def progress(tiles):
        for tile in tiles:
            seen.append(tile)
            if len(seen) == 2: raise Enough
            yield tile
    with pytest.raises(Enough): enhance(wide(), tile=128, **TOLD, progress=progress)
    assert len(seen) == 2
    seen.pop()  # a small picture is one tile
    with pytest.raises(Enough): enhance(blurred(72, 80), **TOLD, progress=progress)


def test_limits_of_pixels_and_time():
    from deblur_vae.enhance import TooLarge, TooSlow
    picture = blurred()
    with pytest.raises(TooLarge, match='40×36 pixels, more than 1439'):
        enhance(picture, max_pixels=1439)
    assert enhance(picture, **TOLD, max_pixels=1440).shape == picture.shape
    with pytest.raises(TooSlow, match='longer than 0.2 s'):
        enhance(blurred(140, 300), **TOLD, tile=128, max_seconds=0.2,
                progress=lambda tiles: (time.sleep(0.25) or tile for tile in tiles))
    assert issubclass(TooSlow, DataError) and issubclass(TooLarge, ValueError)
    for wrong in (0, -1, float('nan')):
        with pytest.raises(ValueError, match='max_seconds'):
            enhance(picture, max_seconds=wrong)


@pytest.mark.parametrize('device', ['nosuch', 'meta', 'cuda:99', 7.5])
def test_a_device_that_cannot_be_used(device):
    with pytest.raises(ValueError, match='cannot be used here') as refused:
        enhance(blurred(), device=device)
    assert '\n' not in str(refused.value) and str(device) in str(refused.value)


def test_tensors_without_numbers():
    for empty in (torch.empty(3, 40, 40, device='meta'),
                  torch.rand(3, 40, 40).to_sparse()):
        with pytest.raises(ValueError, match='has no pixels') as refused: enhance(empty)
        assert '\n' not in str(refused.value)


def test_a_picture_of_inks():
    "It stays one, unless a profile says which colours they are."
    from test_files import grey_inks
    inks = Image.new('CMYK', (40, 30), (255, 0, 0, 0))
    assert enhance(inks, method='classical').getpixel((0, 0)) == (255, 0, 0, 0)
    inks.info['icc_profile'] = grey_inks()
    result = enhance(inks, method='classical')
    assert result.getpixel((0, 0)) == (162, 162, 162)
    assert 'icc_profile' not in result.info
    result.save(BytesIO(), 'PNG')
