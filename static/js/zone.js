// Tells the server the browser's time zone, by a cookie that nothing but the words of times depends on.

const { zone, zoneCookie } = document.documentElement.dataset;
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Whether the page was written for another zone than the browser's, and the server now knows better. */
export const hasChanged = Boolean(own && zoneCookie && own !== zone) && keep();

function keep() {
  const entry = `${zoneCookie}=${own}`;
  const isKept = () => document.cookie.split("; ").includes(entry);
  // A zone that the server does not know would be told again and again.
  if (isKept()) return false;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${entry}; Path=/; Max-Age=34560000; SameSite=Strict${secure}`;
  return isKept();
}
