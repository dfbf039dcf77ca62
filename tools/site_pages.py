"""What nbdev leaves to do between its processing and Quarto: `python tools/site_pages.py [PAGES]` (default: `_proc`) puts
the fragment of the Enhance page into its page, and adds the pictures of the cards and the pages of the package."""
import sys
from pathlib import Path

from site_api import write_api
from site_cards import write_thumbnails

ROOT = Path(__file__).resolve().parents[1]
MARKER = '<!-- the fragment enhance/fragment.html -->'


def enhance_page(page: str, fragment: str) -> str:
    "The Markdown `page` with the HTML `fragment` in the place of its marker."
    if page.count(MARKER) != 1: raise ValueError(f'enhance.qmd must have the line {MARKER} once')
    return page.replace(MARKER, f'```{{=html}}\n{fragment.strip()}\n```')


def make_pages(notebooks: Path, pages: Path) -> None:
    "All pages that are not notebooks, from the folder `notebooks` into `pages`."
    fragment = notebooks / 'enhance' / 'fragment.html'
    (pages / 'enhance.qmd').write_text(enhance_page((notebooks / 'enhance.qmd').read_text(), fragment.read_text()))
    write_thumbnails(notebooks, pages)
    write_api(notebooks, pages)


if __name__ == '__main__': make_pages(ROOT / 'nbs', Path(sys.argv[1]) if sys.argv[1:] else ROOT / '_proc')
