// Tables of the class "sortable": each heading becomes a button that sorts by its column, up, down, and as it was.
// Without JavaScript they stay plain tables.

const NEXT = { none: 'ascending', ascending: 'descending', descending: 'none' };

function valueOf(row, column) {
  const cell = row.cells[column];
  const number = Number.parseFloat(cell.dataset.value ?? '');
  return Number.isNaN(number) ? cell.textContent.trim() : number;
}

function compare(a, b) {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  return String(a).localeCompare(String(b), 'en', { numeric: true });
}

function sortBy(table, rows, column, order) {
  const body = table.tBodies[0];
  const sorted = [...rows];
  if (order !== 'none') sorted.sort((a, b) => compare(valueOf(a, column), valueOf(b, column)));
  if (order === 'descending') sorted.reverse();
  body.append(...sorted);
}

function prepare(table) {
  const rows = [...table.tBodies[0].rows]; // as they were
  const headings = [...table.tHead.rows].at(-1).cells;
  [...headings].forEach((heading, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute('aria-sort', 'none');
    button.addEventListener('click', () => {
      const order = NEXT[heading.getAttribute('aria-sort')];
      for (const other of headings) other.setAttribute('aria-sort', 'none');
      heading.setAttribute('aria-sort', order);
      sortBy(table, rows, column, order);
    });
  });
}

document.querySelectorAll('table.sortable').forEach(prepare);
