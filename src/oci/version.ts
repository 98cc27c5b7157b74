// The version of the runtime specification that this is an implementation of.

export const OCI_VERSION = '1.3.0';
