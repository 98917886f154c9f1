import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { chown, chmod, mkdtemp, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { delimiter, join } from 'node:path';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Starts, kills and removes one server, by commands on its standard input. */
const KEEPER = fileURLToPath(new URL('../src/postgres.sh', import.meta.url));

/** A real PostgreSQL server on the loopback network, which ends with this process. */
export class Postgres {
  #keeper;
  #answers;
  url = '';

  static async start() {
    const server = new Postgres();
    await server.#start();
    return server;
  }

  async #start() {
    const folder = await mkdtemp(join(tmpdir(), 'chatcore-postgres-'));
    await chmod(folder, 0o755);
    const owner = process.getuid?.() === 0 ? await postgresUser() : {};
    if ('uid' in owner) await chown(folder, owner.uid, owner.gid);
    this.#keeper = spawn('sh', [KEEPER, programs(), folder, tmpdir()], {
      cwd: folder,
      stdio: ['pipe', 'pipe', 'inherit'],
      ...owner,
    });
    this.#answers = createInterface(this.#keeper.stdout)[Symbol.asyncIterator]();
    const port = await freePort();
    this.#keeper.stdin.write(`start ${port}\n`);
    const { value } = await this.#answers.next();
    if (value !== 'ready') throw new Error(`PostgreSQL did not start: ${value}`);
    this.url = `postgresql://postgres@127.0.0.1:${port}/postgres`;
  }

  async stop() {
    const ended = new Promise((resolve) => this.#keeper.once('exit', resolve));
    this.#keeper.stdin.end();
    await ended;
  }
}

/** The folder of PostgreSQL's programs: `CHATCORE_PG_BIN`, the newest of Debian's, or one on the `PATH`. */
function programs() {
  if (process.env.CHATCORE_PG_BIN) return process.env.CHATCORE_PG_BIN;
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).map(Number).filter(Boolean) : [];
  const newest = versions.toSorted((a, b) => b - a).map((version) => join(debian, String(version), 'bin'));
  const path = (process.env.PATH ?? '').split(delimiter);
  const found = [...newest, ...path].find((folder) => existsSync(join(folder, 'initdb')));
  if (!found) throw new Error('no PostgreSQL server: set CHATCORE_PG_BIN or put its programs on the PATH');
  return found;
}

/** The user that Debian's package creates: PostgreSQL refuses to run as root. */
async function postgresUser() {
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((user) => user.startsWith('postgres:'));
  if (!line) throw new Error('root can not run PostgreSQL, and there is no user postgres');
  const [, , uid, gid] = line.split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

async function freePort() {
  const probe = createServer();
  await new Promise((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const { port } = /** @type {import('node:net').AddressInfo} */ (probe.address());
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
