// One picture after the other, away from the page.
// A message to it is { file, region?, blur?: { taps, sigma } }, or { save: true } for the last result.

import { Told, load } from './runtime.js';
import { blurred, cropped, isGrey, makeGrey, paste, psnr, surroundings, tiled } from './tiles.js';

const MARGIN = 64; // pixels around a region that the network is shown as well

let network, result;

const tell = message => postMessage(message);

/** The pixels of a picture, upright. */
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image', premultiplyAlpha: 'none' });
  } catch {
    throw new Told('The picture cannot be decoded: its file is damaged, or the memory of this device is not enough for it.');
  }
  const { width, height } = bitmap;
  const surface = drawable(width, height);
  surface.drawImage(bitmap, 0, 0);
  bitmap.close();
  return surface.getImageData(0, 0, width, height);
}

/** Something of that size to draw on. Safari gives one that stays empty where it is too large. */
function drawable(width, height) {
  const surface = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  surface?.fillRect(0, 0, 1, 1);
  if (!surface?.getImageData(0, 0, 1, 1).data[3]) throw new RangeError('no memory for the picture');
  surface.clearRect(0, 0, 1, 1);
  return surface;
}

async function encode(image) {
  const canvas = new OffscreenCanvas(image.width, image.height);
  canvas.getContext('2d').putImageData(image, 0, 0);
  return canvas.convertToBlob({ type: 'image/png' });
}

/** The region of `image`, sharper. */
async function restored(image, region) {
  const around = surroundings(region, image, network.tile, MARGIN);
  const part = cropped(image, around);
  const progress = (done, total) => tell({ stage: 'tiles', done, total });
  const out = await tiled(network.restore, part, network.tile, network.overlap, progress);
  if (isGrey(part)) makeGrey(out);
  return cropped(out, { ...region, x: region.x - around.x, y: region.y - around.y });
}

async function enhance({ file, region, blur }) {
  result = null;
  const sharp = await decode(file);
  const place = region ?? { x: 0, y: 0, width: sharp.width, height: sharp.height };
  if (blur) tell({ stage: 'blur' });
  const image = blur ? blurred(sharp, blur.taps, blur.sigma) : sharp;
  network ??= await load((done, total) => tell({ stage: 'load', done, total }));
  const after = await restored(image, place);
  tell({ stage: 'write' });
  const seen = cropped(image, place), target = blur && cropped(sharp, place);
  const shown = { before: await encode(seen), after: await encode(after) };
  const gain = target && [psnr(target, seen), psnr(target, after)];
  paste(image, after, place.x, place.y);
  result = image;
  tell({ stage: 'done', where: network.where, ...shown, gain });
}

/** A sentence for anything that can go wrong. */
function sentence(error) {
  if (error instanceof Told) return error.message;
  const words = String(error?.message ?? error);
  if (/memory|alloc|RangeError|bad_alloc|out of bounds/i.test(`${error?.name} ${words}`) || typeof error === 'number') {
    return 'The memory of this device is not enough for that: choose a smaller region, or close other pages.';
  }
  if (/wasm|WebAssembly|CompileError|SIMD/i.test(`${error?.name} ${words}`)) {
    return 'This browser cannot run the network: it has no WebAssembly, or too old a one.';
  }
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
