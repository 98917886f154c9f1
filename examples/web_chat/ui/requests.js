/** The app's own requests, and what their refusals mean to people. */

import { waitInWords } from '/chat/ui/chat.js';

const REASONS = {
  name_taken: 'This name is taken. Choose another.',
  bad_name: 'Use 1 to 32 characters, none of them invisible. Names such as “everyone” are reserved.',
  invalid_link: 'This link is no longer valid. A link works once, and a newer one replaces it. Ask for a new one.',
  not_invited: 'You need an invitation to join. The one that you have is used up or expired.',
  unauthorized: 'You are no longer signed in.',
};

const UNREACHABLE = 'The server does not answer. Check your connection and try again.';

/** A request that was refused, or not answered. The message is for people. */
export class RequestError extends Error {
  /** @param {string} message @param {number} status 0 without an answer @param {string} code */
  constructor(message, status, code) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/**
 * Sends a request to the service.
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>} the JSON of the answer, or null
 */
export async function request(method, path, body) {
  const content = body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const answer = await fetch(path, { method, cache: 'no-store', ...content }).catch(() => {
    throw new RequestError(UNREACHABLE, 0, '');
  });
  if (answer.status === 204) return null;
  const json = await answer.json().catch(() => ({}));
  if (answer.ok) return json;
  throw new RequestError(reasonOf(answer, json), answer.status, json.code ?? '');
}

function reasonOf(answer, { code, message }) {
  if (answer.status !== 429) return REASONS[code] ?? message ?? `The server answered ${answer.status}.`;
  const wait = waitInWords(1000 * Number(answer.headers.get('Retry-After')));
  return `Your network has sent many requests just now. Try again in ${wait}.`;
}

/** Who is signed in. @returns {Promise<?{id: string, name: string}>} null when nobody is */
export async function askSession() {
  return request('GET', '/session').catch((error) => {
    if (error.status === 401) return null;
    throw error;
  });
}

/** The code in a link, or the code itself. @param {string} text */
export function codeOf(text) {
  return text.trim().replace(/^.*#link=/su, '');
}
