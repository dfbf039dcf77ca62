"""Step 5 of `make docs`, after Quarto: `python tools/site_finish.py [SITE]` (default:
`_docs`) lays the notebooks beside their pages, mends what the templates of Quarto lack,
and fails if a page would ask another host for anything, leads nowhere, or is heavy."""
import json
import re
import shutil
import sys
from pathlib import Path

import yaml
from notebooks import NBS, ROOT, below
from site_reader import built_faults


SITE = yaml.safe_load((ROOT / '_quarto.yml').read_text())['website']
IMAGE = SITE['image']
SKIP = ('<nav aria-label="Skip"><a class="skip" href="#quarto-document-content">'
        'Skip to the text</a></nav>')
SCRIPT = '<script type="module" src="{root}site.js"></script>'
LABELS = {  # landmarks of Quarto's templates → what a screen reader calls them
    '<nav class="navbar ': 'Site', '<nav class="quarto-secondary-nav"': 'Page',
    '<nav id="quarto-sidebar"': 'Pages', '<nav id="TOC"': 'On this page',
    '<nav class="page-navigation"': 'Next and previous',
    '<nav class="quarto-page-breadcrumbs': 'Where you are'}


def labelled(page: str) -> str:
    "HTML whose landmarks have names, and whose buttons are buttons."
    for start, words in LABELS.items():
        opening = re.search(re.escape(start) + '[^>]*>', page)
        if opening and 'aria-label' not in opening[0]:
            page = page.replace(start, f'<nav aria-label="{words}"{start[4:]}')
    page = re.sub(r'(<button class="navbar-toggler"[^>]*?) role="menu"', r'\1', page)
    # Such links fold a part of a bar: site.js lets the keyboard do so.
    page = re.sub(r'(<a [^>]*?data-bs-toggle="collapse"[^>]*?) role="navigation"'
                  r'(?: role="link")?', r'\1 role="button" tabindex="0"', page)
    page = re.sub(r'(<button [^>]*?) role="button"', r'\1', page)
    page = re.sub(r'<th([^>]*)></th>', r'<td\1></td>', page)  # the heading of nothing
    # A long name breaks after its dots.
    return re.sub(r'(?<=>)(deblur_vae\.)(portraits\.)?(?=\w+<)',
                  lambda dots: dots[0].replace('.', '.<wbr>'), page)


def with_card(page: str, address: str) -> str:
    """HTML whose social card is the face of the home page: Quarto would take the first
    picture of a page, even one that stands in the page itself."""
    page = re.sub(r'<meta (?:property="og|name="twitter):image(?::\w+)?"[^>]*>\n?', '',
                  page)
    picture, alt = f'{address}{IMAGE.lstrip("/")}', SITE['image-alt']
    tags = [f'<meta {kind}:image{part}" content="{content}">'
            for kind in ('property="og', 'name="twitter')
            for part, content in (('', picture), (':alt', alt))]
    return page.replace('</head>', '\n'.join([*tags, '</head>']), 1)


def mended(page: str, address: str = '') -> str:
    """HTML that Quarto has written, with a way past its bars for those who come by
    keyboard, names for its landmarks, the script of the site and its social card, by
    the public `address` of the site if it has one."""
    if 'id="quarto-document-content"' not in page or SKIP in page: return page
    page = re.sub(r'(<body[^>]*>)', rf'\1\n{SKIP}', labelled(page), count=1)
    root = re.search(r'src="([^"]*)site_libs/', page)
    script = SCRIPT.format(root=root[1] if root else '')
    page = with_card(page, address or (root[1] if root else ''))
    return page.replace('</body>', f'{script}\n</body>', 1)


# What a reader looks up → its chapter. As in the index of a book: the search of Quarto
# would show other pages first, where the same letters stand among fewer words.
TERMS = {
    '00_data': ('Gaussian blur', 'PSNR', 'SSIM', 'CelebA'),
    '01_model': ('encoder', 'decoder', 'skip', 'residual', 'U-Net'),
    '02_loss': ('KL divergence', 'ELBO', 'L1', 'Laplace'),
    '03_train': ('learning rate', 'batch size', 'training'),
    '05_latent': ('latent', 'active units', 'collapse', 'calibration'),
    '10_camera': ('camera', 'noise', 'JPEG', 'border'),
    '11_classical': ('Wiener filter', 'likelihood', 'Richardson-Lucy'),
    '13_enhance': ('tiles', 'doubt'),
    '14_evaluate': ('interval', 'evaluate'),
    '20_store': ('store',),
    '22_checkpoint': ('checkpoint', 'resume'),
    '23_onnx': ('ONNX',),
    '24_scale': ('GPU', 'processes'),
    '25_cli': ('command line', 'exit code'),
}


SEARCHED = 3500  # letters of a section, so that the index is no long wait


def indexed(documents: list[dict]) -> list[dict]:
    """The search index, with an entry before all others for each term that its chapter
    speaks of."""
    rest = [entry | dict(text=' '.join(entry['text'].split())[:SEARCHED])
            for entry in documents if not entry['objectID'].startswith('term:')]
    titles = {entry['href']: entry for entry in reversed(rest)
              if '#' not in entry['href']}
    made = []
    for stem, terms in TERMS.items():
        page = titles.get(f'{stem}.html')
        said = ' '.join(f'{entry["section"]} {entry["text"]}' for entry in rest
                        if entry['href'].startswith(f'{stem}.html')).lower()
        made += [page | dict(objectID=f'term:{term}', section=term, text=term)
                 for term in terms if page and term.split()[0].lower() in said]
    return made + rest


def finish(notebooks: Path, site: Path) -> list[str]:
    "Copies the notebooks into `site`/notebooks; what is wrong then."
    for path in below(notebooks):
        copy = site / 'notebooks' / path.relative_to(notebooks)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    address = yaml.safe_load((NBS / 'nbdev.yml').read_text())['website']['site-url']
    if address: address = address.rstrip('/') + '/'
    for path in site.rglob('*.html'):
        path.write_text(mended(path.read_text(), address))
    search = site / 'search.json'
    if search.exists():
        found = indexed(json.loads(search.read_text()))
        search.write_text(json.dumps(found, ensure_ascii=False))
    return built_faults(site)


if __name__ == '__main__':
    problems = finish(NBS, Path(sys.argv[1]) if sys.argv[1:] else ROOT / '_docs')
    print('\n'.join(problems) or 'the site is whole and asks no other host '
                                 'for anything')
    sys.exit(bool(problems))
