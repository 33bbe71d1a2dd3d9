// Starts the worker, and offers a new version when there is one. A page is loaded again only when somebody asks, once.

const offer = async (...what) => (await import("./offer.js")).offer(...what);

let asked = false;

async function start() {
  // Not a module: browsers fetch those without cookies, and a proxy may let nobody through without its own.
  const known = await navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
  if (known.waiting) offerNew(known);
  known.addEventListener("updatefound", () => watch(known));
  watch(known);
  // An app on a home screen may stay open for weeks.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && navigator.onLine) known.update().catch(() => {});
  });
}

function watch(known) {
  const coming = known.installing;
  coming?.addEventListener("statechange", () => {
    if (coming.state === "installed" && known.active) offerNew(known);
  });
}

function offerNew(known) {
  offer("A new version is ready.", "Use it now", () => {
    // Another page may have asked before.
    if (!known.waiting) return location.reload();
    asked = true;
    known.waiting.postMessage({ name: "apply" });
  });
}

if ("serviceWorker" in navigator) {
  const hadOne = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (asked) {
      asked = false;
      location.reload();
    } else if (hadOne) {
      // Another page asked. Here somebody may be writing.
      offer("A new version is in use.", "Load this page again", () => location.reload());
    }
  });
  // After what the page itself needs. Where it cannot be had, pages do without one.
  addEventListener("load", () => setTimeout(() => start().catch(() => {}), 0));
}
