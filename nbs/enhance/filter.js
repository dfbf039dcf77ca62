// Filters for windows of one size that share a scene, and what they make of a window.

import { Axis, Extension, SeparableField } from './extension.js';
import { irfft2, nextFastLength, rfft2, wavesOf } from './fourier.js';
import { lost } from './jpeg.js';
import {
  LEAST_NOISE, frequencies, halfFrequencies, interpolate, noises, scenePower,
} from './spectrum.js';

const MARGIN = 32; // pixels
const DOUBT = 4; // factor on the noise that the doubtful filter expects
const REACH = 5; // standard deviation of the local mean of the surprise, pixels
const FINE = 129; // frequencies from 0 to 0.5 at which a spectrum becomes a product

/** Nats a pixel at which extensions end: of pictures, of tiles at a border, inside. */
export const ENOUGH = 0.002, EDGE = 0.03, INSIDE = 0.6;

/** Sides of the periodic frame around a window. */
export function frameOf(height, width, kernel) {
  const side = (n, k) => nextFastLength(n + 2 * Math.max(MARGIN, k >> 1));
  return [side(height, kernel.height), side(width, kernel.width)];
}

/** What a point-symmetric blur makes of each frequency of a frame. */
export function transfer({ taps, height, width }, [down, across]) {
  const plane = new Float64Array(down * across);
  for (let y = 0; y < height; y++) {
    const row = (y - (height >> 1) + down) % down;
    for (let x = 0; x < width; x++) {
      const column = (x - (width >> 1) + across) % across;
      plane[row * across + column] = taps[y * width + x];
    }
  }
  return rfft2(plane, down, across).re;
}

/** Of a frame: gain H; power S, |H|²S and noise N, three planes each. */
export function expected(known, scene, frame) {
  const fy = frequencies(frame[0]), fx = halfFrequencies(frame[1]);
  const gain = transfer(scene.kernel, frame), power = scenePower(known, scene, fy, fx);
  const blurred = power.map(plane => plane.map((v, i) => v * gain[i] * gain[i]));
  return { gain, power, blurred, noise: noises(known, scene, fy, fx, blurred) };
}

/** Adds `share` of Wiener's filter H S/(|H|²S + d²N) to each of three planes. */
function addWiener(into, { gain, power, blurred, noise }, doubt, share) {
  const factor = doubt * doubt;
  into.forEach((plane, c) => {
    const s = power[c], b = blurred[c], n = noise[c];
    for (let i = 0; i < plane.length; i++) {
      plane[i] += share * gain[i] * s[i] / (Math.max(b[i], 1e-20) + factor * n[i]);
    }
  });
}

/** Mean of the rows of a square matrix of `n`, and of its columns. */
function meansOf(square, n) {
  const rows = new Float64Array(n), columns = new Float64Array(n);
  for (let i = 0, at = 0; i < n; i++) {
    for (let j = 0; j < n; j++, at++) {
      rows[i] += square[at] / n;
      columns[j] += square[at] / n;
    }
  }
  return { rows, columns };
}

/** |H|² of a kernel, summed along one side, at some frequencies. */
function lineGain({ taps, height, width }, down, at) {
  const n = down ? height : width, line = new Float64Array(n);
  taps.forEach((tap, i) => { line[down ? Math.floor(i / width) : i % width] += tap; });
  return at.map(f => {
    let sum = 0;
    line.forEach((v, i) => { sum += v * Math.cos(2 * Math.PI * f * (i - (n >> 1))); });
    return sum * sum;
  });
}

/** For each colour, spectra down and across: their product stands for the scene's. */
function axisPowers(known, scene, frame) {
  const f = Float64Array.from({ length: FINE }, (_, i) => 0.5 * i / (FINE - 1));
  const gains = frame.map((n, i) => lineGain(scene.kernel, i === 0, frequencies(n)));
  return scenePower(known, scene, f, f).map(power => {
    const { rows, columns } = meansOf(power.map(Math.log), FINE);
    const half = rows.reduce((a, b) => a + b) / FINE / 2;
    return [rows, columns].map((log, i) => {
      const part = interpolate(frequencies(frame[i]).map(Math.abs), f, log);
      return part.map((v, k) => Math.exp(v - half) * gains[i][k]);
    });
  });
}

/** Spectra down and across whose product is closest in logarithm to a frame's power. */
function geometricPowers(power, [height, width]) {
  const half = (width >> 1) + 1, rows = new Float64Array(height);
  const columns = new Float64Array(width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const log = Math.log(power[y * half + Math.min(x, width - x)]);
      rows[y] += log / width;
      columns[x] += log / height;
    }
  }
  const mirrored = rows.map((v, y) => (v + rows[(height - y) % height]) / 2);
  const mean = mirrored.reduce((a, b) => a + b) / height / 2;
  return [mirrored, columns].map(log => log.map(v => Math.exp(v - mean)));
}

/** One `Extension` for each colour. */
function extensionsOf({ known, scene, size, frame, guided, total }) {
  const { quality, noise: own } = scene.spectrum, at = Float64Array.of(0.1);
  const jpeg = quality ? lost(quality, at, at)[0] : 0;
  const noise = Math.max(own, LEAST_NOISE) ** 2 + jpeg;
  const field = powers =>
    new SeparableField(...powers.map((power, i) => new Axis(power, size[i])), noise);
  return axisPowers(known, scene, frame).map((powers, c) => {
    const guide = guided ? field(geometricPowers(total[c], frame)) : null;
    return new Extension(field(powers), total[c], guide);
  });
}

/** Whose mirror image each place of an axis of a frame is, and how faded it is. */
function fading(size, n) {
  const from = new Int32Array(n), fade = new Float64Array(n), last = size - 1;
  for (let i = 0; i < n; i++) {
    const outside = Math.max(0, Math.min(i - last, n - i));
    const mirror = i < size ? i : i - size < n - i ? 2 * last - i : n - i;
    from[i] = Math.min(last, Math.max(0, mirror));
    fade[i] = 0.5 + 0.5 * Math.cos(2 * Math.PI * Math.min(0.5, outside / (n - size)));
  }
  return { from, fade };
}

/** A window in the corner of its frame; the margin is its mirror image, faded out. */
export function faded(plane, [h, w], [height, width]) {
  const rows = fading(h, height), columns = fading(w, width);
  const out = new Float64Array(height * width);
  for (let y = 0, i = 0; y < height; y++) {
    const row = rows.from[y] * w, fade = rows.fade[y];
    for (let x = 0; x < width; x++, i++) {
      out[i] = plane[row + columns.from[x]] * fade * columns.fade[x];
    }
  }
  return out;
}

/** Extension, four filters, and the band in which a blur leaves little but noise. */
export class Window {
  constructor(known, size, scene, sides, guided) {
    Object.assign(this, { known, size, scene, guided });
    this.frame = frameOf(...size, scene.kernel);
    this.room = wavesOf(...this.frame);
    const empty = () => [0, 1, 2].map(() => new Float64Array(this.room.re.length));
    const [likely, doubtful] = [empty(), empty()];
    for (const one of [scene, ...scene.others]) {
      const found = expected(known, one, this.frame);
      addWiener(likely, found, 1, one.share);
      addWiener(doubtful, found, DOUBT, one.share);
      if (one === scene) this.judge(found);
    }
    const [narrower, wider] = sides.map(side => {
      const filter = empty();
      addWiener(filter, expected(known, side, this.frame), 1, 1);
      return filter;
    });
    this.filters = [narrower, likely, wider, doubtful];
  }

  /** Total power of the scene, the band of noise, and what is expected there. */
  judge({ blurred, noise }) {
    const [height, width] = this.frame, half = (width >> 1) + 1;
    const fy = frequencies(height), fx = halfFrequencies(width);
    this.total = blurred.map((plane, c) => plane.map((v, i) => v + noise[c][i]));
    this.band = this.total[0].map((v, i) => (noise[0][i] / v) ** 2);
    this.local = new Float64Array(height * half);
    let sum = 0;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < half; x++, i++) {
        const twice = x === 0 || 2 * x === width ? 1 : 2;
        sum += twice * this.total[0][i] * this.band[i] ** 2;
        const square = fy[y] ** 2 + fx[x] ** 2;
        this.local[i] = Math.exp(-2 * (Math.PI * REACH) ** 2 * square);
      }
    }
    this.usual = sum / (height * width);
  }

  /**
   * Opponent colours without their means, in their frames. Inside the picture a mirror
   * will do for the margin, unless the blur has removed frequencies altogether.
   */
  framed(planes, enough) {
    const quick = enough === INSIDE && !this.guided;
    if (quick) return planes.map(plane => faded(plane, this.size, this.frame));
    this.extensions ??= extensionsOf(this);
    const least = this.guided ? enough : enough / 4; // a product converges at once
    return planes.map((plane, c) => this.extensions[c].extended(plane, least));
  }

  /** A frame's waves times a real filter, as a frame. */
  through({ re, im }, filter, into) {
    const { room } = this;
    for (let i = 0; i < filter.length; i++) {
      room.re[i] = re[i] * filter[i];
      room.im[i] = im[i] * filter[i];
    }
    return irfft2(room, ...this.frame, into);
  }

  /** Narrower, likeliest, wider, doubtful answers, three planes each; and surprise. */
  answers(frames) {
    const waves = frames.map(frame => rfft2(frame, ...this.frame));
    const views = this.filters.map(filter =>
      filter.map((plane, c) => this.through(waves[c], plane)));
    return { views, surprise: this.surprise(waves[0]) };
  }

  /** Local power of the grey in the band of noise, relative to what is expected. */
  surprise(grey) {
    const rest = this.through(grey, this.band);
    for (let i = 0; i < rest.length; i++) rest[i] *= rest[i];
    const out = this.through(rfft2(rest, ...this.frame), this.local, rest);
    for (let i = 0; i < out.length; i++) out[i] = Math.max(0, out[i] / this.usual);
    return out;
  }
}
