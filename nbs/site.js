// What the pages need and Quarto's own scripts leave out: names for the parts of the search, a stop for the keyboard at
// what scrolls sideways, and keys for what folds.

const NAMES = [
  ['.aa-Autocomplete', 'Search'],
  ['.aa-DetachedSearchButton', 'Search'],
  ['.aa-Input', 'Search'],
];

function name() {
  for (const [part, words] of NAMES) {
    for (const element of document.querySelectorAll(part)) {
      if (element.getAttribute('aria-label') === words) continue;
      element.removeAttribute('aria-labelledby'); // of a label that is not there
      element.setAttribute('aria-label', words);
    }
  }
}

function stops() {
  for (const block of document.querySelectorAll('main pre, main math[display="block"]')) {
    if (block.scrollWidth > block.clientWidth + 1) block.tabIndex = 0;
    else block.removeAttribute('tabindex');
  }
}

// A link without an address that folds something is a button.
document.addEventListener('keydown', event => {
  const folds = event.target.closest?.('a[data-bs-toggle="collapse"]:not([href])');
  if (!folds || (event.key !== 'Enter' && event.key !== ' ')) return;
  event.preventDefault();
  folds.click();
});

name();
stops();
new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
addEventListener('resize', stops);
addEventListener('load', stops);
