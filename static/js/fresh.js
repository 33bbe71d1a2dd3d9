// A page for somebody who is signed in never comes back from the browser's memory: after signing out, going back would
// show it to whoever comes next. It is hidden before it is put away, and loaded again when it is brought back.

addEventListener("pagehide", (event) => {
  if (event.persisted) document.documentElement.hidden = true;
});

addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
