"""The exported network: small, the same numbers as PyTorch, refused in one line where
it cannot be, and nothing left behind."""
import ast
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import deblur_vae.onnx
from deblur_vae import __version__
from deblur_vae.model import VAE_UNet
from deblur_vae.onnx import (
    CLOSE, check_onnx, export_onnx, halve_weights, trial, weights_sha256)
from deblur_vae.restore import SEEN, RestoreNet

for package in ('onnx', 'onnxscript', 'onnxruntime'):
    reason = f"{package} is not installed: pip install -e '.[onnx]'"
    pytest.importorskip(package, reason=reason, exc_type=ImportError)

SMALL = dict(channels=8, context=16, tail=8, dilations=(1, 2), deep=1)


@pytest.fixture(scope='module', autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scrambled(seed, scale=0.05, **config):
    "A network none of whose weights is zero."
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = RestoreNet(**config)
        with torch.no_grad():
            for weight in model.parameters(): weight += scale * torch.randn_like(weight)
    return model.eval()


@pytest.fixture(scope='module')
def small(): return scrambled(1, 0.1, **SMALL)


@pytest.fixture(scope='module')
def small_file(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp('onnx') / 'new'
    return export_onnx(small, str(folder / 'small.onnx'))


@pytest.fixture
def again(small_file, monkeypatch):
    "Lets `export_onnx` find its graph at once."
    import onnx
    monkeypatch.setattr('deblur_vae.onnx.traced', lambda network: onnx.load(small_file))


def one_line(error): return '\n' not in str(error.value)


def test_alone(small_file):
    assert os.listdir(small_file.parent) == ['small.onnx']


def test_as_pytorch(small_file, small):
    apart = [check_onnx(small_file, small, seed) for seed in range(5)]
    assert 0 < min(apart) and max(apart) < CLOSE


def test_trial_pictures():
    pictures = trial(64, 72, seed=3)
    assert pictures.shape == (4, SEEN, 64, 72)
    assert torch.equal(pictures, trial(64, 72, seed=3))
    assert not torch.equal(pictures, trial(64, 72, seed=4))
    blurry = pictures[:, :3]
    assert blurry.min() >= 0 and blurry.max() <= 1
    assert blurry[3].std((1, 2)).max() < 1e-6
    assert blurry.diff(dim=3).abs().mean((1, 2, 3)).argsort().tolist()[:2] == [3, 1]


def test_any_size(small_file, small):
    import onnxruntime
    session = onnxruntime.InferenceSession(small_file)
    for size in [(16, 24), (200, 168)]:
        x = torch.rand(1, SEEN, *size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad(): theirs = small(x, True).numpy()
        apart = np.abs(session.run(None, {'seen': x.numpy()})[0] - theirs)
        assert apart[:, :3].max() < 1e-2
        assert (apart[:, 3:] / np.maximum(1, theirs[:, 3:])).max() < 1e-2


def test_what_is_in_it(small_file, small):
    import onnx
    proto = onnx.load(small_file)
    onnx.checker.check_model(proto, full_check=True)
    about = {prop.key: prop.value for prop in proto.metadata_props}
    assert json.loads(about['config']) == small.config
    assert about['class'] == 'RestoreNet' and about['licence'] == 'CC BY 4.0'
    assert about['version'] == __version__ and about['sha256'] == weights_sha256(small)
    assert proto.opset_import[0].version == 18 and len(proto.opset_import) == 1
    assert not any(node.doc_string or node.metadata_props for node in proto.graph.node)
    content = small_file.read_bytes()
    assert b'deblur_vae/' not in content and b'.py' not in content


def test_weights_are_exact(small_file, small):
    "Every weight that matters is found in the file, as float16 holds it."
    import onnx
    arrays = [onnx.numpy_helper.to_array(tensor)
              for tensor in onnx.load(small_file).graph.initializer]
    stored = {np.sort(array.astype(np.float16), None).tobytes() for array in arrays
              if array.dtype.kind == 'f' and array.max() < 6e4}
    missing = [name for name, weight in small.state_dict().items()
               if np.sort(weight.half().numpy(), None).tobytes() not in stored]
    assert missing == []


def test_halving_keeps_what_float16_cannot_hold():
    import onnx
    arrays = dict(
        exact=np.full(300, 0.5, np.float32), fine=np.full(300, 0.1, np.float32),
        huge=np.full(300, 1e6, np.float32), whole=np.arange(300),
        few=np.full(3, 0.5, np.float32), idle=np.zeros(300, np.float32))
    kinds = {'whole': onnx.TensorProto.INT64}
    helper, nodes, outputs = onnx.helper, [], []
    for name, array in arrays.items():
        if name == 'idle': continue
        kind = kinds.get(name, onnx.TensorProto.FLOAT)
        nodes.append(helper.make_node('Identity', [name], [f'{name}.out']))
        outputs.append(helper.make_tensor_value_info(f'{name}.out', kind, array.shape))
    weights = [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()]
    graph = helper.make_graph(nodes, 'test', [], outputs, weights)
    opset = helper.make_opsetid('', 18)
    shrunk = halve_weights(helper.make_model(graph, opset_imports=[opset]))
    names = [tensor.name for tensor in shrunk.graph.initializer]
    assert names == ['exact.half', 'fine', 'huge', 'whole', 'few']
    import onnxruntime
    results = onnxruntime.InferenceSession(shrunk.SerializeToString()).run(None, {})
    for name, result in zip(arrays, results):
        assert (result == arrays[name]).all() and result.dtype == arrays[name].dtype


def test_networks_refused(tmp_path):
    words = 'only a RestoreNet can be exported, not VAE_UNet'
    with pytest.raises(ValueError, match=words) as error:
        export_onnx(VAE_UNet(image_size=(32, 32), width=4), tmp_path / 'x.onnx')
    assert one_line(error)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize('package', ['onnx', 'onnxscript', 'onnxruntime'])
def test_missing_package(small, tmp_path, monkeypatch, package):
    for name in [name for name in sys.modules if name.split('.')[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    words = rf"^{package} is not installed: pip install 'deblur_vae\[onnx\]'"
    with pytest.raises(ValueError, match=words) as error:
        export_onnx(small, tmp_path / 'x.onnx')
    assert one_line(error) and not os.listdir(tmp_path)


def test_package_works_without_the_extra():
    "Nothing of the extra is imported with the module."
    tree = ast.parse(Path(deblur_vae.onnx.__file__).read_text())
    imported = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            imported += [alias.name for alias in node.names]
            imported.append(getattr(node, 'module', None))
    assert 'torch' in imported
    assert not any(str(name).startswith('onnx') for name in imported)


def test_nothing_left_when_it_differs(again, small, tmp_path):
    kept = tmp_path / 'kept.onnx'
    kept.write_bytes(b'before')
    other = scrambled(2, 0.1, **SMALL)
    for path in (kept, tmp_path / 'folder' / 'new.onnx'):
        with pytest.raises(ValueError, match='differ by .* more than 0.001') as error:
            export_onnx(other, path)
        assert one_line(error)
    assert kept.read_bytes() == b'before' and os.listdir(tmp_path) == ['kept.onnx']


def test_nan_is_a_difference(small_file):
    broken = scrambled(1, 0.1, **SMALL)
    with torch.no_grad(): broken.last.bias[:] = torch.nan
    with pytest.raises(ValueError, match='differ by nan'):
        check_onnx(small_file, broken)


def test_nothing_left_when_it_cannot_be_written(again, small, tmp_path):
    (tmp_path / 'is_a_folder').mkdir()
    with pytest.raises(OSError, match='is_a_folder is no file') as error:
        export_onnx(small, tmp_path / 'is_a_folder')
    assert one_line(error) and os.listdir(tmp_path) == ['is_a_folder']
    assert not os.listdir(tmp_path / 'is_a_folder')


def test_other_files_refused(small_file, small, tmp_path):
    for content in (b'', b'no network', small_file.read_bytes()[:5000]):
        (tmp_path / 'x.onnx').write_bytes(content)
        words = 'x.onnx: not a network that ONNX Runtime can read'
        with pytest.raises(ValueError, match=words) as error:
            check_onnx(tmp_path / 'x.onnx', small)
        assert one_line(error)
    import onnx
    ports = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3])
             for name in ('x', 'y')]
    graph = onnx.helper.make_graph([onnx.helper.make_node('Identity', ['x'], ['y'])],
                                   'other', ports[:1], ports[1:])
    other = onnx.helper.make_model(
        graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid('', 18)])
    with pytest.raises(ValueError, match='not a RestoreNet'):
        check_onnx(other.SerializeToString(), small)
    with pytest.raises(FileNotFoundError): check_onnx(tmp_path / 'absent.onnx', small)


def test_half_weights_and_training_mode(again, small, tmp_path, capfd):
    """Neither the type of the weights nor the mode matters; the model and the generator
    of random numbers stay as they were."""
    half, state = (scrambled(1, 0.1, **SMALL).half().train(),
                   torch.random.get_rng_state())
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        export_onnx(half, tmp_path / 'half.onnx')
    assert torch.equal(state, torch.random.get_rng_state())
    assert half.training and half.last.weight.dtype == torch.float16
    assert weights_sha256(half) == weights_sha256(small)
    assert capfd.readouterr() == ('', '')
