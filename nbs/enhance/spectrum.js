// Spectra: what cells of frequencies show, what a blur leaves there, what a scene has.

import { rfft2 } from './fourier.js';
import { lost } from './jpeg.js';

const PIECE = 512; // pixels; a large picture is judged by pieces of this side
const GREY = 3 ** -0.5, PAIR = 2 ** -0.5, TRIO = 6 ** -0.5;
const OPPONENT = [[GREY, GREY, GREY], [PAIR, 0, -PAIR], [TRIO, -2 * TRIO, TRIO]];
const POINTS = 3; // along each side of a cell, where gains are found
export const LEAST_NOISE = 0.0011; // rounding to 256 levels, 1/(255·√12)
export const MIDDLE = -1.35; // log of the frequency at which noise is stated

/** Three planes times the columns of a matrix, as planes of the same size. */
function mixed(planes, weights) {
  const [x, y, z] = planes, [a, b, c] = weights, out = new Float64Array(x.length);
  for (let i = 0; i < out.length; i++) out[i] = a * x[i] + b * y[i] + c * z[i];
  return out;
}

/** One of grey, red against blue, green against magenta, from red, green and blue. */
export const opponentColour = (planes, colour) => mixed(planes, OPPONENT[colour]);

/** Colours turned to axes that are nearly uncorrelated, or `back`. */
export function opponent(planes, back = false) {
  return OPPONENT.map((row, i) => mixed(planes, back ? OPPONENT.map(r => r[i]) : row));
}

/** The window of von Hann, sin², of mean square 1. */
function hann(n) {
  const line = Float64Array.from({ length: n }, (_, i) =>
    Math.sin(Math.PI * (i + 1) / (n + 1)) ** 2);
  const size = Math.sqrt(line.reduce((sum, v) => sum + v * v, 0) / n);
  return line.map(v => v / size);
}

/** Frequencies of `n` places, in cycles a pixel, in the order of a transform. */
export const frequencies = n =>
  Float64Array.from({ length: n }, (_, k) => (k < (n + 1 >> 1) ? k : k - n) / n);

/** Those of them that are not negative, and n/2. */
export const halfFrequencies = n =>
  Float64Array.from({ length: (n >> 1) + 1 }, (_, k) => k / n);

/** The sum of a plane. */
function sumOf(plane) {
  let sum = 0;
  for (let i = 0; i < plane.length; i++) sum += plane[i];
  return sum;
}

/** Power of each frequency of a plane that is faded out to its border. */
function periodogram(plane, height, width) {
  const down = hann(height), across = hann(width), mean = sumOf(plane) / plane.length;
  const faded = new Float64Array(plane.length);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      faded[i] = (plane[i] - mean) * down[y] * across[x];
    }
  }
  const { re, im } = rfft2(faded, height, width);
  for (let i = 0; i < re.length; i++) re[i] = (re[i] ** 2 + im[i] ** 2) / plane.length;
  return re;
}

/** Where pieces start along a side of `n` pixels: up to 4. */
function starts(n) {
  const count = Math.max(1, Math.min(4, Math.floor(n / PIECE)));
  const step = Math.max(0, n - PIECE) / Math.max(1, count - 1);
  return Array.from({ length: count }, (_, i) => Math.floor(i * step));
}

/** The plane itself, or up to 16 pieces of a large one, spread evenly over it. */
function pieces(plane, height, width) {
  if (Math.max(height, width) <= 1.5 * PIECE) return [{ plane, height, width }];
  const h = Math.min(PIECE, height), w = Math.min(PIECE, width);
  return starts(height).flatMap(top => starts(width).map(left => {
    const part = new Float64Array(h * w);
    for (let y = 0; y < h; y++) {
      const from = (top + y) * width + left;
      part.set(plane.subarray(from, from + w), y * w);
    }
    return { plane: part, height: h, width: w };
  }));
}

/** Values at `x`: linear between ascending nodes, constant beyond them. */
export function interpolate(x, nodes, values) {
  const out = new Float64Array(x.length);
  for (let k = 0; k < out.length; k++) {
    const i = intervalOf(x[k], nodes), t = shareOf(x[k], nodes, i);
    out[k] = values[i] * (1 - t) + values[i + 1] * t;
  }
  return out;
}

/** How far a number lies between two nodes, from 0 to 1. */
const shareOf = (v, nodes, i) =>
  Math.min(1, Math.max(0, (v - nodes[i]) / (nodes[i + 1] - nodes[i])));

/** The interval between nodes in which a number lies, or to which it is nearest. */
function intervalOf(v, nodes) {
  let low = 0, high = nodes.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (nodes[middle] < v) low = middle;
    else high = middle;
  }
  return low;
}

/** In which of `n` cells each of the frequencies k/size lies; in single precision. */
const cellsAlong = (ks, size, n, first) => {
  const round = Math.fround, step = round(1 / size);
  const place = k => round(round(round(k * step) * n) + first);
  return Int32Array.from(ks, k => Math.floor(place(k)));
};

/** Half the plane of frequencies in n·n/2 square cells; those in use in groups of four.
 *
 * A group has one radius r: cells (a, ±b) and (b, ±a), a to the right. Their directions
 * θ have cos 2θ = ±c, sin 2θ = ±s and cos 4θ = d. On the diagonal two are missing.
 * `segments` are groups between two nodes, with log r = p + q·u and u from 0 to 1. */
export class Cells {
  constructor(n, nodes) {
    this.n = n;
    const groups = groupsOf(n);
    this.count = groups.length;
    this.logR = Float64Array.from(groups, g => Math.log(g.r));
    this.c = Float64Array.from(groups, ({ a, b, r }) => (a * a - b * b) / (r * r));
    this.s = Float64Array.from(groups, ({ a, b, r }) => 2 * a * b / (r * r));
    this.d = this.c.map(c => 2 * c * c - 1);
    this.places = Int32Array.from(groups.flatMap(g => placesOf(g, n)));
    this.columns = Int32Array.from(groups, g => Math.floor(g.a * n));
    this.rows = Int32Array.from(groups, g => Math.floor(g.b * n));
    this.segments = segmentsOf(this.logR, nodes);
    this.u = new Float64Array(this.count);
    for (const { start, end, p, q } of this.segments) {
      for (let g = start; g < end; g++) this.u[g] = (this.logR[g] - p) / q;
    }
    this.waves = tables(n);
  }

  /** Values in the cells that are in use, four a group, of a plane [n·n/2]. */
  of(plane) {
    return Float64Array.from(this.places, place => place < 0 ? 0 : plane[place]);
  }

  /** Where the four cells of each group are among all that are in use, row by row. */
  order() {
    const used = this.places.filter(place => place >= 0).sort();
    const at = new Map(Array.from(used, (place, i) => [place, i]));
    return this.places.map(place => at.get(place) ?? -1);
  }

  /** Adds a periodogram to the power in each cell, and how many numbers that is. */
  add(total, count, power, height, width) {
    const { n } = this, half = n >> 1, across = (width >> 1) + 1;
    const places = [...Array(height).keys()];
    const signed = places.map(k => k < (height + 1 >> 1) ? k : k - height);
    const rows = cellsAlong(signed, height, n, half);
    const columns = cellsAlong(Array(across).keys(), width, n, 0);
    for (let y = 0; y < height; y++) {
      const row = Math.min(n - 1, Math.max(0, rows[y])) * half;
      for (let x = 1; x < across && columns[x] < half; x++) {
        total[row + columns[x]] += power[y * across + x];
        count[row + columns[x]]++;
      }
    }
  }
}

/** The groups of cells in use, by radius: places (a, b), a ≥ b, in cycles a pixel. */
function groupsOf(n) {
  const found = [];
  for (let i = 0; i < n / 2; i++) {
    for (let j = 0; j <= i; j++) {
      const a = (i + 0.5) / n, b = (j + 0.5) / n, r = Math.hypot(a, b);
      if (r > 0.02 && r < 0.6 && a < 0.47) found.push({ a, b, r });
    }
  }
  return found.sort((one, other) => one.r - other.r);
}

/** Where the four cells of a group lie in the plane, row by row; −1 for none. */
function placesOf({ a, b }, n) {
  const half = n >> 1, i = Math.floor(a * n), j = Math.floor(b * n);
  const at = (row, column) => row * half + column;
  const wide = [at(half + j, i), at(half - 1 - j, i)];
  return i === j ? [...wide, -1, -1] : [...wide, at(half + i, j), at(half - 1 - i, j)];
}

/** Runs of groups between two nodes, or beyond the first or last one. */
function segmentsOf(logR, nodes) {
  const last = nodes.length - 1, found = [];
  logR.forEach((v, g) => {
    const at = v < nodes[0] ? -1 : v > nodes[last] ? last : intervalOf(v, nodes);
    if (found.at(-1)?.at !== at) found.push({ at, start: g, end: g });
    found.at(-1).end = g + 1;
  });
  return found.map(({ at, start, end }) => {
    const low = Math.max(0, at), high = at < 0 || at === last ? low : at + 1;
    const q = high > low ? nodes[high] - nodes[low] : 1;
    return { start, end, low, high, p: nodes[low], q };
  });
}

const REACH = 24; // pixels to each side, the most of a kernel that is tried
const STRIDE = REACH + 1;

/** Cosines and sines at the points of the cells, by point and pixel. */
function tables(n) {
  const points = POINTS * n / 2, cos = new Float64Array(points * STRIDE);
  const sin = cos.slice();
  for (let m = 0, at = 0; m < points; m++) {
    for (let x = 0; x <= REACH; x++, at++) {
      const phase = 2 * Math.PI * (m + 0.5) / (POINTS * n) * x;
      [cos[at], sin[at]] = [Math.cos(phase), Math.sin(phase)];
    }
  }
  return { cos, sin, points };
}

/** A point-symmetric kernel folded onto x, y ≥ 0: its parts even and odd in y. */
function folded({ taps, height, width }) {
  const r = height >> 1, m = width >> 1, even = new Float64Array((r + 1) * (m + 1));
  const odd = even.slice();
  const pair = (y, x) => taps[(r + y) * width + m + x] + taps[(r - y) * width + m - x];
  for (let y = 0; y <= r; y++) {
    for (let x = 0; x <= m; x++) {
      const one = pair(y, x), other = pair(-y, x);
      const share = (x ? 1 : 0.5) * (y ? 1 : 0.5);
      even[y * (m + 1) + x] = share * (one + other);
      odd[y * (m + 1) + x] = share * (one - other);
    }
  }
  return { even, odd, r, m };
}

/** The folded kernel, transformed along y: [points·STRIDE] each. */
function transformedDown({ even, odd, r, m }, { cos, sin, points }) {
  const a = new Float64Array(points * STRIDE), b = a.slice();
  for (let p = 0; p < points; p++) {
    for (let y = 0; y <= r; y++) {
      const wave = cos[p * STRIDE + y], turn = sin[p * STRIDE + y], from = y * (m + 1);
      for (let x = 0, to = p * STRIDE; x <= m; x++, to++) {
        a[to] += wave * even[from + x];
        b[to] += turn * odd[from + x];
      }
    }
  }
  return { a, b };
}

/** What a point-symmetric blur leaves of the power: the mean of |H|² in each cell. */
export function gainsOf(cells, kernel) {
  const { waves, count } = cells, out = new Float64Array(4 * count);
  const part = folded(kernel), lines = transformedDown(part, waves);
  for (let g = 0; g < count; g++) {
    const i = cells.columns[g], j = cells.rows[g];
    cellGain(lines, waves, part.m, j, i, out, 4 * g);
    if (i > j) cellGain(lines, waves, part.m, i, j, out, 4 * g + 2);
  }
  return out;
}

/** The gain in the cell in a row and column, and in its mirror image, into `out`. */
function cellGain({ a, b }, { cos, sin }, m, row, column, out, at) {
  const one = POINTS * column * STRIDE, two = one + STRIDE, three = two + STRIDE;
  let below = 0, above = 0;
  for (let k = 0; k < POINTS; k++) {
    const down = (POINTS * row + k) * STRIDE;
    let e1 = 0, e2 = 0, e3 = 0, o1 = 0, o2 = 0, o3 = 0;
    for (let x = 0; x <= m; x++) {
      const even = a[down + x], odd = b[down + x];
      e1 += even * cos[one + x];
      e2 += even * cos[two + x];
      e3 += even * cos[three + x];
      o1 += odd * sin[one + x];
      o2 += odd * sin[two + x];
      o3 += odd * sin[three + x];
    }
    below += (e1 - o1) ** 2 + (e2 - o2) ** 2 + (e3 - o3) ** 2;
    above += (e1 + o1) ** 2 + (e2 + o2) ** 2 + (e3 + o3) ** 2;
  }
  out[at] = below / POINTS ** 2;
  out[at + 1] = above / POINTS ** 2;
}

/** Mean power of a plane, of how many coefficients, in each of some sets of cells. */
export function means(sets, colour, height, width) {
  const plane = n => new Float64Array(n * n / 2);
  const totals = sets.map(({ n }) => [plane(n), plane(n)]);
  for (const { plane: piece, height: h, width: w } of pieces(colour, height, width)) {
    const power = periodogram(piece, h, w);
    sets.forEach((cells, i) => cells.add(...totals[i], power, h, w));
  }
  return sets.map((cells, i) => {
    const [power, count] = totals[i].map(total => cells.of(total));
    return { power: power.map((v, k) => v / Math.max(1, count[k])), count };
  });
}

/** What a plane of frequencies, [fy·fx], has in common for all scenes. */
class Frequencies {
  constructor({ nodes, chroma }, fy, fx) {
    const size = fy.length * fx.length, plane = () => new Float64Array(size);
    Object.assign(this, { fy, fx, logR: plane(), t: plane(), c: plane(), s: plane() });
    this.interval = new Uint8Array(size);
    this.chroma = chroma.map(plane);
    for (let y = 0, i = 0; y < fy.length; y++) {
      for (let x = 0; x < fx.length; x++, i++) this.place(i, fy[y], fx[x], nodes);
    }
    chroma.forEach((ratio, colour) => this.usual(ratio, this.chroma[colour]));
  }

  /** Radius and direction of one frequency. */
  place(i, y, x, nodes) {
    const square = y * y + x * x, at = Math.log(Math.max(0.002, Math.sqrt(square)));
    const k = intervalOf(at, nodes);
    this.logR[i] = at;
    this.interval[i] = k;
    this.t[i] = shareOf(at, nodes, k);
    this.c[i] = square ? (x * x - y * y) / square : 1;
    this.s[i] = square ? 2 * x * y / square : 0;
  }

  /** Power of a colour difference over that of grey, as it usually is. */
  usual(ratio, out) {
    const { interval, t } = this;
    for (let i = 0; i < out.length; i++) {
      const k = interval[i];
      out[i] = Math.exp(ratio[k] + (ratio[k + 1] - ratio[k]) * t[i]);
    }
  }
}

const REMEMBERED = 3; // planes of frequencies

/** `Frequencies` of these, made once for some sizes. */
function planeOf(known, fy, fx) {
  const equal = (a, b) => a.length === b.length && a.every((v, i) => v === b[i]);
  let found = known.planes.find(one => equal(one.fy, fy) && equal(one.fx, fx));
  if (found) return found;
  found = new Frequencies(known, fy, fx);
  known.planes = [found, ...known.planes.slice(0, REMEMBERED - 1)];
  return found;
}

/** Log power of grey around the nodes, that a spectrum has. */
function ringOf({ kinds }, { kind, theta }) {
  const { mean, components } = kinds[kind];
  return mean.map((v, i) =>
    components.reduce((sum, one, k) => sum + theta[k] * one[i], v));
}

/** Power to expect of the sharp picture's grey, [fy·fx]. */
export function greyPower(known, spectrum, fy, fx) {
  const { logR, t, c, s, interval } = planeOf(known, fy, fx);
  const [a, b, d] = spectrum.theta.slice(-5), first = known.nodes[0];
  const ring = ringOf(known, spectrum);
  const out = new Float64Array(logR.length);
  for (let i = 0; i < out.length; i++) {
    const k = interval[i], turn = a * c[i] + b * s[i] + d * (2 * c[i] * c[i] - 1);
    const rise = logR[i] < first ? 2 * (first - logR[i]) : 0;
    out[i] = Math.exp(ring[k] + (ring[k + 1] - ring[k]) * t[i] + rise + turn);
  }
  return out;
}

/** Power of the noise, [fy·fx]; rounding is the least. */
export function noisePower(known, spectrum, fy, fx) {
  const { logR } = planeOf(known, fy, fx), tilt = spectrum.theta.at(-1);
  const level = Math.max(spectrum.noise, LEAST_NOISE) ** 2, low = Math.log(0.02);
  const least = (0.8 * LEAST_NOISE) ** 2;
  const above = r => Math.max(low, r) - MIDDLE;
  return logR.map(r => Math.max(least, level * Math.exp(tilt * above(r))));
}

/** Power to expect of the sharp picture in opponent colours, three planes [fy·fx]. */
export function scenePower(known, scene, fy, fx) {
  const grey = greyPower(known, scene.spectrum, fy, fx);
  const colours = planeOf(known, fy, fx).chroma.map((ratio, colour) => {
    const level = Math.exp(scene.levels[colour]);
    return grey.map((v, i) => v * level * ratio[i]);
  });
  return [grey, ...colours];
}

/** Power of all but the blurred scene, three planes; the same one without JPEG. */
export function noises(known, scene, fy, fx, blurred) {
  const noise = noisePower(known, scene.spectrum, fy, fx);
  if (scene.spectrum.quality === null) return [noise, noise, noise];
  const most = lost(scene.spectrum.quality, fy, fx);
  return blurred.map((power, colour) => {
    const coarser = colour ? 3 : 1; // colours have larger steps
    return noise.map((v, i) => v + Math.min(power[i], coarser * most[i]));
  });
}
