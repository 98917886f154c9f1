const SVG = 'http://www.w3.org/2000/svg';

/**
 * Makes an element. Text goes in as text nodes only, so nothing that a person wrote is ever parsed as markup.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [props] `class`, `on` ({event: listener}) and attributes; `true` sets an empty one, `false` and null none
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else setAttribute(element, name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** The element of a selector that an event is on or in. @param {Event} event @param {string} selector @returns {any} */
export function around({ target }, selector) {
  return target instanceof Element ? target.closest(selector) : null;
}

/** @param {Element} element @param {string} name @param {any} value */
export function setAttribute(element, name, value) {
  if (value === false || value === null || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? '' : String(value));
}

/** Writes a text only where it differs, which spares a live region from speaking again. @param {Node} node @param {string} text */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Makes these the children, in this order. Those that are there are not touched, and so keep focus, selection and playback.
 * @param {Element} parent
 * @param {Element[]} children
 */
export function setChildren(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  let next = parent.firstElementChild;
  for (const child of children) {
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}

/** What has the focus, also inside of a shadow tree. @returns {?Element} */
export function focused() {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  return element;
}

/**
 * Draws. A control with the focus that was drawn again has it still, or what holds it has: both are found by `data-key`.
 * @param {Element} root @param {string} holder a selector @param {() => void} draw
 */
export function keepingFocus(root, holder, draw) {
  /** @type {any} */
  const before = focused();
  const held = root.contains(before) ? before.closest(holder) : null;
  const key = before?.dataset?.key;
  draw();
  if (!held || before.isConnected) return;
  const again = [...held.querySelectorAll('[data-key]')].find((one) => one.dataset.key === key);
  (again ?? held).focus({ preventScroll: true });
}

/** Where to put what lies over the page, so that the styles of who opens it hold. @param {Element} opener @returns {Element} */
export function layerOf(opener) {
  return opener.closest('.room') ?? document.body;
}

const ICONS = {
  attach:
    'M17.5 10.5l-6.8 6.8a3.6 3.6 0 0 1-5.1-5.1l7.4-7.4a2.4 2.4 0 0 1 3.4 3.4l-7.2 7.2a1.2 1.2 0 0 1-1.7-1.7l6.2-6.2',
  back: 'M14.5 5.5L8 12l6.5 6.5',
  check: 'M6 12.5l4 4 8-9',
  close: 'M7 7l10 10M17 7L7 17',
  copy: 'M9 9h10v10H9zM15 9V5H5v10h4',
  down: 'M12 6v12M7 13.5l5 5 5-5',
  download: 'M12 5v9.5M8 11l4 4 4-4M6 19h12',
  edit: 'M5 19l1-4L16 5l3 3L9 18zM13.5 7.5l3 3',
  file: 'M7.5 4.5h6l4 4v11h-10zM13.5 4.5v4h4',
  forward: 'M9.5 5.5L16 12l-6.5 6.5',
  link: 'M10 14a4 4 0 0 0 5.7 0l2.6-2.6a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-2.6 2.6a4 4 0 0 0 5.7 5.7l1-1',
  list: 'M5 7h14M5 12h14M5 17h9',
  lock: 'M7 11h10v8.5H7zM9 11V8.5a3 3 0 0 1 6 0V11',
  more: 'M8.5 10l3.5-3.5 3.5 3.5M8.5 14l3.5 3.5 3.5-3.5',
  people:
    'M9.5 11.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM4 18.5c.4-3 2.6-4.5 5.5-4.5s5.1 1.5 5.5 4.5M15.5 6a2.7 2.7 0 0 1 0 5.2M17 14.3c1.7.6 2.7 2 3 4.2',
  plus: 'M12 6v12M6 12h12',
  remove: 'M5.5 7.5h13M9.5 7V5h5v2M7 7.5l.8 11.5h8.4L17 7.5M10.5 11v4.5M13.5 11v4.5',
  reply: 'M9.5 7L5 11.5l4.5 4.5M5 11.5h9a5 5 0 0 1 5 5v1',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM15.3 15.3L20 20',
  send: 'M5 12h12.5M12 6l6 6-6 6',
  smile: 'M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM8.5 14.2c1.8 2.6 5.2 2.6 7 0M9 9.7v.1M15 9.7v.1',
  unread: 'M5 17.5h14M5 12.5h7M5 7.5h4M17.5 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7z',
  warning: 'M12 8.5v4.5M12 16v.1M12 4.5l8.2 14.5H3.8z',
};

/** A drawn sign without a name of its own; the control that holds it has one. @param {keyof typeof ICONS} name */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const path = document.createElementNS(SVG, 'path');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}
