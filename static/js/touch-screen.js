// Tells the server that the device has a touch screen, with each form that signs in. Safari on an iPad claims to run on
// a Mac, and Macs have no touch screen, so this is how the server recognizes an iPad.

if (navigator.maxTouchPoints > 0) {
  for (const form of document.querySelectorAll("form[method=post]")) {
    const action = new URL(form.action);
    action.searchParams.set("touch", "1");
    form.action = action;
  }
}
