"""An animation as one HTML file: inline SVG, buttons, and a script that shows frame after frame.

The file needs nothing from anywhere. Its content-security policy allows the style and the script
of the file itself, by their hashes, and nothing else. Without a script it shows the still frame.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

from faltung.draw.palette import PALETTES, Colours
from faltung.draw.shapes import Scene
from faltung.draw.svg import clean, rendered

__all__ = ["rendered_page"]

SCRIPT = """
"use strict";
const root = document.querySelector("main");
const frames = Number(root.dataset.frames);
const parts = [...root.querySelectorAll("[data-start]")].map(
  (node) => [node, Number(node.dataset.start), Number(node.dataset.stop)]);
const slider = root.querySelector("[name=frame]");
const speed = root.querySelector("[name=speed]");
const play = root.querySelector("[name=play]");
const count = root.querySelector("output");
let now = Number(root.dataset.still), timer = null;

function show(frame) {
  now = (frame + frames) % frames;
  for (const [node, start, stop] of parts) {
    node.classList.toggle("off", now < start || now >= stop);
  }
  slider.value = now;
  count.textContent = `${now + 1} / ${frames}`;
}
function pause() {
  clearTimeout(timer);
  timer = null;
  play.textContent = "Play";
  play.setAttribute("aria-pressed", "false");
}
function tick() {
  timer = setTimeout(() => { show(now + 1); tick(); }, 1000 / Number(speed.value));
}
function start() {
  play.textContent = "Pause";
  play.setAttribute("aria-pressed", "true");
  tick();
}
play.addEventListener("click", () => (timer === null ? start() : pause()));
for (const [name, by] of [["back", -1], ["step", 1]]) {
  const button = root.querySelector(`[name=${name}]`);
  button.addEventListener("click", () => { pause(); show(now + by); });
}
slider.addEventListener("input", () => { pause(); show(Number(slider.value)); });
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input")) return;
  if (event.key === "ArrowRight") { pause(); show(now + 1); }
  if (event.key === "ArrowLeft") { pause(); show(now - 1); }
  if (event.key === " " && !event.target.matches("button")) {
    event.preventDefault();
    play.click();
  }
});
root.querySelector("form").hidden = false;
show(0);
if (root.dataset.plays === "yes"
    && !matchMedia("(prefers-reduced-motion: reduce)").matches) start();
"""

STYLE = """
main{max-width:max-content;margin:0 auto;padding:12px;font:14px/1.4 system-ui,sans-serif}
svg{max-width:100%;height:auto;display:block}
form{display:flex;flex-wrap:wrap;gap:8px;align-items:center;padding:8px 4px}
form[hidden]{display:none}
button{font:inherit;padding:4px 14px;min-width:5em;cursor:pointer}
input[name=frame]{flex:1 1 160px}
label{display:flex;gap:6px;align-items:center}
output{min-width:5em;text-align:right;font-variant-numeric:tabular-nums}
"""

CONTROLS = """
<form hidden>
<button type="button" name="play" aria-pressed="false">Play</button>
<button type="button" name="back" aria-label="one frame back">Back</button>
<button type="button" name="step" aria-label="one frame on">Step</button>
<input type="range" name="frame" min="0" max="{last}" value="{still}" aria-label="frame">
<label>speed <input type="range" name="speed" min="0.5" max="10" step="0.5" value="{speed}"></label>
<output>{now} / {frames}</output>
</form>
"""


def rendered_page(
    scene: Scene, palette: str, theme: str, seconds: float, *, plays: bool = True
) -> str:
    """The page as text; `plays` if it begins by itself where motion is welcome."""
    svg = rendered(scene, palette, theme, is_for_page=True)
    found = re.search(r"<style>(.*?)</style>", svg, re.DOTALL)
    inline = found[1] if found else ""
    style = STYLE + _ground(palette, theme)
    frames = len(scene.frames)
    scripts = _hash(SCRIPT) if frames > 1 else "'none'"
    policy = (
        f"default-src 'none'; style-src {_hash(style)} {_hash(inline)}; "
        f"script-src {scripts}; base-uri 'none'; form-action 'none'"
    )
    script = f"<script>{SCRIPT}</script>" if frames > 1 else ""
    controls = CONTROLS.format(
        last=frames - 1,
        still=scene.still,
        now=scene.still + 1,
        frames=frames,
        speed=min(max(round(2 / seconds) / 2, 0.5), 10),
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{clean(scene.title)}</title><style>{style}</style></head>\n<body>"
        f'<main data-frames="{frames}" data-still="{scene.still}" '
        f'data-plays="{"yes" if plays else "no"}">{svg}{controls if frames > 1 else ""}</main>'
        f"{script}</body></html>\n"
    )


def _hash(text: str) -> str:
    digest = sha256(text.encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"


def _ground(palette: str, theme: str) -> str:
    choices = PALETTES[palette]

    def rule(colours: Colours) -> str:
        return f"body{{margin:0;background:{colours['ground']};color:{colours['ink']}}}"

    text = rule(choices["light" if theme == "auto" else theme])
    if theme != "auto":
        return f":root{{color-scheme:{theme}}}{text}"
    dark = f"@media(prefers-color-scheme:dark){{{rule(choices['dark'])}}}"
    return f":root{{color-scheme:light dark}}{text}{dark}"
