/** The whole client, in one place to import: `build/bundle.rs` makes it one file. */

import './chat-room.js';
import './chat-shell.js';

export { ChatCore, ChatError } from './chat-core.js';
export { h, setText } from './dom.js';
export { waitInWords } from './format.js';
export { askIdentity } from './identity.js';
export { OutboxDb } from './outbox-db.js';
export { pageStorage } from './storage.js';
