"use strict";
(() => {
  const form = document.getElementById("filters");
  const search = document.getElementById("search");
  const count = document.getElementById("count");
  const none = document.getElementById("none");
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const selects = facts.fields.map((field) => document.getElementById(field));
  const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const rows = Array.from(document.querySelectorAll(".models > li"), (item, i) => ({
    item, text: fold(item.textContent), values: facts.models[i],
  }));
  let scheduled = false;

  selects.forEach((select, field) => {
    const totals = facts.values[field].map(() => 0);
    for (const row of rows) for (const value of row.values[field]) totals[value] += 1;
    facts.values[field].forEach((name, value) => {
      select.add(new Option(`${name} (${totals[value].toLocaleString("en")})`, name));
    });
    select.closest("label").hidden = totals.length === 0;
  });

  function show() {
    scheduled = false;
    const words = fold(search.value).split(/\s+/).filter(Boolean);
    const chosen = selects.map((select) => select.selectedIndex - 1);
    let found = 0;
    for (const row of rows) {
      const matches = words.every((word) => row.text.includes(word))
        && chosen.every((value, field) => value < 0 || row.values[field].includes(value));
      row.item.hidden = !matches;
      found += matches;
    }
    const all = rows.length === 1 ? "1 model" : `${rows.length.toLocaleString("en")} models`;
    count.textContent = found === rows.length ? all : `${found.toLocaleString("en")} of ${all}`;
    none.hidden = found > 0;
  }

  function remember() {
    const state = new URLSearchParams();
    if (search.value) state.set("q", search.value);
    for (const select of selects) if (select.value) state.set(select.id, select.value);
    if (!scheduled) requestAnimationFrame(show);
    scheduled = true;
    history.replaceState(null, "", `#${state}`);  // some browsers refuse if it is called too often
  }

  function recall() {
    const state = new URLSearchParams(location.hash.slice(1));
    search.value = state.get("q") ?? "";
    for (const select of selects) {
      select.value = state.get(select.id) ?? "";
      if (select.selectedIndex < 0) select.selectedIndex = 0;
    }
    show();
  }

  form.addEventListener("input", remember);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    search.value = "";
    for (const select of selects) select.selectedIndex = 0;
    remember();
    search.focus();
  });
  addEventListener("hashchange", () => {
    if (location.hash !== "#content") recall();  // which is the link that skips the form
  });
  form.hidden = false;
  recall();
})();
