import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Emitter } from '../../chatcore-hyper/ui/core/emitter.js';

/** An element as far as its place in a document goes. @type {any} */
let Kind;

before(async () => {
  globalThis.HTMLElement ??= /** @type {any} */ (class {});
  const { LiveElement } = await import('../../chatcore-hyper/ui/dom/live-element.js');
  Kind = class extends LiveElement {
    isConnected = false;
    built = 0;
    heard = [];

    build() {
      this.built += 1;
    }

    listen(core, signal) {
      core.on('log', (detail) => this.heard.push(detail), { signal });
    }

    put() {
      this.isConnected = true;
      this.connectedCallback();
    }

    take() {
      this.isConnected = false;
      this.disconnectedCallback();
    }
  };
});

test('an element listens from when it has both a place and a client', () => {
  for (const steps of [
    ['put', 'set'],
    ['set', 'put'],
  ]) {
    const [element, core] = [new Kind(), new Emitter()];
    for (const step of steps) {
      core.emit('log', 'early');
      if (step === 'put') element.put();
      else element.core = core;
    }
    core.emit('log', 'heard once');
    assert.deepEqual(element.heard, ['heard once'], String(steps));
    assert.equal(element.built, 1);
  }
});

test('an element that is moved listens anew, and one that is taken out does not', () => {
  const [element, core] = [new Kind(), new Emitter()];
  element.put();
  element.core = core;
  element.take();
  core.emit('log', 'away');
  element.put();
  core.emit('log', 'back');
  assert.deepEqual(element.heard, ['back']);
  assert.equal(element.built, 1, 'it has the parts that it had');
});

test('an element with another client hears no more of the one before', () => {
  const [element, core, other] = [new Kind(), new Emitter(), new Emitter()];
  element.put();
  element.core = core;
  element.core = other;
  core.emit('log', 'of the one before');
  other.emit('log', 'of the other');
  assert.deepEqual(element.heard, ['of the other']);
});
