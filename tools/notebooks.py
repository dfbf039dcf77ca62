"""The notebooks of the series: those of `nbs/` and of the folders in it."""
from pathlib import Path


def below(folder: Path, pattern: str = '*.ipynb') -> list[Path]:
    "Files of `folder` and its folders, sorted, without what is hidden or left by a run."
    return [path for path in sorted(folder.rglob(pattern))
            if not any(part[0] in '._' or part == 'runs'
                       for part in path.relative_to(folder).parent.parts)]
