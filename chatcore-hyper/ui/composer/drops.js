import { h } from '../dom/dom.js';

/** Whether a drag brings files. @param {DragEvent} event */
export function bringsFiles(event) {
  return event.dataTransfer?.types.includes('Files') ?? false;
}

/** The folders of a drop, which look like files that can't be read. @param {DataTransfer} data @returns {Set<string>} their names */
export function foldersOf(data) {
  const entries = [...data.items].map((item) => (item.kind === 'file' ? item.webkitGetAsEntry?.() : null));
  return new Set(entries.flatMap((entry) => (entry?.isDirectory ? entry.name : [])));
}

/**
 * Takes what is dropped on a pane along with files. What can't be attached does not take the page's place either.
 * @param {HTMLElement} pane
 * @param {import('./composer.js').Composer} composer
 */
export function acceptDrops(pane, composer) {
  const overlay = h('div', { class: 'drop', hidden: true }, h('p', {}, 'Drop files to attach them'));
  pane.append(overlay);
  pane.addEventListener('dragenter', (event) => (overlay.hidden = !bringsFiles(event) || !composer.takesFiles));
  pane.addEventListener(
    'dragleave',
    ({ relatedTarget }) => !pane.contains(/** @type {?Node} */ (relatedTarget)) && (overlay.hidden = true),
  );
  pane.addEventListener('dragover', (event) => bringsFiles(event) && event.preventDefault());
  pane.addEventListener('drop', (event) => {
    overlay.hidden = true;
    if (!event.dataTransfer || !bringsFiles(event)) return;
    event.preventDefault();
    composer.drop(event.dataTransfer);
  });
}
