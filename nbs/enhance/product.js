// Products of matrices, float64, row by row: WebAssembly with SIMD, assembled here.

const I32 = 0x7f, V128 = 0x7b, NOTHING = 0x40;

/** An unsigned number as WebAssembly writes it. */
function leb(v) {
  const out = [];
  for (; v > 127; v >>>= 7) out.push((v & 127) | 128);
  return [...out, v];
}

/** Bytes after their number; a section after its name. */
const counted = bytes => [...leb(bytes.length), ...bytes];
const section = (name, bytes) => [name, ...counted(bytes)];

const get = i => [0x20, i], set = i => [0x21, i], int = v => [0x41, v]; // v below 64
const plus = (...parts) => parts.flatMap((part, i) => i ? [...part, 0x6a] : part);
const fours = part => [...part, ...int(2), 0x74];
const advance = (local, ...by) => [...plus(get(local), ...by), ...set(local)];
const load = (at, offset) => [...at, 0xfd, 0, 3, offset];
const spread = at => [...at, 0xfd, 10, 3, 0];
const store = (at, value, offset) => [...at, ...value, 0xfd, 11, 3, offset];
const times = (a, b) => [...a, ...b, 0xfd, 0xf2, 1];
const sum = (a, b) => [...a, ...b, 0xfd, 0xf0, 1];
const zero = [0x44, 0, 0, 0, 0, 0, 0, 0, 0, 0xfd, 20];

/** A loop that goes on while `local` is below what is on top of it. */
const loop = (body, local, limit) =>
  [0x03, NOTHING, ...body, ...get(local), ...limit, 0x49, 0x0d, 0, 0x0b];

/** The function (a, b, c, end of a, bytes of a row of a, of b), 4 × 4 numbers a time. */
function code() {
  const [a, b, c, end, k, m, j, from, stop, to] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const row = [10, 11, 12, 13], left = 14, right = 15, one = 16, cell = 17;
  const lines = [0, 1, 2, 3], clear = lines.flatMap(r =>
    [...zero, ...set(cell + 2 * r), ...zero, ...set(cell + 2 * r + 1)]);
  const inner = [
    ...load(get(from), 0), ...set(left), ...load(get(from), 16), ...set(right),
    ...lines.flatMap(r => [...spread(get(row[r])), ...set(one),
      ...sum(get(cell + 2 * r), times(get(one), get(left))), ...set(cell + 2 * r),
      ...sum(get(cell + 2 * r + 1), times(get(one), get(right))),
      ...set(cell + 2 * r + 1),
      ...advance(row[r], int(8))]),
    ...advance(from, get(m)),
  ];
  const block = [
    ...clear, ...get(a), ...set(row[0]), ...plus(get(b), get(j)), ...set(from),
    ...lines.slice(1).flatMap(r => [...plus(get(row[r - 1]), get(k)), ...set(row[r])]),
    ...plus(get(a), get(k)), ...set(stop), ...loop(inner, row[0], get(stop)),
    ...plus(get(c), get(j)), ...set(to),
    ...lines.flatMap(r => [...store(get(to), get(cell + 2 * r), 0),
      ...store(get(to), get(cell + 2 * r + 1), 16), ...advance(to, get(m))]),
    ...advance(j, int(32)),
  ];
  const rows = [...int(0), ...set(j), ...loop(block, j, get(m)),
    ...advance(a, fours(get(k))), ...advance(c, fours(get(m)))];
  return [2, 8, I32, 11, V128, ...loop(rows, a, get(end)), 0x0b];
}

const NAME = [109]; // m, the name of what is imported and exported
const HEAD = [0, 97, 115, 109, 1, 0, 0, 0];

/** A memory of its own, and the function on it. */
function made() {
  const memory = new WebAssembly.Memory({ initial: 16 });
  const bytes = [...HEAD, ...section(1, [1, 0x60, ...counted(Array(6).fill(I32)), 0]),
    ...section(2, [1, ...counted(NAME), ...counted(NAME), 2, 0, 1]),
    ...section(3, [1, 0]), ...section(7, [1, ...counted(NAME), 0, 0]),
    ...section(10, [1, ...counted(code())])];
  const module = new WebAssembly.Module(new Uint8Array(bytes));
  const { exports } = new WebAssembly.Instance(module, { m: { m: memory } });
  return { memory, run: exports.m, view: new Float64Array(memory.buffer) };
}

let machine;

/** The machine's memory, at least so many numbers. */
function room(many) {
  machine ??= made();
  const missing = 8 * many - machine.memory.buffer.byteLength;
  if (missing > 0) {
    machine.memory.grow(Math.ceil(missing / 65536));
    machine.view = new Float64Array(machine.memory.buffer);
  }
  return machine.view;
}

/** The product of `a`, n × k, and `b`, k × m. */
export function product(a, b, n, k, m) {
  const rows = (n + 3) & ~3, columns = (m + 3) & ~3, out = new Float64Array(n * m);
  if (!n || !k || !m) return out;
  const atB = (rows * k + 1) & ~1, atC = atB + k * columns;
  const view = room(atC + rows * columns);
  view.set(a, 0);
  if (m === columns) view.set(b, atB);
  for (let i = 0; m < columns && i < k; i++) {
    view.set(b.subarray(i * m, i * m + m), atB + i * columns);
  }
  machine.run(0, 8 * atB, 8 * atC, 8 * rows * k, 8 * k, 8 * columns);
  for (let i = 0; i < n; i++) {
    const from = atC + i * columns;
    out.set(view.subarray(from, from + m), i * m);
  }
  return out;
}
