import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asName, fit, rank } from '../../chatcore-hyper/ui/text/ranking.js';
import { actOf } from '../../chatcore-hyper/ui/dom/shortcuts.js';

const channel = (name, unread = 0, mentionCount = 0, title = name) => ({ name, title, unread, mentionCount });
const names = (channels, query, { recent = [], current = null } = {}) =>
  rank(channels, query, { recent, current }).map(({ name }) => name);

test('mentions come first, then unread ones, then the recent ones; the current one last', () => {
  const channels = [channel('art'), channel('bugs'), channel('design', 9), channel('ops', 2, 1), channel('rust')];
  assert.deepEqual(names(channels, '', { recent: ['art', 'rust', 'bugs'], current: 'art' }), [
    'ops',
    'design',
    'rust',
    'bugs',
    'art',
  ]);
});

test('what fits better comes first, whatever is unread', () => {
  const channels = [
    channel('air-design', 5),
    channel('design'),
    channel('design-team'),
    channel('redesign', 1),
    channel('d-e-s-i-g-n'),
  ];
  assert.deepEqual(names(channels, 'design'), ['design', 'design-team', 'air-design', 'redesign', 'd-e-s-i-g-n']);
  assert.deepEqual(names(channels, 'dt'), ['design-team']);
  assert.deepEqual(names(channels, 'xyz'), []);
});

test('a channel is found by its title, not by its key', () => {
  const channels = [channel('pr.abc', 0, 0, 'Plans for Spring'), channel('spring-cleaning')];
  assert.deepEqual(names(channels, 'plans-for'), ['pr.abc']);
  assert.deepEqual(names(channels, 'spring'), ['spring-cleaning', 'pr.abc']);
  assert.deepEqual(names(channels, 'pr.abc'), []);
});

test('letters count in their order only', () => {
  assert.equal(fit('general', 'gnl'), 1);
  assert.equal(fit('general', 'lng'), 0);
  assert.equal(fit('general', ''), 4);
});

test('at most fifty are offered', () => {
  assert.equal(
    names(
      Array.from({ length: 80 }, (_, at) => channel(`c${at}`)),
      'c',
    ).length,
    50,
  );
});

test('what is typed becomes the name that the channel would have', () => {
  assert.equal(asName(' #Road  Map '), 'road-map');
  assert.equal(asName('Cafe\u0301'), 'caf\u00e9');
});

test('keys are taken with exactly what is held, and signs only where nobody writes', () => {
  const press = (key, held = {}, target = { tagName: 'BODY' }) =>
    actOf({ key, target, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...held });
  const field = { tagName: 'TEXTAREA' };
  assert.equal(press('k', { ctrlKey: true }, field), 'switch');
  assert.equal(press('K', { ctrlKey: true, shiftKey: true }), undefined);
  assert.equal(press('k'), undefined);
  assert.equal(press('ArrowUp', { altKey: true }, field), 'previous');
  assert.equal(press('ArrowDown', { altKey: true, shiftKey: true }), 'nextUnread');
  assert.equal(press('F', { ctrlKey: true, shiftKey: true }, field), 'search');
  assert.equal(press('/', { ctrlKey: true, shiftKey: true }, field), 'help');
  assert.equal(press('?', { shiftKey: true }), 'help');
  assert.equal(press('?', { shiftKey: true }, field), undefined);
  assert.equal(press('/'), 'search');
  assert.equal(press('/', {}, field), undefined);
});
