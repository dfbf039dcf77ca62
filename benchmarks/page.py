"""The Enhance page in Chromium, on this machine: time to the first enhanced sample (512×512, blurred first), with nothing in
the browser's cache and with everything; what is transferred; and how long the page itself is busy at most meanwhile."""
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

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument('--rounds', type=int, default=3)
args = parser.parse_args()

WATCH = '''() => {
    window.tasks = [];
    new PerformanceObserver(list => tasks.push(...list.getEntries().map(({ duration }) => duration))).observe({ type: 'longtask' });
}'''
ENHANCE = '''() => new Promise(done => {
    const page = document.getElementById('enhance'), start = performance.now();
    tasks.length = 0;
    new MutationObserver(() => { if (page.dataset.state === 'done') done([performance.now() - start, tasks]); })
        .observe(page, { attributes: true });
    document.querySelector('[data-part=start]').click();
})'''
PARTS = {'.wasm': 'ONNX Runtime, WebAssembly', '.mjs': 'ONNX Runtime, JavaScript', '.onnx': 'network', '.jpg': 'sample pictures'}


def visit(context, address, sizes=None):
    "Milliseconds from the click to the result, and the long tasks of the page meanwhile."
    page = context.new_page()
    responses = []
    if sizes is not None: context.on('response', lambda response: responses.append(response.url))
    page.goto(address)
    page.evaluate(WATCH)
    page.click('[data-sample=astronaut]')
    page.wait_for_selector('[data-state=ready]')
    found = page.evaluate(ENHANCE)
    for url in dict.fromkeys(responses):
        path = urlsplit(url).path
        if not url.startswith(address): continue
        content = page.request.get(url).body()
        part = PARTS.get(Path(path).suffix, 'page, styles, scripts')
        raw, packed = sizes.get(part, (0, 0))
        sizes[part] = raw + len(content), packed + len(gzip.compress(content, 6))
    page.close()
    return found


site_parts.assemble()
cold, warm, tasks, sizes = [], [], [], {}
with serving(site_parts.server(0)) as address, launched() as browser:
    for i in range(args.rounds):
        context = browser.new_context()
        for times in (cold, warm):
            time, long = visit(context, address, sizes if times is cold and not i else None)
            times.append(time)
            tasks.append(long)
        context.close()

print('| time from the click to the result | seconds, median |\n|:--|--:|')
print(f'| nothing in the cache (from this machine: no network in between) | {median(cold) / 1000:.1f} |')
print(f'| network and runtime in the cache | {median(warm) / 1000:.1f} |')
print('\n| transferred once | MB | with gzip, MB |\n|:--|--:|--:|')
for part, (raw, packed) in sorted(sizes.items(), key=lambda item: -item[1][0]): print(f'| {part} | {raw / 1e6:.2f} | {packed / 1e6:.2f} |')
print(f'| all | {sum(raw for raw, _ in sizes.values()) / 1e6:.2f} | {sum(packed for _, packed in sizes.values()) / 1e6:.2f} |')
longest = max((max(long, default=0) for long in tasks))
print(f'\nMain thread meanwhile: {sum(map(len, tasks)) / len(tasks):.1f} tasks above 50 ms a run, the longest {longest:.0f} ms.')
