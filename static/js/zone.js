// Tells the server the browser's time zone with a cookie. Only the display of times depends on it.

const { zone, zoneCookie } = document.documentElement.dataset;
const browserZone = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Whether the server wrote this page for another time zone than the browser's and now has the right one. */
export const hasChanged = Boolean(browserZone && zoneCookie && browserZone !== zone) && setZoneCookie();

function setZoneCookie() {
  const entry = `${zoneCookie}=${browserZone}`;
  const isSet = () => document.cookie.split("; ").includes(entry);
  // If the cookie has this value already, the server does not know the zone. Setting it again would not help.
  if (isSet()) return false;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${entry}; Path=/; Max-Age=34560000; SameSite=Strict${secure}`;
  return isSet();
}
