/** The whole client, in one place to import: `build/bundle.rs` makes it one file. */

import './room/chat-room.js';
import './shell/chat-shell.js';

export { ChatCore, ChatError } from './core/chat-core.js';
export { h, setText } from './dom/dom.js';
export { waitInWords } from './text/format.js';
export { askIdentity } from './core/identity.js';
export { OutboxDb } from './core/outbox-db.js';
export { pageStorage } from './core/storage.js';
