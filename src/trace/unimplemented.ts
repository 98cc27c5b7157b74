// Says once by name what a program asked for and did not get: a call, an ioctl, an option that is not implemented.

/** Where lines go: the sentry's log. */
export type LogLine = (line: string) => void;

/** How many names are remembered; more say so once, and then nothing: a guest must not fill the log. */
const NAMES_MAX = 1000;

/** One per sandbox. */
export class Unimplemented {
  readonly #seen = new Set<string>();
  readonly #log: LogLine;

  constructor(log: LogLine) {
    this.#log = log;
  }

  /** Notes that `name` (e.g. 'ioctl TIOCLINUX') is not there; `detail` is only printed the first time. */
  note(name: string, detail = ''): void {
    if (this.#seen.has(name) || this.#seen.size > NAMES_MAX) return;
    this.#seen.add(name);
    if (this.#seen.size > NAMES_MAX) this.#log('not implemented: too many different things to name');
    else this.#log(`not implemented: ${name}${detail === '' ? '' : ` (${detail})`}`);
  }

  /** The names so far, in the order in which they were first asked for. */
  names(): readonly string[] {
    return [...this.#seen];
  }
}
