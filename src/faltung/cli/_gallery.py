"""The page of the demo: one HTML file with its style inside, beside the pictures as PNG files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import numpy as np

from faltung.cli import _shades
from faltung.cli._demo_run import Outcome
from faltung.cli._demo_words import difference, duration, speed_up, window
from faltung.typing import Array

__all__ = ["Entry", "kernel_pictures", "page"]

# Kernels up to this size are shown as numbers, larger ones as pictures.
_LARGEST_TABLE = 7


@dataclass(frozen=True)
class Entry:
    """An outcome with the names of its picture files: views by label, and kernel pictures."""

    outcome: Outcome
    views: Mapping[str, str]
    kernels: Sequence[str]


def kernel_pictures(weight: Array) -> list[Array]:
    """A weight (O, C, kh, kw) that is too large for a table of numbers, as pictures."""
    outputs, channels = weight.shape[:2]
    if channels == 1 and max(weight.shape[2:]) <= _LARGEST_TABLE:
        return []
    if channels == 1:
        return [_shades.signed(plane[0]) for plane in weight]
    strongest = np.abs(weight).reshape(outputs, -1).max(axis=1).reshape(-1, 1, 1, 1)
    return list(_shades.unit(0.5 + 0.5 * weight / strongest).transpose(0, 2, 3, 1))


def page(
    title: str, original: str, preamble: str, facts: Iterable[str], entries: Sequence[Entry]
) -> str:
    """The whole page; every text that comes from outside is escaped here."""
    return _PAGE.substitute(
        style=_STYLE,
        title=escape(title),
        original=escape(original),
        preamble=escape(preamble),
        facts="".join(f"<li>{escape(fact)}</li>" for fact in facts),
        contents="".join(_row(entry.outcome) for entry in entries),
        sections="".join(_section(entry) for entry in entries),
    )


def _row(outcome: Outcome) -> str:
    step = outcome.step
    cells = [
        window(outcome),
        duration(outcome.seconds),
        f"{step.peer_name} {duration(outcome.peer_seconds)}",
        speed_up(outcome.peer_seconds, outcome.seconds),
        f"≈ {duration(outcome.textbook.seconds)}",
        difference(outcome.largest_difference),
    ]
    return (
        f'<tr><th scope="row"><a href="#{step.name}">{escape(step.title)}</a></th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        + f"<td><code>{escape(outcome.algorithm)}</code></td></tr>"
    )


def _section(entry: Entry) -> str:
    outcome = entry.outcome
    step = outcome.step
    figures = "".join(
        f'<figure><img src="{escape(file)}" alt="{escape(step.title)}: {escape(label)}">'
        f"<figcaption>{escape(label)}</figcaption></figure>"
        for label, file in entry.views.items()
    )
    call = step.call.replace("\n", "\n" + " " * len("result = "))
    code = f"{step.setup}\nresult = {call}"
    return _SECTION.substitute(
        name=step.name,
        title=escape(step.title),
        text=escape(step.text),
        layout=_layout(list(outcome.views.values())),
        figures=figures,
        code=escape(code),
        peer=escape(step.peer),
        kernel=_kernel(entry),
        seconds=escape(duration(outcome.seconds)),
        peer_name=escape(step.peer_name),
        peer_seconds=escape(duration(outcome.peer_seconds)),
        opencv=_opencv(outcome),
        faster=escape(speed_up(outcome.peer_seconds, outcome.seconds)),
        textbook=escape(duration(outcome.textbook.seconds)),
        results=f"{outcome.textbook.results:,}",
        difference=escape(difference(outcome.largest_difference)),
        algorithm=escape(outcome.algorithm),
        report=escape(str(outcome.report)),
    )


def _opencv(outcome: Outcome) -> str:
    """OpenCV's time, where it was measured."""
    if outcome.opencv_seconds is None:
        return ""
    faster = speed_up(outcome.opencv_seconds, outcome.seconds)
    return (
        f'\n<div><dt title="{escape(outcome.step.opencv)}">OpenCV</dt>'
        f"<dd>{escape(duration(outcome.opencv_seconds))} <i>{escape(faster)} as long</i></dd></div>"
    )


def _layout(pictures: Sequence[Array]) -> str:
    """How the pictures of a step lie: a small one before others leaves them the room."""
    if len(pictures) == 3 and 2 * pictures[0].shape[1] < pictures[1].shape[1]:
        return "few"
    return {1: "one", 2: "two"}.get(len(pictures), "many")


def _kernel(entry: Entry) -> str:
    weight = entry.outcome.weight
    if weight is None:
        return ""
    if entry.kernels:
        return "".join(
            f'<img class="kernel" src="{escape(file)}" alt="kernel {number + 1}">'
            for number, file in enumerate(entry.kernels)
        )
    return "".join(_table(plane) for plane in weight[:, 0])


def _table(plane: Array) -> str:
    strength = float(np.abs(plane).max()) or 1.0
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td class="{"up" if value > 0 else "down"}" style="--s:{abs(value) / strength:.2f}">'
            + f"{value:.4g}</td>".replace("-", "−")
            for value in row
        )
        + "</tr>"
        for row in plane
    )
    return f'<table class="kernel">{rows}</table>'


_SECTION = Template("""
<section id="$name">
<h2>$title</h2>
<p>$text</p>
<div class="$layout">
<div class="figures">$figures</div>
<div class="how">
<pre><code>$code</code></pre>
<div class="weights">$kernel</div>
<dl>
<div><dt>faltung</dt><dd><b>$seconds</b></dd></div>
<div><dt>$peer_name</dt><dd>$peer_seconds <i>$faster as long</i></dd></div>$opencv
<div><dt>textbook loops</dt><dd>≈ $textbook <i>scaled up from $results results</i></dd></div>
<div><dt>largest difference to $peer_name</dt><dd>$difference</dd></div>
<div><dt>algorithm</dt><dd><code>$algorithm</code></dd></div>
</dl>
<details><summary>The same with $peer_name</summary><pre><code>$peer</code></pre></details>
<details><summary>What it costs: describe</summary><pre><code>$report</code></pre></details>
</div>
</div>
</section>""")

# No script, no network: the policy allows pictures beside the page and the style above them.
_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src 'self' file:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>faltung: $title</title>
<style>$style</style>
</head>
<body>
<header>
<div>
<h1>What a sliding window does to a picture</h1>
<p>Every picture on this page was computed by faltung from <b>$title</b>, with exactly the lines
of Python that stand beside it. SciPy or plain NumPy computed the same; the table says how far the
two are apart and how long each took.</p>
<ul>$facts</ul>
<pre><code>$preamble</code></pre>
</div>
<figure><img src="$original" alt="the picture as it was read">
<figcaption>the picture as it was read</figcaption></figure>
</header>
<div class="scroll"><table class="summary">
<thead><tr><th scope="col">step</th><th scope="col">window</th><th scope="col">faltung</th>
<th scope="col">peer</th><th scope="col">speed-up</th><th scope="col">textbook loops</th>
<th scope="col">difference</th><th scope="col">algorithm</th></tr></thead>
<tbody>$contents</tbody>
</table></div>
<p class="note">Times are the best of several runs after a first one. The textbook loops are
each operator's <code>reference</code>; they run on a small part only, and ≈ marks that time scaled
up to the whole result (for the patch detector: its products alone). The difference is the largest
absolute one to the peer. The algorithm is the one that ran.</p>
$sections
</body>
</html>
""")

_STYLE = """
:root { color-scheme: light dark; --paper: #fdfdfb; --ink: #1d1f21; --soft: #62666b;
  --line: #dcdcd6; --panel: #f3f3ee; --accent: #b8460e; --up: 222 110 40; --down: 60 120 200; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181a; --ink: #e6e4df; --soft: #9a9d9f;
  --line: #33373a; --panel: #1f2225; --accent: #f08a4b; --up: 200 95 35; --down: 60 115 190; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 72rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 2rem; line-height: 1.15; letter-spacing: -.02em; margin: 0 0 .75rem; }
h2 { font-size: 1.3rem; margin: 0 0 .25rem; }
header { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 18rem); gap: 2.5rem;
  align-items: start; margin-bottom: 2rem; }
header ul { list-style: none; margin: 0 0 1rem; padding: 0; color: var(--soft); font-size: .9rem; }
p { margin: 0 0 1rem; max-width: 44rem; overflow-wrap: anywhere; }
a { color: inherit; text-decoration-color: var(--accent); text-underline-offset: .2em; }
section { border-top: 1px solid var(--line); padding: 2rem 0 1rem; }
figure { margin: 0; min-width: 0; }
figure img { display: block; max-width: 100%; border-radius: 4px; }
figcaption { color: var(--soft); font-size: .85rem; padding-top: .35rem; }
.figures { display: grid; gap: 1rem; justify-items: start; align-items: start; }
.one, .two, .few, .many { display: grid; gap: 1.5rem; align-items: start; }
.one { grid-template-columns: minmax(0, 26rem) minmax(0, 1fr); }
.two .figures { grid-template-columns: repeat(2, minmax(0, max-content)); }
.few .figures { grid-template-columns: max-content minmax(0, 1fr) minmax(0, 1fr); }
.many .figures { grid-template-columns: repeat(3, minmax(0, 1fr)); }
pre { background: var(--panel); border: 1px solid var(--line); border-radius: 4px; margin: 0;
  padding: .75rem 1rem; overflow-x: auto; font-size: .82rem; line-height: 1.5; }
code, td { font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; }
.summary { border-collapse: collapse; width: 100%; font-size: .87rem; }
.summary th, .summary td { padding: .45rem .5rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
.summary th:first-child { text-align: left; padding-left: 0; font-weight: 500; }
.summary thead th { color: var(--soft); font-weight: 500; }
.note { color: var(--soft); font-size: .85rem; margin: .75rem 0 2.5rem; }
.how { display: grid; gap: 1rem 2rem; align-items: start;
  grid-template-columns: minmax(0, max-content) minmax(0, 1fr); }
.how pre, .how details { grid-column: 1 / -1; }
.weights { display: flex; flex-wrap: wrap; gap: .75rem; max-width: 18rem; font-size: .8rem; }
.weights:empty { display: none; }
.weights:empty + dl { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: .25rem 2rem; }
table.kernel { border-collapse: collapse; }
table.kernel td { width: 2.4rem; height: 2.4rem; text-align: center; border: 1px solid var(--line);
  background: rgb(var(--up) / calc(var(--s) * .7)); }
table.kernel td.down { background: rgb(var(--down) / calc(var(--s) * .7)); }
img.kernel { width: 4.5rem; image-rendering: pixelated; border: 1px solid var(--line); }
dl { margin: 0; font-size: .88rem; }
dl div { padding-bottom: .4rem; }
dt { color: var(--soft); font-size: .8rem; }
dd { margin: 0; }
dd i { color: var(--soft); font-style: normal; font-size: .8rem; }
details { font-size: .88rem; color: var(--soft); }
details pre { margin-top: .5rem; }
@media (max-width: 52rem) {
  header, .one, .how, .two .figures { grid-template-columns: repeat(2, minmax(0, max-content)); }
.few .figures { grid-template-columns: minmax(0, 1fr); }
}
"""
