"use strict";
(() => {
  const button = document.getElementById("copy");
  const code = document.getElementById("code");
  const told = document.getElementById("told");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      told.textContent = "Copied.";
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      told.textContent = "Selected: copy it with the keyboard.";
    }
    setTimeout(() => { button.textContent = "Copy"; told.textContent = ""; }, 2500);
  });
  button.hidden = false;
})();
