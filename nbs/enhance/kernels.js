// Blurs as kernels, as deblur_vae/camera.py draws them: { taps, height, width }, sum 1.

const FINE = 9; // discs and shakes are drawn so many times finer, then averaged
const STROKE = 0.6; // half the thickness of a shake's line, pixels

/** The odd number of pixels that reaches so far to both sides. */
const side = reach => 2 * Math.ceil(reach) + 1;

/** A square kernel of those taps, with sum 1. */
function normalised(taps, n) {
  let sum = 0;
  for (const tap of taps) sum += tap;
  for (let i = 0; i < taps.length; i++) taps[i] /= sum;
  return { taps, height: n, width: n };
}

/** One pixel of 1: no blur. */
export const none = () => normalised(Float64Array.of(1), 1);

/** A Gaussian; `n` taps, an odd number, may cut it off. */
export function gaussian(sigma, n = side(3.3 * sigma)) {
  const line = Float64Array.from({ length: n }, (_, i) =>
    Math.exp(-(((i - (n >> 1)) / sigma) ** 2) / 2));
  const taps = new Float64Array(n * n);
  for (let i = 0; i < taps.length; i++) taps[i] = line[Math.floor(i / n)] * line[i % n];
  return normalised(taps, n);
}

/** Calls `put(index, along, across)` for the points of a square, along a direction. */
function axes(n, angle, fine, put) {
  const turn = angle * Math.PI / 180, cos = Math.cos(turn), sin = Math.sin(turn);
  const size = n * fine;
  const place = Float64Array.from({ length: size }, (_, i) => (i + 0.5) / fine - n / 2);
  let at = 0;
  for (const y of place) {
    for (const x of place) put(at++, x * cos - y * sin, x * sin + y * cos);
  }
}

/** A Gaussian of two widths, the first one along `angle`, degrees counter-clockwise. */
export function turned(wide, narrow, angle) {
  const n = side(3.3 * Math.max(wide, narrow)), taps = new Float64Array(n * n);
  axes(n, angle, 1, (i, along, across) => {
    taps[i] = Math.exp(-((along / wide) ** 2) / 2 - (across / narrow) ** 2 / 2);
  });
  return normalised(taps, n);
}

/** The kernel of a shape: how much of each pixel is `inside(along, across)`. */
function antialiased(n, angle, inside) {
  const taps = new Float64Array(n * n), row = n * FINE;
  axes(n, angle, FINE, (i, along, across) => {
    if (!inside(along, across)) return;
    taps[Math.floor(Math.floor(i / row) / FINE) * n + Math.floor(i % row / FINE)]++;
  });
  return normalised(taps, n);
}

/** An even disc: out of focus. */
export const disc = radius =>
  antialiased(side(radius + 0.5), 0, (u, v) => u * u + v * v <= radius ** 2);

/** A straight line of some thickness: a shake. */
export const motion = (length, angle) => antialiased(side(length / 2 + STROKE), angle,
  (u, v) => Math.abs(u) <= length / 2 && Math.abs(v) <= STROKE);

export const FAMILIES = { none, gaussian, turned, disc, motion };

/** How wide a kernel is, in pixels: a Gaussian's sigma. */
export function spread({ taps, height, width }) {
  let sum = 0;
  for (let i = 0; i < taps.length; i++) {
    const y = Math.floor(i / width) - (height >> 1), x = i % width - (width >> 1);
    sum += (y * y + x * x) * taps[i];
  }
  return Math.sqrt(sum / 2);
}
