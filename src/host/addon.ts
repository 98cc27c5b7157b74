// Loads the native addon (native/addon). Nothing is loaded at import time: the sentry's main calls loadAddon() once, and
// the modules that type parts of the addon (host/calls.ts, platform/native.ts) fill their live bindings then.

const binders: ((exports: object) => void)[] = [];
let loaded: object | null = null;

/** Registers what is to be done with the addon's exports; at once if they are there already. */
export function onAddonLoaded(bind: (exports: object) => void): void {
  binders.push(bind);
  if (loaded) bind(loaded);
}

/** Loads the addon from a path. Throws what dlopen(3) says if it cannot. */
export function loadAddon(path: string): void {
  if (loaded) return;
  const module: { exports: object } = { exports: {} };
  process.dlopen(module, path);
  loaded = module.exports;
  for (const bind of binders) bind(loaded);
}
