// Images of 8 bits, { data: RGBA, width, height }: pieces, tiles, blur, differences.

const MULTIPLE = 8; // of which sides and starts of tiles are, as are blocks of JPEG
const LEAST = 32; // pixels that a tile has at least
const CHANNELS = 4; // of a restored tile: three colours and their doubt

/** Whole numbers from `start` on, below `stop`. */
export const range = (start, stop) =>
  Array.from({ length: stop - start }, (_, i) => start + i);

/** Where tiles of one size start, spread evenly over an axis, a multiple of 8 long. */
export function tileStarts(length, tile, overlap) {
  if (length <= tile) return [0];
  const count = Math.ceil((length - overlap) / (tile - overlap));
  return Array.from({ length: count }, (_, i) =>
    Math.floor(Math.floor(i * (length - tile) / (count - 1)) / MULTIPLE) * MULTIPLE);
}

/** Indices of `start … stop - 1` in an axis of `length`, reflected at its ends. */
export function mirrored(start, stop, length) {
  const period = Math.max(1, 2 * (length - 1));
  return Int32Array.from({ length: stop - start }, (_, i) => {
    const index = (((start + i) % period) + period) % period;
    return Math.min(index, period - index);
  });
}

/** Weight of each pixel of each tile along one axis; they add up to 1 everywhere. */
export function tileWeights(starts, tile, overlap) {
  const width = Math.max(overlap / 4, 1e-6);
  const inner = starts.slice(1).map((b, i) => (starts[i] + tile + b) / 2);
  const cuts = [-Infinity, ...inner, Infinity];
  const ramp = (x, cut) => Math.min(1, Math.max(0, (x - cut) / width + 0.5));
  return starts.map((start, i) => Float32Array.from({ length: tile }, (_, t) =>
    ramp(start + t + 0.5, cuts[i]) - ramp(start + t + 0.5, cuts[i + 1])));
}

/** The part of a picture that a region needs to be restored well: a margin around it,
 * and no less than a tile; from a multiple of 8 on. */
export function surroundings(region, size, tile, margin) {
  const along = (start, length, whole) => {
    const wanted = Math.min(whole, Math.max(tile, length + 2 * margin));
    const middle = Math.max(0, start - Math.floor((wanted - length) / 2));
    const first = Math.min(middle, whole - wanted), from = first - first % MULTIPLE;
    return [from, Math.min(whole, first + wanted) - from];
  };
  const [x, width] = along(region.x, region.width, size.width);
  const [y, height] = along(region.y, region.height, size.height);
  return { x, y, width, height };
}

/** Some rows and columns of an image as a picture, three planes from 0 to 1. */
export function pieceOf(image, rows, columns) {
  const height = rows.length, width = columns.length;
  const planes = [0, 1, 2].map(() => new Float32Array(height * width));
  const [r, g, b] = planes;
  let at = 0;
  for (const y of rows) {
    for (const x of columns) {
      const from = 4 * (y * image.width + x);
      r[at] = image.data[from] / 255;
      g[at] = image.data[from + 1] / 255;
      b[at++] = image.data[from + 2] / 255;
    }
  }
  return { planes, height, width };
}

/** Adds the planes of a restored tile to the band of rows in which it lies. */
function addTile(band, bandWidth, x, planes, down, across) {
  for (let r = 0, from = 0; r < down.length; r++) {
    for (let q = 0; q < across.length; q++, from++) {
      const weight = down[r] * across[q], to = CHANNELS * (r * bandWidth + x + q);
      if (!weight) continue;
      for (let c = 0; c < CHANNELS; c++) band[to + c] += weight * planes[c][from];
    }
  }
}

const clipped = v => Math.min(1, Math.max(0, v));
const level = v => Math.floor(clipped(v) * 255 + 0.5);

/** Rounds finished rows of the band into the picture, half up; its opacity stays. */
function writeRows({ image, doubt }, band, bandWidth, top, count) {
  for (let r = 0; r < Math.min(count, image.height - top); r++) {
    for (let x = 0; x < image.width; x++) {
      const from = CHANNELS * (r * bandWidth + x), to = (top + r) * image.width + x;
      for (let c = 0; c < 3; c++) image.data[4 * to + c] = level(band[from + c]);
      doubt[to] = clipped(band[from + 3]);
    }
  }
}

/** An image with other colours, three planes from 0 to 1; its opacity stays. */
export function rounded(image, planes) {
  const data = new Uint8ClampedArray(image.data);
  planes.slice(0, 3).forEach((plane, c) => {
    for (let i = 0; i < plane.length; i++) data[4 * i + c] = level(plane[i]);
  });
  return { data, width: image.width, height: image.height };
}

/**
 * A new image and its doubt: `restore(piece, border)` → four planes on overlapping
 * tiles that fade into each other. `border`: does the tile end where the picture does?
 */
export async function tiled(restore, image, tile, overlap, progress) {
  const spans = [image.height, image.width].map(n =>
    Math.max(Math.ceil(n / MULTIPLE) * MULTIPLE, LEAST));
  const [h, w] = spans.map(span => Math.min(span, tile));
  const [ys, xs] = spans.map(span => tileStarts(span, tile, overlap));
  const down = tileWeights(ys, h, overlap), across = tileWeights(xs, w, overlap);
  const { width, height } = image, data = new Uint8ClampedArray(image.data);
  const doubt = new Float32Array(width * height), line = spans[1] * CHANNELS;
  const out = { image: { data, width, height }, doubt };
  const band = new Float32Array(h * line);
  const atEnd = (i, all) => i === 0 || i === all.length - 1;
  progress(0, ys.length * xs.length);
  for (const [i, y] of ys.entries()) {
    const rows = mirrored(y, y + h, height);
    for (const [j, x] of xs.entries()) {
      const piece = pieceOf(image, rows, mirrored(x, x + w, width));
      const planes = await restore(piece, atEnd(i, ys) || atEnd(j, xs));
      addTile(band, spans[1], x, planes, down[i], across[j]);
      progress(i * xs.length + j + 1, ys.length * xs.length);
    }
    const done = (i + 1 < ys.length ? ys[i + 1] : spans[0]) - y;
    writeRows(out, band, spans[1], y, done);
    band.copyWithin(0, done * line);
    band.fill(0, band.length - done * line);
  }
  return out;
}

/** A Gaussian of σ `sigma` pixels, cut to `taps` and normalised. */
export function gaussianKernel(taps, sigma) {
  const weights = Float64Array.from({ length: taps }, (_, i) =>
    Math.exp(-0.5 * ((i - (taps - 1) / 2) / sigma) ** 2));
  const sum = weights.reduce((a, b) => a + b);
  return weights.map(w => w / sum);
}

/** The picture under that blur, reflected at its borders; its opacity stays. */
export function blurred(image, taps, sigma) {
  const { width, height, data } = image, r = (taps - 1) / 2;
  const kernel = gaussianKernel(taps, sigma);
  const out = { data: new Uint8ClampedArray(data), width, height };
  const columns = mirrored(-r, width + r, width);
  const rows = mirrored(-r, height + r, height);
  const line = new Float32Array(3 * (width + 2 * r)), stride = 3 * width;
  const ring = Array.from({ length: taps }, () => new Float32Array(stride));
  const across = (y, into) => {
    for (let x = 0; x < width + 2 * r; x++) {
      const from = 4 * (y * width + columns[x]);
      for (let c = 0; c < 3; c++) line[3 * x + c] = data[from + c];
    }
    for (let i = 0; i < stride; i++) {
      let sum = 0;
      for (let t = 0; t < taps; t++) sum += kernel[t] * line[i + 3 * t];
      into[i] = sum;
    }
  };
  for (let y = 0; y < height + 2 * r; y++) {
    across(rows[y], ring[y % taps]);
    if (y < 2 * r) continue;
    const top = y - 2 * r;
    for (let i = 0; i < stride; i++) {
      let sum = 0;
      for (let t = 0; t < taps; t++) sum += kernel[t] * ring[(top + t) % taps][i];
      out.data[4 * (top * width + Math.floor(i / 3)) + i % 3] = Math.floor(sum + 0.5);
    }
  }
  return out;
}

/** The part of a picture in a box; the picture itself where that is all of it. */
export function cropped(image, { x, y, width, height }) {
  if (width === image.width && height === image.height) return image;
  const out = { data: new Uint8ClampedArray(4 * width * height), width, height };
  for (let r = 0; r < height; r++) {
    const from = 4 * ((y + r) * image.width + x);
    out.data.set(image.data.subarray(from, from + 4 * width), 4 * r * width);
  }
  return out;
}

/** The doubts in a box of a picture of some width. */
export function croppedDoubt(doubt, wide, { x, y, width, height }) {
  if (width === wide && width * height === doubt.length) return doubt;
  const out = new Float32Array(width * height);
  for (let r = 0; r < height; r++) {
    const from = (y + r) * wide + x;
    out.set(doubt.subarray(from, from + width), r * width);
  }
  return out;
}

/** Puts `part` into `image`, its corner at (x, y). */
export function paste(image, part, x, y) {
  for (let r = 0; r < part.height; r++) {
    const row = part.data.subarray(4 * r * part.width, 4 * (r + 1) * part.width);
    image.data.set(row, 4 * ((y + r) * image.width + x));
  }
}

/** Peak signal-to-noise ratio of two pictures of one size, in dB. */
export function psnr(a, b) {
  let sum = 0;
  for (let i = 0; i < a.data.length; i += 4) {
    for (let c = 0; c < 3; c++) sum += (a.data[i + c] - b.data[i + c]) ** 2;
  }
  return 10 * Math.log10(255 ** 2 * 0.75 * a.data.length / sum);
}

/** Makes grey what was grey before: the colours of each pixel become their mean. */
export function makeGrey(image) {
  for (let i = 0; i < image.data.length; i += 4) {
    const mean = (image.data[i] + image.data[i + 1] + image.data[i + 2]) / 3;
    for (let c = 0; c < 3; c++) image.data[i + c] = Math.round(mean);
  }
}

/** Whether a picture has no colour at all. */
export function isGrey({ data }) {
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}
