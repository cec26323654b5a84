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
    if (!stream) // for the hand scanner; on a phone this opens the keyboard
        code.focus();
}

document.addEventListener("submit", event => {
    if (event.target.method === "post" && event.target.getAttribute("action") === "/admin/scan") {
        event.preventDefault();
        send(event.target, event.submitter);
    }
});

// The camera is on while its button says "Stop the camera".
const camera = document.getElementById("camera"), video = camera.querySelector("video");
const trouble = document.getElementById("no-camera");
let stream = null;

async function watch(detector) {
    let last = "", until = 0;
    while (stream) {
        const [seen] = await detector.detect(video).catch(() => []); // no frame has come yet
        if (seen && stream && (seen.rawValue !== last || Date.now() > until)) {
            code.value = seen.rawValue.slice(0, 400);
            await send(form);
            last = seen.rawValue;
            until = Date.now() + 4000; // the same ticket before the camera is one scan
        }
        await new Promise(next => setTimeout(next, 100));
    }
}

async function toggle(button) {
    if (stream) {
        stream.getTracks().forEach(track => track.stop());
        stream = null;
    } else {
        stream = await navigator.mediaDevices.getUserMedia({video: {facingMode: "environment"}});
        video.srcObject = stream;
        await video.play();
        watch(new BarcodeDetector({formats: ["qr_code"]}));
    }
    camera.hidden = !stream;
    button.textContent = stream ? "Stop the camera" : "Use the camera";
}

async function reads_codes() {
    return "BarcodeDetector" in window && navigator.mediaDevices &&
        (await BarcodeDetector.getSupportedFormats()).includes("qr_code");
}

reads_codes().catch(() => false).then(can => {
    trouble.hidden = can;
    if (!can)
        return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "second";
    button.textContent = "Use the camera";
    button.addEventListener("click", () => toggle(button).catch(why => {
        trouble.textContent = `The camera cannot be used (${why.name}). ` + trouble.dataset.instead;
        trouble.hidden = false;
    }));
    form.append(button);
});
