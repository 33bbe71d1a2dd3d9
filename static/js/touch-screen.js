// An iPad's browser says that it runs on a Mac. A Mac has no touch screen, so a form that signs in says whether there is one.

if (navigator.maxTouchPoints > 0) {
  for (const form of document.querySelectorAll("form[method=post]")) {
    const action = new URL(form.action);
    action.searchParams.set("touch", "1");
    form.action = action;
  }
}
