// What the component exports: `connector` says what it is, and `destination` has the class of its sessions.

import { content, names } from './settings.js';
import { Session } from './session.js';
import { reported } from './guarded.js';

const DESCRIPTOR = {
  format: 1,
  about: {
    name: 'javascript-collector',
    version: '0.1.0',
    summary: 'Posts each batch of records to a URL, a line for each.',
    author: 'the authors of Wharf',
    description: 'An example of a destination in JavaScript, made with componentize-js from the contract alone.',
  },
  parameters: [
    {
      name: names.url,
      type: 'string',
      required: true,
      summary: 'Where batches are posted.',
      rules: { pattern: 'https?://.+' },
    },
    {
      name: names.timeout,
      type: 'int',
      default: '10',
      summary: 'How many seconds a request may take until its answer is there.',
      rules: { min: 1, max: 600 },
    },
    { name: names.token, type: 'string', secret: true, summary: 'Sent as `authorization: Bearer`, where it is given.' },
  ],
  // A batch is one request: all of it arrives, or nothing does.
  guarantees: { order: 'batch', redelivery: 'repeats' },
  requests: [{ capability: 'http', pattern: `{${names.url}}`, reason: 'records are posted there' }],
};

export const connector = {
  describe() {
    return reported(() => JSON.stringify(DESCRIPTOR));
  },
  check(settings) {
    return reported(() => content(settings).problems);
  },
};

export const destination = { Session };
