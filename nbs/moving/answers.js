// A walk from one answer to another, for one blurry face. Chapter 05. Nothing is computed
// here: tools/moving_answers.py has written all frames into one picture and all numbers
// into a file, and this script chooses.

import { element, prepared, range, replace, soon, speaker, tick } from './parts.js';

const BLURRED = 0; // the first frame; then come the answers of each way, and its changes

/** The figure in `place`. */
function start(place, { numbers, canvas, paint }) {
  const { arc, line, blurred } = numbers, stops = arc.truth.length, voice = speaker();
  const before = canvas('The blurry face'), answer = canvas('The answer');
  const change = canvas('What has changed since the first answer');
  paint(before, BLURRED);
  const draw = soon(() => {
    const i = stop.value, way = straight.checked ? line : arc;
    const first = 1 + (straight.checked ? 2 * stops : 0);
    const [truth, again, size] =
      [way.truth[i], way.again[i], way.size[i]].map(value => value.toFixed(2));
    const levels = way.changed[i].toFixed(1);
    paint(answer, first + i);
    paint(change, first + stops + i);
    before.tell(`blurred again: ${again} dB`);
    answer.tell(`${truth} dB, size of z ${size}`);
    change.tell(`${levels} levels of 255`);
    voice.say(`${straight.checked ? 'Straight on' : 'On the arc'}, stop ${say(i)}: z has the `
      + `size ${size}. The answer has ${truth} dB, the blurry face ${blurred.toFixed(2)} dB. `
      + `Blurred again, the answer agrees with the blurry face to ${again} dB. `
      + `It differs from the first by ${levels} levels of 255.`);
  });
  const say = i => `${i} of ${stops - 1}`;
  const stop = range({ name: 'stop', min: 0, max: stops - 1, step: 1, value: 0, say }, draw);
  const straight = tick({ name: 'straight on, not along the arc', checked: false }, draw);
  replace(place, 'A walk between two answers',
    element('div', { class: 'moving-pictures' }, before.box, answer.box, change.box),
    element('div', { class: 'moving-ranges' }, stop.label, straight.label), voice.place);
  draw();
}

const found = await prepared('answers');
for (const place of document.querySelectorAll('[data-moving="answers"]')) start(place, found);
