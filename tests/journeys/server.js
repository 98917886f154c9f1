import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** How long a server may take to say where it listens. */
const START_MS = 20_000;

/** The real server, from `WEB_CHAT_BIN`, on a folder of its own. It can be killed and started again on its port. */
export class Server {
  #child = null;
  url = '';
  /** More options, for its next start. @type {string[]} */
  options = [];

  /** @param {string[]} options more options than where it listens and keeps its data */
  static async start(options = []) {
    const server = new Server();
    server.options = options;
    server.folder = await mkdtemp(join(tmpdir(), 'chatcore-journey-'));
    await server.#run('127.0.0.1:0');
    return server;
  }

  get host() {
    return new URL(this.url).host;
  }

  /** As a power cut would: nothing is flushed, nobody is told. */
  async kill() {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }

  /** Stands still, with all connections open. */
  pause() {
    this.#child.kill('SIGSTOP');
  }

  resume() {
    this.#child.kill('SIGCONT');
  }

  async restart() {
    await this.#run(this.host);
  }

  async stop() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #run(listen) {
    const bin = process.env.WEB_CHAT_BIN;
    if (!bin) throw new Error('WEB_CHAT_BIN names the server binary; it is not set');
    const child = spawn(bin, ['--listen', listen, '--data', this.folder, ...this.options], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    this.url = await new Promise((resolve, reject) => {
      let said = '';
      const timer = setTimeout(() => reject(new Error(`the server did not say where it listens: ${said}`)), START_MS);
      const hear = (data) => {
        said = (said + data).slice(-4000);
        const url = /http:\/\/127\.0\.0\.1:\d+/u.exec(said)?.[0];
        if (!url) return;
        clearTimeout(timer);
        resolve(url);
      };
      child.stdout.on('data', hear);
      // Kept flowing, or a full pipe would stop the server.
      child.stderr.on('data', (data) => (said = (said + data).slice(-4000)));
      child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
    });
  }
}
