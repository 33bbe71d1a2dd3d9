// The page that says that the service is away: it loads the wanted page again when the service answers.

document.addEventListener("service-state", ({ detail }) => {
  if (detail === "ok") location.reload();
});
