"""Step 5 of `make docs`, after Quarto: `python tools/site_finish.py [SITE]` (default:
`_docs`) lays the notebooks beside their pages, and fails if a page would ask another
host for anything, leads nowhere, or is heavy."""
import shutil
import sys
from pathlib import Path

from notebooks import NBS, ROOT, below
from site_reader import built_faults


def finish(notebooks: Path, site: Path) -> list[str]:
    "Copies the notebooks into `site`/notebooks; what is wrong then."
    for path in below(notebooks):
        copy = site / 'notebooks' / path.relative_to(notebooks)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return built_faults(site)


if __name__ == '__main__':
    problems = finish(NBS, Path(sys.argv[1]) if sys.argv[1:] else ROOT / '_docs')
    print('\n'.join(problems) or 'the site is whole and asks no other host '
                                 'for anything')
    sys.exit(bool(problems))
