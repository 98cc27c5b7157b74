// How AddressSpace.mappedFiles names a host file: as the host's own /proc/PID/maps does, "fd:00:1234".

import { deviceMajor, deviceMinor } from '../abi/stat.ts';

/** Key for a host file's st_dev and st_ino. */
export function hostFileKey(device: number, ino: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `${hex(deviceMajor(device))}:${hex(deviceMinor(device))}:${ino}`;
}
