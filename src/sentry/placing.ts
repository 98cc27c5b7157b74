// A zygote for a container that joined the sandbox: a blank of the sandbox's own, which the process that stands for the
// container outside puts into the container's cgroup on the host. What descends from it is counted and bounded there.

import { POLLIN } from '../abi/poll.ts';
import type { HostFd, HostPid } from '../base/brands.ts';
import { host } from '../host/calls.ts';
import { unwatchHostFd, watchHostFd } from '../platform/host-events.ts';
import { type Blank, firstZygote, Zygote } from '../platform/zygote.ts';

/** A blank on its way into the cgroup. */
export class Placing {
  private blank: Blank | null = null;
  private wanted = true;

  /** `ask` is told the process that is to be placed, now or later. */
  constructor(ask: (process: HostPid) => void) {
    firstZygote.claimBlank((blank) => {
      if (!this.wanted) return blank.discard();
      this.blank = blank;
      ask(blank.hostPid);
    });
  }

  /** It is there: the zygote, or null if that is not so. `gone` is told when its process has ended. */
  placed(gone: () => void): Zygote | null {
    const { blank } = this;
    const pidfd = (blank ? host.pidfd_open(blank.hostPid, 0) : -1) as HostFd;
    if (!blank || pidfd < 0) return null;
    this.blank = null;
    const zygote = Zygote.of(blank);
    watchHostFd(pidfd, POLLIN, {
      ready() {
        unwatchHostFd(pidfd);
        host.close(pidfd);
        zygote.gone();
        gone();
      },
    });
    return zygote;
  }

  /** Nobody waits for it any more. */
  cancel(): void {
    this.wanted = false;
    this.blank?.discard();
    this.blank = null;
  }
}
