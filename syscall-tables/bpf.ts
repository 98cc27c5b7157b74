// A small assembler for classic BPF as seccomp(2) uses it: instructions with symbolic labels, assembled to numbers.

export const BPF_LD_W_ABS = 0x20;
export const BPF_ALU_AND_K = 0x54;
export const BPF_JMP_JA = 0x05;
export const BPF_JMP_JEQ_K = 0x15;
export const BPF_JMP_JGT_K = 0x25;
export const BPF_JMP_JGE_K = 0x35;
export const BPF_JMP_JSET_K = 0x45;
export const BPF_RET_K = 0x06;

/** The most instructions that the kernel takes (BPF_MAXINSNS). */
export const BPF_MAX_INSTRUCTIONS = 4096;

/** One instruction, the fields of struct sock_filter. */
export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

interface Pending {
  readonly code: number;
  readonly k: number;
  readonly jumps: readonly string[]; // no label: falls through
}

/** Collects instructions; a label names the instruction that is emitted next. An empty label falls through. */
export class Assembler {
  readonly #pending: Pending[] = [];
  readonly #labels = new Map<string, number>();
  #fresh = 0;

  /** A label that nobody else uses. */
  fresh(): string {
    this.#fresh++;
    return `.${this.#fresh}`;
  }

  label(name: string): void {
    if (this.#labels.has(name)) throw new Error(`label ${name} is defined twice`);
    this.#labels.set(name, this.#pending.length);
  }

  /** A = the 32-bit word of struct seccomp_data at this byte offset. */
  load(offset: number): void {
    this.#pending.push({ code: BPF_LD_W_ABS, k: offset, jumps: [] });
  }

  /** A &= mask */
  and(mask: number): void {
    this.#pending.push({ code: BPF_ALU_AND_K, k: mask >>> 0, jumps: [] });
  }

  /** if (A === value) goto equal; else goto different */
  ifEqual(value: number, equal: string, different: string): void {
    this.#pending.push({ code: BPF_JMP_JEQ_K, k: value >>> 0, jumps: [equal, different] });
  }

  /** if (A > value) goto greater; else goto other (unsigned) */
  ifGreater(value: number, greater: string, other: string): void {
    this.#pending.push({ code: BPF_JMP_JGT_K, k: value >>> 0, jumps: [greater, other] });
  }

  /** if (A >= value) goto atLeast; else goto below (unsigned) */
  ifAtLeast(value: number, atLeast: string, below: string): void {
    this.#pending.push({ code: BPF_JMP_JGE_K, k: value >>> 0, jumps: [atLeast, below] });
  }

  /** if (A & bits) goto some; else goto none */
  ifAnySet(bits: number, some: string, none: string): void {
    this.#pending.push({ code: BPF_JMP_JSET_K, k: bits >>> 0, jumps: [some, none] });
  }

  /** goto label, however far */
  jump(label: string): void {
    this.#pending.push({ code: BPF_JMP_JA, k: 0, jumps: [label] });
  }

  ret(action: number): void {
    this.#pending.push({ code: BPF_RET_K, k: action >>> 0, jumps: [] });
  }

  /** Resolves the labels. Throws on an unknown label, a backward jump, or a conditional one of more than 255. */
  assemble(): Instruction[] {
    if (this.#pending.length > BPF_MAX_INSTRUCTIONS) throw new Error('the filter is too long');
    return this.#pending.map(({ code, k, jumps }, at) => {
      const distances = jumps.map((label) => this.#distance(at, label));
      if (code === BPF_JMP_JA) return { code, jt: 0, jf: 0, k: distances[0] };
      const [jt = 0, jf = 0] = distances;
      if (jt > 255 || jf > 255) throw new Error(`instruction ${at} jumps too far`);
      return { code, jt, jf, k };
    });
  }

  #distance(at: number, label: string): number {
    if (label === '') return 0;
    const target = this.#labels.get(label);
    if (target === undefined) throw new Error(`label ${label} is not defined`);
    if (target <= at || target >= this.#pending.length) throw new Error(`bad jump from ${at} to ${label}`);
    return target - at - 1;
  }
}
