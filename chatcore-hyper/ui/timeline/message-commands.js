import { around } from '../dom/dom.js';
import { channelHash } from '../dom/route.js';
import { isImage } from '../views/attachment-view.js';
import { EmojiPicker } from '../views/emoji-picker.js';
import { Lightbox } from '../views/lightbox.js';
import { copiedMessages } from './copying.js';
import { MessageActions } from './message-actions.js';

/** What a person does to the messages of a timeline, by its toolbar, by keys, and by what stands in a message. */
export class MessageCommands {
  #picker = new EmojiPicker();
  #lightbox = new Lightbox();

  /** @param {import('./timeline.js').Timeline} timeline @param {HTMLElement} scroller */
  constructor(timeline, scroller) {
    this.timeline = timeline;
    this.scroller = scroller;
    this.actions = this.#buildActions();
    scroller.addEventListener('click', (event) => this.#enlarge(event));
    scroller.addEventListener('copy', (event) => this.#copy(event));
  }

  get #core() {
    return this.timeline.core;
  }

  get #channel() {
    return this.timeline.channel;
  }

  /** What the view of a message needs. @param {Map<string, import('../core/protocol.js').User>} people whom the channel knows of */
  context(people) {
    const { changes, outbox, user, names } = this.#core;
    const channel = this.#channel;
    return {
      addressed: this.#addressed,
      channel,
      user,
      people,
      names: names.all,
      nameOf: (one) => names.of(one).name,
      idOf: (name) => names.idOf(name),
      onRetry: (nonce) => this.#afterFailure(() => outbox.retry(nonce)),
      onDiscard: (nonce) => this.#afterFailure(() => outbox.remove(nonce)),
      onUndo: (seq) => changes.undo(channel, seq),
      onReact: (seq, emoji, on) => changes.react(channel, seq, emoji, on),
    };
  }

  closePicture() {
    this.#lightbox.close();
  }

  #buildActions() {
    const { timeline } = this;
    return new MessageActions(this.scroller, {
      message: (seq) => this.#message(seq),
      isOwn: (message) => message.author.id === this.#core.user.id,
      link: (seq) => (timeline.linked ? location.href.split('#')[0] + channelHash(this.#channel, seq) : null),
      onUnread: (seq) => this.#markUnread(seq),
      onReply: (message) => timeline.fire('reply', message),
      onEdit: (message) => timeline.fire('edit', message),
      onRemove: (seq) => timeline.removeMessage(seq),
      onReact: (seq, emoji) => this.#toggle(seq, emoji),
      onPick: (seq, from) => this.#picker.open(from, (emoji) => this.#toggle(seq, emoji)),
      onNotice: (text) => timeline.fire('notice', text),
      onLeave: () => timeline.fire('write'),
    });
  }

  #message(seq) {
    return this.#core.channel(this.#channel)?.message(seq);
  }

  async #markUnread(seq) {
    try {
      await this.#core.markUnread(this.#channel, seq);
    } catch (error) {
      const reason =
        {
          disconnected: 'Marking as unread needs a connection.',
          unknown_command: 'This server cannot mark messages as unread.',
        }[error.code] ?? error.message;
      this.timeline.fire('notice', reason);
    }
  }

  #toggle(seq, emoji) {
    const { changes, user } = this.#core;
    const given = this.#message(seq)?.reactions.find((reaction) => reaction.emoji === emoji);
    changes.react(this.#channel, seq, emoji, !given?.users.includes(user.id));
  }

  /** The button that was pressed goes away, so the focus goes where writing goes on. */
  #afterFailure(act) {
    act();
    this.timeline.fire('write');
  }

  /** A file under its whole address: a page of another origin has other paths. @param {import('../core/protocol.js').Attachment} file */
  #addressed = (file) => ({ ...file, url: this.#core.addressOf(file.url) });

  /** Opens a picture over the page, unless it is asked for in a tab of its own. */
  #enlarge(event) {
    const link = around(event, 'a.image');
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const { messages } = this.#core.channel(this.#channel)?.shown ?? { messages: [] };
    const images = messages.flatMap(({ attachments }) => attachments.filter(isImage)).map(this.#addressed);
    const url = link.getAttribute('href');
    if (!images.some((image) => image.url === url)) return;
    event.preventDefault();
    this.#lightbox.open(images, url, this.scroller);
  }

  /** Copies a range of messages with who wrote them and when. */
  #copy(event) {
    const text = copiedMessages(this.scroller, (seq) => this.#message(seq));
    if (text === null) return;
    event.preventDefault();
    event.clipboardData.setData('text/plain', text);
  }
}
