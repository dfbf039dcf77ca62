"""Part of step 3 of `make docs`: a page for each module of the package, made from its
source. What a reader calls comes first, in the order of use, then the building blocks
in the order in which the chapter makes them, then the values. Signatures are read from
the source and not from the objects: names of constants stay names, what Typer is told
about an option is left out, and long defaults are cut."""
import ast
import inspect
import json
import re
import textwrap
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from io import StringIO
from pathlib import Path

from notebooks import PACKAGE, Chapter, api_page, cells, chapters, numbered, to_root

LONGEST, WIDTH = 44, 88  # of a default, and of a line, in letters

# Module → what it is for, in a sentence, and what to call in it, in the order of use.
USE = {
    'data': ('Reads CelebA and plain folders of pictures, and blurs whole batches.',
             'open_celeba CelebADataset split read_picture to_tensor random_blur '
             'fixed_blur gaussian_blur effective_sigma to_8bit DataError'),
    'model': ('Holds the network of the post, and writes and reads its weights.',
              'VAE_UNet Encoder Decoder save_model load_model new_model'),
    'loss': ('Computes the two terms of the loss, and the weight of the second.',
             'loss_function kl_anneal_function reconstruction_loss kl_divergence'),
    'train': ('Trains and validates a network, epoch by epoch.',
              'train_vae_deblur inference_deblur Recipe Run train_epoch validate '
              'warmup_cosine'),
    'results': ('Measures restored pictures, and draws them.',
                'psnr ssim score table show_pictures triptychs plot_losses '
                'plot_quality plot_time'),
    'latent': ('Measures what a latent says, draws different answers to one blurry '
               'picture, and calibrates doubt.',
               'posterior kl_by_dimension active_units probe LinearGaussian AnswerNet '
               'shipped_answers answers energy_score conformal_factor reliability'),
    'camera': ('Makes blurry pictures as a camera does: true borders, noise and JPEG '
               'included.',
               'Degradation Shot Family alone convolve gaussian turned disc motion '
               'spread add_noise jpeg'),
    'classical': ('Finds the blur of a picture and undoes it, without a network.',
                  'estimate_blur deconvolve Blur parse_kernel known_blur Scene '
                  'scene_of Restorer'),
    'restore': ('Holds the network that mends the answers of the filters.',
                'pretrained RestoreNet Views Told seen_by mended'),
    'enhance': ('Sharpens a picture of any kind and size.',
                'enhance enhance_pixels sharpen tiled blur_of'),
    'evaluate': ('Measures every method on the same pictures, with intervals.',
                 'evaluate Scenes Resized measure gmsd quality_table harm_table '
                 'write_report'),
    'files': ('Sharpens files and folders, and keeps what belongs to a file.',
              'enhance_files enhance_file read_image write_image find_pictures '
              'out_path heat_map'),
    'store': ('Decodes each picture once, into a file that later runs map.',
              'open_store build_store PictureStore cache_folder'),
    'compute': ('Asks the machine what it is good at, and deals batches to processes.',
                'best_device make_loaders make_accelerator describe_machine '
                'keep_memory'),
    'checkpoint': ('Writes down a run, and takes it up again after a stop.',
                   'RunFolder save_checkpoint load_checkpoint read_history Stopped '
                   'TrainingError'),
    'onnx': ('Writes the network as a file that runs without Python.',
             'export_onnx check_onnx session_of'),
    'scale': ('Packs pictures into shards for training, and enhances them on many '
              'machines.',
              'write_shards find_shards Shards ShardOrder planned missing '
              'enhance_on_ray enhance_url'),
    'cli': ('Holds the command `deblur-vae`.',
            'main parse run_enhance run_train run_evaluate run_demo run_export '
            'run_portraits run_shards run_enhance_many'),
    'portraits.dataset': ('Draws portraits, and writes them in the layout of CelebA.',
                          'draw_portrait portraits write_portraits'),
    'portraits.brush': ('Holds the brushes that all drawings are made with.',
                        'Frame Pencil Ink over noise smooth_curve'),
    'portraits.character': ('Draws by lot who is to be seen.',
                            'character attributes'),
    'portraits.scenery': ('Paints backdrops and cloths.', 'scenery fabric'),
    'portraits.features': ('Paints a face.', 'face'),
    'portraits.hair': ('Paints hair.', 'back_hair front_hair'),
    'portraits.attire': ('Paints what people wear.',
                         'clothes glasses hat earrings necklace'),
}


def to_call(module: str) -> list[str]: return USE.get(module, ('', ''))[1].split()


def public(module) -> dict[str, object]:
    "What the module defines for others, in the order of its source."
    things = {name: getattr(module, name) for name in module.__all__}
    return {name: thing for name, thing in things.items()
            if getattr(thing, '__module__', module.__name__) == module.__name__}


def is_code(thing) -> bool:
    "Whether `thing` is a function or class; an object that can be called is a value."
    return inspect.isclass(thing) or inspect.isroutine(inspect.unwrap(thing))


def methods(kind: type) -> dict[str, object]:
    "Documented public methods of a class, its own and not inherited."
    own = {name: getattr(value, '__func__', value)
           for name, value in vars(kind).items() if name[0] != '_'}
    return {name: f for name, f in own.items() if inspect.isfunction(f) and f.__doc__}


# Signatures

@cache
def comments(source: str) -> dict[int, str]:
    "Line → the comment that ends it, or is all of it."
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return {token.start[0]: token.string.lstrip('# ') for token in tokens
            if token.type == tokenize.COMMENT}


def plain_type(node: ast.expr | None) -> str:
    "An annotation as it stands in the source, without what it says to Typer."
    if node is None: return ''
    annotated = (isinstance(node, ast.Subscript)
                 and ast.unparse(node.value) == 'Annotated')
    if annotated: node = node.slice.elts[0]
    quoted = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if quoted else ast.unparse(node)


def short(text: str) -> str:
    "A default, cut where it is long."
    if len(text) <= LONGEST: return text
    called = re.match(r'[\w.]+\(', text)
    opening = called[0] if called else text[0] if text[0] in '([{' else ''
    return opening + '…' + {'(': ')', '[': ']', '{': '}'}.get(opening[-1:], '')


def default_of(node: ast.expr) -> str:
    "A default in the source; of a dataclass's `field`, what it holds."
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'field':
        said = {key.arg: key.value for key in node.keywords}
        if 'default' in said: return short(ast.unparse(said['default']))
        if 'default_factory' not in said: return ''
        return short(f'{ast.unparse(said["default_factory"])}()')
    return short(ast.unparse(node))


def help_of(node: ast.expr | None) -> str:
    "What Typer says of an option."
    said = [key.value for key in ast.walk(node) if isinstance(key, ast.keyword)
            and key.arg == 'help'] if node else []
    return ast.literal_eval(said[0]) if said else ''


def line_of(
    name: str, # of a parameter, with its stars, or of a field
    annotation: ast.expr | None,
    default: ast.expr | None,
    comment: str, # beside it in the source
) -> str: # a line of a signature
    "`name: type = default,  # comment`"
    kind, value = plain_type(annotation), default_of(default) if default else ''
    text = name + (f': {kind}' if kind else '')
    if value: text += f' = {value}' if kind else f'={value}'
    said = comment or help_of(annotation)
    return f'    {text},' + (f'  # {said}' if said else '')


def parameters(node: ast.FunctionDef) -> Iterator[tuple]:
    "Name with stars, annotation, default and last node of each parameter."
    given = node.args
    plain = given.posonlyargs + given.args
    blanks = [None] * (len(plain) - len(given.defaults))
    rows = [('', arg, value) for arg, value in zip(plain, blanks + given.defaults)]
    if given.vararg or given.kwonlyargs: rows.append(('*', given.vararg, None))
    rows += [('', arg, value)
             for arg, value in zip(given.kwonlyargs, given.kw_defaults)]
    if given.kwarg: rows.append(('**', given.kwarg, None))
    for stars, arg, value in rows:
        if arg is None: yield stars, None, None, None
        elif arg.arg not in ('self', 'cls'):
            yield stars + arg.arg, arg.annotation, value, value or arg


def source_tree(thing) -> tuple[str, ast.AST]:
    "The source of a function or class, and its syntax tree."
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(thing)))
    return source, ast.parse(source).body[0]


def call_lines(node: ast.FunctionDef, source: str) -> tuple[list[str], str]:
    "The parameters of a function, a line each, and what it returns."
    said, lines, rows = comments(source), [], list(parameters(node))
    # A comment speaks of the last parameter on its line.
    last = {at.end_lineno: name for name, *_, at in rows if at}
    for name, annotation, default, at in rows:
        if name == '*': lines.append('    *,')
        else:
            comment = said.get(at.end_lineno, '') if last[at.end_lineno] == name else ''
            lines.append(line_of(name, annotation, default, comment))
    if not node.returns: return lines, ''
    comment = said.get(node.returns.end_lineno, '')
    return lines, (f' -> {plain_type(node.returns)}'
                   + (f'  # {comment}' if comment else ''))


def fields(node: ast.ClassDef, source: str) -> list[str]:
    "The annotated fields of a dataclass or named tuple, a line each."
    said = comments(source)
    return [line_of(part.target.id, part.annotation, part.value,
                    said.get(part.end_lineno, ''))
            for part in node.body if isinstance(part, ast.AnnAssign)
            and part.target.id[0] != '_']


def together(head: str, lines: list[str], tail: str) -> str:
    "A call on one line where it fits, else a line for each parameter."
    plain = [line.strip().rstrip(',') for line in lines]
    one = f'{head}({", ".join(plain)}){tail}'
    if len(one) <= WIDTH and not any('#' in line for line in lines): return one
    return '\n'.join([f'{head}(', *lines, f'){tail}'])


def signature(thing) -> str:
    "A block of Python: how `thing` is called, with the comments on its parameters."
    source, node = source_tree(thing)
    if isinstance(node, ast.ClassDef):
        bases = [ast.unparse(base) for base in node.bases]
        start = next((part for part in node.body if isinstance(part, ast.FunctionDef)
                      and part.name == '__init__'), None)
        lines = call_lines(start, source)[0] if start else fields(node, source)
        if not lines: text = f'class {node.name}({", ".join(bases)})'
        else: text = together(f'class {node.name}', lines, '')
    else:
        lines, returned = call_lines(node, source)
        text = together(f'def {node.name}', lines, returned)
    return f'```python\n{text}\n```'


def with_examples(docstring: str) -> str:
    """A docstring whose examples, up to a blank line each, are blocks of Python:
    Markdown would quote them."""
    def block(found: re.Match) -> str:
        return f'```python\n{textwrap.dedent(found[0])}\n```'
    return re.sub(r'^ *>>> .*(?:\n.*\S.*)*', block, docstring, flags=re.M)


# Values

def values(module, names: list[str]) -> str:
    "A block of Python with a line for each value, as the source has it."
    source = inspect.getsource(module)
    said, lines = comments(source), []
    for node in ast.parse(source).body:
        targets = node.targets if isinstance(node, ast.Assign) else (
            [node.target] if isinstance(node, ast.AnnAssign) else [])
        found = [part.id for target in targets for part in ast.walk(target)
                 if isinstance(part, ast.Name) and part.id in names]
        if not found or node.value is None: continue
        comment = said.get(node.end_lineno) or said.get(node.lineno, '')
        line = f'{", ".join(found)} = {short(ast.unparse(node.value))}'
        lines.append(line + (f'  # {comment}' if comment else ''))
    return '```python\n' + '\n'.join(lines) + '\n```'


# Pages

@cache
def cell_of(file: str) -> dict[str, str]:
    "Public name → id of the cell that defines it, as nbdev noted in the module."
    found, cell = {}, ''
    for line in Path(file).read_text().splitlines():
        marked = re.match(r'# %% \S+ #(\w+)$', line)
        if marked: cell = marked[1]
        defined = re.match(r'(?:def|class) (\w+)', line)
        if defined: found.setdefault(defined[1], cell)
    return found


@cache
def shown(notebook: Path) -> set[str]:
    "Ids of the cells of a processed notebook that a reader sees, and can be linked to."
    if not notebook.exists(): return set()
    return {cell['id'] for cell in cells(notebook)
            if cell['cell_type'] == 'code' and '#| label: ' not in cell['source']}


class ModulePage:
    "The page of a module below `pages`, which has the processed notebooks."
    def __init__(self, name: str, chapter: Chapter, pages: Path):
        self.name, self.chapter, self.pages = name, chapter, pages
        self.module = import_module(f'{PACKAGE}.{name}')
        self.things = public(self.module)
        self.notebook = to_root(f'api/{api_page(name)}') + chapter.notebook

    def where(self, name: str) -> str:
        "A link to the cell that defines `name`, or to the chapter."
        cell = cell_of(self.module.__file__).get(name, '')
        seen = cell in shown(self.pages / self.chapter.notebook)
        place = f'#{cell}' if seen else ''
        text = f'Made and tested in {numbered(self.chapter)}'
        return f'[{text}]({self.notebook}{place}){{.made}}'

    def entry(self, name: str, thing, level: int) -> str:
        "Heading, signature, docstring and way to the chapter of a function or class."
        heading = f'{"#" * level} `{name}` {{#{name}}}'
        docstring = with_examples(inspect.getdoc(thing) or '')
        parts = [heading, signature(thing), docstring]
        return '\n\n'.join(parts + ([] if '.' in name else [self.where(name)]))

    def entries(self, names: list[str]) -> list[str]:
        "Functions; classes, each with its methods."
        found = []
        for name in names:
            thing = self.things[name]
            found.append(self.entry(name, thing, 3))
            if inspect.isclass(thing):
                found += [self.entry(f'{name}.{method}', function, 4)
                          for method, function in methods(thing).items()]
        return found

    def text(self) -> str:
        "The page. It has no source of its own that Quarto could link to."
        title = json.dumps(f'{PACKAGE}.{self.name}')
        purpose = USE.get(self.name, (self.chapter.subtitle, ''))[0]
        front = ['---', f'title: {title}',
                 f'description: {json.dumps(purpose, ensure_ascii=False)}',
                 'repo-actions: [issue]', '---']
        first = to_call(self.name)
        code = [name for name, thing in self.things.items() if is_code(thing)]
        rest = [name for name in code if name not in first]
        constants = [name for name in self.things if name not in code]
        parts = ['\n'.join(front),
                 f'The chapter [{numbered(self.chapter)}]({self.notebook}) explains '
                 'this module and tests it.']
        if first: parts += ['## To call', *self.entries(first)]
        if rest: parts += ['## Building blocks', *self.entries(rest)]
        if constants: parts += ['## Values', values(self.module, constants)]
        return '\n\n'.join(parts) + '\n'


INDEX = '''---
title: API
description: One page for each module, from the signatures and docstrings \
of the package.
repo-actions: [issue]
---

Each module comes from one chapter, which explains it and tests it. A page here lists \
first what you would call, in the order of use, and then the building blocks.

{modules}
'''


def index_entry(name: str, chapter: Chapter) -> str:
    "What the module is for, what to call first, and which chapter makes it."
    page = api_page(name)
    purpose = USE.get(name, (chapter.subtitle, ''))[0]
    first = [f'[`{symbol}`]({page}#{symbol})' for symbol in to_call(name)[:3]]
    start = f' Start with {", ".join(first[:-1])} or {first[-1]}.' if first[1:] else (
        f' Start with {first[0]}.' if first else '')
    said = f'It {purpose[0].lower()}{purpose[1:]}'
    return (f'[`{PACKAGE}.{name}`]({page})\n: {said}{start} '
            f'Its chapter is [{numbered(chapter)}](../{chapter.notebook}).')


def write_api(notebooks: Path, pages: Path) -> None:
    "The pages of all modules, and one that lists them, into `pages`/api."
    lines, api = [], pages / 'api'
    for name, chapter in chapters(notebooks).items():
        file = api / api_page(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(ModulePage(name, chapter, pages).text())
        lines.append(index_entry(name, chapter))
    (api / 'index.qmd').write_text(INDEX.format(modules='\n\n'.join(lines)))
