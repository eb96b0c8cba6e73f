import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pictureOf } from '../../test/pictures.ts';
import { redactLog } from '../host/redact-log.ts';
import { redactCmdline } from '../host/redact-texts.ts';
import { Words } from '../host/redact-words.ts';
import { bootOptions } from './boot-options.ts';
import { bootWords } from './cmdline.ts';
import { candidatesFor } from './log-problems.ts';
import { PROBLEMS } from './problems/index.ts';

test('a line of the kernel stands for the same problems once it is redacted', () => {
  const ids = (text: string) => candidatesFor(text).map(({ problem }) => problem.id);
  let count = 0;
  for (const { says } of PROBLEMS)
    for (const message of says) {
      if (message.in !== 'kernel') continue;
      const text = message.example.split('\n')[0]!;
      const [line] = redactLog([{ at: 0, level: 6, text }], new Words());
      // What is left out was about no device.
      assert.deepEqual(line === undefined ? 'left out' : ids(line.text), ids(text), `${text} / ${line?.text}`);
      count++;
    }
  assert.ok(count > 60, `${count}`);
});

test('options that have to do with passthrough are not redacted, and what follows from them is the same', () => {
  const options =
    'intel_iommu=on,sm_on,igfx_off amd_iommu=fullflush amd_iommu_intr=legacy iommu=pt,nopt iommu.passthrough=1 iommu.strict=0 iommu.forcedac=1 intremap=nosid,no_x2apic_optout nointremap noapic nox2apic pci=noats,realloc,assign-busses pcie_acs_override=downstream,multifunction vfio-pci.ids=10de:1b81,8086:10fb:ffff:0001 vfio_iommu_type1.allow_unsafe_interrupts=1 vfio.enable_unsafe_noiommu_mode=1 kvm-intel.nested=1 kvm_amd.nested=0 ivrs_ioapic[32]=00:14.0 ivrs_ioapic=32@0000:00:14.0 modprobe.blacklist=nouveau,radeon module_blacklist=i915 hugepagesz=1G hugepages=16 default_hugepagesz=1G';
  const words = new Words();
  assert.equal(redactCmdline(options, words), options);
  const clean = redactCmdline(`BOOT_IMAGE=/vmlinuz root=UUID=1 quiet ${options} bob bob=1 i40e.bob=bob -- bob`, words);
  assert.doesNotMatch(clean, /bob/);
  assert.deepEqual(bootOptions(pictureOf({}, clean)), bootOptions(pictureOf({}, options)));
  assert.deepEqual(
    bootWords(clean)
      .map(({ text }) => text)
      .slice(3, -3),
    bootWords(options).map(({ text }) => text),
  );
  words.modules.add('i40e');
  assert.equal(redactCmdline('i40e.debug=16 i40e.name=bob nohost.debug=16', words), 'i40e.debug=16 i40e.name=redacted redacted');
});
