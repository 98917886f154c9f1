import { ChatCore } from './chat-core.js';
import { askIdentity } from './identity.js';
import { OutboxDb } from './outbox-db.js';
import { pageStorage } from './storage.js';

/** @typedef {{core: ChatCore, users: number, gone: AbortController}} Shared */

/** The clients of this page, by the address of their server. @type {Map<string, Shared>} */
const clients = new Map();

/**
 * The page's one client of a server, for as long as somebody on the page uses it.
 * @param {string} base where the chat service is mounted
 * @param {AbortSignal} signal ends the use
 * @returns {ChatCore}
 */
export function shareCore(base, signal) {
  const shared = clients.get(base) ?? begin(base);
  shared.users += 1;
  signal.addEventListener('abort', () => {
    shared.users -= 1;
    if (shared.users === 0) end(base, shared);
  });
  return shared.core;
}

/** How long until the server is asked again whether it knows the visitor: soon after a sign of a sign-in, then ever later. */
const ASK_MS = { first: 2_000, last: 30_000 };

/** @param {string} base @returns {Shared} */
function begin(base) {
  const url = `${base.replace(/^http/u, 'ws')}/ws`;
  const core = new ChatCore({
    url,
    openOutbox: (id) => new OutboxDb(id),
    storage: pageStorage(),
    maxFollowed: 0,
    checkIdentity: () => askIdentity(base),
  });
  const shared = { core, users: 0, gone: new AbortController() };
  const { signal } = shared.gone;
  clients.set(base, shared);
  core.on('replaced', () => end(base, shared));
  for (const name of ['online', 'offline']) addEventListener(name, () => core.connection.check(), { signal });
  document.addEventListener(
    'visibilitychange',
    () => document.visibilityState === 'visible' && core.connection.check(),
    { signal },
  );
  noticeSignIn(base, core, signal);
  core.start();
  return shared;
}

/** Connects again once a visitor has signed in by the page. No browser tells of that, so the server is asked. @param {string} base @param {ChatCore} core @param {AbortSignal} signal */
function noticeSignIn(base, core, signal) {
  const { connection } = core;
  let wait = ASK_MS.first;
  /** @type {any} */
  let timer = null;
  const isOut = () =>
    connection.closeCode === 4100 && connection.phase === 'closed' && document.visibilityState === 'visible';
  const look = async () => {
    timer = null;
    if (isOut() && (await askIdentity(base)) === true) connection.retryNow();
    plan(Math.min(2 * wait, ASK_MS.last));
  };
  const plan = (ms) => {
    clearTimeout(timer);
    wait = ms;
    if (isOut() && !signal.aborted) timer = setTimeout(look, wait);
  };
  const soon = () => (timer === null || wait > ASK_MS.first) && plan(ASK_MS.first);
  const requests = new PerformanceObserver((list) => {
    /** @param {any} entry */
    const isOther = ({ initiatorType, name }) =>
      /^(?:fetch|xmlhttprequest)$/u.test(initiatorType) && !name.startsWith(`${base}/`);
    if (list.getEntries().some(isOther)) soon();
  });
  requests.observe({ type: 'resource' });
  signal.addEventListener('abort', () => requests.disconnect());
  core.on('closed', soon);
  for (const name of ['focus', 'pageshow']) addEventListener(name, soon, { signal });
  document.addEventListener('visibilitychange', soon, { signal });
}

/** @param {string} base @param {Shared} shared */
function end(base, shared) {
  if (clients.get(base) === shared) clients.delete(base);
  shared.gone.abort();
  shared.core.stop();
}
