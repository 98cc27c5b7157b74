// What `--version` prints: lines of a name and a version, the first with our own, as clients of OCI runtimes read them.

import packageJson from '../../package.json' with { type: 'json' };
import { OCI_VERSION } from '../oci/version.ts';

/** The commit that this was built from, which the bundler puts in; empty when there was no repository. */
declare const BUILD_COMMIT: string;

const commit = BUILD_COMMIT === '' ? [] : [`commit: ${BUILD_COMMIT}`];

export const VERSION_TEXT = [
  `cloister version ${packageJson.version}`,
  ...commit,
  `spec: ${OCI_VERSION}`,
  `node: ${process.version}`,
].join('\n');
