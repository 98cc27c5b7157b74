// Loaded programs as files: what bpf(2) hands out.

import { O_RDWR } from '../../abi/fcntl.ts';
import { type BpfProgram, dropProgram, useProgram } from '../../kernel/device-programs.ts';
import { AnonymousInode, anonymousPath } from '../../vfs/anonymous.ts';
import { OpenFile } from '../../vfs/open-file.ts';

export class ProgramFile extends OpenFile {
  readonly program: BpfProgram;

  constructor(program: BpfProgram) {
    const inode = new AnonymousInode(0o600);
    super(anonymousPath('bpf-prog', inode), inode, O_RDWR);
    this.program = program;
    useProgram(program);
  }

  override get linkText(): string {
    return 'anon_inode:bpf-prog';
  }

  override release(): void {
    dropProgram(this.program);
  }
}
