// Subtitles on another screen: follows somebody's session without sending audio.

import { closedPanel, waitingPanel } from './close-reasons.js';
import { Connection } from './connection.js';

export async function observe(session, { access, panel, transcript, setState, toast }) {
  document.body.dataset.mode = 'observer';
  transcript.invite('Waiting for somebody to speak…');
  let lastError = null;
  await access.ensure();
  const connection = new Connection({
    pageUrl: location.href,
    key: access.key,
    observe: session,
    handlers: {
      onState(state) {
        switch (state.name) {
          case 'connecting': setState('connecting', 'Connecting…'); break;
          case 'open': panel.hide(); setState('observing', 'Subtitles'); break;
          case 'waiting':
            setState('waiting', 'Reconnecting…');
            panel.show({ ...waitingPanel(state), hints: [],
              actions: [['Try now', () => connection.retryNow()]] });
            break;
          case 'closed':
            if (state.finished || state.code === 1000) setState('idle', 'The session has ended');
            else {
              setState('failed', 'Disconnected');
              panel.show(closedPanel(state, lastError));
            }
            break;
        }
      },
      onEvent(event) {
        if (event.type === 'realtime') transcript.showPartial(event.text);
        else if (event.type === 'fullSentence') transcript.addSentence(event);
        else if (event.type === 'error' && event.action === 'disconnect') lastError = event;
        else if (event.type === 'error') toast(event.message);
      },
    },
  });
  connection.open();
}
