// Keeps a countdown going that the server has begun. It counts from the moment the page arrived, so
// a phone whose clock is wrong shows the right time; without it the page says when it was made.
"use strict";
for (const place of document.querySelectorAll("[data-left]")) {
    const left = Number(place.dataset.left);
    const units = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
    const words = (seconds) => {
        let i = units.findIndex(([, length]) => seconds >= length);
        i = i < 0 ? units.length - 1 : i;
        const two = units.slice(i, i + 2).map(([name, length], k) => {
            const n = Math.floor(k ? (seconds % units[i][1]) / length : seconds / length);
            return k && !n ? "" : `${n} ${name}${n === 1 ? "" : "s"}`;
        });
        return two.join(" ").trim();
    };
    const show = () => {
        const seconds = Math.ceil((left - performance.now()) / 1000);
        place.textContent = seconds > 0 ? words(seconds) : place.dataset.open;
        if (seconds > 0) setTimeout(show, ((left - performance.now()) % 1000) + 10);
    };
    show();
}
