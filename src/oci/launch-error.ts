// The error that is the user's to mend.

/** Something the user can mend: its message is all they need. */
export class LaunchError extends Error {
  override readonly name = LAUNCH_ERROR;
  /** The exit status it asks for; the verb's own if null. */
  readonly status: number | null;

  constructor(message: string, status: number | null = null) {
    super(message);
    this.status = status;
  }
}

/** By name, because bundles that are loaded one after the other each have a class of their own. */
export function isLaunchError(error: unknown): error is LaunchError {
  return error instanceof Error && error.name === LAUNCH_ERROR;
}

const LAUNCH_ERROR = 'LaunchError';
