// The command line with all loaded that reads a configuration: bin/cloister starts the snapshot of this one for the verbs
// that do. Others would have to read it for nothing (4 ms).

import '../oci/create.ts';
import '../oci/exec.ts';
import '../oci/run.ts';
import './main.ts';
