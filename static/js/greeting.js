// The greeting follows the clock on the wall, not the one on the server.
const place = document.querySelector("[data-greeting]");
const hour = new Date().getHours();
const words = hour < 5 || hour >= 18 ? "Good evening" : hour < 12 ? "Good morning" : "Good afternoon";
if (place && place.textContent !== words) place.textContent = words;
