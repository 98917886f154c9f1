import './browse.js';
import './channel-list.js';
import './create-channel.js';
import './details.js';
import './help.js';
import './members.js';
import './new-message.js';
import './search-panel.js';
import './switcher.js';
import './user-menu.js';
import { MAX_LISTED } from '../core/channel.js';
import { reasonOf } from './create-channel.js';
import { h, icon, setText } from '../dom/dom.js';
import { Drafts } from '../core/drafts.js';
import { bringsFiles } from '../composer/drops.js';
import { Conversation } from '../conversation/conversation.js';
import { bounded } from '../text/format.js';
import { LiveElement } from '../dom/live-element.js';
import { Notifications } from '../dom/notifications.js';
import { Recent } from '../core/recent.js';
import { actOf } from '../dom/shortcuts.js';
import { channelHash, currentPlace, goTo, replaceWith } from '../dom/route.js';
import { Tabs } from '../core/tabs.js';
import { isNarrow, SidePanes } from './side-panes.js';
import { TabMarks } from '../dom/title.js';
import { isGenerated } from '../text/channel-key.js';
import { showToast } from '../views/toast.js';

/**
 * `<chat-shell>`: the whole chat of one signed-in user. Set its `wire` once it is in the document.
 * Fires `sign-out` when the user wants to leave.
 */
export class ChatShell extends LiveElement {
  /** @type {import('../core/drafts.js').Drafts} */
  #drafts;
  /** @type {import('../core/recent.js').Recent} */
  #recent;
  /** @type {?Notifications} */
  #notifications = null;
  /** @type {any} */
  #tabs = null;
  #marks = new TabMarks();
  #conversation = new Conversation();
  /** @type {SidePanes} */
  #panes;
  #parts;
  #empty;
  #peopleButton;
  #peopleCount;
  #joinButton;
  /** The ways on from a channel that does not exist: create it, or go to another. */
  #ways;
  #base = '';
  /** @type {?Storage} */
  #storage = null;
  #hasArrived = false;
  /** Whether somebody new has been led to a channel. */
  #isSettled = false;

  /**
   * @param {{core: import('../core/chat-core.js').ChatCore, base: string, storage: ?Storage, links?: {text: string, href: string}[]}} parts
   *   `base` is where the chat service is mounted; `links` are to pages of the app, for the menu at the user's name
   */
  wire({ core, base, storage, links = [] }) {
    this.#parts.user.links = links;
    this.#drafts = new Drafts(storage, core.user.id);
    this.#recent = new Recent(storage, core.user.id);
    this.#base = base;
    this.#storage = storage;
    this.core = core;
  }

  /** Shows a short text that goes by itself. @param {string} text */
  say(text) {
    showToast(this, text);
  }

  /** Forgets what the storage keeps of this user. */
  forget() {
    this.core.outbox.clear();
    this.core.changes.forget();
    this.#drafts.clear();
    this.#recent.clear();
  }

  /** @override */
  build() {
    const part = (name) => document.createElement(`chat-${name}`);
    const conversation = this.#conversation;
    const { banner, timeline, composer, announcer } = conversation;
    this.#parts = {
      banner,
      timeline,
      composer,
      announcer,
      channels: part('channels'),
      user: part('user-menu'),
      members: part('members'),
      create: part('create-channel'),
      browse: part('browse'),
      write: part('new-message'),
      details: part('details'),
      switcher: part('switcher'),
      help: part('help'),
      search: part('search'),
    };
    const { channels, user, members, create, browse, write, details, switcher, help, search } = this.#parts;
    this.#peopleCount = h('span', { 'aria-hidden': 'true' });
    const back = { class: 'back plain', href: channelHash(null), 'aria-label': 'All channels' };
    const people = {
      type: 'button',
      class: 'people quiet',
      'aria-expanded': 'false',
      'aria-controls': 'chat-members',
      on: { click: () => this.#panes.toggleMembers(members.hidden) },
    };
    this.#peopleButton = h('button', people, icon('people'), this.#peopleCount);
    const find = {
      type: 'button',
      class: 'plain',
      'aria-label': 'Search',
      title: 'Search',
      on: { click: () => this.#panes.openSearch() },
    };
    const join = { type: 'button', class: 'primary join', hidden: true, on: { click: () => this.#join() } };
    this.#joinButton = h('button', join, 'Join');
    members.id = 'chat-members';
    this.#empty = this.#buildEmpty();
    const pane = h(
      'main',
      { class: 'pane' },
      banner,
      h(
        'header',
        { class: 'pane-head' },
        h('a', back, icon('back')),
        conversation.heading(
          'h1',
          () => this.core.channel(this.#current ?? '')?.createdAt && details.open(this.#current),
        ),
        this.#joinButton,
        h('button', find, icon('search')),
        this.#peopleButton,
      ),
      h(
        'div',
        { class: 'pane-body' },
        conversation.body(),
        h('aside', { class: 'members', 'aria-label': 'Members' }, members),
        h('aside', { class: 'search', 'aria-label': 'Search', hidden: true }, search),
      ),
      this.#empty,
    );
    this.append(
      h('nav', { class: 'sidebar', 'aria-label': 'Channels' }, channels, user),
      pane,
      announcer,
      create,
      browse,
      write,
      details,
      switcher,
      help,
    );
    this.#panes = new SidePanes(conversation, members, search, this.#peopleButton);
    conversation.join(pane, this);
    this.#listenToParts();
    this.#ways = [
      h('button', { type: 'button', class: 'primary', on: { click: () => this.#createMissing() } }),
      h('a'),
    ];
    timeline.ways = h('div', { class: 'ways dialog-actions' }, ...this.#ways);
  }

  #buildEmpty() {
    const create = { type: 'button', class: 'primary', on: { click: () => this.#parts.create.open() } };
    return h(
      'div',
      { class: 'empty', hidden: true },
      h('span', { class: 'start-sign', 'aria-hidden': 'true' }, '#'),
      h('h2', {}, 'No channels yet'),
      h('p', {}, 'A channel is a place for one subject. Anyone can create one.'),
      h('button', create, 'Create a channel'),
    );
  }

  /** @override */
  listen(core, signal) {
    this.#tabs = new Tabs({
      userId: core.user.id,
      acts: () => this.#notifications?.state === 'on' && core.connection.phase === 'open',
    });
    this.#notifications = new Notifications({ core, storage: this.#storage, tabs: this.#tabs, signal });
    signal.addEventListener('abort', () => {
      this.#tabs.close();
      this.#marks.end();
    });
    const { channels, members, banner, create, browse, write, details, search, switcher, user } = this.#parts;
    switcher.recent = this.#recent;
    user.notifications = this.#notifications;
    for (const part of [channels, members, banner, create, browse, write, details, search, switcher, user])
      part.core = core;
    this.#conversation.begin(core, { drafts: this.#drafts, base: this.#base, signal });
    this.#listenToCore(core, signal);
    this.#listenToPage(core, signal);
    if (!this.#hasArrived) return this.#arrive();
    this.#follow();
    this.#showHead();
    this.#showPeople();
    return this.#listed();
  }

  #listenToParts() {
    const { channels, timeline, create, browse, write, details, switcher, help, user } = this.#parts;
    for (const [event, dialog] of Object.entries({ create, browse, write }))
      channels.addEventListener(event, () => dialog.open());
    details.addEventListener('left', ({ detail }) => this.#left(detail));
    for (const chooser of [create, browse, write, switcher])
      chooser.addEventListener('chosen', (event) => goTo(event.detail));
    user.addEventListener('help', () => help.open());
    timeline.addEventListener('left', () => currentPlace().seq && replaceWith(this.#current));
    user.addEventListener('sign-out', () => this.dispatchEvent(new Event('sign-out')));
    this.addEventListener('click', (event) => this.#jump(event));
  }

  #listenToCore(core, signal) {
    const on = (event, listener) => core.on(event, listener, { signal });
    on('volatile', () => this.say('This browser stores nothing: unsent messages are lost when the page is closed.'));
    on('renamed', ({ name }) => name === this.#current && this.#follow());
    on('removed', ({ name, label, isSaid }) => this.#removed(name, label, isSaid));
    on('added', ({ name }) => this.#added(name));
    on('names', () => this.#showHead());
    on('people', ({ name }) => name === this.#current && this.#showPeople());
    on('channels', () => {
      this.#listed();
      this.#showHead();
    });
    on('log', ({ name }) => name === this.#current && this.#showHead());
  }

  #listenToPage(core, signal) {
    addEventListener('hashchange', () => this.#follow(), { signal });
    this.#panes.listen(signal);
    for (const event of ['online', 'offline']) addEventListener(event, () => core.connection.check(), { signal });
    for (const event of ['focus', 'blur', 'pageshow']) addEventListener(event, () => this.#tabs.say(), { signal });
    addEventListener('pagehide', () => this.#tabs.say('gone'), { signal });
    const turned = () => {
      if (document.visibilityState === 'visible') core.connection.check();
      this.#tabs.say();
    };
    document.addEventListener('visibilitychange', turned, { signal });
    document.addEventListener('keydown', (event) => this.#pressed(event), { signal });
    // A file that misses the pane would otherwise replace the page.
    for (const name of /** @type {const} */ (['dragover', 'drop']))
      addEventListener(name, (event) => bringsFiles(event) && event.preventDefault(), { signal });
    this.#followKeyboard(signal);
  }

  #pressed(event) {
    if (
      event.key === 'Escape' &&
      !event.defaultPrevented &&
      isNarrow() &&
      !this.#parts.members.hidden &&
      !document.querySelector(':modal')
    )
      return this.#panes.toggleMembers(false);
    const act = event.defaultPrevented ? undefined : actOf(event);
    if (!act) return;
    const { channels, switcher, help } = this.#parts;
    const own = { switch: switcher, help }[act];
    const open = document.querySelector('dialog[open]');
    if (open && !own?.contains(open)) return;
    event.preventDefault();
    if (act === 'switch') return switcher.open(this.#current);
    if (act === 'help') return help.open();
    if (act === 'search') return this.#panes.openSearch();
    if (act === 'paneAfter' || act === 'paneBefore') return this.#goToPane(act === 'paneAfter' ? 1 : -1);
    if (act === 'read' || act === 'readAll') return this.#markRead(act === 'readAll');
    const next = channels.neighbour(act.startsWith('next') ? 1 : -1, act.endsWith('Unread'));
    if (next !== null && next !== this.#current) goTo(next);
  }

  /** The name of the channel that is shown, or null. */
  get #current() {
    return this.#conversation.channel;
  }

  /** From the channels to the messages, the field and the search, and round. @param {1 | -1} step */
  #goToPane(step) {
    const { channels, timeline, composer, search } = this.#parts;
    const panes = [channels, timeline, composer, search].filter((pane) => pane.checkVisibility());
    const at = panes.findIndex((pane) => pane.contains(document.activeElement));
    panes.at((Math.max(at, step === 1 ? -1 : 0) + step) % panes.length)?.focus();
  }

  #markRead(all) {
    this.#parts.timeline.meetNew();
    if (all) this.core.markAllRead();
    else this.core.markRead(this.#current);
    this.core.reads.flush();
    if (all) this.say('All channels are marked as read.');
  }

  /** A link to a place of this chat leads there on this page, also from where the address is already. */
  #jump(event) {
    const { target, ctrlKey, metaKey, shiftKey, altKey } = event;
    const link = target.closest('a[href]');
    if (
      !link?.hash.startsWith('#/c/') ||
      ctrlKey ||
      metaKey ||
      shiftKey ||
      altKey ||
      link.href.split('#')[0] !== location.href.split('#')[0]
    )
      return;
    event.preventDefault();
    if (link.hash === location.hash) this.#follow();
    else location.hash = link.hash;
  }

  /** The place that the address names, whose channel it then spells by its key. */
  #addressed() {
    const { name, seq } = currentPlace();
    const key = name === null ? null : this.core.key(name);
    if (key !== null && location.hash !== channelHash(key, seq)) replaceWith(key, seq);
    return { name: key, seq };
  }

  async #createMissing() {
    try {
      goTo((await this.core.createChannel({ name: this.#current })).name);
    } catch (error) {
      this.say(reasonOf(error));
    }
  }

  /** Starts where the address says, or where this user was last. */
  #arrive() {
    this.#hasArrived = true;
    const last = this.#recent.names[0] ?? null;
    const { name, seq } = this.#addressed();
    const wanted = name ?? last;
    if (wanted !== null && name === null) {
      // On a phone the list lies behind the channel, so that "back" leads to it.
      if (isNarrow()) history.pushState(null, '', channelHash(wanted));
      else replaceWith(wanted);
    }
    this.#show(wanted, seq);
  }

  /** Shows what the address names. */
  #follow() {
    const { name, seq } = this.#addressed();
    if (name === null || name !== this.#current) this.#show(name, seq);
    else if (seq) this.#parts.timeline.showMessage(seq);
  }

  /** @param {?string} name @param {?number} [seq] */
  #show(name, seq = null) {
    this.classList.toggle('in-channel', name !== null);
    this.#conversation.show(name, seq);
    const { channels, composer, members, search } = this.#parts;
    channels.current = name;
    members.channel = name;
    search.channel = name;
    this.#showHead();
    this.#showPeople();
    if (name !== null && seq === null && matchMedia('(pointer: fine)').matches) composer.focus();
    this.#listed();
  }

  #showHead() {
    const name = this.#current;
    const { channel, isMissing } = this.#conversation.update();
    this.#joinButton.hidden = !channel?.createdAt || channel.isJoined || channel.archived || isMissing;
    if (isMissing) this.#showWays();
    this.#marks.show(name, this.core, this.#tabs);
    if (name !== null && channel && !isMissing) this.#recent.visit(name);
  }

  #showWays() {
    const [create, onward] = this.#ways;
    const code = this.core.whyMissing(this.#current)?.code ?? '';
    const isName = !this.core.isTaken(this.#current) && !isGenerated(this.#current ?? '');
    create.hidden = !isName || !['no_such_channel', 'not_allowed'].includes(code);
    setText(create, `Create #${this.#current}`);
    const name = this.#recent.names.find((one) => this.core.channel(one)) ?? this.#first;
    onward.href = channelHash(name);
    setText(onward, name === null ? 'All channels' : `Go to ${this.core.label(name)}`);
  }

  /** Where somebody begins who was nowhere yet. @returns {?string} */
  get #first() {
    const joined = this.core.channels.filter(({ isJoined, archived }) => isJoined && !archived);
    return (this.core.channel('general') ?? joined[0] ?? this.core.channels[0])?.name ?? null;
  }

  /** Somebody who is in no channel yet joins the first one. */
  #settleIn() {
    const { channels, membership } = this.core;
    const first = this.#first;
    if (this.#isSettled || first === null || !this.core.hasMembership) return;
    this.#isSettled = true;
    const isNew = channels.every(({ isJoined, read }) => !isJoined && read === 0);
    if (isNew) membership.join(first).catch(() => {});
  }

  async #join() {
    const button = this.#joinButton;
    button.disabled = true;
    try {
      await this.core.membership.join(/** @type {string} */ (this.#current));
    } catch (error) {
      this.say(reasonOf(error));
    }
    button.disabled = false;
  }

  /** The user left a channel, and goes on in another one. */
  #left(name) {
    if (name === this.#current)
      goTo(this.#recent.names.find((one) => one !== name && this.core.channel(one)) ?? this.#first ?? '');
  }

  #removed(name, label, isSaid) {
    if (isSaid) this.say(`You can no longer read ${label}.`);
    else this.#left(name);
  }

  #added(name) {
    const { kind, label } = this.core.channel(name) ?? {};
    if (kind === 'private') this.say(`You were added to ${label}.`);
  }

  /** Once the list is known: somebody who is nowhere is led somewhere. */
  #listed() {
    const { listed, channels } = this.core;
    if (listed) this.#settleIn();
    const empty = listed && channels.length === 0 && this.#current === null;
    this.#empty.hidden = !empty;
    this.classList.toggle('no-channels', empty);
    if (!listed || this.#current !== null || channels.length === 0 || isNarrow()) return;
    // They may have just chosen a place themselves.
    if (currentPlace().name !== null) return;
    replaceWith(this.#first);
    this.#show(this.#first);
  }

  #showPeople() {
    const { channel } = this.#conversation.update();
    const online = channel?.members.size ?? 0;
    this.#peopleButton.hidden = online === 0;
    const count = bounded(online, MAX_LISTED - 1);
    const said = `${count} ${online === 1 ? 'member' : 'members'} online`;
    setText(this.#peopleCount, count);
    this.#peopleButton.setAttribute('aria-label', said);
    this.#peopleButton.title = said;
  }

  /** Browsers that lay the keyboard over the page tell so only here. */
  #followKeyboard(signal) {
    const { visualViewport: shown } = globalThis;
    const fit = () => shown?.scale === 1 && this.style.setProperty('--height', `${shown.height}px`);
    shown?.addEventListener('resize', fit, { signal });
  }
}

customElements.define('chat-shell', ChatShell);
