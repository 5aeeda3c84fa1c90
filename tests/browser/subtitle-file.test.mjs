import assert from 'node:assert/strict';
import { test } from 'node:test';

import { toSrt, toVtt } from '../../gateway/web/subtitle-file.js';

const CUES = [
  { text: 'Hello.', startMs: 40, endMs: 1_500 },
  { text: 'Less < more & "so" --> on', startMs: 3_661_007.4, endMs: 3_662_000 },
];

test('WebVTT has its header, times with points, and no markup of its own', () => {
  assert.equal(toVtt(CUES), [
    'WEBVTT', '',
    '00:00:00.040 --> 00:00:01.500', 'Hello.', '',
    '01:01:01.007 --> 01:01:02.000', 'Less &lt; more &amp; "so" --&gt; on', '', '',
  ].join('\n'));
});

test('SubRip counts its cues and has times with commas', () => {
  assert.equal(toSrt(CUES.slice(0, 1)), '1\n00:00:00,040 --> 00:00:01,500\nHello.\n');
  assert.match(toSrt(CUES), /\n\n2\n01:01:01,007 --> /);
});

test('a cue lasts, and an empty line in a text does not end it', () => {
  const [cue] = [{ text: 'a\r\n\r\nb\n', startMs: 10, endMs: 10 }];
  assert.match(toVtt([cue]), /00:00:00\.010 --> 00:00:00\.011\na\nb\n/);
});

test('without sentences there is an empty file', () => {
  assert.equal(toVtt([]), 'WEBVTT\n\n');
  assert.equal(toSrt([]), '');
});
