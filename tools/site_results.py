"""Part of step 3 of `make docs`: the tables and figures of the Results page, from the
committed files in benchmarks/. Each file says in its first line which command printed
its numbers. The README has the same tables:

    python tools/site_results.py    # takes them from there into benchmarks/results/

A marker in nbs/results.qmd, `<!-- table NAME -->` or `<!-- figure NAME -->`, is where
one of them goes."""
import csv
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NamedTuple

from notebooks import ROOT

FOLDER = ROOT / 'benchmarks' / 'results'
DOUBT = ROOT / 'benchmarks' / 'latent' / 'doubt.csv'
DOUBTED = 'python benchmarks/doubt.py FACES PHOTOS'  # which wrote it
Row = dict[str, str]


# From the README to files

class Source(NamedTuple):
    "A table of the README, and the file that has its numbers."
    start: str  # of its first line
    command: str  # that printed the numbers
    columns: tuple[str, ...]
    rows: Callable[[list[str]], list[list[str]]]  # a line of the table → of the file


def number(text: str) -> str:
    "What a cell of a table says, as a number."
    found = re.search(r'[-+]?\d+(?:\.\d+)?', text.replace(',', ''))
    return found[0].lstrip('+') if found else ''


def quality_rows(line: list[str]) -> list[list[str]]:
    "Faces and photographs of a condition."
    return [[line[0], kind, number(blurry), number(restored),
             number(restored.split('±')[1]), number(worse)]
            for kind, blurry, restored, worse
            in (('faces', *line[1:4]), ('photographs', *line[4:7]))]


def rival_rows(line: list[str]) -> list[list[str]]:
    "Every method under a condition, faces and photographs."
    return [[line[0], name, *map(number, cell.split('/'))]
            for name, cell in zip(METHODS, line[1:])]


def plain_rows(line: list[str]) -> list[list[str]]:
    "A line as it is, its numbers without units."
    return [[line[0], *map(number, line[1:])]]


METHODS = ('enhance', 'Pillow, unsharp mask', 'ImageMagick, unsharp mask',
           "G'MIC, Richardson-Lucy", 'RawTherapee', 'scikit-image, Wiener, told',
           'scikit-image, Richardson-Lucy, told')
SOURCES = {
    'quality': Source(
        '| condition | faces: blurry |',
        'deblur-vae evaluate --data FOLDER --methods restore',
        ('condition', 'pictures', 'blurry', 'enhanced', 'interval', 'worse'),
        quality_rows),
    'rivals': Source(
        '| condition | `enhance` |', 'python benchmarks/rivals.py FACES PHOTOS',
        ('condition', 'method', 'faces', 'photographs'), rival_rows),
    'demo': Source(
        '| effective σ, pixels |', 'make demo',
        ('sigma', 'pictures', 'blurred', 'restored', 'gain', 'ssim_blurred',
         'ssim_restored'), plain_rows),
    'speed': Source(
        '| | `enhance` | Richardson-Lucy |',
        'python benchmarks/enhance_speed.py --large',
        ('picture', 'seconds', 'richardson_lucy', 'gigabytes'), plain_rows),
    'training': Source(
        '| part, ms a picture |', 'python benchmarks/parts.py',
        ('part', 'post', 'here', 'floor'), plain_rows),
}


def readme_table(text: str, start: str) -> list[list[str]]:
    "The lines of the table of `text` that begins with `start`, cell by cell."
    whole = text[text.index(f'\n{start}') + 1:].split('\n\n')[0]
    return [[cell.strip(' *`') for cell in line.strip('| ').split(' | ')]
            if not line.endswith('|  |') else
            [cell.strip(' *`') for cell in line[1:-1].split('|')]
            for line in whole.splitlines()[2:]]


def from_readme(text: str) -> dict[str, str]:
    "File → its content, from the text of the README."
    found = {}
    for name, source in SOURCES.items():
        rows = [row for line in readme_table(text, source.start)
                for row in source.rows(line)]
        lines = [f'# printed by: {source.command}', ','.join(source.columns)]
        lines += [','.join(f'"{cell}"' if ',' in cell else cell for cell in row)
                  for row in rows]
        found[f'{name}.csv'] = '\n'.join(lines) + '\n'
    return found


def read(path: Path) -> list[Row]:
    "The rows of a file, without the line that says where its numbers are from."
    lines = [line for line in path.read_text().splitlines() if line[:1] != '#']
    return list(csv.DictReader(lines))


def results(name: str) -> list[Row]: return read(FOLDER / f'{name}.csv')


# Tables

def cell(value: str, column: int) -> str:
    "A cell: the first of a row is its heading, a number is sorted as one."
    if column == 0: return f'<th scope="row">{escape(value)}</th>'
    plain = number(value)
    data = f' data-value="{plain}"' if plain else ''
    return f'<td{data}>{escape(value)}</td>'


def source_of(path: Path) -> str:
    "HTML: the command that printed a file, and the file."
    first = path.read_text().split('\n')[0]
    command = first.removeprefix('# printed by: ') if first[:1] == '#' else DOUBTED
    file = path.relative_to(ROOT).as_posix()
    return f'Printed by <code>{escape(command)}</code>, kept in <code>{file}</code>.'


def table(name: str, caption: str, columns: list[str], rows: list[list[str]]) -> str:
    """A table that nbs/tables.js lets a reader sort, in a frame that scrolls by itself;
    `name` is that of its file."""
    head = ''.join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    body = '\n'.join('<tr>' + ''.join(map(cell, row, range(len(row)))) + '</tr>'
                     for row in rows)
    label = re.sub(r'\W+', '-', caption.lower())
    path = DOUBT if name == 'doubt' else FOLDER / f'{name}.csv'
    return (f'<p class="table-name" id="{label}">{escape(caption)}</p>\n'
            f'<div class="wide" tabindex="0" role="region" aria-labelledby="{label}">\n'
            '<table class="sortable" data-quarto-disable-processing="true" '
            f'aria-labelledby="{label}">\n'
            f'<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n'
            f'</table>\n</div>\n<p class="table-source">{source_of(path)}</p>')


def quality_table() -> str:
    "PSNR of what `enhance` returns, and the share that it makes worse."
    rows = [[row['condition'], row['pictures'], row['blurry'], row['enhanced'],
             f'±{row["interval"]}',
             f'{float(row["enhanced"]) - float(row["blurry"]):.2f}',
             f'{float(row["worse"]):g} %'] for row in results('quality')]
    return table('quality',
                 'PSNR in dB under eight conditions, with half of the 95 % interval',
                 ['condition', 'pictures', 'blurry', 'enhance', 'interval', 'gain',
                  'made worse'], rows)


def rivals_table() -> str:
    "PSNR of every method, a table of the faces and one of the photographs."
    made, rows = [], results('rivals')
    conditions = list(dict.fromkeys(row['condition'] for row in rows))
    for kind in ('faces', 'photographs'):
        lines = [[name, *(row[kind] for row in rows if row['method'] == name)]
                 for name in METHODS]
        made.append(table('rivals', f'PSNR in dB of every method, 16 {kind}',
                          ['method', *conditions], lines))
    return '\n'.join(made)


def demo_table() -> str:
    "What the network of `make demo` has learned, by the width of the blur."
    return table('demo', 'The network that make demo trains, on 80 drawn portraits',
                 ['effective σ, pixels', 'pictures', 'blurred, dB', 'restored, dB',
                  'gain, dB', 'SSIM blurred', 'SSIM restored'],
                 [list(row.values()) for row in results('demo')])


def speed_table() -> str:
    "Seconds and memory of `enhance`."
    rows = [[row['picture'], f'{row["seconds"]} s',
             f'{row["richardson_lucy"]} s' if row['richardson_lucy'] else '–',
             f'{row["gigabytes"]} GB'] for row in results('speed')]
    return table('speed', 'Time and memory of enhance on two cores',
                 ['picture', 'enhance', 'Richardson-Lucy', 'peak memory'], rows)


def training_table() -> str:
    "Milliseconds of a training step, part by part."
    rows = [[row['part'], row['post'], row['here'], row['floor'] or '–']
            for row in results('training')]
    return table('training', 'Milliseconds a picture of a training step, part by part',
                 ['part', 'the post', 'here', 'floor'], rows)


def doubt_table() -> str:
    "The share of pixels that are inside their interval."
    rows = [[row['condition'], row['pictures'], row['inside'], row['contrast'],
             row['most']] for row in read(DOUBT) if row['method'] == 'restore']
    return table('doubt',
                 'Share of the pixels inside an interval that is meant to hold 0.9',
                 ['condition', 'pictures', 'inside', 'error ratio', 'ratio at best'],
                 rows)


# Figures: bars and dots of plain HTML, which follow width and colours of the page

def share(value: float, low: float, high: float) -> str:
    "Where `value` lies between `low` and `high`, in per cent."
    return f'{100 * (value - low) / (high - low):.1f}%'


def bar(label: str, start: str, end: str, said: str, kind: str = 'bar') -> str:
    "A row of a figure: label, bar from `start` to `end`, and what it says."
    return (f'<li><span class="name">{escape(label)}</span><span class="track">'
            f'<span class="{kind}" style="left:{start};right:calc(100% - {end})">'
            f'</span></span><span class="said">{escape(said)}</span></li>')


def figure(caption: str, groups: dict[str, list[str]]) -> str:
    "Groups of rows under a caption."
    parts = [f'<p class="group">{escape(name)}</p>\n<ul>\n' + '\n'.join(rows)
             + '\n</ul>' for name, rows in groups.items()]
    return ('<figure class="chart">\n' + '\n'.join(parts)
            + f'\n<figcaption>{escape(caption)}</figcaption>\n</figure>')


def quality_figure() -> str:
    "From blurry to enhanced, for each condition."
    groups, low, high = {}, 20, 42
    for row in results('quality'):
        before, after = float(row['blurry']), float(row['enhanced'])
        groups.setdefault(row['pictures'].capitalize(), []).append(
            bar(row['condition'], share(before, low, high), share(after, low, high),
                f'{before:.1f} → {after:.1f} dB'))
    return figure('From the blurry picture to what enhance makes of it: a bar begins '
                  'at the PSNR of the one and ends at that of the other, on a scale '
                  f'from {low} to {high} dB.', groups)


def worse_figure() -> str:
    "The share of pictures that lose more than 0.05 dB."
    groups, high = {}, 5
    for row in results('quality'):
        worse = float(row['worse'])
        groups.setdefault(row['pictures'].capitalize(), []).append(
            bar(row['condition'], '0%', share(worse, 0, high), f'{worse:g} %'))
    return figure('The share of pictures that enhance makes worse by more than '
                  f'0.05 dB, on a scale from 0 to {high} %.', groups)


def dots(values: dict[str, float], low: float, high: float) -> str:
    "A dot for each method; that of `enhance` is filled."
    return ''.join(
        f'<span class="dot{" ours" if name == "enhance" else ""}" '
        f'style="left:{share(value, low, high)}"></span>'
        for name, value in sorted(values.items(), key=lambda pair: pair[1]))


def rivals_figure() -> str:
    "Every method as a dot, condition by condition."
    groups = {}
    for kind, low, high in (('faces', 25, 42), ('photographs', 22, 37)):
        known: dict[str, dict[str, float]] = {}
        for row in results('rivals'):
            known.setdefault(row['condition'], {})[row['method']] = float(row[kind])
        rows = groups.setdefault(f'{kind.capitalize()}, {low} to {high} dB', [])
        for condition, values in known.items():
            others = {name: psnr for name, psnr in values.items() if name != 'enhance'}
            best = max(others, key=others.get)
            said = f'{values["enhance"]:.1f}, next {others[best]:.1f} dB'
            rows.append(f'<li><span class="name">{escape(condition)}</span>'
                        f'<span class="track">{dots(values, low, high)}</span>'
                        f'<span class="said">{escape(said)}</span></li>')
    return figure('Each dot is a method, and further right is better. The filled dot '
                  'is enhance, and the numbers are its PSNR and that of the next best, '
                  'which is told the blur in every row.', groups)


def training_figure() -> str:
    "Milliseconds of the post's recipe and of this one."
    rows = [(row, kind) for row in results('training') if row['part'] != 'all'
            for kind in ('post', 'here')]
    high = max(float(row[kind]) for row, kind in rows)
    lines = [bar(f'{row["part"]}, {"the post" if kind == "post" else kind}', '0%',
                 share(float(row[kind]), 0, high), f'{row[kind]} ms',
                 'bar' if kind == 'here' else 'bar theirs') for row, kind in rows]
    return figure('Milliseconds a picture of each part of a training step, of the '
                  'recipe of the post and of this one.', {'Training': lines})


PARTS = {f'{kind} {name}': value for name, kind, value in (
    ('quality', 'table', quality_table), ('rivals', 'table', rivals_table),
    ('demo', 'table', demo_table), ('speed', 'table', speed_table),
    ('training', 'table', training_table), ('doubt', 'table', doubt_table),
    ('quality', 'figure', quality_figure), ('worse', 'figure', worse_figure),
    ('rivals', 'figure', rivals_figure), ('training', 'figure', training_figure))}
MARK = re.compile(r'^<!-- (table|figure) (\w+) -->$', re.M)


def results_page(page: str) -> str:
    "The Markdown `page` with tables and figures in the places of their markers."
    def part(found: re.Match) -> str:
        return f'```{{=html}}\n{PARTS[f"{found[1]} {found[2]}"]()}\n```'
    return MARK.sub(part, page)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in from_readme((ROOT / 'README.md').read_text()).items():
        (FOLDER / name).write_text(text)
        print(f'benchmarks/results/{name}: {text.count(chr(10)) - 2} rows')


if __name__ == '__main__': main()
