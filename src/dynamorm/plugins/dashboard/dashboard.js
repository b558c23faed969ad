// Fetches the figures every two seconds and puts them into the page. Texts are escaped by the server.
"use strict";
(() => {
  const state = document.getElementById("state");
  const button = document.getElementById("pause");
  let paused = false;
  let under_way = false;

  const say = (name, text) => {
    state.dataset.state = name;
    state.textContent = text;
  };

  const refresh = async () => {
    if (paused || under_way || document.hidden) return;
    under_way = true;
    try {
      const answer = await fetch("panels", { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (answer.status === 401) {
        say("lost", "open the URL with its token again");
      } else if (!answer.ok) {
        say("lost", `the dashboard answers ${answer.status}`);
      } else {
        const made = new DOMParser().parseFromString(await answer.text(), "text/html");
        const figures = made.getElementById("figures");
        if (figures && !paused) document.getElementById("figures").replaceWith(figures);
        if (!paused) say("live", "live");
      }
    } catch {
      say("lost", "no answer: the database may be closed");
    } finally {
      under_way = false;
    }
  };

  button.addEventListener("click", () => {
    paused = !paused;
    button.setAttribute("aria-pressed", String(paused));
    button.textContent = paused ? "Go on" : "Pause";
    say(paused ? "paused" : "live", paused ? "paused" : "live");
    refresh();
  });
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, 2000);
})();
