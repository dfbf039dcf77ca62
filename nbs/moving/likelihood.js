// A face restored by a disc whose radius the reader moves, beside the likelihood of that
// radius. Chapter 11. Nothing is computed here: tools/moving_likelihood.py has written
// all faces into one picture and all numbers into a file, and this script chooses.

import { Axes, drawn, element, picture, prepared, range, replace, soon, speaker } from
  './parts.js';

const START = 6; // the number of the face that is shown first
const FLOOR = 1; // nats at which the logarithmic axis begins
const BLURRED = 0; // the first face of the picture

const depth = nats => -Math.log10(Math.max(FLOOR, nats));

/** The axes for the likelihood with its curve; `move` marks a place of it. */
function curve({ radii, short }) {
  const axes = new Axes(
    { name: 'radius, pixels', from: radii[0], to: radii.at(-1), ticks: [2, 3, 4, 5], say: String },
    { name: 'nats short of the likeliest', from: -3.5, to: 0, ticks: [-3, -2, -1, 0],
      say: value => String(10 ** -value) });
  const points = radii.map((radius, i) => [radius, depth(short[i])]);
  const mark = drawn('circle', { class: 'moving-mark', r: 5 });
  axes.svg.append(drawn('path', { class: 'moving-line', d: axes.path(points) }), mark);
  const move = i => {
    const [x, y] = axes.at(...points[i]);
    mark.setAttribute('cx', x);
    mark.setAttribute('cy', y);
  };
  return { svg: axes.svg, move };
}

/** The figure in `place`. */
function start(place, { numbers, canvas, paint }) {
  const { radii, short, step, psnr, blurred } = numbers, voice = speaker();
  const before = canvas('The blurred face'), after = canvas('The restored face');
  const { svg, move } = curve(numbers), likely = picture(svg, 'How likely each radius is');
  paint(before, BLURRED);
  before.tell(`blurred: ${blurred.toFixed(1)} dB`);
  const say = i => `${radii[i * step].toFixed(2)} pixels`;
  const draw = soon(() => {
    const i = number.value, gain = psnr[i] - blurred, nats = short[i * step];
    const best = nats < FLOOR, far = `${nats.toFixed(0)} nats short`;
    paint(after, i + 1);
    move(i * step);
    after.tell(`restored: ${psnr[i].toFixed(1)} dB`);
    likely.tell(best ? 'the likeliest' : far);
    voice.say(`Radius ${say(i)}: ${best ? '' : `${far} of `}the likeliest. `
      + `The restored face has ${psnr[i].toFixed(1)} dB, ${Math.abs(gain).toFixed(1)} dB `
      + `${gain < 0 ? 'less' : 'more'} than the blurred one.`);
  });
  const number = range({ name: 'radius', min: 0, max: psnr.length - 1, step: 1,
    value: START, say }, draw);
  replace(place, 'A radius to move',
    element('div', { class: 'moving-pictures' }, before.box, after.box, likely.box),
    element('div', { class: 'moving-ranges' }, number.label), voice.place);
  draw();
}

const found = await prepared('likelihood');
for (const place of document.querySelectorAll('[data-moving="likelihood"]')) {
  start(place, found);
}
