// The Enhance page's service worker. It keeps the page and what it loads, and gives that
// out when there is no network. And it adds the two headers that threads need, which
// many hosts of static pages cannot send. Other pages it leaves alone.

const OURS = /\/enhance(\.html)?$|\/enhance\/|\/vendor\//;
const LARGE = /\.(onnx|bin|wasm)$/; // the page itself keeps these, with their hashes
const KEPT = 'deblur-vae-page';

function isolated(reply) {
  if (!reply.status) return reply; // opaque: from elsewhere
  const headers = new Headers(reply.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  const { status, statusText, body } = reply;
  return new Response(body, { status, statusText, headers });
}

/** What the host has; without a host, what it had. */
async function answer(request) {
  const cache = await caches.open(KEPT);
  let reply;
  try {
    reply = isolated(await fetch(request));
  } catch (error) {
    const kept = await cache.match(request);
    if (kept) return kept;
    throw error;
  }
  if (reply.status === 200 && !LARGE.test(request.url)) {
    await cache.put(request, reply.clone()).catch(() => {}); // a full disk: not kept
  }
  return reply;
}

/** Whether a request is for the Enhance page or its parts, or comes from it. */
function ours({ method, url, referrer }) {
  const paths = [url, referrer].map(at => new URL(at, location).pathname);
  const here = new URL(url).origin === location.origin;
  return here && method === 'GET' && paths.some(path => OURS.test(path));
}

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', event => {
  if (ours(event.request)) event.respondWith(answer(event.request));
});
