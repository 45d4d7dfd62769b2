"""How the page looks, and its one script."""

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf8; --card: #fff; --ink: #1d1f23; --soft: #666c76;
  --line: #e3e1dc; --code: #f4f2ee; --accent: #2f5fb3; --good: #1f7a45; --bad: #b3362c;
  --warn: #94610a; --add: #e2f4e6; --cut: #fbe6e4; --tool: #c98a2b; --cached: #c9c0e6;
  --prompt: #7d6bbd; }
@media (prefers-color-scheme: dark) { :root { --paper: #15171a; --card: #1c1f23; --ink: #e4e5e7;
  --soft: #979da8; --line: #2f343a; --code: #24282d; --accent: #86aef0; --good: #6cc990;
  --bad: #f08a80; --warn: #e0b060; --add: #1d3526; --cut: #40211f; --tool: #d29a45;
  --cached: #4a4169; --prompt: #9d8cdb; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-padding-top: 4.5rem; }
body { margin: 0; background: var(--paper); color: var(--ink); overflow-wrap: anywhere;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 1.5rem 1rem 5rem; }
h1 { font-size: 1.45rem; line-height: 1.3; margin: .2rem 0 1rem; white-space: pre-wrap; }
h1.long { font-size: 1rem; font-weight: 500; max-height: 20rem; overflow: auto; }
h2 { font-size: 1rem; margin: 0; } h3 { font-size: .95rem; margin: 2rem 0 .6rem; }
.over, .soft, dt, figcaption { color: var(--soft); font-size: .85rem; }
.over { letter-spacing: .04em; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr));
  gap: .7rem 1.2rem;
  margin: 0; padding: 1rem; background: var(--card); border: 1px solid var(--line);
  border-radius: .6rem; }
dd { margin: 0; }
pre, code { font: .85rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
pre { margin: .35rem 0; padding: .6rem .75rem; background: var(--code); border-radius: .4rem;
  white-space: pre-wrap; max-height: 32rem; overflow: auto; tab-size: 4; }
.prose { white-space: pre-wrap; margin: .5rem 0; max-height: 60rem; overflow: auto; }
.bar { position: sticky; top: 0; z-index: 1; background: var(--paper); padding: .6rem 0;
  display: flex; gap: .8rem; align-items: center; }
output:empty, .bar[hidden] { display: none; }
input { flex: 1; min-width: 0; font: inherit; padding: .45rem .7rem; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
input:focus-visible, summary:focus-visible, a:focus-visible { outline: 2px solid var(--accent); }
.step { margin: .8rem 0; padding: .9rem 1rem; background: var(--card);
  border: 1px solid var(--line); border-radius: .6rem; }
.step[hidden] { display: none; }
.head { display: flex; flex-wrap: wrap; gap: .2rem 1rem; align-items: baseline;
  justify-content: space-between; }
.call { margin: .8rem 0 0; padding: .1rem 0 0 .8rem; border-left: 3px solid var(--line); }
.name { font-weight: 600; font-family: ui-monospace, Menlo, Consolas, monospace; font-size: .9rem; }
.ok, .allow, .done { color: var(--good); }
.error, .denied, .deny, .malformed, .failed { color: var(--bad); }
.cancelled, .discarded, .ask, .note, .unfinished { color: var(--warn); }
.note { font-size: .9rem; margin: .5rem 0; white-space: pre-wrap; }
summary { cursor: pointer; color: var(--soft); font-size: .9rem; } details { margin: .5rem 0; }
dl.arguments { margin: .3rem 0; }
.add { background: var(--add); } .cut { background: var(--cut); } .hunk { color: var(--accent); }
.add, .cut, .hunk { display: block; } figure { margin: .6rem 0; }
img { max-width: 100%; height: auto; background: #fff; border-radius: .3rem; }
.scroll { overflow: auto; max-height: 28rem; }
table { border-collapse: collapse; width: 100%; font-size: .85rem;
  font-variant-numeric: tabular-nums; }
th { white-space: nowrap; text-align: left; font-weight: 500; color: var(--soft); }
td, th { padding: .15rem .5rem .15rem 0; }
td.n { text-align: right; white-space: nowrap; width: 1%; } td.wide { min-width: 7rem; }
a { color: var(--accent); } svg { display: block; width: 100%; height: .8rem; }
.p { fill: var(--prompt); }
.m { fill: var(--accent); } .t { fill: var(--tool); } .c { fill: var(--cached); }
.o { fill: var(--good); }
.key { display: inline-block; width: .75rem; height: .75rem;
  vertical-align: -.08rem; margin: 0 .3rem 0 .8rem; }
.key:first-child { margin-left: 0; }
@media (max-width: 36rem) { main { padding: 1rem .7rem 4rem; } .step { padding: .7rem; }
  h1 { font-size: 1.2rem; } td.wide { min-width: 5rem; } }
@media print { .bar { display: none; } pre, .scroll { max-height: none; } }
"""

SCRIPT = """
const bar = document.querySelector('.bar'), field = bar.querySelector('input');
const said = bar.querySelector('output'), steps = [...document.querySelectorAll('.step')];
const texts = steps.map(step => step.textContent.toLowerCase());
bar.hidden = false;
field.addEventListener('input', () => {
  const wanted = field.value.trim().toLowerCase();
  let shown = 0;
  steps.forEach((step, i) => {
    step.hidden = !texts[i].includes(wanted);
    shown += step.hidden ? 0 : 1;
    step.querySelectorAll('details').forEach(fold => {
      const hit = wanted && !step.hidden && fold.textContent.toLowerCase().includes(wanted);
      if (hit && !fold.open) { fold.open = true; fold.dataset.found = ''; }
      if (!hit && 'found' in fold.dataset) { fold.open = false; delete fold.dataset.found; }
    });
  });
  said.textContent = wanted ? shown + ' of ' + steps.length : '';
});
"""
