"""Where results go: never over a device, a pipe or another picture; links, long names
and names of any letters."""
import os
import socket
import stat
from pathlib import Path

import pytest
from PIL import Image

from deblur_vae.data import DataError
from deblur_vae.files import enhance_files, find_pictures, plan, read_image, write_image
from deblur_vae.model import write_beside


def save(path, grey=0):
    Image.new('L', (8, 6), grey).save(path, 'PNG')
    return path


def inverted(pixels): return 255 - pixels


@pytest.fixture(params=['pipe', 'socket', 'device'])
def no_file(request, tmp_path):
    "A path at which something is that no result may replace, and what it is."
    path = tmp_path / 'odd.png'
    match request.param:
        case 'pipe': os.mkfifo(path)
        case 'socket':
            here = socket.socket(socket.AF_UNIX)
            request.addfinalizer(here.close)
            here.bind(str(path))
        case 'device':
            try: os.mknod(path, 0o600 | stat.S_IFCHR, os.makedev(1, 3))
            except PermissionError: pytest.skip('only root may make a device')
    return path


@pytest.mark.parametrize('link', [False, True])
def test_only_a_file_is_ever_replaced(no_file, link, tmp_path):
    source, target, kind = save(tmp_path / 'a.png'), no_file, no_file.lstat().st_mode
    if link: (target := tmp_path / 'link.png').symlink_to(no_file)
    (_, line), = enhance_files([source], target, inverted, force=True)
    assert str(target) in line and 'give a file' in line and '\n' not in line
    with pytest.raises(OSError, match='no file that could be replaced'):
        write_beside(target, b'new')
    assert no_file.lstat().st_mode == kind
    assert len(list(tmp_path.iterdir())) == 2 + link


def test_what_a_link_leads_to_is_written(tmp_path):
    source, result = save(tmp_path / 'a.png'), save(tmp_path / 'b.png')
    (tmp_path / 'link.png').symlink_to('b.png')
    assert not enhance_files([source], tmp_path / 'link.png', inverted, force=True)
    assert (tmp_path / 'link.png').is_symlink()
    assert (read_image(result).pixels == 255).all()


def test_a_loop_of_links_is_one_line(tmp_path):
    "The other pictures of the folder are enhanced."
    for i in range(3): save(tmp_path / f'{i}.png')
    (tmp_path / 'loop.png').symlink_to('round.png')
    (tmp_path / 'round.png').symlink_to('loop.png')
    failures = dict(enhance_files(find_pictures([tmp_path]), None, inverted))
    assert set(failures) == {tmp_path / 'loop.png', tmp_path / 'round.png'}
    assert all('cannot be read' in line for line in failures.values())
    assert len(list(tmp_path.glob('*-enhanced.png'))) == 3
    for out in (tmp_path / 'loop.png', tmp_path / 'loop.png' / 'deeper.png'):
        (_, line), = enhance_files([tmp_path / '0.png'], out, inverted, force=True)
        assert 'no file that could be' in line or 'cannot be written: Too' in line


@pytest.mark.parametrize('options, names', [
    (dict(compare=True), ['a.png', 'a-compare.png']),
    (dict(doubt=True), ['a.png', 'a-doubt.png']),
    (dict(compare=True), ['a-enhanced.png', 'a.png']),
    (dict(out='out/', compare=True), ['a.png', 'a-compare.png']),
    (dict(out='.', compare=True), ['a.png', 'a-compare.png']),
])
def test_all_that_is_written_is_planned_together(tmp_path, monkeypatch, options, names):
    monkeypatch.chdir(tmp_path)
    paths, before = [save(Path(name)) for name in names], sorted(names)
    with pytest.raises(DataError, match='belongs to') as refused: plan(paths, **options)
    assert '\n' not in str(refused.value)
    with pytest.raises(DataError, match='belongs to'):
        enhance_files(paths, options.pop('out', None), inverted, force=True, **options)
    assert sorted(os.listdir()) == before


def test_a_result_may_still_replace_its_own_picture(tmp_path):
    source = save(tmp_path / 'a.png')
    assert not enhance_files([source], source, inverted, force=True, compare=True)
    assert (read_image(source).pixels == 255).all()


@pytest.mark.parametrize('name', [250 * 'x', 83 * '€', 62 * '🙂', 'a\nb.png',
                                  '\x1b[31mred.png', os.fsdecode(b'\xff.png')])
def test_any_name_that_the_disk_takes(tmp_path, name):
    picture = read_image(save(tmp_path / 'a.png'))
    for _ in range(2): write_image(picture, picture.pixels, tmp_path / name, force=True)
    assert read_image(tmp_path / name).pixels.shape == (6, 8, 1)
    assert set(os.listdir(tmp_path)) == {'a.png', name}


def test_a_name_that_the_disk_does_not_take(tmp_path):
    source = save(tmp_path / 'a.png')
    (_, line), = enhance_files([source], f'{tmp_path}/{256 * "x"}.png', inverted)
    assert 'cannot be written: File name too long' in line


def test_an_empty_name_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / 'a.png')
    with pytest.raises(DataError, match="an empty name, '', is no picture"):
        find_pictures([''])
    assert find_pictures(['.']) == [Path('a.png')]
