// A face blurred by a Gaussian whose width and number of taps the reader moves, with
// the kernel and what it does to waves. Chapter 00.

import { blurred, effectiveSigma, kept, line, psnr } from './blur.js';
import { Axes, drawn, element, picture, pixelsOf, range, replace, soon, speaker } from
  './parts.js';

const FACE = new URL('../images/astronaut-face.jpg', import.meta.url);
const MOST = 15; // taps
const START = { sigma: 2.6, taps: 15 }; // the blur of the chapter's first figure
const STRIPES = 8; // pixels from one to the next: the detail that is marked
const FREQUENCIES = Array.from({ length: 101 }, (_, i) => i / 200);

const decibels = value => (Number.isFinite(value) ? `${value.toFixed(1)} dB` : '∞ dB');

/** Planes of red, green and blue in [0,1]. */
function planesOf({ data, width, height }) {
  return [0, 1, 2].map(c =>
    Float64Array.from({ length: width * height }, (_, i) => data[4 * i + c] / 255));
}

/** Puts planes on a canvas. */
function paint(canvas, planes) {
  const context = canvas.getContext('2d');
  const image = context.createImageData(canvas.width, canvas.height);
  image.data.fill(255);
  planes.forEach((plane, c) => {
    for (let i = 0; i < plane.length; i++) {
      image.data[4 * i + c] = Math.round(255 * plane[i]);
    }
  });
  context.putImageData(image, 0, 0);
}

/** The kernel in the middle of a square of MOST taps; its largest tap is white. */
function kernelPlane(weights) {
  const plane = new Float64Array(MOST * MOST), edge = (MOST - weights.length) / 2;
  const most = weights[weights.length >> 1] ** 2;
  weights.forEach((a, y) => weights.forEach((b, x) => {
    plane[(y + edge) * MOST + x + edge] = a * b / most;
  }));
  return plane;
}

/** The axes for what a wave keeps, with what changes the curve. */
function waves() {
  const axes = new Axes(
    { name: 'frequency, cycles a pixel', from: 0, to: 0.5, ticks: [0, 0.25, 0.5], say: String },
    { name: 'share of contrast that is left', from: 0, to: 1, ticks: [0, 0.5, 1], say: String });
  const curve = drawn('path', { class: 'moving-line' });
  const mark = drawn('circle', { class: 'moving-mark', r: 5 });
  axes.svg.append(curve, mark);
  const move = weights => {
    const points = FREQUENCIES.map(f => [f, kept(weights, f)]);
    const [x, y] = axes.at(1 / STRIPES, kept(weights, 1 / STRIPES));
    curve.setAttribute('d', axes.path(points));
    mark.setAttribute('cx', x);
    mark.setAttribute('cy', y);
  };
  return { svg: axes.svg, move };
}

/** The figure in `place`. */
function start(place, pixels) {
  const { width, height } = pixels, sharp = planesOf(pixels);
  const face = picture(element('canvas', { width, height }), 'The blurred face');
  const kernel = picture(element('canvas', { width: MOST, height: MOST }), 'The kernel');
  const { svg, move } = waves();
  const response = picture(svg, 'What is left of waves');
  const voice = speaker();
  const draw = soon(() => {
    const weights = line(sigma.value, taps.value);
    const planes = sharp.map(plane => blurred(plane, height, width, weights));
    paint(face.shown, planes);
    const square = kernelPlane(weights);
    paint(kernel.shown, [square, square, square]);
    move(weights);
    const score = psnr(planes, sharp);
    const strength = effectiveSigma(sigma.value, taps.value).toFixed(2);
    const fine = (100 * kept(weights, 1 / STRIPES)).toFixed(0);
    face.tell(`PSNR ${decibels(score)}`);
    kernel.tell(`effective σ ${strength}`);
    response.tell(`stripes ${STRIPES} pixels apart keep ${fine} %`);
    voice.say(`PSNR ${Number.isFinite(score) ? decibels(score) : 'infinite: the sharp face'}, `
      + `effective sigma ${strength} pixels. Stripes ${STRIPES} pixels apart keep ${fine} % of `
      + 'their contrast.');
  });
  const sigma = range({ name: 'width σ', min: 0.5, max: 4, step: 0.1, value: START.sigma,
    say: value => `${value.toFixed(1)} pixels` }, draw);
  const taps = range({ name: 'taps k', min: 1, max: MOST, step: 2, value: START.taps,
    say: value => (value === 1 ? '1: no blur' : String(value)) }, draw);
  replace(place, 'A blur to move',
    element('div', { class: 'moving-pictures' }, face.box, kernel.box, response.box),
    element('div', { class: 'moving-ranges' }, sigma.label, taps.label), voice.place);
  draw();
}

const pixels = await pixelsOf(FACE);
for (const place of document.querySelectorAll('[data-moving="kernel"]')) start(place, pixels);
