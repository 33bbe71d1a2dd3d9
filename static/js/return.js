// Reloads the "service unavailable" page when the service answers again.

document.addEventListener("service-state", ({ detail }) => {
  if (detail === "ok") location.reload();
});
