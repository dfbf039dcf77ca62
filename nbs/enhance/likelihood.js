// How likely a blur is: spectra of sharp pictures fitted to what is seen behind it.

import { MIDDLE } from './spectrum.js';

const NOISE = 0.002, NOISE_SPREAD = 0.8; // before looking: median, deviation of its log
const TILT_SPREAD = 1; // deviation of the noise's tilt
const WIDENED = 1.5; // factor on the populations' variances: other pictures differ more
const TRUST = 0.4; // of the coefficients count as independent
const SPREAD = 1; // variance of the log power in a cell around the best model
const FIRST_NOISE = Math.log(0.0016);
const NOISE_RANGE = [Math.log(3e-4), Math.log(0.15)], TILT_RANGE = [-3.5, 2];
const ANGLES = 3;

/** What to expect of pictures of one kind in some cells: signal, noise, their priors.
 *
 * Logarithms of both are linear in u within each of the cells' segments: `low` and
 * `slope` of level and components there. θ is factors of the components and of three
 * angles, log noise, tilt of the noise. */
export class Model {
  constructor(cells, { mean, components, angles }) {
    const n = components.length;
    const curves = [mean, ...components];
    this.cells = cells;
    this.curves = n;
    this.size = n + ANGLES + 2;
    this.segments = cells.segments.map(({ start, end, low, high, p, q }) => ({
      start, end, offset: p - MIDDLE, rise: q,
      low: Float64Array.from(curves, curve => curve[low]),
      slope: Float64Array.from(curves, curve => curve[high] - curve[low]),
    }));
    this.mean = Float64Array.of(...Array(n).fill(0), ...angles[0], Math.log(NOISE), 0);
    this.precision = Float64Array.of(...Array(n).fill(1 / WIDENED),
      ...angles[1].map(deviation => 1 / (WIDENED * deviation ** 2)),
      NOISE_SPREAD ** -2, TILT_SPREAD ** -2);
    this.certain = this.precision.reduce((sum, v) => sum + Math.log(v), 0);
  }

  /** Power of the sharp picture in each cell. */
  signal(theta, work) {
    predict(this, theta, work);
    return work.signal.slice();
  }
}

/** What a picture shows: means of so many coefficients; what JPEG may have lost. */
export function evidenceOf({ power, count }, lost = new Float64Array(power.length)) {
  const weight = count.map(n => TRUST * n / (1 + SPREAD * TRUST * n));
  return { power, count, weight, lost };
}

/** Room for numbers that are found in each cell, and for sums over segments. */
export class Work {
  constructor({ count, segments }) {
    const plane = () => new Float64Array(4 * count);
    this.noise = new Float64Array(count);
    Object.assign(this, { signal: plane(), weights: plane(), mixed: plane() });
    Object.assign(this, { quiet: plane(), pulls: plane(), lift: plane() });
    this.sums = Array.from({ length: 5 }, () => new Float64Array(9 * segments.length));
    this.turns = new Float64Array(4);
  }
}

/** Signal of the sharp picture in each cell and noise in each group, for some θ. */
function predict({ cells, segments, curves, size }, theta, { signal, noise }) {
  const { u, c, s, d } = cells;
  const a0 = theta[curves], a1 = theta[curves + 1], a2 = theta[curves + 2];
  const level = theta[size - 2], tilt = theta[size - 1];
  for (const { start, end, low, slope, offset, rise } of segments) {
    let at = low[0], up = slope[0];
    for (let k = 0; k < curves; k++) {
      at += theta[k] * low[k + 1];
      up += theta[k] * slope[k + 1];
    }
    const quiet = 2 * level + tilt * offset, louder = tilt * rise;
    for (let g = start; g < end; g++) {
      const ring = Math.exp(at + up * u[g] + a2 * d[g]);
      const along = Math.exp(a0 * c[g]), turn = Math.exp(a1 * s[g]);
      const more = ring * along, less = ring / along, back = 1 / turn;
      signal[4 * g] = more * turn;
      signal[4 * g + 1] = more * back;
      signal[4 * g + 2] = less * turn;
      signal[4 * g + 3] = less * back;
      noise[g] = Math.exp(quiet + louder * u[g]);
    }
  }
}

/** Surprise of θ; into `work` what each cell adds to information and pull. */
function compare(seen, model, gain, theta, work) {
  predict(model, theta, work);
  const { power, weight, lost } = seen;
  const { signal, noise, weights, mixed, quiet, pulls, lift } = work;
  let surprise = 0;
  for (let i = 0; i < signal.length; i++) {
    const blurred = Math.max(1e-15, signal[i] * gain[i]), rest = noise[i >> 2];
    const expected = blurred + rest + lost[i], over = 1 / expected, w = weight[i];
    const share = blurred * over, other = rest * over, ws = w * share, wn = w * other;
    const ratio = (power[i] + lost[i]) * over, excess = ratio - 1;
    surprise += w * (Math.log(expected) + ratio);
    weights[i] = ws * share;
    mixed[i] = ws * other;
    quiet[i] = wn * other;
    pulls[i] = excess * ws;
    lift[i] = excess * wn;
  }
  return surprise + priorOf(model, theta);
}

/** How far θ is from what was expected before looking, in nats. */
function priorOf({ mean, precision }, theta) {
  let sum = 0;
  for (let k = 0; k < theta.length; k++) {
    sum += precision[k] * (theta[k] - mean[k]) ** 2;
  }
  return sum / 2;
}

/** Sums over each segment of values in cells times 1, u, u²; c, cu; s, su; d, du. */
function sumUp({ u, c, s, d, segments }, values, out) {
  for (let j = 0, to = 0; j < segments.length; j++, to += 9) {
    const { start, end } = segments[j];
    let v0 = 0, v1 = 0, v2 = 0, c0 = 0, c1 = 0, s0 = 0, s1 = 0, d0 = 0, d1 = 0;
    for (let g = start, i = 4 * start; g < end; g++, i += 4) {
      const below = values[i], above = values[i + 1], at = u[g];
      const right = values[i + 2], left = values[i + 3];
      const v = below + above + right + left, vu = v * at, vd = v * d[g];
      const vc = (below + above - right - left) * c[g];
      const vs = (below - above + right - left) * s[g];
      v0 += v;
      v1 += vu;
      v2 += vu * at;
      c0 += vc;
      c1 += vc * at;
      s0 += vs;
      s1 += vs * at;
      d0 += vd;
      d1 += vd * at;
    }
    out[to] = v0;
    out[to + 1] = v1;
    out[to + 2] = v2;
    out[to + 3] = c0;
    out[to + 4] = c1;
    out[to + 5] = s0;
    out[to + 6] = s1;
    out[to + 7] = d0;
    out[to + 8] = d1;
  }
}

/** Sums over each segment of values in cells times 1, u, u². */
function sumRings({ u, segments }, values, out) {
  for (let j = 0, to = 0; j < segments.length; j++, to += 9) {
    const { start, end } = segments[j];
    let v0 = 0, v1 = 0, v2 = 0;
    for (let g = start, i = 4 * start; g < end; g++, i += 4) {
      const v = values[i] + values[i + 1] + values[i + 2] + values[i + 3];
      const vu = v * u[g];
      v0 += v;
      v1 += vu;
      v2 += vu * u[g];
    }
    out[to] = v0;
    out[to + 1] = v1;
    out[to + 2] = v2;
  }
}

/** Sums over all cells of values times the products cs, cd, sd, dd of their angles. */
function sumTurns({ c, s, d, count }, values, out) {
  let cs = 0, cd = 0, sd = 0, dd = 0;
  for (let g = 0, i = 0; g < count; g++, i += 4) {
    const below = values[i], above = values[i + 1], x = c[g], y = s[g], z = d[g];
    const right = values[i + 2], left = values[i + 3];
    cs += (below - above - right + left) * x * y;
    cd += (below + above - right - left) * x * z;
    sd += (below - above + right - left) * y * z;
    dd += (below + above + right + left) * z * z;
  }
  out[0] = cs;
  out[1] = cd;
  out[2] = sd;
  out[3] = dd;
}

/** Adds to `matrix` what sums of weights say of components and angles. */
function addSignal({ segments, curves: n, size }, sums, turns, matrix) {
  let all = 0, turned = 0;
  for (let j = 0, m = 0; j < segments.length; j++, m += 9) {
    const { low, slope } = segments[j];
    const v0 = sums[m], v1 = sums[m + 1], v2 = sums[m + 2];
    for (let k = 0; k < n; k++) {
      const a = low[k + 1], b = slope[k + 1], row = k * size;
      const at = a * v0 + b * v1, up = a * v1 + b * v2;
      for (let l = 0; l <= k; l++) {
        matrix[row + l] += at * low[l + 1] + up * slope[l + 1];
      }
      for (let t = 0; t < ANGLES; t++) {
        matrix[(n + t) * size + k] += a * sums[m + 3 + 2 * t] + b * sums[m + 4 + 2 * t];
      }
    }
    all += v0;
    turned += sums[m + 7];
  }
  const at = n * size + n, next = at + size, last = next + size;
  matrix[at] += (all + turned) / 2;
  matrix[next] += turns[0];
  matrix[next + 1] += (all - turned) / 2;
  matrix[last] += turns[1];
  matrix[last + 1] += turns[2];
  matrix[last + 2] += turns[3];
}

/** Adds to `matrix` what ties signal and noise, and what is known of the noise. */
function addNoise({ segments, curves: n, size }, mixed, sums, matrix) {
  const level = (size - 2) * size, tilt = level + size;
  for (let j = 0, m = 0; j < segments.length; j++, m += 9) {
    const { low, slope, offset, rise } = segments[j];
    const v0 = sums[m], v1 = sums[m + 1], v2 = sums[m + 2];
    for (let k = 0; k < n; k++) {
      const a = low[k + 1], b = slope[k + 1];
      const at = a * mixed[m] + b * mixed[m + 1];
      const up = a * mixed[m + 1] + b * mixed[m + 2];
      matrix[level + k] += 2 * at;
      matrix[tilt + k] += offset * at + rise * up;
    }
    for (let t = 0; t < ANGLES; t++) {
      const turn = mixed[m + 3 + 2 * t];
      matrix[level + n + t] += 2 * turn;
      matrix[tilt + n + t] += offset * turn + rise * mixed[m + 4 + 2 * t];
    }
    matrix[level + size - 2] += 4 * v0;
    matrix[tilt + size - 2] += 2 * (offset * v0 + rise * v1);
    matrix[tilt + size - 1] += offset * offset * v0
      + 2 * offset * rise * v1 + rise * rise * v2;
  }
}

/** Adds to `vector` how sums of excesses pull at components and angles. */
function addPull({ segments, curves: n }, sums, vector) {
  for (let j = 0, m = 0; j < segments.length; j++, m += 9) {
    const { low, slope } = segments[j], all = sums[m], up = sums[m + 1];
    for (let k = 0; k < n; k++) vector[k] += low[k + 1] * all + slope[k + 1] * up;
    for (let t = 0; t < ANGLES; t++) vector[n + t] += sums[m + 3 + 2 * t];
  }
}

/** Adds to `vector` how sums of excesses pull at the noise. */
function addLift({ segments, size }, sums, vector) {
  for (let j = 0, m = 0; j < segments.length; j++, m += 9) {
    const { offset, rise } = segments[j];
    vector[size - 2] += 2 * sums[m];
    vector[size - 1] += offset * sums[m] + rise * sums[m + 1];
  }
}

/** Solves with the lower half of a symmetric matrix, in place; log determinant. */
function solve(matrix, vector, n, stride) {
  let log = 0;
  for (let i = 0; i < n; i++) {
    const row = i * stride;
    for (let j = 0; j <= i; j++) {
      const other = j * stride;
      let sum = matrix[row + j];
      for (let k = 0; k < j; k++) sum -= matrix[row + k] * matrix[other + k];
      matrix[row + j] = i === j ? Math.sqrt(sum) : sum / matrix[other + j];
    }
    log += 2 * Math.log(matrix[row + i]);
    for (let k = 0; k < i; k++) vector[i] -= matrix[row + k] * vector[k];
    vector[i] /= matrix[row + i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) vector[i] -= matrix[k * stride + i] * vector[k];
    vector[i] /= matrix[i * stride + i];
  }
  return log;
}

/** Information, the lower half of a matrix, with that of the priors; and the pull. */
function signalTerms(model, { weights, pulls, sums, turns }) {
  const { cells, size } = model;
  const matrix = new Float64Array(size * size), vector = new Float64Array(size);
  sumUp(cells, weights, sums[0]);
  sumUp(cells, pulls, sums[3]);
  sumTurns(cells, weights, turns);
  addSignal(model, sums[0], turns, matrix);
  addPull(model, sums[3], vector);
  for (let k = 0; k < size; k++) matrix[k * size + k] += model.precision[k];
  return { matrix, vector };
}

/** Moves θ by a step of Fisher scoring; log of the determinant of the information. */
function fisherStep(model, theta, work) {
  const { cells, size, mean, precision } = model, { sums } = work;
  const { matrix, vector: step } = signalTerms(model, work);
  sumUp(cells, work.mixed, sums[1]);
  sumRings(cells, work.quiet, sums[2]);
  sumRings(cells, work.lift, sums[4]);
  addNoise(model, sums[1], sums[2], matrix);
  addLift(model, sums[4], step);
  for (let k = 0; k < size; k++) step[k] -= (theta[k] - mean[k]) * precision[k];
  const log = solve(matrix, step, size, size);
  for (let k = 0; k < size; k++) theta[k] += within(step[k], -1, 1);
  theta[size - 2] = within(theta[size - 2], NOISE_RANGE[0], NOISE_RANGE[1]);
  theta[size - 1] = within(theta[size - 1], TILT_RANGE[0], TILT_RANGE[1]);
  return log;
}

const within = (v, least, most) => Math.min(most, Math.max(least, v));

/** Into `work`: weights of a fit of logarithms in each cell, and what pulls at it. */
function logarithms(seen, gain, { signal, weights, pulls }) {
  for (let i = 0; i < signal.length; i++) {
    const w = gain[i] > 0.1 ? 0.3 * seen.count[i] : 0;
    const ratio = w && Math.max(1e-12, seen.power[i]) / (signal[i] * gain[i]);
    weights[i] = w;
    pulls[i] = w && w * (Math.log(ratio) + 0.25);
  }
}

/** θ by a linear fit of the logarithms, where the blur leaves something. */
function firstGuess(seen, model, gain, work) {
  const { size, precision, mean } = model, n = size - 2;
  predict(model, new Float64Array(size), work);
  logarithms(seen, gain, work);
  const { matrix, vector: theta } = signalTerms(model, work);
  for (let k = 0; k < n; k++) theta[k] += precision[k] * mean[k];
  solve(matrix, theta, n, size);
  theta.set([FIRST_NOISE, 0], n);
  return theta;
}

/** The best θ behind a blur, and minus the log of the blur's evidence: Laplace. */
export function fitTheta(seen, model, gain, steps, work, start = null) {
  const theta = start ? start.slice() : firstGuess(seen, model, gain, work);
  let best = theta, least = Infinity, log = 0;
  for (let step = 0; step <= steps; step++) {
    const surprise = compare(seen, model, gain, theta, work);
    if (surprise < least) [best, least] = [theta.slice(), surprise];
    if (step < steps) log = fisherStep(model, theta, work);
  }
  return { theta: best, surprise: least + 0.5 * (log - model.certain) };
}
