// The door, better: scans are sent without leaving the page, each result is heard, and where the
// browser can decode QR codes the camera stays on. Without this file the page works by itself.
"use strict";
const form = document.getElementById("scan"), code = document.getElementById("code");
const tones = {in: [880, 1320], anyway: [880, 660], undone: [660], ask: [660, 660]};
let sound;

function play(result) {
    sound ||= new AudioContext();
    (tones[result] || [220, 165]).forEach((pitch, i) => {
        const tone = sound.createOscillator(), from = sound.currentTime + i * 0.15;
        tone.frequency.value = pitch;
        tone.connect(sound.destination);
        tone.start(from);
        tone.stop(from + 0.14);
    });
}

// Takes the result and the key of the next scan out of the page that came back.
async function send(submitted, button) {
    let page;
    try {
        const reply = await fetch(submitted.action, {
            method: "POST", body: new URLSearchParams(new FormData(submitted, button))});
        page = new DOMParser().parseFromString(await reply.text(), "text/html");
    } catch {
        page = null;
    }
    const fresh = page && page.getElementById("result");
    const result = document.getElementById("result");
    if (fresh) {
        result.replaceChildren(...fresh.childNodes);
        form.elements.scan.value = page.querySelector("#scan [name=scan]").value;
        code.value = "";
    } else {
        const word = document.createElement("p");
        word.className = "result bad word";
        word.textContent = page ? "Please log in again" : "No network: scan again, or ask by name";
        result.replaceChildren(word);
    }
    const section = result.querySelector("[data-result]");
    play(section ? section.dataset.result : "none");
    code.focus();
}

document.addEventListener("submit", event => {
    if (event.target.method === "post" && event.target.getAttribute("action") === "/admin/scan") {
        event.preventDefault();
        send(event.target, event.submitter);
    }
});

async function watch() {
    const detector = new BarcodeDetector({formats: ["qr_code"]});
    const camera = document.getElementById("camera"), video = camera.querySelector("video");
    let last = "", until = 0;
    video.srcObject = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
    await video.play();
    camera.hidden = false;
    for (;;) {
        const [seen] = await detector.detect(video);
        const now = Date.now();
        if (seen && (seen.rawValue !== last || now > until)) {
            last = seen.rawValue;
            until = now + 4000; // the same ticket before the camera is one scan
            code.value = last.slice(0, 400);
            await send(form);
        }
        await new Promise(requestAnimationFrame);
    }
}

if ("BarcodeDetector" in window && navigator.mediaDevices) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "second";
    button.textContent = "Use the camera";
    button.addEventListener("click", () => watch().then(null, () => { button.textContent = "No camera"; }));
    form.append(button);
}
