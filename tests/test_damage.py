"""One flipped bit in any file that a run or the package loads: it is noticed, in one
line that names the file."""
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, campaign
from PIL import Image
from safetensors.torch import save_file

import deblur_vae.model
from deblur_vae.checkpoint import load_checkpoint, save_checkpoint
from deblur_vae.data import open_celeba
from deblur_vae.model import (
    VAE_UNet, load_model, load_state, new_model, save_model, save_state, shipped)
from deblur_vae.store import Pixels, open_store, store_fault, store_key

WEIGHTS = ROOT / 'deblur_vae' / 'weights'


def flip(content: bytes, bit: int) -> bytes:
    spoilt = bytearray(content)
    spoilt[bit // 8] ^= 1 << bit % 8
    return bytes(spoilt)


def outcome(path: Path, load: Callable) -> str:
    "What becomes of a file; nothing if it is refused as it should be."
    try: load()
    except ValueError as error:
        line = str(error)
        return '' if path.name in line and '\n' not in line else f'says {line!r}'
    except Exception as error: return f'raises {type(error).__name__}: {error}'
    return 'loads'


def flips(path: Path, load: Callable, count: int, seed: int) -> list[str]:
    """Spoils one bit of the file at a time, as often as `count`, half of them in its
    head or tail; returns what went wrong."""
    whole, chance, found = path.read_bytes(), random.Random(seed), []
    others = {p: p.read_bytes() for p in path.parent.iterdir() if p.is_file()}
    ends = [*range(min(3000, len(whole))), *range(-min(300, len(whole)), 0)]
    for _ in range(count):
        byte = chance.choice(ends) if chance.random() < 0.5 else chance.randrange(
            len(whole))
        bit = 8 * (byte % len(whole)) + chance.randrange(8)
        path.write_bytes(flip(whole, bit))
        if said := outcome(path, load): found.append(f'bit {bit} {said}')
        for other, content in others.items():
            if not other.exists(): other.write_bytes(content)
    path.write_bytes(whole)
    load()
    return found


def small() -> VAE_UNet:
    return new_model(1, latent_dim=2, image_size=(32, 32), width=2)


def checkpoint(folder: Path, patch) -> tuple[Path, Callable]:
    model, path = small(), folder / 'last.pt'
    adam = torch.optim.Adam(model.parameters())
    model(torch.rand(2, 3, 32, 32))[0].sum().backward()
    adam.step()
    save_checkpoint(path, dict(config=dict(seed=0), epoch=3, losses=[2.5],
                               model=model.state_dict(), optimizer=adam.state_dict()))
    return path, lambda: load_checkpoint(path)


def weights(folder: Path, patch) -> tuple[Path, Callable]:
    save_model(small(), path := folder / 'best.safetensors', epoch=3)
    return path, lambda: load_model(path)


def of_the_package(name: str, folder: Path, patch) -> tuple[Path, Callable]:
    "With a copy of the package's folder in its place."
    shutil.copytree(WEIGHTS, folder / 'weights')
    patch.setattr(deblur_vae.model, 'files', lambda package: folder)
    path = folder / 'weights' / name
    names = [file.name for file in WEIGHTS.glob('*.safetensors')]

    def load():
        for name in names: shipped(name)
    return path, load


def store(name: str, folder: Path, patch) -> tuple[Path, Callable]:
    "Of a hundred pictures, some of which are not looked at when it is opened."
    (folder / 'pictures').mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (100, 12, 10, 3), np.uint8)
    for i, picture in enumerate(noise):
        Image.fromarray(picture).save(folder / 'pictures' / f'{i:03}.png')
    pictures = open_celeba(folder / 'pictures', samples=None)
    home = open_store(pictures, folder, progress=False).pixels.path.parent
    key, shape = store_key(pictures)

    def load():
        if fault := store_fault(home, key, shape): raise ValueError(fault)
        crcs = np.fromfile(home / 'crc32.u4', '<u4')
        Pixels(home / 'pictures.u8', shape, crcs).gather(range(100))
    return home / name, load


KINDS: dict[str, Callable] = {'checkpoint': checkpoint, 'weights': weights}
KINDS |= {name: partial(of_the_package, f'{name}.safetensors')
          for name in ('restore', 'answers', 'spectra')}
KINDS |= {name: partial(store, name)
          for name in ('pictures.u8', 'crc32.u4', 'about.json')}


@pytest.mark.parametrize('count', [25, campaign(2000)])
@pytest.mark.parametrize('kind', KINDS)
def test_every_flipped_bit_is_noticed(kind, count, tmp_path, monkeypatch):
    path, load = KINDS[kind](tmp_path, monkeypatch)
    found = flips(path, load, count, seed=len(kind))
    print(f'{kind}: {count} tried, {len(found)} lost')
    assert not found, '\n'.join(found)


@pytest.mark.parametrize('kind', ['checkpoint', 'weights'])
def test_every_cut_is_noticed(kind, tmp_path, monkeypatch):
    "At any byte of the last two hundred, where the checksum begins and ends."
    path, load = KINDS[kind](tmp_path, monkeypatch)
    whole = path.read_bytes()
    for left_out in (*range(1, 200, 3), 80, 1000, len(whole) // 2, len(whole)):
        path.write_bytes(whole[:len(whole) - left_out])
        assert not (said := outcome(path, load)), f'{left_out} bytes short: {said}'


# Files without a checksum of ours

def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one)


def test_files_of_before_load(tmp_path):
    model = VAE_UNet(latent_dim=3, width=2)
    torch.save(model.state_dict(), tmp_path / 'post.pt')
    torch.save(model.state_dict(), tmp_path / 'old.pth',
               _use_new_zipfile_serialization=False)
    shutil.copy(WEIGHTS / 'restore.safetensors', tmp_path)
    for name in ('post.pt', 'old.pth'):
        loaded = load_model(tmp_path / name)
        assert same(loaded.state_dict(), model.state_dict())
    torch.serialization.set_crc32_options(False)
    try: torch.save(model.state_dict(), tmp_path / 'unsummed.pt')
    finally: torch.serialization.set_crc32_options(True)
    assert same(load_model(tmp_path / 'unsummed.pt').state_dict(), model.state_dict())


@pytest.mark.parametrize('count', [40, campaign(2000)])
def test_a_bit_in_a_checkpoint_of_the_post(count, tmp_path):
    "torch's own CRC-32 tells, but for bits that are only there to fill."
    state = small().state_dict()
    torch.save(state, path := tmp_path / 'post.pt')
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(count):
        path.write_bytes(flip(whole, bit := chance.randrange(8 * len(whole))))
        said = outcome(path, lambda: load_state(path))
        if said == 'loads': said = '' if same(load_state(path), state) else said
        assert not said, f'bit {bit} {said}'


@pytest.mark.parametrize('count', [12, campaign(2000)])
@pytest.mark.parametrize('kind', ['old.pth', 'old.safetensors'])
def test_a_bit_in_a_head_that_is_not_checked(kind, count, tmp_path):
    "It may load, but what is refused is refused in one line, without a raw error."
    path, model = tmp_path / kind, small()
    if kind == 'old.pth':
        torch.save(model.state_dict(), path, _use_new_zipfile_serialization=False)
    else:
        save_model(model, path)
        header = dict(load_header(path), format='pt')
        del header['checksum']
        save_file(model.state_dict(), path, metadata=header)
    whole, chance = path.read_bytes(), random.Random(0)
    for _ in range(count):
        path.write_bytes(flip(whole, bit := chance.randrange(8 * 2500)))
        said = outcome(path, lambda: load_model(path))
        assert said in ('', 'loads'), f'bit {bit} {said}'


def load_header(path: Path) -> dict:
    from safetensors import safe_open
    with safe_open(path, 'pt') as file: return file.metadata()


def test_torch_and_safetensors_read_our_files(tmp_path):
    "The checksum is in nobody's way."
    from safetensors.torch import load_file
    model = small()
    save_state(tmp_path / 'a.pt', model.state_dict())
    save_model(model, tmp_path / 'a.safetensors')
    for mapped in (False, True):
        read = torch.load(tmp_path / 'a.pt', weights_only=True, mmap=mapped)
        assert same(read, model.state_dict())
    assert same(load_file(tmp_path / 'a.safetensors'), model.state_dict())


def test_loaded_weights_outlive_their_file(tmp_path):
    "What has been checked is what is used, whatever becomes of the file."
    save_model(small(), path := tmp_path / 'a.safetensors')
    model = load_model(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert same(model.state_dict(), small().state_dict())


def test_shipped_files_are_those_of_the_list():
    "If this fails: cd deblur_vae/weights && sha256sum *.safetensors > SHA256SUMS"
    listed = [line.split()[1] for line in
              (WEIGHTS / 'SHA256SUMS').read_text().splitlines()]
    assert sorted(listed) == sorted(p.name for p in WEIGHTS.glob('*.safetensors'))
    for name in listed: assert shipped(name).is_file()
