import { bit, entry, field, frame, hexField, onlyWith, reserved, rw, rw1c } from '../../bits/entry.ts';

// What went wrong, and the messages by which the unit tells it. VT-d 5.10 §11.4.7.

export const FSTS_REG = entry(
  'Fault Status Register',
  { source: 'VT-d 5.10 §11.4.7.1', bits: 32, offset: 0x034 },
  {
    PFO: rw1c(bit(0, 'Primary Fault Overflow')),
    PPF: bit(1, 'Primary Pending Fault'),
    RSVD_2: reserved(3, 2),
    IQE: onlyWith('ECAP.QI', rw1c(bit(4, 'Invalidation Queue Error'))),
    ICE: onlyWith('ECAP.DT', rw1c(bit(5, 'Invalidation Completion Error'))),
    ITE: onlyWith('ECAP.DT', rw1c(bit(6, 'Invalidation Time-out Error'))),
    DEP_7: reserved(7),
    FRI: field(15, 8, 'Fault Record Index'),
    RSVD_16: reserved(31, 16),
  },
);

/** Four registers that three kinds of events have alike: control, data, address, upper address. */
function eventRegisters(event: string, section: string, first: number, offset: number) {
  const about = (index: number) => ({
    source: `VT-d 5.10 §${section}.${first + index}`,
    bits: 32,
    offset: offset + index * 4,
  });
  return {
    control: entry(`${event} Event Control Register`, about(0), {
      RSVD_0: reserved(29, 0),
      IP: bit(30, 'Interrupt Pending'),
      IM: rw(bit(31, 'Interrupt Mask'), 1),
    }),
    data: entry(`${event} Event Data Register`, about(1), {
      IMD: rw(hexField(15, 0, 'Interrupt Message Data')),
      RSVD_16: reserved(31, 16),
    }),
    address: entry(`${event} Event Address Register`, about(2), {
      RSVD_0: reserved(1, 0),
      MA: rw(hexField(31, 2, 'Message Address')),
    }),
    upperAddress: entry(`${event} Event Upper Address Register`, about(3), {
      MUA: onlyWith('ECAP.EIM', rw(hexField(31, 0, 'Message Upper Address'))),
    }),
  };
}

export const {
  control: FECTL_REG,
  data: FEDATA_REG,
  address: FEADDR_REG,
  upperAddress: FEUADDR_REG,
} = eventRegisters('Fault', '11.4.7', 2, 0x038);

export const {
  control: IECTL_REG,
  data: IEDATA_REG,
  address: IEADDR_REG,
  upperAddress: IEUADDR_REG,
} = eventRegisters('Invalidation', '11.4.9', 5, 0x0a0);

export const {
  control: PECTL_REG,
  data: PEDATA_REG,
  address: PEADDR_REG,
  upperAddress: PEUADDR_REG,
} = eventRegisters('Page Request', '11.4.11', 5, 0x0e0);

/** What T1 and T2 say together, T1 being the higher bit. */
export const FAULT_TYPES = { write: 0, pageRequest: 1, read: 2, atomicOp: 3 } as const;

/** CAP_REG.NFR + 1 of them, from CAP_REG.FRO on. */
export const FRCD_REG = entry(
  'Fault Recording Register',
  { source: 'VT-d 5.10 §11.4.7.6', bits: 128 },
  {
    RSVD_0: reserved(11, 0),
    FI: frame(63, 12, 'Fault Info'),
    SID: hexField(79, 64, 'Source Identifier'),
    RSVD_80: reserved(91, 80),
    T2: bit(92, 'Type bit2'),
    PRIV: onlyWith('ECAP.PASID', bit(93, 'Privilege Mode Requested')),
    EXE: onlyWith('ECAP.PASID', bit(94, 'Execute Permission Requested')),
    PP: onlyWith('ECAP.PASID', bit(95, 'PASID Present')),
    FR: hexField(103, 96, 'Fault Reason'),
    PV: onlyWith('ECAP.PASID', hexField(123, 104, 'PASID Value')),
    AT: onlyWith('ECAP.DT', field(125, 124, 'Address Type', { untranslated: 0, translation: 1, translated: 2 })),
    T1: bit(126, 'Type bit1'),
    F: rw1c(bit(127, 'Fault')),
  },
);
