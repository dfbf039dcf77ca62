"""Links of a page to its notebook and to Colab, made from the public address in `settings.ini`; while that is unset,
there are none. nbdev calls `PublicLinks` for every page (`procs` in settings.ini)."""
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


class PublicLinks(Processor):
    "Puts `page_links` under the title of a page."
    def end(self):
        cfg = get_config()
        links = page_links(cfg.get('git_url', '').rstrip('/'), cfg.branch, Path(self.nb.path_).name)
        if links: self.nb.cells.insert(1, mk_cell(links, 'markdown'))
