// Discrete Fourier transforms of real planes, fast for sizes of small factors.

const LANES = 16; // transforms that go through the butterflies side by side
const PLAIN = 31; // the largest prime that has a butterfly of its own

/** The radices whose product is `n`, or null where a prime is too large. */
function radices(n) {
  const found = [];
  for (const radix of [4, 2, 3, 5]) {
    while (n % radix === 0) {
      found.push(radix);
      n /= radix;
    }
  }
  for (let prime = 7; n > 1; prime += 2) {
    if (prime > PLAIN) return null;
    while (n % prime === 0) {
      found.push(prime);
      n /= prime;
    }
  }
  return found;
}

/** Cosines and sines of −2πi·p·k/n for p < m, k < r, row by row. */
function twiddles(n, r, m) {
  const table = new Float64Array(2 * r * m);
  for (let p = 0; p < m; p++) {
    for (let k = 0; k < r; k++) {
      const angle = (-2 * Math.PI * ((p * k) % n)) / n;
      table[2 * (p * r + k)] = Math.cos(angle);
      table[2 * (p * r + k) + 1] = Math.sin(angle);
    }
  }
  return table;
}

/** One pass of radix 2. */
function two(m, s, tw, xr, xi, yr, yi) {
  const far = s * m;
  for (let p = 0; p < m; p++) {
    const c = tw[4 * p + 2], d = tw[4 * p + 3];
    let i = s * p, o = 2 * s * p;
    for (const end = i + s; i < end; i++, o++) {
      const ar = xr[i], ai = xi[i], br = xr[i + far], bi = xi[i + far];
      const er = ar - br, ei = ai - bi;
      yr[o] = ar + br;
      yi[o] = ai + bi;
      yr[o + s] = er * c - ei * d;
      yi[o + s] = er * d + ei * c;
    }
  }
}

/** One pass of radix 3. */
function three(m, s, tw, xr, xi, yr, yi) {
  const far = s * m, half = Math.sqrt(0.75);
  for (let p = 0; p < m; p++) {
    const c1 = tw[6 * p + 2], d1 = tw[6 * p + 3];
    const c2 = tw[6 * p + 4], d2 = tw[6 * p + 5];
    let i = s * p, o = 3 * s * p;
    for (const end = i + s; i < end; i++, o++) {
      const ar = xr[i], ai = xi[i];
      const br = xr[i + far], bi = xi[i + far];
      const cr = xr[i + 2 * far], ci = xi[i + 2 * far];
      const sr = br + cr, si = bi + ci;
      const ur = ar - 0.5 * sr, ui = ai - 0.5 * si;
      const vr = half * (bi - ci), vi = half * (cr - br);
      const fr = ur + vr, fi = ui + vi, gr = ur - vr, gi = ui - vi;
      yr[o] = ar + sr;
      yi[o] = ai + si;
      yr[o + s] = fr * c1 - fi * d1;
      yi[o + s] = fr * d1 + fi * c1;
      yr[o + 2 * s] = gr * c2 - gi * d2;
      yi[o + 2 * s] = gr * d2 + gi * c2;
    }
  }
}

/** One pass of radix 4. */
function four(m, s, tw, xr, xi, yr, yi) {
  const far = s * m;
  for (let p = 0; p < m; p++) {
    const c1 = tw[8 * p + 2], d1 = tw[8 * p + 3], c2 = tw[8 * p + 4];
    const d2 = tw[8 * p + 5], c3 = tw[8 * p + 6], d3 = tw[8 * p + 7];
    let i = s * p, o = 4 * s * p;
    for (const end = i + s; i < end; i++, o++) {
      const ar = xr[i], ai = xi[i], br = xr[i + far], bi = xi[i + far];
      const cr = xr[i + 2 * far], ci = xi[i + 2 * far];
      const dr = xr[i + 3 * far], di = xi[i + 3 * far];
      const er = ar + cr, ei = ai + ci, fr = ar - cr, fi = ai - ci;
      const gr = br + dr, gi = bi + di, hr = bi - di, hi = dr - br;
      yr[o] = er + gr;
      yi[o] = ei + gi;
      let zr = fr + hr, zi = fi + hi;
      yr[o + s] = zr * c1 - zi * d1;
      yi[o + s] = zr * d1 + zi * c1;
      zr = er - gr;
      zi = ei - gi;
      yr[o + 2 * s] = zr * c2 - zi * d2;
      yi[o + 2 * s] = zr * d2 + zi * c2;
      zr = fr - hr;
      zi = fi - hi;
      yr[o + 3 * s] = zr * c3 - zi * d3;
      yi[o + 3 * s] = zr * d3 + zi * c3;
    }
  }
}

/** One pass of radix 5. */
function five(m, s, tw, xr, xi, yr, yi) {
  const far = s * m, put = (o, zr, zi, t) => {
    yr[o] = zr * tw[t] - zi * tw[t + 1];
    yi[o] = zr * tw[t + 1] + zi * tw[t];
  };
  const a = Math.cos(0.4 * Math.PI), b = Math.cos(0.8 * Math.PI);
  const c = Math.sin(0.4 * Math.PI), d = Math.sin(0.8 * Math.PI);
  for (let p = 0; p < m; p++) {
    let i = s * p, o = 5 * s * p;
    for (const end = i + s; i < end; i++, o++) {
      const or = xr[i], oi = xi[i];
      const pr = xr[i + far], pi = xi[i + far];
      const qr = xr[i + 4 * far], qi = xi[i + 4 * far];
      const rr = xr[i + 2 * far], ri = xi[i + 2 * far];
      const sr = xr[i + 3 * far], si = xi[i + 3 * far];
      const er = pr + qr, ei = pi + qi, fr = pr - qr, fi = pi - qi;
      const gr = rr + sr, gi = ri + si, hr = rr - sr, hi = ri - si;
      const ur = or + a * er + b * gr, ui = oi + a * ei + b * gi;
      const vr = or + b * er + a * gr, vi = oi + b * ei + a * gi;
      const kr = c * fi + d * hi, ki = -c * fr - d * hr;
      const lr = d * fi - c * hi, li = c * hr - d * fr;
      yr[o] = or + er + gr;
      yi[o] = oi + ei + gi;
      put(o + s, ur + kr, ui + ki, 10 * p + 2);
      put(o + 2 * s, vr + lr, vi + li, 10 * p + 4);
      put(o + 3 * s, vr - lr, vi - li, 10 * p + 6);
      put(o + 4 * s, ur - kr, ui - ki, 10 * p + 8);
    }
  }
}

/** One pass of an odd radix `r`; pairs of numbers are summed and subtracted first. */
function odd(r, turn, m, s, tw, xr, xi, yr, yi) {
  const far = s * m, half = (r - 1) / 2, { cos, sin, er, ei, fr, fi } = turn;
  for (let p = 0; p < m; p++) {
    const t = 2 * r * p;
    for (let q = 0; q < s; q++) {
      const i = s * p + q, o = r * s * p + q, or = xr[i], oi = xi[i];
      let ar = or, ai = oi;
      for (let j = 0, there = i + far, back = i + (r - 1) * far; j < half; j++) {
        const br = xr[there], bi = xi[there], cr = xr[back], ci = xi[back];
        ar += er[j] = br + cr;
        ai += ei[j] = bi + ci;
        fr[j] = br - cr;
        fi[j] = bi - ci;
        there += far;
        back -= far;
      }
      yr[o] = ar;
      yi[o] = ai;
      for (let k = 1, at = 0; k <= half; k++) {
        let ur = or, ui = oi, vr = 0, vi = 0;
        for (let j = 0; j < half; j++, at++) {
          const c = cos[at], d = sin[at];
          ur += c * er[j];
          ui += c * ei[j];
          vr += d * fi[j];
          vi -= d * fr[j];
        }
        const near = o + k * s, last = o + (r - k) * s;
        const a = t + 2 * k, b = t + 2 * (r - k);
        const gr = ur + vr, gi = ui + vi, hr = ur - vr, hi = ui - vi;
        yr[near] = gr * tw[a] - gi * tw[a + 1];
        yi[near] = gr * tw[a + 1] + gi * tw[a];
        yr[last] = hr * tw[b] - hi * tw[b + 1];
        yi[last] = hr * tw[b + 1] + hi * tw[b];
      }
    }
  }
}

/** Cosines and sines of 2πjk/r for j and k up to r/2, and room for the pairs. */
function turns(r) {
  const half = (r - 1) / 2;
  const table = make => Float64Array.from({ length: half * half }, (_, i) =>
    make((2 * Math.PI * (Math.floor(i / half) + 1) * (i % half + 1)) / r));
  const [er, ei, fr, fi] = Array.from({ length: 4 }, () => new Float64Array(half));
  return { cos: table(Math.cos), sin: table(Math.sin), er, ei, fr, fi };
}

/** Two complex buffers for `n` numbers each of LANES transforms. */
function buffers(n) {
  const [xr, xi, yr, yi] = Array.from({ length: 4 }, () => new Float64Array(n * LANES));
  return { xr, xi, yr, yi };
}

const BUTTERFLIES = { 2: two, 3: three, 4: four, 5: five };

/** A plan for LANES transforms of length `n`, which has small factors. */
class Stockham {
  constructor(n) {
    this.n = n;
    this.io = buffers(n);
    this.passes = [];
    let rest = n, s = LANES;
    for (const r of radices(n)) {
      const m = rest / r, tw = twiddles(rest, r, m);
      const run = BUTTERFLIES[r] ?? odd.bind(null, r, turns(r));
      this.passes.push({ run, m, s, tw });
      rest = m;
      s *= r;
    }
  }

  /** Transforms what is in io.xr and io.xi; backwards: the inverse, unscaled. */
  go(backwards = false) {
    const { io } = this;
    for (const { run, m, s, tw } of this.passes) {
      if (backwards) run(m, s, tw, io.xi, io.xr, io.yi, io.yr);
      else run(m, s, tw, io.xr, io.xi, io.yr, io.yi);
      [io.xr, io.yr] = [io.yr, io.xr];
      [io.xi, io.yi] = [io.yi, io.xi];
    }
  }
}

/** A plan for LANES transforms of any length: a chirp's convolution. */
class Bluestein {
  constructor(n) {
    const size = nextFastLength(2 * n - 1), long = this.long = new Stockham(size);
    this.n = n;
    this.io = buffers(n);
    this.chirp = new Float64Array(2 * n);
    for (let k = 0; k < n; k++) {
      const angle = (Math.PI * ((k * k) % (2 * n))) / n;
      this.chirp[2 * k] = Math.cos(angle);
      this.chirp[2 * k + 1] = Math.sin(angle);
      for (const at of new Set([k, (size - k) % size])) {
        long.io.xr[at * LANES] = this.chirp[2 * k];
        long.io.xi[at * LANES] = this.chirp[2 * k + 1];
      }
    }
    long.go();
    this.filter = new Float64Array(2 * size);
    for (let k = 0; k < size; k++) {
      this.filter[2 * k] = long.io.xr[k * LANES] / size;
      this.filter[2 * k + 1] = long.io.xi[k * LANES] / size;
    }
  }

  /** As Stockham's. */
  go(backwards = false) {
    const { long, chirp, filter, io, n } = this, sign = backwards ? -1 : 1;
    turned(io.xr, io.xi, chirp, -1, long.io.xr, long.io.xi, n, sign);
    long.io.xr.fill(0, n * LANES);
    long.io.xi.fill(0, n * LANES);
    long.go();
    turned(long.io.xr, long.io.xi, filter, 1, long.io.xr, long.io.xi, long.n, 1);
    long.go(true);
    turned(long.io.xr, long.io.xi, chirp, -1, io.xr, io.xi, n, 1);
    if (backwards) for (let i = 0; i < n * LANES; i++) io.xi[i] = -io.xi[i];
  }
}

/** Numbers (re, sign·im) times those of a table, conjugate where `side` is −1. */
function turned(re, im, table, side, toRe, toIm, n, sign) {
  for (let k = 0, i = 0; k < n; k++) {
    const c = table[2 * k], d = side * table[2 * k + 1];
    for (const end = i + LANES; i < end; i++) {
      const a = re[i], b = sign * im[i];
      toRe[i] = a * c - b * d;
      toIm[i] = a * d + b * c;
    }
  }
}

const plans = new Map();

/** The plan for length `n`, made once. */
function planned(n) {
  if (!plans.has(n)) {
    if (plans.size > 64) plans.clear();
    plans.set(n, radices(n) ? new Stockham(n) : new Bluestein(n));
  }
  return plans.get(n);
}

/** The smallest length from `n` on whose prime factors are at most 11. */
export function nextFastLength(n) {
  for (let length = Math.max(n, 1); ; length++) {
    let rest = length;
    for (const prime of [2, 3, 5, 7, 11]) while (rest % prime === 0) rest /= prime;
    if (rest === 1) return length;
  }
}

/** Columns of `waves` transformed in place, `width` of them. */
function columns({ re, im }, height, width, backwards) {
  const plan = planned(height), { io } = plan;
  for (let left = 0; left < width; left += LANES) {
    const many = Math.min(LANES, width - left);
    for (let y = 0; y < height; y++) {
      const from = y * width + left, to = y * LANES;
      for (let j = 0; j < many; j++) {
        io.xr[to + j] = re[from + j];
        io.xi[to + j] = im[from + j];
      }
    }
    plan.go(backwards);
    const { xr, xi } = io;
    for (let y = 0; y < height; y++) {
      const to = y * width + left, from = y * LANES;
      for (let j = 0; j < many; j++) {
        re[to + j] = xr[from + j];
        im[to + j] = xi[from + j];
      }
    }
  }
}

/** The halves of the rows' transforms, two real rows to a complex one. */
function rowsForward(plane, height, width, { re, im }) {
  const plan = planned(width), { io } = plan, half = (width >> 1) + 1;
  for (let top = 0; top < height; top += 2 * LANES) {
    const many = Math.min(LANES, (height - top + 1) >> 1);
    for (let j = 0; j < many; j++) {
      const a = (top + 2 * j) * width, paired = top + 2 * j + 1 < height;
      const { xr, xi } = io;
      for (let x = 0, to = j; x < width; x++, to += LANES) {
        xr[to] = plane[a + x];
        xi[to] = paired ? plane[a + width + x] : 0;
      }
    }
    plan.go();
    const { xr, xi } = io;
    for (let j = 0; j < many; j++) {
      const a = (top + 2 * j) * half, b = a + half, paired = top + 2 * j + 1 < height;
      for (let k = 0; k < half; k++) {
        const there = k * LANES + j, back = (k ? width - k : 0) * LANES + j;
        const pr = xr[there], pi = xi[there], qr = xr[back], qi = xi[back];
        re[a + k] = 0.5 * (pr + qr);
        im[a + k] = 0.5 * (pi - qi);
        if (!paired) continue;
        re[b + k] = 0.5 * (pi + qi);
        im[b + k] = 0.5 * (qr - pr);
      }
    }
  }
}

/** The rows whose halves of transforms `re` and `im` are, times `scale`. */
function rowsBackward({ re, im }, height, width, scale, plane) {
  const plan = planned(width), { io } = plan, half = (width >> 1) + 1;
  for (let top = 0; top < height; top += 2 * LANES) {
    const many = Math.min(LANES, (height - top + 1) >> 1);
    for (let j = 0; j < many; j++) {
      const a = (top + 2 * j) * half, b = a + half, paired = top + 2 * j + 1 < height;
      const { xr, xi } = io;
      for (let k = 0; k < half; k++) {
        const own = k === 0 || 2 * k === width;
        const ar = re[a + k], ai = own ? 0 : im[a + k];
        const br = paired ? re[b + k] : 0, bi = own || !paired ? 0 : im[b + k];
        xr[k * LANES + j] = ar - bi;
        xi[k * LANES + j] = ai + br;
        if (own) continue;
        xr[(width - k) * LANES + j] = ar + bi;
        xi[(width - k) * LANES + j] = br - ai;
      }
    }
    plan.go(true);
    const { xr, xi } = io;
    for (let j = 0; j < many; j++) {
      const a = (top + 2 * j) * width, paired = top + 2 * j + 1 < height;
      for (let x = 0, from = j; x < width; x++, from += LANES) {
        plane[a + x] = xr[from] * scale;
        if (paired) plane[a + width + x] = xi[from] * scale;
      }
    }
  }
}

/** Room for the transform of a real plane of this size. */
export function wavesOf(height, width) {
  const many = height * ((width >> 1) + 1);
  return { re: new Float64Array(many), im: new Float64Array(many) };
}

/** The half of a real plane's transform that numpy's rfft2 gives. */
export function rfft2(plane, height, width, into = wavesOf(height, width)) {
  rowsForward(plane, height, width, into);
  columns(into, height, (width >> 1) + 1, false);
  return into;
}

/** The real plane whose half transform `waves` is; `waves` is used up. */
export function irfft2(waves, height, width, into = new Float64Array(height * width)) {
  columns(waves, height, (width >> 1) + 1, true);
  rowsBackward(waves, height, width, 1 / (height * width), into);
  return into;
}
