// A heat map of doubt: dark where the picture was seen, bright where it was guessed.

/** Magma, Matplotlib's: even steps, readable without colour vision. */
const STOPS = [
  '000004', '0b0924', '20114b', '3b0f70', '57157e', '721f81', '8c2981', 'a8327d',
  'c43c75', 'de4968', 'f1605d', 'fa7f5e', 'fe9f6d', 'febf84', 'fddea0', 'fcfdbf',
];
const QUANTILE = 0.995; // of the doubt that is shown at its brightest
const LEAST = 2; // levels of 255 that the brightest colour stands for at least
const ROWS = 1000; // that the quantile is taken of, about

/** The colours from dark to bright, as CSS has them. */
export const ramp = `linear-gradient(to right, ${STOPS.map(stop => `#${stop}`)})`;

/** 256 colours, linear between the stops: RGBA. */
function palette() {
  const channels = stop => [0, 2, 4].map(i => parseInt(stop.slice(i, i + 2), 16));
  const stops = STOPS.map(channels), step = 255 / (stops.length - 1);
  const colours = new Uint8ClampedArray(4 * 256).fill(255);
  for (let i = 0; i < 256; i++) {
    const at = Math.min(Math.floor(i / step), stops.length - 2), part = i / step - at;
    for (let c = 0; c < 3; c++) {
      colours[4 * i + c] = stops[at][c] + part * (stops[at + 1][c] - stops[at][c]);
    }
  }
  return colours;
}

/** Whole levels of 255 that all but the largest doubts stay within. */
function mostOf(doubt, width, height) {
  const step = Math.max(1, Math.floor(height / ROWS)), rows = Math.ceil(height / step);
  const sample = new Float32Array(rows * width);
  for (let r = 0; r < rows; r++) {
    const from = r * step * width;
    sample.set(doubt.subarray(from, from + width), r * width);
  }
  sample.sort();
  const at = QUANTILE * (sample.length - 1), low = Math.floor(at);
  const next = sample[Math.min(low + 1, sample.length - 1)];
  const high = sample[low] + (at - low) * (next - sample[low]);
  return Math.max(LEAST, Math.ceil(255 * high));
}

/** Doubts as colours, and the level of 255 that the brightest stands for. */
export function heatMap(doubt, width, height) {
  const most = mostOf(doubt, width, height);
  const colours = new Uint32Array(palette().buffer);
  const pixels = Uint32Array.from(doubt, v =>
    colours[Math.min(255, Math.floor(v * 255 * 255 / most))]);
  const data = new Uint8ClampedArray(pixels.buffer);
  return { image: { data, width, height }, most };
}
