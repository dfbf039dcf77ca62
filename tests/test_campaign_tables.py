"""Damaged attribute and partition files: each is read as a table that makes sense, or
refused in one line that names it."""
import re

import numpy as np
import pytest
from conftest import campaign
from damage import IN_TEXT, damaged

from deblur_vae.data import DataError, open_celeba, read_attributes, read_partition

SEED = 17
FILES = [f'{n:06}.jpg' for n in range(1, 13)]


def tables() -> dict[str, bytes]:
    "In CelebA's own form and as CSV."
    random = np.random.default_rng(3)
    names = ['Male', 'Smiling', '5_o_Clock_Shadow']
    values = random.choice([-1, 1], (len(FILES), len(names)))
    parts = random.integers(0, 3, len(FILES))
    rows = [f'{file}  {" ".join(map(str, row))}' for file, row in zip(FILES, values)]
    csv = [f'{file},{",".join(map(str, row))}' for file, row in zip(FILES, values)]
    texts = {
        'list_attr_celeba.txt': [str(len(FILES)), ' '.join(names), *rows],
        'list_attr_celeba.csv': [f'image_id,{",".join(names)}', *csv],
        'list_eval_partition.txt': [f'{file} {n}' for file, n in zip(FILES, parts)],
        'list_eval_partition.csv': ['image_id,partition', *(
            f'{file},{n}' for file, n in zip(FILES, parts))],
    }
    return {name: ('\n'.join(lines) + '\n').encode() for name, lines in texts.items()}


def fault_of(error: Exception, path) -> str | None:
    "What is wrong with how a table was refused."
    line = str(error)
    if not isinstance(error, DataError): return f'{type(error).__name__}: {line}'
    if not line.startswith(str(path)): return f'does not name the file: {line!r}'
    if re.search(r'[\0-\x1f\x7f-\x9f\u2028\u2029]', line): return f'raw: {line!r}'
    if len(line) > len(str(path)) + 400: return f'endless: {line[:600]!r}'
    return None


def read(path) -> str | None:
    "What is wrong with what was read of a table."
    if 'partition' in path.name:
        parts = read_partition(path, np.array([file.encode() for file in FILES]))
        right = parts.shape == (len(FILES),) and set(parts.tolist()) <= {0, 1, 2}
        return None if right else f'parts {parts}'
    names, files, values = read_attributes(path)
    if values.shape != (len(files), len(names)): return f'shape {values.shape}'
    if not set(values.ravel().tolist()) <= {-1, 1}: return f'values {values}'
    outside = [file for file in files.tolist()
               if re.search(rb'[/\\:\0]', file) or file in (b'', b'.', b'..')]
    return f'files {outside}' if outside else None


@pytest.mark.parametrize('copies', [300, campaign(10_000)])
def test_damaged_tables(tmp_path, tally, copies):
    whole, random = tables(), np.random.default_rng(SEED)
    (tmp_path / FILES[0]).touch()
    with tally('attribute and partition files, damaged', SEED) as tables_tried:
        for n in range(copies):
            name, content = list(whole.items())[n % len(whole)]
            path = tmp_path / name
            path.write_bytes(damaged(content, random, IN_TEXT))
            try: fault = read(path)
            except Exception as error: fault = fault_of(error, path)
            kept = path.read_bytes() if fault else b''
            tables_tried.count(f'number {n}, {name}, {kept!r}', fault)


def test_damaged_tables_beside_pictures(tmp_path):
    "Found by `open_celeba`, a damaged table is refused as well, and never passed over."
    (tmp_path / FILES[0]).touch()
    for content in (b'', b'\0\0', b'\xff\xfe1\0', b'12\nMale\n'):
        (tmp_path / 'list_attr_celeba.txt').write_bytes(content)
        with pytest.raises(DataError, match='list_attr_celeba.txt'):
            open_celeba(tmp_path)
