"""Shards and many workers: the same pictures, the same losses, and nothing lost."""
import json
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import fsspec
import numpy as np
import pytest
import torch
from kill_storm import SMALL, Forked, await_change, loadable, unlike
from PIL import Image
from test_processes import check_like, children
from torch.utils.data import DataLoader

from deblur_vae.checkpoint import read_history
from deblur_vae.cli import main
from deblur_vae.compute import BatchShards, make_accelerator, make_loaders, shard_loader
from deblur_vae.data import DataError, open_celeba, split
from deblur_vae.model import new_model
from deblur_vae.scale import (LANES, Enhancer, ShardOrder, Shards, find_shards,
                              missing, planned, put_whole, read_shard,
                              write_shards)
from deblur_vae.store import open_store
from deblur_vae.train import train_vae_deblur

RECIPE = [*SMALL, '--batch-size', 8, '--epochs', 2, '--lr', 1e-3]


# Shards

@pytest.fixture(scope='module')
def packed(drawn, tmp_path_factory) -> dict[str, str]:
    "Patterns of shards that hold the forty portraits, seven in each."
    reason = "webdataset is not installed: pip install -e '.[webdataset]'"
    pytest.importorskip('webdataset', reason=reason)
    out = tmp_path_factory.mktemp('packed') / 'shards'
    parts = dict(zip(('train', 'val'), split(open_celeba(drawn, None, samples=None))))
    return write_shards(parts, str(out), 7, progress=False)


@pytest.fixture
def copied(packed, tmp_path) -> Path:
    "A folder with the same shards, to be spoilt."
    return Path(shutil.copytree(Path(packed['train']).parent, tmp_path / 'copied'))


def named(pattern: str) -> list: return ['--data', pattern['train'],
                                         '--val-data', pattern['val']]


def test_pictures_and_attributes_are_those_of_the_folder(drawn, packed):
    for part, pattern in zip(split(open_celeba(drawn, samples=None)), packed.values()):
        shards = Shards(find_shards(pattern))
        assert len(shards) == len(part)
        for i, (picture, attributes) in enumerate(part):
            assert torch.equal(shards[i][0], picture) and shards[i][1] == attributes


def epochs_of(parts, order, folder: Path) -> list[dict]:
    "The history of a small network that sees pictures in this order, without times."
    model = new_model(0, latent_dim=4, width=4)
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    train_vae_deblur(model, DataLoader(parts[0], 8, sampler=order),
                     DataLoader(parts[1], 8), adam, 'cpu', 2, 0, log_dir=folder)
    return [{name: value for name, value in entry.items() if 'seconds' not in name}
            for entry in read_history(folder)]


def test_losses_are_those_of_the_store_in_the_same_order(drawn, packed, tmp_path):
    shards = [Shards(find_shards(pattern)) for pattern in packed.values()]
    store = split(open_store(open_celeba(drawn, samples=None), progress=False))
    one, two = (shards[0].order(torch.Generator().manual_seed(0)) for _ in range(2))
    assert (epochs_of(store, one, tmp_path / 'store')
            == epochs_of(shards, two, tmp_path / 'shards'))


@pytest.mark.parametrize('world', [2, 4, LANES])
def test_processes_share_no_picture_and_no_shard(world):
    counts, whole = [10] * 2 * LANES, set(range(20 * LANES))
    order = ShardOrder(counts, torch.Generator().manual_seed(0))
    loader = DataLoader(range(len(whole)), 2 * LANES, sampler=order)
    batches = list(loader.batch_sampler)
    own = [sum(BatchShards(batches, rank, world), []) for rank in range(world)]
    assert sorted(sum(own, [])) == sorted(whole)
    read = [{i // 10 for i in pictures} for pictures in own]
    assert sum(map(len, read)) == len(counts)


def test_workers_change_nothing(packed):
    shards = Shards(find_shards(packed['train']))
    alone, ahead = (
        [*shard_loader(make_loaders(shards, shards, 8, 3, workers)[0],
                       make_accelerator('cpu'))] for workers in (0, 2))
    assert all(torch.equal(a, b) for a, b in zip(alone, ahead, strict=True))
    assert sum(map(len, alone)) == len(shards)


def test_few_shards_are_in_memory(packed, monkeypatch):
    monkeypatch.setattr('deblur_vae.scale.LANES', 2)
    shards = Shards(find_shards(packed['train']))
    for indices in ([0], [8], [15], [22, 0, 8]): shards.__getitems__(indices)
    assert list(shards.held) == [3, 0, 1]
    shards[22]
    assert list(shards.held) == [1, 3]


@pytest.fixture(scope='module')
def alone(packed, tmp_path_factory) -> Path:
    "A run of one process that nobody disturbs."
    folder = tmp_path_factory.mktemp('alone')
    argv = ['train', *named(packed), *RECIPE, '--out', folder / 'run']
    command = Forked(argv, folder / 'said.txt')
    assert command.wait() == 0, command.said()
    return folder / 'run'


def test_two_processes_do_what_one_does(packed, alone, launch_two, tmp_path):
    argv = ['train', *named(packed), *RECIPE, '--out', tmp_path / 'run']
    workers = launch_two(argv)
    codes = [worker.wait() for worker in workers]
    assert codes == [0, 0], workers[0].said() + workers[1].said()
    check_like(read_history(tmp_path / 'run'), read_history(alone))


@pytest.mark.campaign
def test_a_killed_run_goes_on_within_an_epoch(packed, alone, launch, tmp_path):
    argv = ['train', *named(packed), *RECIPE, '--out', tmp_path / 'run', '--resume',
            '--checkpoint-minutes', 0.0001, '--workers', 1]
    first, checkpoint = launch(*argv), tmp_path / 'run' / 'last.pt'
    await_change(checkpoint, first)
    await_change(checkpoint, first, checkpoint.stat().st_mtime_ns)
    first.send(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    assert loadable(tmp_path / 'run') > (0, 0)
    again = launch(*argv)
    assert again.wait() == 0, again.said()
    assert not unlike(tmp_path / 'run', alone)


def test_every_flipped_bit_is_found_and_named(packed, copied):
    shard = find_shards(f'{copied}/train-001.tar')[0]
    path, chance = Path(shard.url), np.random.default_rng(0)
    content = path.read_bytes()
    for bit in chance.integers(8 * len(content), size=100).tolist():
        spoilt = bytearray(content)
        spoilt[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        with pytest.raises(DataError) as error: read_shard(shard)
        assert str(error.value).startswith(f'{path} is damaged at ')
        assert any(word in str(error.value) for word in ('0000000', 'first member'))


@pytest.mark.parametrize('ahead', [[], ['--workers', 1]])
def test_damage_ends_training_with_a_line(copied, tmp_path, refuses, ahead):
    path = copied / 'train-002.tar'
    content = bytearray(path.read_bytes())
    content[700:703] = b'bad'  # in the first picture
    path.write_bytes(content)
    argv = ['train', '--data', copied / 'train-00[12].tar', '--val-data',
            copied / 'val-*.tar', *RECIPE, *ahead, '--out', 'run']
    refuses(argv, f'{path} is damaged at 000000014.', 'copy or write it again')


def test_what_is_wrong_is_said_before_training(copied, refuses, monkeypatch):
    train, val = ['train', '--data', copied / 'train-*.tar'], copied / 'val-*.tar'
    refuses(train, '--val-data')
    refuses([*train, '--val-data', val, '--samples', 3], '--samples', 'shards')
    refuses([*train, '--val-data', val, '--filter', 'Male=1'], '--filter')
    refuses([*train, '--val-data', val, '--val-samples', 3], '--val-samples')
    refuses([*train, '--val-data', val, '--size', 48, 48], '48x48')
    refuses(['train', '--data', copied, '--workers', 2], '--no-store')
    refuses(['shards', '--data', copied, '--out', copied], 'no pictures')
    for data, word in ((f'{copied}/train-{{000..009}}.tar', '-005.tar is missing'),
                       (f'{copied}/none-*.tar', f'no shard matches {copied}/none'),
                       ('nosuch://bucket/a.tar', 'nosuch://bucket/a.tar'),
                       (f'{copied}/none/a.tar', 'none holds no shards.json')):
        refuses(['train', '--data', data, '--val-data', val], word)
    (copied / 'train-003.tar').write_bytes(b'short')
    refuses([*train, '--val-data', val], 'train-003.tar', '5 bytes')
    (copied / 'shards.json').write_text('{')
    refuses([*train, '--val-data', val], 'shards.json is damaged')


def test_shards_are_whole_or_not_there(drawn, packed, tmp_path, refuses, monkeypatch):
    faces = Path(shutil.copytree(drawn / 'img_align_celeba', tmp_path / 'faces'))
    argv = ['shards', '--data', faces, '--out', tmp_path / 'new', '--size', 9]
    spoilt = sorted(faces.iterdir())[20]
    whole, _ = spoilt.read_bytes(), spoilt.write_bytes(b'no picture')
    refuses(argv, f'{spoilt} is damaged, or no picture')
    left = sorted(path.name for path in (tmp_path / 'new').iterdir())
    assert left and all(name.startswith('train-') for name in left)
    with pytest.raises(DataError, match='shards.json'):
        find_shards(f'{tmp_path}/new/train-*.tar')
    spoilt.write_bytes(whole)
    assert main(list(map(str, argv))) == 0
    assert len(Shards(find_shards(f'{tmp_path}/new/train-*.tar'))) == 32
    refuses(argv, 'holds shards')


def test_any_store_will_do(packed, drawn):
    parts = dict(train=split(open_celeba(drawn, None, samples=None))[0])
    patterns = write_shards(parts, 'memory://bucket/faces', 20, progress=False)
    assert patterns == {'train': 'memory://bucket/faces/train-{000..001}.tar'}
    there, here = Shards(find_shards(patterns['train'])), Shards(
        find_shards(packed['train']))
    assert all(torch.equal(there[i][0], here[i][0]) for i in (0, 19, 20, 31))


# Many workers

@pytest.fixture(scope='module')
def album(tmp_path_factory) -> Path:
    "Eight small pictures, one in a folder of its own, and one that is none."
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp('many') / 'album'
    (folder / 'more').mkdir(parents=True)
    for name in ('0', '1', '2', 'more/3', '4', '5', '6', '7'):
        pixels = rng.integers(0, 256, (40, 48, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f'{name}.png')
    (folder / '5.png').write_bytes(b'no picture')
    return folder


def results(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob('*.png'))}


@pytest.fixture(scope='module')
def by_command(album) -> dict[str, bytes]:
    "What `enhance` makes of the album."
    for source, out in ((album, 'a'), (album / 'more', 'a/more')):
        main(['enhance', f'{source}/*.png', '-o', f'{album.parent}/{out}/'])
    return results(album.parent / 'a')


def test_a_worker_does_what_the_command_does(album, tmp_path, by_command):
    out, worker, chosen = tmp_path / 'b', Enhancer(), ('0.png', '5.png', 'more/3.png')
    places = missing(planned([str(album)], str(out)), str(out), {})
    some = {f'{album}/{name}': places[f'{album}/{name}'] for name in chosen}
    done = worker(dict(source=list(some), place=list(some.values())))
    assert done['wrong'][::2] == ['', '']
    assert done['wrong'][1].startswith(f'{album}/5.png is not a picture')
    assert results(out) == {name: by_command[name] for name in chosen[::2]}
    assert not list(out.rglob('.*'))
    assert len(missing(places, str(out), {})) == 6


def test_any_store_holds_pictures(album, by_command):
    for name in ('0.png', 'more/3.png'):
        put_whole(f'memory://photos/{name}', (album / name).read_bytes())
    places, there = planned(['memory://photos'], 'memory://sharp'), fsspec.filesystem(
        'memory')
    assert Enhancer()(dict(source=list(places), place=list(places.values())))
    assert all(there.cat(f'/sharp/{name}') == by_command[name]
               for name in ('0.png', 'more/3.png'))


@pytest.fixture(scope='module')
def ray():
    "A Ray of two processors, which has seconds to start in."
    reason = "ray is not installed: pip install -e '.[ray]'"
    os.environ.update(RAY_USAGE_STATS_ENABLED='0', RAY_worker_niceness='0')
    ray = pytest.importorskip('ray', reason=reason)
    for _ in range(3):
        try: ray.init(num_cpus=2, object_store_memory=80 * 2**20,
                      include_dashboard=False, log_to_driver=False)
        except Exception as error: wrong = error
        else:
            yield ray
            ray.shutdown()
            return
    pytest.skip(f'Ray does not start here: {wrong}')


def enhancers() -> list[int]:
    "Processes of this test that enhance."
    found = [pid for raylet in children(os.getpid()) for pid in children(raylet)]
    return [pid for pid in found
            if b'Enhancer' in Path(f'/proc/{pid}/cmdline').read_bytes()]


@pytest.mark.skipif(not os.path.isdir('/proc'), reason='workers are found in /proc')
def test_a_killed_worker_loses_nothing(ray, album, by_command, tmp_path, capsys):
    """Two workers, one of which is killed after the first picture. A second start finds
    nothing to do."""
    faces, out, codes = shutil.copytree(album, tmp_path / 'faces'), tmp_path / 'c', []
    (faces / '5.png').unlink()
    argv = ['enhance-many', str(faces), '-o', str(out), '--workers', '2']
    running = threading.Thread(target=lambda: codes.append(main(argv)))
    running.start()
    while running.is_alive() and not list(out.rglob('*.png')): time.sleep(0.02)
    os.kill(enhancers()[0], signal.SIGKILL)
    running.join()
    assert codes == [0] and results(out) == by_command and not list(out.rglob('.*'))
    assert capsys.readouterr().out.endswith('7 of 7 pictures are done\n')

    before = {path: path.stat().st_mtime_ns for path in out.rglob('*')}
    assert main(argv) == 0 and len(before) == 9
    assert {path: path.stat().st_mtime_ns for path in out.rglob('*')} == before
    (out / '0.png').unlink()
    settings = json.loads((out / 'ledger.json').read_text())
    left = missing(planned([str(faces)], str(out)), str(out), settings)
    assert left == {f'{faces}/0.png': f'{out}/0.png'}


def test_a_picture_that_ends_workers_is_left_alone(album):
    worker, source = Enhancer(begun=lambda source: 4), str(album / '0.png')
    done = worker(dict(source=[source], place=[f'{album}/x/0.png']))
    assert done['wrong'] == [f'{source} has ended 3 workers: look at it alone']


def test_what_is_wrong_is_said_before_enhancing(album, refuses, monkeypatch):
    many = ['enhance-many', album]
    refuses([*many, '-o', album / 'more'], f'{album}/more/3.png lies in')
    (album.parent / 'again').mkdir()
    shutil.copy(album / '0.png', album.parent / 'again')
    refuses([*many, album.parent / 'again', '-o', 'new'], 'would be the result of')
    refuses(['enhance-many', 'nosuch://bucket', '-o', 'new'], 'nosuch://bucket')
    refuses(['enhance-many', album / '*.jpg', '-o', 'new'], 'no pictures')
    monkeypatch.setitem(sys.modules, 'ray', None)  # as if it were not installed
    refuses([*many, '-o', album.parent / 'none'], "pip install 'deblur_vae[ray]'")
    assert not (album.parent / 'none').exists()


def test_results_of_other_settings_are_left_alone(album, tmp_path):
    shutil.copy(album / '0.png', tmp_path)
    places = planned([str(album)], str(tmp_path))
    for ledger, words in ((None, 'holds pictures, but no ledger.json'),
                          (dict(strength=0.5), 'strength: 0.5 there, 1.0 here')):
        if ledger: (tmp_path / 'ledger.json').write_text(json.dumps(ledger))
        with pytest.raises(DataError, match=words):
            missing(places, str(tmp_path), dict(strength=1.0))
