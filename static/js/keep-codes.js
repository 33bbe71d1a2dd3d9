// Prints the page with the recovery codes, and saves the codes as a text file. The buttons stay hidden without this script.
for (const button of document.querySelectorAll("[data-prints]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

for (const button of document.querySelectorAll("[data-saves]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const codes = document.getElementById(button.dataset.saves);
    const text = `${codes.dataset.head}\n\n${codes.textContent.trim()}\n`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    link.download = codes.dataset.name;
    link.click();
    // The browser reads the file after the click.
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  });
}
