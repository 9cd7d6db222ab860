// Menus are <details>: they close on Escape and on a click elsewhere.

export function closeMenusOutside() {
  document.addEventListener("click", (event) => {
    for (const menu of openMenus()) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of openMenus()) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
}

const openMenus = () => document.querySelectorAll("details[data-menu][open]");
