/** Below this width one pane is shown at a time; `phone.css` says the same. */
const NARROW = '(max-width: 719px)';

/** From this width on there is room for the members beside the messages. */
const WIDE = '(min-width: 1100px)';

export const isNarrow = () => matchMedia(NARROW).matches;

/** The panes beside the messages: the members of the channel, and the search. On a phone they cover the channel. */
export class SidePanes {
  #conversation;
  #members;
  #search;
  /** Shows and hides the members. */
  #button;
  /** Where the focus was before the search. @type {any} */
  #focus;
  /** Whether the members were shown before the search. */
  #hadMembers = false;

  /**
   * @param {import('../conversation/conversation.js').Conversation} conversation
   * @param {any} members in a parent of its own, as is `search`
   * @param {any} search
   * @param {HTMLElement} button shows and hides the members
   */
  constructor(conversation, members, search, button) {
    this.#conversation = conversation;
    this.#members = members;
    this.#search = search;
    this.#button = button;
    search.addEventListener('closed', () => {
      this.#searchClosed();
      this.#cover('search', false);
    });
    // On a phone the result lies beneath, and the way back leads to the search.
    search.addEventListener('opened', () => isNarrow() && this.#hideSearch());
    this.#showMembers(matchMedia(WIDE).matches);
  }

  /** Follows the width of the page, and its history. @param {AbortSignal} signal */
  listen(signal) {
    addEventListener('resize', () => this.#uncover(), { signal });
    addEventListener('popstate', () => isNarrow() && this.#showCover(history.state?.cover), { signal });
  }

  openSearch() {
    if (this.#conversation.channel === null) return;
    if (this.#search.hidden) {
      this.#focus = document.activeElement;
      this.#hadMembers = !this.#members.hidden;
      this.#showMembers(false);
    }
    this.#search.parentElement.hidden = false;
    this.#search.open();
    this.#uncover();
    this.#cover('search', true);
  }

  /** @param {boolean} open */
  toggleMembers(open) {
    this.#showMembers(open);
    this.#button.focus();
    this.#cover('members', open);
  }

  #hideSearch() {
    this.#search.hidden = true;
    this.#searchClosed();
  }

  /** All is again as it was before the search. */
  #searchClosed() {
    this.#search.parentElement.hidden = true;
    this.#uncover();
    if (this.#hadMembers) this.#showMembers(true);
    if (this.#focus?.isConnected && this.#focus !== document.body) this.#focus.focus();
    else this.#conversation.composer.focus();
  }

  /** Nobody reads beneath a search that fills the screen. */
  #uncover() {
    this.#conversation.timeline.inSight = this.#search.hidden || !isNarrow();
  }

  /** On a phone a pane lies over the channel, and the system's way back takes it away. */
  #cover(pane, open) {
    if (!isNarrow() || (history.state?.cover === pane) === open) return;
    if (open) history.pushState({ cover: pane }, '');
    else history.back();
  }

  /** Shows the pane that the history names, and no other. */
  #showCover(pane) {
    if (pane !== 'search' && !this.#search.hidden) this.#hideSearch();
    this.#showMembers(pane === 'members');
    if (pane === 'search') this.openSearch();
  }

  #showMembers(open) {
    this.#members.hidden = !open;
    this.#members.parentElement.hidden = !open;
    this.#button.setAttribute('aria-expanded', String(open));
  }
}
