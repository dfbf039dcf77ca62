"""The picture store: equal to the data set, built once, never half, and repaired; with
other processes, kills and full disks."""
import errno
import logging
import multiprocessing
import os
import pickle
import shutil
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Subset
from torchvision import transforms
from torchvision.transforms.functional import to_tensor

import deblur_vae.data
import deblur_vae.store
from deblur_vae.data import DataError, open_celeba, split
from deblur_vae.store import PictureStore, Pixels, cache_folder, collate, open_store

ADVICE = '.*DEBLUR_VAE_CACHE.*--no-store'  # what to do where there is no room


@pytest.fixture(autouse=True)
def one_thread():
    """Several threads for tensors this small only wait for each other where other
    processes are at work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def faces(drawn): return open_celeba(drawn, samples=None)


@pytest.fixture
def own(drawn, tmp_path):
    return open_celeba(shutil.copytree(drawn, tmp_path / 'own'), samples=None)


@pytest.fixture
def cache(tmp_path): return tmp_path / 'cache'


@pytest.fixture
def reads(monkeypatch):
    "The paths of all pictures that are decoded from now on."
    paths, read = [], deblur_vae.data.read_picture
    for module in (deblur_vae.data, deblur_vae.store):
        monkeypatch.setattr(module, 'read_picture',
                            lambda path: paths.append(path) or read(path))
    return paths


def homes(cache):
    return sorted(path for path in (cache / 'store').iterdir()
                  if path.is_dir() and path.name[0] != '.')


def nothing_left(cache):
    if not cache.exists(): return True
    return all(path.suffix == '.lock' for path in (cache / 'store').iterdir())


def in_process(work):
    "Starts `work` in a process of its own."
    process = multiprocessing.get_context('fork').Process(
        target=lambda: (torch.set_num_threads(1), work()), daemon=True)
    process.start()
    return process


def same(a, b):
    if len(a) != len(b): return False
    pairs = ((a[i], b[i]) for i in range(len(b)))
    return all(torch.equal(x, y) and marks == wanted
               for (x, marks), (y, wanted) in pairs)


def check_batches(loader, expected):
    for (x, marks), (y, wanted) in zip(loader, expected, strict=True):
        assert torch.equal(x, y)
        assert all(torch.equal(marks[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize('held', [False, True], ids=['on disk', 'in memory'])
def test_equals_the_data_set(faces, cache, held):
    store = open_store(faces, cache, progress=False)
    if held: store = PictureStore(store, store.pixels.held('cpu'))
    assert same(store, faces) and store.files is faces.files
    assert len(list(store)) == len(faces)
    some = Subset(store, [7, 3, 39]), Subset(faces, [7, 3, 39])
    for a, b in [(store, faces), some, *zip(split(store), split(faces))]:
        check_batches(DataLoader(a, 7), DataLoader(b, 7))
        check_batches(DataLoader(a, 7, collate_fn=collate), DataLoader(b, 7))
        for x, _ in DataLoader(a, 7, collate_fn=collate):
            assert x.is_contiguous(memory_format=torch.channels_last)
    with pytest.raises(IndexError): store[40]


def test_worker_processes(faces, cache):
    store = open_store(faces, cache, progress=False)
    batches = DataLoader(store, 20, num_workers=1, multiprocessing_context='fork')
    assert torch.equal(torch.cat([x for x, _ in batches]),
                       torch.stack([x for x, _ in faces]))
    packed = pickle.dumps(store)  # as for workers that are spawned
    assert len(packed) < 20_000 and same(pickle.loads(packed), faces)


def test_any_folder_without_attributes(faces, cache):
    plain = open_celeba(faces.root_dir, samples=None)
    store = open_store(plain, cache, progress=False)
    assert store.names == [] and store.partition is None and same(store, plain)


def test_cache_folder(monkeypatch, faces, tmp_path):
    monkeypatch.setenv('DEBLUR_VAE_CACHE', str(tmp_path / 'here'))
    assert cache_folder() == tmp_path / 'here'
    open_store(faces, progress=False)
    assert homes(tmp_path / 'here')
    monkeypatch.delenv('DEBLUR_VAE_CACHE')
    assert cache_folder().name == 'deblur_vae'


def test_second_opening_decodes_three_pictures(faces, cache, reads):
    open_store(faces, cache, progress=False)
    assert len(set(reads)) == 40
    before = [(path, path.stat()) for path in homes(cache)[0].iterdir()]
    reads.clear()
    store = open_store(faces, cache, progress=False)
    names = {path.name.encode() for path in reads}
    assert len(reads) == 4 and names == {faces.files[i] for i in (0, 20, 39)}
    reads.clear()
    assert len(list(DataLoader(store, 8))) == 5 and not reads
    assert all(path.stat().st_mtime_ns == stat.st_mtime_ns
               and path.stat().st_ino == stat.st_ino for path, stat in before)


@pytest.mark.parametrize('damage', [
    lambda data: data[:-1], lambda data: data[:10**6], lambda data: b'',
    lambda data: bytes(len(data)),
    lambda data: (np.frombuffer(data, np.uint8).reshape(40, -1)
                  ^ np.eye(1, 116412, 777, np.uint8)).tobytes(),
], ids=['last byte', 'cut', 'empty', 'zeros', 'a bit in each'])
def test_spoilt_pictures_are_rebuilt(faces, cache, caplog, damage):
    open_store(faces, cache, progress=False)
    file = homes(cache)[0] / 'pictures.u8'
    file.write_bytes(damage(file.read_bytes()))
    with caplog.at_level(logging.WARNING, 'deblur_vae'):
        assert same(open_store(faces, cache, progress=False), faces)
    assert len(caplog.records) == 1 and 'built again' in caplog.text
    assert str(homes(cache)[0]) in caplog.text
    caplog.clear()
    open_store(faces, cache, progress=False)
    assert not caplog.records


@pytest.mark.parametrize('text', [
    '', '{"key": ', '[1]', '{}', '{"key": "other"}', None])
def test_spoilt_description_is_rebuilt(faces, cache, caplog, text):
    open_store(faces, cache, progress=False)
    about = homes(cache)[0] / 'about.json'
    about.unlink() if text is None else about.write_text(text)
    assert same(open_store(faces, cache, progress=False), faces)
    assert len(caplog.records) == 1 and '\n' not in caplog.records[0].getMessage()


def test_other_files_other_store(own, cache):
    open_store(own, cache, progress=False)
    file = own.root_dir / own.files[5].decode()
    shutil.copy(own.root_dir / own.files[6].decode(), file)
    assert same(open_store(own, cache, progress=False), own) and len(homes(cache)) == 2
    os.utime(file, ns=(0, 0))
    open_store(own, cache, progress=False)
    assert len(homes(cache)) == 3


def test_moved_folder_same_store(drawn, own, cache):
    copied = open_celeba(shutil.copytree(drawn, cache.parent / 'again'), samples=None)
    for dataset in (own, copied): open_store(dataset, cache, progress=False)
    assert len(homes(cache)) == 1


def test_other_transform_other_store(faces, cache):
    def resized(size):
        return transforms.Compose([transforms.Resize(size), transforms.ToTensor()])

    for transform in (transforms.ToTensor(), resized((64, 52)), resized((64, 50)),
                      lambda image: to_tensor(image).flip(1),
                      lambda image: to_tensor(image).flip(2)):
        faces.transform = transform
        for _ in range(2): assert same(open_store(faces, cache, progress=False), faces)
    assert len(homes(cache)) == 5


@pytest.mark.parametrize('transform', [
    None, transforms.PILToTensor(),
    transforms.Compose([transforms.ToTensor(),
                        transforms.Normalize([0.5] * 3, [0.5] * 3)]),
    transforms.Compose([transforms.ToTensor(), transforms.Resize((64, 52))]),
    lambda image: to_tensor(image).double(),
    transforms.Compose([transforms.Grayscale(), transforms.ToTensor()]),
])
def test_not_8_bit(faces, cache, transform):
    faces.transform = transform
    words = r'^[^\n]*steps of 1/255[^\n]*--no-store[^\n]*$'
    with pytest.raises(DataError, match=words): open_store(faces, cache)
    assert not cache.exists()


@pytest.mark.parametrize('transform', [
    transforms.RandomHorizontalFlip(0.01), transforms.RandomCrop(64),
    transforms.ColorJitter(0.5), transforms.RandomRotation(5)])
def test_random(faces, cache, transform):
    faces.transform = transforms.Compose([transform, transforms.ToTensor()])
    with pytest.raises(DataError, match=r'^[^\n]*is random[^\n]*--no-store[^\n]*$'):
        open_store(faces, cache)
    assert not cache.exists()


@pytest.mark.parametrize('which', [0, 13, 39])
def test_damaged_picture_leaves_nothing(own, cache, which):
    file = own.root_dir / own.files[which].decode()
    file.write_bytes(file.read_bytes()[:3000])
    with pytest.raises(DataError, match=f'{file.name} .*cut short'):
        open_store(own, cache)
    assert nothing_left(cache)


def test_unlike_sizes_leave_nothing(own, cache):
    file = own.root_dir / own.files[13].decode()
    deblur_vae.data.read_picture(file).resize((89, 109)).save(file)
    with pytest.raises(DataError, match=f'218×178.*{file.name} is 109×89.*Resize'):
        open_store(own, cache, progress=False)
    assert nothing_left(cache)


def test_interrupt_leaves_nothing(faces, cache, monkeypatch):
    "Ctrl-C ends a build in the time of a few pictures, and no thread works on."
    monkeypatch.setattr(os, 'cpu_count', lambda: 4)
    monkeypatch.setattr(deblur_vae.store, 'CHUNK', 1)
    seen = []

    def slow(image):
        seen.append(image)
        if len(seen) == 5: raise KeyboardInterrupt
        if len(seen) > 5: time.sleep(0.05)
        return to_tensor(image)

    faces.transform = slow
    with pytest.raises(KeyboardInterrupt): open_store(faces, cache, progress=False)
    after = len(seen)
    time.sleep(0.2)
    assert len(seen) == after < 30 and nothing_left(cache)


def test_too_little_space_is_known_before(faces, cache, monkeypatch, reads):
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=10**6))
    words = f'needs 0.00466 GB, only 0.001 GB are free in {ADVICE}'
    with pytest.raises(DataError, match=words): open_store(faces, cache)
    assert nothing_left(cache) and len(reads) == 4


@pytest.fixture
def full_disk(tmp_path, monkeypatch):
    """A folder on a disk of one megabyte that claims to be large; without the right to
    mount one, a disk that is full at `fsync`."""
    folder = tmp_path / 'small'
    folder.mkdir()
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: SimpleNamespace(free=10**12))
    mount = ['mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', folder]
    mounted = (bool(shutil.which('mount'))
               and subprocess.run(mount, capture_output=True).returncode == 0)

    def full(fd): raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if not mounted: monkeypatch.setattr(os, 'fsync', full)
    yield folder
    if mounted: subprocess.run(['umount', folder], check=True)


def test_full_disk(faces, full_disk):
    words = f'needs 0.00466 GB.*are free in {ADVICE}'
    with pytest.raises(DataError, match=words):
        open_store(faces, full_disk, progress=False)
    assert nothing_left(full_disk)


def test_no_folder_can_be_made(faces, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(DataError, match=f'^no store can be kept in {ADVICE}'):
        open_store(faces, tmp_path / 'file')


def delayed(seconds, work):
    "`work`, which takes that much longer."
    def call(*args):
        time.sleep(seconds)
        return work(*args)
    return call


def test_two_at_once_and_one_killed(faces, cache, caplog, monkeypatch):
    "A build is killed; then two processes want the same store at the same moment."
    decode = deblur_vae.store.decode_picture
    with monkeypatch.context() as patch:
        patch.setattr(deblur_vae.store, 'decode_picture', delayed(0.1, decode))
        killed = in_process(lambda: open_store(faces, cache, progress=False))
        deadline = time.time() + 30
        while not list(cache.glob('store/.*/pictures.u8')) and time.time() < deadline:
            time.sleep(0.01)
        time.sleep(0.3)
        killed.kill()
        killed.join()
    left, = cache.glob('store/.*')
    assert left.is_dir() and not homes(cache)

    builds = multiprocessing.get_context('fork').SimpleQueue()
    write = deblur_vae.store.write_pictures

    def counted(*args):
        builds.put(os.getpid())
        return delayed(0.5, write)(*args)
    monkeypatch.setattr(deblur_vae.store, 'write_pictures', counted)
    both = [in_process(lambda: open_store(faces, cache, progress=False))
            for _ in range(2)]
    for process in both: process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert builds.get() in [process.pid for process in both] and builds.empty()
    assert len(homes(cache)) == 1 and not list(cache.glob('store/.*'))
    assert same(open_store(faces, cache), faces) and builds.empty()
    assert not caplog.records


@pytest.mark.skipif(not os.path.exists('/proc/self/statm'),
                    reason='only Linux tells the memory of a process')
def test_memory_does_not_grow(tmp_path):
    shape, rng = (1500, 218, 178, 3), np.random.default_rng(0)
    with (tmp_path / 'pictures.u8').open('wb') as file:
        file.truncate(int(np.prod(shape)))
    pixels = Pixels(tmp_path / 'pictures.u8', shape)

    def resident():
        pages = int(Path('/proc/self/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGESIZE') / 1e6
    pixels.gather(range(50))
    before = resident()
    for batch in rng.permutation(1500).reshape(30, 50): pixels.gather(batch)
    assert resident() - before < 30


@pytest.mark.parametrize('free, stays', [(20 * 10**6, False), (5 * 10**6, True)])
def test_resident_where_it_fits(faces, cache, monkeypatch, free, stays):
    "With a stand-in for the accelerator, whose tensors are on the CPU."
    store = open_store(faces, cache, progress=False)
    assert store.to('cpu') is store
    monkeypatch.setattr(torch.cuda, 'mem_get_info', lambda device: (free, free))
    held = Pixels.held
    monkeypatch.setattr(Pixels, 'held', lambda pixels, device: held(pixels, 'cpu'))
    moved = store.to('cuda')
    assert (moved is store) == stays and same(moved, faces)
    assert (moved.pixels.resident is None) == stays
