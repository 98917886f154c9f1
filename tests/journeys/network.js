/** The network between a person's sockets and the server, which can be cut, and which can lose what the server answers. */
export class Network {
  #open = true;
  #sockets = new Set();
  /** How many more acks are lost, each with its connection. */
  loses = 0;

  /** @param {import('./person.js').Person} person */
  static async of(person) {
    const network = new Network();
    await person.context.routeWebSocket(/\/chat\/ws$/u, (socket) => network.#pass(socket));
    return network;
  }

  cut() {
    this.#open = false;
    for (const socket of this.#sockets) socket.close({ code: 4000 });
    this.#sockets.clear();
  }

  mend() {
    this.#open = true;
  }

  #pass(socket) {
    if (!this.#open) return void socket.close({ code: 4000 });
    const server = socket.connectToServer();
    this.#sockets.add(socket);
    server.onMessage((data) => {
      const frame = JSON.parse(String(data));
      if (this.loses > 0 && frame.type === 'ok' && frame.duplicate !== undefined) {
        this.loses -= 1;
        this.#sockets.delete(socket);
        return void socket.close({ code: 4000 });
      }
      socket.send(data);
    });
  }
}
