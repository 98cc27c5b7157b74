// All handlers by the name of their system call. A module here exports nothing else, so that the code of a call is
// found by its name; the table says what each number is called.

import * as attributes from './attributes.ts';
import * as capability from './capability.ts';

export const HANDLERS: Readonly<Record<string, unknown>> = { ...attributes, ...capability };
