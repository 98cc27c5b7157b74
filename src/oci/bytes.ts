// Byte strings on the outside: what the sandbox spec carries for arguments, environment and paths. One character
// (0..255) stands for one byte, so names that are not UTF-8 survive.

/** The bytes of a text, as the spec carries them. */
export function bytesOfText(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** A byte string as Node's functions that take paths want it. */
export function pathOf(bytes: string): Buffer {
  return Buffer.from(bytes, 'latin1');
}

/** The text whose UTF-8 bytes these are, or null when they are not UTF-8. */
export function textOfBytes(bytes: string): string | null {
  const text = Buffer.from(bytes, 'latin1').toString('utf8');
  return bytesOfText(text) === bytes ? text : null;
}
