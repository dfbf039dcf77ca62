"""Streams and words of the command: pictures through standard input and output, whoever
has left, letters that a terminal would obey, and values that make no sense."""
import errno
import io
import os
import pty
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
from PIL import Image

from deblur_vae.cli import main
from deblur_vae.files import deep_png

FAST = '--method', 'classical', '--kernel', 'gaussian:0.8', '--device', 'cpu'


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch): monkeypatch.chdir(tmp_path)


def picture(name='a.png', **options):
    y, x = np.mgrid[:20, :30]
    pixels = (128 + 60 * np.sin(x / 2) * np.cos(y / 3)).astype(np.uint8)
    Image.fromarray(pixels).save(name, **options)
    with open(name, 'rb') as file: return file.read()


def stream(content=b''):
    "A stream of bytes under a stream of words, as the standard ones are."
    return io.TextIOWrapper(io.BytesIO(content), encoding='utf-8')


def piped(monkeypatch, content, *argv):
    "Exit code, what went to standard output, and the lines on standard error."
    out, err = stream(), io.StringIO()
    monkeypatch.setattr(sys, 'stdin', stream(content))
    with redirect_stdout(out), redirect_stderr(err):
        code = main(['enhance', *argv, *FAST])
    lines = [line for line in err.getvalue().replace('\r', '\n').split('\n')
             if line.startswith('deblur-vae: ')]
    return code, out.buffer.getvalue(), lines


@pytest.mark.parametrize('name, argv, kind', [
    ('a.png', ['-'], 'PNG'), ('a.jpg', ['-'], 'JPEG'), ('a.webp', ['-'], 'WEBP'),
    ('a.jpg', ['-', '-o', 'png:-'], 'PNG'), ('a.png', ['a.png', '-o', '-'], 'PNG')])
def test_a_picture_goes_through(monkeypatch, name, argv, kind):
    content = picture(name)
    assert main(['enhance', name, '-o', f'b.{kind.lower()}', *FAST]) == 0
    code, out, lines = piped(monkeypatch, content, *argv)
    assert code == 0 and not lines and len(os.listdir()) == 2
    with open(f'b.{kind.lower()}', 'rb') as file: assert out == file.read()
    with Image.open(io.BytesIO(out)) as image: assert image.format == kind


def test_sixteen_bits_go_through(monkeypatch):
    bands = np.random.default_rng(0).integers(0, 65536, (20, 30, 3), np.uint16)
    code, out, lines = piped(monkeypatch, deep_png(bands), '-', '--strength', '0')
    assert code == 0 and not lines and out == deep_png(bands)


def test_from_standard_input_into_a_file(monkeypatch):
    code, out, _ = piped(monkeypatch, picture(), '-', '-o', 'b.png', '--compare')
    assert code == 0 and out == b'b.png\n'
    assert sorted(os.listdir()) == ['a.png', 'b-compare.png', 'b.png']


@pytest.mark.parametrize('content, argv, words', [
    (b'', ['-'], 'standard input is empty'),
    (b'Dear all,', ['-'], 'standard input is not a picture'),
    (b'\x89PNG\r\n\x1a\n', ['-'], 'standard input is damaged'),
    (None, ['-', '-o', 'xyz:-'], 'xyz'),
    (None, ['-', '--compare'], 'give -o'),
    (None, ['-', '-o', './'], './ is a folder'),
    (None, ['-', 'a.png'], 'one picture, not 2'),
    (None, ['a.png', 'b.png', '-o', '-'], 'one picture, not 2'),
    (None, ['-', '--max-megapixels', '0.0001'], 'more than'),
    (None, ['-', '--max-seconds', '1e-9'], 'takes longer than 1e-09 s'),
])
def test_what_does_not_go_through(monkeypatch, content, argv, words):
    picture('b.png')
    good = picture()
    code, out, lines = piped(monkeypatch, good if content is None else content, *argv)
    line, = lines
    assert code == 2 and not out and words in line, line
    assert sorted(os.listdir()) == ['a.png', 'b.png']


def test_a_terminal_is_no_place_for_a_picture(monkeypatch, capsys):
    picture()
    screen, keyboard = pty.openpty()
    with os.fdopen(keyboard, 'w', buffering=1) as terminal:
        with redirect_stdout(terminal): code = main(['enhance', 'a.png', '-o', '-'])
        monkeypatch.setattr(sys, 'stdin', terminal)
        assert code == 2 == main(['enhance', '-', '-o', 'b.png'])
    os.close(screen)
    said = capsys.readouterr().err
    assert said.count('is a terminal') == 2 and said.count('\n') == 2
    assert os.listdir() == ['a.png']


class Gone(io.TextIOWrapper):
    "A stream whose reader has left."
    def __init__(self):
        reader, writer = os.pipe()
        os.close(reader)
        super().__init__(os.fdopen(writer, 'wb', buffering=0), 'utf-8',
                         write_through=True)


def test_nobody_reads_what_is_said(capsys):
    "The result is there, and the exit code is that of the work."
    picture()
    with Gone() as gone, redirect_stdout(gone):
        assert main(['enhance', 'a.png', *FAST]) == 0
        assert main(['enhance', 'a.png', *FAST]) == 2
    with Gone() as gone, redirect_stdout(gone):
        assert main(['enhance', 'a.png', '-o', '-', *FAST]) == 141
    assert sorted(os.listdir()) == ['a-enhanced.png', 'a.png']
    assert 'roken pipe' not in capsys.readouterr().err


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='there is no /dev/full')
def test_no_room_for_what_is_said(capsys):
    picture()
    with open('/dev/full', 'w') as full, redirect_stdout(full):
        assert main(['enhance', 'a.png', *FAST]) == 2
    assert capsys.readouterr().err.count('\n') == 1


def test_closed_streams_and_other_alphabets():
    "In processes of their own; `--help` is answered without PyTorch."
    command = f'{sys.executable} -m deblur_vae.cli'
    for words, code in (('enhance --help >&-', 0), ('enhance --help | :', 0),
                        ('enhance --help <&- 2>&-', 0), ('enhance --tile x 2>&-', 2)):
        done = subprocess.run(f'{command} {words}', shell=True, capture_output=True)
        assert done.returncode == code and b'Traceback' not in done.stderr, words
    ascii = dict(os.environ, LC_ALL='C', PYTHONIOENCODING='ascii', PYTHONUTF8='0')
    for name in ('', 'enhance', 'train'):
        done = subprocess.run([*command.split(), *name.split(), '--help'], env=ascii,
                              capture_output=True)
        assert done.returncode == 0 and done.stdout.isascii(), name
        assert not done.stderr


def test_letters_that_a_terminal_would_obey(capsys):
    for name in ('\x1b[31mred\n.png', 'rtl\u202egnp.png'):
        assert main(['enhance', name]) == 2
        line = capsys.readouterr().err
        assert line.isprintable() is False and line.rstrip('\n').isprintable()
        assert name[-4:] in line and line.count('\n') == 1
    picture(odd := '\x1b[2J\n.png')
    screen, keyboard = pty.openpty()
    with os.fdopen(keyboard, 'w', buffering=1) as terminal, redirect_stdout(terminal):
        assert main(['enhance', odd, *FAST]) == 0
        shown = os.read(screen, 1000).decode()
    os.close(screen)
    assert shown == '\\x1b[2J\\n-enhanced.png\r\n'
    assert main(['enhance', odd, '--force', *FAST]) == 0
    assert capsys.readouterr().out == '\x1b[2J\n-enhanced.png\n', 'as it is, to others'


@pytest.mark.parametrize('argv, words', [
    (['enhance', ''], "''"), (['enhance', 'a.png', '-o', ''], '-o/--out'),
    (['enhance', 'a.png', '--region', ''], '--region'),
    (['enhance', 'a.png', '--max-megapixels', 'inf'], '--max-megapixels'),
    (['enhance', 'a.png', '--max-megapixels', '1e300'], '--max-megapixels'),
    (['enhance', 'a.png', '--max-seconds', '0'], '--max-seconds'),
    (['enhance', 'a.png', '--max-seconds', 'nan'], '--max-seconds'),
    (['enhance', 'a.png', '--jobs', '0'], '--jobs'),
    (['portraits', '--out', 'p', '--seed', '-1'], '--seed'),
    (['train', '--seed', '-1'], '--seed'), (['evaluate', '--seed', '-1'], '--seed'),
])
def test_values_without_sense_name_their_option(argv, words, capsys):
    picture()
    with pytest.raises(SystemExit, match='2'): main(argv)
    usage, line, rest = capsys.readouterr().err.split('\n')
    assert usage.startswith('usage: ') and not rest
    assert words in line and line.startswith('deblur-vae: ')
    assert os.listdir() == ['a.png']


def test_portraits_on_a_full_disk(monkeypatch, capsys):
    "The folder is named, and nothing is left."
    def full(*_): raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr('deblur_vae.portraits.dataset.draw_portrait', full)
    assert main(['portraits', '--out', 'new', '-n', '1']) == 2
    line = capsys.readouterr().err.split('deblur-vae: ')[1]
    assert line == ('new could not be written (No space left on device); nothing of it '
                    'is left\n')
    assert not os.listdir()
