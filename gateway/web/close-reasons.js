// What a closed connection means to a person, and what to try.

import { CloseCode } from './connection.js';

/** For a connection that will be tried again: `{kind, title, reason, hints}`. */
export function waitingPanel({ code, reason, everOpened }) {
  if (code === CloseCode.TRY_AGAIN_LATER) {
    return {
      kind: 'warning',
      title: 'The server is busy',
      reason: sentence(reason || 'It has as many sessions as it may take'),
      hints: ['Your audio is kept meanwhile.', 'Whoever runs it can raise its limit of sessions.'],
    };
  }
  if (!everOpened) {
    return {
      kind: 'warning',
      title: 'The server cannot be reached',
      reason: 'There is no connection to it.',
      hints: ['Is it running?', 'A proxy in between must pass WebSockets on.',
        'Your audio is kept meanwhile.'],
    };
  }
  return {
    kind: 'warning',
    title: 'The connection was lost',
    reason: [CloseCode.GOING_AWAY, CloseCode.SERVICE_RESTART].includes(code)
      ? 'The server is restarting.'
      : sentence(reason || 'The network or the server went away'),
    hints: ['Keep speaking: your audio is kept and will be sent.'],
  };
}

/** For a connection that is over: `{kind, title, reason, hints}`. `error`: the last error event. */
export function closedPanel({ code, reason }, error) {
  if (error?.error === 'unknown_session') {
    return {
      kind: 'error', title: 'This session is over',
      reason: 'The server knows no session with this address.',
      hints: ['Ask the person who speaks for a new link.'],
    };
  }
  if (error?.error === 'data_corruption') {
    return {
      kind: 'error',
      title: 'Rejected: the audio arrived damaged',
      reason: error.message,
      hints: [
        'Nothing after the damaged frame was transcribed.',
        'Turn off “Corrupt every” below, if it was you.',
        'Check the network: a proxy that rewrites messages, a faulty driver or adapter.',
        'Whoever runs the server can tolerate more failures with --corruption-threshold.',
      ],
    };
  }
  if (code === CloseCode.POLICY_VIOLATION) {
    return {
      kind: 'error',
      title: 'The server closed the connection',
      reason: sentence(reason || 'It gave no reason'),
      hints: ['The page may have been too slow to read its results: keep it in the foreground.'],
    };
  }
  if (code === CloseCode.MESSAGE_TOO_BIG) {
    return {
      kind: 'error', title: 'A frame was too large', reason: sentence(reason),
      hints: ['Whoever runs the server can raise its limit of bytes in a message.'],
    };
  }
  return {
    kind: 'error',
    title: 'The session was ended',
    reason: sentence(error?.message || reason || `Close code ${code}`),
    hints: [],
  };
}

function sentence(text) {
  return /[.!?]$/.test(text) || !text ? text : `${text}.`;
}
