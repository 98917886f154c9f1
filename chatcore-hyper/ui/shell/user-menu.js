import { avatar } from '../views/avatar.js';
import { h, icon, setText } from '../dom/dom.js';
import { LiveElement } from '../dom/live-element.js';
import { counted } from '../text/format.js';

/** `<chat-user-menu>`: who one is, what one is told, and the way out. Fires `help` and `sign-out`. */
export class UserMenu extends LiveElement {
  #button;
  #panel;
  #warning;
  /** @type {import('../dom/notifications.js').Notifications} */
  notifications;
  #notify;
  #blocked;

  /** Where the app's own pages are linked. */
  #links = h('div');

  /** The app's own pages. @param {{text: string, href: string}[]} links */
  set links(links) {
    this.#links.replaceChildren(...links.map(({ text, href }) => h('a', { href }, text)));
  }

  /** @override */
  build() {
    const help = {
      type: 'button',
      on: {
        click: () => {
          this.#toggle(false);
          this.#button.focus();
          this.dispatchEvent(new Event('help'));
        },
      },
    };
    this.#notify = h(
      'button',
      { type: 'button', on: { click: () => this.#turnNotifications() } },
      h('span', {}, 'Notify me of mentions and direct messages'),
      icon('check'),
    );
    this.#blocked = h('p', { class: 'hint', hidden: true }, 'This browser does not let the chat notify you.');
    const signOut = { type: 'button', on: { click: () => this.dispatchEvent(new Event('sign-out')) } };
    this.#warning = h('p', { class: 'hint', hidden: true });
    this.#panel = h(
      'div',
      { class: 'menu', id: 'user-menu', hidden: true },
      this.#notify,
      this.#blocked,
      this.#links,
      h('button', help, 'Keyboard shortcuts'),
      this.#warning,
      h('button', signOut, 'Sign out'),
    );
    this.#button = h('button', {
      type: 'button',
      class: 'user',
      'aria-expanded': 'false',
      'aria-controls': 'user-menu',
      on: { click: () => this.#toggle(this.#panel.hidden) },
    });
    this.append(this.#panel, this.#button);
    this.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || this.#panel.hidden) return;
      event.preventDefault();
      this.#toggle(false);
      this.#button.focus();
    });
    this.addEventListener('focusout', ({ relatedTarget }) => {
      if (relatedTarget instanceof Node && !this.contains(relatedTarget)) this.#toggle(false);
    });
  }

  /** @override */
  listen(core, signal) {
    const show = () =>
      this.#button.replaceChildren(
        avatar(core.names.of(core.user)),
        h('bdi', { class: 'name' }, core.user.name),
        icon('more'),
      );
    show();
    // The welcome may bring another name.
    for (const event of ['names', 'ready']) core.on(event, show, { signal });
    document.addEventListener(
      'pointerdown',
      ({ target }) => !this.contains(/** @type {Node} */ (target)) && this.#toggle(false),
      { signal },
    );
  }

  async #turnNotifications() {
    await this.notifications.turn(this.notifications.state !== 'on');
    this.#showNotifications();
  }

  #showNotifications() {
    const { state } = this.notifications;
    this.#notify.hidden = state === 'blocked';
    this.#blocked.hidden = state !== 'blocked';
    this.#notify.setAttribute('aria-pressed', String(state === 'on'));
  }

  #toggle(open) {
    this.#showNotifications();
    const { waiting } = this.core.outbox;
    this.#warning.hidden = waiting === 0;
    setText(this.#warning, `${counted(waiting, 'unsent message')} will be lost.`);
    this.#panel.hidden = !open;
    this.#button.setAttribute('aria-expanded', String(open));
  }
}

customElements.define('chat-user-menu', UserMenu);
