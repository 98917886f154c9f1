import { connect, createServer } from 'node:net';

/** A load balancer in front of several servers, which sends one person to one of them. */
export class Balancer {
  #listener;
  #sockets = new Set();
  url = '';

  /** @param {{host: string}} server where to begin */
  static async to(server) {
    const balancer = new Balancer();
    balancer.server = server;
    balancer.#listener = createServer((socket) => balancer.#pass(socket));
    await new Promise((resolve) => balancer.#listener.listen(0, '127.0.0.1', resolve));
    balancer.url = `http://127.0.0.1:${balancer.#listener.address().port}`;
    return balancer;
  }

  get host() {
    return new URL(this.url).host;
  }

  async stop() {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#listener.close(resolve));
  }

  #pass(socket) {
    const { hostname, port } = new URL(`http://${this.server.host}`);
    const onward = connect(Number(port), hostname);
    for (const [from, to] of [
      [socket, onward],
      [onward, socket],
    ]) {
      this.#sockets.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.once('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
