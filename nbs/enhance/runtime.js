// The network and ONNX Runtime Web, fetched when they are first needed, with progress, and kept in the browser's cache.

const MODEL = new URL('./model/', import.meta.url);
const ORT = new URL('../vendor/ort/', import.meta.url);
const CACHE = 'deblur-vae';
const PATIENCE = 30_000; // ms that a graphics card may take for its first tile

/** An error whose message is a sentence for the person at the screen. */
export class Told extends Error {}

async function response(url) {
  let reply;
  try {
    reply = await fetch(url);
  } catch {
    throw new Told('The network could not be fetched: check the connection and try again.');
  }
  if (!reply.ok) throw new Told(`The network could not be fetched (status ${reply.status}): try again later.`);
  return reply;
}

async function openCache() {
  try {
    return await caches.open(CACHE);
  } catch {
    return null; // pages that are not served over HTTPS, and private windows
  }
}

/** What is at `url`, of `bytes` bytes; `version` tells a new file from an old one. `progress` is called with bytes. */
async function content(url, bytes, version, progress) {
  const cache = await openCache(), key = `${url}?${version}`;
  const known = await cache?.match(key);
  if (known) {
    const kept = new Uint8Array(await known.arrayBuffer());
    if (kept.length === bytes) {
      progress(bytes);
      return kept;
    }
  }
  const out = new Uint8Array(bytes), reader = (await response(url)).body.getReader();
  let at = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) break;
    if (at + value.length > bytes) throw new Told('The network is not the one that this page knows: reload the page.');
    out.set(value, at);
    progress(value.length);
    at += value.length;
  }
  if (at < bytes) throw new Told('The network did not arrive completely: check the connection and try again.');
  await keep(cache, url, key, out);
  return out;
}

/** Puts a file into the cache in the place of its older versions; a full disk is no reason to stop. */
async function keep(cache, url, key, bytes) {
  if (!cache) return;
  try {
    for (const old of await cache.keys()) if (old.url.startsWith(`${url}?`)) await cache.delete(old);
    await cache.put(key, new Response(bytes));
  } catch { /* it will be fetched again next time */ }
}

/** Whether there is a graphics card that the WebGPU build can use; one that is imitated by the processor is slower than WASM. */
async function graphics() {
  if (!('Suspending' in WebAssembly)) return false;
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !adapter.info?.isFallbackAdapter && adapter.info?.architecture !== 'swiftshader';
}

/** Fails where `promise` takes longer than that. */
function within(milliseconds, promise) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(reject, milliseconds, new Error('too slow')))]);
}

async function session(about, kind, progress) {
  const total = about.bytes + about.runtime[kind];
  let done = 0;
  const count = bytes => progress((done += bytes), total);
  const infix = kind === 'webgpu' ? '.jspi' : '';
  const weights = await content(new URL(about.file, MODEL).href, about.bytes, about.sha256, count);
  const size = about.runtime[kind], runtime = new URL(`ort-wasm-simd-threaded${infix}.wasm`, ORT).href;
  const wasm = await content(runtime, size, size, count);
  const ort = await import(new URL(`ort.${kind === 'webgpu' ? 'jspi' : 'wasm'}.bundle.min.mjs`, ORT).href);
  ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
  ort.env.wasm.wasmBinary = wasm;
  ort.env.logLevel = 'error';
  const made = await ort.InferenceSession.create(weights, { executionProviders: [kind] });
  const shape = [1, 3, about.tile, about.tile];
  return async planes => {
    const { restored } = await made.run({ blurred: new ort.Tensor('float32', planes, shape) });
    if (!restored.data.every(Number.isFinite)) throw new Error('the network gave no numbers');
    return restored.data;
  };
}

/** The network, ready to be called with the planes of a tile: on the graphics card where that works, or on the processor. */
export async function load(progress) {
  const about = await (await response(new URL('model.json', MODEL))).json();
  if (await graphics()) {
    try {
      const restore = await session(about, 'webgpu', progress);
      const grey = await within(PATIENCE, restore(new Float32Array(3 * about.tile ** 2).fill(0.5)));
      if (grey.some(value => Math.abs(value - 0.5) > 0.02)) throw new Error('grey does not stay grey');
      return { ...about, restore, where: 'graphics card' };
    } catch (error) {
      if (error instanceof Told) throw error;
    }
  }
  return { ...about, restore: await session(about, 'wasm', progress), where: 'processor' };
}
