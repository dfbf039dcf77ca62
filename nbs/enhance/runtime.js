// The network, what is known of spectra, and ONNX Runtime Web: fetched when they are
// first needed, with progress, and kept in the browser's cache.

const MODEL = new URL('./model/', import.meta.url);
const ORT = new URL('../vendor/ort/', import.meta.url);
const WASM = 'ort-wasm-simd-threaded.wasm';
const CACHE = 'deblur-vae';
const THREADS = 4; // at most
const AGAIN = 'check the connection and try again.';
const UNREACHED = `The network could not be fetched: ${AGAIN}`;
const STRANGE = 'The network is not the one that this page knows: reload the page.';
const INCOMPLETE = `The network did not arrive completely: ${AGAIN}`;
const DAMAGED = 'The network arrived damaged, so nothing was computed: reload the page.';

/** An error whose message is a sentence for the person at the screen. */
export class Told extends Error {}

async function response(url) {
  let reply;
  try {
    reply = await fetch(url);
  } catch {
    throw new Told(UNREACHED);
  }
  if (reply.ok) return reply;
  const why = `status ${reply.status}`;
  throw new Told(`The network could not be fetched (${why}): try again later.`);
}

async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null; // pages that are not served over HTTPS, and private windows
  }
}

/** Whether content has that hash. Pages over plain HTTP, but for localhost, have no
 * `crypto.subtle`: there its length, which was compared before, has to do. */
async function genuine(content, sha256) {
  if (!globalThis.crypto?.subtle) return true;
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  const digits = Array.from(hash, byte => byte.toString(16).padStart(2, '0'));
  return digits.join('') === sha256;
}

/** What is at `url`, of `bytes` bytes and that hash; kept under its hash, so that a new
 * file is told from an old one. `progress` is called with bytes. */
async function content(url, bytes, sha256, progress) {
  const cache = await openCache(), key = `${url}?${sha256}`;
  const known = await cache?.match(key);
  if (known) {
    const kept = new Uint8Array(await known.arrayBuffer());
    if (kept.length === bytes && await genuine(kept, sha256)) {
      progress(bytes);
      return kept;
    }
  }
  const out = new Uint8Array(bytes), reader = (await response(url)).body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    if (at + value.length > bytes) throw new Told(STRANGE);
    out.set(value, at);
    progress(value.length);
    at += value.length;
  }
  if (at < bytes) throw new Told(INCOMPLETE);
  if (!await genuine(out, sha256)) throw new Told(DAMAGED);
  await keep(cache, url, key, out);
  return out;
}

/** Caches a file instead of its older versions; a full disk is no reason to stop. */
async function keep(cache, url, key, bytes) {
  if (!cache) return;
  try {
    for (const old of await cache.keys()) {
      if (old.url.startsWith(`${url}?`)) await cache.delete(old);
    }
    await cache.put(key, new Response(bytes));
  } catch { /* it will be fetched again next time */ }
}

/** What is in each of the files of the model, and in ONNX Runtime's. */
async function contents(files, progress) {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0), found = {};
  let done = 0;
  for (const { file, bytes, sha256 } of files) {
    const count = more => progress((done += more), total);
    const url = new URL(file, file === WASM ? ORT : MODEL).href;
    found[file] = await content(url, bytes, sha256, count);
  }
  return { network: found['restore.onnx'], grid: found['grid.bin'], wasm: found[WASM] };
}

/** The network as a function: what it sees, its height and width → what to change. */
async function sessionOf(network, wasm) {
  const ort = await import(new URL('ort.wasm.bundle.min.mjs', ORT).href);
  const threads = globalThis.crossOriginIsolated ? navigator.hardwareConcurrency : 1;
  ort.env.wasm.numThreads = Math.min(THREADS, threads);
  ort.env.wasm.wasmBinary = wasm;
  ort.env.logLevel = 'error';
  const options = { executionProviders: ['wasm'] };
  const session = await ort.InferenceSession.create(network, options);
  return async (seen, height, width) => {
    const shape = [1, seen.length / (height * width), height, width];
    const feeds = { seen: new ort.Tensor('float32', seen, shape) };
    const { data } = (await session.run(feeds)).change;
    if (!data.every(Number.isFinite)) throw new Error('the network gave no numbers');
    return data;
  };
}

/** The network, which gets ready meanwhile, and what is known before a picture is. */
export async function load(progress) {
  const about = await (await response(new URL('model.json', MODEL))).json();
  const { network, grid, wasm } = await contents(about.files, progress);
  const session = sessionOf(network, wasm);
  session.catch(() => {}); // whoever calls the network is told
  const net = async (...seen) => (await session)(...seen);
  return { about, gains: grid, net };
}
