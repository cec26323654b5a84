// Runs a scene again and puts what came of it into the page. Without this script the form leads to
// a page of the one scene.
"use strict";
const queue = [];
let busy = false;

async function work() {
    if (busy) return;
    busy = true;
    for (let form; (form = queue.shift()); ) {
        const place = document.getElementById(form.dataset.place);
        const button = form.querySelector("button");
        place.setAttribute("aria-busy", "true");
        button.disabled = true;
        try {
            const reply = await fetch(form.action + "?part=1&" + new URLSearchParams(new FormData(form)));
            place.innerHTML = await reply.text();
        } catch (error) {
            place.textContent = "The lab does not answer: " + error.message;
        }
        button.disabled = false;
        place.removeAttribute("aria-busy");
    }
    busy = false;
}

const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        add(entry.target);
    }
});

function add(form) {
    const place = document.getElementById(form.dataset.place);
    if (!place.querySelector("table")) place.innerHTML = "<p>Its run is coming.</p>";
    if (!queue.includes(form)) queue.push(form);
    work();
}

for (const form of document.querySelectorAll("form[data-place]")) {
    form.addEventListener("submit", (event) => {
        event.preventDefault();
        add(form);
    });
    if (document.getElementById(form.dataset.place).childElementCount === 0) seen.observe(form);
}
