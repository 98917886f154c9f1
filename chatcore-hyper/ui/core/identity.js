/**
 * Asks the server in plain HTTP what a browser does not tell of a refused handshake. It is a POST because a browser
 * names the page's origin with it, as it does with the handshake.
 * @param {string} base where the chat service is mounted
 * @returns {Promise<boolean | string>} whether the server knows this browser's user, or why it refuses the page
 */
export async function askIdentity(base) {
  try {
    const answer = await fetch(`${base}/identity`, { method: 'POST', cache: 'no-store', credentials: 'include' });
    if (answer.status === 401) return false;
    const { user, message } = await answer.json();
    if (answer.ok) return user !== null;
    return [403, 421].includes(answer.status) ? String(message) : true;
  } catch {
    // A server that does not answer has not forgotten anybody.
    return true;
  }
}
