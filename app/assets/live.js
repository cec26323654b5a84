// The dashboard, better: the part that changes comes over a stream instead of by loading again.
"use strict";
const live = document.querySelector("[data-stream]");
const stream = new EventSource(live.dataset.stream);
stream.addEventListener("live", event => {
    if (!live.contains(document.activeElement)) // who is on a link in it, stays there
        live.innerHTML = event.data;
});
