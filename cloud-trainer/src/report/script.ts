/**
 * The page's script. Without it every player keeps the browser's own controls; with it a player has a
 * button, a slider, and a line that runs through its spectrogram. One player sounds at a time.
 */
export const SCRIPT = `
"use strict";
const clock = (s) => Number.isFinite(s) ? Math.floor(s / 60) + ":" + (s % 60).toFixed(1).padStart(4, "0") : "–";
const cards = [...document.querySelectorAll("[data-card]")];
for (const card of cards) {
	const audio = card.querySelector("audio");
	const player = card.querySelector(".player");
	const label = audio.getAttribute("aria-label");
	const button = document.createElement("button");
	button.type = "button";
	button.innerHTML = '<svg class="play" viewBox="0 0 16 16" aria-hidden="true"><path d="M4 2v12l10-6z"/></svg><svg class="pause" viewBox="0 0 16 16" aria-hidden="true"><path d="M3 2h4v12H3zM9 2h4v12H9z"/></svg>';
	const slider = Object.assign(document.createElement("input"), { type: "range", min: 0, max: 1, step: 0.01, value: 0 });
	slider.setAttribute("aria-label", "Position in " + label);
	const time = document.createElement("output");
	audio.controls = false;
	player.append(button, slider, time);
	const head = card.querySelector(".head");
	const sound = card.querySelector(".sound img");
	const show = () => {
		const at = audio.currentTime, all = audio.duration;
		slider.max = Number.isFinite(all) ? all : 1;
		slider.value = at;
		slider.setAttribute("aria-valuetext", clock(at) + " of " + clock(all));
		time.value = clock(at) + " / " + clock(all);
		if (head) head.style.left = (all > 0 ? at / all : 0) * sound.clientWidth + "px";
		card.classList.toggle("playing", !audio.paused);
		card.classList.toggle("begun", at > 0);
		button.setAttribute("aria-label", (audio.paused ? "Play " : "Pause ") + label);
	};
	const follow = () => { show(); if (!audio.paused) requestAnimationFrame(follow); };
	button.onclick = () => {
		if (!audio.paused) return audio.pause();
		for (const other of cards) if (other !== card) other.querySelector("audio").pause();
		audio.play();
	};
	slider.oninput = () => { audio.currentTime = Number(slider.value); show(); };
	if (sound) sound.onclick = (e) => { audio.currentTime = (e.offsetX / sound.clientWidth) * audio.duration; show(); };
	audio.onplay = follow;
	audio.onpause = audio.onloadedmetadata = audio.onseeked = show;
	audio.onended = () => { audio.currentTime = 0; show(); };
	show();
}
`;
