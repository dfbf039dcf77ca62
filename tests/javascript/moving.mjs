// What nbs/moving/blur.js computes, as JSON: `node moving.mjs FOLDER`, with a job in it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { blurred, effectiveSigma, kept, line, psnr } from '../../nbs/moving/blur.js';

const folder = process.argv[2];
const read = name => readFileSync(join(folder, name));
const { height, width, blurs, frequencies } = JSON.parse(read('job.json'));
const pixels = read('pixels.bin');
const sharp = [0, 1, 2].map(c => Float64Array.from({ length: height * width },
  (_, i) => pixels[3 * i + c] / 255));

const answers = blurs.map(([taps, sigma]) => {
  const weights = line(sigma, taps);
  const planes = sharp.map(plane => blurred(plane, height, width, weights));
  return { weights: Array.from(weights), planes: planes.map(plane => Array.from(plane)),
    psnr: psnr(planes, sharp), strength: effectiveSigma(sigma, taps),
    kept: frequencies.map(f => kept(weights, f)) };
});
console.log(JSON.stringify(answers));
