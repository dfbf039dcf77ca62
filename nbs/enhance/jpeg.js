// What JPEG has done to a picture: the quality of its file, the power that may be lost.

const LUMA = [0.299, 0.587, 0.114];
const STEPS_50 = [ // of luminance at quality 50: ITU-T T.81, table K.1
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
  14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
  18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
  49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99];
const TESTED = [1, 2, 3, 4, 8, 9, 10, 11, 16, 17, 18, 24, 25, 32]; // places in a block
const MOST_BLOCKS = 4096;
const CERTAIN = 0.4; // mean cosine from which a quality is believed
const ENOUGH = 64; // coefficients that tell something

/** What luminance coefficients are multiples of, [8·8] in levels of 255. */
function jpegSteps(quality) {
  const scale = quality < 50 ? 5000 / quality : 200 - 2 * quality;
  return STEPS_50.map(step =>
    Math.min(255, Math.max(1, Math.floor((step * scale + 50) / 100))));
}

/** The cosine transform of 8 numbers as a matrix, [8·8]. */
const COSINES = Float64Array.from({ length: 64 }, (_, at) =>
  Math.cos(Math.PI * (2 * (at % 8) + 1) * (at >> 3) / 16) / (at < 8 ? 8 ** 0.5 : 2));

/** The luminance of one block of 8 by 8 pixels, 0 in the middle of 256 levels. */
function blockOf({ planes: [r, g, b], width }, top, left, block) {
  for (let i = 0; i < 64; i++) {
    const at = (top + (i >> 3)) * width + left + (i & 7);
    block[i] = (LUMA[0] * r[at] + LUMA[1] * g[at] + LUMA[2] * b[at]) * 255 - 128;
  }
}

/** One coefficient of the cosine transform of a block. */
function coefficient(block, place) {
  const v = 8 * (place >> 3), u = 8 * (place & 7);
  let sum = 0;
  for (let y = 0; y < 8; y++) {
    let line = 0;
    for (let x = 0; x < 8; x++) line += COSINES[u + x] * block[8 * y + x];
    sum += COSINES[v + y] * line;
  }
  return sum;
}

/** For each of `TESTED` its coefficients, without signs, in up to 4096 blocks. */
function blockCoefficients(picture) {
  const across = picture.width >> 3, down = picture.height >> 3;
  const count = Math.min(MOST_BLOCKS, across * down), block = new Float64Array(64);
  const found = TESTED.map(() => new Float64Array(count));
  for (let i = 0; i < count; i++) {
    blockOf(picture, 8 * Math.floor(i / across), i % across * 8, block);
    for (const [t, place] of TESTED.entries()) {
      found[t][i] = Math.abs(coefficient(block, place));
    }
  }
  return found;
}

/** How many coefficients tell something of a step q, and the sum of their cosines. */
function telling(coefficients, q) {
  let sum = 0, count = 0;
  for (let i = 0; i < coefficients.length; i++) {
    const c = coefficients[i];
    if (c <= 0.6 * q) continue;
    sum += Math.cos(2 * Math.PI * c / q);
    count++;
  }
  return { sum, count };
}

/** The mean cosine of the coefficients over these steps; null if too few tell. */
function match(coefficients, steps, found) {
  let sum = 0, count = 0;
  TESTED.forEach((place, t) => {
    const q = steps[place];
    if (q <= 1.5) return;
    const one = found[t][q] ??= telling(coefficients[t], q);
    sum += one.sum;
    count += one.count;
  });
  return count < ENOUGH ? null : sum / count;
}

/** The quality, 30…96, of the JPEG file that a picture comes from; null for none. */
export function jpegQuality(picture) {
  if (Math.min(picture.height, picture.width) < 8) return null;
  const coefficients = blockCoefficients(picture), known = TESTED.map(() => []);
  let best = CERTAIN, found = null;
  for (let quality = 30; quality < 97; quality++) {
    const value = match(coefficients, jpegSteps(quality), known);
    if (value === null) continue;
    if (value > best) [best, found] = [value, quality];
    if (found && quality >= found + 4) break;
  }
  return found;
}

/** Power of the grey that JPEG's rounding may have taken or added, [fy·fx]. */
export function lost(quality, fy, fx) {
  const out = new Float64Array(fy.length * fx.length);
  if (quality === null) return out;
  const steps = jpegSteps(quality);
  for (let y = 0, at = 0; y < fy.length; y++) {
    const v = Math.min(7, 16 * Math.abs(fy[y])), i = Math.min(6, Math.floor(v));
    const s = v - i;
    for (let x = 0; x < fx.length; x++, at++) {
      const u = Math.min(7, 16 * Math.abs(fx[x])), j = Math.min(6, Math.floor(u));
      const t = u - j, from = 8 * i + j;
      const upper = steps[from] * (1 - t) + steps[from + 1] * t;
      const lower = steps[from + 8] * (1 - t) + steps[from + 9] * t;
      out[at] = (upper * (1 - s) + lower * s) ** 2 / 4 / 255 ** 2;
    }
  }
  return out;
}
