// What the page's modules make of pictures, planes and matrices:
// `node sharpen.mjs FOLDER`, with a job in it; the sharper pictures and their doubts
// are written there.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepared } from '../../nbs/enhance/estimate.js';
import { irfft2, nextFastLength, rfft2 } from '../../nbs/enhance/fourier.js';
import { symmetricEigen } from '../../nbs/enhance/matrix.js';
import { product } from '../../nbs/enhance/product.js';
import { sharpen } from '../../nbs/enhance/sharpen.js';
import * as ort from '../../nbs/vendor/ort/ort.wasm.bundle.min.mjs';

const folder = process.argv[2];
const page = name => readFileSync(new URL(`../../nbs/${name}`, import.meta.url));
const job = JSON.parse(readFileSync(join(folder, 'job.json')));
const pixels = readFileSync(join(folder, 'pixels.bin'));

/** The network and what is known of spectra, as the page has them. */
async function model() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = page('vendor/ort/ort-wasm-simd-threaded.wasm');
  const session = await ort.InferenceSession.create(page('enhance/model/restore.onnx'));
  const net = async (seen, height, width) => {
    const feeds = { seen: new ort.Tensor('float32', seen, [1, 19, height, width]) };
    return (await session.run(feeds)).change.data;
  };
  const gains = new Uint8Array(page('enhance/model/grid.bin'));
  return { known: prepared(JSON.parse(page('enhance/model/model.json')), gains), net };
}

/** A picture of the job as RGBA, from its bytes. */
function imageOf({ at, height, width }) {
  const data = new Uint8ClampedArray(4 * height * width).fill(255);
  for (let i = 0; i < height * width; i++) {
    data.set(pixels.subarray(at + 3 * i, at + 3 * i + 3), 4 * i);
  }
  return { data, height, width };
}

/** The transform of a plane, and the plane that comes back. */
function transformed({ plane, height, width }) {
  const { re, im } = rfft2(plane, height, width);
  const back = irfft2({ re: re.slice(), im: im.slice() }, height, width);
  return { re, im, back };
}

/** Typed arrays as plain ones. */
const plain = (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;

const { known, net } = await model(), reasons = [], blurs = [];
const out = Buffer.alloc(pixels.length), doubts = new Float32Array(pixels.length / 3);
for (const place of job.pictures) {
  const { image, doubt, blur, reason } = await sharpen(known, net, imageOf(place));
  for (let i = 0; i < place.height * place.width; i++) {
    out.set(image.data.subarray(4 * i, 4 * i + 3), place.at + 3 * i);
  }
  if (doubt) doubts.set(doubt, place.at / 3);
  reasons.push(reason);
  blurs.push(blur);
}
writeFileSync(join(folder, 'doubt.bin'), doubts);
writeFileSync(join(folder, 'sharper.bin'), out);
console.log(JSON.stringify({
  reasons, blurs,
  transforms: job.planes.map(transformed),
  eigen: job.matrices.map(({ matrix, n }) =>
    symmetricEigen(Float64Array.from(matrix), n)),
  products: job.products.map(({ a, b, sides }) =>
    product(Float64Array.from(a), Float64Array.from(b), ...sides)),
  fast: job.lengths.map(nextFastLength),
}, plain));
