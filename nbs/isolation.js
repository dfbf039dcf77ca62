// Threads need a page that is isolated from others, and that takes two headers. Many hosts of static pages cannot send
// them: this service worker adds them to the Enhance page and its parts, and leaves all other pages alone.

const OURS = /\/enhance(\.html)?$|\/enhance\/|\/vendor\//;

function isolated(reply) {
  if (!reply.status) return reply; // opaque: from elsewhere
  const headers = new Headers(reply.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(reply.body, { status: reply.status, statusText: reply.statusText, headers });
}

self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', event => {
  const { origin, pathname } = new URL(event.request.url);
  if (origin === location.origin && OURS.test(pathname)) event.respondWith(fetch(event.request).then(isolated));
});
