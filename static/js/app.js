// Registers the service worker and offers a new version when one is ready. The page reloads only when a person asks for
// it, and only once.

const offer = async (...args) => (await import("./offer.js")).offer(...args);

let isReloadRequested = false;

async function start() {
  // Registered as a classic script: browsers fetch a module worker without cookies, and a proxy in front of Sessile may
  // reject requests that lack its own cookie.
  const registration = await navigator.serviceWorker.register("/sw.js", { updateViaCache: "none" });
  if (registration.waiting) offerUpdate(registration);
  registration.addEventListener("updatefound", () => watch(registration));
  watch(registration);
  // An app on a home screen may stay open for weeks, so look for an update whenever it becomes visible.
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && navigator.onLine) registration.update().catch(() => {});
  });
}

function watch(registration) {
  const installing = registration.installing;
  installing?.addEventListener("statechange", () => {
    if (installing.state === "installed" && registration.active) offerUpdate(registration);
  });
}

function offerUpdate(registration) {
  offer("A new version is ready.", "Use it now", () => {
    // Another page may have activated the new version already.
    if (!registration.waiting) return location.reload();
    isReloadRequested = true;
    registration.waiting.postMessage({ name: "apply" });
  });
}

if ("serviceWorker" in navigator) {
  const hadController = Boolean(navigator.serviceWorker.controller);
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (isReloadRequested) {
      isReloadRequested = false;
      location.reload();
    } else if (hadController) {
      // Another page activated the new version. Do not reload this page unasked: somebody may be writing in it.
      offer("A new version is in use.", "Load this page again", () => location.reload());
    }
  });
  // Register after the page has loaded, so that its own files come first. Pages also work without a worker.
  addEventListener("load", () => setTimeout(() => start().catch(() => {}), 0));
}
