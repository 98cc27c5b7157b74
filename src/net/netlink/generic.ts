// NETLINK_GENERIC: the one family that there is, the controller "nlctrl", which tells of families and says of all others
// that they do not exist.

import { EINVAL, ENOENT, EOPNOTSUPP } from '../../abi/errno.ts';
import type { RouteObject } from '../outside/host-interfaces.ts';
import { attribute, attributeOf, NLMSG_HEADER, u16Bytes, u32Bytes } from './messages.ts';

/** Number of the controller, and of its one group. */
export const GENL_ID_CTRL = 16;
const CTRL_CMD_NEWFAMILY = '\x01';
const CTRL_CMD_GETFAMILY = 3;
const CTRL_CMD_GETPOLICY = 10;
const CTRL_VERSION = 2;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_ATTR_VERSION = 3;
const CTRL_ATTR_HDRSIZE = 4;
const CTRL_ATTR_MAXATTR = 5;
const CTRL_ATTR_OPS = 6;
const CTRL_ATTR_MCAST_GROUPS = 7;
const GENL_HEADER = 4;
const NAME = 'nlctrl';

/** An entry of a list: the operation and what it can do. */
function operation(place: number, command: number, flags: number): string {
  return attribute(place, attribute(1, u32Bytes(command)) + attribute(2, u32Bytes(flags)));
}

const CONTROLLER: RouteObject = {
  head: `${CTRL_CMD_NEWFAMILY}${String.fromCharCode(CTRL_VERSION)}\0\0`,
  attributes: new Map([
    [CTRL_ATTR_FAMILY_NAME, `${NAME}\0`],
    [CTRL_ATTR_FAMILY_ID, u16Bytes(GENL_ID_CTRL)],
    [CTRL_ATTR_VERSION, u32Bytes(CTRL_VERSION)],
    [CTRL_ATTR_HDRSIZE, u32Bytes(0)],
    [CTRL_ATTR_MAXATTR, u32Bytes(0)],
    [CTRL_ATTR_OPS, operation(1, CTRL_CMD_GETFAMILY, 0x0e) + operation(2, CTRL_CMD_GETPOLICY, 0x0c)],
    [CTRL_ATTR_MCAST_GROUPS, attribute(1, attribute(2, u32Bytes(GENL_ID_CTRL)) + attribute(1, 'notify\0'))],
  ]),
};

/** What a request asks for, or -errno. */
export function askController(type: number, dump: boolean, request: Buffer): RouteObject[] | number {
  if (type !== GENL_ID_CTRL) return -ENOENT;
  if (request.length < NLMSG_HEADER + GENL_HEADER) return -EINVAL;
  if (request[NLMSG_HEADER] !== CTRL_CMD_GETFAMILY) return -EOPNOTSUPP;
  if (dump) return [CONTROLLER];
  const id = attributeOf(request, NLMSG_HEADER + GENL_HEADER, CTRL_ATTR_FAMILY_ID);
  const name = attributeOf(request, NLMSG_HEADER + GENL_HEADER, CTRL_ATTR_FAMILY_NAME);
  if (id === null && name === null) return -EINVAL;
  const isIt = name === null ? id === u16Bytes(GENL_ID_CTRL) : name.replace(/\0.*$/s, '') === NAME;
  return isIt ? [CONTROLLER] : -ENOENT;
}
