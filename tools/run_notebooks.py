"""Re-execute notebooks in place: `python tools/run_notebooks.py [NOTEBOOK …]` (default: all of `nbs/`).

Every cell runs, those flagged `heavy` too, except `#| eval: false`. Figures that hold pictures are stored
as JPEG, other figures as SVG, without dates, so that a second run leaves no needless diff.
"""
import sys
import time
from io import BytesIO
from pathlib import Path

from execnb.nbio import read_nb, write_nb
from execnb.shell import CaptureShell
from fastcore.basics import working_directory
from IPython.core.getipython import get_ipython
from nbdev.clean import clean_nb


def picture_or_curve(fig, jpeg: bool) -> bytes | str | None:
    "The figure as JPEG bytes if one of its axes holds an image, as SVG text otherwise."
    if jpeg != any(ax.images for ax in fig.axes): return None
    out, options = BytesIO(), dict(bbox_inches='tight')
    if jpeg:
        fig.savefig(out, format='jpeg', dpi=130, pil_kwargs=dict(quality=88), **options)
        return out.getvalue()
    fig.savefig(out, format='svg', metadata={'Date': None}, **options)
    return out.getvalue().decode()


def run_notebook(path: Path) -> None:
    "Execute the notebook at `path` in a shell of its own and write it back, cleaned."
    import matplotlib
    from matplotlib.figure import Figure
    shell = CaptureShell(path, mpl_format='png')
    matplotlib.rcParams['svg.hashsalt'] = path.stem
    formatters = shell.display_formatter.formatters
    formatters['image/png'].pop(Figure, None)
    formatters['image/jpeg'].for_type(Figure, lambda fig: picture_or_curve(fig, True))
    formatters['image/svg+xml'].for_type(Figure, lambda fig: picture_or_curve(fig, False))

    nb = read_nb(path)
    for cell in nb.cells: cell.pop('outputs', None) if cell.cell_type != 'code' else cell.update(outputs=[])
    with working_directory(path.parent):
        shell.run_all(nb, exc_stop=True, preproc=lambda cell: '#| eval: false' in cell.source)
    clean_nb(nb)
    write_nb(nb, path)


def main(names: list[str]) -> int:
    paths = [Path(n).resolve() for n in names] or sorted(Path(__file__).parents[1].joinpath('nbs').glob('*.ipynb'))
    if len(paths) == 1:
        run_notebook(paths[0])
        return 0
    import subprocess
    for path in paths:
        start = time.time()
        subprocess.run([sys.executable, __file__, str(path)], check=True)
        print(f'{path.name}: {time.time() - start:.0f} s', flush=True)
    return 0


if __name__ == '__main__': sys.exit(main(sys.argv[1:]))
