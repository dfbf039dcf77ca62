"""`make notebooks`: executes notebooks again, in place.

    python tools/run_notebooks.py [NOTEBOOK …]    # default: all of nbs/

Every cell runs, those flagged `heavy` too, except `#| eval: false`. Figures that hold
pictures are stored as JPEG, other figures as SVG, without dates, so that a second run
leaves no needless diff.
"""
import subprocess
import sys
import time
from functools import partial
from io import BytesIO
from pathlib import Path

import matplotlib
from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell
from fastcore.foundation import working_directory
from matplotlib.figure import Figure
from nbdev.clean import clean_nb
from notebooks import NBS, below


def picture_or_curve(fig: Figure, jpeg: bool) -> bytes | str | None:
    """The figure as JPEG bytes if one of its axes holds an image, as SVG text
    otherwise; None if it is not the one asked for."""
    if jpeg != any(ax.images for ax in fig.axes): return None
    out = BytesIO()
    if jpeg:
        fig.savefig(out, format='jpeg', dpi=110, bbox_inches='tight',
                    pil_kwargs=dict(quality=86))
        return out.getvalue()
    fig.savefig(out, format='svg', bbox_inches='tight', metadata={'Date': None})
    return out.getvalue().decode()


def run_notebook(path: Path) -> None:
    "Execute the notebook at `path` in a shell of its own and write it back, cleaned."
    shell = CaptureShell(path, mpl_format='png')
    matplotlib.rcParams['svg.hashsalt'] = path.stem
    formatters = shell.display_formatter.formatters
    formatters['image/png'].pop(Figure, None)
    for kind, jpeg in (('image/jpeg', True), ('image/svg+xml', False)):
        formatters[kind].for_type(Figure, partial(picture_or_curve, jpeg=jpeg))

    nb = read_nb(path)
    for cell in nb.cells:
        if cell.cell_type == 'code': cell.outputs = []
    with working_directory(path.parent):
        shell.run_all(nb, exc_stop=True, preproc=is_skipped, postproc=tidy)
    clean_nb(nb)
    write_nb(nb, path)


def is_skipped(cell) -> bool: return '#| eval: false' in cell.source


def tidy(cell) -> None:
    """Leave out of a cell's outputs what progress bars wrote, and all of them if it
    says `output: false`."""
    if cell.cell_type != 'code': return
    silent = '#| output: false' in cell.source
    cell['outputs'] = [o for o in cell.get('outputs', [])
                       if not silent and o.get('name') != 'stderr']


def main(names: list[str]) -> None:
    "Each notebook in a process of its own, with its time."
    paths = [Path(name).resolve() for name in names] or below(NBS)
    if len(paths) == 1: return run_notebook(paths[0])
    for path in paths:
        start = time.time()
        subprocess.run([sys.executable, __file__, str(path)], check=True)
        print(f'{path.name}: {time.time() - start:.0f} s', flush=True)


if __name__ == '__main__': main(sys.argv[1:])
