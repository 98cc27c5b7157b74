// The outside's end of a container's control socket.

import { createConnection } from 'node:net';
import { chdir, cwd } from 'node:process';
import type { ControlAnswer, ControlRequest } from '../base/control.ts';
import { LaunchError } from './launch-error.ts';

/** Asks the sentry of a running container. Throws a LaunchError when it refuses, or is not there. */
export async function ask(directory: string, request: ControlRequest): Promise<Extract<ControlAnswer, { ok: true }>> {
  const text = await exchange(directory, `${JSON.stringify(request)}\n`);
  if (text === '') throw new LaunchError('the sandbox has ended');
  const answer = JSON.parse(text) as ControlAnswer;
  if ('error' in answer) throw new LaunchError(answer.error);
  return answer;
}

/** Sends a line and resolves to the one that comes back, or '' when there is none. */
function exchange(directory: string, line: string): Promise<string> {
  // An address is too short for the path of many a state directory.
  const before = cwd();
  chdir(directory);
  const connection = createConnection('control.sock');
  chdir(before);
  return new Promise((resolve, reject) => {
    let text = '';
    connection.setEncoding('latin1');
    connection.on('connect', () => connection.write(Buffer.from(line, 'latin1')));
    connection.on('data', (data: string) => {
      text += data;
      if (text.endsWith('\n')) connection.destroy();
    });
    connection.on('error', () => reject(new LaunchError('the container is not running')));
    connection.on('close', () => resolve(text));
  });
}
