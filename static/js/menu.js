// Menus made of a details element: one is open at a time, and Escape or a click elsewhere closes it. Without this script a
// menu opens and closes by its button.

const openMenus = () => [...document.querySelectorAll("details.menu[open]")];

document.addEventListener("click", ({ target }) => {
  for (const menu of openMenus()) if (!menu.contains(target)) menu.open = false;
});
document.addEventListener("keydown", ({ key, target }) => {
  if (key !== "Escape") return;
  for (const menu of openMenus()) {
    const hadFocus = menu.contains(target);
    menu.open = false;
    if (hadFocus) menu.querySelector("summary").focus();
  }
});
