import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Emitter } from '../../chatcore-hyper/ui/core/emitter.js';

test('a signal takes a listener off, and a new one puts it on again', () => {
  const emitter = new Emitter();
  const heard = [];
  const listener = (detail) => heard.push(detail);
  const first = new AbortController();
  emitter.on('log', listener, { signal: first.signal });
  emitter.emit('log', 1);
  first.abort();
  emitter.emit('log', 2);
  emitter.on('log', listener, { signal: first.signal });
  emitter.emit('log', 3);
  emitter.on('log', listener, { signal: new AbortController().signal });
  emitter.emit('log', 4);
  assert.deepEqual(heard, [1, 4]);
});

test('a listener that another one takes off during an event does not hear it', () => {
  const emitter = new Emitter();
  const heard = [];
  const gone = new AbortController();
  emitter.on('log', () => gone.abort());
  emitter.on('log', () => heard.push('late'), { signal: gone.signal });
  emitter.emit('log');
  assert.deepEqual(heard, []);
});
