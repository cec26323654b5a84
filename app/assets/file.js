// A file chooser above a text area: what is chosen is put into the area, to be sent like typed text.
"use strict";
document.querySelectorAll("textarea[data-file]").forEach(area => {
    const label = document.createElement("label"), chooser = document.createElement("input");
    chooser.type = "file";
    chooser.id = area.id + "-chooser";
    label.htmlFor = chooser.id;
    label.textContent = area.dataset.file;
    chooser.addEventListener("change", async () => {
        if (chooser.files[0])
            area.value = await chooser.files[0].text();
    });
    area.before(label, chooser);
});
