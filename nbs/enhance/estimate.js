// The likeliest blur of a picture and its noise, from its spectrum; and other blurs.

import { FAMILIES, spread } from './kernels.js';
import { jpegQuality, lost } from './jpeg.js';
import { Model, Work, evidenceOf, fitTheta } from './likelihood.js';
import {
  Cells, LEAST_NOISE, gainsOf, interpolate, means, opponentColour,
} from './spectrum.js';

const ROUGH = 48, DENSE = 96; // sizes of the cells of the search, first and last
const KEPT = { // guesses of each family, after the first fit and after the second
  none: [1, 1], gaussian: [30, 9], disc: [22, 4], motion: [50, 6], turned: [25, 4],
};
const SEARCHED = 8; // guesses that the pattern search starts from, at least
const CAUTION = 3, CHOICE = 3; // nats: for a spread, for parameters beyond one
const ANGLE = { motion: 1, turned: 2 }; // which parameter is a direction
const FIXED = { gaussian: 1 }; // and which one stays as it is: taps
const LARGEST_SIZE = { gaussian: 7, turned: 7, disc: 8, motion: 18 }; // pixels
const HOPELESS = 25, SPARED = 2; // nats from the likeliest; guesses that go on anyway
const FINEST = 1 / 32, ROUNDS = 20; // smallest step, and most rounds, of the search
const SIZES = Array.from({ length: 9 }, (_, i) => Math.exp(0.12 * (i - 4)));
const DESERVED = 3; // divides differences of surprise
const NEAR = 12; // nats from the likeliest
const ALIKE = 0.1; // distance of two kernels, over one's size, below which they are one
const PLAUSIBLE = 0.02, AVERAGED = 12; // least share, most blurs that count
const TOO_MANY = 3; // factor on what JPEG may have lost, while the blur is unknown
const FLAT = 1e-4; // deviation of the grey, below which a picture shows nothing
const BESIDE = [0.8, 1.25]; // widths of other filters, over that of the likeliest blur

/** Gains of the grid from their file: 16 bits for the root of each. */
const gainsIn = bytes =>
  Float64Array.from(new Uint16Array(bytes.slice().buffer), v => (v / 65535) ** 2);

/** All that estimates need beyond a picture, from the model's files. */
export function prepared(about, gridBytes) {
  const gridGains = gainsIn(gridBytes);
  const { nodes, chroma, kinds } = about.spectra;
  const rough = new Cells(ROUGH, nodes), dense = new Cells(DENSE, nodes);
  const grid = about.grid.map(([family, parameters]) => ({ family, parameters }));
  const row = gridGains.length / grid.length, order = rough.order();
  const gain = (_, i) =>
    Float64Array.from(order, at => at < 0 ? 0 : gridGains[i * row + at]);
  return {
    nodes, chroma, kinds, grid, rough, dense, planes: [], honest: about.honest,
    gains: grid.map(gain),
    models: [rough, dense].map(cells => kinds.map(kind => new Model(cells, kind))),
    works: [new Work(rough), new Work(dense)],
    seen: new WeakMap(), // of pictures
  };
}

/** What is seen of a colour of a picture in rough and in dense cells, made once. */
function seenOf(known, picture, colour) {
  if (!known.seen.has(picture)) known.seen.set(picture, []);
  const found = known.seen.get(picture), { planes, height, width } = picture;
  const sets = colour ? [known.rough] : [known.rough, known.dense];
  return found[colour] ??= means(sets, opponentColour(planes, colour), height, width);
}

/** What cells see of a picture's grey; JPEG may have lost `factor` times the usual. */
function evidence(known, picture, cells, quality, factor = TOO_MANY) {
  const seen = seenOf(known, picture, 0)[cells === known.rough ? 0 : 1];
  if (quality === null) return evidenceOf(seen);
  const { n } = cells, place = (_, i) => (i + 0.5) / n;
  const fx = Array.from({ length: n / 2 }, place);
  const fy = [...fx.map(f => -f).reverse(), ...fx];
  return evidenceOf(seen, cells.of(lost(quality, fy, fx)).map(v => factor * v));
}

/** A blur's name, by which candidates are told apart. */
const keyOf = ({ family, parameters }) => `${family} ${parameters.join()}`;

const kernelOf = ({ family, parameters }) => FAMILIES[family](...parameters);

const bySurprise = (one, other) => one.surprise - other.surprise;

const least = guesses => guesses.reduce((a, b) => b.surprise < a.surprise ? b : a);

/** The least surprising of each family, of guesses with a `candidate`. */
function bestOf(guesses, turn) {
  const ranked = [...guesses].sort(bySurprise);
  return Object.entries(KEPT).flatMap(([family, most]) =>
    ranked.filter(g => g.candidate.family === family).slice(0, most[turn]));
}

/** Some of the grid for each kind of picture: all fitted roughly, the better again. */
function shortlist(known, seen) {
  const work = known.works[0];
  return known.models[0].flatMap((model, kind) => {
    const first = known.grid.map((candidate, i) => {
      const fit = fitTheta(seen, model, known.gains[i], 3, work);
      return { candidate, kind, gain: known.gains[i], ...fit };
    });
    const second = bestOf(first, 0).map(guess => (
      { ...guess, ...fitTheta(seen, model, guess.gain, 6, work, guess.theta) }));
    return bestOf(second, 1).map(({ candidate }) => ({ kind, candidate }));
  });
}

/** Kernels, with gains in dense cells, that one search has tried. */
class Tried {
  constructor(cells) {
    this.cells = cells;
    this.found = new Map();
  }

  /** Kernel, gain in each cell, and nats that a blur pays for width and parameters. */
  of(candidate) {
    const key = keyOf(candidate);
    if (!this.found.has(key)) this.found.set(key, this.made(candidate));
    return this.found.get(key);
  }

  made(candidate) {
    const { family, parameters } = candidate, kernel = kernelOf(candidate);
    const choices = parameters.filter((_, i) => i && FIXED[family] !== i).length;
    const pays = CAUTION * Math.log(spread(kernel) + 0.5) + CHOICE * choices;
    return { kernel, gain: gainsOf(this.cells, kernel), pays };
  }
}

/** A blur fitted in dense cells; wide ones and those of many parameters pay. */
function scored(known, { kind, candidate }, seen, steps, tried) {
  const { gain, pays } = tried.of(candidate), model = known.models[1][kind];
  const { theta, surprise } = fitTheta(seen, model, gain, steps, known.works[1]);
  return { candidate, kind, theta, surprise: surprise + pays };
}

/** A blur with one parameter changed by 12 % · `step`, a direction by 8° · `step`. */
function moved({ family, parameters }, step) {
  const factor = Math.exp(0.12 * step);
  return parameters.flatMap((value, i) => {
    if (FIXED[family] === i) return [];
    return [1, -1].map(sign => {
      const sized = sign > 0 ? value * factor : value / factor;
      const other = ANGLE[family] === i ? value + sign * 8 * step
        : Math.min(sized, LARGEST_SIZE[family]);
      return { family, parameters: parameters.map((p, j) => j === i ? other : p) };
    });
  });
}

/** The surprise up to which a guess is hopeful. */
function hopeful(guesses) {
  const ranked = guesses.map(g => g.surprise).sort((one, other) => one - other);
  return Math.max(ranked[0] + HOPELESS, ranked[Math.min(SPARED, ranked.length) - 1]);
}

/** Pattern search from each guess; after two rounds, from the hopeful ones. */
function refined(known, start, seen, tried) {
  const guesses = [...start], sizes = guesses.map(() => 1);
  for (let turn = 0; turn < ROUNDS; turn++) {
    const limit = turn > 1 ? hopeful(guesses) : Infinity;
    const places = [...guesses.keys()].filter(i =>
      guesses[i].surprise <= limit && sizes[i] >= FINEST);
    for (const i of places) {
      const { kind, candidate } = guesses[i];
      const found = moved(candidate, sizes[i]).map(other =>
        scored(known, { kind, candidate: other }, seen, 4, tried));
      const best = least([guesses[i], ...found]);
      if (best === guesses[i]) sizes[i] /= 2;
      guesses[i] = best;
    }
  }
  return guesses;
}

/** The likeliest, and the likeliest of each family; numbers of taps are apart. */
function contenders(guesses) {
  const first = new Map();
  for (const guess of [...guesses].sort(bySurprise)) {
    const { family, parameters } = guess.candidate;
    const taps = family === 'gaussian' ? parameters.slice(1) : [];
    const key = `${guess.kind} ${family} ${taps}`;
    if (!first.has(key)) first.set(key, guess);
  }
  const ranked = [...first.values()], some = ranked.slice(0, SEARCHED);
  const best = Object.keys(FAMILIES).filter(family => family !== 'none')
    .map(family => ranked.find(g => g.candidate.family === family));
  return [...some, ...best.filter(guess => !some.includes(guess))];
}

/** A blur of the same shape, `factor` times as wide, up to the largest size. */
function resized({ family, parameters }, factor) {
  const lengths = family === 'turned' ? 2 : 1;
  return { family, parameters: parameters.map((value, i) =>
    i < lengths ? Math.min(value * factor, LARGEST_SIZE[family]) : value) };
}

/** The guesses and other sizes of them, each blur once, fitted again. */
function inSizes(known, guesses, seen, tried) {
  const all = new Map();
  for (const { kind, candidate } of guesses) {
    for (const factor of SIZES) {
      const other = resized(candidate, factor);
      all.set(`${kind} ${keyOf(other)}`, { kind, candidate: other });
    }
  }
  const found = [...all.values()].map(one => scored(known, one, seen, 5, tried));
  return found.sort(bySurprise);
}

/** The likeliest blur, then others by probability: each guess in many sizes. */
function plausible(known, guesses, seen, tried) {
  const limit = least(guesses).surprise + NEAR;
  const found = inSizes(known, guesses.filter(g => g.surprise < limit), seen, tried);
  const weights = found.map(({ surprise, candidate }) =>
    Math.exp((found[0].surprise - surprise) / DESERVED)
    * (candidate.parameters.length ? 1 : SIZES.length));
  const shares = together(weights, found.map(g => tried.of(g.candidate).kernel));
  const most = [...shares.keys()].sort((i, j) => shares.get(j) - shares.get(i))
    .slice(0, AVERAGED);
  const enough = PLAUSIBLE * shares.get(most[0]);
  const kept = [0, ...most.filter(i => i && shares.get(i) > enough)];
  const total = kept.reduce((sum, i) => sum + shares.get(i), 0);
  return kept.map(i => ({ ...found[i], share: shares.get(i) / total }));
}

/** Shares of the kernels that differ; those of others go to the first one like them. */
function together(shares, kernels) {
  const kept = new Map(), sizes = kernels.map(kernel => product(kernel, kernel));
  const apart = (i, j) => sizes[i] + sizes[j] - 2 * product(kernels[i], kernels[j]);
  shares.forEach((share, i) => {
    const alike = [...kept.keys()].find(j => apart(i, j) < ALIKE ** 2 * sizes[j]);
    kept.set(alike ?? i, (kept.get(alike) ?? 0) + share);
  });
  return kept;
}

/** Sum of the products of two kernels' taps, centre on centre. */
function product(one, other) {
  if (one.taps.length > other.taps.length) return product(other, one);
  const down = other.height - one.height >> 1, across = other.width - one.width >> 1;
  let sum = 0;
  for (let y = 0, i = 0; y < one.height; y++) {
    const from = (y + down) * other.width + across;
    for (let x = 0; x < one.width; x++, i++) sum += one.taps[i] * other.taps[from + x];
  }
  return sum;
}

const spectrumOf = ({ kind, theta }, quality) =>
  ({ kind, theta, quality, noise: Math.exp(theta.at(-2)) });

/** A blur, from its candidate, its spectrum and its probability. */
const blurOf = (candidate, spectrum, likelier, share = 1, others = []) =>
  ({ ...candidate, spectrum, likelier, kernel: kernelOf(candidate), share, others });

/** No blur, of a picture that shows nothing. */
function blank(known, picture, quality) {
  const candidate = { family: 'none', parameters: [] }, tried = new Tried(known.dense);
  const seen = evidence(known, picture, known.dense, quality, 1);
  const fits = known.kinds.map((_, kind) =>
    scored(known, { kind, candidate }, seen, 8, tried));
  return blurOf(candidate, spectrumOf(least(fits), quality), 0);
}

/** Standard deviation of a plane. */
function deviation(plane) {
  const mean = plane.reduce((sum, v) => sum + v, 0) / plane.length;
  return Math.sqrt(plane.reduce((sum, v) => sum + (v - mean) ** 2, 0) / plane.length);
}

/** The likeliest blur of a picture and its noise; `others` are plausible too. */
export function estimateBlur(known, picture) {
  const quality = jpegQuality(picture), grey = opponentColour(picture.planes, 0);
  if (deviation(grey) < FLAT) return blank(known, picture, quality);
  const { dense } = known, tried = new Tried(dense);
  const seen = evidence(known, picture, dense, quality);
  const guesses = shortlist(known, evidence(known, picture, known.rough, quality))
    .map(one => scored(known, one, seen, 5, tried));
  const none = least(guesses.filter(g => g.candidate.family === 'none'));
  const likely = plausible(known,
    [none, ...refined(known, contenders(guesses), seen, tried)], seen, tried);
  const sure = quality && evidence(known, picture, dense, quality, 1);
  const [best, ...others] = likely.map(guess => {
    const fit = quality ? scored(known, guess, sure, 8, tried) : guess;
    const likelier = Math.max(0, none.surprise - guess.surprise);
    return blurOf(guess.candidate, spectrumOf(fit, quality), likelier, guess.share);
  });
  return { ...best, others };
}

/** Log power of a colour difference over what is usual, by Fisher scoring. */
function colourLevel({ rough, nodes }, { power, count }, grey, noise, gain, usual) {
  const ratio = interpolate(rough.logR, nodes, usual).map(Math.exp);
  const weight = gain.map((v, i) =>
    v > 0.1 && rough.logR[i >> 2] < Math.log(0.15) ? 0.2 * count[i] : 0);
  let level = 0;
  for (let step = 0; step < 8; step++) {
    let pull = -level, sum = 1;
    for (let i = 0; i < gain.length; i++) {
      if (!weight[i]) continue;
      const signal = Math.exp(level) * grey[i] * ratio[i >> 2] * gain[i];
      const total = signal + noise ** 2, share = signal / total;
      pull += (power[i] / total - 1) * share * weight[i];
      sum += share * share * weight[i];
    }
    level += Math.min(1, Math.max(-1, pull / sum));
  }
  return level;
}

/** All that has to be known of a picture before it is filtered. */
export function sceneOf(known, picture, blur) {
  const scenes = [blur, ...blur.others].map(({ kernel, spectrum, share }) => {
    const gain = gainsOf(known.rough, kernel);
    const grey = known.models[0][spectrum.kind].signal(spectrum.theta, known.works[0]);
    const levels = known.chroma.map((usual, i) => colourLevel(known,
      seenOf(known, picture, i + 1)[0], grey, spectrum.noise, gain, usual));
    return { kernel, spectrum, levels, share, others: [] };
  });
  return { ...scenes[0], others: scenes.slice(1) };
}

/** The blur narrower and wider, with spectra that fit. */
export function beside(known, picture, blur) {
  const { kind, quality } = blur.spectrum, tried = new Tried(known.dense);
  const seen = evidence(known, picture, known.dense, quality, 1);
  return BESIDE.map(factor => {
    const candidate = resized(blur, factor);
    const fit = scored(known, { kind, candidate }, seen, 6, tried);
    return sceneOf(known, picture, blurOf(candidate, spectrumOf(fit, quality), 0));
  });
}

/** A number with so many digits behind the point; half goes to the even one. */
function fixed(v, digits) {
  const scaled = v * 10 ** digits, tie = Number.isInteger(v * 2 ** (digits + 1));
  if (!tie || Math.abs(scaled % 1) !== 0.5) return v.toFixed(digits);
  return (2 * Math.round(scaled / 2) / 10 ** digits).toFixed(digits);
}

/** A direction in whole degrees, 0 to 180. */
const degrees = angle => `${fixed((angle % 180 + 180) % 180, 0)}°`;

const IN_WORDS = {
  none: () => 'no blur',
  disc: radius => `disc of radius ${fixed(radius, 1)} pixels`,
  gaussian: (sigma, taps) =>
    `Gaussian of sigma ${fixed(sigma, 2)} pixels${taps ? `, ${taps} taps` : ''}`,
  turned: (wide, narrow, angle) => `Gaussian of sigma ${fixed(wide, 2)} by `
    + `${fixed(narrow, 2)} pixels, at ${degrees(angle)}`,
  motion: (length, angle) => `shake of ${fixed(length, 1)} pixels at ${degrees(angle)}`,
};

/** Family and parameters of a blur in words. */
export const described = ({ family, parameters }) => IN_WORDS[family](...parameters);

/** Standard deviation of a picture's noise, at least that of rounding. */
export const noiseOf = ({ spectrum }) => Math.max(spectrum.noise, LEAST_NOISE);

/** A blur with its noise, its JPEG file's quality, and how likely it is, in a line. */
export function summary(blur) {
  const { quality } = blur.spectrum, jpeg = quality === null ? '' : `, JPEG ${quality}`;
  const parts = [described(blur), `noise ${fixed(noiseOf(blur), 4)}${jpeg}`];
  if (blur.family !== 'none') {
    parts.push(`${fixed(blur.likelier, 0)} nats likelier than no blur`);
  }
  return parts.join('; ');
}
