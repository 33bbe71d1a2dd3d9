// Times in the reader's own zone and manner, kept fresh while the page is open.
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// The page is in English; of its regions the reader's own is used.
const locale = navigator.languages.find((each) => /^en\b/i.test(each)) ?? document.documentElement.lang;
const form = (options) => new Intl.DateTimeFormat(locale, options);
const ago = new Intl.RelativeTimeFormat(locale, { numeric: "always" });
const clock = form({ hour: "numeric", minute: "2-digit" });
const weekday = form({ weekday: "long" });
const date = form({ day: "numeric", month: "long" });
const dated = form({ day: "numeric", month: "long", year: "numeric" });
const exact = form({ weekday: "long", day: "numeric", month: "long", year: "numeric", hour: "numeric", minute: "2-digit", timeZoneName: "short" });

const midnight = (moment) => new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
const daysBetween = (from, to) => Math.round((midnight(to) - midnight(from)) / DAY);
const dayOf = (moment, now) => (moment.getFullYear() === now.getFullYear() ? date : dated).format(moment);

function onTheClock(moment, now) {
  const days = daysBetween(moment, now);
  if (days === 0) return `today ${clock.format(moment)}`;
  if (days === 1) return `yesterday ${clock.format(moment)}`;
  if (days > 1 && days < 7) return `${weekday.format(moment)} ${clock.format(moment)}`;
  return dayOf(moment, now);
}

function sinceThen(moment, now) {
  const age = now - moment;
  if (age < MINUTE) return "now";
  if (age < HOUR) return ago.format(-Math.floor(age / MINUTE), "minute");
  if (age < DAY) return ago.format(-Math.floor(age / HOUR), "hour");
  return onTheClock(moment, now);
}

const styles = {
  relative: sinceThen,
  clock: onTheClock,
  day: (moment, now) => `${weekday.format(moment)} ${dayOf(moment, now)}`,
};

function write(place, words) {
  if (place.textContent !== words) place.textContent = words;
}

function refresh() {
  const now = new Date();
  for (const time of document.querySelectorAll("time[data-style]")) {
    const moment = new Date(time.dateTime);
    const say = styles[time.dataset.style];
    if (!say || Number.isNaN(moment.getTime())) continue;
    write(time.querySelector("[data-words]"), say(moment, now));
    time.title = exact.format(moment);
    write(time.querySelector("[data-exact]"), ` (${time.title})`);
  }
}

refresh();
setInterval(refresh, MINUTE);
document.addEventListener("visibilitychange", () => document.hidden || refresh());
document.addEventListener("region-refreshed", refresh);
