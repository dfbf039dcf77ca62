// The page: what is chosen, what the worker says, and what is shown of it.

import { ramp } from './heat.js';
import { Region } from './region.js';

const MOST = 25e6; // pixels: photographs of 24 megapixels are the largest that telephones take as a rule
const LEAST = 16;
const root = document.getElementById('enhance');
const part = Object.fromEntries([...root.querySelectorAll('[data-part]')].map(element => [element.dataset.part, element]));
const field = part.form.elements;
const urls = new Map();
let worker = null, chosen = null, begun = 0, turns = 0, doubted = false;

const region = new Region({
  frame: part.frame, box: part.box, changed: regionChanged,
  fields: { x: field.x, y: field.y, width: field.width, height: field.height },
});

/** Shows a blob in an image, and forgets the one before. */
async function show(image, blob) {
  URL.revokeObjectURL(urls.get(image));
  urls.set(image, URL.createObjectURL(blob));
  image.src = urls.get(image);
  await image.decode();
}

function say(words) { part.status.textContent = words; }

function fail(words) {
  part.error.textContent = words;
  say('');
}

/** One of ready, working, done: which parts are there, and where the focus goes if it would be lost. */
function enter(state) {
  const had = document.activeElement;
  root.dataset.state = state;
  part.screen.hidden = part.form.hidden = false;
  part.stage.hidden = state === 'done';
  part.result.hidden = part.save.hidden = part.back.hidden = state !== 'done';
  part.guess.hidden = state !== 'done' || !doubted;
  part.start.hidden = state === 'working' || state === 'done';
  part.cancel.hidden = part.progress.hidden = state !== 'working';
  part.options.disabled = part.frame.inert = state === 'working';
  part.options.hidden = state === 'done';
  if (had !== document.body && had.closest('.enhance-work')) {
    ({ ready: part.start, working: part.cancel, done: part.slider })[state]?.focus({ preventScroll: true });
  }
  if (state !== 'working') part.screen.scrollIntoView({ block: 'nearest' });
}

/** Lays the heat map of the doubt over the enhanced picture, or takes it away. */
function layHeat(on) {
  part.guesses.checked = on;
  part.heat.hidden = part.legend.hidden = !on;
  part.caption.textContent = on ? 'where it guesses' : 'after';
}

/** A result's pictures, and the heat map where there is one; that is not laid yet. */
async function showResult(before, after, heat) {
  const shown = [show(part.before, before), show(part.after, after)];
  if (heat) shown.push(show(part.heat, heat.blob));
  await Promise.all(shown);
  doubted = Boolean(heat);
  part.most.textContent = heat ? `±${heat.most} of 255` : '';
  layHeat(false);
}

function regionChanged(value) {
  field.extent.value = value ? 'region' : 'whole';
  part.numbers.hidden = !value;
  part.frame.classList.toggle('enhance-choosing', Boolean(value));
  if (!chosen) return;
  const { width, height } = chosen.size;
  part.readout.textContent = value
    ? `Enhance ${Math.round(value.x + value.width / 2)} to ${Math.round(value.y + value.height / 2)} · ${value.width} × ${value.height}`
    : `${width} × ${height}`;
}

/** Takes a picture from wherever it came. */
async function open(file, options = {}) {
  const turn = ++turns;
  stop();
  part.error.textContent = '';
  const probe = new Image(), url = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => Object.assign(probe, { onload: resolve, onerror: reject, src: url }));
  } catch {
    return fail(`${file.name || 'That'} cannot be read as a picture: it is damaged, or of a kind that this browser does not know.`);
  } finally {
    URL.revokeObjectURL(url);
  }
  if (turn !== turns) return;
  const size = { width: probe.naturalWidth, height: probe.naturalHeight };
  const found = `${file.name || 'The picture'} has ${size.width} × ${size.height} pixels`;
  if (size.width * size.height > MOST) {
    return fail(`${found}, and 25 million are the most that this page can work on: make it smaller first.`);
  }
  if (Math.min(size.width, size.height) < LEAST) return fail(`${found}: ${LEAST} each way are the least.`);
  chosen = { file, size, name: options.name ?? file.name ?? 'picture' };
  await show(part.picture, file).catch(() => {});
  field.blur.checked = Boolean(options.blur);
  part.blur.hidden = !options.blur;
  region.reset(size);
  enter('ready');
  say(`${chosen.name}: ${size.width} by ${size.height} pixels.`);
}

const sampleUrl = name => new URL(`./samples/${name}.jpg`, import.meta.url).href;

async function openSample(name) {
  try {
    const reply = await fetch(sampleUrl(name));
    if (!reply.ok) throw new Error(reply.status);
    await open(await reply.blob(), { name: `${name}.jpg`, blur: name !== 'portrait' });
  } catch {
    fail('The sample could not be fetched: check the connection and try again.');
  }
}

function newWorker() {
  const made = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  made.onmessage = ({ data }) => { if (made === worker) heard[data.stage](data); };
  made.onerror = () => {
    if (made !== worker) return;
    const needed = root.dataset.state === 'working';
    stop();
    worker = null;
    if (needed) fail('This browser could not start the computation: it is too old, or its memory is used up.');
  };
  return made;
}

/** Ends what the worker is doing. The files it had fetched stay in the browser's cache. */
function stop() {
  if (root.dataset.state !== 'working') return;
  worker.terminate();
  worker = null;
  enter('ready');
}

function start() {
  part.error.textContent = '';
  if (typeof WebAssembly !== 'object' || typeof OffscreenCanvas !== 'function') {
    return fail('This browser cannot run the network: it has no WebAssembly, or is too old.');
  }
  worker ??= newWorker();
  begun = 0;
  enter('working');
  progress('Preparing …');
  say('Enhancing.');
  worker.postMessage({
    file: chosen.file, region: region.value,
    blur: field.blur.checked ? { taps: Number(field.taps.value), sigma: Number(field.sigma.value) } : null,
  });
}

function progress(words, share) {
  part.doing.textContent = words;
  if (share === undefined) part.bar.removeAttribute('value');
  else part.bar.value = share;
}

/** How long the rest takes if it goes on as it went. */
function remaining(done, total) {
  if (!begun) begun = { at: performance.now(), done };
  if (done - begun.done < 2) return '';
  const seconds = (performance.now() - begun.at) / (done - begun.done) * (total - done) / 1000;
  return seconds < 90 ? `, about ${Math.ceil(seconds)} s left` : `, about ${Math.round(seconds / 60)} min left`;
}

const megabytes = bytes => (bytes / 1e6).toFixed(1);

function quality(blurred, enhanced) {
  const change = `${enhanced < blurred ? '−' : '+'}${Math.abs(enhanced - blurred).toFixed(2)}`;
  return `blurred ${blurred.toFixed(2)} dB, enhanced ${enhanced.toFixed(2)} dB (${change})`;
}

const UNDONE = {
  small: 'it is too small to tell whether it is blurred',
  flat: 'it shows nothing but one colour',
  sharp: 'no blur was found',
  mild: 'the blur that was found is too slight',
  wide: 'the blur that was found is too wide: it has left nothing to bring back',
  uneven: 'no one blur fits all of it',
};

/** What was found and done, in words. */
function outcome({ gain, found, reason }) {
  const blur = found ? ` Found: ${found}.` : '';
  const nothing = `Nothing was changed, since ${UNDONE[reason]}.`;
  if (reason) return reason === 'sharp' || reason === 'flat' ? nothing : nothing + blur;
  return `Enhanced.${blur}`
    + (gain ? ` PSNR to the sharp picture: ${quality(...gain)}.` : '');
}

const heard = {
  blur: () => progress('Blurring …'),
  estimate: () => progress('Looking for the blur …'),
  load({ done, total }) {
    progress(`Fetching the network: ${megabytes(done)} of ${megabytes(total)} MB`, done / total);
    if (done === total) progress('Preparing the network …');
  },
  tiles({ done, total }) {
    if (total === 1) return progress('Sharpening …');
    progress(`Part ${done} of ${total}${remaining(done, total)}`, done / total);
    const quarter = Math.floor(4 * done / total);
    if (quarter < 4 && quarter > Math.floor(4 * (done - 1) / total)) say(`${25 * quarter} per cent done.`);
  },
  write: () => progress('Writing the picture …', 1),
  async done({ before, after, heat, ...rest }) {
    await showResult(before, after, heat);
    const { width, height } = region.value ?? chosen.size;
    part.result.style.setProperty('--wide', `${Math.max(width, 576)}px`);
    part.result.style.setProperty('--ratio', width / height);
    part.slider.value = 50;
    enter('done');
    say(outcome(rest));
  },
  failed({ sentence }) {
    part.save.disabled = false;
    worker.terminate();
    worker = null;
    enter('ready');
    fail(sentence);
  },
  saved({ blob }) {
    part.save.disabled = false;
    const link = Object.assign(document.createElement('a'), {
      href: URL.createObjectURL(blob), download: `${chosen.name.replace(/\.\w+$/, '')}-enhanced.png`,
    });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  },
};

for (const input of [part.file, part.camera]) {
  input.addEventListener('change', () => {
    if (input.files.length) open(input.files[0]);
    input.value = '';
  });
}
for (const button of root.querySelectorAll('[data-sample]')) {
  button.addEventListener('click', () => openSample(button.dataset.sample));
}
for (const radio of field.extent) {
  radio.addEventListener('change', () => radio.value === 'region' ? region.suggest() : region.set(null));
}
field.blur.addEventListener('change', () => { part.blur.hidden = !field.blur.checked; });
part.form.addEventListener('submit', event => {
  event.preventDefault();
  if (root.dataset.state === 'ready') start();
});
part.cancel.addEventListener('click', () => {
  stop();
  say('Stopped.');
});
part.back.addEventListener('click', () => {
  enter('ready');
  say('');
});
part.save.addEventListener('click', () => {
  part.save.disabled = true;
  worker.postMessage({ save: true });
});
part.ramp.style.background = ramp;
part.guesses.addEventListener('change', () => layHeat(part.guesses.checked));
part.slider.addEventListener('slide', () => part.slider.setAttribute('aria-valuenow', Math.round(part.slider.value)));

document.addEventListener('paste', event => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith('image/'));
  if (file) open(file);
});
for (const name of ['dragover', 'drop']) {
  document.addEventListener(name, event => {
    if (![...event.dataTransfer.types].includes('Files')) return;
    event.preventDefault();
    root.classList.toggle('enhance-over', name === 'dragover');
    if (name === 'drop') open(event.dataTransfer.files[0]);
  });
}
document.addEventListener('dragleave', event => { if (!event.relatedTarget) root.classList.remove('enhance-over'); });

/** What this page consists of goes through the service worker, which keeps it. What was
 * loaded before that was there is asked for once more, the worker's modules included. */
async function keep() {
  const { serviceWorker } = navigator;
  if (!serviceWorker.controller) {
    const come = done => serviceWorker.addEventListener('controllerchange', done);
    await new Promise(come);
  }
  worker ??= newWorker();
  const samples = [...root.querySelectorAll('[data-sample]')];
  const loaded = performance.getEntriesByType('resource').map(({ name }) => name);
  const urls = [location.href, ...loaded, ...samples.map(({ dataset }) => sampleUrl(dataset.sample))];
  for (const url of new Set(urls)) {
    if (new URL(url).origin === location.origin) await fetch(url);
  }
}

/** A service worker keeps the page for when there is no network. Where the host does
 * not send the two headers that threads need, it adds them, from the second load on. */
async function serve() {
  if (!isSecureContext || !navigator.serviceWorker) return;
  await navigator.serviceWorker.register(new URL('../isolation.js', import.meta.url));
  await navigator.serviceWorker.ready;
  if (crossOriginIsolated || sessionStorage.isolating) return keep();
  sessionStorage.isolating = true;
  if (!chosen) location.reload();
}
serve().catch(() => {}); // online and with one thread it works without
