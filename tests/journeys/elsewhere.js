import { createServer } from 'node:http';

/** A page of another origin than the chat's, with one of its rooms. */
export class Elsewhere {
  #server;

  /** @param {import('./server.js').Server} chat */
  static async open(chat) {
    const elsewhere = new Elsewhere();
    const page = `<!doctype html><meta charset="utf-8"><title>Elsewhere</title><link rel="icon" href="data:,">
      <script type="module" src="${chat.url}/chat/ui/chat.js"></script>
      <chat-room server="${chat.url}/chat" channel="general"></chat-room>`;
    elsewhere.#server = createServer((_, answer) => answer.setHeader('Content-Type', 'text/html').end(page));
    await new Promise((resolve) => elsewhere.#server.listen(0, '127.0.0.1', resolve));
    return elsewhere;
  }

  get host() {
    return `127.0.0.1:${this.#server.address().port}`;
  }

  get url() {
    return `http://${this.host}`;
  }

  close() {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}
