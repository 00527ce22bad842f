"use strict";
// The query explorer. Texts come from data sets that nobody vouches for: they become text nodes, and never markup.
(() => {
  const UNKNOWN = "–";
  const HEADS = [
    { key: "query", title: "query", words: true },
    { key: "gold", title: "gold", words: true },
    { key: "zsl", title: "ZSL", words: true },
    { key: "icl", title: "ICL", words: true },
    { key: "ft", title: "FT", words: true },
    { key: "similarity", title: "similarity", words: false },
  ];

  /** An element with these properties (`data-` and `aria-` names are attributes); children that are strings are text. */
  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.includes("-") || name === "role") element.setAttribute(name, value);
      else element[name] = value;
    }
    element.append(...children);
    return element;
  }

  /** A text of its own direction, which turns nothing around it. */
  const isolated = (text, className = "") => make("bdi", { dir: "auto", className }, text);

  /** `12 %`, `0.034 %`: a share of attention with two significant digits. */
  function percent(share) {
    const text = share === 0 ? "0" : (100 * share).toPrecision(2);
    return `${text.includes("e") && share >= 0.001 ? String(Number(text)) : text.replace("-", "−")} %`;
  }

  /** `−0.013`; null is a number that was not finite. */
  const decimal = (value, places) => (value === null ? UNKNOWN : value.toFixed(places).replace("-", "−"));

  async function inflated(base64) {
    const deflated = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
    const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  /** The attention of each token: of one layer and head, or the mean over all of them (index −1). */
  function attentionOf(prompt, layer, head) {
    const { codes, values, layers, heads } = prompt;
    const tokens = codes.length / (layers * heads);
    const sums = new Float64Array(tokens);
    const all = (count, chosen) => (chosen < 0 ? [...Array(count).keys()] : [chosen]);
    const rows = all(layers, layer).flatMap((l) => all(heads, head).map((h) => (l * heads + h) * tokens));
    for (const row of rows) for (let token = 0; token < tokens; token++) sums[token] += values[codes[row + token]];
    return sums.map((sum) => sum / rows.length);
  }

  class Explorer {
    constructor(root) {
      this.root = root;
      this.data = JSON.parse(root.querySelector("script").textContent);
      // code c is 2^((c − 255) / steps); 0 is less than the smallest of these
      this.values = Float64Array.from({ length: 256 }, (_, code) => (code ? 2 ** ((code - 255) / this.data.steps) : 0));
      Object.assign(this, { place: 0, set: 0, method: 0, sort: null, descending: false, search: "", chosen: 0, turn: 0 });
      Object.assign(this, { layer: -1, head: -1, leavesOut: true });
      this.table = root.querySelector("table");
      this.details = root.querySelector(".chosen");
      this.makeChoices();
      this.makeHeads();
      this.table.tBodies[0].addEventListener("click", (event) => {
        const row = event.target.closest("tr");
        if (row?.dataset.query) this.choose(Number(row.dataset.query));
      });
      this.showWorld();
      this.details.hidden = false;
    }

    get world() { return this.data.worlds[this.place]; }
    get task() { return this.data.tasks[this.world.task]; }
    get shown() { return this.world.sets[this.set]; }

    // ---- choices above the table

    makeChoices() {
      const choices = this.root.querySelector(".choices");
      const select = (title, change) => {
        const box = make("select");
        box.addEventListener("change", () => change(Number(box.value)));
        choices.append(make("label", {}, title, box));
        return box;
      };
      this.worldBox = select("network and task", (place) => { this.place = place; this.showWorld(); });
      this.setBox = select("demonstration set", (set) => { this.set = set; this.showTable(); this.showChosen(); });
      this.methodBox = select("fine-tuning", (method) => { this.method = method; this.showTable(); });
      this.fill(this.worldBox, this.data.worlds.map((world) => world.title));
      const search = make("input", { type: "search" });
      search.addEventListener("input", () => { this.search = search.value.toLowerCase(); this.showTable(); });
      this.count = make("output", { className: "count" });
      choices.append(make("label", {}, "search texts and labels", search), this.count);
      choices.hidden = false;
    }

    fill(box, titles) {
      box.replaceChildren(...titles.map((title, place) => make("option", { value: String(place) }, title)));
      box.parentElement.hidden = titles.length < 2;
      box.parentElement.style.display = titles.length < 2 ? "none" : "";
    }

    showWorld() {
      this.set = Math.min(this.set, this.world.sets.length - 1);
      this.method = Math.min(this.method, Math.max(0, this.world.methods.length - 1));
      this.chosen = Math.min(this.chosen, this.task.texts.length - 1);
      this.fill(this.setBox, this.world.sets.map((set) => `seed ${set.seed}`));
      this.fill(this.methodBox, this.world.methods);
      this.setBox.value = String(this.set);
      this.methodBox.value = String(this.method);
      this.showTable();
      this.showChosen();
    }

    // ---- the table

    makeHeads() {
      const cells = this.table.tHead.rows[0].cells;
      HEADS.forEach(({ key, title }, place) => {
        const button = make("button", { type: "button" }, title, make("span", { "aria-hidden": "true" }, ""));
        button.addEventListener("click", () => {
          this.descending = this.sort === key && !this.descending;
          this.sort = key;
          this.showTable();
        });
        cells[place].replaceChildren(button);
      });
    }

    /** What a setting predicts of a query: its words, and whether that is wrong; or why there is no prediction. */
    prediction(setting, query) {
      if (!setting) return { text: UNKNOWN };
      if (setting.status) return { text: setting.status };
      const predicted = setting.predicted[query];
      return { text: this.task.words[predicted], wrong: predicted !== this.task.gold[query], predicted };
    }

    similarity(query) {
      const tuned = this.shown.ft[this.method];
      if (!tuned || tuned.status) return { text: UNKNOWN, value: null };
      const value = tuned.similarity[query];
      if (value === null) return { text: this.data.measured ? "below resolution" : "not measured", value };
      return { text: decimal(value, 3), value };
    }

    rows() {
      const rows = this.task.texts.map((text, query) => ({
        query,
        text,
        gold: this.task.words[this.task.gold[query]],
        zsl: this.prediction(this.world.zsl, query),
        icl: this.prediction(this.shown.icl, query),
        ft: this.prediction(this.shown.ft[this.method], query),
        similarity: this.similarity(query),
      }));
      const hit = (row) => [row.text, row.gold, row.zsl.text, row.icl.text, row.ft.text].join("\n").toLowerCase();
      return this.sorted(rows.filter((row) => hit(row).includes(this.search)));
    }

    /** By the column that was asked for; equal rows stay in the order of the data, and what has no value comes last. */
    sorted(rows) {
      if (this.sort === null) return rows;
      const sign = this.descending ? -1 : 1;
      if (this.sort === "similarity") {
        const value = (row) => row.similarity.value;
        return rows.sort((a, b) =>
          value(a) === null || value(b) === null ? (value(a) === null) - (value(b) === null) : sign * (value(a) - value(b)));
      }
      const word = (row) => (this.sort === "query" ? row.text : this.sort === "gold" ? row.gold : row[this.sort].text);
      return rows.sort((a, b) => sign * word(a).localeCompare(word(b)));
    }

    showTable() {
      HEADS.forEach(({ key }, place) => {
        const cell = this.table.tHead.rows[0].cells[place];
        const direction = this.sort !== key ? "none" : this.descending ? "descending" : "ascending";
        cell.setAttribute("aria-sort", direction);
        cell.querySelector("span").textContent = { none: " ↕", ascending: " ↑", descending: " ↓" }[direction];
      });
      const rows = this.rows();
      this.table.tBodies[0].replaceChildren(...rows.map((row) => this.row(row)));
      this.count.textContent = `${rows.length} of ${this.task.texts.length} queries`;
    }

    row({ query, text, gold, zsl, icl, ft, similarity }) {
      const choose = make("button", { type: "button", className: "choose" }, isolated(text, "clamped"));
      const cells = [choose, isolated(gold), ...[zsl, icl, ft].map((prediction) => this.predicted(prediction))];
      const row = make("tr", {}, ...cells.map((content) => make("td", { className: "text" }, content)));
      row.append(make("td", { className: similarity.value === null ? "none" : "" }, similarity.text));
      row.dataset.query = String(query);
      if (query === this.chosen) row.setAttribute("aria-current", "true");
      return row;
    }

    predicted({ text, wrong, predicted }) {
      if (predicted === undefined) return make("span", { className: "none" }, text);
      if (!wrong) return isolated(text);
      return make("span", { className: "wrong" }, make("span", { "aria-hidden": "true" }, "✗ "), isolated(text), make("span", { className: "unseen" }, " (wrong)"));
    }

    choose(query) {
      this.chosen = query;
      for (const row of this.table.tBodies[0].rows) {
        if (Number(row.dataset.query) === query) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
      this.showChosen();
    }

    // ---- the chosen query

    showChosen() {
      const turn = ++this.turn;  // what is inflated for an earlier choice comes too late
      const text = make("p", { className: "text" }, isolated(this.task.texts[this.chosen]));
      this.details.replaceChildren(make("h3", {}, `Query ${this.chosen + 1}`), text, this.labels());
      const attention = this.world.attention;
      const prompts = attention?.queries[this.chosen];
      if (!attention) return;
      if (!prompts || this.shown.seed !== attention.seed) {
        const which = attention.queries.length === 1 ? "query 1" : `queries 1 to ${attention.queries.length}`;
        const where = `The page has the attention of ${which} with the demonstration set of seed ${attention.seed}.`;
        this.details.append(make("p", { className: "note" }, `${where} Choose one of these to see its prompts.`));
        return;
      }
      this.showPrompts(attention, prompts, turn).catch((error) => {
        if (turn === this.turn) this.details.append(make("p", { className: "note" }, `This browser cannot show attention (${error.message}).`));
      });
    }

    /** The log-probability of each label word in each setting. */
    labels() {
      const { words, gold } = this.task;
      const right = gold[this.chosen];
      const heads = words.map((word, place) => make("th", { scope: "col" }, isolated(word), place === right ? " (gold)" : ""));
      const settings = [["ZSL", this.world.zsl], ["ICL", this.shown.icl], ...this.world.methods.map((method, place) => [`FT, ${method}`, this.shown.ft[place]])];
      const rows = settings.map(([title, setting]) => {
        const row = make("tr", {}, make("th", { scope: "row" }, title));
        if (setting.status) row.append(make("td", { className: "none text", colSpan: words.length }, setting.status));
        else setting.log_probs[this.chosen].forEach((value, place) => {
          const isPredicted = setting.predicted[this.chosen] === place;
          row.append(make("td", {}, isPredicted ? make("b", {}, `▸ ${decimal(value, 2)}`) : decimal(value, 2)));
        });
        return row;
      });
      const head = make("tr", {}, make("th", { scope: "col" }, "log-probability; ▸ predicted"), ...heads);
      const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
      return make("div", { className: "labels", tabIndex: 0, role: "group", "aria-label": "Label log-probabilities: table" }, table);
    }

    async showPrompts(attention, prompts, turn) {
      const codes = await Promise.all(prompts.map((prompt) => inflated(prompt.codes)));
      if (turn !== this.turn) return;
      this.panels = attention.settings.map(({ title, context }, place) =>
        new Panel(title, [...this.data.contexts[context], ...prompts[place].own], { ...attention, codes: codes[place], values: this.values }));
      this.scale = make("p", { className: "scale" });
      const about = "Shade: how much the last token of the query (framed) attends to a token, in per cent of all its " +
        "attention. Point at a token for its number, or go through the tokens with the arrow keys.";
      const figures = (isIcl) => this.panels.filter((panel) => (panel.title === "ICL") === isIcl).map((panel) => panel.figure);
      this.details.append(
        make("div", { className: "dials" }, ...this.dials(attention)),
        make("p", { className: "note" }, about), this.scale,
        make("div", { className: "prompts" }, ...figures(true), make("div", { className: "without" }, ...figures(false))),
      );
      for (const { box } of this.panels) box.scrollTop = box.scrollHeight;  // to the query, behind its demonstrations
      this.shade();
    }

    dials({ layers, heads }) {
      const dial = (name, count) => {
        const words = () => (this[name] < 0 ? `mean over ${count}` : `${this[name] + 1} of ${count}`);
        const said = make("b", { "aria-hidden": "true" }, words());
        const range = make("input", { type: "range", min: "-1", max: String(count - 1), value: String(this[name]), "aria-valuetext": words() });
        range.addEventListener("input", () => {
          this[name] = Number(range.value);
          said.textContent = words();
          range.setAttribute("aria-valuetext", words());
          this.shade();
        });
        return make("label", {}, make("span", {}, `${name} `, said), range);
      };
      this.layer = Math.min(this.layer, layers - 1);
      this.head = Math.min(this.head, heads - 1);
      const box = make("input", { type: "checkbox", checked: this.leavesOut });
      box.addEventListener("change", () => { this.leavesOut = box.checked; this.shade(); });
      const words = "leave the first token (BOS) unshaded: it usually takes most";
      return [dial("layer", layers), dial("head", heads), make("label", { className: "beside" }, box, words)];
    }

    shade() {
      const first = this.leavesOut ? 1 : 0;
      for (const panel of this.panels) panel.attention = attentionOf(panel.prompt, this.layer, this.head);
      const largest = Math.max(...this.panels.flatMap((panel) => [...panel.attention.slice(first)]));
      // by the root, so that small shares can be told apart; the scale says what a shade is
      for (const panel of this.panels) panel.shade((share) => Math.sqrt(share / largest), first);
      const swatches = [0, 1 / 16, 1 / 4, 9 / 16, 1].map((part) => {
        const swatch = make("span", {}, percent(part * largest));
        swatch.style.setProperty("--part", String(0.9 * Math.sqrt(part)));
        return swatch;
      });
      this.scale.replaceChildren("Scale, the same for all prompts:", ...swatches);
    }
  }

  /** The prompt of one setting, its tokens shaded. */
  class Panel {
    constructor(title, tokens, prompt) {
      Object.assign(this, { title, tokens, prompt, current: -1 });
      this.spans = tokens.map((token) => isolated(token.replaceAll("\n", "↵\n")));
      this.spans.at(-1).classList.add("last");
      this.readout = make("p", { className: "readout", role: "status" });
      this.most = make("p", { className: "most" });
      this.box = make("p", { className: "tokens", tabIndex: 0, role: "group", "aria-label": `${title}: tokens of the prompt` }, ...this.spans);
      const caption = make("figcaption", {}, title);
      this.figure = make("figure", { className: title === "ICL" ? "icl" : "" }, caption, this.readout, this.box, this.most);
      this.box.addEventListener("pointerover", (event) => {
        const token = this.spans.indexOf(event.target.closest("bdi"));
        if (token >= 0) this.point(token);
      });
      this.box.addEventListener("keydown", (event) => this.step(event));
      this.box.addEventListener("focus", () => { if (this.current < 0) this.point(this.spans.length - 1); });
    }

    step(event) {
      const last = this.spans.length - 1;
      const next = { ArrowRight: this.current + 1, ArrowDown: this.current + 1, ArrowLeft: this.current - 1, ArrowUp: this.current - 1, Home: 0, End: last }[event.key];
      if (next === undefined) return;
      event.preventDefault();
      this.point(Math.min(Math.max(next, 0), last));
      this.spans[this.current].scrollIntoView({ block: "nearest" });
    }

    /** Say what a token gets. */
    point(token) {
      this.spans[this.current]?.classList.remove("current");
      this.current = token;
      this.spans[token].classList.add("current");
      this.say();
    }

    say() {
      if (this.current < 0) {
        const own = `the first token gets ${percent(this.attention[0])}, the last itself ${percent(this.attention.at(-1))}`;
        this.readout.textContent = `${this.tokens.length} tokens; ${own}`;
        return;
      }
      const share = percent(this.attention[this.current]);
      this.readout.replaceChildren(`token ${this.current + 1} of ${this.tokens.length}, `, this.named(this.current), `: ${share}`);
    }

    named(token) {
      return make("span", {}, "“", isolated(this.tokens[token].replaceAll("\n", "↵")), "”");
    }

    shade(part, first) {
      this.spans.forEach((span, token) => {
        const share = token < first ? 0 : 0.9 * part(this.attention[token]);
        span.style.setProperty("--part", Number.isFinite(share) ? share.toFixed(3) : "0");
        span.classList.toggle("left-out", token < first);
      });
      const order = [...this.attention.keys()].slice(first).sort((a, b) => this.attention[b] - this.attention[a]);
      const most = order.slice(0, 5).flatMap((token, place) => [place ? " · " : "Most: ", this.named(token), ` ${percent(this.attention[token])}`]);
      this.most.replaceChildren(...most);
      this.say();
    }
  }

  for (const root of document.querySelectorAll(".explorer")) new Explorer(root);
})();
