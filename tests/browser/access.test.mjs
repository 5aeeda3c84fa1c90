import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Access, ask, subprotocols } from '../../gateway/web/access.js';

const PAGE = 'https://h.example/stt/index.html#observe=1';

function server(...answers) {
  const asked = [];
  globalThis.fetch = async (url, { headers }) => {
    asked.push([String(url), headers.Authorization ?? '']);
    return { json: async () => ({ key: answers.shift() }) };
  };
  return asked;
}

function form() {
  return { hidden: true, reason: { textContent: '' }, input: { value: '', focus() {} } };
}

function access(stored = null) {
  const kept = new Map(stored === null ? [] : [['stt-api-key', stored]]);
  const storage = { getItem: (name) => kept.get(name) ?? null, setItem: (n, v) => kept.set(n, v) };
  const parts = form();
  const made = new Access({ form: parts, ...parts, pageUrl: PAGE, storage });
  return { made, parts, kept };
}

const type = async (parts, key) => {
  while (parts.hidden) await new Promise(setImmediate);
  parts.input.value = key;
  parts.onsubmit({ preventDefault() {} });
};

test('the server of the page is asked, with the key in a header', async () => {
  const asked = server('right');
  assert.equal(await ask(PAGE, 'K'), 'right');
  assert.deepEqual(asked, [['https://h.example/stt/access', 'Bearer K']]);
});

test('nobody is asked for a key where the server wants none, or takes the one of the tab', async () => {
  for (const answer of ['none', 'right']) {
    server(answer);
    const { made, parts } = access('K');
    await made.ensure();
    assert.ok(parts.hidden);
    assert.equal(made.key, 'K');
  }
});

test('a person is asked until the key is right, and the tab keeps it', async () => {
  const asked = server('wanted', 'wrong', 'right');
  const { made, parts, kept } = access();
  const done = made.ensure();
  await type(parts, 'bad');
  await new Promise(setImmediate);
  await type(parts, ' good ');
  await done;
  assert.equal(made.key, 'good');
  assert.equal(kept.get('stt-api-key'), 'good');
  assert.deepEqual(asked.map(([, header]) => header), ['', 'Bearer bad', 'Bearer good']);
});

test('a server that is away is left to the connection to tell of', async () => {
  globalThis.fetch = async () => { throw new TypeError('Failed to fetch'); };
  const { made } = access();
  await made.ensure();
  assert.equal(made.key, '');
});

test('where there is nothing secret no subprotocol is offered', () => {
  assert.equal(subprotocols({}), undefined);
  assert.deepEqual(subprotocols({ observe: 'o' }), ['stt', 'stt.observe.o']);
});
