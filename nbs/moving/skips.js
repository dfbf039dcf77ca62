// A portrait restored through the ways to the decoder that the reader leaves open. Chapter
// 01. Nothing is computed here: tools/moving_skips.py has written all portraits into one
// picture and all numbers into a file, and this script chooses.

import { element, group, prepared, replace, soon, speaker, tick } from './parts.js';

const WAYS = { f1: 'skip f1', f2: 'skip f2', f3: 'skip f3', z: 'latent z' };
const TRAINED = { open: 'all open', chance: 'closed by chance' };

const listed = names => names.join(', ').replace(/, (?=[^,]*$)/, ' and ');

/** The figure in `place`. */
function start(place, { numbers, canvas, paint }) {
  const { blurred: [nothing], ways, columns } = numbers, voice = speaker();
  const before = canvas('The blurred portrait'), after = canvas('The restored portrait');
  const sharp = canvas('The portrait');
  paint(before, 0);
  paint(sharp, columns);
  before.tell(`blurred: ${nothing.toFixed(1)} dB`);
  sharp.tell('sharp');
  const draw = soon(() => {
    const open = ways.filter((_, i) => ticks[i].checked);
    const choice = ways.reduce((sum, _, i) => sum + ticks[i].checked * 2 ** i, 0);
    const kind = kinds[0].checked ? 'open' : 'chance';
    const [score] = numbers[kind][choice], gain = score - nothing;
    paint(after, 1 + choice + (kind === 'open' ? 0 : columns));
    after.tell(`restored: ${score.toFixed(1)} dB`);
    voice.say(`${open.length ? `Open: ${listed(open)}` : 'All ways are closed'}. In training: `
      + `${TRAINED[kind]}. The restored portrait has ${score.toFixed(1)} dB, `
      + `${Math.abs(gain).toFixed(1)} dB ${gain < 0 ? 'less' : 'more'} than the blurred one.`);
  });
  const ticks = ways.map(way => tick({ name: WAYS[way], checked: true }, draw));
  const kinds = Object.entries(TRAINED).map(([kind, name]) => tick(
    { name, checked: kind === 'open', type: 'radio', group: 'trained' }, draw));
  replace(place, 'Ways to open and close',
    element('div', { class: 'moving-pictures' }, before.box, after.box, sharp.box),
    element('div', { class: 'moving-ranges' }, group('Open now', ...ticks),
      group('In training', ...kinds)), voice.place);
  draw();
}

const found = await prepared('skips');
for (const place of document.querySelectorAll('[data-moving="skips"]')) start(place, found);
