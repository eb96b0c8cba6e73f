import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyText } from '../../test/any-text.ts';
import { nearest, quoted } from './spec-words.ts';

test('a word with one slip is recognised, and a strange one is not', () => {
  const words = ['memory', 'machine', 'name', 'vf'];
  assert.equal(nearest('nmae', words), 'name');
  assert.equal(nearest('memmory', words), 'memory');
  assert.equal(nearest('MACHINE', words), 'machine');
  assert.equal(nearest('vff', words), 'vf');
  assert.equal(nearest('zebra', words), undefined);
  assert.equal(nearest('', words), undefined);
});

test('the nearest of several is chosen', () => {
  assert.equal(nearest('plam', ['apply', 'plan', 'clam']), 'plan');
  assert.equal(nearest('inpsect', ['inspect', 'insect']), 'inspect');
});

test('a word is nearest to itself', () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), (word) => assert.equal(nearest(word, [`${word}xyz`, word]), word)));
});

test('quoted text is one short line that a terminal does not obey', () => {
  fc.assert(
    fc.property(anyText(300), (text) => {
      const line = quoted(text);
      assert.doesNotMatch(line, /[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]/u);
      assert.equal(text.length <= 60, JSON.parse(line) === text);
    }),
  );
});
