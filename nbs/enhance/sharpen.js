// One picture sharpened: its blur found, its border extended, filtered, mended, and
// kept as far as it agrees with the blur. Images are RGBA: { data, width, height }.

import { beside, estimateBlur, noiseOf, sceneOf } from './estimate.js';
import { EDGE, ENOUGH, INSIDE, Window } from './filter.js';
import { spread } from './kernels.js';
import { opponent } from './spectrum.js';
import { pieceOf, range, rounded, tiled } from './tiles.js';

const WINDOW = 512;
const MILDEST = 0.65, WIDEST = 6; // pixels of spread between which a blur is undone
const LEAST_SIDE = 16, FLAT = 1e-4;
const KEEP = 8; // pixels beyond the border that the network sees
const LEAST_SCALE = 0.002;
const EVEN = 3.5, UNEVEN = 7; // 99 % quantile of surprise over its median: sure, not
const AGREES = 3, DIFFERS = 5.5; // surprise at a place over its median: sure, not
const CLEAR = [200, 400]; // nats between which all bounds rise to three times as much
const BLOCKY = 25; // points of quality below 100: a JPEG is five times as uneven
export const TILE = 640;
const OVERLAP = 96;
const RIM = 48; // pixels of a quickly extended window that are not to be trusted
const SEEN = 19; // channels that the network sees

/** Is a picture judged and worked on as one piece? */
const isWhole = ({ width, height }) => Math.max(width, height) <= 1.5 * WINDOW;

/** Where windows of a side of `n` pixels start, `most` at most. */
function windowStarts(n, most) {
  const count = Math.min(most, Math.ceil(n / WINDOW));
  return Array.from({ length: count }, (_, i) =>
    Math.floor(Math.floor(i * (n - WINDOW) / Math.max(1, count - 1)) / 8) * 8);
}

/** A small picture as it is; of a large one, windows side by side. */
export function mosaic(image, most = 4) {
  const { width, height } = image;
  if (isWhole(image)) return pieceOf(image, range(0, height), range(0, width));
  const [rows, columns] = [height, width].map(n =>
    windowStarts(n, most).flatMap(start => range(start, Math.min(n, start + WINDOW))));
  return pieceOf(image, rows, columns);
}

/** Does a picture show anything? */
function isFlat({ planes }) {
  const many = 3 * planes[0].length, first = planes[0][0];
  let sum = 0, square = 0;
  for (const plane of planes) {
    for (let i = 0; i < plane.length; i++) {
      const off = plane[i] - first;
      sum += off;
      square += off * off;
    }
  }
  return square - sum * sum / many < FLAT ** 2 * (many - 1);
}

/** A picture's mosaic and blur, and whether there is any that is worth undoing. */
export function blurOf(known, image) {
  if (Math.min(image.width, image.height) < LEAST_SIDE) return { reason: 'small' };
  const picture = mosaic(image);
  if (isFlat(picture)) return { reason: 'flat' };
  const blur = estimateBlur(known, picture);
  if (blur.family === 'none') return { picture, blur, reason: 'sharp' };
  const wide = spread(blur.kernel);
  const reason = wide <= MILDEST ? 'mild' : wide >= WIDEST ? 'wide' : null;
  return { picture, blur, reason };
}

/** Is a kernel the product of a column and a row? */
export function isProduct({ taps, width }) {
  const at = taps.reduce((best, v, i) => v > taps[best] ? i : best, 0);
  const row = Math.floor(at / width) * width, column = at % width;
  let rest = 0, size = 0;
  taps.forEach((v, i) => {
    const product = taps[row + i % width] * taps[i - i % width + column] / taps[at];
    rest += (v - product) ** 2;
    size += v * v;
  });
  return rest < 1e-12 * size;
}

/** By how much the doubtful answer differs from the likeliest: root mean square. */
function scaleOf(doubtful, likely) {
  let sum = 0;
  doubtful.forEach((plane, c) => {
    for (let i = 0; i < plane.length; i++) sum += (plane[i] - likely[c][i]) ** 2;
  });
  return Math.max(LEAST_SCALE, Math.sqrt(sum / (3 * likely[0].length)));
}

/** A frame as RGB, from KEEP pixels above and left of its corner on. */
function shown(frames, mean, [height, width], [down, across]) {
  const h = height + 2 * KEEP, w = width + 2 * KEEP;
  const parts = frames.map((frame, c) => {
    const out = new Float32Array(h * w);
    for (let y = 0, i = 0; y < h; y++) {
      const row = ((y - KEEP + down) % down) * across;
      for (let x = 0; x < w; x++, i++) {
        out[i] = frame[row + (x - KEEP + across) % across] + mean[c];
      }
    }
    return out;
  });
  return opponent(parts, true);
}

/** The factor that makes the network's doubts honest, given what the estimate says;
 * no blur is told here. */
function honestyOf(weights, blur) {
  const { kind, quality } = blur.spectrum, told = 0;
  const other = Number(!['gaussian', 'turned'].includes(blur.family));
  const wide = Math.log(Math.max(0.3, spread(blur.kernel)));
  const circumstances = [
    1, kind, told, other,
    Number(quality !== null), quality === null ? 0 : (100 - quality) / 25,
    Math.log(noiseOf(blur)) + 6, wide, other * kind, other * wide];
  return Math.exp(circumstances.reduce((sum, c, i) => sum + c * weights[i], 0));
}

const clipped = v => Math.min(1, Math.max(0, v));

/** Sides that the network can take. */
const eights = n => Math.ceil(n / 8) * 8;

/** All that the network sees: five pictures, inside or not, three numbers. */
function seenBy(pictures, [h, w], numbers, scale) {
  const height = eights(h), width = eights(w), area = height * width;
  const seen = new Float32Array(SEEN * area);
  const fill = (channel, value) => {
    for (let y = 0, o = channel * area; y < height; y++) {
      const row = Math.min(y, h - 1) * w;
      for (let x = 0; x < width; x++, o++) seen[o] = value(row + Math.min(x, w - 1));
    }
  };
  const [y, less, likely, more, doubtful] = pictures;
  for (let c = 0; c < 3; c++) {
    fill(c, i => clipped(y[c][i]));
    fill(6 + c, i => clipped(likely[c][i]));
    [[3, less], [9, more], [12, doubtful]].forEach(([at, view]) =>
      fill(at + c, i => (clipped(view[c][i]) - clipped(likely[c][i])) / scale));
    seen.fill(numbers[c], (16 + c) * area, (17 + c) * area);
  }
  for (let r = KEEP; r < h - KEEP; r++) {
    seen.fill(1, 15 * area + r * width + KEEP, 15 * area + r * width + w - KEEP);
  }
  return { seen, height, width };
}

/** A window of a frame, less so many pixels along its sides. */
function inner(plane, { size: [h, w], frame }, rim = [0, 0]) {
  const [top, left] = rim, many = w - 2 * left;
  const out = new Float32Array((h - 2 * top) * many);
  for (let y = top; y < h - top; y++) {
    const from = y * frame[1] + left;
    out.set(plane.subarray(from, from + many), (y - top) * many);
  }
  return out;
}

/** Extends, filters and mends windows of one picture whose blur was found. */
export class Sharpener {
  constructor(known, picture, blur, net) {
    Object.assign(this, { known, blur, net, scale: null });
    this.honesty = honestyOf(known.honest, blur);
    this.guided = !isProduct(blur.kernel);
    this.scene = sceneOf(known, picture, blur);
    this.sides = beside(known, picture, blur);
  }

  /** The filters for windows of a size; those of the last size are kept. */
  window(height, width) {
    const [h, w] = this.last?.size ?? [];
    if (h !== height || w !== width) {
      const { known, scene, sides, guided } = this;
      this.last = new Window(known, [height, width], scene, sides, guided);
    }
    return this.last;
  }

  /** A window in its frame, and the mean of its colours. */
  extended({ planes, height, width }, enough) {
    const window = this.window(height, width), colours = opponent(planes);
    const mean = colours.map(plane => plane.reduce((a, b) => a + b, 0) / plane.length);
    const centred = colours.map((plane, c) => plane.map(v => v - mean[c]));
    return { window, frames: window.framed(centred, enough), mean };
  }

  /** What the network makes of the answers of four filters: three planes, and the
   * doubts of that answer and of the picture as it was. */
  async mended({ size, frame }, frames, views, mean) {
    const pictures = [frames, ...views].map(one => shown(one, mean, size, frame));
    const [h, w] = size.map(n => n + 2 * KEEP), { quality } = this.blur.spectrum;
    const scale = this.scale ?? scaleOf(pictures[4], pictures[2]);
    const coarse = quality === null ? 0 : (100 - quality) / 25;
    const numbers = [Math.log(noiseOf(this.blur)) / 2 + 3, Math.log(scale) + 4, coarse];
    const { seen, height, width } = seenBy(pictures, [h, w], numbers, scale);
    const change = await this.net(seen, height, width);
    const middle = (c, value) => {
      const out = new Float32Array(size[0] * size[1]);
      for (let y = KEEP, i = 0; y < size[0] + KEEP; y++) {
        const from = y * w + KEEP, at = (c * height + y) * width + KEEP;
        for (let x = 0; x < size[1]; x++, i++) out[i] = value(change[at + x], from + x);
      }
      return out;
    };
    const likely = pictures[2], unit = scale * this.honesty;
    return [
      ...likely.map((plane, c) => middle(c, (v, i) => plane[i] + scale * v)),
      ...[3, 4].map(c => middle(c, v => unit * v)),
    ];
  }

  /** What a window becomes, five planes as of `mended`, and its surprise. */
  async sharper(piece, enough) {
    const { window, frames, mean } = this.extended(piece, enough);
    const { views, surprise } = window.answers(frames);
    const planes = await this.mended(window, frames, views, mean);
    return { planes, surprise: inner(surprise, window) };
  }
}

/** The quantile of sorted numbers, linear between them. */
function quantile(sorted, share) {
  const at = share * (sorted.length - 1), low = Math.floor(at);
  const high = Math.min(low + 1, sorted.length - 1);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

/** How far a picture agrees with the blur found, and what surprise is usual. */
export function trustIn({ likelier, spectrum, others }, surprise) {
  const step = Math.max(1, Math.floor(surprise.length / 2 ** 20));
  const sorted = new Float32Array(Math.ceil(surprise.length / step));
  for (let i = 0; i < sorted.length; i++) sorted[i] = surprise[i * step];
  sorted.sort();
  const usual = quantile(sorted, 0.5), high = quantile(sorted, 0.99);
  const coarse = Math.min(1, (100 - (spectrum.quality ?? 100)) / BLOCKY);
  const ratio = high / Math.max(usual, 1e-6) / (1 + 4 * coarse ** 2);
  const clear = Math.min(1, Math.max(0, (likelier - CLEAR[0]) / (CLEAR[1] - CLEAR[0])));
  const even = (UNEVEN * (1 + 2 * clear) - ratio) / (UNEVEN - EVEN);
  const raised = usual * (1 + coarse) * (1 + 2 * clear);
  const sharp = others.find(({ family }) => family === 'none')?.share ?? 0;
  return { share: (1 - sharp) * Math.min(1, Math.max(0, even)), usual: raised };
}

/** How much of the change to keep at a place of some surprise. */
export function keptAt({ share, usual }, surprise) {
  const ratio = surprise / Math.max(usual, 0.4);
  return share * Math.min(1, Math.max(0, (DIFFERS - ratio) / (DIFFERS - AGREES)));
}

/** Trust, and the scale for the network, from up to four windows of a large picture. */
function survey(sharpener, image) {
  const rows = windowStarts(image.height, 2), columns = windowStarts(image.width, 2);
  const all = [], scales = [];
  for (const y of rows) {
    for (const x of columns) {
      const piece = pieceOf(image, range(y, Math.min(image.height, y + WINDOW)),
        range(x, Math.min(image.width, x + WINDOW)));
      const { window, frames } = sharpener.extended(piece, INSIDE);
      const { views, surprise } = window.answers(frames);
      const rim = window.size.map(n => Math.min(RIM, n >> 2));
      const cut = planes => planes.map(plane => inner(plane, window, rim));
      all.push(...cut([surprise]));
      scales.push(scaleOf(cut(views[3]), cut(views[1])));
    }
  }
  const square = scales.reduce((sum, v) => sum + v * v, 0) / scales.length;
  sharpener.scale = Math.sqrt(square);
  const joined = new Float32Array(all.reduce((sum, part) => sum + part.length, 0));
  all.reduce((at, part) => (joined.set(part, at), at + part.length), 0);
  return trustIn(sharpener.blur, joined);
}

/** A window before and after, as far as it is trusted: three planes from 0 to 1, and
 * the doubt of each pixel. */
function blended(before, after, surprise, trust) {
  const share = surprise.map(v => keptAt(trust, v));
  const colours = before.map((plane, c) => plane.map((v, i) =>
    v + share[i] * (clipped(after[c][i]) - v)));
  const [ofAfter, ofBefore] = after.slice(3);
  return [...colours, ofBefore.map((v, i) => v + share[i] * (ofAfter[i] - v))];
}

/**
 * A sharper picture, its doubt (half the width of a 90 % interval of the error of each
 * grey value, white is 1), the blur that was found, and the reason where nothing was
 * done; then without doubt.
 * `net(seen, height, width)` gives the change; `tell(stage, done, total)` hears of all.
 */
export async function sharpen(known, net, image, tell = () => {}) {
  tell('estimate');
  const { picture, blur, reason } = blurOf(known, image);
  if (reason) return { image, blur, reason };
  const sharpener = new Sharpener(known, picture, blur, net), whole = isWhole(image);
  const trust = whole ? null : survey(sharpener, image);
  if (trust && !trust.share) return { image, blur, reason: 'uneven' };
  const restore = async (piece, enough) => {
    const { planes, surprise } = await sharpener.sharper(piece, enough);
    const sure = trust ?? trustIn(blur, surprise);
    if (!sure.share) return null;
    return blended(piece.planes, planes, surprise, sure);
  };
  if (!whole) {
    const progress = (done, total) => tell('tiles', done, total);
    const act = (piece, border) => restore(piece, border ? EDGE : INSIDE);
    const sharper = await tiled(act, image, TILE, OVERLAP, progress);
    return { ...sharper, blur, reason: null };
  }
  tell('tiles', 0, 1);
  const planes = await restore(picture, ENOUGH);
  if (!planes) return { image, blur, reason: 'uneven' };
  const doubt = planes[3].map(clipped);
  return { image: rounded(image, planes), doubt, blur, reason: null };
}
