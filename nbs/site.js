// What the pages need and Quarto's own scripts leave out: names for the parts of the search, and a stop for the
// keyboard at what scrolls sideways.

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

name();
stops();
new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
addEventListener('resize', stops);
addEventListener('load', stops);
