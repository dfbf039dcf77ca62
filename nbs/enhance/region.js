// A rectangle on a picture: dragged with a pointer, moved with the arrow keys, or typed.

const LEAST = 16;

const between = (low, value, high) => Math.min(high, Math.max(low, value));

/** The nearest rectangle of whole pixels that lies within a picture of that size. */
export function fitted({ x, y, width, height }, size) {
  const w = between(LEAST, Math.round(width) || LEAST, size.width);
  const h = between(LEAST, Math.round(height) || LEAST, size.height);
  const left = between(0, Math.round(x) || 0, size.width - w), top = between(0, Math.round(y) || 0, size.height - h);
  return { x: left, y: top, width: w, height: h };
}

/** The region of a picture `size` in `frame`, with its `box` and the number fields `fields`; `changed` is called after each change. */
export class Region {
  constructor({ frame, box, fields, changed }) {
    Object.assign(this, { frame, box, fields, changed, value: null, size: null });
    frame.addEventListener('pointerdown', event => this.drag(event));
    box.addEventListener('keydown', event => this.key(event));
    for (const field of Object.values(fields)) field.addEventListener('change', () => this.typed());
  }

  /** Begins with another picture, without a region. */
  reset(size) {
    this.size = size;
    for (const [name, length] of [['x', size.width], ['width', size.width], ['y', size.height], ['height', size.height]]) {
      this.fields[name].max = name.length > 1 ? length : length - LEAST;
    }
    this.set(null);
  }

  /** Where the face is in most portraits, to begin with. */
  suggest() {
    const { width, height } = this.size;
    this.set({ x: 0.3 * width, y: 0.1 * height, width: 0.4 * width, height: 0.4 * height });
  }

  set(value) {
    this.value = value && fitted(value, this.size);
    this.box.hidden = !value;
    if (value) this.show();
    this.changed(this.value);
  }

  show() {
    const { x, y, width, height } = this.value, share = (part, whole) => `${100 * part / whole}%`;
    Object.assign(this.box.style, {
      left: share(x, this.size.width), top: share(y, this.size.height),
      width: share(width, this.size.width), height: share(height, this.size.height),
    });
    for (const [name, field] of Object.entries(this.fields)) field.value = this.value[name];
  }

  typed() {
    this.set(Object.fromEntries(Object.entries(this.fields).map(([name, field]) => [name, Number(field.value)])));
  }

  key(event) {
    const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key] ?? [];
    if (dx === undefined) return;
    event.preventDefault();
    const step = Math.max(1, Math.round(Math.max(this.size.width, this.size.height) / 64));
    const { x, y, width, height } = this.value;
    if (event.shiftKey) this.set({ x, y, width: width + step * dx, height: height + step * dy });
    else this.set({ x: x + step * dx, y: y + step * dy, width, height });
  }

  /** Where a pointer is, in pixels of the picture. */
  place({ clientX, clientY }) {
    const frame = this.frame.getBoundingClientRect();
    const across = between(0, (clientX - frame.left) / frame.width, 1), down = between(0, (clientY - frame.top) / frame.height, 1);
    return [across * this.size.width, down * this.size.height];
  }

  /** Dragging in the region moves it, elsewhere it draws a new one. A finger draws only where a region is wanted already. */
  drag(event) {
    if (event.button || !event.isPrimary || this.frame.inert || (event.pointerType === 'touch' && !this.value)) return;
    event.preventDefault();
    const [x0, y0] = this.place(event), moved = event.target === this.box && this.value;
    const move = next => {
      const [x, y] = this.place(next), width = Math.abs(x - x0), height = Math.abs(y - y0);
      if (moved) this.set({ ...moved, x: moved.x + x - x0, y: moved.y + y - y0 });
      else if (Math.hypot(width, height) > 4) this.set({ x: Math.min(x, x0), y: Math.min(y, y0), width, height });
    };
    const end = () => {
      this.frame.removeEventListener('pointermove', move);
      if (this.value) this.box.focus({ preventScroll: true });
    };
    this.frame.setPointerCapture(event.pointerId);
    this.frame.addEventListener('pointermove', move);
    for (const name of ['pointerup', 'pointercancel']) this.frame.addEventListener(name, end, { once: true });
  }
}
