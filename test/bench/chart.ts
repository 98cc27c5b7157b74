// The bar chart of compare.ts: one group of bars per operation, microseconds on a logarithmic axis.

import type { Row } from './compare.ts';

const WIDTH = 860;
const LEFT = 190;
const RIGHT = 60;
const TOP = 58;
const BAR = 7;
const GAP = 9;
const BOTTOM = 34;
const FONT = 'font-family="system-ui, sans-serif"';
const COLOURS: Readonly<Record<string, string>> = {
  native: '#9aa0a6',
  cloister: '#1a73e8',
  ptrace: '#8ab4f8',
  runsc: '#e8710a',
  proot: '#b06000',
};

function label(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');

function text(x: number, y: number, size: number, content: string, more = ''): string {
  return `<text x="${x}" y="${y}" font-size="${size}" fill="#3c4043" ${FONT}${more}>${escaped(content)}</text>`;
}

/** The chart as an SVG document; it brings its own background, for dark pages. */
export function chart(names: readonly string[], rows: readonly Row[], machine: string): string {
  const values = rows.flatMap(({ medians }) => names.flatMap((name) => medians[name] ?? []));
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.ceil(Math.log10(Math.max(...values)));
  const place = (value: number): number => LEFT + ((Math.log10(value) - low) / (high - low)) * (WIDTH - LEFT - RIGHT);
  const group = names.length * BAR + GAP;
  const height = TOP + rows.length * group + BOTTOM;
  const lines = [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(12, 22, 14, 'What system calls cost, in µs (logarithmic; shorter is better)', ' font-weight="600"'),
  ];
  for (const [i, name] of names.entries()) {
    lines.push(`<rect x="${LEFT + i * 110}" y="34" width="11" height="11" fill="${COLOURS[name] ?? '#000'}"/>`);
    lines.push(text(LEFT + i * 110 + 16, 44, 12, name));
  }
  for (let power = low; power <= high; power++) {
    const x = place(10 ** power);
    lines.push(`<line x1="${x}" y1="${TOP}" x2="${x}" y2="${height - BOTTOM}" stroke="#e8eaed"/>`);
    lines.push(text(x, height - BOTTOM + 13, 10, String(10 ** power), ' text-anchor="middle"'));
  }
  for (const [i, { what, medians }] of rows.entries()) {
    const y = TOP + i * group;
    lines.push(text(LEFT - 8, y + (group - GAP) / 2 + 4, 11, what, ' text-anchor="end"'));
    for (const [k, name] of names.entries()) {
      const value = medians[name];
      if (value === null || value === undefined) continue;
      const end = place(value);
      const at = y + k * BAR;
      lines.push(
        `<rect x="${LEFT}" y="${at}" width="${(end - LEFT).toFixed(1)}" height="${BAR - 1}" fill="${COLOURS[name] ?? '#000'}"/>`,
        text(Number((end + 3).toFixed(1)), at + BAR - 1, 7, label(value)),
      );
    }
  }
  lines.push(text(12, height - 6, 10, machine), '</svg>');
  return `${lines.join('\n')}\n`;
}
