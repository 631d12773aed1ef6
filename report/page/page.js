"use strict";
// The page of a run. Everything is in the file: nothing is fetched. Text goes into
// the page as text only, never as HTML.
(() => {
  const root = document.documentElement, pages = [...document.querySelectorAll("main")];
  const $ = (sel, of = document) => of.querySelector(sel), $$ = (sel, of = document) => [...of.querySelectorAll(sel)];
  const make = (tag, text, cls) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };
  root.classList.add("js");

  // ---- which page is shown
  const drawn = new Map();
  function show() {
    const id = decodeURIComponent(location.hash.slice(1)) || "index";
    const page = document.getElementById(id), main = page && page.closest("main") || pages[0];
    for (const p of pages) p.hidden = p !== main;
    document.title = (main.dataset.name ? main.dataset.name + " · " : "") + root.dataset.title;
    if (main !== pages[0]) { scrollTo(0, 0); open(main); }
    if (show.once) main.focus({ preventScroll: true });
    show.once = true;
  }
  addEventListener("hashchange", show);

  // ---- the table of trials
  let state = "";
  const find = $("#find"), bars = new Map($$(".phases [data-trial]").map(row => [row.dataset.trial, row]));
  function filter() {
    const text = find.value.toLowerCase();
    for (const tr of $$(".trials tbody tr")) {
      tr.hidden = state && tr.dataset.state !== state || !tr.textContent.toLowerCase().includes(text);
      const row = bars.get(tr.dataset.trial);
      if (row) row.hidden = tr.hidden;
    }
  }
  find.addEventListener("input", filter);
  for (const b of $$(".filter")) b.addEventListener("click", () => {
    state = state === b.dataset.state ? "" : b.dataset.state;
    for (const o of $$(".filter")) o.setAttribute("aria-pressed", o.dataset.state === state);
    filter();
  });

  for (const b of $$(".copy")) b.addEventListener("click", async () => {
    const code = b.parentElement.querySelector("code"), was = b.textContent;
    try { await navigator.clipboard.writeText(code.textContent); b.textContent = "copied"; } catch {
      // A page from a file may be refused the clipboard: select it instead.
      getSelection().selectAllChildren(code); b.textContent = "selected";
    }
    setTimeout(() => { b.textContent = was; }, 1500);
  });

  // ---- a trial's events
  async function unpack(id) {
    const text = atob(document.getElementById(id).textContent), bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const d = JSON.parse(await new Response(plain).text());
    for (let i = 1; i < d.t.length; i++) d.t[i] += d.t[i - 1];
    d.at = new Map(d.seq.map((s, i) => [s, i]));
    return d;
  }
  async function open(main) {
    const section = $(".lanes", main);
    if (!section || drawn.has(main)) return;
    drawn.set(main, null);
    try {
      const d = await unpack(section.dataset.block), lanes = new Lanes(section, d, main);
      drawn.set(main, lanes);
      events(main, d, lanes); logs(main, d, lanes);
      for (const b of $$(".jump", main)) b.addEventListener("click", () => lanes.jump(+b.dataset.seq));
      main.dataset.ready = "yes";
    } catch (err) { $(".detail", section).textContent = "The lanes cannot be drawn by this browser: " + err; }
  }

  const seconds = us => (us < 0 ? "−" : "+") + (Math.abs(us) / 1e6).toFixed(3) + " s";
  const styleNames = {
    answered: "answered at once", waited: "held, then answered", timeout: "timed out", refused: "refused", error: "error", open: "no end",
    up: "up", booting: "booting", draining: "after the fault", dialing: "dials", linked: "connected", backoff: "waits for its next try",
    starting: "starts", running: "runs", stopping: "stops", beat: "heartbeat", fault: "fault", held: "held", lost: "lost on the wire", noise: "CPU busy",
  };
  // From these zooms on a step of the axis is so many microseconds.
  const ticks = [1, 2, 5].flatMap((m, i) => [0, 1, 2, 3, 4, 5, 6, 7].map(e => m * 10 ** e)).sort((a, b) => a - b);

  const top = 42; // of the first lane; above it are the axis and what its lines are called

  class Lanes {
    constructor(section, d, main) {
      Object.assign(this, { section, d, main, canvas: $("canvas", section), tip: $(".tip", section), detail: $(".detail", section), sel: -1, touches: new Map() });
      this.ctx = this.canvas.getContext("2d");
      this.end = Math.max(1, d.t[d.t.length - 1] || 1);
      this.witness = new Set($$(".jump", main).map(b => d.at.get(+b.dataset.seq)));
      this.layout(); this.listen(); this.fit(); this.legend();
    }
    layout() {
      const { d } = this;
      this.rows = d.rows.map(r => ({ lane: r.Lane, name: r.Name, marks: [], bars: [] }));
      // Marks last, those that say something above plain ones, as they are drawn in this order.
      d.t.forEach((t, i) => { if (d.styles[d.style[i]] !== "end") this.rows[d.row[i]].marks.push(i); });
      for (let b = 0; b < d.bars.n; b++) this.rows[d.bars.row[b]].bars.push(b);
      let y = top, lane = "";
      for (const r of this.rows) {
        if (r.lane !== lane) { y += 6; r.head = y; y += 17; lane = r.lane; }
        r.y = y; r.h = 17; y += 18;
      }
      this.height = y + 6;
    }
    // Colours are the page's, so that they follow the scheme and the paper.
    colours() {
      const css = getComputedStyle(root), get = n => css.getPropertyValue("--" + n).trim();
      this.colour = Object.fromEntries(this.d.styles.map(s => [s, get(s) || get("note")]));
      for (const n of ["fg", "muted", "rule", "soft", "card", "fault", "answered", "focus"]) this["c_" + n] = get(n);
    }
    resize() {
      const width = this.canvas.parentElement.clientWidth, ratio = devicePixelRatio || 1;
      if (!width) return;
      this.width = width; this.gutter = width < 560 ? 84 : 150; this.right = width - 14;
      this.canvas.width = width * ratio; this.canvas.height = this.height * ratio; this.canvas.style.height = this.height + "px";
      this.ctx.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.colours(); this.draw();
    }
    fit() { this.v0 = -this.end * 0.01; this.v1 = this.end * 1.01; this.resize(); }
    outage() {
      const { d } = this, health = this.healthy();
      this.v0 = d.origin - 5e5; this.v1 = Math.max(health + 4e6, d.origin + 2e6); this.draw();
    }
    healthy() {
      const row = this.rows.find(r => r.lane === "gateway" && r.name === "/health");
      const after = row ? row.bars.map(b => this.d.bars.t[b]).filter(t => t >= this.d.origin) : [];
      return after.length ? after[after.length - 1] : this.d.origin;
    }
    x(t) { return this.gutter + (t - this.v0) / (this.v1 - this.v0) * (this.right - this.gutter); }
    t(x) { return this.v0 + (x - this.gutter) / (this.right - this.gutter) * (this.v1 - this.v0); }
    zoom(by, x = (this.gutter + this.right) / 2) {
      const at = this.t(x), span = Math.min(this.end * 1.5, Math.max(20, (this.v1 - this.v0) * by)), f = span / (this.v1 - this.v0);
      this.v0 = at - (at - this.v0) * f; this.v1 = this.v0 + span; this.later();
    }
    pan(by) {
      const span = this.v1 - this.v0, to = Math.min(this.end - span * 0.1, Math.max(-span * 0.9, this.v0 + by));
      this.v0 = to; this.v1 = to + span; this.later();
    }
    later() { if (!this.due) this.due = requestAnimationFrame(() => { this.due = 0; this.draw(); }); }

    draw() {
      const { ctx, d } = this;
      if (!this.width) return;
      ctx.fillStyle = this.c_card; ctx.fillRect(0, 0, this.width, this.height);
      this.axis();
      ctx.save(); ctx.beginPath(); ctx.rect(this.gutter, 0, this.right - this.gutter, this.height); ctx.clip();
      for (const r of this.rows) { this.drawBars(r); this.drawMarks(r); }
      this.line(d.origin, this.c_fault, "fault"); const h = this.healthy(); if (h > d.origin) this.line(h, this.c_answered, "/health ok");
      this.drawChosen(); ctx.restore(); this.names();
    }
    axis() {
      const { ctx } = this, span = this.v1 - this.v0, want = span / ((this.right - this.gutter) / 90);
      const step = ticks.find(s => s >= want) || 1e8, from = Math.ceil((this.v0 - this.d.origin) / step) * step;
      ctx.font = "12px system-ui, sans-serif"; ctx.textAlign = "center"; ctx.textBaseline = "middle";
      for (let o = from; o + this.d.origin < this.v1; o += step) {
        const x = Math.round(this.x(o + this.d.origin)) + 0.5;
        if (x < this.gutter) continue;
        ctx.strokeStyle = this.c_rule; ctx.beginPath(); ctx.moveTo(x, top - 18); ctx.lineTo(x, this.height); ctx.stroke();
        ctx.fillStyle = this.c_muted;
        const digits = step >= 1e6 ? 0 : step >= 1e5 ? 1 : step >= 1e4 ? 2 : 3;
        const text = step < 1e3 ? (o / 1e3).toFixed(step < 10 ? 3 : step < 100 ? 2 : 1) + " ms" : (o / 1e6).toFixed(digits) + " s";
        if (x < this.right - 20) ctx.fillText(text.replace("-", "−"), x, 12);
      }
    }
    names() {
      const { ctx } = this;
      ctx.fillStyle = this.c_card; ctx.fillRect(0, top, this.gutter, this.height); ctx.textAlign = "left"; ctx.textBaseline = "middle";
      for (const r of this.rows) {
        if (r.head) {
          ctx.strokeStyle = this.c_rule; ctx.beginPath(); ctx.moveTo(0, r.head - 2.5); ctx.lineTo(this.width, r.head - 2.5); ctx.stroke();
          ctx.font = "600 12px system-ui, sans-serif"; ctx.fillStyle = this.c_fg; ctx.fillText(r.lane, 12, r.head + 8);
        }
        ctx.font = "12px system-ui, sans-serif"; ctx.fillStyle = this.c_muted; ctx.fillText(this.fitted(r.name), 12, r.y + r.h / 2 + 0.5);
      }
    }
    fitted(text) {
      const room = this.gutter - 18;
      if (this.ctx.measureText(text).width <= room) return text;
      while (text.length > 1 && this.ctx.measureText(text + "…").width > room) text = text.slice(0, -1);
      return text + "…";
    }
    line(t, colour, text) {
      const { ctx } = this, x = Math.round(this.x(t)) + 0.5;
      if (x < this.gutter || x > this.right) return;
      ctx.strokeStyle = colour; ctx.globalAlpha = 0.8; ctx.setLineDash([4, 3]); ctx.beginPath(); ctx.moveTo(x, top - 18); ctx.lineTo(x, this.height); ctx.stroke(); ctx.setLineDash([]);
      ctx.globalAlpha = 1; ctx.font = "12px system-ui, sans-serif"; ctx.textAlign = "left"; ctx.fillStyle = colour; ctx.fillText(text, x + 4, top - 10);
    }
    // What falls on a pixel that is already drawn in its colour is left out: however
    // long the history, a row costs no more than it is wide.
    drawBars(r) {
      const { ctx, d } = this;
      let lastX = -1, lastStyle = -1;
      for (const b of r.bars) {
        const t = d.bars.t[b], e = t + d.bars.d[b];
        if (t > this.v1) break;
        if (e < this.v0) continue;
        const x = Math.max(this.x(t), this.gutter - 2), w = Math.max(1.5, Math.min(this.x(e), this.right + 2) - x), style = d.bars.style[b];
        if (w < 2 && style === lastStyle && x - lastX < 1) continue;
        lastX = x; lastStyle = style;
        const level = d.bars.level[b], h = level === undefined ? r.h - 4 : Math.max(1, (r.h - 4) * level / 100), label = d.bars.label[b];
        ctx.fillStyle = this.colour[d.styles[style]]; ctx.fillRect(x, r.y + 2 + (r.h - 4 - h), w > 5 ? w - 1 : w, h);
        if (label && w > 40) {
          ctx.save(); ctx.beginPath(); ctx.rect(x, r.y, w - 4, r.h); ctx.clip();
          ctx.font = "11px system-ui, sans-serif"; ctx.textAlign = "left"; ctx.fillStyle = d.styles[style] === "step" ? this.c_fg : this.c_card; ctx.fillText(label, x + 5, r.y + r.h / 2 + 0.5); ctx.restore();
        }
      }
    }
    drawMarks(r) {
      const { ctx, d } = this, list = r.marks;
      let i = this.first(list, this.v0), lastX = -9, lastStyle = -1;
      for (; i < list.length; i++) {
        const e = list[i], t = d.t[e];
        if (t > this.v1) break;
        const x = this.x(t), style = d.style[e];
        if (x - lastX < 1 && style === lastStyle) { if (x - lastX < 0.5) continue; }
        lastX = x; lastStyle = style;
        ctx.fillStyle = this.colour[d.styles[style]];
        const name = d.styles[style], tall = name !== "note" && name !== "log" && name !== "frame";
        ctx.fillRect(x - 1, r.y + (tall ? 1 : 4), 2, r.h - (tall ? 2 : 8));
      }
    }
    // The place of the first event at t or later, in a list of events or among all.
    first(list, t) {
      let lo = 0, hi = (list || this.d.t).length;
      while (lo < hi) { const mid = lo + hi >> 1; if (this.d.t[list ? list[mid] : mid] < t) lo = mid + 1; else hi = mid; }
      return lo;
    }
    drawChosen() {
      const { ctx, d } = this;
      const diamond = (i, colour) => {
        const x = this.x(d.t[i]), r = this.rows[d.row[i]], y = r.y + r.h / 2;
        ctx.beginPath(); ctx.moveTo(x, y - 7); ctx.lineTo(x + 6, y); ctx.lineTo(x, y + 7); ctx.lineTo(x - 6, y); ctx.closePath();
        ctx.fillStyle = this.c_card; ctx.strokeStyle = colour; ctx.lineWidth = 2; ctx.fill(); ctx.stroke(); ctx.lineWidth = 1;
      };
      for (const i of this.witness) if (i !== undefined && i !== this.sel) diamond(i, this.c_fg);
      if (this.sel < 0) return;
      const x = this.x(d.t[this.sel]);
      ctx.strokeStyle = this.c_focus; ctx.globalAlpha = 0.6; ctx.beginPath(); ctx.moveTo(x, top - 18); ctx.lineTo(x, this.height); ctx.stroke(); ctx.globalAlpha = 1;
      diamond(this.sel, this.c_focus);
    }
    legend() {
      const used = new Set(this.rows.flatMap(r => [...r.marks.map(i => this.d.style[i]), ...r.bars.map(b => this.d.bars.style[b])]).map(s => this.d.styles[s]));
      const p = $(".lanekey", this.section);
      for (const [s, name] of Object.entries(styleNames)) if (used.has(s)) {
        const span = make("span"), key = make("i", "", "key"); key.style.background = `var(--${s})`; span.append(key, name); p.append(span);
      }
    }

    // ---- what is under the pointer: the nearest mark, else the bar
    hit(x, y) {
      const r = this.rows.find(r => y >= r.y && y < r.y + 18);
      if (!r || x < this.gutter) return null;
      const { d } = this, t = this.t(x), reach = (this.v1 - this.v0) / (this.right - this.gutter) * 7, at = this.first(r.marks, t);
      let best = -1;
      for (const i of [at - 1, at]) if (i >= 0 && i < r.marks.length && Math.abs(d.t[r.marks[i]] - t) <= reach && (best < 0 || Math.abs(d.t[r.marks[i]] - t) < Math.abs(d.t[best] - t))) best = r.marks[i];
      let bar = -1;
      for (const b of r.bars) { if (d.bars.t[b] > t + reach) break; if (d.bars.t[b] + d.bars.d[b] >= t - reach) bar = b; }
      if (best >= 0) return { event: best };
      return bar >= 0 ? { bar, event: d.bars.from[bar] } : null;
    }
    tell(hit) {
      const { d } = this;
      if (hit.bar === undefined) return d.words[hit.event];
      const b = hit.bar, style = d.styles[d.bars.style[b]], to = d.bars.to[b], lasts = (d.bars.d[b] / 1e6).toFixed(3) + " s";
      if (style === "noise") return `CPU ${d.bars.level[b]} % busy for ${lasts}`;
      return `${styleNames[style] || style}, ${lasts}: ${d.words[hit.event]}` + (to >= 0 ? " → " + d.words[to] : "");
    }
    hover(x, y) {
      const hit = this.hit(x, y);
      this.tip.hidden = !hit;
      if (!hit) return;
      this.tip.textContent = seconds(d0(this, hit)) + "  " + this.tell(hit);
      this.tip.style.top = y + 18 + "px";
      this.tip.style.left = Math.max(8, Math.min(x + 12, this.width - this.tip.offsetWidth - 8)) + "px";
    }
    choose(i, text) {
      const { d } = this;
      if (i < 0 || i >= d.t.length) return;
      this.sel = i;
      this.detail.replaceChildren(make("b", "event " + d.seq[i]), ` ${seconds(d.t[i] - d.origin)} from the fault, ${d.parties[d.party[i]]}: ${text || d.words[i]}`);
      const span = this.v1 - this.v0;
      if (d.t[i] < this.v0 || d.t[i] > this.v1) { this.v0 = d.t[i] - span / 2; this.v1 = this.v0 + span; }
      this.later();
    }
    jump(seq) {
      const i = this.d.at.get(seq);
      if (i === undefined) return;
      this.v0 = this.d.t[i] - 5e5; this.v1 = this.d.t[i] + 5e5; this.choose(i);
      this.section.scrollIntoView({ block: "start" }); this.canvas.focus({ preventScroll: true });
    }
    step(by) { this.choose(this.sel < 0 ? this.first(null, this.v0) : this.sel + by); }
    do(what) {
      ({ in: () => this.zoom(0.6), out: () => this.zoom(1 / 0.6), fit: () => this.fit(), outage: () => this.outage(), prev: () => this.step(-1), next: () => this.step(1) })[what]();
    }

    listen() {
      const c = this.canvas, keys = {
        ArrowLeft: () => this.pan(-(this.v1 - this.v0) / 10), ArrowRight: () => this.pan((this.v1 - this.v0) / 10),
        "+": () => this.zoom(0.6), "=": () => this.zoom(0.6), "-": () => this.zoom(1 / 0.6), 0: () => this.fit(), Home: () => this.fit(),
        o: () => this.outage(), n: () => this.step(1), p: () => this.step(-1), Escape: () => { this.sel = -1; this.tip.hidden = true; this.later(); },
      };
      c.addEventListener("keydown", e => { if (keys[e.key] && !e.ctrlKey && !e.metaKey && !e.altKey) { keys[e.key](); e.preventDefault(); } });
      for (const b of $$("[data-do]", this.section)) b.addEventListener("click", () => this.do(b.dataset.do));
      c.addEventListener("wheel", e => {
        // Only where it is meant: a page must scroll past its pictures.
        if (!e.ctrlKey && document.activeElement !== c) return;
        e.preventDefault(); this.tip.hidden = true;
        if (Math.abs(e.deltaX) > Math.abs(e.deltaY)) this.pan(e.deltaX / this.width * (this.v1 - this.v0));
        else this.zoom(Math.exp(Math.max(-60, Math.min(60, e.deltaY)) / 200), e.offsetX);
      }, { passive: false });
      const at = e => { const box = c.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
      c.addEventListener("pointerdown", e => { this.touches.set(e.pointerId, at(e)); this.moved = 0; this.grab(); c.setPointerCapture(e.pointerId); });
      c.addEventListener("pointermove", e => {
        const [x, y] = at(e);
        if (!this.touches.has(e.pointerId)) { this.hover(x, y); return; }
        this.moved += Math.abs(x - this.touches.get(e.pointerId)[0]); this.touches.set(e.pointerId, [x, y]); this.tip.hidden = true; this.drag();
      });
      const up = e => {
        const was = this.touches.get(e.pointerId); this.touches.delete(e.pointerId); this.grab();
        if (!was || e.type !== "pointerup" || this.moved > 4) return;
        const hit = this.hit(...was);
        if (hit) this.choose(hit.event, this.tell(hit));
      };
      c.addEventListener("pointerup", up); c.addEventListener("pointercancel", up); c.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    }
    // A finger, or two: the times under them stay under them.
    grab() { this.grabbed = [...this.touches.values()].slice(0, 2).map(([x]) => this.t(x)); }
    drag() {
      const xs = [...this.touches.values()].slice(0, 2).map(([x]) => x), wide = this.right - this.gutter;
      if (xs.length === 2 && Math.abs(xs[1] - xs[0]) > 8) {
        const per = (this.grabbed[1] - this.grabbed[0]) / (xs[1] - xs[0]);
        if (per > 0 && per * wide < this.end * 1.5 && per * wide > 20) { this.v0 = this.grabbed[0] - (xs[0] - this.gutter) * per; this.v1 = this.v0 + wide * per; this.later(); }
      } else if (xs.length === 1) { this.pan(this.grabbed[0] - this.t(xs[0])); this.grab(); }
    }
  }
  const d0 = (l, hit) => (hit.bar === undefined ? l.d.t[hit.event] : l.d.bars.t[hit.bar]) - l.d.origin;

  // ---- lists that grow by what is asked for
  const portion = 200;
  function list(section, body, count, text, line) {
    const input = $("input", section), more = $(".more", section);
    let found = [], shown = 0;
    const add = () => {
      body.append(...found.slice(shown, shown + portion).map(line)); shown = Math.min(found.length, shown + portion);
      more.hidden = shown >= found.length; more.textContent = `more (${shown} of ${found.length})`;
    };
    const fill = () => {
      const want = input.value.toLowerCase();
      found = []; shown = 0; body.replaceChildren();
      for (let i = 0; i < count(); i++) if (!want || text(i).toLowerCase().includes(want)) found.push(i);
      add();
    };
    input.oninput = fill; more.onclick = add;
    return fill;
  }
  function events(main, d, lanes) {
    const details = $("details.list", main), fill = list(details, $("tbody", details), () => d.t.length, i => d.words[i] + " " + d.parties[d.party[i]], i => {
      const tr = make("tr"), td = make("td", undefined, "num"), b = make("button", d.seq[i]);
      b.type = "button"; b.addEventListener("click", () => lanes.jump(d.seq[i])); td.append(b);
      tr.append(td, make("td", seconds(d.t[i] - d.origin), "num"), make("td", d.parties[d.party[i]]), make("td", d.words[i]));
      return tr;
    });
    details.addEventListener("toggle", () => { if (details.open) fill(); }, { once: true });
  }
  function logs(main, d, lanes) {
    const section = $(".logs", main), tabs = $(".tabs", section), pre = $("pre", section);
    let log;
    const fill = list(section, pre, () => log.n, i => log.line[i], i => {
      const line = make("span", undefined, log.stream[i]); line.append(make("span", seconds(log.t[i] - d.origin) + "  "), document.createTextNode(log.line[i] + "\n"));
      line.style.color = "inherit"; return line;
    });
    d.logs.forEach((l, n) => {
      const tab = make("button", `${l.party} (${l.n})`); tab.type = "button"; tab.setAttribute("role", "tab");
      tab.addEventListener("click", () => {
        for (const o of tabs.children) o.setAttribute("aria-selected", o === tab);
        log = l; $(".ending", section).textContent = l.party + ": " + l.end; fill();
      });
      tabs.append(tab); if (!n) tab.click();
    });
    if (!d.logs.length) section.hidden = true;
  }

  const redraw = () => { for (const l of drawn.values()) if (l) l.resize(); };
  addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("beforeprint", () => { root.classList.add("paper"); redraw(); });
  addEventListener("afterprint", () => { root.classList.remove("paper"); redraw(); });
  show();
})();
