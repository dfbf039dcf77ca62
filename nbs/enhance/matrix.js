// Transposes of matrices, and eigenvectors of symmetric ones; row by row, float64.

/** The transpose of `a`, n × m. */
export function transposed(a, n, m) {
  const out = new Float64Array(n * m);
  for (let i = 0; i < n; i++) for (let j = 0; j < m; j++) out[j * n + i] = a[i * m + j];
  return out;
}

/** Eigenvalues and vectors, one a row, of a symmetric `a`, n × n, which is used up. */
export function symmetricEigen(a, n) {
  const { diagonal, beside, vectors } = tridiagonal(a, n);
  implicitQl(diagonal, beside, vectors, n);
  return { values: diagonal, vectors };
}

/** Householder's reflections: QᵀAQ is tridiagonal; the rows given are Q's columns. */
function tridiagonal(a, n) {
  const diagonal = new Float64Array(n), beside = new Float64Array(n);
  const scale = new Float64Array(n), v = new Float64Array(n), w = new Float64Array(n);
  const u = new Float64Array(n), p = new Float64Array(n);
  let pending = false;
  for (let i = n - 1; i > 0; i--) {
    const row = i * n;
    if (pending) for (let j = 0; j <= i; j++) a[row + j] -= v[i] * w[j] + w[i] * v[j];
    diagonal[i] = a[row + i];
    let norm = 0;
    for (let j = 0; j < i; j++) norm += a[row + j] ** 2;
    norm = Math.sqrt(norm);
    const last = a[row + i - 1], turned = last > 0 ? -norm : norm;
    beside[i] = turned;
    const half = norm * norm - last * turned;
    scale[i] = half > 0 ? 1 / half : 0;
    for (let j = 0; j < i; j++) u[j] = a[row + j];
    u[i - 1] -= turned;
    if (pending) pushed(a, n, i, v, w, u, p);
    else times(a, n, i, u, p);
    let inner = 0;
    for (let j = 0; j < i; j++) inner += u[j] * (p[j] *= scale[i]);
    inner *= 0.5 * scale[i];
    for (let j = 0; j < i; j++) {
      v[j] = u[j];
      w[j] = p[j] - inner * u[j];
      a[row + j] = u[j];
    }
    pending = true;
  }
  diagonal[0] = a[0] - (pending ? 2 * v[0] * w[0] : 0);
  return { diagonal, beside, vectors: reflected(a, scale, n) };
}

/** p = A u, from the lower triangle of the first `n` rows of a matrix. */
function times(a, stride, n, u, p) {
  for (let i = 0; i < n; i++) {
    const row = i * stride, ui = u[i];
    let sum = 0;
    for (let j = 0; j < i; j++) {
      const x = a[row + j];
      sum += x * u[j];
      p[j] += x * ui;
    }
    p[i] = sum + a[row + i] * ui;
  }
}

/** The same after A −= v wᵀ + w vᵀ, in one pass; two rows at a time. */
function pushed(a, stride, n, v, w, u, p) {
  let i = 0;
  for (; i + 1 < n; i += 2) {
    const k = i + 1, row = i * stride, next = row + stride;
    const ui = u[i], vi = v[i], wi = w[i], uk = u[k], vk = v[k], wk = w[k];
    let one = 0, two = 0;
    for (let j = 0; j < i; j++) {
      const vj = v[j], wj = w[j], uj = u[j];
      const x = a[row + j] - vi * wj - wi * vj, y = a[next + j] - vk * wj - wk * vj;
      a[row + j] = x;
      a[next + j] = y;
      one += x * uj;
      two += y * uj;
      p[j] += x * ui + y * uk;
    }
    const x = a[row + i] -= 2 * vi * wi, y = a[next + i] -= vk * wi + wk * vi;
    const z = a[next + k] -= 2 * vk * wk;
    p[i] = one + x * ui + y * uk;
    p[k] = two + y * ui + z * uk;
  }
  if (i < n) lastRow(a, i * stride, i, v, w, u, p);
}

/** The last of an odd number of rows. */
function lastRow(a, row, i, v, w, u, p) {
  let sum = 0;
  for (let j = 0; j < i; j++) {
    const x = a[row + j] - v[i] * w[j] - w[i] * v[j];
    a[row + j] = x;
    sum += x * u[j];
    p[j] += x * u[i];
  }
  p[i] = sum + (a[row + i] -= 2 * v[i] * w[i]) * u[i];
}

/** The product of the reflections that `a` holds, transposed. */
function reflected(a, scale, n) {
  const q = new Float64Array(n * n);
  q[0] = 1;
  for (let i = 1; i < n; i++) {
    let r = 0;
    for (; r + 4 <= i; r += 4) reflectFour(q, r * n, n, a, i * n, i, scale[i]);
    for (; r < i; r++) {
      let sum = 0;
      for (let j = 0; j < i; j++) sum += q[r * n + j] * a[i * n + j];
      sum *= scale[i];
      for (let j = 0; j < i; j++) q[r * n + j] -= sum * a[i * n + j];
    }
    q[i * n + i] = 1;
  }
  return q;
}

/** Four rows of `q`, from place `r` on, reflected at `many` numbers of `a` from `u`. */
function reflectFour(q, r, n, a, u, many, scale) {
  let k = 0, l = 0, m = 0, o = 0;
  for (let j = 0; j < many; j++) {
    const x = a[u + j], at = r + j;
    k += q[at] * x;
    l += q[at + n] * x;
    m += q[at + 2 * n] * x;
    o += q[at + 3 * n] * x;
  }
  k *= scale;
  l *= scale;
  m *= scale;
  o *= scale;
  for (let j = 0; j < many; j++) {
    const x = a[u + j], at = r + j;
    q[at] -= k * x;
    q[at + n] -= l * x;
    q[at + 2 * n] -= m * x;
    q[at + 3 * n] -= o * x;
  }
}

const DEFLATED = 1e-12; // of the largest entry: less beside the diagonal is nothing

/** Turns `d` into eigenvalues and the rows of `z` into vectors; `e` is used up. */
function implicitQl(d, e, z, n) {
  let size = 0;
  for (let i = 0; i < n; i++) size = Math.max(size, Math.abs(d[i]), Math.abs(e[i]));
  e.copyWithin(0, 1);
  e[n - 1] = 0;
  const turns = { c: new Float64Array(n), s: new Float64Array(n) };
  for (let l = 0; l < n; l++) {
    for (let round = 0; round < 60; round++) {
      let m = l;
      while (m < n - 1 && Math.abs(e[m]) > DEFLATED * size) m++;
      if (m === l) break;
      const first = chased(d, e, l, m, turns);
      rotated(z, n, first, m, turns);
    }
  }
}

/** One sweep from `m` to `l`; its turns, from the place on that it returns. */
function chased(d, e, l, m, { c: cs, s: sn }) {
  let g = (d[l + 1] - d[l]) / (2 * e[l]), r = Math.hypot(g, 1);
  g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
  let s = 1, c = 1, p = 0;
  for (let i = m - 1; i >= l; i--) {
    const f = s * e[i], b = c * e[i];
    e[i + 1] = r = Math.sqrt(f * f + g * g);
    if (r === 0) {
      d[i + 1] -= p;
      e[m] = 0;
      return i + 1;
    }
    s = f / r;
    c = g / r;
    g = d[i + 1] - p;
    r = (d[i] - g) * s + 2 * c * b;
    p = s * r;
    d[i + 1] = g + p;
    g = c * r - b;
    cs[i] = c;
    sn[i] = s;
  }
  d[l] -= p;
  e[l] = g;
  e[m] = 0;
  return l;
}

/** Rows first … m of `z`, n numbers each, turned from below, two turns at a time. */
function rotated(z, n, first, m, { c: cs, s: sn }) {
  let i = m - 1;
  for (; i > first; i -= 2) {
    const c = cs[i], s = sn[i], d = cs[i - 1], t = sn[i - 1];
    let low = i * n + n, mid = i * n, top = mid - n;
    for (const end = low; mid < end; low++, mid++, top++) {
      const f = z[low], g = z[mid], h = z[top];
      z[low] = s * g + c * f;
      const k = c * g - s * f;
      z[mid] = t * h + d * k;
      z[top] = d * h - t * k;
    }
  }
  if (i < first) return;
  const c = cs[i], s = sn[i];
  for (let mid = i * n, low = mid + n, end = low; mid < end; low++, mid++) {
    const f = z[low], g = z[mid];
    z[low] = s * g + c * f;
    z[mid] = c * g - s * f;
  }
}
