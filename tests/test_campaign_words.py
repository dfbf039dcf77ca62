"""Command lines that make no sense, made from the parser's own options: each ends in an
exit code that is documented, and never in a traceback."""
import io
import resource
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from conftest import campaign
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

import deblur_vae.cli as cli
from deblur_vae.checkpoint import save_checkpoint
from deblur_vae.model import VAE_UNet, save_model
from deblur_vae.portraits import dataset

SEED = 23
CODES = 0, 1, 2  # 1: some pictures of several failed, or a run cannot go on
MEMORY = 4 * 10**9  # bytes that a line may take
COMMANDS = cli.app_command().commands
SEVERAL = 3  # portraits that a line may draw

NUMBERS = ('-1', '0', '1', '2', '40', '-5', '1e3', '1.5', '٣', '0x10', '', ' 7', '1_0',
           '9' * 25, '2147483648', str(2**63), 'nan', 'inf', '-inf', '1e308', '1e-320',
           '-0.0', '0.5', 'many')
PLACES = (
    'a.png', 'b.png', 'folder', 'folder/', 'nowhere', 'nowhere/x.png', '*.png', 'faces',
    'words.txt', 'half.png', 'best.safetensors', 'last.pt', 'cut.safetensors', 'empty',
    '', ' ', '.', './', 'a.png/x', 'x.gif', 'new/x.jpg', 'é.png', 'a\nb.png', '~', '--',
    '\x1b[2J.png', 'x' * 300, '[', '?', 'a.png:stream', '\udce9.png')
BLURS = ('gaussian:2', 'gaussian:-1', 'gaussian:nan', 'gaussian:1e9', 'disc:0', 'none',
         'motion:9@', 'motion:9@nan', 'turned:3', 'disc:3,0.8', *PLACES[:4])
REGIONS = ('1,2,16,16', '0,0,9999,9999', '-1,0,5,5', '0,0,0,0', ',,,', '1,2', '1,2,3,x')
FILTERS = 'Male=1', 'Male=2', 'Male=-1', 'Nobody=1', '=', 'x', 'Male', 'Male=1=1', '=1'
DEVICES = 'cpu', 'cuda', 'cuda:99', 'cuda:-1', 'meta', 'mps', 'CPU', 'xla', 'cpu:0', ''
CHOICES = ('restore', 'classical', 'told', 'lucy', 'wiener', 'auto', 'bf16', 'last',
           'best', 'LAST')
# What is likely to be understood as far as the parser goes; else a number.
LIKELY = {'BLUR': BLURS, 'X,Y,W,H': REGIONS, 'NAME=1': FILTERS, 'DEVICE': DEVICES,
          None: CHOICES, 'NAME...': CHOICES, '[last|best]': CHOICES,
          'DIR': PLACES, 'FILE': PLACES, 'OUT': PLACES}
ANY = st.one_of(st.sampled_from(NUMBERS + PLACES + BLURS + CHOICES), st.text(max_size=9)
                ).filter(lambda text: '\0' not in text and '/' not in text[:1])


@st.composite
def options(draw, command) -> list[str]:
    "An option of the command with as many values as it takes, or not quite."
    def rarely() -> bool: return draw(st.integers(0, 9)) == 0

    option = draw(st.sampled_from(command.params))
    if option.param_type_name == 'argument':
        return draw(st.lists(st.sampled_from(PLACES), max_size=3))
    name = draw(st.sampled_from([*option.opts, *option.secondary_opts]))
    if rarely(): name = name[:draw(st.integers(1, len(name)))]
    count = 0 if option.is_flag else option.nargs
    if rarely(): count = draw(st.integers(0, 3))
    values = st.sampled_from(LIKELY.get(option.metavar, NUMBERS))
    values = [draw(ANY if rarely() else values) for _ in range(count)]
    return [f'{name}={values[0]}'] if values and rarely() else [name, *values]


@st.composite
def lines(draw) -> list[str]:
    "Words behind `deblur-vae`."
    if draw(st.integers(0, 19)) == 0:
        return draw(st.lists(ANY | st.sampled_from(['--help', '--version', '-h'])))
    name = draw(st.sampled_from(sorted(COMMANDS)))
    words = [name]
    if name == 'enhance': words += ['a.png']
    if name in ('train', 'evaluate') and draw(st.integers(0, 4)):
        words += ['--data', 'faces']
    if name in ('portraits', 'export') and draw(st.integers(0, 4)):
        words += [dict(portraits='--out', export='--onnx')[name], 'new']
    for _ in range(draw(st.integers(0, 3))): words += draw(options(COMMANDS[name]))
    return words


class Reached(Exception):
    "The line makes sense: the work would begin."


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with files to name, and commands that stop where hours of work would
    begin."""
    def work(*_, **__): raise Reached
    monkeypatch.setattr(cli, 'train_and_report', work)
    monkeypatch.setattr('deblur_vae.evaluate.evaluate', work)
    monkeypatch.setattr('deblur_vae.onnx.export_onnx', work)

    def few(out, n, seed=0):
        return whole(out, min(n, SEVERAL), seed, workers=1, progress=False)
    whole, folder = dataset.write_portraits, tmp_path / 'deep' / 'place'
    whole(folder / 'faces', 4, workers=1, progress=False)
    for name in ('portraits', 'portraits.dataset'):
        monkeypatch.setattr(f'deblur_vae.{name}.write_portraits', few)
    monkeypatch.delenv('DATASET', raising=False)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.chdir(folder)
    fill(folder)
    return folder


def fill(folder: Path) -> None:
    "Whole and damaged files."
    for name in ('a.png', 'b.png', 'folder/c.png', 'é.png'):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new('RGB', (20, 18), 'grey').save(folder / name)
    (folder / 'empty').mkdir()
    (folder / 'words.txt').write_text('words')
    (folder / 'half.png').write_bytes((folder / 'a.png').read_bytes()[:40])
    net = VAE_UNet(latent_dim=2, width=2)
    save_model(net, folder / 'best.safetensors')
    whole = (folder / 'best.safetensors').read_bytes()
    (folder / 'cut.safetensors').write_bytes(whole[:-9])
    save_checkpoint(folder / 'last.pt', dict(config={}, epoch=1, losses=[], model={}))


def terminal(errors: str) -> io.TextIOWrapper:
    "What a process has as standard output (`strict`) and error (`backslashreplace`)."
    return io.TextIOWrapper(io.BytesIO(), 'utf-8', errors, write_through=True)


def fault_of(words: list[str]) -> str | None:
    "How a line was lost."
    out, err = terminal('strict'), terminal('backslashreplace')
    with redirect_stdout(out), redirect_stderr(err):
        try: code = cli.main(list(words))
        except Reached: code = 0
        except SystemExit as stop: code = stop.code
        except BaseException as error:
            return f'{type(error).__name__}: {str(error)[:300]}'
    said = err.buffer.getvalue().decode().replace('\r', '\n')
    if code not in CODES: return f'exit code {code}'
    if 'Traceback' in said: return f'said {said[-600:]!r}'
    own = [line for line in said.splitlines() if line.strip() and '%|' not in line]
    if code and not (own and own[-1].startswith('deblur-vae: ')):
        return f'ends in {said[-300:]!r}'
    return 'raw characters' if '\x1b[2J' in said else None


@pytest.fixture
def little_memory():
    "What asks for much more is refused by the system, as on a small machine."
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path('/proc/self/statm').read_text().split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.skipif(not Path('/proc').is_dir(), reason='memory is read from /proc')
@pytest.mark.parametrize('count', [60, campaign(2000)])
def test_wrong_words(place, tally, little_memory, count):
    with tally('command lines', SEED) as tried:
        @seed(SEED)
        @settings(max_examples=count, deadline=None, database=None,
                  phases=[Phase.generate], suppress_health_check=list(HealthCheck))
        @given(lines())
        def check(words): tried.count(words, fault_of(words))
        check()
    assert tried.tried == count and Path('a.png').exists()
