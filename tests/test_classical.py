"The blur found by likelihood, the picture extended and filtered: on photographs, under every family, and what must be refused."
import numpy as np
import pytest
import torch
from PIL import Image
from skimage.data import astronaut, chelsea

from deblur_vae.camera import CONDITIONS, convolve, disc, gaussian, jpeg, motion, turned
from deblur_vae.classical import deconvolve, estimate_blur, jpeg_quality, known_blur, parse_kernel
from deblur_vae.data import to_8bit


def tensor_of(pixels): return torch.from_numpy(np.array(pixels)).permute(2, 0, 1) / 255


def psnr(a, b): return -10 * float((a - b).square().mean().log10())


def seen(scene, kernel):
    "Blurry and sharp, without 16 pixels at each side."
    inside = lambda x: x[:, 16:-16, 16:-16]
    return to_8bit(inside(convolve(scene, kernel))), inside(scene)


SCENES = {'astronaut': tensor_of(astronaut()[:240, 100:320]), 'cat': tensor_of(chelsea()[30:270, 100:320])}
KERNELS = {'gaussian': gaussian(2.4), 'disc': disc(3.2), 'motion': motion(10.0, 35.0), 'turned': turned(3.5, 1.6, 60.0)}


@pytest.mark.parametrize('family', KERNELS)
@pytest.mark.parametrize('scene', SCENES)
def test_the_family_is_found_and_undone(scene, family):
    blurry, sharp = seen(SCENES[scene], KERNELS[family])
    blur = estimate_blur(blurry)
    assert blur.family == family and blur.likelier > 20, blur
    assert psnr(to_8bit(deconvolve(blurry, blur)), sharp) > psnr(blurry, sharp) + 2


@pytest.mark.parametrize('scene', SCENES)
def test_parameters(scene):
    assert estimate_blur(seen(SCENES[scene], disc(3.2))[0]).parameters[0] == pytest.approx(3.2, abs=0.1)
    length, angle = estimate_blur(seen(SCENES[scene], motion(10.0, 35.0))[0]).parameters[:2]
    assert length == pytest.approx(10, abs=0.5) and angle % 180 == pytest.approx(35, abs=3)
    assert estimate_blur(seen(SCENES[scene], gaussian(2.4))[0]).parameters[0] == pytest.approx(2.4, rel=0.12)


@pytest.mark.parametrize('family', ['gaussian', 'disc', 'motion'])
def test_no_ringing_at_the_border(family):
    "The error in the outer eight pixels is not much larger than inside."
    blurry, sharp = seen(SCENES['astronaut'], KERNELS[family])
    error = (deconvolve(blurry, known_blur(blurry, KERNELS[family]), steps=20) - sharp).square().mean(0)
    inside = error[8:-8, 8:-8].mean()
    assert (error.sum() - error[8:-8, 8:-8].sum()) / (error.numel() - error[8:-8, 8:-8].numel()) < 6 * inside


@pytest.mark.parametrize('quality', [50, 75, 90])
def test_quality_of_a_jpeg(quality):
    blurry = seen(SCENES['cat'], gaussian(1.8))[0]
    assert jpeg_quality(blurry) is None
    assert abs(jpeg_quality(jpeg(blurry, quality)) - quality) <= 3


def test_known_blurs(tmp_path):
    Image.fromarray((disc(3.0) / disc(3.0).max() * 255).round().byte().numpy()).save(tmp_path / 'kernel.png')
    assert (parse_kernel(str(tmp_path / 'kernel.png')) - parse_kernel('disc:3')).abs().max() < 1e-3
    for what, kernel in (('gaussian:2.0', gaussian(2.0)), ('gaussian:2.0,9', gaussian(2.0, 9)), ('motion:9@30', motion(9.0, 30.0)),
                         ('turned:3,1.5@30', turned(3.0, 1.5, 30.0)), (np.ones((2, 4)), None)):
        found = parse_kernel(what)
        assert found.sum() == pytest.approx(1) and all(n % 2 for n in found.shape)
        assert kernel is None or (found - kernel).abs().max() < 1e-9


@pytest.mark.parametrize('what', ['fish:3', 'disc', 'disc:1,2,3,4', 'disc:-1', 'gaussian:nan', 'gaussian:x', '', np.zeros((3, 3)), -np.ones((3, 3)),
                                  np.full((3, 3), np.nan), np.ones((0, 0)), np.ones((101, 101)), np.ones(5)], ids=str)
def test_what_is_no_blur(what):
    with pytest.raises(ValueError) as error: parse_kernel(what)
    assert '\n' not in str(error.value)


def test_conditions_are_reproducible():
    scene = SCENES['astronaut']
    for condition in CONDITIONS.values(): assert torch.equal(condition(scene, (0, 3)).blurry, condition(scene, (0, 3)).blurry)
