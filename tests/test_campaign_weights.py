"""Damaged and malicious weights: none loads as something else, and none runs."""
import pickle
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import campaign
from damage import ANYWHERE, damaged, flip_one_bit
from test_checkpoint import Bomb, same_state

from deblur_vae.checkpoint import load_checkpoint, save_checkpoint
from deblur_vae.model import VAE_UNet, load_model, save_model
from deblur_vae.restore import RestoreNet

SEED = 29
WAYS = (*ANYWHERE, flip_one_bit, flip_one_bit)


def whole(folder: Path) -> dict[str, bytes]:
    "Files of ours and of the post, by name."
    net = VAE_UNet(latent_dim=2, width=2, image_size=(32, 32))
    save_model(net, folder / 'best.safetensors', epoch=3)
    save_model(RestoreNet(), folder / 'restore.safetensors')
    state = dict(config=dict(seed=0), epoch=1, losses=[2.5], model=net.state_dict())
    save_checkpoint(folder / 'last.pt', state)
    torch.save(VAE_UNet(latent_dim=2, width=2).state_dict(), folder / 'post.pt')
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def loaded(path: Path) -> dict:
    "What the package makes of a file."
    if path.name == 'last.pt': return load_checkpoint(path)
    model = load_model(path, 'cpu', (VAE_UNet, RestoreNet))
    return dict(model.state_dict(), config=repr(model.config))


def fault_of(path: Path, expected: dict | None) -> str | None:
    "How a file was lost: other than refused in a line, or taken for what it is not."
    try: found = loaded(path)
    except (ValueError, OSError) as error:
        line = str(error)
        if not line.startswith(str(path)): return f'does not name the file: {line!r}'
        return f'several lines: {line!r}' if '\n' in line else None
    except Exception as error: return f'{type(error).__name__}: {str(error)[:300]}'
    if expected is not None and same_state(found, expected): return None
    return 'loads as something else'


@pytest.mark.parametrize('copies', [120, campaign(1000)])
def test_damaged_weights(tmp_path, tally, copies):
    files, random = whole(tmp_path), np.random.default_rng(SEED)
    expected = {name: loaded(tmp_path / name) for name in files}
    with tally('weights, damaged', SEED) as weights:
        for n in range(copies):
            name = list(files)[n % len(files)]
            path = tmp_path / name
            path.write_bytes(damaged(files[name], random, WAYS, most=2))
            weights.count(f'number {n}, {name}', fault_of(path, expected[name]))
            path.write_bytes(files[name])


class Call:
    "Calls a function when it is unpickled, by a name that is looked up."
    def __init__(self, module: str, name: str, *args):
        self.function, self.args = getattr(__import__(module), name), args
    def __reduce__(self): return self.function, self.args


def bombs(mark: Path) -> list:
    "Objects which leave `mark` where they are unpickled."
    there, code = str(mark), f'__import__("os").mkdir({str(mark)!r})'
    return [Bomb(mark), Call('os', 'system', f'mkdir {there}'),
            Call('builtins', 'exec', code), Call('builtins', 'eval', code),
            Call('subprocess', 'call', ['mkdir', there]),
            Call('os', 'makedirs', there), Call('posix', 'mkdir', there)]


def repacked(content: bytes, change) -> bytes:
    "A file of `torch.save` whose pickle `change` has rewritten."
    source, out = zipfile.ZipFile(BytesIO(content)), BytesIO()
    with zipfile.ZipFile(out, 'w') as target:
        for part in source.infolist():
            body = source.read(part)
            if part.filename.endswith('data.pkl'): body = change(body)
            target.writestr(part, body)
    return out.getvalue()


def pickled(content: bytes, mark: Path, random: np.random.Generator) -> bytes:
    "A malicious file: bare, inside a state, before or behind its pickle."
    bomb = bombs(mark)[random.integers(0, 7)]
    bare = pickle.dumps(bomb, protocol=int(random.integers(0, 6)))
    match random.integers(0, 5):
        case 0: return bare
        case 1: return repacked(content, lambda body: bare)
        case 2: return repacked(content, lambda body: bare[:-1] + b'0' + body)
        case 3: return repacked(content, lambda body: body[:-1] + bare[2:])
    torch.save({'model': bomb, 'w': torch.ones(2)}, out := BytesIO())
    return out.getvalue()


@pytest.mark.parametrize('copies', [120, campaign(1000)])
def test_malicious_weights(tmp_path, tally, copies):
    "Half of them damaged besides. A file of each is tried under each name."
    mark, random = tmp_path / 'mark', np.random.default_rng([SEED, 1])
    for bomb in bombs(mark):
        pickle.loads(pickle.dumps(bomb))
        mark.rmdir()
    (folder := tmp_path / 'files').mkdir()
    files = whole(folder)
    with tally('malicious pickles', SEED) as pickles:
        for n in range(copies):
            content = pickled(files[('post.pt', 'last.pt')[n % 2]], mark, random)
            if n % 4 > 1: content = damaged(content, random, WAYS)
            path = folder / list(files)[random.integers(0, len(files))]
            path.write_bytes(content)
            fault = fault_of(path, None)
            pickles.count(f'number {n}, {path.name}', fault, mark.exists() and 'it ran')
            if mark.exists(): mark.rmdir()
