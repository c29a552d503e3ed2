// Records as lines.

const NEWLINE = 10;

/**
 * The values of a column, each as a line. One that is absent, or has a newline in it, is refused, and the others are sent.
 *
 * The column is left as it is, and its bytes are copied once.
 */
export function lines(column) {
  const { offsets, data, validity } = column;
  const count = offsets.length - 1;
  const body = new Uint8Array(data.length + count);
  const refused = [];
  const sent = [];
  let length = 0;
  // Where the records begin that are sent and in no span yet.
  let begin = 0;
  for (let index = 0; index < count; index++) {
    const value = data.subarray(offsets[index], offsets[index + 1]);
    const absent = validity !== undefined && !((validity[index >> 3] >> (index & 7)) & 1);
    const message = absent ? 'the record has no value' : value.includes(NEWLINE) ? 'the record has a newline in it' : undefined;
    if (message === undefined) {
      body.set(value, length);
      length += value.length;
      body[length++] = NEWLINE;
      continue;
    }
    if (begin < index) sent.push({ start: begin, end: index });
    begin = index + 1;
    const failure = { kind: 'rejected', message, code: undefined, retryAfterMs: undefined };
    refused.push({ records: { start: index, end: begin }, outcome: { tag: 'failed', val: failure } });
  }
  if (begin < count) sent.push({ start: begin, end: count });
  return { body: body.subarray(0, length), refused, sent };
}
