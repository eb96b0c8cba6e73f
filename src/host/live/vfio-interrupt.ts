import { viewOf } from '../../bits/index.ts';
import {
  IrqInfo,
  IrqSet,
  VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_SET_IRQS,
  VFIO_PCI_MSIX_IRQ_INDEX,
  type VfioInterrupt,
} from '../../vfio/index.ts';
import { HostError } from '../host.ts';
import type { Sys } from './sys.ts';
import type { Caller } from './vfio.ts';

/** One MSI-X vector on an eventfd. */
export class MsixVector implements VfioInterrupt {
  readonly #sys: Sys;
  readonly #event: number;
  #endWait: (() => void) | undefined;
  #closed = false;

  /** @throws HostError when the function has no such vector */
  constructor(at: { sys: Sys; call: Caller; bdf: string; device: number; vector: number }) {
    const { sys, call, bdf, device, vector } = at;
    this.#sys = sys;
    const info = IrqInfo.encode({ argsz: IrqInfo.bytes, index: VFIO_PCI_MSIX_IRQ_INDEX });
    call(device, VFIO_DEVICE_GET_IRQ_INFO, info);
    const count = IrqInfo.get.count(viewOf(info), 0);
    if (vector >= count) throw new HostError(bdf, `it has ${count} MSI-X vectors, there is no vector ${vector}`, 'EINVAL');
    this.#event = sys.eventfd();
    try {
      const { eventfd } = IrqSet.values.DATA;
      const set = new Uint8Array(IrqSet.bytes + 4);
      const ACTION = IrqSet.values.ACTION.trigger;
      set.set(
        IrqSet.encode({ argsz: set.length, DATA: eventfd, ACTION, index: VFIO_PCI_MSIX_IRQ_INDEX, start: vector, count: 1 }),
      );
      viewOf(set).setInt32(IrqSet.bytes, this.#event, true);
      call(device, VFIO_DEVICE_SET_IRQS, set);
    } catch (error) {
      sys.close(this.#event);
      throw error;
    }
  }

  async wait(milliseconds: number): Promise<number> {
    if (this.#closed) throw new Error('an interrupt was waited for after its device was closed');
    if (this.#endWait) throw new Error('this interrupt is being waited for already');
    const already = this.#sys.takeEvents(this.#event);
    if (already > 0) return already;
    await new Promise<void>((done) => {
      const end = (): void => {
        clearTimeout(timer);
        stop();
        this.#endWait = undefined;
        done();
      };
      const timer = setTimeout(end, milliseconds);
      const stop = this.#sys.whenReadable(this.#event, end);
      this.#endWait = end;
    });
    return this.#closed ? 0 : this.#sys.takeEvents(this.#event);
  }

  /** Whoever waits gets 0. The vector must have been switched off. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endWait?.();
    this.#sys.close(this.#event);
  }
}

/** Switches all MSI-X vectors of a function off. */
export function switchOffMsix(call: Caller, device: number): void {
  const DATA = IrqSet.values.DATA.none;
  const ACTION = IrqSet.values.ACTION.trigger;
  call(device, VFIO_DEVICE_SET_IRQS, IrqSet.encode({ argsz: IrqSet.bytes, DATA, ACTION, index: VFIO_PCI_MSIX_IRQ_INDEX }));
}
