import type { Problem } from '../problem.ts';

export const resetIncomplete: Problem = {
  id: 'reset-incomplete',
  title: 'The device does not come back after a reset',
  category: 'reset',
  severity: 'broken',
  at: 'L0',
  says: [
    {
      in: 'kernel',
      re: /not ready \d+ms after (FLR|bus reset|slot reset|secondary bus reset|pm reset|DPC|AF FLR)/i,
      example: 'vfio-pci 0000:05:00.0: not ready 65535ms after FLR; giving up',
      proof: 'seen',
    },
    {
      in: 'kernel',
      re: /timed out waiting for pending transaction; performing (function level|AF function level) reset anyway/,
      example: 'vfio-pci 0000:05:00.0: timed out waiting for pending transaction; performing function level reset anyway',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /vfio_bar_restore: .*reset recovery|reset recovery - restoring BARs/,
      example: 'vfio-pci 0000:05:00.0: vfio_bar_restore: reset recovery - restoring BARs',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /AMD-Vi: Completion-Wait loop timed out/,
      example: 'AMD-Vi: Completion-Wait loop timed out',
      proof: 'src',
    },
    {
      in: 'kernel',
      re: /Event logged \[IOTLB_INV_TIMEOUT|VT-d detected Invalidation Time-out Error/,
      example: 'AMD-Vi: Event logged [IOTLB_INV_TIMEOUT device=0b:00.0 address=0x100000000]',
      proof: 'seen',
    },
  ],
  why: 'A reset of the function or of its bus was begun, and the device answers no configuration requests, or no invalidations of its translations, for longer than the kernel waits. Some GPUs and controllers hang in a reset when they were in use; a link that trains anew takes its time too.',
  see: [
    { read: '{d}/config', when: 'first dword 0xffffffff after a reset', sure: 'certain' },
    { read: '{d}/reset_method', when: 'flr or bus on a device known to hang in it', sure: 'hint' },
  ],
  fix: [
    'try another way: write the methods that are left, such as bus or pm, to reset_method of the function',
    'start the guest once after each boot of the host, when nothing resets the device well',
    'remove the function and rescan the bus; a cold power cycle when that does not help',
  ],
  beware:
    'A single "not ready 1023ms ... waiting" is no failure: only "giving up" is. The same words after "resume" are about D3cold.',
  sources: [
    'linux:drivers/pci/pci.c pci_dev_wait()',
    'linux:drivers/vfio/pci/vfio_pci_config.c vfio_bar_restore()',
    'gh:gnif/vendor-reset#76',
  ],
  rules: [],
};
