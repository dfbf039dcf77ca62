"""The command line of Typer against that of argparse, which was here before it.

`command_line.json` keeps what argparse made of 227 calls. Besides: what help, errors,
completion and a start of the command need.
"""
import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import asdict, is_dataclass

import pytest

from conftest import ROOT
from deblur_vae import __version__
from deblur_vae.cli import app_command, main, parse

FILE = ROOT / 'tests' / 'command_line.json'
OLD = json.loads(FILE.read_text(encoding='utf-8'))
# What is other than before: calls that Typer takes, and words of its messages.
TAKEN = {
    'enhance a.png --force b.png': dict(pictures=['a.png', 'b.png'], force=True),
    'train --store': dict(),
}
# Calls that argparse took, and that ended in a traceback or in something that nobody
# meant: now refused, by this word.
REFUSED = {f'train --latent-dim {size}': ['--latent-dim'] for size in (0, -3)} | {
    f'train --seed{equals}-1': ['--seed'] for equals in (' ', '=')} | {
    f'enhance {words}': ["''"] for words in ('', 'a.png --region ', 'a.png --out ')}
# Options that are new, and what they are if they are not given.
NEW = {'enhance': dict(jobs=1, max_seconds=None)}
# What versions of Typer take differently; `enhance` itself refuses a strength of NaN.
EITHER = {'enhance a.png --tile 5.0', 'enhance a.png --strength nan'}
SAID = {'enhance -dash.png': ['-d'], 'train --epochs 0 --help': 'help'}


def refused(argv):
    "Exit code, standard output and standard error of words that ask for no call."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        with pytest.raises(SystemExit) as stop: parse(argv)
    return stop.value.code, out.getvalue(), err.getvalue()


def values_of(call):
    "Options by name, whatever group they are in, as JSON has them."
    values = {}
    for name, value in call.keywords.items():
        values |= asdict(value) if is_dataclass(value) else {name: value}
    return json.loads(json.dumps(values))


def words_of(error):
    "What a message of argparse names: a command, a word too many, or options."
    if error.startswith('argument COMMAND'):
        return re.findall(r"choice: '(\S+)'", error)
    if error.startswith('unrecognized'): return [error.replace(' -- ', ' ').split()[2]]
    return re.findall(r'(?<![\w-])-{1,2}[a-z][\w-]*|PICTURE', error.split('invalid')[0])


def check_taken(argv, function, differs):
    call, usual = parse(argv), OLD['defaults'][argv[0]] | NEW.get(argv[0], {})
    found, expected = values_of(call), usual | differs
    assert call.func.__name__ == function
    assert found == {name: expected[name] for name in found}
    # `demo` has fixed values for the options of `train` that it does not offer
    assert argv[0] == 'demo' or set(found) == set(expected)


def check_answered(argv, what):
    code, out, err = refused(argv)
    assert code == 0 and not err
    if what == 'version': assert out == f'{__version__}\n'
    else: assert out.startswith('Usage: deblur-vae') and '--help' in out


def check_refused(argv, words):
    code, out, err = refused(argv)
    usage, line = err.splitlines()
    assert code == 2 and not out
    assert usage.startswith('usage: deblur-vae') and line.startswith('deblur-vae: ')
    for word in words: assert word in line, line


CALLS = [case for case in OLD['calls'] if ' '.join(case['argv']) not in EITHER]


@pytest.mark.parametrize('case', CALLS, ids=lambda case: ' '.join(case['argv']))
def test_every_call_of_before(case):
    argv, text = case['argv'], ' '.join(case['argv'])
    if text in REFUSED: check_refused(argv, REFUSED[text])
    elif text in TAKEN: check_taken(argv, f'run_{argv[0]}', TAKEN[text])
    elif 'runs' in case: check_taken(argv, case['runs'], case['differs'])
    elif 'help' in (SAID.get(text), case.get('prints')): check_answered(argv, 'help')
    elif 'prints' in case: check_answered(argv, case['prints'])
    else: check_refused(argv, SAID.get(text) or words_of(case['error']))


def test_names_that_are_no_text(monkeypatch):
    "Bytes of a file name that are not UTF-8 come through, as they came before."
    name = os.fsdecode(b'\xff.png')
    monkeypatch.setattr(sys, 'argv', ['deblur-vae', 'enhance', name, '-o', name])
    call = parse()
    assert call.keywords['pictures'] == [name] and call.keywords['result'].out == name


def test_a_number_that_is_none_is_refused():
    check_refused(['train', '--ema', 'nan'], ['--ema', 'nan'])
    check_refused(['enhance', 'a.png', '--max-megapixels', 'inf'], ['--max-megapixels'])


@pytest.mark.parametrize('name', app_command().commands)
def test_help_has_every_option_and_default(name, capsys):
    with pytest.raises(SystemExit, match='0'): main([name, '--help'])
    shown = capsys.readouterr().out
    for param in app_command().commands[name].params:
        for option in (*param.opts, *param.secondary_opts):
            assert param.param_type_name == 'argument' or option in shown
        assert param.help and param.help.split()[0] in shown, param
    assert '\x1b' not in shown and '│' not in shown, 'plain text where nobody looks on'


def on_a_terminal(argv):
    "What the command writes to a terminal of 80 columns."
    main_end, its_end = pty.openpty()
    env = os.environ | dict(TERM='xterm-256color', COLUMNS='80')
    env.pop('NO_COLOR', None)
    command = subprocess.Popen([sys.executable, '-m', 'deblur_vae', *argv],
                               stdout=its_end, stderr=its_end, env=env)
    os.close(its_end)
    said = b''
    with contextlib.suppress(OSError):  # the other end was closed
        while part := os.read(main_end, 4096): said += part
    os.close(main_end)
    return command.wait(60), said.decode()


def test_help_in_colour_on_a_terminal():
    code, said = on_a_terminal(['train', '--help'])
    plain = re.sub(r'\x1b\[[\d;]*m', '', said)
    assert code == 0 and said != plain
    for title in ('Pictures', 'Network', 'Recipe', 'Run', 'Engine'):
        assert f'─ {title} ─' in plain
    for param in app_command().commands['train'].params: assert param.opts[0] in plain
    code, said = on_a_terminal(['train', '--epochs', 'many'])
    assert code == 2 and said.count('\n') == 2 and '\x1b' not in said


HEAVY = """
import sys
from deblur_vae.cli import main
try: main(sys.argv[1:])
except SystemExit: pass
heavy = {'torch', 'numpy', 'matplotlib', 'PIL', 'accelerate'} & set(sys.modules)
if heavy: raise ImportError(heavy)
"""


@pytest.mark.parametrize('argv', [
    ['--help'], ['train', '--help'], ['--version'], [], ['enhance'],
    ['train', '--epochs', '0']], ids=' '.join)
def test_words_alone_import_nothing_heavy(argv):
    done = subprocess.run([sys.executable, '-c', HEAVY, *argv], capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


def completed(*words):
    asked = dict(_DEBLUR_VAE_COMPLETE='complete_bash', COMP_CWORD=str(len(words)),
                 COMP_WORDS=' '.join(['deblur-vae', *words]))
    done = subprocess.run([sys.executable, '-m', 'deblur_vae'], env=os.environ | asked,
                          capture_output=True, text=True)
    return done.stdout.split()


def test_completion():
    assert completed('e') == ['enhance', 'enhance-many', 'export', 'evaluate']
    assert '--max-megapixels' in completed('enhance', '--m')
    assert completed('train', '--resume', '--precision', 'b') == ['bf16']
