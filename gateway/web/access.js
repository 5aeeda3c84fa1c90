// The API key of this tab: asked for where the server wants one, kept until the tab is closed.
// Neither it nor a session's id is put into a URL: URLs end up in logs.

const STORED = 'stt-api-key';
const SUBPROTOCOL = 'stt';

/** The subprotocols that carry what is secret; `undefined` where there is nothing to carry. */
export function subprotocols({ key = '', session = '', observe = '' }) {
  const carried = [];
  if (key) carried.push(`stt.key.${key}`);
  if (session) carried.push(`stt.session.${session}`);
  if (observe) carried.push(`stt.observe.${observe}`);
  return carried.length ? [SUBPROTOCOL, ...carried] : undefined;
}

/** What the server says to a key: none (it asks for none), wanted, wrong or right. */
export async function ask(pageUrl, key, fetcher = globalThis.fetch) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetcher(new URL('access', pageUrl), { headers, cache: 'no-store' });
  return (await answer.json()).key;
}

export class Access {
  #key = '';

  /** `form` has a field `input` for the key, and `reason` says what is wrong with the last one. */
  constructor({ form, input, reason, pageUrl, storage = globalThis.sessionStorage }) {
    Object.assign(this, { form, input, reason, pageUrl, storage });
    try { this.#key = storage?.getItem(STORED) ?? ''; } catch { /* the browser keeps nothing */ }
  }

  get key() {
    return this.#key;
  }

  /** Resolves once the server takes the key, which the person may have to type first. */
  async ensure() {
    for (;;) {
      let answer;
      try {
        answer = await ask(this.pageUrl, this.#key);
      } catch {
        return; // it is away: connecting tells more
      }
      if (answer === 'none' || answer === 'right') return;
      this.#keep(await this.#fromPerson(answer === 'wrong' ? 'There is no such key.' : ''));
    }
  }

  #fromPerson(reason) {
    this.reason.textContent = reason;
    this.form.hidden = false;
    this.input.value = '';
    this.input.focus();
    return new Promise((resolve) => {
      this.form.onsubmit = (event) => {
        event.preventDefault();
        this.form.hidden = true;
        resolve(this.input.value.trim());
      };
    });
  }

  #keep(key) {
    this.#key = key;
    try { this.storage?.setItem(STORED, key); } catch { /* then it is asked for again */ }
  }
}
