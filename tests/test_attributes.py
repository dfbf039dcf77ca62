"""Property tests of the attribute parser: what it reads is what was written, and
nothing makes it fall over."""
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deblur_vae.data import DataError, read_attributes

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
