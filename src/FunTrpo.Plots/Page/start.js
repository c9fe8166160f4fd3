"use strict";

// Shows the data that the page holds.
const data = JSON.parse(byId("data").textContent);
showReport(data);
showEpisode(data);
