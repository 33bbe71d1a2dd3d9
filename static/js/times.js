// Formats times in the reader's time zone and regional format, and keeps relative times current while the page is open.
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// Pages are in English, so use the reader's English locale if there is one, for its regional formats.
const locale = navigator.languages.find((each) => /^en\b/i.test(each)) ?? document.documentElement.lang;
const formatter = (options) => new Intl.DateTimeFormat(locale, options);
const relativeFormat = new Intl.RelativeTimeFormat(locale, { numeric: "always" });
const clock = formatter({ hour: "numeric", minute: "2-digit" });
const weekday = formatter({ weekday: "long" });
const date = formatter({ day: "numeric", month: "long" });
const dated = formatter({ day: "numeric", month: "long", year: "numeric" });
const exact = formatter({ weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });

const midnight = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
const daysBetween = (from, to) => Math.round((midnight(to) - midnight(from)) / DAY);
const dayOf = (moment, now) => (moment.getFullYear() === now.getFullYear() ? date : dated).format(moment);

function dayAndTime(moment, now) {
  const days = daysBetween(moment, now);
  if (days === 0) return `today ${clock.format(moment)}`;
  if (days === 1) return `yesterday ${clock.format(moment)}`;
  if (days > 1 && days < 7) return `${weekday.format(moment)} ${clock.format(moment)}`;
  return dayOf(moment, now);
}

/** A time in the future. */
function dayAndTimeAhead(moment, now) {
  const days = daysBetween(now, moment);
  if (days === 0) return `today ${clock.format(moment)}`;
  if (days === 1) return `tomorrow ${clock.format(moment)}`;
  return days > 1 && days < 7 ? `${weekday.format(moment)} ${clock.format(moment)}` : date.format(moment);
}

function relativeTime(moment, now) {
  const age = now - moment;
  if (age < MINUTE) return "now";
  if (age < HOUR) return relativeFormat.format(-Math.floor(age / MINUTE), "minute");
  if (age < DAY) return relativeFormat.format(-Math.floor(age / HOUR), "hour");
  return dayAndTime(moment, now);
}

const styles = {
  relative: relativeTime,
  clock: dayAndTime,
  until: dayAndTimeAhead,
  day: (moment, now) => `${weekday.format(moment)} ${dayOf(moment, now)}`,
};

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function refresh() {
  const now = new Date();
  for (const time of document.querySelectorAll("time[data-style]")) {
    const moment = new Date(time.dateTime);
    const format = styles[time.dataset.style];
    if (!format || Number.isNaN(moment.getTime())) continue;
    write(time.querySelector("[data-words]"), format(moment, now));
    time.title = exact.format(moment);
    write(time.querySelector("[data-exact]"), ` (${time.title})`);
  }
}

refresh();
setInterval(refresh, MINUTE);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
document.addEventListener("region-refreshed", refresh);

/* The greeting fits the time of day on this device; the server wrote it for its own clock. */
const greetingPlace = document.querySelector("[data-greeting]");
const hour = new Date().getHours();
const greeting = hour < 5 || hour >= 18 ? "Good evening" : hour < 12 ? "Good morning" : "Good afternoon";
if (greetingPlace && greetingPlace.textContent !== greeting) greetingPlace.textContent = greeting;
