import assert from 'node:assert/strict';

/** Somebody in front of a page of the chat: what they do, what they see, and what must never happen on their page. */
export class Person {
  /** What went wrong on any page of theirs. */
  troubles = [];
  /** What the server said about itself. */
  limits = null;

  static async watch(context, { server, allow, hosts }) {
    const person = new Person();
    Object.assign(person, { context, server, allow, hosts });
    await context.exposeBinding('reportViolation', (_, what) => person.troubles.push(`CSP: ${what}`));
    await context.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`);
      });
    });
    context.on('request', (request) => person.#requested(request.url()));
    context.on('console', (line) => person.#logged(line));
    context.on('weberror', (error) => person.troubles.push(`page error: ${error.error().stack}`));
    person.use(context.pages()[0] ?? (await context.newPage()));
    return person;
  }

  /** Goes on in this page. */
  use(page) {
    this.page = page;
    page.setDefaultTimeout(30_000);
    page.on('websocket', (socket) => {
      this.#requested(socket.url().replace(/^ws/u, 'http'));
      socket.on('framereceived', ({ payload }) => this.#received(payload));
    });
  }

  #requested(url) {
    if (/^(?:blob|data|about):/u.test(url)) return;
    if (![this.server.host, ...this.hosts].includes(new URL(url).host))
      this.troubles.push(`request to another host: ${url}`);
  }

  #logged(line) {
    if (line.type() !== 'error') return;
    const text = `${line.text()} ${line.location().url}`.trim();
    if (!this.allow.some((allowed) => allowed.test(text))) this.troubles.push(`console: ${text}`);
  }

  #received(payload) {
    if (this.limits) return;
    const frame = JSON.parse(String(payload));
    if (frame.type === 'welcome') this.limits = frame.limits;
  }

  /** Nothing went wrong so far. */
  wasFine() {
    assert.deepEqual(this.troubles, []);
  }

  async visit(path = '/') {
    await this.page.goto(this.server.url + path);
  }

  async join(name) {
    await this.visit();
    await this.tryToJoin(name);
    await this.page.getByRole('navigation', { name: 'Channels' }).or(this.page.getByRole('main')).first().waitFor();
    await this.page.locator('chat-shell').waitFor();
  }

  async tryToJoin(name) {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByRole('button', { name: 'Join' }).click();
  }

  async createChannel(name, topic = '') {
    await this.tryToCreate(name, topic);
    await this.isIn(name.toLowerCase());
  }

  async tryToCreate(name, topic = '') {
    await this.page.getByRole('button', { name: 'Create a channel' }).first().click();
    const dialog = this.page.getByRole('dialog', { name: 'Create a channel' });
    await dialog.getByLabel('Name').fill(name);
    await dialog.getByLabel('Topic').fill(topic);
    await dialog.getByRole('button', { name: 'Create', exact: true }).click();
  }

  /** Creates a private channel with these people in it. */
  async createPrivate(title, people = []) {
    await this.press(this.page.getByRole('button', { name: 'Create a channel' }).first());
    const dialog = this.page.getByRole('dialog', { name: 'Create a channel' });
    await dialog.getByLabel('Private').check();
    await dialog.getByLabel('Name').fill(title);
    for (const name of people) await this.choose(dialog, 'Add people', name);
    await this.press(dialog.getByRole('button', { name: 'Create', exact: true }));
    await this.isIn(title);
  }

  /** Chooses somebody by name in a field for people. */
  async choose(dialog, label, name) {
    await dialog.getByRole('combobox', { name: label }).fill(name);
    await this.press(dialog.getByRole('listbox').getByRole('option', { name }));
    await dialog.getByRole('button', { name: `Take out ${name}` }).waitFor();
  }

  /** Opens a direct channel with these people. */
  async writeTo(...people) {
    await this.press(this.page.getByRole('button', { name: 'New message' }));
    const dialog = this.page.getByRole('dialog', { name: 'New message' });
    for (const name of people) await this.choose(dialog, 'To: a name', name);
    await this.press(dialog.getByRole('button', { name: /^Write /u }));
    await dialog.waitFor({ state: 'hidden' });
  }

  /** Opens the details of the channel that is shown. */
  async details() {
    await this.press(this.page.getByRole('heading', { level: 1 }).getByRole('button'));
    const dialog = this.page.locator('chat-details').getByRole('dialog');
    await dialog.waitFor();
    return dialog;
  }

  /** A line about what happened to the channel. */
  note(text) {
    return this.log.locator('.note').filter({ hasText: text });
  }

  /** Signs out of the only device, which asks first. */
  async signOut(name) {
    await this.page.getByRole('button', { name, exact: true }).click();
    await this.page.locator('chat-user-menu').getByRole('button', { name: 'Sign out' }).click();
    const question = this.page.getByRole('dialog', { name: 'Sign out of your only device?' });
    await question.getByRole('button', { name: 'Sign out' }).click();
  }

  /** Goes to the page of the account and its devices. */
  async openAccount(name) {
    await this.press(this.page.getByRole('button', { name, exact: true }));
    await this.press(this.page.getByRole('link', { name: 'Account and devices' }));
    await this.page.getByRole('heading', { level: 1, name: 'Account and devices' }).waitFor();
  }

  /** The link of a channel in the list, whatever is unread there. */
  listed(name) {
    return this.page
      .getByRole('navigation', { name: 'Channels' })
      .getByRole('link', { name: new RegExp(`^(?:# ?)?${name}(?: |$)`, 'u') });
  }

  async open(name) {
    await this.listed(name).click();
    await this.isIn(name);
  }

  /** Opens a channel that need not be in the list, and joins it. */
  async enter(name) {
    await this.page.evaluate((key) => (location.hash = `#/c/${encodeURIComponent(key)}`), name);
    await this.isIn(name);
    const join = this.page.getByRole('button', { name: 'Join', exact: true });
    await this.press(join);
    await join.waitFor({ state: 'hidden' });
  }

  /** Waits until a channel is open and its messages are there. */
  async isIn(name) {
    await this.page.getByRole('heading', { level: 1, name }).waitFor();
    await this.page.getByRole('log', { name: `Messages in ${name}` }).waitFor();
    await this.page.locator('.timeline-notice').waitFor({ state: 'hidden' });
  }

  get field() {
    return this.page.getByRole('textbox', { name: /^Message /u });
  }

  get log() {
    return this.page.getByRole('log');
  }

  /** The messages on the page. */
  get messages() {
    return this.log.locator('article');
  }

  /** The message with this text. */
  message(text) {
    return this.messages.filter({ has: this.page.getByText(text, { exact: true }) });
  }

  /** Writes a message and sends it by key; it is on the page then, on its way. */
  async say(text) {
    await this.field.fill(text);
    await this.field.press('Enter');
    await this.isDrawn();
  }

  /** Writes a message, sends it by the button, which a phone needs, and waits until it stands in the log. */
  async send(text) {
    await this.field.fill(text);
    await this.press(this.page.getByRole('button', { name: 'Send' }));
    // What a finger does, the page hears of later.
    await this.page.waitForFunction(() => document.querySelector('chat-composer textarea').value === '');
    await this.isDrawn();
    await this.isSent();
  }

  /** Clicks, or taps where there is no pointer: a finger leaves none behind. */
  async press(locator) {
    await ((await this.isTouching()) ? locator.tap() : locator.click());
  }

  isTouching() {
    return this.page.evaluate(() => matchMedia('(hover: none)').matches);
  }

  /** Waits until the page shows what it knows. */
  async isDrawn() {
    await this.page.evaluate(
      () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve))),
    );
  }

  /** Gives the page another size, and waits until it has it. */
  async resize(width, height) {
    await this.page.setViewportSize({ width, height });
    await this.page.waitForFunction((wanted) => innerWidth === wanted[0] && innerHeight === wanted[1], [width, height]);
    await this.isDrawn();
  }

  /** Waits until this is what the keys go to. */
  async isOn(locator) {
    await this.page.waitForFunction((one) => one === one.getRootNode().activeElement, await locator.elementHandle());
  }

  async sees(text) {
    await this.message(text).waitFor();
  }

  /** Waits until every message on the page stands in the log. */
  async isSent() {
    await this.page.waitForFunction(() => !document.querySelector('article:not([data-seq])'));
  }

  /** What stands on the page: seq, text, and the name and time that each message shows or carries. */
  transcript() {
    return this.messages.evaluateAll((articles) =>
      articles.map((article) => ({
        seq: Number(article.dataset.seq),
        text: article.querySelector('.text')?.textContent ?? '',
        who: article.getAttribute('aria-label').split(',')[0],
        time: article.querySelector('time').textContent,
      })),
    );
  }

  /** Waits until the page shows so many messages. */
  async counts(count) {
    await this.page.waitForFunction(
      (wanted) => document.querySelectorAll('[role=log] article').length === wanted,
      count,
    );
  }

  /** Writes many messages at once over a socket of the page's own, with this person's cookie. */
  async fill(channel, count, line = 'line ') {
    await this.page.evaluate(
      ([name, total, before]) =>
        new Promise((resolve, reject) => {
          const socket = new WebSocket(`ws://${location.host}/chat/ws`, ['chatcore.v1.lean']);
          let sent = 0;
          const next = () => {
            sent += 1;
            socket.send(
              JSON.stringify({
                type: 'publish',
                id: sent,
                channel: name,
                nonce: `fill-${sent}`,
                text: `${before}${sent}`,
              }),
            );
          };
          socket.onclose = reject;
          socket.onmessage = ({ data }) => {
            const frame = JSON.parse(data);
            if (frame.type === 'welcome') next();
            if (frame.type === 'error') {
              if (!frame.retryable) return reject(new Error(data));
              sent -= 1;
              setTimeout(next, frame.retry_ms ?? 100);
            }
            if (frame.type !== 'ok') return;
            if (sent < total) return next();
            socket.onclose = null;
            socket.close();
            resolve();
          };
        }),
      [channel, count, line],
    );
  }
}
