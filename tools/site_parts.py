"""Step 1 of `make docs`: the parts of the site that are not committed, npm packages,
network and samples, into git-ignored folders of nbs/. And `make page`: a server to look
at the Enhance page without Quarto.

    python tools/site_parts.py
    python tools/site_parts.py --serve    # then http://127.0.0.1:8000/

Each folder is written beside its place and renamed when it is complete; what is there
already is left alone."""
import argparse
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from notebooks import NBS, PACKAGE, ROOT
from PIL import Image

WEB = ROOT / 'tools' / 'web'
SLIDER, ORT = 'img-comparison-slider/dist', 'onnxruntime-web/dist'
VENDORED = {  # folder in nbs/vendor → files of the package
    'img-comparison-slider': (SLIDER, ('index.js', 'styles.css')),
    'ort': (ORT, ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm')),
}


def stop(message: str) -> None:
    sys.exit(f'site_parts: {message}')


def digest(*parts: bytes) -> str:
    return hashlib.sha256(b'\0'.join(parts)).hexdigest()


def assembled(folder: Path, made_of: str, fill: Callable[[Path], None]) -> bool:
    """`folder` as `fill` makes it, unless it was made of the same already; whether
    anything was done."""
    stamp = folder / '.made_of'
    if stamp.is_file() and stamp.read_text() == made_of: return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f'.{folder.name}-', dir=folder.parent))
    try:
        beside.chmod(0o755)
        fill(beside)
        (beside / '.made_of').write_text(made_of)
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
    finally: shutil.rmtree(beside, ignore_errors=True)
    return True


def node_modules() -> Path:
    "The packages of the lock file, installed if need be."
    lock, modules = WEB / 'package-lock.json', WEB / 'node_modules'
    mark = modules / '.deblur_vae'
    if mark.is_file() and mark.read_text() == digest(lock.read_bytes()): return modules
    for tool in ('node', 'npm'):
        if not shutil.which(tool):
            stop(f'{tool} is not installed: the Enhance page and the sliders need '
                 'Node.js 18 or newer with npm')
    command = ['npm', 'ci', '--prefix', str(WEB), '--ignore-scripts', '--no-fund',
               '--no-audit', '--loglevel=error']
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = ' '.join(done.stderr.split())[:300]
        stop(f'npm could not install the packages of {lock.relative_to(ROOT)}: {said}')
    mark.write_text(digest(lock.read_bytes()))
    return modules


def vendor(folder: Path) -> None:
    "Files of npm packages into `folder`, each package in its own, with the licences."
    modules = node_modules()
    for name, (source, files) in VENDORED.items():
        (folder / name).mkdir()
        for file in files:
            shutil.copyfile(modules / source / file, folder / name / file)
        shutil.copyfile(WEB / 'LICENSES.txt', folder / name / 'LICENSES.txt')


def search_tables() -> tuple[dict, bytes]:
    """What the search for a blur begins with: spectra and blurs; and of these the
    gains, 16 bits for the root of each."""
    from deblur_vae.classical import CHROMA, GRID, NODES, POPULATIONS, grid_gains

    kinds = [{part: value.tolist() for part, value in population._asdict().items()}
             for population in POPULATIONS]
    spectra = dict(nodes=NODES.tolist(), chroma=CHROMA.tolist(), kinds=kinds)
    roots = (grid_gains().sqrt() * 65535).round().numpy().astype('<u2')
    return dict(spectra=spectra, grid=GRID), roots.tobytes()


def model(folder: Path) -> None:
    "What the page computes with: network, `search_tables`, factors of doubt, sizes."
    from deblur_vae import __version__
    from deblur_vae.enhance import HONEST
    from deblur_vae.onnx import export_onnx
    from deblur_vae.restore import pretrained

    export_onnx(pretrained(), folder / 'restore.onnx')
    tables, gains = search_tables()
    (folder / 'grid.bin').write_bytes(gains)
    runtime = NBS / 'vendor' / 'ort' / 'ort-wasm-simd-threaded.wasm'
    files = [dict(file=path.name, bytes=path.stat().st_size,
                  sha256=digest(path.read_bytes()))
             for path in (folder / 'restore.onnx', folder / 'grid.bin', runtime)]
    about = dict(files=files, version=__version__, honest=HONEST['restore'])
    (folder / 'model.json').write_text(json.dumps(about | tables) + '\n')


def samples(folder: Path) -> None:
    "Pictures to try the page on: a photograph of NASA's and portraits of nobody."
    from skimage.data import astronaut

    from deblur_vae.portraits import draw_portrait
    rows = [np.concatenate([np.asarray(draw_portrait(n)[0]) for n in row], 1)
            for row in ((3, 12, 5), (8, 21, 2))]
    large = draw_portrait(8)[0].resize((392, 480), Image.Resampling.BICUBIC)
    pictures = dict(astronaut=Image.fromarray(astronaut()),
                    portraits=Image.fromarray(np.concatenate(rows)), portrait=large)
    for name, picture in pictures.items():
        picture.save(folder / f'{name}.jpg', quality=92, subsampling=0, optimize=True)
        size = picture.width * 192 // picture.height, 192
        small = picture.resize(size, Image.Resampling.LANCZOS)
        small.save(folder / f'{name}-small.jpg', quality=80, optimize=True)


def assemble() -> None:
    "All parts, in the order in which they need each other."
    package, lock = ROOT / PACKAGE, (WEB / 'package-lock.json').read_bytes()
    licences = (WEB / 'LICENSES.txt').read_bytes()
    code = [(package / f'{name}.py').read_bytes()
            for name in ('__init__', 'camera', 'classical', 'restore', 'enhance',
                         'onnx')]
    weights = [(package / 'weights' / f'{name}.safetensors').read_bytes()
               for name in ('restore', 'spectra')]
    tables = inspect.getsource(search_tables).encode()
    portraits = [path.read_bytes() for path in sorted(package.glob('portraits/*.py'))]
    for name, fill, sources in (
        ('vendor', vendor, [lock, repr(VENDORED).encode(), licences]),
        ('enhance/model', model, [*weights, lock, *code, tables]),
        ('enhance/samples', samples, portraits),
    ):
        made_of = digest(inspect.getsource(fill).encode(), *sources)
        if assembled(NBS / name, made_of, fill):
            print(f'site_parts: nbs/{name} is assembled', flush=True)


SHELL = '''<!doctype html>
<html lang="en-GB">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Enhance</title>
<link rel="icon" href="data:,">
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0 auto; max-width: 60rem; padding: 1rem;
  font: 1rem/1.6 system-ui, sans-serif;
  background: light-dark(#fff, #15191d); color: light-dark(#24292e, #dde2e7); }}
</style>
</head>
<body>
<main>
<h1>Enhance</h1>
{fragment}
</main>
</body>
</html>
'''


class PageHandler(SimpleHTTPRequestHandler):
    "The Enhance page, and nothing of nbs/ but what it consists of."
    extensions_map = {**SimpleHTTPRequestHandler.extensions_map,
                      '.mjs': 'text/javascript', '.wasm': 'application/wasm'}
    parts = 'enhance', 'vendor', 'isolation.js'
    # With the headers that threads need; other hosts have nbs/isolation.js for that.
    isolated = True

    def send_head(self) -> BytesIO | None:
        "The shell with the fragment, or a file, if that lies where a part lies."
        path = urlsplit(self.path).path
        if path == '/': return self.go_to('/enhance.html')
        if path == '/enhance.html': return self.page()
        file = Path(self.translate_path(path)) # without `..`
        inside = file.relative_to(self.directory).parts[:1]
        if os.path.isfile(file) and inside[0] in self.parts: return super().send_head()
        self.send_error(404)
        return None

    def go_to(self, path: str) -> None:
        self.send_response(302)
        self.send_header('Location', path)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def page(self) -> BytesIO:
        fragment = (NBS / 'enhance' / 'fragment.html').read_text()
        body = SHELL.format(fragment=fragment).encode()
        self.send_response(200)
        self.send_header('Content-Type', 'text/html; charset=utf-8')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        return BytesIO(body)

    def end_headers(self) -> None:
        self.send_header('Cache-Control', 'no-cache')
        if self.isolated:
            self.send_header('Cross-Origin-Opener-Policy', 'same-origin')
            self.send_header('Cross-Origin-Embedder-Policy', 'require-corp')
        super().end_headers()

    def log_message(self, *_) -> None: pass


def server(port: int, host: str = '127.0.0.1') -> ThreadingHTTPServer:
    "A server of the page, by default for this machine alone; port 0 takes a free one."
    handler = partial(PageHandler, directory=str(NBS))
    return ThreadingHTTPServer((host, port), handler)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--serve', action='store_true',
                        help='serve the Enhance page until Ctrl-C')
    parser.add_argument('--port', type=int, default=8000)
    parser.add_argument('--host', default='127.0.0.1',
                        help='0.0.0.0 serves other machines, too (default: this one)')
    args = parser.parse_args()
    assemble()
    if not args.serve: return
    try: site = server(args.port, args.host)
    except OSError as error:
        stop(f'port {args.port} of {args.host} cannot be used ({error.strerror}): '
             'take another with --port')
    print(f'The Enhance page is at http://{args.host}:{site.server_port}/ '
          '(Ctrl-C ends it)', flush=True)
    try: site.serve_forever()
    except KeyboardInterrupt: print()


if __name__ == '__main__': main()
