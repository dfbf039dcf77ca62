// One picture after the other, away from the page.
// A message to it is { file, region?, blur?: { taps, sigma } }, or { save: true } for
// the last result.

import { prepared, summary } from './estimate.js';
import { heatMap } from './heat.js';
import { Told, load } from './runtime.js';
import { TILE, sharpen } from './sharpen.js';
import {
  blurred, cropped, croppedDoubt, isGrey, makeGrey, paste, psnr, surroundings,
} from './tiles.js';

const MARGIN = 64; // pixels around a region that are looked at as well
const UNDECODED = 'The picture cannot be decoded: its file is damaged, or the memory '
  + 'of this device is not enough for it.';
const TOO_LARGE = 'The memory of this device is not enough for that: choose a smaller '
  + 'region, or close other pages.';
const TOO_OLD = 'This browser cannot run the network: it has no WebAssembly, or too '
  + 'old a one.';

let model, result;

const tell = message => postMessage(message);

/** The pixels of a picture, upright. */
async function decode(file) {
  let bitmap;
  try {
    const options = { imageOrientation: 'from-image', premultiplyAlpha: 'none' };
    bitmap = await createImageBitmap(file, options);
  } catch {
    throw new Told(UNDECODED);
  }
  const { width, height } = bitmap;
  const surface = drawable(width, height);
  surface.drawImage(bitmap, 0, 0);
  bitmap.close();
  return surface.getImageData(0, 0, width, height);
}

/** Something of that size to draw on. Too large a one stays empty in Safari. */
function drawable(width, height) {
  const canvas = new OffscreenCanvas(width, height);
  const surface = canvas.getContext('2d', { willReadFrequently: true });
  surface?.fillRect(0, 0, 1, 1);
  const there = surface?.getImageData(0, 0, 1, 1).data[3];
  if (!there) throw new RangeError('no memory for the picture');
  surface.clearRect(0, 0, 1, 1);
  return surface;
}

/** A PNG file of an image. */
async function encode({ data, width, height }) {
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d').putImageData(new ImageData(data, width, height), 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

/** What computes, fetched and prepared when it is first needed. */
async function prepare() {
  const progress = (done, total) => tell({ stage: 'load', done, total });
  const { about, gains, net } = await load(progress);
  return { known: prepared(about, gains), net };
}

/** The region of `image`, sharper; its doubt, the blur found, why nothing was done. */
async function restored(image, region) {
  const around = surroundings(region, image, TILE, MARGIN);
  const part = cropped(image, around), { known, net } = model;
  const progress = (stage, done, total) => tell({ stage, done, total });
  const { image: out, doubt, blur, reason } = await sharpen(known, net, part, progress);
  if (!reason && isGrey(part)) makeGrey(out);
  const place = { ...region, x: region.x - around.x, y: region.y - around.y };
  return {
    after: cropped(out, place), found: blur && summary(blur), reason,
    doubt: doubt && croppedDoubt(doubt, part.width, place),
  };
}

/** A PNG file of a region's doubt as colours, and what the brightest stands for. */
async function heated(doubt, { width, height }) {
  const { image, most } = heatMap(doubt, width, height);
  return { blob: await encode(image), most };
}

async function enhance({ file, region, blur }) {
  result = null;
  const sharp = await decode(file);
  const place = region ?? { x: 0, y: 0, width: sharp.width, height: sharp.height };
  if (blur) tell({ stage: 'blur' });
  const image = blur ? blurred(sharp, blur.taps, blur.sigma) : sharp;
  model ??= await prepare();
  const { after, doubt, found, reason } = await restored(image, place);
  tell({ stage: 'write' });
  const seen = cropped(image, place), target = blur && cropped(sharp, place);
  const shown = { before: await encode(seen), after: await encode(after) };
  const gain = target && [psnr(target, seen), psnr(target, after)];
  const heat = doubt && await heated(doubt, place);
  paste(image, after, place.x, place.y);
  result = image;
  tell({ stage: 'done', ...shown, heat, gain, found, reason });
}

/** A sentence for anything that can go wrong. */
function sentence(error) {
  if (error instanceof Told) return error.message;
  const words = String(error?.message ?? error);
  const all = `${error?.name} ${words}`;
  const short = /memory|alloc|RangeError|out of bounds/i;
  if (short.test(all) || typeof error === 'number') return TOO_LARGE;
  if (/wasm|WebAssembly|CompileError|SIMD/i.test(all)) return TOO_OLD;
  return `The picture could not be enhanced (${words.split('\n')[0].slice(0, 120)}).`;
}

onmessage = async ({ data }) => {
  try {
    if (data.save) tell({ stage: 'saved', blob: await encode(result) });
    else await enhance(data);
  } catch (error) {
    tell({ stage: 'failed', sentence: sentence(error) });
  }
};
