// Adapts the greeting to the time of day on this device; the server wrote it for its own clock.
const element = document.querySelector("[data-greeting]");
const hour = new Date().getHours();
const greeting = hour < 5 || hour >= 18 ? "Good evening" : hour < 12 ? "Good morning" : "Good afternoon";
if (element && element.textContent !== greeting) element.textContent = greeting;
