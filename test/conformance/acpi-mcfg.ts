import { buildMcfg, readMcfg } from '../../src/acpi/index.ts';
import { headerAsIasl, hex16, tableSet } from './acpi.ts';

/** MCFG tables of real machines against iasl. */
export const acpiMcfg = tableSet('mcfg', (bytes) => {
  const mcfg = readMcfg(bytes);
  if (!mcfg) return undefined;
  const { header, allocations, findings } = mcfg;
  return {
    header: headerAsIasl(header),
    iasl: {
      entries: allocations.map(({ base, segment, startBus, endBus }) => ({ base: hex16(base), segment, startBus, endBus })),
    },
    findings,
    rebuilt: buildMcfg(mcfg),
  };
});
