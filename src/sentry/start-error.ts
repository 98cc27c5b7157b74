// Why a program cannot be started: what whoever asked for it is told.

/** Exit status when the sandbox itself could not be made. */
export const CANNOT_START = 125;

/** A reason not to start, with the exit status that says so. */
export class StartError extends Error {
  readonly status: number;

  constructor(message: string, status: number) {
    super(message);
    this.status = status;
  }
}
