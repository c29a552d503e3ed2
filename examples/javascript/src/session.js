// A session: one request for each batch, its records as lines.

import { get } from 'wharf:connector/context@0.1.0';
import { post } from './http.js';
import { Failed, guarded } from './guarded.js';
import { content } from './settings.js';
import { lines } from './lines.js';

export class Session {
  static open(settings) {
    return guarded(() => {
      const session = new Session();
      Object.assign(session, content(settings));
      session.pipeline = get('pipeline') ?? '';
      return session;
    });
  }

  write(batch) {
    return guarded(() => {
      const { body, refused, sent } = lines(batch.after);
      if (sent.length > 0) this.send(batch, body);
      return { delivered: sent, verdicts: refused };
    });
  }

  /** Posts the lines of a batch. What is wrong with the answer is wrong with all of them. */
  send(batch, body) {
    const headers = {
      'content-type': 'application/x-ndjson',
      // The same where the same part of a cut comes again: a server that remembers it takes it once.
      'idempotency-key': `"${this.pipeline}:${batch.id}:${batch.start}:${batch.count}"`,
    };
    if (this.token !== undefined) headers.authorization = `Bearer ${this.token}`;
    const what = `POST ${this.url.origin}${this.url.pathname}`;
    const answer = post(what, this.url, headers, body, this.milliseconds);
    if (answer.status >= 200 && answer.status < 300) return;
    const seconds = /^\d+$/.exec(answer.retryAfter ?? '')?.[0];
    const wait = seconds === undefined ? undefined : Number(seconds) * 1000;
    const reason = answer.text === '' ? 'no reason given' : answer.text;
    throw new Failed(kind(answer.status, wait), `${what}: ${answer.status}: ${reason}`, String(answer.status), wait);
  }

  ack() {}

  close() {}
}

/** What a status means for the records of a request. */
function kind(status, wait) {
  if (status === 429 || (status === 503 && wait !== undefined)) return 'throttled';
  if (status === 401 || status === 403 || status === 407) return 'unauthorized';
  // Whoever passed it on had no answer: it may have taken effect behind them.
  if (status === 502 || status === 504) return 'uncertain';
  if (status === 408 || status >= 500) return 'transient';
  // A redirection is not followed: it would lead where nothing is granted.
  return status < 400 ? 'fatal' : 'rejected';
}
