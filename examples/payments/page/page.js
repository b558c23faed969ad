// Sends the forms of the page to the API, each with a key of its own, and keeps the page as it is now.
"use strict";

const said = (text) => { document.getElementById("said").replaceChildren(...[].concat(text)); };
const newKey = () => `page-${crypto.randomUUID()}`;

async function post(path, body, key) {
  const headers = {"content-type": "application/json", "idempotency-key": key, "x-page": "1"};
  for (let attempt = 0; ; attempt++) {
    try {
      const answer = await fetch(path, {method: "POST", headers, body: JSON.stringify(body)});
      if (answer.status !== 503 || attempt === 4) return answer;
    } catch (error) {
      if (attempt === 4) throw error; // no answer: the same key makes it safe to ask again
    }
    await new Promise((done) => setTimeout(done, 300 * 2 ** attempt));
  }
}

const why = (problem) => problem.detail + (problem.fields || []).map((one) => ` ${one.field}: ${one.message}.`).join("");

async function charge(form) {
  const data = new FormData(form);
  const card = await post("/v1/cards", {number: data.get("number"), exp_month: 12, exp_year: 2030}, newKey());
  if (!card.ok) { said(why(await card.json())); return; }
  const body = {
    amount: Number(data.get("amount")), currency: data.get("currency"), order: data.get("order"),
    card: (await card.json()).token, cvv: data.get("cvv"), capture: data.has("capture"),
  };
  const key = newKey();
  const send = async () => {
    const answer = await post("/v1/payments", body, key);
    const told = await answer.json();
    if (!told.id) { said(why(told)); return; }
    const link = Object.assign(document.createElement("a"), {href: `/pay/${told.id}`, textContent: told.id});
    const again = Object.assign(document.createElement("button"), {type: "button", textContent: "Send it again"});
    again.addEventListener("click", send);
    const replayed = answer.headers.get("idempotency-replayed") ? ", the answer of then: nothing was charged again" : "";
    said([`${answer.status} ${told.status} `, link, `${replayed}. `, again]);
    refresh();
  };
  await send();
}

async function act(form) {
  const amount = new FormData(form).get("amount");
  const answer = await post(form.dataset.path, amount ? {amount: Number(amount)} : {}, newKey());
  said(answer.ok ? `${answer.status}: done.` : why(await answer.json()));
  await refresh();
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.dataset.form) return;
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  try { await (form.dataset.form === "charge" ? charge(form) : act(form)); }
  catch { said("No answer. It is not known whether this was done: look at the list."); }
  button.disabled = false;
});

async function refresh() {
  const live = document.getElementById("live");
  if (!live || live.contains(document.activeElement)) return;
  const answer = await fetch(location.href);
  if (!answer.ok) return;
  const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("live");
  if (found && found.innerHTML !== live.innerHTML) live.innerHTML = found.innerHTML;
}

setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, 1500);
