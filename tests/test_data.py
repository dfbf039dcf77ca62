"""The data set and its blur: the table of attributes comes back as it was written and
nothing makes its parser fall over, pictures of every mode are read, and the blur of a
batch is torchvision's."""
import shutil

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import GaussianBlur

from deblur_vae.data import (
    KERNEL_SIZES, CelebADataset, DataError, fixed_blur, gaussian_blur, open_celeba,
    random_blur, read_attributes)

# Attributes

letters = st.characters(codec='ascii', categories=('L', 'N'), include_characters='_-')
word = st.text(letters, min_size=1, max_size=12)
spelling = st.sampled_from(
    [('-1', '1'), ('0', '1'), ('false', 'true'), ('False', 'True')])
relaxed = settings(max_examples=60, deadline=None,
                   suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw):
    names = draw(st.lists(word, min_size=1, max_size=6, unique=True))
    stems = draw(st.lists(word, min_size=1, max_size=8, unique=True))
    row = st.lists(st.booleans(), min_size=len(names), max_size=len(names))
    values = draw(st.lists(row, min_size=len(stems), max_size=len(stems)))
    return names, [f'{stem}.jpg' for stem in stems], values


@relaxed
@given(table=tables(), spelling=spelling, newline=st.sampled_from(['\n', '\r\n']),
       comma=st.booleans(), bom=st.booleans())
def test_reads_back_what_was_written(tmp_path, table, spelling, newline, comma, bom):
    names, files, values = table
    rows = [[file, *(spelling[v] for v in row)] for file, row in zip(files, values)]
    head = [['image_id', *names]] if comma else [[str(len(files))], names]
    separator = ',' if comma else ' '
    text = newline.join(map(separator.join, head + rows)) + newline
    path = tmp_path / 'table'
    path.write_bytes(('\ufeff' * bom + text).encode())
    got_names, got_files, got_values = read_attributes(path)
    assert got_names == names and [file.decode() for file in got_files] == files
    assert np.array_equal(got_values == 1, values)
    assert set(np.unique(got_values)) <= {-1, 1}


@relaxed
@given(data=st.binary(max_size=200))
def test_garbage_is_an_error_of_one_line(tmp_path, data):
    path = tmp_path / 'table'
    path.write_bytes(data)
    try: read_attributes(path)
    except DataError as e: assert str(path) in str(e) and '\n' not in str(e)


@relaxed
@given(table=tables(), data=st.data())
def test_a_lost_value_is_named_by_its_line(tmp_path, table, data):
    names, files, values = table
    broken = data.draw(st.integers(0, len(files) - 1))
    rows = [[file, *('1' if v else '-1' for v in row)]
            for file, row in zip(files, values)]
    rows[broken].pop()
    path = tmp_path / 'table'
    path.write_text('\n'.join(map(' '.join, [[str(len(files))], names, *rows])))
    with pytest.raises(DataError, match=f'line {broken + 3}: '): read_attributes(path)


@pytest.mark.parametrize('content, words', [
    ('1\nMale\na.jpg é\n'.encode(), "line 3: value 'é' is neither 1 nor -1"),
    ('1\nMale\na.jpg é\n'.encode('latin-1'), 'line 3: 0xe9 is not the start of a'),
    (b'2\nMale\na.jpg 1\n\n\nb.jpg 7\n', "line 6: value '7' is neither"),
    (b'2\nMale\na.jpg 1\n\nb.jpg 1 1\n', 'line 5: 2 values where the header has 1'),
    (b'2\nMale\n\na.jpg 1\n\n../b.jpg 1\n', "line 6: '../b.jpg' points outside"),
    (b'1\nMale\na.jpg\0 1\n', 'line 3: a NUL character'),
    (b'image_id,Male\na.jpg\0,1\n', 'line 2: a NUL character'),
])
def test_what_is_wrong_is_named_by_its_line(tmp_path, content, words):
    table = tmp_path / 'list_attr_celeba.txt'
    table.write_bytes(content)
    with pytest.raises(DataError) as refused: read_attributes(table)
    assert str(refused.value).startswith(f'{table}, {words}')


def test_carriage_returns_are_no_fault(drawn, tmp_path):
    copy = shutil.copytree(drawn, tmp_path / 'data')
    table = copy / 'list_attr_celeba.txt'
    table.write_bytes(table.read_bytes().replace(b'\n', b'\r\n'))
    assert len(open_celeba(copy)) == 40


# Pictures

@pytest.mark.parametrize('mode', ['L', 'CMYK', 'P', 'RGBA', 'LA', 'I;16', '1'])
def test_every_mode_becomes_rgb(drawn, tmp_path, mode):
    picture = Image.open(drawn / 'img_align_celeba' / '000001.jpg')
    if mode in ('LA', 'I;16'): picture = picture.convert('L')
    if mode == 'I;16':
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    else: picture = picture.convert(mode)
    picture.save(tmp_path / ('a.tif' if mode == 'CMYK' else 'a.png'))
    read, attributes = CelebADataset(tmp_path, None)[0]
    assert read.mode == 'RGB' and read.size == picture.size and attributes == {}
    if mode == 'I;16': grey = np.asarray(picture) / 257
    else: grey = np.asarray(picture.convert('L'))
    assert abs(np.asarray(read, float).mean() - grey.mean()) < 12


# Blur

def check_as_torchvision(x, blurred, k, sigma):
    "Each picture of the batch as if it had been blurred alone."
    rival = torch.stack([GaussianBlur(int(taps), float(width))(picture)
                         for picture, taps, width in zip(x, k, sigma)])
    torch.testing.assert_close(blurred, rival, atol=1e-6, rtol=0)


@pytest.mark.parametrize('k', KERNEL_SIZES)
def test_blur_is_that_of_torchvision(k):
    sigmas = torch.linspace(1.5, 3.0, 7)
    x = torch.rand(len(sigmas), 3, 54, 44, generator=torch.Generator().manual_seed(k))
    taps = torch.full((len(x),), k)
    check_as_torchvision(x, gaussian_blur(x, taps, sigmas), taps, sigmas)


def test_blurs_mix_in_a_batch():
    x = torch.rand(32, 3, 218, 178, generator=torch.Generator().manual_seed(0))
    blurred, k, sigma = random_blur(x, generator=torch.Generator().manual_seed(0))
    check_as_torchvision(x, blurred, k, sigma)
    assert len(k.unique()) > 3


@pytest.mark.parametrize('channels, size', [(1, (8, 8)), (3, (9, 31)), (4, (40, 8))])
def test_blur_of_any_channels_and_size(channels, size):
    x = torch.rand(2, channels, *size, generator=torch.Generator().manual_seed(0))
    blurred, k, sigma = random_blur(x, generator=torch.Generator().manual_seed(1))
    check_as_torchvision(x, blurred, k, sigma)


def test_fixed_blur_belongs_to_the_picture_not_the_batch():
    x = torch.rand(9, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    whole = fixed_blur(x, range(9))
    parts = [fixed_blur(x[i:i + 2], range(i, min(i + 2, 9))) for i in range(0, 9, 2)]
    for joined, values in zip(zip(*parts), whole):
        assert torch.equal(torch.cat(joined), values)


def test_blur_leaves_global_randomness_alone():
    state, x = torch.get_rng_state(), torch.zeros(4, 3, 20, 20)
    random_blur(x, generator=torch.Generator().manual_seed(0))
    fixed_blur(x, range(4))
    assert torch.equal(state, torch.get_rng_state())
