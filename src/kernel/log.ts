// The kernel's log, which programs of the sandbox write to and read (/dev/kmsg, syslog(2)). The kernel itself has
// nothing to say in it. Old records make room for new ones.

import { monotonicNow } from '../base/clock.ts';
import { WaitQueue } from '../base/wait-queue.ts';

export interface LogRecord {
  readonly sequence: number;
  /** Facility and level of syslog(3), combined as there. */
  readonly priority: number;
  /** Monotonic, in microseconds. */
  readonly time: number;
  /** Without the newline at the end. */
  readonly text: string;
}

/** What is kept, in bytes of text, each record with this much more. */
export const LOG_SIZE = 65536;
const RECORD_OVERHEAD = 32;

const records: LogRecord[] = [];
let kept = 0;
let next = 0;
let cleared = 0;

/** Woken when there is a new record. */
export const logQueue = new WaitQueue();

/** Sequence numbers: of the oldest record that is kept, and of the one that will come next. */
export function firstLogged(): number {
  return next - records.length;
}
export function nextLogged(): number {
  return next;
}

/** Older ones are passed over by readers of all that is there, since SYSLOG_ACTION_CLEAR. */
export function firstUncleared(): number {
  return Math.max(cleared, firstLogged());
}
export function clearLog(): void {
  cleared = next;
}

/** The record of that number, if it is kept. */
export function logged(sequence: number): LogRecord | undefined {
  return records[sequence - firstLogged()];
}

export function appendToLog(priority: number, text: string, events: number): void {
  records.push({ sequence: next++, priority, time: Math.floor(monotonicNow() / 1000), text });
  kept += text.length + RECORD_OVERHEAD;
  while (kept > LOG_SIZE) kept -= (records.shift() as LogRecord).text.length + RECORD_OVERHEAD;
  logQueue.wake(events);
}

/** A record as syslog(2) gives it: priority, time in seconds, text; each line of it for itself. */
export function syslogLines({ priority, time, text }: LogRecord): string {
  const seconds = String(Math.floor(time / 1e6)).padStart(5);
  const head = `<${priority}>[${seconds}.${String(time % 1e6).padStart(6, '0')}] `;
  return text
    .split('\n')
    .map((line) => `${head}${line}\n`)
    .join('');
}
