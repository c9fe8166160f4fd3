"use strict";

// What the pages of the server share.

/** Says on the page what is wrong; an empty text says that nothing is. */
function showNotice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = text === "";
}

/** Follows the events of a server, and calls the function of each with its data. The browser connects again by itself. */
function follow(address, functions) {
  const events = new EventSource(address);
  for (const [name, call] of Object.entries(functions)) {
    events.addEventListener(name, (event) => {
      showNotice("");
      call(JSON.parse(event.data));
    });
  }
  events.addEventListener("problem", (event) => showNotice(JSON.parse(event.data)));
  events.addEventListener("error", () => showNotice("The server does not answer. The page goes on when it does again."));
  events.addEventListener("open", () => showNotice(""));
}
