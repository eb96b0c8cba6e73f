import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chooseMirror, parseOsRelease, parseSimulation, parseUris, privateConfiguration, sources } from './apt-text.ts';

// apt-get -s install --no-install-recommends -t bookworm-backports linux-image-amd64, apt 2.6.1 on Debian 12
const SIMULATION = `NOTE: This is only a simulation!
Inst libnss-systemd [252.38-1~deb12u1] (254.26-1~bpo12+1 Debian Backports:oldstable-backports [amd64]) []
Inst systemd-dev (254.26-1~bpo12+1 Debian Backports:oldstable-backports [all])
Inst kmod (30+20221128-1 Debian:12.15/oldstable [amd64])
Inst linux-image-6.12.95+deb12-amd64 (6.12.95-1~bpo12+1 Debian Backports:oldstable-backports [amd64])
Remv libfoo [1.0]
Conf kmod (30+20221128-1 Debian:12.15/oldstable [amd64])
`;

test('a simulation gives the packages that would be unpacked, new and upgraded, with the new version', () => {
  assert.deepEqual(parseSimulation(SIMULATION), [
    { name: 'libnss-systemd', version: '254.26-1~bpo12+1' },
    { name: 'systemd-dev', version: '254.26-1~bpo12+1' },
    { name: 'kmod', version: '30+20221128-1' },
    { name: 'linux-image-6.12.95+deb12-amd64', version: '6.12.95-1~bpo12+1' },
  ]);
});

test('a simulation in which nothing is to be done gives nothing', () => {
  assert.deepEqual(parseSimulation('Reading package lists...\n0 upgraded, 0 newly installed\n'), []);
});

test('a download has the name of its file, its size, and a version with the epoch that the file name escapes', () => {
  const text = `'http://mirror.example/debian/pool/main/b/busybox/busybox-static_1.35.0-4%2bdeb12u1%2bb1_amd64.deb' busybox-static_1%3a1.35.0-4+deb12u1+b1_amd64.deb 928188 SHA256:3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744
'http://mirror.example/debian/pool/main/k/kmod/kmod_30%2b20221128-1_amd64.deb' kmod_30+20221128-1_amd64.deb 95236
`;
  assert.deepEqual(parseUris(text), [
    {
      name: 'busybox-static',
      version: '1:1.35.0-4+deb12u1+b1',
      file: 'busybox-static_1%3a1.35.0-4+deb12u1+b1_amd64.deb',
      bytes: 928188,
    },
    { name: 'kmod', version: '30+20221128-1', file: 'kmod_30+20221128-1_amd64.deb', bytes: 95236 },
  ]);
});

test('the mirror is the one of the archive itself, not of another that has a suite of the same name', () => {
  const targets = `Packages|https://apt.releases.hashicorp.com|bookworm|main|HashiCorp
Packages|http://mirror.example/debian-security|bookworm-security|main|Debian
Translations|http://wrong.example/debian|bookworm|main|Debian
Packages|http://ftp.example.org/mirror/debian-main|bookworm|main|Debian
`;
  assert.equal(chooseMirror(targets, 'bookworm'), 'http://ftp.example.org/mirror/debian-main');
});

test('without downloaded lists the mirror is known by its path', () => {
  const targets = 'Packages|https://packages.example|bookworm|main|\nPackages|http://mirror.example/debian|bookworm|main|\n';
  assert.equal(chooseMirror(targets, 'bookworm'), 'http://mirror.example/debian');
  assert.equal(chooseMirror(targets, 'trixie'), undefined);
});

test('os-release is read with and without quotes', () => {
  const fields = parseOsRelease('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_CODENAME=bookworm\n');
  assert.equal(fields.get('PRETTY_NAME'), 'Debian GNU/Linux 12 (bookworm)');
  assert.equal(fields.get('VERSION_CODENAME'), 'bookworm');
});

test('the private configuration keeps lists and cache in its folder and drops hooks that would touch the system', () => {
  const text = privateConfiguration('/home/u/.cache/sluice/lab/apt');
  assert.match(text, /^Dir::State::lists "\/home\/u\/.cache\/sluice\/lab\/apt\/lists";$/m);
  assert.match(text, /^Dir::Cache "\/home\/u\/.cache\/sluice\/lab\/apt\/cache";$/m);
  assert.match(text, /^#clear APT::Update::Post-Invoke;$/m);
});

test('sources name every suite of the mirror, signed when the keyring is there', () => {
  assert.equal(
    sources('http://m/debian', ['bookworm', 'bookworm-backports'], '/k.gpg'),
    'deb [signed-by=/k.gpg] http://m/debian bookworm main\ndeb [signed-by=/k.gpg] http://m/debian bookworm-backports main\n',
  );
  assert.equal(sources('http://m/debian', ['trixie'], undefined), 'deb http://m/debian trixie main\n');
});
