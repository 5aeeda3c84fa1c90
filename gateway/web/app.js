// The page: input → connection → text and verdicts.

import { Announcer } from './announcer.js';
import { Access } from './access.js';
import { FileInput, InputError, listMicrophones, MicrophoneInput } from './audio-input.js';
import { closedPanel, waitingPanel } from './close-reasons.js';
import { CloseCode, Connection } from './connection.js';
import { Corruption } from './corruption.js';
import { showFault } from './fault-view.js';
import { LevelMeter } from './level-meter.js';
import { Numbers } from './numbers.js';
import { Panel, saveFile } from './panel.js';
import { explainOrigin } from './provenance.js';
import { Report } from './report.js';
import { Statistics } from './statistics.js';
import { toSrt, toVtt } from './subtitle-file.js';
import { observe } from './subtitles.js';
import { Transcript } from './transcript.js';
import { explain, VerdictStrip } from './verdict-strip.js';

const $ = (id) => document.getElementById(id);

const panel = new Panel({
  panel: $('panel'), title: $('panel-title'), reason: $('panel-reason'),
  hints: $('panel-hints'), progress: $('panel-progress'), actions: $('panel-actions'),
});
const access = new Access({
  form: $('key-form'), input: $('key'), reason: $('key-reason'), pageUrl: location.href,
});
const transcript = new Transcript({
  container: $('transcript'), list: $('sentences'), partial: $('partial'), empty: $('empty'),
});
const strip = new VerdictStrip({
  strip: $('strip'), detail: $('frame-detail'), failures: $('failures'),
});
const announcer = new Announcer($('announcement'));
const meter = new LevelMeter({ meter: $('meter'), bar: $('meter-bar'), peak: $('meter-peak') });
const report = new Report({
  card: $('report'), title: $('report-title'), numbers: $('report-numbers'),
  failures: $('report-failures'), save: $('report-save'),
});
const numbers = new Numbers({
  ok: $('count-ok'), healed: $('count-healed'), unverified: $('count-unverified'),
  corrupt: $('count-corrupt'),
  sent: $('count-sent'), held: $('count-held'), resent: $('count-resent'),
  dropped: $('count-dropped'), verdictLatency: $('verdict-latency'), roundTrip: $('round-trip'),
  clock: $('clock'),
}, () => ({ statistics, buffer: connection?.buffer }));
const corruption = new Corruption();

let connection = null;
let asking = false; // the person for a key
let input = null;
let statistics = new Statistics();
let wakeLock = null;
let lastFile = null; // what to start again; null: the microphone
let lastError = null; // the event before the server disconnects
let countdown = null;

// ---- starting and stopping -------------------------------------------------------------------

async function start(file = null) {
  if (connection || asking) return;
  asking = true;
  await access.ensure();
  asking = false;
  lastFile = file;
  panel.hide();
  report.hide();
  transcript.begin();
  transcript.invite(file ? `Reading ${file.name}…` : 'Allow the microphone, then speak.');
  $('file-name').textContent = file?.name ?? NO_FILE;
  strip.clear();
  toast(transcript.isEmpty ? '' : 'A new session; the text of before is kept.');
  offerText();
  statistics = new Statistics();
  lastError = null;
  connection = new Connection({
    pageUrl: location.href, key: access.key, handlers, mends: $('heal').checked,
  });
  connection.algorithm = $('algorithm').value;
  const mine = connection;
  const options = {
    onSamples: (samples, rate) => {
      if (mine !== connection) return; // the end of an input that was given up
      meter.show(samples);
      mine.send(samples, rate);
    },
    onEnd: (reason) => { toast(reason); finish(); },
    congested: () => mine.congested,
  };
  const source = file
    ? new FileInput({ file, fast: $('file-fast').checked, ...options })
    : new MicrophoneInput({ deviceId: $('microphone').value, ...options });
  input = source;
  setState('starting', file ? `Reading ${file.name}…` : 'Allow the microphone…');
  let problem = null;
  await source.start().catch((error) => { problem = error; });
  if (mine !== connection) { // the person gave up while the browser asked
    source.stop();
  } else if (problem) {
    mine.abort();
    showInputError(problem);
  } else {
    mine.open();
    refreshMicrophones(); // labels are known from now on
    keepScreenOn(mine);
  }
}

async function keepScreenOn(mine) {
  const lock = await navigator.wakeLock?.request('screen').catch(() => null);
  if (mine === connection) wakeLock = lock;
  else lock?.release();
}

/** The person presses Stop: once for the last sentence to come, twice to leave it. */
function stop() {
  if (!input || document.body.dataset.state === 'starting') connection.abort();
  else finish();
}

/** No more audio comes; what was said is still transcribed. */
async function finish() {
  if (!input) return;
  const ended = input;
  input = null;
  setState('ending', 'Finishing…');
  const mine = connection;
  await ended.stop();
  meter.rest();
  mine.finish();
}

function leave() {
  $('share').hidden = true; // nobody could follow any more
  transcript.invite('Press Start and speak.');
  input?.stop();
  input = null;
  connection = null;
  clearInterval(countdown);
  meter.rest();
  wakeLock?.release();
  wakeLock = null;
}

function showInputError(error) {
  const known = error instanceof InputError
    ? error : new InputError('The audio cannot be read', `${error.name}: ${error.message}`);
  panel.show({ kind: 'error', title: known.title, reason: known.message, hints: known.hints });
  setState('idle', 'Ready');
}

// ---- what the connection says ----------------------------------------------------------------

const handlers = {
  tamper: (samples) => corruption.apply(samples),

  onState(state) {
    clearInterval(countdown);
    switch (state.name) {
      case 'connecting': lastError = null; setState('connecting', 'Connecting…'); break;
      case 'open':
        panel.hide();
        setState('open', 'Listening');
        transcript.invite(lastFile ? `Listening to ${lastFile.name}…` : 'Listening: speak now.');
        break;
      case 'ending': setState('ending', 'Finishing…'); break;
      case 'waiting': showWaiting(state); break;
      case 'closed': showClosed(state); break;
    }
  },

  onSession({ session, verify, renewed, resumed, missing }) {
    $('share').href = `/#observe=${encodeURIComponent(session)}`;
    $('share').hidden = false;
    if (resumed) toast(missing ? `Reconnected; ${missing} frames were lost.` : 'Reconnected.');
    if (renewed) transcript.renew();
    if (renewed) toast('The server had restarted: what it did not finish was sent again.');
    if (!verify) {
      panel.show({
        kind: 'info', title: 'This server does not verify audio',
        reason: 'Frames are transcribed, but their checksums are not compared.',
        hints: ['Start it with --verify-data-integrity.'],
      });
    }
  },

  onSent(sent) {
    statistics.frameSent(sent, performance.now());
    strip.sent(sent);
    numbers.update();
  },

  onDropped(total) {
    toast(`The server is away for too long: ${total} frames were dropped.`);
    numbers.update();
  },

  onEvent(event) {
    switch (event.type) {
      case 'realtime': transcript.showPartial(event.text); break;
      case 'fullSentence':
        explainOrigin(transcript.addSentence(event), event.provenance);
        offerText();
        break;
      case 'verdict':
        statistics.verdict(event, connection.epoch, performance.now());
        strip.verdict(event, connection.epoch);
        if (event.verdict === 'corrupt') announcer.corrupt(explain(event));
        break;
      case 'healed':
        statistics.healed();
        strip.healed(event, connection.epoch);
        showFault($('last-fault'), event);
        break;
      case 'error':
        if (event.action === 'disconnect') lastError = event;
        else toast(event.message);
        break;
      case 'retention': toast(event.message); break;
      case 'sequence': toast(`The server missed audio: expected frame ${event.expected}, got ${
        event.got} (${event.kind}).`); break;
      case 'transcriber': showTranscriber(event); break;
      case 'report': report.show(event); announcer.say(report.summary); break;
    }
    numbers.update();
  },
};

function showTranscriber({ state, replayed = 0 }) {
  if (state === 'waiting') {
    setState('open', 'Waiting for a transcriber; your words will come');
  } else {
    setState('open', 'Listening');
    if (replayed) toast(`The transcriber was replaced and heard ${replayed} frames again.`);
  }
}

function showWaiting(state) {
  setState('waiting', state.busy ? 'Waiting for a place' : 'Reconnecting…');
  if (state.everOpened && state.attempt === 1 && !state.busy) return; // perhaps it is over at once
  const until = performance.now() + state.retryInMs;
  panel.show({
    ...waitingPanel(state),
    actions: [
      ['Try now', () => connection?.retryNow()],
      ['Give up', () => connection?.abort()],
    ],
  });
  const tick = () => {
    const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    panel.showProgress(`Next try in ${seconds} s.`);
  };
  tick();
  countdown = setInterval(tick, 1000);
}

function showClosed(state) {
  leave();
  const givenUpHere = state.code === CloseCode.NORMAL && !state.reason;
  if (state.finished || givenUpHere) {
    panel.hide();
    transcript.showPartial('');
    setState('idle', state.finished ? 'Finished' : 'Ready');
  } else {
    setState('failed', 'Disconnected');
    panel.show({
      ...closedPanel(state, lastError),
      actions: [['Start a new session', () => start(lastFile)]],
    });
  }
  numbers.update();
}

// ---- showing ---------------------------------------------------------------------------------

const NO_FILE = 'Choose an audio file…';
const LABELS = { idle: 'Start', failed: 'Start', ending: 'Stop now' };

function setState(state, text) {
  if (input === null && state === 'open') return; // still finishing
  document.body.dataset.state = state;
  $('status-dot').dataset.state = state;
  $('status-text').textContent = text;
  const streaming = !['idle', 'failed'].includes(state);
  $('record').dataset.state = streaming ? 'on' : 'idle';
  $('record-label').textContent = LABELS[state] ?? 'Stop';
  for (const id of ['microphone', 'file', 'file-fast', 'algorithm', 'heal']) $(id).disabled = streaming;
  $('corrupt-next').disabled = !streaming;
}

function toast(text) {
  $('toast').textContent = text;
}

/** Offers to copy, clear and save what there is. */
function offerText() {
  for (const id of ['copy', 'clear']) $(id).disabled = transcript.isEmpty;
  for (const id of ['save-vtt', 'save-srt']) $(id).hidden = transcript.cues.length === 0;
}

async function refreshMicrophones() {
  const select = $('microphone');
  const chosen = select.value;
  const microphones = await listMicrophones();
  const known = microphones.filter(({ id }) => id);
  select.replaceChildren(new Option('Default microphone', ''), ...known.map(({ id, label }, i) =>
    new Option(label || `Microphone ${i + 1}`, id)));
  select.value = known.some(({ id }) => id === chosen) ? chosen : '';
}

async function copyText() {
  try {
    await navigator.clipboard.writeText(transcript.text);
    toast('Copied.');
  } catch {
    getSelection().selectAllChildren($('sentences'));
    toast('Selected: press Ctrl+C to copy.');
  }
}

// ---- controls --------------------------------------------------------------------------------

function connectControls() {
  $('record').addEventListener('click', () => (connection ? stop() : start()));
  $('file').addEventListener('change', () => {
    const [file] = $('file').files;
    if (file) start(file);
    $('file').value = '';
  });
  $('copy').addEventListener('click', copyText);
  $('clear').addEventListener('click', () => { transcript.clear(); offerText(); });
  $('save-vtt').addEventListener('click', () =>
    saveFile('transcript.vtt', 'text/vtt', toVtt(transcript.cues)));
  $('save-srt').addEventListener('click', () =>
    saveFile('transcript.srt', 'application/x-subrip', toSrt(transcript.cues)));
  $('corrupt-next').addEventListener('click', () => corruption.next());
  const every = () => corruption.every(
    $('corrupt-every').checked ? $('corrupt-interval').valueAsNumber : 0);
  $('corrupt-every').addEventListener('change', every);
  $('corrupt-interval').addEventListener('change', every);

  for (const name of ['dragover', 'dragleave', 'drop']) {
    document.addEventListener(name, (event) => {
      event.preventDefault();
      document.body.classList.toggle('dropping', name === 'dragover');
      const file = name === 'drop' && event.dataTransfer.files[0];
      if (file) start(file);
    });
  }
  navigator.mediaDevices?.addEventListener('devicechange', refreshMicrophones);
  addEventListener('hashchange', () => location.reload());
  addEventListener('online', () => connection?.retryNow());
  refreshMicrophones();
  $('record').focus({ preventScroll: true });
}

const observed = new URLSearchParams(location.hash.slice(1)).get('observe')
  ?? new URLSearchParams(location.search).get('observe');
setState('idle', 'Ready');
if (observed) observe(observed, { access, panel, transcript, setState, toast });
else connectControls();
