import { waitInWords } from '../text/format.js';
import { readAttachment, wellFormed } from '../core/protocol.js';

/**
 * One file on its way to a channel. `XMLHttpRequest`, because `fetch` does not tell how much of a body is sent.
 *
 * @typedef {'sending' | 'done' | 'failed'} UploadState
 */
export class Upload {
  /** @type {UploadState} */
  state = 'sending';
  /** From 0 to 1. */
  progress = 0;
  /** @type {?import('../core/protocol.js').Attachment} */
  attachment = null;
  error = '';
  #request = new XMLHttpRequest();

  /** @param {{base: string, channel: string, file: File, onChange: () => void}} options */
  constructor({ base, channel, file, onChange }) {
    this.file = file;
    this.onChange = onChange;
    this.url = `${base}/channels/${encodeURIComponent(channel)}/attachments?name=${encodeURIComponent(wellFormed(file.name))}`;
  }

  start() {
    const request = this.#request;
    request.upload.onprogress = (event) => {
      this.progress = event.total > 0 ? event.loaded / event.total : 0;
      this.onChange();
    };
    request.onload = () => this.#answered();
    request.onerror = () => this.#fail('The upload was interrupted.');
    request.open('POST', this.url);
    request.withCredentials = true;
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.send(this.file);
  }

  cancel() {
    this.#request.onload = null;
    this.#request.abort();
  }

  retry() {
    this.#request = new XMLHttpRequest();
    this.state = 'sending';
    this.progress = 0;
    this.start();
    this.onChange();
  }

  #answered() {
    const body = parse(this.#request.responseText);
    this.attachment = this.#request.status === 201 ? readAttachment(body) : null;
    if (this.#request.status === 429)
      return this.#fail(
        `You have uploaded a lot. Try again in ${waitInWords(1000 * Number(this.#request.getResponseHeader('Retry-After')))}.`,
      );
    if (!this.attachment)
      return this.#fail(REFUSALS[this.#request.status] ?? body?.message ?? 'The server refused the file.');
    this.state = 'done';
    this.progress = 1;
    this.onChange();
  }

  #fail(reason) {
    this.state = 'failed';
    this.error = reason;
    this.onChange();
  }
}

const REFUSALS = {
  401: 'You are signed out.',
  403: 'You may not attach files here.',
  404: 'The channel is gone.',
  413: 'The file is too large.',
};

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
