"""Names of the package in the prose of a page lead to their place in the API. nbdev calls `Symbols` for every page
(`procs` in settings.ini); which names there are, nbdev has written down in `_modidx.py`."""
import re
from importlib import import_module

from nbdev.process import Processor
from site_api import address
from site_links import name_of, to_root

SKIPPED = re.compile(r'(^```.*?^```\w*$|^#.*?$|!?\[[^\]]*\]\([^)]*\))', re.M | re.S)
NAME = re.compile(r'`([A-Za-z_]\w+)`')


def places() -> dict[str, str]:
    "Public functions and classes → their address, of those names that only one module has."
    found = {}
    for module, symbols in import_module('deblur_vae._modidx').d['syms'].items():
        page = address(module.removeprefix('deblur_vae.'))
        for symbol in symbols:
            name = symbol.removeprefix(f'{module}.')
            if '.' not in name and name[0] != '_': found.setdefault(name, []).append(f'api/{page}#{name}')
    return {name: addresses[0] for name, addresses in found.items() if len(addresses) == 1}


def link_names(text: str, known: dict[str, str]) -> str:
    "Markdown `text` with a link at the first mention of each of the `known` names, which are then taken out of these."
    def link(match) -> str:
        address = known.pop(match[1], None)
        return f'[{match[0]}]({address})' if address else match[0]
    parts = SKIPPED.split(text)
    return ''.join(part if odd % 2 else NAME.sub(link, part) for odd, part in enumerate(parts))


class Symbols(Processor):
    "Links the first mention of each name on a page."
    def end(self):
        root = to_root(name_of(self.nb))
        known = {name: root + place for name, place in places().items()}
        for cell in self.nb.cells:
            if cell.cell_type == 'markdown': cell.source = link_names(cell.source, known)
