// One request through the host's `wasi:http`, and its answer.
//
// Each resource is given back as soon as it is done with (`Symbol.dispose`): a handle that waits for the collector counts against
// `limits.handles`. That, and an end without words where nobody listens, is why this is not `fetch`.

import { handle } from 'wasi:http/outgoing-handler@0.2.12';
import { Fields, OutgoingBody, OutgoingRequest, RequestOptions } from 'wasi:http/types@0.2.12';
import { Failed } from './guarded.js';

// How many bytes a stream takes in one go at the least, by the words of `wasi:io`.
const PIECE = 4096;
// How much of an answer is read, and told to a person.
const QUOTED = 300;

// The host lets it not go there.
const DENIED = new Map([
  ['HTTP-request-denied', 'not granted: the pipeline file lets it not go there (grants, `http`)'],
  ['destination-IP-prohibited', 'the address is not a public one, and the grant does not say `private: true`'],
  ['configuration-error', 'the host is not set up for it'],
]);
// It was not sent.
const UNREACHED = new Map([
  ['DNS-timeout', 'its name cannot be looked up'],
  ['DNS-error', 'its name cannot be looked up'],
  ['destination-not-found', 'there is no host of that name'],
  ['destination-unavailable', 'the host cannot be reached'],
  ['destination-IP-unroutable', 'the host cannot be reached'],
  ['connection-refused', 'the connection was refused: nobody listens there'],
  ['connection-timeout', 'no connection within the time'],
  ['connection-limit-reached', 'the host has too many connections open'],
  ['TLS-protocol-error', 'no secure connection could be made'],
  ['TLS-certificate-error', 'its certificate is not one that is trusted'],
  ['TLS-alert-received', 'no secure connection could be made'],
]);

/** Posts a body. Gives the status, the header `retry-after`, and the beginning of the text in one line; `what` is for errors. */
export function post(what, url, headers, body, milliseconds) {
  const future = begin(what, url, headers, body, milliseconds);
  let came;
  try {
    wait(future);
    came = future.get();
  } finally {
    dispose(future);
  }
  // Ready, and asked for once: what is left is whether it went well.
  if (came.val.tag === 'err') throw trouble(what, came.val.val);
  const response = came.val.val;
  try {
    return { status: response.status(), retryAfter: header(response, 'retry-after'), text: beginning(response) };
  } finally {
    dispose(response);
  }
}

/** Sends the request, and its body. */
function begin(what, url, headers, body, milliseconds) {
  const encoder = new TextEncoder();
  const fields = Fields.fromList(Object.entries(headers).map(([name, value]) => [name, encoder.encode(value)]));
  const request = new OutgoingRequest(fields);
  request.setMethod({ tag: 'post' });
  request.setScheme({ tag: url.protocol === 'https:' ? 'HTTPS' : 'HTTP' });
  request.setAuthority(url.host);
  request.setPathWithQuery(url.pathname + url.search);
  const nanoseconds = BigInt(milliseconds) * 1_000_000n;
  const options = new RequestOptions();
  options.setConnectTimeout(nanoseconds);
  options.setFirstByteTimeout(nanoseconds);
  options.setBetweenBytesTimeout(nanoseconds);

  const outgoing = request.body();
  let future;
  try {
    future = handle(request, options);
  } catch (error) {
    dispose(outgoing);
    throw trouble(what, error.payload);
  }
  send(outgoing, body);
  return future;
}

/** Sends the body. Where it is not taken, the answer says why. */
function send(outgoing, body) {
  try {
    const stream = outgoing.write();
    try {
      for (let start = 0; start < body.length; start += PIECE) {
        stream.blockingWriteAndFlush(body.subarray(start, start + PIECE));
      }
    } finally {
      dispose(stream);
    }
    OutgoingBody.finish(outgoing, undefined);
  } catch (error) {
    if (error.payload === undefined) throw error;
  }
}

function wait(future) {
  const pollable = future.subscribe();
  try {
    pollable.block();
  } finally {
    dispose(pollable);
  }
}

/** The first value of a header of an answer. */
function header(response, name) {
  const fields = response.headers();
  try {
    const values = fields.get(name);
    return values.length > 0 ? new TextDecoder().decode(values[0]) : undefined;
  } finally {
    dispose(fields);
  }
}

/** The beginning of an answer's text, in one line. What is wrong with it is of no account: the status is there. */
function beginning(response) {
  const body = response.consume();
  const stream = body.stream();
  const decoder = new TextDecoder();
  let text = '';
  try {
    while (text.length < QUOTED) {
      text += decoder.decode(stream.blockingRead(BigInt(QUOTED)), { stream: true });
    }
  } catch (error) {
    // Its end comes as an error too.
    if (error.payload === undefined) throw error;
  } finally {
    dispose(stream);
    dispose(body);
  }
  return text.slice(0, QUOTED).split(/\s+/).join(' ').trim();
}

/** What an error of `wasi:http` means for the request. */
function trouble(what, code) {
  if (DENIED.has(code.tag)) return new Failed('fatal', `${what}: ${DENIED.get(code.tag)}`);
  if (UNREACHED.has(code.tag)) return new Failed('transient', `${what}: ${UNREACHED.get(code.tag)}`);
  // It may have been taken, and nobody said so.
  return new Failed('uncertain', `${what}: ${code.val ?? code.tag}`);
}

function dispose(resource) {
  resource[Symbol.dispose]();
}
