// What the page's modules find, as JSON: `node estimate.mjs FOLDER`, with a job in it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beside, estimateBlur, prepared, sceneOf, summary } from
  '../../nbs/enhance/estimate.js';
import { FAMILIES, spread } from '../../nbs/enhance/kernels.js';
import { frequencies, halfFrequencies, noises, scenePower } from
  '../../nbs/enhance/spectrum.js';

const folder = process.argv[2];
const read = name => readFileSync(join(folder, name));
const json = name => JSON.parse(read(name));

const known = prepared(json('estimate.json'), new Uint8Array(read('grid.bin')));
const job = json('job.json'), pixels = read('pixels.bin');

/** A picture of the job, from its bytes. */
function pictureOf({ at, height, width }) {
  const planes = [0, 1, 2].map(c => Float32Array.from({ length: height * width },
    (_, i) => pixels[at + 3 * i + c] / 255));
  return { planes, height, width };
}

/** Blur, scene and the scenes beside it, of a picture. */
function found(place) {
  const picture = pictureOf(place), blur = estimateBlur(known, picture);
  const scene = sceneOf(known, picture, blur);
  return { blur, scene, sides: beside(known, picture, blur) };
}

/** A kernel and how wide it is. */
function drawn([family, parameters]) {
  const kernel = FAMILIES[family](...parameters);
  return { kernel, spread: spread(kernel) };
}

/** Powers of a scene, and noises before them, on a frame. */
function powers({ scene, height, width }) {
  const axes = [frequencies(height), halfFrequencies(width)];
  const power = scenePower(known, scene, ...axes);
  return { power, noise: noises(known, scene, ...axes, power) };
}

/** Typed arrays as plain ones. */
const plain = (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;

console.log(JSON.stringify({
  pictures: job.pictures.map(found),
  kernels: job.kernels.map(drawn),
  powers: job.scenes.map(powers),
  said: job.blurs.map(summary),
}, plain));
