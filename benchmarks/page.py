"""The Enhance page in Chromium on this machine: `benchmarks/page.py [--rounds 3]`.

Time to the first enhanced sample (512×512, blurred first), with nothing in the
browser's cache and with everything; what is transferred; and how long the page itself
is busy at most meanwhile.
"""
import argparse
import gzip
import sys
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / 'tools'), str(ROOT / 'tests')]

import site_parts  # noqa: E402
from browser import launched, serving  # noqa: E402

WATCH = '''() => {
    window.tasks = [];
    const note = list => tasks.push(...list.getEntries().map(task => task.duration));
    new PerformanceObserver(note).observe({ type: 'longtask' });
}'''
ENHANCE = '''() => new Promise(done => {
    const page = document.getElementById('enhance'), start = performance.now();
    tasks.length = 0;
    new MutationObserver(() => {
        if (page.dataset.state === 'done') done([performance.now() - start, tasks]);
    }).observe(page, { attributes: true });
    document.querySelector('[data-part=start]').click();
})'''
PARTS = {'.wasm': 'ONNX Runtime, WebAssembly', '.mjs': 'ONNX Runtime, JavaScript',
         '.onnx': 'network', '.jpg': 'sample pictures'}


def visit(context, address: str) -> tuple[float, list[float], list[str]]:
    """Milliseconds from the click to the result; the long tasks of the page meanwhile;
    what was fetched."""
    fetched = []
    context.on('response', lambda response: fetched.append(response.url))
    page = context.new_page()
    page.goto(address)
    page.evaluate(WATCH)
    page.click('[data-sample=astronaut]')
    page.wait_for_selector('[data-state=ready]')
    milliseconds, tasks = page.evaluate(ENHANCE)
    page.close()
    return milliseconds, tasks, [url for url in fetched if url.startswith(address)]


def weigh(context, fetched: list[str]) -> dict[str, list[int]]:
    "Part of the page → its bytes, plain and with gzip."
    sizes = {}
    for url in dict.fromkeys(fetched):
        content = context.request.get(url).body()
        part = PARTS.get(Path(urlsplit(url).path).suffix, 'page, styles, scripts')
        size = sizes.setdefault(part, [0, 0])
        size[0] += len(content)
        size[1] += len(gzip.compress(content, 6))
    return sizes


def report(cold: list[float], warm: list[float], tasks: list[list[float]],
           sizes: dict[str, list[int]]) -> str:
    "Markdown: times in seconds, sizes in MB."
    lines = [
        '| time from the click to the result | seconds, median |', '|:--|--:|',
        '| nothing in the cache (from this machine: no network in between) '
        f'| {median(cold) / 1000:.1f} |',
        f'| network and runtime in the cache | {median(warm) / 1000:.1f} |', '',
        '| transferred once | MB | with gzip, MB |', '|:--|--:|--:|']
    largest_first = sorted(sizes.items(), key=lambda item: -item[1][0])
    total = [sum(column) for column in zip(*sizes.values())]
    for part, (plain, packed) in [*largest_first, ('all', total)]:
        lines.append(f'| {part} | {plain / 1e6:.2f} | {packed / 1e6:.2f} |')
    longest = max(max(long, default=0) for long in tasks)
    lines += ['', f'Main thread meanwhile: {sum(map(len, tasks)) / len(tasks):.1f} '
                  f'tasks above 50 ms a run, the longest {longest:.0f} ms.']
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=3)
    args = parser.parse_args()
    site_parts.assemble()
    cold, warm, tasks, sizes = [], [], [], {}
    with serving(site_parts.server(0)) as address, launched() as browser:
        for _ in range(args.rounds):
            context = browser.new_context()
            for times in (cold, warm):
                milliseconds, long, fetched = visit(context, address)
                times.append(milliseconds)
                tasks.append(long)
                sizes = sizes or weigh(context, fetched)
            context.close()
    print(report(cold, warm, tasks, sizes))


if __name__ == '__main__': main()
