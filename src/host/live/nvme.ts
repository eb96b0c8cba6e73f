import { constants } from 'node:fs';
import { entry, u8, u16, u32, u64, viewOf } from '../../bits/index.ts';
import { HostError, type NvmeAdmin } from '../host.ts';
import { errnoOf } from './errors.ts';
import type { Sys } from './sys.ts';

/** One command as the driver takes it from a program. */
const PassthruCmd = entry(
  'nvme_passthru_cmd',
  { source: 'Linux include/uapi/linux/nvme_ioctl.h', bits: 576 },
  {
    opcode: u8(0, 'Opcode'),
    flags: u8(1, 'Flags'),
    rsvd1: u16(2, 'Reserved'),
    nsid: u32(4, 'Namespace'),
    cdw2: u32(8, 'Command dword 2'),
    cdw3: u32(12, 'Command dword 3'),
    metadata: u64(16, 'Address of metadata in the process'),
    addr: u64(24, 'Address of data in the process'),
    metadata_len: u32(32, 'Bytes of metadata'),
    data_len: u32(36, 'Bytes of data'),
    cdw10: u32(40, 'Command dword 10'),
    cdw11: u32(44, 'Command dword 11'),
    cdw12: u32(48, 'Command dword 12'),
    cdw13: u32(52, 'Command dword 13'),
    cdw14: u32(56, 'Command dword 14'),
    cdw15: u32(60, 'Command dword 15'),
    timeout_ms: u32(64, 'Time limit; 0 is the driver’s own'),
    result: u32(68, 'Dword 0 of the completion'),
  },
);

/** `_IOWR('N', 0x41, struct nvme_passthru_cmd)`. */
export const NVME_IOCTL_ADMIN_CMD = { name: 'NVME_IOCTL_ADMIN_CMD', number: 0xc048_4e41 } as const;

/** The call blocks this whole process: a controller that does not answer is given up after this many milliseconds. */
const TIME_LIMIT = 15_000;

/** Admin commands through the character device of the host's nvme driver. */
export function liveNvme(sys: () => Promise<Sys>): NvmeAdmin {
  return {
    async admin(controller, command) {
      const native = await sys();
      const { dataLength = 0, ...fields } = command;
      const fd = native.open(controller, constants.O_RDONLY);
      const memory = dataLength > 0 ? native.anonymous(dataLength) : undefined;
      try {
        const cmd = PassthruCmd.encode({
          ...fields,
          addr: BigInt(memory?.address ?? 0),
          data_len: dataLength,
          timeout_ms: TIME_LIMIT,
        });
        // Above 0 is the status of the completion, without its phase bit.
        const status = native.ioctl(fd, NVME_IOCTL_ADMIN_CMD, cmd);
        const result = PassthruCmd.get.result(viewOf(cmd), 0);
        return { status, result, data: memory?.read(0, dataLength) ?? new Uint8Array(0) };
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === undefined) throw error;
        const what = `admin command 0x${command.opcode.toString(16).padStart(2, '0')} could not be sent`;
        throw new HostError(controller, errno === 'EACCES' ? `${what}: it takes CAP_SYS_ADMIN` : what, errno);
      } finally {
        memory?.close();
        native.close(fd);
      }
    },
  };
}
