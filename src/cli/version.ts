// The version that `--version` prints: the package's, which the bundler puts in.

import packageJson from '../../package.json' with { type: 'json' };

export const VERSION = packageJson.version;
