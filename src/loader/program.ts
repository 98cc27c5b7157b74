// From a path to something that can be run (execve(2)): permission, the #! chain, the ELF image and its interpreter.

import { EACCES, ELIBBAD, ELOOP, ENOEXEC } from '../abi/errno.ts';
import { FAN_OPEN_EXEC, FAN_OPEN_EXEC_PERM, FAN_OPEN_PERM } from '../abi/fanotify.ts';
import { O_RDONLY } from '../abi/fcntl.ts';
import { IN_ACCESS, IN_OPEN } from '../abi/misc.ts';
import { MS_NOEXEC } from '../abi/mount.ts';
import { S_IFMT, S_IFREG } from '../abi/stat.ts';
import type { Task } from '../kernel/task.ts';
import { allocateScratch, readBytes, u8 } from '../platform/arena.ts';
import type { Path } from '../vfs/dentry.ts';
import type { Inode } from '../vfs/inode.ts';
import { askPermission, notifyFile } from '../vfs/notify.ts';
import { drop, type OpenFile } from '../vfs/open-file.ts';
import { checkAccess, MAY_EXECUTE } from '../vfs/permission.ts';
import { resolvePath } from '../vfs/walk.ts';
import { mayExecuteText } from '../vfs/write-access.ts';
import { type ElfImage, parseElf } from './elf.ts';

/** BINPRM_BUF_SIZE: how much of a file decides what it is. */
const HEAD_SIZE = 256;
const MAX_SCRIPTS = 5;

export interface Program {
  /** What runs: the last interpreter of a #! chain, or the file itself. */
  path: Path;
  image: ElfImage;
  interpreter: ElfImage | null;
  args: string[];
  /** AT_EXECFN, and the task's name: what was given to execve, if that is a script, too. */
  name: string;
  /** The file whose set-id bits and capabilities count. */
  inode: Inode;
}

/** Opens what `path` names for execution. Files stay open in the result; `closeProgram` lets go of them. */
export function loadProgram(task: Task, path: Path, name: string, args: string[]): Program | number {
  let at = path;
  let last = name;
  for (let depth = 0; ; depth++) {
    const file = openExecutable(task, at);
    if (typeof file === 'number') return file;
    const head = readHead(file);
    if (typeof head === 'number') return fail(file, head);
    if (!head.startsWith('#!')) return finish(task, file, at, name, args);
    drop(file);
    if (depth >= MAX_SCRIPTS) return -ELOOP;
    const script = parseScript(head);
    if (typeof script === 'number') return script;
    args = [script.interpreter, ...script.argument, last, ...args.slice(1)];
    last = script.interpreter;
    const next = resolvePath(task, script.interpreter);
    if (typeof next === 'number') return next;
    at = next;
  }
}

export function closeProgram(program: Program): void {
  drop(program.image.file);
  if (program.interpreter) drop(program.interpreter.file);
}

function openExecutable(task: Task, path: Path): OpenFile | number {
  const inode = path.dentry.inode as Inode;
  const r = inode.refresh();
  if (r < 0) return r;
  if ((inode.mode & S_IFMT) !== S_IFREG || path.mount.flags & MS_NOEXEC) return -EACCES;
  const allowed = checkAccess(inode, task.credentials, MAY_EXECUTE);
  if (allowed < 0) return allowed;
  const busy = mayExecuteText(inode);
  if (busy < 0) return busy;
  const file = inode.open(path, O_RDONLY);
  if (typeof file === 'number') return file;
  const denied = askPermission(task, file, FAN_OPEN_PERM) || askPermission(task, file, FAN_OPEN_EXEC_PERM);
  if (denied !== 0) {
    file.quiet = true;
    return fail(file, denied);
  }
  notifyFile(file, IN_OPEN | FAN_OPEN_EXEC);
  return file;
}

function readHead(file: OpenFile): string | number {
  const at = allocateScratch(HEAD_SIZE);
  if (at < 0) return at;
  const n = file.read(at, HEAD_SIZE, 0);
  if (n < 0) return n;
  notifyFile(file, IN_ACCESS);
  if (n < HEAD_SIZE) u8.fill(0, at + n, at + HEAD_SIZE);
  return readBytes(at, n);
}

/** The interpreter line: a path and at most one argument, which is all the rest of the line. */
function parseScript(head: string): { interpreter: string; argument: string[] } | number {
  const end = head.indexOf('\n');
  if (end < 0 && head.length >= HEAD_SIZE && !/^#![ \t]*[^ \t]+[ \t]/.test(head)) return -ENOEXEC;
  const line = (end < 0 ? head.split('\0')[0] : head.slice(0, end)).slice(2).replace(/^[ \t]+|[ \t]+$/g, '');
  const split = /[ \t]/.exec(line);
  const interpreter = (split ? line.slice(0, split.index) : line).split('\0')[0];
  if (interpreter === '') return -ENOEXEC;
  const argument = split ? [line.slice(split.index).replace(/^[ \t]+/, '')] : [];
  return { interpreter, argument };
}

function finish(task: Task, file: OpenFile, path: Path, name: string, args: string[]): Program | number {
  const image = parseElf(file);
  if (typeof image === 'number') return fail(file, image);
  let interpreter: ElfImage | null = null;
  if (image.interpreter !== null) {
    const loaded = loadInterpreter(task, image.interpreter);
    if (typeof loaded === 'number') return fail(file, loaded);
    interpreter = loaded;
  }
  return { path, image, interpreter, args, name, inode: path.dentry.inode as Inode };
}

function loadInterpreter(task: Task, name: string): ElfImage | number {
  // An empty name is the working directory's.
  const path = name === '' ? task.fs.cwd : resolvePath(task, name);
  if (typeof path === 'number') return path;
  const file = openExecutable(task, path);
  if (typeof file === 'number') return file;
  const image = parseElf(file);
  if (typeof image === 'number') return fail(file, image === -ENOEXEC ? -ELIBBAD : image);
  return image.fixed ? fail(file, -ELIBBAD) : image;
}

function fail(file: OpenFile, errno: number): number {
  drop(file);
  return errno;
}
