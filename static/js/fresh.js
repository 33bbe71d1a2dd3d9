// Keeps the back/forward cache from showing a signed-in person's page again: after a sign-out, the back button would
// show it to the next person. The page is hidden before it enters the cache and reloaded when it is restored.

addEventListener("pagehide", (event) => {
  if (event.persisted) document.documentElement.hidden = true;
});

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
