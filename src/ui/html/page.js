'use strict';
// Narrows down what is shown. Free of the two characters that XML would take for markup.
(() => {
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const unfold = (element) => {
    for (let at = element; at; at = at.parentElement) {
      if (at.tagName === 'DETAILS') at.open = true;
    }
  };
  const reveal = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target) {
      unfold(target);
      target.scrollIntoView();
    }
  };
  addEventListener('hashchange', reveal);
  reveal();
  // Paper does not unfold.
  let folded = [];
  addEventListener('beforeprint', () => {
    folded = all('details:not([open])');
    for (const details of folded) details.open = true;
  });
  addEventListener('afterprint', () => {
    for (const details of folded) details.open = false;
  });

  const filters = document.querySelector('.filters');
  if (!filters) return;
  filters.hidden = false;
  const find = filters.querySelector('input[type=search]');
  const boxes = Array.from(filters.querySelectorAll('input[type=checkbox]'));
  const status = filters.querySelector('[role=status]');
  const items = all('[data-t]');
  const groups = all('.same, .on-node');
  const apply = () => {
    const unwanted = (name) =>
      new Set(boxes.filter((box) => (box.name === name ? !box.checked : false)).map((box) => box.value));
    const outcomes = unwanted('o');
    const disruptions = unwanted('d');
    const words = find.value.toLowerCase().split(' ').filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const { o, d, t } = item.dataset;
      item.hidden = outcomes.has(o) || disruptions.has(d) || !words.every((word) => t.includes(word));
      if (item.hidden) continue;
      shown += 1;
    }
    for (const group of groups) group.hidden = !group.querySelector('[data-t]:not([hidden])');
    status.textContent = shown === items.length ? `${shown} VMs` : `${shown} of ${items.length} VMs`;
  };
  let due = 0;
  filters.addEventListener('input', () => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(apply);
  });
  filters.addEventListener('click', (event) => {
    const fold = event.target.dataset.fold;
    if (!fold) return;
    for (const details of all('main details:not([hidden])')) details.open = fold === 'open';
  });
  addEventListener('keydown', (event) => {
    if (event.key === '/' ? document.activeElement !== find : false) {
      event.preventDefault();
      find.focus();
      find.select();
    }
    if (event.key === 'Escape' ? document.activeElement === find : false) {
      find.value = '';
      apply();
      find.blur();
    }
  });
  apply();
})();
