"""Under the title of each page: links to its notebook as a file and, made from the public address in `settings.ini`, to
its source and to Colab; while that is unset, these are left out. nbdev calls `PageLinks` for every page (`procs` in
settings.ini)."""
import re
from pathlib import Path

from execnb.nbio import mk_cell
from nbdev.config import get_config
from nbdev.process import Processor

GITHUB = 'https://github.com/'


def page_links(git_url: str, branch: str, name: str) -> str:
    "Markdown links for the notebook `name`, or nothing without an address."
    if not git_url: return ''
    links = [f'[Source]({git_url}/blob/{branch}/nbs/{name})']
    if git_url.startswith(GITHUB):
        repo = git_url.removeprefix(GITHUB)
        links.append(f'[Open in Colab](https://colab.research.google.com/github/{repo}/blob/{branch}/nbs/{name})')
    return ' · '.join(links)


def to_root(name: str) -> str:
    "From the page of the notebook `name`, which may lie in a folder, to the root of the site."
    return '../' * name.count('/')


def download_link(name: str) -> str:
    "A Markdown link to the notebook `name` as a file; site_finish.py puts it there. Quarto shall not make it a page's."
    file = Path(name).name
    return f'[Download this notebook]({to_root(name)}notebooks/{name}){{download="{file}" noresolveinput=""}}'


def name_of(nb) -> str:
    "The path of a notebook from `nbs/`, as in an address."
    return Path(nb.path_).resolve().relative_to(get_config().nbs_path.resolve()).as_posix()


class PageLinks(Processor):
    "Names each page after its notebook (nbdev: after its module, which is taken by enhance.qmd) and puts links under its title."
    def end(self):
        cfg, name, cells = get_config(), name_of(self.nb), self.nb.cells
        cells[0].source = re.sub(r'^output-file: .*$', f'output-file: {Path(name).stem}.html', cells[0].source, flags=re.M)
        links = filter(None, [page_links(cfg.get('git_url', '').rstrip('/'), cfg.branch, name), download_link(name)])
        cells.insert(1, mk_cell(f'::: {{.page-links}}\n{" · ".join(links)}\n:::', 'markdown'))
