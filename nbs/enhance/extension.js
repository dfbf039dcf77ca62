// Extends a blurred picture beyond its border, into the margin of a periodic frame.

import { irfft2, rfft2, wavesOf } from './fourier.js';
import { symmetricEigen, transposed } from './matrix.js';
import { product } from './product.js';

const FAINT = 0.03; // of the noise: eigenvectors that never count for more are left out
const STEPS = 32; // of conjugate gradients, at most

/** The covariance of places 0, 1, 2, …, of which `power` [n] is the transform. */
function covarianceOf(power) {
  const n = power.length, out = new Float64Array(n), turn = new Float64Array(n);
  for (let i = 0; i < n; i++) turn[i] = Math.cos((2 * Math.PI * i) / n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let k = 0, at = 0; k < n; k++, at += i, at -= at < n ? 0 : n) {
      sum += power[k] * turn[at];
    }
    out[i] = sum / n;
  }
  return out;
}

/** Pairs of places that the mirror of a frame swaps; a place in its middle is alone. */
class Mirror {
  constructor(n, size) {
    Object.assign(this, { n, size });
    this.first = Int32Array.from({ length: Math.ceil(size / 2) }, (_, i) => i);
    const margin = n - size;
    this.beyond = Int32Array.from({ length: Math.ceil(margin / 2) },
      (_, i) => size + i);
  }

  /** How many sums (part 0) or differences (part 1) of pairs are seen, and beyond. */
  counts(part) {
    const of = many => part ? many >> 1 : (many + 1) >> 1;
    return [of(this.size), of(this.n - this.size)];
  }

  /** The partner of a place. */
  partner(i) { return (i < this.size ? this.size : this.n + this.size) - 1 - i; }

  /** The places of one part: those seen, then those beyond. */
  places(part) {
    const [seen, beyond] = this.counts(part);
    return Int32Array.from({ length: seen + beyond }, (_, i) =>
      i < seen ? this.first[i] : this.beyond[i - seen]);
  }
}

/** Sums or differences of an axis: covariance, and eigenvectors of what is seen. */
class Half {
  constructor(mirror, covariance, part) {
    const [seen, beyond] = mirror.counts(part), places = mirror.places(part);
    const n = seen + beyond, all = new Float64Array(n * n), sign = part ? -1 : 1;
    Object.assign(this, { seen, beyond, n });
    const alone = place => mirror.partner(place) === place ? Math.SQRT1_2 : 1;
    for (let i = 0; i < n; i++) {
      for (let j = 0; j <= i; j++) {
        const a = places[i], b = places[j], c = mirror.partner(b);
        const sum = covariance[Math.abs(a - b)] + sign * covariance[Math.abs(a - c)];
        all[i * n + j] = all[j * n + i] = sum * alone(a) * alone(b);
      }
    }
    const block = new Float64Array(seen * seen);
    for (let i = 0; i < seen; i++) {
      block.set(all.subarray(i * n, i * n + seen), i * seen);
    }
    this.rest = all.slice(seen * n);
    const { values, vectors } = symmetricEigen(block, seen);
    this.values = values.map(value => Math.max(0, value));
    this.vectors = vectors;
  }

  /** Keeps eigenvectors of values above `least`, and makes what products need. */
  keep(least) {
    const { seen, beyond, n, rest } = this;
    const kept = [...this.values.keys()].filter(k => this.values[k] > least);
    const r = this.rank = kept.length, v = new Float64Array(r * seen);
    kept.forEach((k, i) => {
      v.set(this.vectors.subarray(k * seen, (k + 1) * seen), i * seen);
    });
    this.values = Float64Array.from(kept, k => this.values[k]);
    this.vectors = v;
    this.turned = transposed(v, r, seen);
    const cross = new Float64Array(beyond * seen);
    for (let i = 0; i < beyond; i++) {
      cross.set(rest.subarray(i * n, i * n + seen), i * seen);
    }
    this.outward = product(cross, this.turned, beyond, seen, r);
    this.inward = transposed(this.outward, beyond, r);
    this.near = new Float64Array(seen * r);
    for (let i = 0; i < seen; i++) {
      for (let k = 0; k < r; k++) {
        this.near[i * r + k] = this.turned[i * r + k] * this.values[k];
      }
    }
    this.across = new Float64Array(n * r);
    this.across.set(this.near);
    this.across.set(this.outward, seen * r);
    this.spread = transposed(this.across, n, r);
    delete this.rest;
  }
}

/** Covariance along one axis of the frame, whose first `size` places are seen. */
export class Axis {
  constructor(power, size) {
    this.power = power;
    this.mirror = new Mirror(power.length, size);
    const covariance = covarianceOf(power);
    this.halves = [0, 1].map(part => new Half(this.mirror, covariance, part));
    this.most = Math.max(...this.halves.map(({ values }) => Math.max(0, ...values)));
  }
}

/** One quarter of a frame as sums and differences, from a plane and its width. */
function folded(plane, width, down, across, [p, q], rows, columns, into) {
  const a = down.places(p), b = across.places(q), [y0, y1] = rows, [x0, x1] = columns;
  const s = p ? -1 : 1, t = q ? -1 : 1, many = x1 - x0;
  for (let i = y0; i < y1; i++) {
    const near = a[i] * width, far = down.partner(a[i]) * width;
    const wy = down.partner(a[i]) === a[i] ? Math.SQRT1_2 / 2 : 0.5;
    for (let j = x0; j < x1; j++) {
      const left = b[j], right = across.partner(left);
      const w = left === right ? Math.SQRT1_2 : 1;
      const upper = plane[near + left] + t * plane[near + right];
      const lower = plane[far + left] + t * plane[far + right];
      into[(i - y0) * many + j - x0] = (upper + s * lower) * wy * w;
    }
  }
  return into;
}

/** Adds a quarter, as `folded` gives it, to a plane. */
function unfold(quarter, plane, width, down, across, [p, q], rows, columns) {
  const a = down.places(p), b = across.places(q), [y0, y1] = rows, [x0, x1] = columns;
  const s = p ? -1 : 1, t = q ? -1 : 1, many = x1 - x0;
  for (let i = y0; i < y1; i++) {
    const far = down.partner(a[i]), near = a[i] * width, single = far === a[i];
    const wy = single ? Math.SQRT1_2 : 0.5;
    for (let j = x0; j < x1; j++) {
      const left = b[j], right = across.partner(left);
      const wx = left === right ? Math.SQRT2 : 1;
      const value = quarter[(i - y0) * many + j - x0] * wy * wx;
      plane[near + left] += value;
      if (left !== right) plane[near + right] += t * value;
      if (single) continue;
      plane[far * width + left] += s * value;
      if (left !== right) plane[far * width + right] += s * t * value;
    }
  }
}

const QUARTERS = [[0, 0], [0, 1], [1, 0], [1, 1]];

/** One colour as if its covariance were a product, plus noise. Works on quarters. */
export class SeparableField {
  constructor(down, across, noise) {
    Object.assign(this, { down, across, noise });
    for (const half of down.halves) half.keep((FAINT * noise) / across.most);
    for (const half of across.halves) half.keep((FAINT * noise) / down.most);
    this.quarters = QUARTERS.map(([p, q]) => [down.halves[p], across.halves[q]]);
  }

  /** What is seen of a quarter, in eigenvectors, over their variance. */
  weights(seen, at) {
    const [y, x] = this.quarters[at];
    const half = product(y.vectors, seen, y.rank, y.seen, x.seen);
    return this.divided(product(half, x.turned, y.rank, x.seen, x.rank), y, x);
  }

  /** Coefficients over their variance, in place. */
  divided(t, y, x) {
    for (let i = 0, o = 0; i < y.rank; i++) {
      for (let j = 0; j < x.rank; j++, o++) {
        t[o] /= y.values[i] * x.values[j] + this.noise;
      }
    }
    return t;
  }

  /** The conditional mean of a quarter's margin: below and beside. */
  mean(t, at) {
    const [y, x] = this.quarters[at];
    const down = product(y.outward, t, y.beyond, y.rank, x.rank);
    const aside = product(t, x.inward, y.rank, x.rank, x.beyond);
    return {
      below: product(down, x.spread, y.beyond, x.rank, x.n),
      beside: product(y.near, aside, y.seen, y.rank, x.beyond),
    };
  }

  /** K_os (K_ss + n²)⁻¹ K_so of a quarter, times a margin. */
  told({ below, beside }, at) {
    const [y, x] = this.quarters[at];
    const left = product(y.vectors, beside, y.rank, y.seen, x.beyond);
    for (let i = 0, o = 0; i < y.rank; i++) {
      for (let j = 0; j < x.beyond; j++, o++) left[o] *= y.values[i];
    }
    const t = product(left, x.outward, y.rank, x.beyond, x.rank);
    const down = product(below, x.across, y.beyond, x.n, x.rank);
    const more = product(y.inward, down, y.rank, y.beyond, x.rank);
    for (let i = 0; i < t.length; i++) t[i] += more[i];
    return this.mean(this.divided(t, y, x), at);
  }
}

const dot = (a, b) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/** A margin, that is all quarters' belows and besides, as views of one vector. */
class Margin {
  constructor(quarters) {
    const sizes = quarters.map(([y, x]) => [y.beyond * x.n, y.seen * x.beyond]);
    this.vector = new Float64Array(sizes.flat().reduce((a, b) => a + b, 0));
    let at = 0;
    const part = size => this.vector.subarray(at, (at += size));
    this.parts = sizes.map(([below, beside]) =>
      ({ below: part(below), beside: part(beside) }));
  }
}

/** Extends one colour, which lies in the corner of its frame, as often as wanted. */
export class Extension {
  constructor(field, power, guide = null) {
    Object.assign(this, { field, power, guide: guide ?? field });
    this.down = field.down.mirror;
    this.across = field.across.mirror;
    this.height = this.down.n;
    this.width = this.across.n;
    this.waves = wavesOf(this.height, this.width);
    this.plane = new Float64Array(this.height * this.width);
    const { down, across } = this.guide, half = (this.width >> 1) + 1;
    this.guiding = new Float64Array(this.height * half);
    for (let y = 0, i = 0; y < this.height; y++) {
      for (let x = 0; x < half; x++, i++) {
        this.guiding[i] = down.power[y] * across.power[x];
      }
    }
  }

  /** A margin with nothing in it. */
  margin() { return new Margin(this.field.quarters); }

  /** What is seen of `y` [h,w], in quarters. */
  seen(y) {
    return QUARTERS.map((at, i) => {
      const [a, b] = this.field.quarters[i], into = new Float64Array(a.seen * b.seen);
      const { down, across } = this;
      return folded(y, across.size, down, across, at, [0, a.seen], [0, b.seen], into);
    });
  }

  /** The frame of a picture, or of nothing, and a margin. */
  framed(y, margin, plane = this.plane.fill(0)) {
    const { down, across, width } = this;
    QUARTERS.forEach((at, i) => {
      const [a, b] = this.field.quarters[i], { below, beside } = margin.parts[i];
      unfold(below, plane, width, down, across, at, [a.seen, a.n], [0, b.n]);
      unfold(beside, plane, width, down, across, at, [0, a.seen], [b.seen, b.n]);
    });
    if (!y) return plane;
    const w = across.size;
    for (let i = 0; i < down.size; i++) {
      plane.set(y.subarray(i * w, i * w + w), i * width);
    }
    return plane;
  }

  /** The margin of a frame whose waves are weighed, or divided, by `power`. */
  weighed(plane, power, divided) {
    const { re, im } = rfft2(plane, this.height, this.width, this.waves);
    for (let i = 0; i < re.length; i++) {
      const factor = divided ? 1 / power[i] : power[i];
      re[i] *= factor;
      im[i] *= factor;
    }
    return this.cut(irfft2(this.waves, this.height, this.width, this.plane));
  }

  /** The margin of a frame. */
  cut(plane) {
    const out = this.margin(), { down, across, width } = this;
    QUARTERS.forEach((at, i) => {
      const [a, b] = this.field.quarters[i], { below, beside } = out.parts[i];
      folded(plane, width, down, across, at, [a.seen, a.n], [0, b.n], below);
      folded(plane, width, down, across, at, [0, a.seen], [b.seen, b.n], beside);
    });
    return out;
  }

  /** A margin times its covariance, given the picture, in the guide's eyes. */
  covariance(margin) {
    const { guide } = this, out = this.weighed(this.framed(null, margin), this.guiding);
    margin.parts.forEach((part, i) => {
      const { below, beside } = guide.told(part, i), to = out.parts[i];
      for (let j = 0; j < below.length; j++) {
        to.below[j] += guide.noise * part.below[j] - below[j];
      }
      for (let j = 0; j < beside.length; j++) {
        to.beside[j] += guide.noise * part.beside[j] - beside[j];
      }
    });
    return out;
  }

  /** The frame of `y` [h,w], its margin the mean, but for `enough` nats a pixel. */
  extended(y, enough) { return conjugateGradients(this, y, enough); }
}

/** Solves P_oo z_o = −P_os y, from a separable field's answer; one preconditions. */
function conjugateGradients(e, y, enough) {
  const z = startOf(e, y), residual = e.weighed(e.framed(y, z), e.power, true);
  const { vector: r } = residual;
  for (let i = 0; i < r.length; i++) r[i] = -r[i];
  const direction = e.covariance(residual), { vector: d } = direction;
  let size = dot(r, d);
  for (let step = 0; step < STEPS && size >= 2 * enough * r.length; step++) {
    const pushed = e.weighed(e.framed(null, direction), e.power, true).vector;
    const length = size / Math.max(dot(d, pushed), 1e-300);
    for (let i = 0; i < r.length; i++) {
      z.vector[i] += length * d[i];
      r[i] -= length * pushed[i];
    }
    const next = e.covariance(residual).vector, before = size;
    size = dot(r, next);
    const share = size / Math.max(before, 1e-300);
    for (let i = 0; i < r.length; i++) d[i] = next[i] + share * d[i];
  }
  return e.framed(y, z, new Float64Array(e.plane.length));
}

/** The margin that a field expects of what is seen. */
function expectedBy(e, field, seen) {
  const out = e.margin();
  seen.forEach((quarter, i) => {
    const { below, beside } = field.mean(field.weights(quarter, i), i);
    out.parts[i].below.set(below);
    out.parts[i].beside.set(beside);
  });
  return out;
}

/** The answer of the field or of the guide: the likelier, of the smaller zᵀPz. */
function startOf(e, y) {
  const seen = e.seen(y), own = expectedBy(e, e.field, seen);
  if (e.guide === e.field) return own;
  const other = expectedBy(e, e.guide, seen);
  return energy(e, y, other) < energy(e, y, own) ? other : own;
}

/** How unlikely a frame is: its waves' power over what is expected. */
function energy(e, y, margin) {
  const { re, im } = rfft2(e.framed(y, margin), e.height, e.width, e.waves);
  let sum = 0;
  for (let i = 0; i < re.length; i++) sum += (re[i] ** 2 + im[i] ** 2) / e.power[i];
  return sum;
}
