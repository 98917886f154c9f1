import { avatar } from './avatar.js';
import { h, icon, setText } from './dom.js';
import { counted } from './format.js';

/** `<chat-user-menu>`: who one is, and the way out. Fires `sign-out`. */
export class UserMenu extends HTMLElement {
  #core = null;
  #button;
  #panel;
  #warning;
  #gone = new AbortController();

  /** @param {import('./chat-core.js').ChatCore} core */
  set core(core) {
    this.#core = core;
    const { user } = core;
    const signOut = { type: 'button', on: { click: () => this.dispatchEvent(new Event('sign-out')) } };
    this.#warning = h('p', { class: 'hint', hidden: true });
    this.#panel = h('div', { class: 'menu', id: 'user-menu', hidden: true }, this.#warning, h('button', signOut, 'Sign out'));
    this.#button = h(
      'button',
      { type: 'button', class: 'user', 'aria-expanded': 'false', 'aria-controls': 'user-menu', on: { click: () => this.#toggle(this.#panel.hidden) } },
      avatar(user),
      h('bdi', { class: 'name' }, user.name),
      icon('more'),
    );
    this.append(this.#panel, this.#button);
    this.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || this.#panel.hidden) return;
      this.#toggle(false);
      this.#button.focus();
    });
    this.addEventListener('focusout', (event) => {
      if (event.relatedTarget && !this.contains(event.relatedTarget)) this.#toggle(false);
    });
    const { signal } = this.#gone;
    document.addEventListener('pointerdown', (event) => !this.contains(event.target) && this.#toggle(false), { signal });
  }

  disconnectedCallback() {
    this.#gone.abort();
  }

  #toggle(open) {
    const { waiting } = this.#core.outbox;
    this.#warning.hidden = waiting === 0;
    setText(this.#warning, `${counted(waiting, 'unsent message')} will be lost.`);
    this.#panel.hidden = !open;
    this.#button.setAttribute('aria-expanded', String(open));
  }
}

customElements.define('chat-user-menu', UserMenu);
