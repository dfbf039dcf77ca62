"""The table of chapters on the home page becomes cards with a picture from each chapter. nbdev calls `Cards` for every
page (`procs` in settings.ini); `write_thumbnails` makes the pictures from what the notebooks show."""
import json
import re
from base64 import b64decode
from html import escape
from io import BytesIO
from pathlib import Path

from nbdev.process import Processor
from PIL import Image

ROW = re.compile(r'^\| \[(.*?)\]\((\d\d_\w+)\.ipynb\) \| (.*?) \|$', re.M)
ROW_STEM = re.compile(r'\| \[.*?\]\((\d\d_\w+)\.ipynb\) \|')
TABLE = re.compile(r'\| \| \|\n\|:--\|:--\|\n(\| \[.*\n?)+')
FOLDER = 'images/chapters'
SIZE = 400, 250
# The figure that stands for a chapter, where it is not the first with a picture in it.
CHOSEN = {'00_data': 'fig-blurs', '01_model': 'fig-unet', '02_loss': 'fig-kl', '03_train': 'fig-progress', '04_results': 'fig-quality', '05_latent': 'fig-exact',
          '10_camera': 'fig-conditions', '11_classical': 'fig-likelihood', '13_enhance': 'fig-enhanced', '14_evaluate': 'fig-pairs', '15_files': 'fig-alpha',
          '24_scale': 'fig-links'}


def figures(notebook: Path) -> dict[str, tuple[str, bytes]]:
    "Label → (suffix, content) of each figure of `notebook`, in order."
    found = {}
    for cell in json.loads(notebook.read_text())['cells']:
        label = re.search(r'^#\| label: (fig-\S+)', ''.join(cell['source']), re.M)
        for output in cell.get('outputs', []) if label else []:
            data = output.get('data', {})
            if 'image/jpeg' in data: found.setdefault(label[1], ('jpg', b64decode(''.join(data['image/jpeg']))))
            elif 'image/svg+xml' in data: found.setdefault(label[1], ('svg', ''.join(data['image/svg+xml']).encode()))
    return found


def thumbnail(notebook: Path) -> tuple[str, bytes]: # name of the file, content
    "The figure that stands for `notebook`: a curve as it is, a picture cut to `SIZE`."
    known = figures(notebook)
    first = next((name for name, (suffix, _) in known.items() if suffix == 'jpg'), next(iter(known)))
    suffix, content = known[CHOSEN.get(notebook.stem, first)]
    if suffix == 'svg': return f'{notebook.stem}.svg', content
    picture = Image.open(BytesIO(content)).convert('RGB')
    width, height = picture.size
    scale = max(SIZE[0] / width, SIZE[1] / height)
    box = ((width - SIZE[0] / scale) / 2, 0, (width + SIZE[0] / scale) / 2, SIZE[1] / scale)
    out = BytesIO()
    picture.resize(SIZE, Image.Resampling.LANCZOS, box).save(out, 'JPEG', quality=80)
    return f'{notebook.stem}.jpg', out.getvalue()


def write_thumbnails(notebooks: Path, pages: Path) -> None:
    "The pictures of the cards of the folder `notebooks`, below `pages`."
    (pages / FOLDER).mkdir(parents=True, exist_ok=True)
    for stem in re.findall(ROW_STEM, (notebooks / 'index.ipynb').read_text()):
        name, content = thumbnail(notebooks / f'{stem}.ipynb')
        (pages / FOLDER / name).write_bytes(content)


def card(title: str, stem: str, text: str, picture: str) -> str:
    "One card: a link around picture, title and a line of text. The picture says nothing that the title does not."
    return (f'<li><a href="{stem}.ipynb"><img src="{FOLDER}/{picture}" alt="" width="{SIZE[0]}" height="{SIZE[1]}" loading="lazy">'
            f'<strong>{escape(title)}</strong><span>{escape(text)}</span></a></li>')


class Cards(Processor):
    "Replaces each table whose rows are links to chapters."
    def end(self):
        folder = Path(self.nb.path_).parent
        for cell in self.nb.cells:
            if cell.cell_type == 'markdown': cell.source = TABLE.sub(lambda found: self.cards(folder, found[0]), cell.source)

    def cards(self, folder: Path, table: str) -> str:
        rows = [card(title, stem, text, thumbnail(folder / f'{stem}.ipynb')[0]) for title, stem, text in ROW.findall(table)]
        return '```{=html}\n<ul class="chapters">\n' + '\n'.join(rows) + '\n</ul>\n```\n'
