// What the figures that move have in common. Each stands in a <div class="moving"> that
// holds the still figure, which stays as it is where there is no JavaScript.

const SVG = 'http://www.w3.org/2000/svg';
const PAUSE = 400; // ms without a move, after which the numbers are said aloud

/** An element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** An element of a drawing. */
export function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(made, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** A range with its name and its value; `say` puts a value into words. */
export function range({ name, min, max, step, value, say }, move) {
  const input = element('input', { type: 'range', min, max, step, value, 'aria-label': name });
  const shown = element('span'); // no output: the speaker says all at once
  const show = () => {
    shown.textContent = say(input.valueAsNumber);
    input.setAttribute('aria-valuetext', shown.textContent);
  };
  input.addEventListener('input', () => { show(); move(); });
  show();
  const label = element('label', { class: 'moving-range' },
    element('span', {}, name), input, shown);
  return { label, get value() { return input.valueAsNumber; } };
}

/** A box to tick, with its name. */
export function tick({ name, checked, type = 'checkbox', group = '' }, move) {
  const input = element('input', { type, name: group });
  input.checked = checked;
  input.addEventListener('change', move);
  const label = element('label', { class: 'moving-tick' }, input, element('span', {}, name));
  return { label, get checked() { return input.checked; } };
}

/** Boxes to tick that belong together; `name` says what they are. */
export function group(name, ...ticks) {
  return element('fieldset', { class: 'moving-group' }, element('legend', {}, name),
    ...ticks.map(each => each.label));
}

/** A picture with a line below it, which `tell` changes; `alt` says what it shows. */
export function picture(shown, alt) {
  filled(shown, { role: 'img', 'aria-label': alt }, []);
  const words = element('div', { class: 'moving-words', 'aria-hidden': 'true' });
  const box = element('div', { class: 'moving-picture' }, shown, words);
  return { box, shown, tell: text => { words.textContent = text; } };
}

/** Says in words, to those who do not see it, what a figure shows, after a pause. */
export function speaker() {
  const place = element('p', { class: 'visually-hidden', role: 'status' });
  let timer = 0;
  const say = text => {
    clearTimeout(timer);
    timer = setTimeout(() => { place.textContent = text; }, PAUSE);
  };
  return { place, say };
}

/** A function that does the work of many calls once, when the screen is drawn next. */
export function soon(work) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => { asked = false; work(); });
  };
}

/** A picture file that belongs to the site, as pixels: { data, width, height }. */
export async function pixelsOf(address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = element('canvas', { width, height }).getContext('2d');
  context.drawImage(image, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** What tools/moving_NAME.py has written: numbers, and all frames of a figure in one
 * picture. `canvas` makes a place for a frame, `paint` puts frame number `i` there. */
export async function prepared(name) {
  const sheet = new Image();
  sheet.src = new URL(`../images/${name}.jpg`, import.meta.url);
  const address = new URL(`${name}.json`, import.meta.url);
  const [numbers] = await Promise.all([
    fetch(address).then(answer => answer.json()), sheet.decode()]);
  const { width, height, columns } = numbers;
  const canvas = alt => picture(element('canvas', { width, height }), alt);
  const paint = ({ shown }, i) => {
    const x = (i % columns) * width, y = Math.floor(i / columns) * height;
    shown.getContext('2d').drawImage(sheet, x, y, width, height, 0, 0, width, height);
  };
  return { numbers, canvas, paint };
}

/** Puts what moves into the place of the still figure, which folds up below it. */
export function replace(place, name, ...parts) {
  const words = place.closest('figure')?.querySelector('.if-still')?.textContent ?? '';
  const still = element('details', {}, element('summary', {}, 'The still figure'),
    place.querySelector('img'), element('p', {}, words));
  place.append(element('div', { role: 'group', 'aria-label': name }, ...parts), still);
  place.classList.add('moves');
}

/** Axes of a curve: where its numbers lie in a drawing of WIDE by HIGH. */
export class Axes {
  static WIDE = 300;
  static HIGH = 218;
  static LEFT = 38;
  static LOW = 40; // room below for numbers and name

  /** `x` and `y`: { name, from, to, ticks, say }. */
  constructor(x, y) {
    Object.assign(this, { x, y });
    const { WIDE, HIGH, LEFT, LOW } = Axes;
    this.svg = drawn('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, class: 'moving-curve' },
      ...x.ticks.flatMap(value => this.tick(this.at(value, y.from), 0, 16, x.say(value))),
      ...y.ticks.flatMap(value => this.tick(this.at(x.from, value), -6, 4, y.say(value))),
      drawn('text', { x: (WIDE + LEFT) / 2, y: HIGH - 4, 'text-anchor': 'middle' }, x.name),
      drawn('text', { x: 2, y: 11 }, y.name),
      drawn('path', { class: 'moving-axis',
        d: `M${LEFT},20V${HIGH - LOW}H${WIDE - 8}` }));
  }

  /** The point of a value, in units of the drawing. */
  at(x, y) {
    const { WIDE, HIGH, LEFT, LOW } = Axes;
    const part = ({ from, to }, value) => (value - from) / (to - from);
    return [LEFT + (WIDE - 8 - LEFT) * part(this.x, x),
            HIGH - LOW - (HIGH - LOW - 20) * part(this.y, y)];
  }

  tick([x, y], dx, dy, text) {
    const anchor = dx ? 'end' : 'middle';
    return [drawn('text', { x: x + dx, y: y + dy, 'text-anchor': anchor }, text)];
  }

  /** The way through points [x, y]. */
  path(points) {
    return 'M' + points.map(([x, y]) =>
      this.at(x, y).map(value => value.toFixed(1)).join(',')).join('L');
  }
}
