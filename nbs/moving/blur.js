// The blur of chapter 00 in JavaScript: what gaussian_blur, effective_sigma and psnr
// compute there (deblur_vae/data.py), and what a blur does to waves.

import { gaussian, spread } from '../enhance/kernels.js';

/** One axis of the Gaussian of width `sigma` cut to `taps`: numbers with sum 1. */
export function line(sigma, taps) {
  const kernel = gaussian(sigma, taps).taps;
  return Float64Array.from({ length: taps }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < taps; j++) sum += kernel[i * taps + j];
    return sum;
  });
}

/** How wide the kernel is after the cut, in pixels. */
export const effectiveSigma = (sigma, taps) => spread(gaussian(sigma, taps));

/** The place that a place beyond the border mirrors. */
const mirrored = (i, n) => (i < 0 ? -i : i < n ? i : 2 * (n - 1) - i);

/** Lines of `n` numbers, `step` apart, averaged with their neighbours by `weights`. */
function along(plane, starts, n, step, weights) {
  const reach = weights.length >> 1, out = new Float64Array(plane.length);
  const long = new Float64Array(n + 2 * reach);
  for (const start of starts) {
    for (let i = 0; i < long.length; i++) {
      long[i] = plane[start + step * mirrored(i - reach, n)];
    }
    for (let i = 0; i < n; i++) {
      let sum = 0;
      for (let t = 0; t < weights.length; t++) sum += weights[t] * long[i + t];
      out[start + step * i] = sum;
    }
  }
  return out;
}

/** A plane blurred along both axes, with a mirrored border. */
export function blurred(plane, height, width, weights) {
  const rows = Array.from({ length: height }, (_, y) => y * width);
  const columns = Array.from({ length: width }, (_, x) => x);
  return along(along(plane, rows, width, 1, weights), columns, height, width, weights);
}

/** Decibels between two pictures, each a list of planes in [0,1]. */
export function psnr(some, others) {
  let sum = 0, many = 0;
  some.forEach((plane, c) => {
    for (let i = 0; i < plane.length; i++) sum += (plane[i] - others[c][i]) ** 2;
    many += plane.length;
  });
  return -10 * Math.log10(sum / many);
}

/** The share of its contrast that a wave of `frequency`, cycles a pixel, keeps. */
export function kept(weights, frequency) {
  let sum = 0;
  for (let t = 0; t < weights.length; t++) {
    sum += weights[t] * Math.cos(2 * Math.PI * frequency * (t - (weights.length >> 1)));
  }
  return Math.abs(sum);
}
