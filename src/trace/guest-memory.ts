// What the formatters need of a guest: its memory, which may not be there.

/** Both answer null where the memory cannot be read. */
export interface GuestMemory {
  /** Exactly `length` bytes at a user address. */
  readMemory(address: number, length: number): Uint8Array | null;
  /** The NUL-terminated byte string at a user address, without the NUL. */
  readString(address: number): string | null;
}
