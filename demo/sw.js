// The service worker: what was loaded once is there offline. Filled in by vite.config.ts.

const FILES = ['__FILES__'];
const CACHE = 'tfjs-sparse demo __VERSION__';
/** Kept over versions: these files never change. */
const DATA = 'tfjs-sparse mnist';

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FILES)));
});

// A new version takes over when no page of the old one is open: those still ask for the old files.
self.addEventListener('activate', (event) => {
  const outdated = (name) => name.startsWith('tfjs-sparse demo ') && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(outdated).map((name) => caches.delete(name))))
      // The first visit is kept, too.
      .then(() => self.clients.claim()),
  );
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  if (request.method !== 'GET' || new URL(request.url).origin !== location.origin) return;
  event.respondWith(answer(request));
});

// Names of built files change with their content, MNIST never does: what is kept is good, whatever the settings in the address, and whoever asks.
async function answer(request) {
  const cache = await caches.open(request.url.includes('/mnist/') ? DATA : CACHE);
  const kept = await cache.match(request, { ignoreSearch: true, ignoreVary: true });
  if (kept) return kept;
  const response = await fetch(request);
  if (response.ok && request.url.includes('/mnist/')) await cache.put(request, response.clone());
  return response;
}
