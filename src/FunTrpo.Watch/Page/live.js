"use strict";

// Follows a run: fills its page again whenever its files change, and plays its policy as it is now.
const address = (path) => `/run/${path}${location.search}`;

const again = element("button", "", "Play the current policy");
again.type = "button";
byId("policy-text").after(again);
let isAsked = false;

async function playCurrent() {
  again.disabled = true;
  try {
    const response = await fetch(address("episode"));
    if (response.ok) showEpisode(await response.json());
  } catch {
    // The server is gone, which the page says already.
  }
  again.disabled = false;
}

function show(data) {
  document.title = `${data.environment} – training run`;
  showReport(data);
  if (!isAsked) {
    isAsked = true;
    playCurrent();
  }
}

again.addEventListener("click", playCurrent);
follow(address("events"), { report: show });
