import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseLdd } from './libraries.ts';

test('ldd gives the files that a program loads and the names of those that are missing', () => {
  const text = `	linux-vdso.so.1 (0x00007ffd2a3f2000)
	libudev.so.1 => /lib/x86_64-linux-gnu/libudev.so.1 (0x00007f6a6b1f5000)
	liburing.so.2 => not found
	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f6a6aed0000)
	/lib64/ld-linux-x86-64.so.2 (0x00007f6a6b2c1000)
`;
  assert.deepEqual(parseLdd(text), {
    files: ['/lib/x86_64-linux-gnu/libudev.so.1', '/lib/x86_64-linux-gnu/libc.so.6', '/lib64/ld-linux-x86-64.so.2'],
    missing: ['liburing.so.2'],
  });
});
